"""A state of the database stays as it was taken, holds nobody up, and ends with its database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from agentnet_desktop.store import settings
from agentnet_desktop.store.connect import _WAL_BYTES
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import DatabaseClosed, ReadCancelled
from tests.store.test_engine import ENDLESS


def put(db: Database, value: object) -> None:
    """Writes something."""
    db.write_sync(lambda session: settings.put(session, "a", value))


def test_a_state_stays_as_it_was_whatever_is_written(db: Database) -> None:
    put(db, 1)
    with db.snapshot() as state:
        put(db, 2)  # before its first job already
        assert state.read(settings.every) == {"a": 1}
        put(db, 3)
        assert state.read_soon(settings.every).result() == {"a": 1}
        with db.snapshot() as later:
            assert later.read(settings.every) == {"a": 3}
        assert db.read_sync(settings.every) == {"a": 3}


def test_a_state_of_a_file_opened_for_reading_only_stays_too(
    db: Database, open_db: Callable[..., Database]
) -> None:
    put(db, 1)
    with open_db(read_only=True).snapshot() as state:
        put(db, 2)
        assert state.read(settings.every) == {"a": 1}


def test_a_job_that_fails_leaves_the_state_usable(db: Database) -> None:
    put(db, 1)
    with db.snapshot() as state:
        put(db, 2)
        with pytest.raises(Exception, match="no such table"):
            state.read(lambda session: session.execute(text("SELECT * FROM missing")))
        assert state.read(settings.every) == {"a": 1}


def test_a_search_that_is_interrupted_is_not_the_walk_beside_it(db: Database) -> None:
    started, go_on = threading.Event(), threading.Event()
    with db.snapshot() as state:

        def slow(_session: object) -> str:
            started.set()
            go_on.wait(10)
            return "walked"

        found = state.read_soon(slow)
        started.wait(10)
        db.interrupt()
        go_on.set()
        assert found.result() == "walked"


def test_closing_the_database_ends_its_states(db: Database, path: Path) -> None:
    put(db, 1)
    state = db.snapshot()
    put(db, "x" * 1_000_000)
    started = threading.Event()

    def endless(session: object) -> None:
        started.set()
        session.execute(ENDLESS)  # type: ignore[attr-defined]

    walking = state.read_soon(endless)
    started.wait(10)
    db.close_sync()
    with pytest.raises(ReadCancelled):
        walking.result()
    with pytest.raises(DatabaseClosed):
        state.read(settings.every)
    with pytest.raises(DatabaseClosed):
        db.snapshot()
    assert not path.with_name(path.name + "-wal").exists()  # nothing stood in the way of emptying it
    state.close()


def test_what_a_long_walk_made_the_log_of_writes_grow_by_is_given_back(db: Database, path: Path) -> None:
    wal = path.with_name(path.name + "-wal")
    state = db.snapshot()
    for letter in "xyz":
        put(db, letter * 8_000_000)
    assert wal.stat().st_size > _WAL_BYTES
    state.close()
    for value in range(2):
        put(db, value)
    assert wal.stat().st_size <= _WAL_BYTES


def test_a_walk_in_another_process_does_not_hold_up_the_end(
    db: Database, open_db: Callable[..., Database]
) -> None:
    put(db, 1)
    with open_db(read_only=True).snapshot() as state:
        put(db, 2)
        done = threading.Thread(target=db.close_sync)
        done.start()
        done.join(2)  # SQLite would wait five seconds for the reader
        assert not done.is_alive()
        assert state.read(settings.every) == {"a": 1}
