"""A thread that reads, with a connection of its own that cannot write. Its queries can be cancelled.

Each job sees one consistent state of the database, and never waits for the writer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import sqlcipher3
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from agentnet_desktop.store.connect import connect, fault, raw_connection
from agentnet_desktop.store.errors import DatabaseClosed, ReadCancelled
from agentnet_desktop.store.job_queue import Outcome, Queued, resolve_all
from agentnet_desktop.store.opening import is_immutable, told
from agentnet_desktop.store.prepared import session_on

T = TypeVar("T")
_STEPS = 20_000  # of SQLite's machine between two looks at whether to stop: a few ms


class Reader:
    """Owns one read-only connection and its thread."""

    def __init__(self, path: Path, key: bytes, *, name: str) -> None:
        """Opens the connection and starts the thread.

        Raises:
            StoreError: the file does not open.
        """
        self._path = path
        self._engine = connect(path, key, mode="ro", immutable=is_immutable(path))
        self._queue: SimpleQueue[Queued | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._running: Queued | None = None
        self._stop = False
        try:
            with told(path):
                self._connection = self._engine.connect()
            self._opened(path, self._connection)
        except BaseException:
            self._engine.dispose()
            raise
        self._raw = raw_connection(self._connection)
        self._raw.set_progress_handler(lambda: self._stop, _STEPS)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _opened(self, path: Path, connection: Connection) -> None:
        """Is called once, with the open connection."""

    def _transaction(self, connection: Connection, /) -> AbstractContextManager[object]:
        """Returns the transaction of one job."""
        return connection.begin()

    def submit(self, job: Callable[[Session], T]) -> Future[T]:
        """Queues a reading job.

        Raises:
            DatabaseClosed: the reader was closed.
        """
        future: Future[T] = Future()
        self._put(Queued(job, future))
        return future

    def submit_async(self, job: Callable[[Session], T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        """Likewise for a caller on `loop`; cancelling it interrupts the job."""
        future: asyncio.Future[T] = loop.create_future()
        queued = Queued(job, future, loop)
        future.add_done_callback(lambda done: self._cancel(queued) if done.cancelled() else None)
        self._put(queued)
        return future

    def _put(self, queued: Queued) -> None:
        with self._lock:
            if self._closed:
                raise DatabaseClosed(self._path)
            self._queue.put(queued)

    def interrupt(self) -> None:
        """Cancels the job that runs at this moment, if any."""
        with self._lock:
            self._interrupt()

    def _cancel(self, queued: Queued) -> None:
        with self._lock:
            if self._running is queued:
                self._interrupt()

    def _interrupt(self) -> None:
        if self._running is not None:
            self._stop = True  # stops it also when it is between two statements
            self._raw.interrupt()

    def close(self) -> None:
        """Cancels what runs, refuses what waits, and ends the thread. A second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
                self._interrupt()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (queued := self._queue.get()) is not None:
                self._run_job(self._connection, queued)
                resolve_all((queued,))
                del queued
        finally:
            self._connection.close()
            self._engine.dispose()

    def _run_job(self, connection: Connection, queued: Queued) -> None:
        with self._lock:
            if self._closed:
                queued.error = DatabaseClosed(self._path)
                return
            if queued.future.cancelled():
                return
            self._running = queued
        with (
            Outcome(queued, self._told),
            self._transaction(connection),
            session_on(connection) as session,
        ):
            queued.result = queued.job(session)
        with self._lock:
            self._running = None
            self._stop = False

    def _told(self, error: Exception) -> BaseException:
        if isinstance(error, SQLAlchemyError | sqlcipher3.DatabaseError):
            return ReadCancelled(self._path) if self._stop else fault(self._path, error) or error
        return error
