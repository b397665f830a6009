"""The database: one encrypted file, one thread that writes, two that read, and one for each walk through all of it.

SQLCipher through SQLAlchemy, WAL, full durability. `write` queues a job; the writer runs what has gathered as
one transaction, each job in a savepoint of its own, and tells the callers after the commit is on disk. Readers
have their own read-only connections and never wait for the writer. Any asyncio loop will do, or none
(`write_sync`, `read_sync`). The jobs are functions of the modules beside this one; this file knows no table.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from agentnet_desktop.store.errors import DatabaseClosed, ReadOnly, StoreError
from agentnet_desktop.store.opening import open_file
from agentnet_desktop.store.reader import Reader
from agentnet_desktop.store.snapshot import Snapshot
from agentnet_desktop.store.writer import Writer

T = TypeVar("T")
Job = Callable[[Session], T]


class Database:
    """An open database. Make one with `open`; close it with `close` or `close_sync`."""

    def __init__(
        self,
        path: Path,
        writer: Writer | None,
        reader: Reader,
        log_reader: Reader,
        snapshot: Callable[[Callable[[Snapshot], None]], Snapshot],
    ) -> None:
        """Use `open`."""
        self.path = path
        self._snapshot = snapshot
        self._snapshots: set[Snapshot] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._writer = writer
        self._reader = reader
        self._log_reader = log_reader

    @classmethod
    def open(
        cls,
        path: Path,
        key: bytes,
        *,
        now_ms: Callable[[], int],
        read_only: bool = False,
        expected: bool = False,
        on_group: Callable[[float], None] | None = None,
    ) -> Database:
        """Opens the database, making it first where there is none, or bringing an older one up to date.

        Blocks: call it from a thread.

        Args:
            path: the file; its folder must exist.
            key: 32 bytes, used raw.
            now_ms: the clock, for the names of backups.
            read_only: opens an existing file without ever writing; `write` then raises `ReadOnly`.
            expected: there is such a file already, and its loss is to be told, not covered up by a new one.
            on_group: is told, on the writer's thread, how many seconds each group of jobs ran.

        Raises:
            StoreError: `WrongKey`, `NewerSchema`, `Corrupt`, `ReadOnly`, `DiskFull`, `InUse`,
                `DatabaseMissing`, `DatabaseLost` or `MigrationFailed`: each one sentence for a person.
        """
        write = open_file(path, key, now_ms=now_ms, read_only=read_only, expected=expected)
        writer = None if write is None else Writer(path, write, on_group)
        readers: list[Reader] = []
        try:
            readers.extend(Reader(path, key, name=name) for name in ("store-reader", "store-log-reader"))
        except StoreError:
            for reader in readers:
                reader.close()
            if writer is not None:
                writer.close()
            raise

        def snapshot(
            ended: Callable[[Snapshot], None],
        ) -> Snapshot:  # no `partial`: its repr would show the key
            return Snapshot(path, key, ended=ended)

        return cls(path, writer, readers[0], readers[1], snapshot)

    async def write(self, job: Job[T]) -> T:
        """Runs a job on the writer's thread and returns its result after it is durable.

        An exception of the job undoes that job only and is raised here. Cancelling the caller does not undo a
        job that was queued.

        Raises:
            StoreError: the disk is full or read-only, or the database is closed; nothing was stored.
        """
        return await self._the_writer().submit_async(job, asyncio.get_running_loop())

    async def read(self, job: Job[T]) -> T:
        """Runs a short reading job on the readers' thread; cancelling the caller interrupts it."""
        return await self._reader.submit_async(job, asyncio.get_running_loop())

    async def read_log(self, job: Job[T]) -> T:
        """Like `read`, on a thread of its own, for searches that may take long."""
        return await self._log_reader.submit_async(job, asyncio.get_running_loop())

    def write_sync(self, job: Job[T]) -> T:
        """Like `write`, blocking; not for a thread that runs a loop."""
        return self._the_writer().submit(job).result()

    def read_sync(self, job: Job[T]) -> T:
        """Like `read`, blocking; not for a thread that runs a loop."""
        return self._reader.submit(job).result()

    def snapshot(self) -> Snapshot:
        """Returns the database's state at this moment, for a walk of many jobs; close it when done. Blocks.

        Raises:
            StoreError: the database is closed, or the file does not open once more.
        """
        with self._lock:
            if self._closed:
                raise DatabaseClosed(self.path)
            made = self._snapshot(self._forget)
            self._snapshots.add(made)
        return made

    def _forget(self, ended: Snapshot) -> None:
        with self._lock:
            self._snapshots.discard(ended)

    def interrupt(self) -> None:
        """Cancels the search that runs at this moment, which raises `ReadCancelled` at its caller."""
        self._log_reader.interrupt()

    async def close(self) -> None:
        """Finishes what was queued, empties the write-ahead log into the file, and closes."""
        await asyncio.get_running_loop().run_in_executor(None, self.close_sync)

    def close_sync(self) -> None:
        """Like `close`, blocking. A second call does nothing."""
        with self._lock:
            self._closed = True
            standing = list(self._snapshots)
        for state in standing:  # which would keep the write-ahead log from being emptied
            state.close()
        self._reader.close()
        self._log_reader.close()
        if self._writer is not None:
            self._writer.close()

    def _the_writer(self) -> Writer:
        if self._writer is None:
            raise ReadOnly(self.path, "It was opened for reading only.")
        return self._writer
