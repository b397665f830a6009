"""The table of the live log: follows only while at the bottom, and pages at both ends."""

from __future__ import annotations

from PySide6.QtCore import QItemSelection, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from agentnet_desktop.agent.events import LogRow
from agentnet_desktop.ui.log.delegate import ROW_HEIGHT, LogDelegate
from agentnet_desktop.ui.models.log_model import Column, LogModel

_WIDTHS = {
    Column.TIME: 108,
    Column.DIRECTION: 32,
    Column.PEER: 150,
    Column.TYPE: 126,
    Column.SUMMARY: 200,
    Column.STATE: 104,
    Column.MARKS: 66,
    Column.SIZE: 74,
}
_NARROW = 900  # px; below it size is hidden, and the columns for names shrink


class LogTable(QTableView):
    """Shows the model; tells it when the person reached an end or left the bottom."""

    entry_chosen = Signal(object)  # LogRow or None
    at_bottom_changed = Signal(bool)

    def __init__(self, model: LogModel) -> None:
        super().__init__()
        self._model = model
        self._at_bottom = True
        self._selected_seq = 0
        self.setModel(model)
        self.setItemDelegate(LogDelegate(model))
        self.setAccessibleName(self.tr("Live log"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMouseTracking(True)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setMinimumSectionSize(24)
        for column, width in _WIDTHS.items():
            self.setColumnWidth(column, width)
        header.setSectionResizeMode(Column.SUMMARY, QHeaderView.ResizeMode.Stretch)
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._scrolled)
        bar.rangeChanged.connect(self._range_changed)
        self.selectionModel().selectionChanged.connect(self._selected)
        model.modelReset.connect(self._after_reset)

    @property
    def at_bottom(self) -> bool:
        """Whether the newest row that is loaded is in sight."""
        return self._at_bottom

    def scroll_to_newest(self) -> None:
        """Go to the bottom, from where the table follows."""
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())
        self._note_bottom(True)

    def chosen(self) -> LogRow | None:
        """Give the entry that is selected."""
        rows = self.selectionModel().selectedRows()
        return self._model.row_at(rows[0].row()) if rows else None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_End:
            self._note_bottom(True)
            self._model.jump_to_newest()
        elif event.key() == Qt.Key.Key_Home:
            self._note_bottom(False)
            self._model.jump_to_oldest()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        self.setColumnHidden(Column.SIZE, narrow)
        self.setColumnWidth(Column.PEER, 118 if narrow else _WIDTHS[Column.PEER])

    def _scrolled(self, value: int) -> None:
        bar = self.verticalScrollBar()
        self._note_bottom(value >= bar.maximum() - ROW_HEIGHT // 2 and self._model.at_newest)
        if value <= ROW_HEIGHT * 4 and bar.maximum() > 0:
            self._model.load_older()
        elif value >= bar.maximum() - ROW_HEIGHT * 4:
            self._model.load_newer()

    def _range_changed(self, _low: int, high: int) -> None:
        if self._at_bottom:
            self.verticalScrollBar().setValue(high)

    def _note_bottom(self, at_bottom: bool) -> None:
        if at_bottom != self._at_bottom:
            self._at_bottom = at_bottom
            self.at_bottom_changed.emit(at_bottom)

    def _after_reset(self) -> None:
        place = self._model.position_of(self._selected_seq)
        if place >= 0:
            self.selectRow(place)
        if self._at_bottom:
            self.scrollToBottom()

    def _selected(self, _now: QItemSelection, _before: QItemSelection) -> None:
        row = self.chosen()
        if row is not None:
            self._selected_seq = row.seq
        self.entry_chosen.emit(row)
