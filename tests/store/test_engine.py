"""The threads: grouping, isolation of failures, order, cancelling, closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, contacts, settings, writer
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import DatabaseClosed, ReadCancelled

from .conftest import KEY

ENDLESS = text(
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT count(*) FROM numbers"
)


def held_back(db: Database) -> threading.Event:
    """Queues a job that occupies the writer until the event is set, so that jobs behind it form one group."""
    release = threading.Event()
    db._the_writer().submit(lambda _session: release.wait(10))
    return release


async def test_a_failing_job_undoes_itself_and_not_its_neighbours(
    db: Database, entry: Callable[..., audit_log.NewEntry]
) -> None:
    release = held_back(db)

    def write(name: str) -> Callable[[Session], None]:
        def job(session: Session) -> None:
            settings.put(session, name, 1)
            audit_log.append(session, entry(summary=name))

        return job

    def fail(session: Session) -> None:
        write("lost")(session)
        contacts.add(session, contacts.Contact("bob", "PENDING", 1))
        contacts.add(session, contacts.Contact("BOB", "PENDING", 1))

    def raise_(session: Session) -> None:
        write("lost too")(session)
        raise LookupError("ours")

    jobs = [db.write(job) for job in (write("a"), fail, write("b"), raise_, write("c"))]
    results = asyncio.gather(*jobs, return_exceptions=True)
    await asyncio.sleep(0)
    release.set()
    outcome = await results
    assert [type(result) for result in outcome] == [
        type(None),
        IntegrityError,
        type(None),
        LookupError,
        type(None),
    ]
    assert set(await db.read(settings.every)) == {"a", "b", "c"}
    assert await db.read(contacts.every) == []
    entries = await db.read(lambda session: audit_log.entries_from(session, 1))
    assert [(stored.seq, stored.summary) for stored in entries] == [(1, "a"), (2, "b"), (3, "c")]
    assert entries[1].previous_hash == entries[0].entry_hash
    assert entries[2].previous_hash == entries[1].entry_hash


async def test_a_result_comes_only_after_the_commit(db: Database) -> None:
    release = held_back(db)
    waiting = [asyncio.ensure_future(db.write(partial(settings.put, name=str(n), value=n))) for n in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    assert await db.read(settings.every) == {}
    release.set()
    await waiting[0]
    assert len(await db.read(settings.every)) == 5


async def test_a_group_wakes_its_loop_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    wakes: list[object] = []
    real = loop.call_soon_threadsafe

    def counting(callback: Callable[..., object], *arguments: object, **options: object) -> asyncio.Handle:
        wakes.append(callback)
        return real(callback, *arguments, **options)  # type: ignore[arg-type]

    release = held_back(db)
    jobs = asyncio.gather(*(db.write(partial(settings.put, name=str(n), value=n)) for n in range(20)))
    await asyncio.sleep(0)
    monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
    release.set()
    await jobs
    assert len(wakes) == 1


async def test_jobs_run_in_the_order_in_which_they_were_queued(db: Database) -> None:
    seen: list[int] = []

    def remember(number: int, _session: Session) -> None:
        seen.append(number)

    await asyncio.gather(*(db.write(partial(remember, n)) for n in range(100)))
    assert seen == list(range(100))


async def test_a_cancelled_caller_does_not_undo_its_job(db: Database) -> None:
    release = held_back(db)
    task = asyncio.ensure_future(db.write(lambda s: settings.put(s, "kept", 1)))
    await asyncio.sleep(0)
    task.cancel()
    release.set()
    await db.write(lambda _session: None)
    assert await db.read(settings.every) == {"kept": 1}
    assert task.cancelled()


async def test_readers_do_not_wait_for_the_writer(db: Database) -> None:
    await db.write(lambda s: settings.put(s, "a", 1))
    release = held_back(db)
    assert await db.read(settings.every) == {"a": 1}
    release.set()


async def test_interrupt_cancels_a_running_search(db: Database) -> None:
    started = threading.Event()

    def endless(session: Session) -> None:
        started.set()
        session.execute(ENDLESS)

    task = asyncio.ensure_future(db.read_log(endless))
    await asyncio.get_running_loop().run_in_executor(None, started.wait)
    db.interrupt()
    with pytest.raises(ReadCancelled):
        await task
    assert await db.read_log(lambda _session: "works again") == "works again"


async def test_cancelling_the_caller_interrupts_its_search(db: Database) -> None:
    started = threading.Event()

    def endless(session: Session) -> None:
        started.set()
        while True:  # also between two statements
            session.execute(ENDLESS)

    task = asyncio.ensure_future(db.read_log(endless))
    await asyncio.get_running_loop().run_in_executor(None, started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await db.read_log(lambda _session: "works again") == "works again"


async def test_a_reader_cannot_write(db: Database) -> None:
    with pytest.raises(Exception, match="cannot be written"):
        await db.read(lambda session: settings.put(session, "a", 1))
    assert await db.read(settings.every) == {}


async def test_a_closed_database_says_so(db: Database) -> None:
    await db.close()
    await db.close()
    with pytest.raises(DatabaseClosed, match="is closed"):
        await db.write(lambda _session: None)
    with pytest.raises(DatabaseClosed):
        await db.read(lambda _session: None)


def test_closing_interrupts_a_running_search(db: Database) -> None:
    started = threading.Event()

    def endless(session: Session) -> None:
        started.set()
        session.execute(ENDLESS)

    future = db._log_reader.submit(endless)
    started.wait()
    db.close_sync()
    with pytest.raises(ReadCancelled):
        future.result()


def test_it_works_without_any_loop(db: Database) -> None:
    db.write_sync(lambda session: settings.put(session, "a", [1, "b", None]))
    assert db.read_sync(lambda session: settings.get(session, "a")) == [1, "b", None]


def test_it_works_under_one_loop_after_another(db: Database) -> None:
    for number in range(2):
        asyncio.run(db.write(partial(settings.put, name=str(number), value=number)))
    assert asyncio.run(db.read(settings.every)) == {"0": 0, "1": 1}


async def test_what_another_process_appended_is_followed(
    db: Database, open_db: Callable[..., Database], entry: Callable[..., audit_log.NewEntry]
) -> None:
    """Two holders at once are refused elsewhere; if it happens all the same, the chain still holds."""
    other = open_db()
    await db.write(lambda s: audit_log.append(s, entry()))
    await other.write(lambda s: audit_log.append(s, entry()))
    third = await db.write(lambda s: audit_log.append(s, entry()))
    entries = await db.read(lambda s: audit_log.entries_from(s, 1))
    assert third.seq == 3
    assert [e.previous_hash for e in entries[1:]] == [e.entry_hash for e in entries[:2]]


async def test_a_group_that_fails_tells_the_next_one_nothing(
    db: Database, entry: Callable[..., audit_log.NewEntry]
) -> None:
    def give_up(session: Session) -> None:
        audit_log.append(session, entry())
        raw = session.connection().connection.dbapi_connection
        assert raw is not None
        raw.execute("ROLLBACK")  # what SQLite does by itself on some faults
        raise RuntimeError

    release = held_back(db)
    jobs = asyncio.gather(
        db.write(lambda s: audit_log.append(s, entry())), db.write(give_up), return_exceptions=True
    )
    await asyncio.sleep(0)
    release.set()
    assert all(isinstance(result, Exception) for result in await jobs)
    assert (await db.write(lambda s: audit_log.append(s, entry()))).seq == 1


@pytest.mark.parametrize(("moment_s", "groups"), [(60.0, 1), (0.0, 2)])
def test_a_job_that_comes_while_a_group_runs_is_of_its_commit_for_a_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment_s: float, groups: int
) -> None:
    monkeypatch.setattr(writer, "MOMENT_S", moment_s)
    told: list[float] = []
    db = Database.open(path, KEY, now_ms=lambda: 1_000, on_group=told.append)
    later: list[Future[int]] = []

    def first(_session: Session) -> None:
        later.append(db._the_writer().submit(lambda _: 2))

    db.write_sync(first)
    assert later[0].result(10) == 2
    db.close_sync()
    assert len(told) == groups
    assert all(seconds >= 0 for seconds in told)
