"""Brings an older database up to date, after a backup that was checked. Loads Alembic: import it only then.

All migrations run in one transaction: either the file ends at `schema.HEAD`, or it is as it was. The backup
lies beside the file, under the same key, and is kept.
"""

from __future__ import annotations

from pathlib import Path

import sqlcipher3
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from agentnet_desktop.store import schema
from agentnet_desktop.store.connect import connect, fault, raw_connection
from agentnet_desktop.store.errors import DiskFull, MigrationFailed, StoreError

MIGRATIONS = Path(__file__).with_name("migrations")


def upgrade(engine: Engine, path: Path, key: bytes, found: str, now: int) -> Path:
    """Makes a backup, checks it, and runs the migrations that are missing.

    Args:
        engine: a writing engine of the file.
        path: the file.
        key: 32 bytes; the backup has the same.
        found: the version that the file has.
        now: time in ms, for the backup's name.

    Returns:
        Where the backup is.

    Raises:
        DiskFull: there is no room for the backup or the migration; the file is as it was.
        MigrationFailed: anything else went wrong; the file is as it was.
    """
    backup = path.with_name(f"{path.name}.before-{schema.HEAD}-{now}")
    try:
        back_up(engine, backup, key, expected=found)
        with engine.begin() as connection:
            run_migrations(connection, schema.HEAD)
    except (SQLAlchemyError, sqlcipher3.Error, CommandError) as error:
        known = fault(path, error)
        raise known if isinstance(known, DiskFull) else MigrationFailed(path) from error
    return backup


def back_up(engine: Engine, target: Path, key: bytes, *, expected: str) -> None:
    """Copies the database to a new encrypted file and makes sure that the copy can be read.

    Raises:
        StoreError: the copy is not whole; it is removed.
    """
    copy = connect(target, key, mode="rwc")
    try:
        with engine.connect() as source, copy.connect() as destination:
            raw_connection(source).backup(raw_connection(destination))
        with copy.begin() as connection:
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check")]
            if found != ["ok"] or schema.version(connection) != expected:
                raise MigrationFailed(target, "Its backup could not be verified.")
    except (StoreError, SQLAlchemyError, sqlcipher3.Error):
        copy.dispose()
        target.unlink(missing_ok=True)
        raise
    copy.dispose()


def run_migrations(connection: Connection, target: str) -> None:
    """Runs the migrations up to `target` inside the transaction of `connection`."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
