"""A part of a job that is undone alone when it fails, while the rest of the job stands.

Belongs to docs/protocol.md, *Duplicates, order, poison*: one message that cannot be handled must take no others with
it. It costs a savepoint, so only what is known to be risky, or has failed already, is worth it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from agentnet_desktop.store.connect import is_fault
from agentnet_desktop.store.prepared import raw_of

__all__ = ["is_fault", "part"]


@contextmanager
def part(session: Session) -> Iterator[None]:
    """Undoes what its block wrote, and what it noted for later jobs, when the block raises; the error goes on.

    When SQLite has given up the whole transaction, as on a full disk, there is nothing left to undo.
    """
    raw = raw_of(session)
    noted = {name: dict(value) if isinstance(value, dict) else value for name, value in session.info.items()}
    raw.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK TO part")
            raw.execute("RELEASE part")
            session.info.clear()
            session.info.update(noted)
        raise
    raw.execute("RELEASE part")
