"""Statements that are written once with SQLAlchemy's typed tables and run on the driver itself.

Building and interpreting a statement costs SQLAlchemy several times what SQLite needs to run it. A `Prepared`
statement is compiled at its first use; from then on its fixed text and the values in their places go straight
to the driver, on the connection and in the transaction of the job's session. For what runs for every message;
everything else may as well go through the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import sqlcipher3
from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import CompilerElement

from agentnet_desktop.store.connect import raw_connection
from agentnet_desktop.store.models import JSON_TEXT, Json

RAW = "prepared.raw"  # the driver's connection, in the `info` of a job's session
_DIALECT = sqlite.dialect(paramstyle="qmark")


def raw_of(session: Session) -> sqlcipher3.Connection:
    """Returns the driver's connection of a job's session, inside its transaction."""
    known = session.info.get(RAW)
    if isinstance(known, sqlcipher3.Connection):
        return known
    raw = raw_connection(session.connection())
    session.info[RAW] = raw
    return raw


def session_on(connection: Connection, **info: Any) -> Session:
    """Returns a session for one job inside a transaction that is not the job's to commit, roll back or close."""
    info[RAW] = raw_connection(connection)
    return Session(bind=connection, join_transaction_mode="rollback_only", expire_on_commit=False, info=info)


def to_json(value: Any) -> str | None:
    """Returns a value as a column of JSON keeps it."""
    return None if value is None else JSON_TEXT(value)


class _Text(NamedTuple):
    """A compiled statement."""

    sql: str
    names: tuple[str, ...]  # of its values, by place
    fixed: Mapping[str, Any]  # the values that the statement itself holds
    json: tuple[int, ...]  # the places of values that are kept as JSON


class Prepared:
    """One statement with named values."""

    def __init__(self, statement: CompilerElement, columns: Sequence[str] | None = None) -> None:
        """Keeps a statement.

        Args:
            statement: of SQLAlchemy's Core; what changes from run to run is a `bindparam`. Without `in_`, whose
                text depends on the values.
            columns: of an insert: which columns get a value, under their own names.
        """
        if not isinstance(statement, Executable):
            raise TypeError("only what can be executed can be prepared")
        self._statement = statement
        self._columns = columns

    @cached_property
    def text(self) -> _Text:
        """The compiled statement."""
        compiled = self._statement.compile(
            dialect=_DIALECT,
            column_keys=None if self._columns is None else list(self._columns),
        )
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("this is no statement of rows")
        names = tuple(compiled.positiontup or ())
        own = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        places = range(len(names))
        kept = tuple(place for place in places if isinstance(compiled.binds[names[place]].type, Json))
        return _Text(compiled.string, names, own, kept)

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Returns the values by place; a name that is missing raises `KeyError`."""
        text = self.text
        named = {**text.fixed, **parameters} if text.fixed else parameters
        values = [named[name] for name in text.names]
        for place in text.json:
            values[place] = to_json(values[place])
        return values

    def run(self, session: Session, parameters: Mapping[str, Any]) -> sqlcipher3.Cursor:
        """Runs the statement; a broken constraint raises `sqlalchemy.exc.IntegrityError`."""
        return self.run_values(session, self.values(parameters))

    def run_values(self, session: Session, values: Sequence[Any]) -> sqlcipher3.Cursor:
        """Likewise with the values by place, JSON as text."""
        try:
            return raw_of(session).execute(self.text.sql, values)
        except sqlcipher3.IntegrityError as error:
            raise IntegrityError(self.text.sql, None, error) from error

    def run_many(self, raw: sqlcipher3.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Runs the statement for each row of values by place, JSON as text."""
        try:
            raw.executemany(self.text.sql, rows)
        except sqlcipher3.IntegrityError as error:
            raise IntegrityError(self.text.sql, None, error) from error
