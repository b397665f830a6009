"""Connections to the encrypted file, and SQLite's faults in our words.

Each thread has one SQLAlchemy engine with one connection. Settings that matter: transactions are ours
(`isolation_level` None, BEGIN IMMEDIATE by hook), so that schema changes roll back like all else; WAL with
`synchronous=FULL`, so that a commit survives a power cut; SQLCipher's own log is off, which would print to
stderr. The key is raw: 32 random bytes need no stretching.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import sqlcipher3
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from agentnet_desktop.store.errors import (
    Corrupt,
    DiskFault,
    DiskFull,
    InUse,
    ReadCancelled,
    ReadOnly,
    StoreError,
    WrongKey,
)

KEY_BYTES = 32
BUSY_SECONDS = 5.0
# The driver keeps a hundred prepared statements, and once it has them, a new one pushes out the one before it. Opening
# a file alone takes as many, so that what runs for every message would be prepared anew each time.
_KEPT_STATEMENTS = 1_000
_NO_ROOM = 256 * 1024  # bytes; SQLite grows its side files by 32 KiB and more
# To what the write-ahead log is cut once nobody reads it any more; a long walk beside many writes lets it grow.
_WAL_BYTES = 16 * 1024 * 1024
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    f"journal_size_limit = {_WAL_BYTES}",
    # Pages that every commit changes are written back once for four times as many commits; they fit the limit.
    "wal_autocheckpoint = 4000",
    "cache_size = -16000",
    "temp_store = MEMORY",
)
_READ_PRAGMAS = ("query_only = ON", "cache_size = -32000", "temp_store = MEMORY")

# SQLite's messages, which the driver passes on without their codes.
_FAULTS: tuple[tuple[str, type[StoreError]], ...] = (
    ("file is not a database", WrongKey),
    ("file is encrypted", WrongKey),
    ("malformed", Corrupt),
    ("vtable constructor failed", Corrupt),
    ("disk is full", DiskFull),
    ("readonly", ReadOnly),
    ("unable to open", ReadOnly),
    ("database is locked", InUse),
    ("disk i/o error", DiskFault),
    ("interrupted", ReadCancelled),
)


def connect(
    path: Path, key: bytes, *, mode: str = "rw", immutable: bool = False, fresh: bool = False
) -> Engine:
    """Returns an engine with at most one connection, which is made at first use and may change threads.

    Args:
        path: the file.
        key: 32 bytes, used raw.
        mode: SQLite's open mode: "rwc" makes the file, "rw" writes an existing one, "ro" reads.
        immutable: reads a file on a medium that cannot change, where SQLite can make no side files.
        fresh: the file is empty. Only then can it be told to give pages back to the disk later; told again,
            SQLite would write to a file that may be damaged.

    Raises:
        ValueError: the key is not 32 bytes long.
    """
    if len(key) != KEY_BYTES:
        raise ValueError("the database key has 32 bytes")
    url = URL.create("sqlite+pysqlcipher", password=f"x'{key.hex()}'", database=str(path))
    # A statement's values may be secret, and its error may be logged.
    options = {"pool_size": 1, "max_overflow": 0, "hide_parameters": True}
    engine = create_engine(url, module=sqlcipher3, poolclass=QueuePool, **options)
    target = f"file:{quote(str(path.absolute()))}?mode={mode}" + ("&immutable=1" if immutable else "")

    def open_connection(*_dialect_and_options: object) -> sqlcipher3.Connection:
        raw = sqlcipher3.connect(
            target,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_SECONDS,
            cached_statements=_KEPT_STATEMENTS,
        )
        raw.execute("PRAGMA cipher_log_level = NONE")  # before the key, else a wrong one prints to stderr
        return raw

    def configure(raw: sqlcipher3.Connection, _record: object) -> None:
        if fresh:
            raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in _READ_PRAGMAS if mode == "ro" else _PRAGMAS:
            raw.execute(f"PRAGMA {pragma}")

    event.listen(engine, "do_connect", open_connection)
    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", _begin_reading if mode == "ro" else _begin_writing)
    return engine


def _begin_writing(connection: Connection) -> None:
    # IMMEDIATE: a transaction that starts by reading could otherwise fail when it comes to write.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def raw_connection(connection: Connection) -> sqlcipher3.Connection:
    """Returns the driver's own connection behind SQLAlchemy's."""
    raw: object = connection.connection.dbapi_connection
    if not isinstance(raw, sqlcipher3.Connection):
        raise TypeError("the connection is not SQLCipher's")
    return raw


def fault(path: Path, error: BaseException) -> StoreError | None:
    """Returns what an error of the driver or of SQLAlchemy means here, or None: it is a caller's mistake.

    Args:
        path: the database file, for the sentence.
        error: what was raised.
    """
    kind = _kind(error)
    if kind is None:
        return None
    # A side file that cannot grow on a full disk is an I/O error to SQLite, too.
    return DiskFull(path) if kind is DiskFault and _is_full(path) else kind(path)


def is_fault(error: BaseException) -> bool:
    """Tells whether an error raised inside a job is the database's own, such as a full disk, and no mistake of the job."""
    return isinstance(error, StoreError) or _kind(error) is not None


def _kind(error: BaseException) -> type[StoreError] | None:
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if not isinstance(original, sqlcipher3.DatabaseError):
        return None
    text = str(original).lower()
    return next((kind for words, kind in _FAULTS if words in text), None)


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _NO_ROOM
    except OSError:
        return False
