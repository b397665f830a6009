"""The live log as a table: SQLite holds it, this model holds a window of it.

Pages of rows are read through the agent's log queries, older ones when the person scrolls up and newer ones
when they scroll down or follow. The window never grows beyond `WINDOW_ROWS`, so a million rows cost no more
than a thousand. Filtering is the database's work; one started later replaces one that still runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal

from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.agent.events import Direction, LogRow, Verified
from agentnet_desktop.audit.filter import FilterError
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.views import VIEW, AnyIndex

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent

PAGE_ROWS = 200
WINDOW_ROWS = 2000
NEW_ROWS_COUNTED = 500  # "500+ new" says enough


class Column(IntEnum):
    """The columns, from left to right."""

    TIME = 0
    DIRECTION = 1
    PEER = 2
    TYPE = 3
    SUMMARY = 4
    STATE = 5
    MARKS = 6
    SIZE = 7


def direction_word(direction: Direction) -> str:
    """Give the word for a direction."""
    words = {Direction.IN: text.tr("in"), Direction.OUT: text.tr("out"), Direction.LOCAL: text.tr("local")}
    return words[direction]


def marks_words(row: LogRow) -> str:
    """Give the words for the lock and verification marks of a row."""
    lock = text.tr("encrypted") if row.encrypted else text.tr("in the clear")
    checks = {
        Verified.GOOD: text.tr("signature verified"),
        Verified.BAD: text.tr("signature BAD"),
        Verified.NONE: text.tr("not signed"),
    }
    return f"{lock}, {checks[row.verified]}"


async def _page(
    agent: Agent, expression: str, before: int | None, after: int | None, limit: int = PAGE_ROWS
) -> list[LogRow]:
    try:
        return await agent.log.page(expression, before_seq=before, after_seq=after, limit=limit)
    except FilterError as error:
        raise BadInput(str(error)) from error


class LogModel(QAbstractTableModel):
    """A window of the log, oldest row first."""

    filter_failed = Signal(str)
    filter_applied = Signal()
    loading_changed = Signal(bool)
    new_rows = Signal(int)  # rows that came in while not following; 0 once they are shown
    rows_shown = Signal()  # a page was read and is shown

    def __init__(self, bridge: Bridge, contacts: ContactsModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._contacts = contacts
        self._rows: list[LogRow] = []
        self._expression = ""
        self._task: asyncio.Task[None] | None = None
        self._catching_up = False
        self._dirty = False
        self._unreadable = False  # the filter in force cannot be read: there is nothing to follow
        self._seen = 0  # newest seq that the window or the count of new rows knows
        self._new = 0
        self.at_newest = True
        self.at_oldest = False
        self.following = True
        self.utc = False
        bridge.attached.connect(self._start)
        bridge.log_appended.connect(self._appended)
        bridge.log_changed.connect(self._changed)

    # ------------------------------------------------------------------------------- Qt's questions

    def rowCount(self, parent: AnyIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: AnyIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)
    ) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(Column):
            return None
        if role == int(Qt.ItemDataRole.TextAlignmentRole) and section == Column.SIZE:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role != int(Qt.ItemDataRole.DisplayRole):
            return None
        names = {
            Column.TIME: self.tr("Time"),
            Column.DIRECTION: "",
            Column.PEER: self.tr("With"),
            Column.TYPE: self.tr("Type"),
            Column.SUMMARY: self.tr("What happened"),
            Column.STATE: self.tr("State"),
            Column.MARKS: self.tr("Checks"),
            Column.SIZE: self.tr("Size"),
        }
        return names[Column(section)]

    def data(self, index: AnyIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row, column = self._rows[index.row()], Column(index.column())
        if role == VIEW:
            return row
        if role in (int(Qt.ItemDataRole.DisplayRole), int(Qt.ItemDataRole.AccessibleTextRole)):
            return self._words(row, column)
        if role == int(Qt.ItemDataRole.ToolTipRole):
            return text.tooltip(self._tooltip(row, column))
        if role == int(Qt.ItemDataRole.TextAlignmentRole) and column is Column.SIZE:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def _words(self, row: LogRow, column: Column) -> str:
        words: dict[Column, Callable[[], str]] = {
            Column.TIME: lambda: text.precise_time(text.at(row.time, text.zone("UTC") if self.utc else None)),
            Column.DIRECTION: lambda: direction_word(row.direction),
            Column.PEER: lambda: self.peer_words(row),
            Column.TYPE: lambda: text.peer_text(row.message_type, 24),
            Column.SUMMARY: lambda: text.peer_text(row.summary),
            Column.STATE: lambda: trust.delivery_mark(row.state).word,
            Column.MARKS: lambda: marks_words(row),
            Column.SIZE: lambda: text.size(row.size),
        }
        return words[column]()

    def _tooltip(self, row: LogRow, column: Column) -> str:
        if column is Column.TIME:
            return text.exact(row.time, text.zone("UTC") if self.utc else None)
        if column is Column.SIZE:
            return self.tr("{0} bytes").format(row.size)
        return self._words(row, column)

    def peer_words(self, row: LogRow) -> str:
        """Give the name of the other side: a contact, the relay, or nobody."""
        if row.peer == "system":
            return self.tr("relay")
        return self._contacts.name_of(row.peer) if row.peer else self.tr("this agent")

    def peer_state(self, row: LogRow) -> str:
        """Give the trust state of the other side; "" for the relay and local entries."""
        return "" if row.peer in ("", "system") else self._contacts.state_of(row.peer)

    # ------------------------------------------------------------------------------- what the view asks

    @property
    def expression(self) -> str:
        """The filter in force."""
        return self._expression

    def row_at(self, row: int) -> LogRow | None:
        """Give the log row shown at a place; None outside."""
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def position_of(self, seq: int) -> int:
        """Give the place of an entry in the window; -1 when it is not there."""
        return next((place for place, row in enumerate(self._rows) if row.seq == seq), -1)

    def show_utc(self, utc: bool) -> None:
        """Show times in UTC, or in this machine's zone."""
        self.utc = utc
        if self._rows:
            self.dataChanged.emit(self.index(0, Column.TIME), self.index(len(self._rows) - 1, Column.TIME))

    def set_filter(self, expression: str) -> None:
        """Filter the log; shows its newest rows. A filter that still runs is cancelled."""
        self._expression = expression
        self.jump_to_newest()

    def cancel(self) -> None:
        """Stop reading; what is shown stays."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self.loading_changed.emit(False)

    def jump_to_newest(self) -> None:
        """Show the newest rows."""
        self._read(self._show_only, newest=True)

    def jump_to_oldest(self) -> None:
        """Show the oldest rows."""
        self._read(self._show_only, after_seq=0, oldest=True)

    def jump_to(self, seq: int) -> None:
        """Show an entry, with those before it."""
        self._read(self._show_part, before_seq=seq + 1)

    def put(self, row: LogRow) -> None:
        """Show a row anew that is in the window, such as after it was pinned."""
        self._changed((row,))

    def load_older(self) -> None:
        """Read the page before the window, unless it is there or being read."""
        if self._rows and not self.at_oldest and self._task is None:
            self._read(self._prepend, before_seq=self._rows[0].seq)

    def load_newer(self) -> None:
        """Read the page after the window, unless it is there or being read."""
        if self._rows and not self.at_newest and self._task is None:
            self._read(self._append, after_seq=self._rows[-1].seq)

    def set_following(self, following: bool) -> None:
        """Follow the newest rows, or leave the window where it is and count what comes."""
        if following and not self.following:
            self.following = True
            if not self.at_newest:
                self.jump_to_newest()
        self.following = following

    # ------------------------------------------------------------------------------- reading

    def _read(
        self,
        show: Callable[[list[LogRow], bool, bool], None],
        *,
        before_seq: int | None = None,
        after_seq: int | None = None,
        newest: bool = False,
        oldest: bool = False,
    ) -> None:
        self.cancel()
        if self._bridge.agent is None:
            return
        self.loading_changed.emit(True)
        expression = self._expression

        def shown(rows: list[LogRow]) -> None:
            self._task = None
            self._unreadable = False
            show(sorted(rows, key=lambda row: row.seq), newest, oldest)
            self.loading_changed.emit(False)
            self.filter_applied.emit()
            self.rows_shown.emit()

        def failed(sentence: str) -> None:
            self._task = None
            self._unreadable = True
            self.loading_changed.emit(False)
            self.filter_failed.emit(sentence)

        self._task = self._bridge.command(
            lambda agent: _page(agent, expression, before_seq, after_seq),
            name="read a page of the log",
            owner=self,
            done=shown,
            failed=failed,
        )

    def _show_only(self, rows: list[LogRow], newest: bool, oldest: bool) -> None:
        self.beginResetModel()
        self._rows = rows
        self.at_newest = newest or len(rows) < PAGE_ROWS
        self.at_oldest = oldest or len(rows) < PAGE_ROWS
        self.endResetModel()
        if self.at_newest:
            self._all_seen()

    def _show_part(self, rows: list[LogRow], _newest: bool, _oldest: bool) -> None:
        """Show rows out of the middle; what comes after them is read when the person gets there."""
        self.beginResetModel()
        self._rows = rows
        self.at_newest = False
        self.at_oldest = len(rows) < PAGE_ROWS
        self.endResetModel()

    def _prepend(self, rows: list[LogRow], _newest: bool, _oldest: bool) -> None:
        self.at_oldest = len(rows) < PAGE_ROWS
        if rows:
            self.beginInsertRows(QModelIndex(), 0, len(rows) - 1)
            self._rows[0:0] = rows
            self.endInsertRows()
        surplus = len(self._rows) - WINDOW_ROWS
        if surplus > 0:
            self.at_newest = False
            self.beginRemoveRows(QModelIndex(), WINDOW_ROWS, len(self._rows) - 1)
            del self._rows[WINDOW_ROWS:]
            self.endRemoveRows()

    def _append(self, rows: list[LogRow], _newest: bool, _oldest: bool) -> None:
        last = self._rows[-1].seq if self._rows else 0
        fresh = [row for row in rows if row.seq > last]
        self.at_newest = len(rows) < PAGE_ROWS
        if fresh:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows) + len(fresh) - 1)
            self._rows.extend(fresh)
            self.endInsertRows()
        surplus = len(self._rows) - WINDOW_ROWS
        if surplus > 0:
            self.at_oldest = False
            self.beginRemoveRows(QModelIndex(), 0, surplus - 1)
            del self._rows[:surplus]
            self.endRemoveRows()
        if self.at_newest:
            self._all_seen()

    def _all_seen(self) -> None:
        self._seen = max(self._seen, self._rows[-1].seq if self._rows else 0)
        self._new = 0
        self.new_rows.emit(0)

    # ------------------------------------------------------------------------------- events

    def _start(self, _snapshot: object) -> None:
        self.jump_to_newest()

    def _appended(self, _rows: tuple[LogRow, ...]) -> None:
        """Ask the database what of it the filter lets through; one question at a time, however many come."""
        if self._catching_up or self._task is not None:
            self._dirty = True
            if not self._catching_up:
                self._bridge.work(self._when_read, name="follow the log", owner=self)
                self._catching_up = True
            return
        self._catching_up = True
        self._bridge.work(self._catch_up, name="follow the log", owner=self)

    async def _when_read(self) -> None:
        task = self._task
        if task is not None:
            await asyncio.wait([task])
        await self._catch_up()

    async def _catch_up(self) -> None:
        try:
            while True:
                self._dirty = False
                agent = self._bridge.agent
                if agent is None or self._unreadable:
                    return
                expression = self._expression
                rows = await _page(agent, expression, None, self._seen, NEW_ROWS_COUNTED)
                if expression == self._expression and rows:
                    self._take_new(sorted(rows, key=lambda row: row.seq))
                if not self._dirty:
                    return
        finally:
            self._catching_up = False

    def _take_new(self, rows: list[LogRow]) -> None:
        rows = [row for row in rows if row.seq > self._seen]
        if not rows:
            return
        if self.following and self.at_newest and self._task is None and len(rows) < NEW_ROWS_COUNTED:
            self._append(rows, True, False)
            self.at_newest = True
            self._all_seen()
            self.rows_shown.emit()
        elif self.following:
            self.jump_to_newest()
        else:
            self._seen = rows[-1].seq
            self._new += len(rows)
            self.at_newest = False
            self.new_rows.emit(self._new)

    def _changed(self, rows: tuple[LogRow, ...]) -> None:
        for row in rows:
            place = self.position_of(row.seq)
            if place >= 0:
                self._rows[place] = row
                self.dataChanged.emit(self.index(place, 0), self.index(place, len(Column) - 1))
