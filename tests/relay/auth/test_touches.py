"""A look at a database's files tells whether another process may have written, without asking the database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.auth.touches import GRAIN_S, Touches

THEN = 1_000_000_000  # seconds since the epoch: long before the files were written
LATER = THEN + GRAIN_S + 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("CREATE TABLE agents (name TEXT)")
    yield made
    made.close()


@pytest.fixture
def touches(database: sqlite3.Connection, tmp_path: Path) -> Touches:
    """Files that were written long ago, and have been looked at."""
    made = Touches(tmp_path / "registry.sqlite")
    settle(tmp_path)
    assert made.may_be_new(LATER)
    assert not made.may_be_new(LATER)
    return made


def settle(folder: Path, *suffixes: str) -> None:
    for suffix in suffixes or ("", "-wal"):
        os.utime(folder / f"registry.sqlite{suffix}", (THEN, THEN))


def test_a_commit_shows_by_its_size_alone(
    database: sqlite3.Connection, touches: Touches, tmp_path: Path
) -> None:
    database.execute("INSERT INTO agents VALUES ('alice')")
    settle(tmp_path)
    assert touches.may_be_new(LATER)
    assert not touches.may_be_new(LATER)


def test_a_commit_shows_by_its_time_alone(touches: Touches, tmp_path: Path) -> None:
    os.utime(tmp_path / "registry.sqlite-wal", (THEN, THEN + 0.5))
    assert touches.may_be_new(LATER)
    assert not touches.may_be_new(LATER)


def test_what_moves_from_the_log_into_the_file_shows(
    database: sqlite3.Connection, touches: Touches, tmp_path: Path
) -> None:
    database.execute("PRAGMA wal_checkpoint(FULL)")
    settle(tmp_path, "-wal")
    assert touches.may_be_new(LATER)


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_that_has_just_been_written_may_be_written_again_under_the_same_time(
    touches: Touches, tmp_path: Path, suffix: str
) -> None:
    os.utime(tmp_path / f"registry.sqlite{suffix}", (THEN + 1, THEN + 1))
    assert touches.may_be_new(THEN + 1)
    assert touches.may_be_new(THEN + 1 + GRAIN_S / 2)
    assert not touches.may_be_new(THEN + 1 + GRAIN_S)


def test_a_clock_that_was_set_back_lets_nothing_be_missed(touches: Touches) -> None:
    assert touches.may_be_new(THEN - 3600)


def test_without_its_log_a_database_is_looked_at_all_the_same(
    database: sqlite3.Connection, touches: Touches, tmp_path: Path
) -> None:
    database.close()  # which takes the log away
    settle(tmp_path, "")
    assert not (tmp_path / "registry.sqlite-wal").exists()
    assert touches.may_be_new(LATER)
    assert not touches.may_be_new(LATER)


def test_files_that_cannot_be_seen_may_have_changed(
    database: sqlite3.Connection, touches: Touches, tmp_path: Path
) -> None:
    (tmp_path / "registry.sqlite").rename(tmp_path / "elsewhere")
    assert touches.may_be_new(LATER)
    assert touches.may_be_new(LATER)


def test_where_times_are_not_kept_up_something_may_always_be_new(
    touches: Touches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.auth.touches.sys.platform", "win32")
    assert touches.may_be_new(LATER)
