"""Maps one table to one frozen dataclass, field by field, for the function modules of this package.

A record's fields carry the names of the table's columns. Reading and writing go through SQLAlchemy's Core on
the session's connection: there is no identity map, so a failed job leaves nothing stale behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Delete,
    Select,
    Table,
    Update,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import Base

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    R = TypeVar("R", bound=DataclassInstance)
else:
    R = TypeVar("R")


class Records(Generic[R]):
    """One table seen as a collection of records."""

    def __init__(self, model: type[Base], kind: type[R]) -> None:
        """Prepares the statements.

        Args:
            model: the table.
            kind: a frozen dataclass whose fields are columns of the table, by name.
        """
        self.table = cast(Table, model.__table__)
        self.c = self.table.c
        self._kind = kind
        self._names = tuple(field.name for field in fields(kind))
        self._key = tuple(column.name for column in self.table.primary_key)
        self._insert = insert(self.table)
        self._select = select(*(self.table.c[name] for name in self._names))

    def values(self, record: R) -> dict[str, Any]:
        """Returns a record's fields by column."""
        return {name: getattr(record, name) for name in self._names}

    def select(self, *where: ColumnElement[bool]) -> Select[Any]:
        """Returns a statement whose rows `all` and `one` turn into records."""
        return self._select.where(*where) if where else self._select

    def update(self, *where: ColumnElement[bool]) -> Update:
        """Returns an update of the rows for which `where` holds."""
        return update(self.table).where(*where)

    def delete(self, *where: ColumnElement[bool]) -> Delete:
        """Returns a deletion of the rows for which `where` holds."""
        return delete(self.table).where(*where)

    def add(self, session: Session, record: R) -> None:
        """Inserts one record; a repeated primary key raises `sqlalchemy.exc.IntegrityError`."""
        session.execute(self._insert, self.values(record))

    def insert(self, session: Session, record: R, *, without: str) -> int:
        """Inserts one record, letting the database choose the integer primary key `without`, and returns that."""
        values = self.values(record)
        del values[without]
        result = cast(CursorResult[Any], session.execute(self._insert, values))
        return int(result.lastrowid)

    def save(self, session: Session, record: R) -> None:
        """Writes every field of a record over the row with its primary key, which must exist.

        Raises:
            LookupError: there is no such row.
        """
        values = self.values(record)
        statement = self.update(*(self.c[name] == values[name] for name in self._key))
        if changed(session, statement.values({k: v for k, v in values.items() if k not in self._key})) == 0:
            raise LookupError(f"no row of {self.table.name} has this key")

    def one(self, session: Session, *where: ColumnElement[bool]) -> R | None:
        """Returns the record for which `where` holds, or None."""
        row = session.execute(self.select(*where)).first()
        return None if row is None else self._kind(*row)

    def all(
        self, session: Session, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> list[R]:
        """Returns the records of a statement made by `select`."""
        return [self._kind(*row) for row in session.execute(statement, parameters)]


def changed(session: Session, statement: Update | Delete) -> int:
    """Runs an update or deletion and returns how many rows it touched."""
    return int(cast(CursorResult[Any], session.execute(statement)).rowcount)
