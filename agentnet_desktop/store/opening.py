"""Opens the file and makes sure that it can be used: made, migrated, refused or found damaged.

Nothing is ever written to a file that does not open with the key, is newer than this program, or is damaged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlcipher3
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from agentnet_desktop.store import schema
from agentnet_desktop.store.connect import connect, fault
from agentnet_desktop.store.errors import (
    Corrupt,
    DatabaseLost,
    DatabaseMissing,
    MigrationFailed,
    NewerSchema,
    ReadOnly,
    StoreError,
    WrongKey,
)

# Up to this size the whole file is looked at when it is opened for work: a tenth of a second. Larger ones: the doctor.
CHECKED_WHOLE = 16 * 1024 * 1024
# Read at both ends at every start: damage there would stop the work later, in the middle of something.
_CHECKED = (
    "SELECT * FROM contact LIMIT 3",
    "SELECT * FROM inbox LIMIT 3",
    "SELECT * FROM proposal ORDER BY rowid DESC LIMIT 3",
    "SELECT * FROM session ORDER BY row_id DESC LIMIT 3",
    "SELECT * FROM outbox ORDER BY position LIMIT 3",
    "SELECT * FROM outbox ORDER BY position DESC LIMIT 3",
    "SELECT * FROM log_entry ORDER BY seq LIMIT 3",
    "SELECT * FROM log_entry ORDER BY seq DESC LIMIT 3",
    "SELECT * FROM log_content ORDER BY seq DESC LIMIT 3",
    "SELECT * FROM log_step ORDER BY row_id DESC LIMIT 3",
)


def open_file(
    path: Path, key: bytes, *, now_ms: Callable[[], int], read_only: bool, expected: bool = False
) -> Engine | None:
    """Makes sure that the file can be used.

    Args:
        path: the file.
        key: 32 bytes.
        now_ms: the clock, for the name of a backup before a migration.
        read_only: only looks; an old schema is then refused, too.
        expected: the file was made before; one that is gone or empty is told, and left as it is.

    Returns:
        The writing engine, or None with `read_only`.

    Raises:
        StoreError: see `Database.open`.
    """
    fresh = not path.exists() or path.stat().st_size == 0
    if fresh and expected:
        raise DatabaseLost(path)
    if fresh and read_only:
        raise DatabaseMissing(path)
    if fresh:
        _make_private(path)
    immutable = read_only and is_immutable(path)
    engine = connect(path, key, mode="ro" if read_only else "rw", immutable=immutable, fresh=fresh)
    try:
        with told(path):
            if not read_only:
                _need_writable(path)
            _bring_up_to_date(engine, path, key, now_ms=now_ms, read_only=read_only)
            _look(engine)
            if not read_only and path.stat().st_size <= CHECKED_WHOLE:
                _look_everywhere(engine, path)
    except BaseException:
        engine.dispose()
        raise
    if read_only:
        engine.dispose()
        return None
    return engine


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns the driver's faults into ours."""
    try:
        yield
    except (DBAPIError, sqlcipher3.DatabaseError) as error:
        known = fault(path, error)
        if known is None:
            known = StoreError(path, "SQLite refuses it for a reason that has no words here.")
        raise known from error


def is_immutable(path: Path) -> bool:
    """Tells whether the folder takes no side files, as on a read-only medium, and none is there."""
    side = path.with_name(path.name + "-wal")
    return not os.access(path.parent, os.W_OK) and not side.exists()


def _make_private(path: Path) -> None:
    """Makes an empty file that only its owner can read, before anything is in it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except FileNotFoundError:
        raise DatabaseMissing(path, "Its folder does not exist.") from None
    except OSError as error:
        raise ReadOnly(path) from error


def _need_writable(path: Path) -> None:
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise ReadOnly(path)


def _bring_up_to_date(
    engine: Engine, path: Path, key: bytes, *, now_ms: Callable[[], int], read_only: bool
) -> None:
    with engine.begin() as connection:
        found = schema.version(connection)
        if found is None and not read_only:
            schema.create(connection)
            return
    if found == schema.HEAD:
        return
    if not found:
        raise WrongKey(path, "It holds tables that are not this program's." if found == "" else "")
    if found not in schema.REVISIONS:
        raise NewerSchema(path)
    if read_only:
        raise MigrationFailed(path, "Open the profile once for writing to bring it up to date.")
    from agentnet_desktop.store import migrate  # loads Alembic, 0.3 s: only when a file is old

    migrate.upgrade(engine, path, key, found, now_ms())


def _look(engine: Engine) -> None:
    """Reads both ends of the tables that matter, which finds most damage without reading the whole file."""
    with engine.begin() as connection:
        for statement in _CHECKED:
            connection.exec_driver_sql(statement).all()


def _look_everywhere(engine: Engine, path: Path) -> None:
    """Reads every page that is in use, with what the write-ahead log has of it.

    Raises:
        Corrupt: one is damaged.
    """
    with engine.begin() as connection:
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise Corrupt(path)


def check(path: Path, key: bytes) -> list[str]:
    """Reads the whole file and returns what is wrong with it, in SQLite's words; an empty list: nothing.

    Takes seconds for a large file. Opens a connection of its own; nothing is written.

    Raises:
        StoreError: the file does not open at all.
    """
    engine = connect(path, key, mode="ro", immutable=is_immutable(path))
    found: list[str] = []
    try:
        with told(path), engine.connect() as connection:
            for pragma in ("PRAGMA cipher_integrity_check", "PRAGMA quick_check(20)"):
                try:
                    found.extend(str(row[0]) for row in connection.exec_driver_sql(pragma))
                except DBAPIError as error:
                    if not isinstance(fault(path, error), Corrupt):
                        raise
                    found.append("pages of the database are damaged")
    finally:
        engine.dispose()
    return [line for line in found if line != "ok"]
