"""Retention: what the log's entries hold may be deleted by age or size; their hashes stay, and the chain with them.

Implements docs/protocol.md, *Retention*. Deleting goes from the beginning of the log, a batch at a time, and the
log says itself what went: an entry of type RETENTION names the last place without content. Without such an
entry, verifying calls missing content a fault. When to delete is the caller's affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from msgspec.structs import replace
from sqlalchemy import Table, func, select, update
from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, log_index
from agentnet_desktop.store.audit_log import LogEntry, NewEntry
from agentnet_desktop.store.log_models import LogContentModel, LogEntryModel

BATCH = 500
RETENTION = "RETENTION"

_entries = cast(Table, LogEntryModel.__table__)
_contents = cast(Table, LogContentModel.__table__)


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What the database takes on disk, in bytes."""

    file: int  # the whole file
    free: int  # of it, pages that new content will take before the file grows
    entries: int  # in the log
    kept: int  # of them, with content


def disk_use(session: Session) -> DiskUse:
    """Returns what the database takes on disk."""
    size, pages, free = _pages(session)
    kept = session.execute(select(func.count()).select_from(_contents)).scalar_one()
    return DiskUse(pages * size, free * size, audit_log.head(session).seq, int(kept))


def free_pages(session: Session) -> int:
    """Returns how many pages of the file are free."""
    return _pages(session)[2]


def _pages(session: Session) -> tuple[int, int, int]:
    """Returns a page's size in bytes, the number of pages, and how many of them are free."""
    connection = session.connection()
    size, pages, free = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_size", "page_count", "freelist_count")
    )
    return size, pages, free


def forget_before(session: Session, time: int, now: int, limit: int = BATCH) -> LogEntry | None:
    """Deletes the content of the oldest entries, up to the first that is not older than a time.

    Args:
        session: of the job; call again while something is returned.
        time: in ms; what was logged before it goes.
        now: time in ms.
        limit: at most so many entries.

    Returns:
        The entry that says what went; None when nothing did.
    """
    first = _first_kept(session)
    if first is None:
        return None
    young = select(func.min(_entries.c.seq)).where(
        _entries.c.seq >= first, _entries.c.seq < first + limit, _entries.c.time >= time
    )
    end = session.execute(young).scalar_one()
    last = (min(first + limit - 1, audit_log.head(session).seq)) if end is None else end - 1
    return _forget(session, first, last, now)


def forget_over(session: Session, most_bytes: int, now: int, limit: int = BATCH) -> LogEntry | None:
    """Deletes the content of the oldest entries when the database takes more than `most_bytes`, free pages aside.

    Returns:
        The entry that says what went; None when nothing did.
    """
    size, pages, free = _pages(session)
    first = _first_kept(session)
    if first is None or (pages - free) * size <= most_bytes:
        return None
    return _forget(session, first, min(first + limit - 1, audit_log.head(session).seq), now)


def give_back_pages(session: Session, pages: int = 1_000) -> None:
    """Gives free pages at the end of the file back to the disk, at most so many."""
    connection = session.connection()
    for _ in range(
        min(pages, free_pages(session))
    ):  # the driver takes one step of a statement without rows: one page
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")


def _first_kept(session: Session) -> int | None:
    first: int | None = session.execute(select(func.min(_contents.c.seq))).scalar_one()
    return first


def _forget(session: Session, first: int, last: int, now: int) -> LogEntry | None:
    """Deletes the content of the entries from place `first` to `last` and says so in the log."""
    entries = [
        entry for entry in audit_log.entries_from(session, first, last - first + 1) if entry.seq <= last
    ]
    # The last word on what went is itself content: as long as nothing came after it, nothing goes.
    if all(entry.message_type == RETENTION for entry in entries):
        return None
    session.execute(_contents.delete().where(_contents.c.seq.between(first, last)))
    where = _entries.c.seq.between(first, last)
    session.execute(update(_entries).where(where).values(summary=""))
    for entry in entries:
        log_index.add(session, replace(entry, summary=""), None)
    said = NewEntry(
        time=now,
        direction="local",
        message_type=RETENTION,
        state="LOCAL",
        summary=f"The content of the entries up to {last} was deleted; their hashes stay.",
        content={"firstSeq": first, "lastSeq": last},
    )
    return audit_log.append(session, said)
