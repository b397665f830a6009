"""The page *Live log*: filter line, table, detail, and the switches for following, heartbeats and UTC."""

from __future__ import annotations

import asyncio
from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QMenu, QSplitter, QStackedWidget, QWidget

from agentnet_desktop.agent.events import LogDetail, LogRow
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.log.detail import DetailTabs
from agentnet_desktop.ui.log.export import ExportDialog
from agentnet_desktop.ui.log.filter_line import WITHOUT_HEARTBEATS, FilterLine
from agentnet_desktop.ui.log.opened import CompareDialog, OpenedDialog
from agentnet_desktop.ui.log.saved import SavedFilters
from agentnet_desktop.ui.log.sequence_tab import SequenceTab
from agentnet_desktop.ui.log.table import LogTable
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.log_model import NEW_ROWS_COUNTED, LogModel
from agentnet_desktop.ui.theme.tokens import SPACE_S
from agentnet_desktop.ui.widgets.parts import Card, EmptyState, Page, button, row


class LogPage(Page):
    """Where an auditor reads what the agents said."""

    def __init__(self, bridge: Bridge, model: LogModel, contacts: ContactsModel) -> None:
        super().__init__(self.tr("Live log"))
        self._bridge = bridge
        self.model = model
        self._detail_task: asyncio.Task[None] | None = None
        self._wanted = 0
        self._build_switches()
        self.filter_line = FilterLine(lambda: [contact.agent_id for contact in contacts.views()])
        self.table = LogTable(model)
        self.details = DetailTabs(SequenceTab(bridge, contacts))
        self.details.hide()
        self._empty = EmptyState(
            "log",
            self.tr("Nothing here yet"),
            self.tr("Every message that your agent sends or receives stands here, readable, as it happens."),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.table)
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(1)
        self._splitter.addWidget(self._stack)
        self._splitter.addWidget(self.details)
        self._splitter.setSizes([320, 240])
        card = Card(self._splitter, margin=1)
        self.saved = SavedFilters(bridge)
        line = row(self.filter_line, self.saved)
        line.setStretch(0, 1)
        line.setAlignment(self.saved, Qt.AlignmentFlag.AlignTop)
        self.body.setSpacing(SPACE_S)
        self.body.addLayout(line)
        self.body.addWidget(card, 1)
        self.new_button = button(
            "", kind="primary", icon="arrow-down", name="log-new", clicked=self.go_to_newest
        )
        self.new_button.setParent(self._stack)
        self.new_button.hide()
        self._connect()
        self._apply_filter()

    def _build_switches(self) -> None:
        self.pause_button = button(self.tr("Pause"), icon="pause", name="log-pause")
        self.pause_button.setCheckable(True)
        self.pause_button.setToolTip(self.tr("Hold the table still; new entries are counted"))
        self.heartbeats_button = button(self.tr("Heartbeats"), name="log-heartbeats")
        self.heartbeats_button.setCheckable(True)
        self.heartbeats_button.setToolTip(self.tr("Show the heartbeats that keep the connection alive"))
        self.utc_button = button(self.tr("UTC"), name="log-utc")
        self.utc_button.setCheckable(True)
        self.utc_button.setToolTip(self.tr("Show times in UTC instead of this machine's zone"))
        self.files_button = button(self.tr("Files"), icon="chevron-down", name="log-files")
        menu = QMenu(self.files_button)
        menu.addAction(self.tr("Export what is shown …"), self.open_export)
        menu.addSeparator()
        menu.addAction(self.tr("Open and verify an exported log …"), self.open_exported)
        menu.addAction(self.tr("Compare two exported logs …"), self.open_compare)
        self.files_button.setMenu(menu)
        self.buttons.addLayout(
            row(self.heartbeats_button, self.utc_button, self.pause_button, self.files_button)
        )

    def _connect(self) -> None:
        self.filter_line.submitted.connect(self._apply_filter)
        self.heartbeats_button.toggled.connect(self._apply_filter)
        self.utc_button.toggled.connect(self.model.show_utc)
        self.pause_button.toggled.connect(self._update_following)
        self.table.at_bottom_changed.connect(self._update_following)
        self.table.entry_chosen.connect(self._choose)
        self.model.filter_failed.connect(self.filter_line.show_error)
        self.model.filter_applied.connect(self._filter_fine)
        self.model.new_rows.connect(self._count_new)
        self.model.rows_shown.connect(self._show_stack)
        self.model.rows_shown.connect(self._show_wanted)
        self.model.modelReset.connect(self._show_stack)

        self.saved.chosen.connect(self.show_filter)
        self.details.acts.conversation_wanted.connect(self.show_filter)
        self.details.sequence.entry_wanted.connect(self._show_step)
        self.details.acts.pin_wanted.connect(self._pin)

    # ------------------------------------------------------------------------------- files

    def open_export(self) -> ExportDialog:
        """Open the dialog that exports what the filter lets through."""
        folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
        where = folder if folder.is_dir() else Path.home()
        dialog = ExportDialog(self._bridge, self.model.expression, where, self)
        dialog.open()
        return dialog

    def open_exported(self) -> OpenedDialog:
        """Open the dialog that reads and verifies an exported file."""
        dialog = OpenedDialog(self._bridge, self)
        dialog.open()
        return dialog

    def open_compare(self) -> CompareDialog:
        """Open the dialog that compares two exported files."""
        dialog = CompareDialog(self._bridge, self)
        dialog.open()
        return dialog

    # ------------------------------------------------------------------------------- what others call

    def show_filter(self, expression: str) -> None:
        """Filter by `expression`, as *Show this conversation in the log* does."""
        self.filter_line.set_expression(expression)

    def go_to_newest(self) -> None:
        """End a pause, go to the bottom and follow from there."""
        self.pause_button.setChecked(False)
        self.table.scroll_to_newest()
        self.model.set_following(True)
        if not self.model.at_newest:
            self.model.jump_to_newest()

    def show_entry(self, seq: int) -> None:
        """Select an entry of the window of rows that is loaded."""
        place = self.model.position_of(seq)
        if place >= 0:
            self.table.selectRow(place)

    def _show_step(self, seq: int) -> None:
        """Select the entry of a step; the filter stays where it lets the entry through."""
        if self.model.position_of(seq) >= 0:
            self.show_entry(seq)
        else:
            self.find_entry(seq)

    def find_entry(self, seq: int) -> None:
        """Show an entry, wherever in the log it is, and its details."""
        self.filter_line.set_expression("")
        self.heartbeats_button.setChecked(True)  # whatever it is, it can be seen
        self.model.set_following(False)
        self._wanted = seq
        self.model.jump_to(seq)

    # ------------------------------------------------------------------------------- reactions

    def _show_wanted(self) -> None:
        if self._wanted and self.model.position_of(self._wanted) >= 0:
            self.show_entry(self._wanted)
            self._wanted = 0

    def _pin(self, seq: int, wanted: bool) -> None:
        def done(entry: LogRow | None) -> None:
            if entry is not None:
                self.model.put(entry)
                self._choose(entry)

        self._bridge.command(
            lambda agent: agent.log.pin(seq) if wanted else agent.log.unpin(seq),
            name="pin a log entry",
            owner=self,
            done=done,
        )

    def _apply_filter(self) -> None:
        expression = self.filter_line.expression()
        if not self.heartbeats_button.isChecked() and "heartbeat" not in expression.lower():
            expression = f"{WITHOUT_HEARTBEATS} {expression}".strip()
        self.model.set_filter(expression)

    def _filter_fine(self) -> None:
        self.filter_line.show_error("")
        self.saved.used(self.filter_line.expression())

    def _update_following(self) -> None:
        self.model.set_following(self.table.at_bottom and not self.pause_button.isChecked())

    def _count_new(self, count: int) -> None:
        if count:
            words = f"{NEW_ROWS_COUNTED}+" if count >= NEW_ROWS_COUNTED else str(count)
            self.new_button.setText(self.tr("{0} new").format(words))
            self._place_new_button()
        self.new_button.setVisible(count > 0)
        self.new_button.raise_()

    def _show_stack(self) -> None:
        shown: QWidget = self.table if self.model.rowCount() else self._empty
        self._stack.setCurrentWidget(shown)

    def _choose(self, entry: LogRow | None) -> None:
        if self._detail_task is not None:
            self._detail_task.cancel()
            self._detail_task = None
        if entry is None:
            return
        seq = entry.seq
        self._detail_task = self._bridge.command(
            lambda agent: agent.log.detail(seq), name="read a log entry", owner=self, done=self._show_detail
        )

    def _show_detail(self, detail: LogDetail | None) -> None:
        self._detail_task = None
        if detail is None:
            return
        self.details.show_detail(detail, self.model.peer_words(detail.row))
        if not self.details.isVisible():
            self.details.show()
            height = max(self._splitter.height(), 300)
            self._splitter.setSizes([height // 2, height - height // 2])
            self.show_entry(detail.row.seq)
            if selected := self.table.selectionModel().selectedRows():
                self.table.scrollTo(selected[0])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_new_button()

    def _place_new_button(self) -> None:
        self.new_button.adjustSize()
        left = (self._stack.width() - self.new_button.width()) // 2
        self.new_button.move(left, self._stack.height() - self.new_button.height() - SPACE_S)
