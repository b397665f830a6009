"""A part of a job that fails alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlcipher3
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from agentnet_desktop.crypto import chain
from agentnet_desktop.store import audit_log, settings
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import DiskFull
from agentnet_desktop.store.part import is_fault, part


async def test_a_part_that_fails_is_undone_alone_and_the_log_goes_on_without_it(
    db: Database, entry: Callable[..., audit_log.NewEntry]
) -> None:
    def fail(session: Session) -> None:
        with part(session):
            settings.put(session, "lost", 1)
            audit_log.append(session, entry(summary="lost words"))
            raise LookupError("ours")

    def job(session: Session) -> None:
        for name in ("a", "b"):
            settings.put(session, name, 1)
            audit_log.append(session, entry(summary=name))
            with pytest.raises(LookupError):
                fail(session)
        with part(session):
            settings.put(session, "c", 1)

    await db.write(job)
    kept = await db.read(lambda session: [settings.get(session, name) for name in ("a", "b", "c", "lost")])
    assert kept == [1, 1, 1, None]
    entries = await db.read(lambda session: audit_log.entries_from(session, 1))
    assert [(one.seq, one.summary) for one in entries] == [(1, "a"), (2, "b")]
    assert [one.previous_hash for one in entries] == [chain.GENESIS, entries[0].entry_hash]
    found = await db.read(
        lambda session: session.execute(
            text("SELECT count(*) FROM log_text WHERE log_text MATCH 'lost'")
        ).scalar_one()
    )
    assert found == 0


async def test_a_part_in_a_transaction_that_sqlite_gave_up_raises_what_it_raised(db: Database) -> None:
    def job(session: Session) -> None:
        with part(session):
            session.connection().exec_driver_sql("ROLLBACK")  # as on a full disk
            raise LookupError("what was wrong")

    with pytest.raises(LookupError, match="what was wrong"):
        await db.write(job)
    await db.write(lambda session: settings.put(session, "after", 1))


def test_a_fault_of_the_database_is_told_from_a_mistake() -> None:
    full = sqlcipher3.OperationalError("database or disk is full")
    assert is_fault(full)
    assert is_fault(OperationalError("INSERT", None, full))
    assert is_fault(DiskFull(Path("x")))
    assert not is_fault(sqlcipher3.OperationalError("no such table: x"))
    assert not is_fault(LookupError("ours"))
