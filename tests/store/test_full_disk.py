"""A full disk is told to every caller that it concerns; what was stored stays, and work goes on after."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, settings
from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import DiskFull
from agentnet_desktop.store.opening import check

from .conftest import KEY


def most_pages(session: Session, more: int) -> None:
    """Lets the file grow by so many pages: SQLite then says what it says of a full disk."""
    connection = session.connection()
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}").all()


async def test_nothing_is_lost_on_a_full_disk_and_all_are_told(
    db: Database, entry: Callable[..., NewEntry]
) -> None:
    await db.write(lambda s: settings.put(s, "before", 1))
    await db.write(lambda s: most_pages(s, 20))

    def job(session: Session) -> int:
        return audit_log.append(session, entry(wire=os.urandom(5_000))).seq

    results = await asyncio.gather(*(db.write(job) for _ in range(200)), return_exceptions=True)
    stored = [result for result in results if isinstance(result, int)]
    failed = [result for result in results if not isinstance(result, int)]
    assert failed
    assert all(isinstance(error, DiskFull) for error in failed)
    assert "disk that holds" in str(failed[0])
    assert (await db.read(audit_log.head)).seq == len(stored)

    await db.write(lambda s: most_pages(s, 100_000))
    assert await db.write(job) == len(stored) + 1
    assert await db.read(settings.every) == {"before": 1}
    await db.close()
    assert check(db.path, KEY) == []


async def test_a_job_that_fits_is_stored_though_another_does_not(
    db: Database, entry: Callable[..., NewEntry]
) -> None:
    await db.write(lambda s: most_pages(s, 30))
    with pytest.raises(DiskFull):
        await db.write(lambda s: audit_log.append(s, entry(wire=os.urandom(500_000))))
    await db.write(lambda s: settings.put(s, "small", 1))
    assert await db.read(settings.every) == {"small": 1}
