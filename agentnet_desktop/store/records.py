"""Maps one table to one frozen dataclass or Struct, field by field, for the function modules of this package.

A record's fields carry the names of the table's columns. Reading and writing go through SQLAlchemy's Core on
the session's connection, or past it where a statement is prepared: there is no identity map, so a failed job
leaves nothing stale behind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Delete,
    Insert,
    Select,
    Table,
    Update,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import Base, Json
from agentnet_desktop.store.prepared import Prepared, raw_of, to_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    R = TypeVar("R", bound=DataclassInstance | msgspec.Struct)
else:
    R = TypeVar("R")


class Lookup(Generic[R]):
    """A prepared selection of records."""

    def __init__(self, statement: Select[Any], kind: type[R], json_places: Sequence[int]) -> None:
        """Use `Records.lookup`."""
        self._prepared = Prepared(statement)
        self._kind = kind
        self._json = json_places

    def all(self, session: Session, **values: Any) -> list[R]:
        """Returns the records for these values."""
        rows = self._prepared.run(session, values).fetchall()
        if not self._json:
            return [self._kind(*row) for row in rows]
        return [self._kind(*self._read(row)) for row in rows]

    def first(self, session: Session, **values: Any) -> R | None:
        """Returns the first record for these values, or None."""
        return next(iter(self.all(session, **values)), None)

    def _read(self, row: Sequence[Any]) -> list[Any]:
        read = list(row)
        for place in self._json:
            if read[place] is not None:
                read[place] = json.loads(read[place])
        return read


class Insertion(Generic[R]):
    """A prepared insertion of records: some columns from their fields, the others as named values."""

    def __init__(self, table: Table, names: Sequence[str], statement: Insert | None = None) -> None:
        """Use `Records.insertion`."""
        self._names = [column.name for column in table.c if column.name in names]
        self._prepared = Prepared(insert(table) if statement is None else statement, self._names)
        self._fields: Callable[[R], tuple[Any, ...]] = attrgetter(*self._names)
        self._json = [place for place, name in enumerate(self._names) if isinstance(table.c[name].type, Json)]

    def run(self, session: Session, record: R) -> int:
        """Inserts one record and returns its row's number; a broken constraint raises `IntegrityError`."""
        return int(self._prepared.run_values(session, self._values(record)).lastrowid or 0)

    def run_many(self, session: Session, records: Iterable[R]) -> None:
        """Inserts some records."""
        self._prepared.run_many(raw_of(session), map(self._values, records))

    def _values(self, record: R) -> Sequence[Any]:
        values = self._fields(record)
        if not self._json:
            return values
        written = list(values)
        for place in self._json:
            written[place] = to_json(written[place])
        return written


class Records(Generic[R]):
    """One table seen as a collection of records."""

    def __init__(self, model: type[Base], kind: type[R]) -> None:
        """Prepares the statements.

        Args:
            model: the table.
            kind: a frozen dataclass or Struct whose fields are columns of the table, by name.
        """
        self.table = cast(Table, model.__table__)
        self.c = self.table.c
        self._kind = kind
        self._names = _fields_of(kind)
        self._key = tuple(column.name for column in self.table.primary_key)
        self._insert = self.insertion()
        self._select = select(*(self.table.c[name] for name in self._names))

    def values(self, record: R) -> dict[str, Any]:
        """Returns a record's fields by column."""
        return {name: getattr(record, name) for name in self._names}

    def select(self, *where: ColumnElement[bool]) -> Select[Any]:
        """Returns a statement whose rows `all` and `one` turn into records."""
        return self._select.where(*where) if where else self._select

    def lookup(self, statement: Select[Any]) -> Lookup[R]:
        """Prepares a statement made by `select`."""
        kept = [place for place, name in enumerate(self._names) if isinstance(self.c[name].type, Json)]
        return Lookup(statement, self._kind, kept)

    def insertion(self, statement: Insert | None = None, *, without: str = "") -> Insertion[R]:
        """Prepares an insertion of records.

        Args:
            statement: an insert into the table that does more than insert.
            without: a column that the database fills.
        """
        return Insertion(self.table, [name for name in self._names if name != without], statement)

    def update(self, *where: ColumnElement[bool]) -> Update:
        """Returns an update of the rows for which `where` holds."""
        return update(self.table).where(*where)

    def delete(self, *where: ColumnElement[bool]) -> Delete:
        """Returns a deletion of the rows for which `where` holds."""
        return delete(self.table).where(*where)

    def add(self, session: Session, record: R) -> None:
        """Inserts one record; a repeated primary key raises `sqlalchemy.exc.IntegrityError`."""
        self._insert.run(session, record)

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


def _fields_of(kind: type[R]) -> tuple[str, ...]:
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(field.name for field in fields(kind))


def changed(session: Session, statement: Update | Delete) -> int:
    """Runs an update or deletion and returns how many rows it touched."""
    return int(cast(CursorResult[Any], session.execute(statement)).rowcount)
