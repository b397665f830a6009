"""A list model of frozen views, kept in order and current by small changes instead of resets.

The models of contacts, meetings, inbox and security events are this one with a key, an order and words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

T = TypeVar("T")
AnyIndex = QModelIndex | QPersistentModelIndex
VIEW = int(Qt.ItemDataRole.UserRole)


class ViewsModel(QAbstractListModel, Generic[T]):
    """Frozen views by key, sorted.

    Args:
        key: Names a view for its whole life.
        order: Sorts views; the key breaks ties.
        words: The line that stands for a view, for display and for a screen reader.
    """

    def __init__(
        self,
        *,
        key: Callable[[T], str],
        order: Callable[[T], Any],
        words: Callable[[T], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._key = key
        self._order = order
        self._words = words
        self._views: list[T] = []

    def rowCount(self, parent: AnyIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._views)

    def data(self, index: AnyIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid() or index.row() >= len(self._views):
            return None
        view = self._views[index.row()]
        if role == VIEW:
            return view
        if role in (int(Qt.ItemDataRole.DisplayRole), int(Qt.ItemDataRole.AccessibleTextRole)):
            return self._words(view)
        return None

    def views(self) -> list[T]:
        """List the views in their order."""
        return list(self._views)

    def view_at(self, row: int) -> T | None:
        """Give the view of a row; None outside."""
        return self._views[row] if 0 <= row < len(self._views) else None

    def find(self, key: str) -> T | None:
        """Give the view of a key; None when there is none."""
        row = self.row_of(key)
        return None if row < 0 else self._views[row]

    def row_of(self, key: str) -> int:
        """Give the row of a key; -1 when there is none."""
        return next((row for row, view in enumerate(self._views) if self._key(view) == key), -1)

    def replace_all(self, views: Iterable[T]) -> None:
        """Show these views and no others."""
        self.beginResetModel()
        self._views = sorted(views, key=self._place)
        self.endResetModel()

    def put(self, view: T) -> None:
        """Add a view, or replace the one of its key; it moves when its order changed."""
        row = self.row_of(self._key(view))
        if row >= 0 and self._place(self._views[row]) == self._place(view):
            self._views[row] = view
            self.dataChanged.emit(self.index(row), self.index(row))
            return
        if row >= 0:
            self._remove_row(row)
        place = bisect_left([self._place(other) for other in self._views], self._place(view))
        self.beginInsertRows(QModelIndex(), place, place)
        self._views.insert(place, view)
        self.endInsertRows()

    def drop(self, key: str) -> None:
        """Remove the view of a key, if there is one."""
        row = self.row_of(key)
        if row >= 0:
            self._remove_row(row)

    def _place(self, view: T) -> tuple[Any, str]:
        return (self._order(view), self._key(view))

    def _remove_row(self, row: int) -> None:
        self.beginRemoveRows(QModelIndex(), row, row)
        del self._views[row]
        self.endRemoveRows()
