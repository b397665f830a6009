"""A part of a job that is undone alone.

A job of the writer stands or falls as one. `part` marks off a piece of it: when the piece raises, what it wrote is
undone, and so is what it told the pieces after it through the session's `info`; the job may go on. Commits nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, log_index
from agentnet_desktop.store.connect import is_fault
from agentnet_desktop.store.prepared import raw_of

_COLLECTED = (log_index.PENDING_ROWS, log_index.PENDING_HOURS)  # grow in place
_TOLD = (audit_log.HEAD, audit_log.STEPS, log_index.KNOWN_VALUES, *_COLLECTED)


@contextmanager
def part(session: Session) -> Iterator[None]:
    """Undoes what its block wrote when the block raises; the exception goes on.

    Args:
        session: of the job. A part may hold parts.
    """
    raw = raw_of(session)
    told = {name: session.info[name] for name in _TOLD if name in session.info}
    session.info.update({name: dict(told[name]) for name in _COLLECTED if name in told})
    raw.execute("SAVEPOINT part")
    try:
        yield
        session.flush()
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK TO part")
            raw.execute("RELEASE part")
        for name in _TOLD:
            session.info.pop(name, None)
        session.info.update(told)
        raise
    raw.execute("RELEASE part")


def ends_all(session: Session, error: BaseException) -> bool:
    """Tells whether what a part raised ends its whole job: the disk failed, or SQLite gave the transaction up."""
    return is_fault(error) or not raw_of(session).in_transaction
