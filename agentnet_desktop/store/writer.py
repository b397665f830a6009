"""The one thread that writes: jobs that have gathered are one transaction, each in its own savepoint.

A commit costs a disk flush whatever is in it, so the writer takes all jobs that wait, runs them and those that come
while it does, for a moment at most, and commits once; while the disk works, the next ones gather. A job that raises is
undone alone. Callers learn of success only after the commit is on disk; when the commit fails, every job of the group
fails and nothing was stored.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import sqlcipher3
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, log_index
from agentnet_desktop.store.connect import fault, raw_connection
from agentnet_desktop.store.errors import DatabaseClosed, StoreError
from agentnet_desktop.store.job_queue import Outcome, Queued, resolve_all
from agentnet_desktop.store.prepared import session_on

T = TypeVar("T")
GROUP = 256
MOMENT_S = 0.02  # how long jobs that keep coming may put a commit off
# What one job may tell the next through its session's `info`: only this thread writes, so it stays true. A job
# that fails tells nothing, a group that fails makes all of it forgotten.
CARRIED = (audit_log.HEAD, audit_log.STEPS, log_index.KNOWN_VALUES, log_index.OPEN_WORDS)


class Writer:
    """Owns the writing connection and its thread."""

    def __init__(self, path: Path, engine: Engine, on_group: Callable[[float], None] | None = None) -> None:
        """Starts the thread on an engine that was opened and checked.

        Args:
            path: of the file.
            engine: with one connection, for this thread alone.
            on_group: is told how long each group ran, in seconds, its commit left out.
        """
        self._path = path
        self._engine = engine
        self._on_group = on_group
        self._queue: SimpleQueue[Queued | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._carried: dict[str, Any] = {}
        self._data_version = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Session], T]) -> Future[T]:
        """Queues a job; the future ends after the job is durable.

        Raises:
            DatabaseClosed: the writer was closed.
        """
        future: Future[T] = Future()
        self._put(Queued(job, future))
        return future

    def submit_async(self, job: Callable[[Session], T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        """Likewise for a caller on `loop`."""
        future: asyncio.Future[T] = loop.create_future()
        self._put(Queued(job, future, loop))
        return future

    def _put(self, queued: Queued) -> None:
        with self._lock:
            if self._closed:
                raise DatabaseClosed(self._path)
            self._queue.put(queued)

    def close(self) -> None:
        """Runs what is queued, empties the write-ahead log into the file, and ends the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._engine.connect() as connection:
                while group := self._take():
                    self._run_group(connection, group)
                    resolve_all(group)
                    del group
                self._checkpoint(connection)
        finally:
            self._engine.dispose()

    def _take(self) -> list[Queued]:
        """Waits for a job and takes with it all that have gathered; an empty list: closed, and nothing is left."""
        first = self._queue.get()
        return [] if first is None else [first, *self._gathered(GROUP - 1)]

    def _gathered(self, room: int) -> list[Queued]:
        """Takes up to `room` jobs that have gathered, without waiting."""
        found: list[Queued] = []
        while len(found) < room:
            try:
                queued = self._queue.get_nowait()
            except Empty:
                break
            if queued is None:
                self._queue.put(None)  # nothing can follow it: ends the thread after this group
                break
            found.append(queued)
        return found

    def _run_group(self, connection: Connection, group: list[Queued]) -> None:
        """Runs a group, which grows by what comes meanwhile, as one transaction; leaves each job's outcome in it."""
        begun = time.monotonic()
        try:
            with connection.begin():
                self._check_carried(connection)
                pending = log_index.Pending()
                fresh, ran = group, 0.0
                while fresh:
                    for queued in fresh:
                        self._run_job(connection, queued, pending)
                    ran = time.monotonic() - begun
                    fresh = self._gathered(GROUP - len(group)) if ran < MOMENT_S else []
                    group += fresh
                if self._on_group is not None:
                    self._on_group(ran)
                pending.write(raw_connection(connection))
        except (DBAPIError, sqlcipher3.DatabaseError, StoreError) as error:
            self._carried = {}
            known = error if isinstance(error, StoreError) else fault(self._path, error) or error
            for queued in group:
                queued.result = None
                queued.error = queued.error or known

    def _check_carried(self, connection: Connection) -> None:
        """Forgets what jobs told each other when another connection has written meanwhile."""
        (version,) = raw_connection(connection).execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._data_version = version
            self._carried = {}

    def _run_job(self, connection: Connection, queued: Queued, pending: log_index.Pending) -> None:
        raw = raw_connection(connection)
        raw.execute("SAVEPOINT job")
        session = session_on(connection, **self._carried)
        with Outcome(queued, lambda error: fault(self._path, error) or error):
            queued.result = queued.job(session)
            session.flush()
        if queued.error is None:
            pending.take(session)
            self._carried = {name: session.info[name] for name in CARRIED if name in session.info}
        else:
            self._undo(raw, queued.error)
        raw.execute("RELEASE job")
        session.close()

    def _undo(self, raw: sqlcipher3.Connection, error: BaseException) -> None:
        """Undoes one job; raises when SQLite has given up the whole transaction, as on a full disk."""
        if not raw.in_transaction:
            raise error if isinstance(error, StoreError) else StoreError(self._path)
        raw.execute("ROLLBACK TO job")

    def _checkpoint(self, connection: Connection) -> None:
        """Empties the write-ahead log into the file; a reader or a full disk may prevent it, which loses nothing."""
        raw = raw_connection(connection)
        try:
            raw.execute("PRAGMA busy_timeout = 0")  # another process may walk through the log for long
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlcipher3.DatabaseError as error:
            if fault(self._path, error) is None:
                raise
