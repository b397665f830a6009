"""The schema's version: which one this program writes, which older ones it can bring up to date.

A new database is made directly at `HEAD`; `migrations` (Alembic, loaded only when a file is old) brings older
ones there. A test proves that both ways end in the same tables.
"""

from __future__ import annotations

from sqlalchemy import Connection

from agentnet_desktop.store import log_models
from agentnet_desktop.store.log_index import CREATE_TEXT
from agentnet_desktop.store.models import Base

HEAD = "0003"
REVISIONS = ("0001", "0002", "0003")  # oldest first; the last is HEAD
VERSION_TABLE = "alembic_version"
_CREATE_VERSION = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)

# Naming the module keeps the log's tables in the metadata even if nothing else has loaded them.
LOG_TABLES = (log_models.LogEntryModel.__tablename__, log_models.LogContentModel.__tablename__)


def create(connection: Connection) -> None:
    """Makes all tables and stamps the version, inside the transaction of `connection`."""
    Base.metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(CREATE_TEXT)
    connection.exec_driver_sql(_CREATE_VERSION)
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


def version(connection: Connection) -> str | None:
    """Returns the version of the tables, or None when the file holds no tables at all.

    An encrypted file that is not one of ours has the version "".
    """
    names = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")}
    if not names:
        return None
    if VERSION_TABLE not in names:
        return ""
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return "" if row is None else str(row[0])
