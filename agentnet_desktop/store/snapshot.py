"""One unchanging state of the database, for a walk of many jobs beside a writer that goes on.

A walk that took a transaction for each part would see entries of one moment and their delivery states of another.
The state is SQLite's own: one read transaction in the write-ahead log, on a connection and thread of its own. The
writer never waits for it. But what is written meanwhile stays in the write-ahead log until the walk has ended: it
grows by as much, on disk, and shrinks again afterwards (`connect`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from agentnet_desktop.store.connect import raw_connection
from agentnet_desktop.store.opening import told
from agentnet_desktop.store.reader import Reader

T = TypeVar("T")
_CACHE_KIB = 4096  # a walk goes through the file once


class Snapshot:
    """The database as it was when this was made. Ends with its `with` block, or with the database."""

    def __init__(self, path: Path, key: bytes, *, ended: Callable[[Snapshot], None]) -> None:
        """Takes the state; `Database.snapshot` calls this.

        Raises:
            StoreError: the file does not open.
        """
        self._ended = ended
        self._reader = _StandingReader(path, key, name="store-snapshot")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, job: Callable[[Session], T]) -> T:
        """Runs a reading job on this state and returns its result. Blocks.

        Raises:
            DatabaseClosed: the state, or its database, was closed.
        """
        return self._reader.submit(job).result()

    def read_soon(self, job: Callable[[Session], T]) -> Future[T]:
        """Likewise without waiting: for those who work on one part while the next is read."""
        return self._reader.submit(job)

    def close(self) -> None:
        """Lets go of the state; what still reads is cancelled. A second call does nothing."""
        self._reader.close()
        self._ended(self)


class _StandingReader(Reader):
    """A reader all of whose jobs are in one transaction, which begins with the first look and ends at the end."""

    def _opened(self, path: Path, connection: Connection) -> None:
        raw = raw_connection(connection)
        raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        with told(path):
            connection.begin()
            raw.execute("SELECT 1 FROM log_entry LIMIT 1").fetchall()  # only a look takes the state

    def _transaction(self, _connection: Connection, /) -> AbstractContextManager[object]:
        return nullcontext()
