"""An exported log, opened: whose it is, what verifying it found, and its entries; and two of them compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QObject, Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFormLayout,
    QHeaderView,
    QListWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from agentnet_desktop.agent.events import LogRow
from agentnet_desktop.agent.proof import OpenedExport
from agentnet_desktop.audit.compare import Difference
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.log_model import direction_word
from agentnet_desktop.ui.models.views import AnyIndex
from agentnet_desktop.ui.security.integrity import report_words
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.long_work import LongWork
from agentnet_desktop.ui.widgets.parts import Notice, button, row
from agentnet_desktop.ui.widgets.path_field import PathField

_PATTERN = "*.jsonl"


class RowsModel(QAbstractTableModel):
    """The entries of an exported file, which do not change."""

    def __init__(self, rows: Sequence[LogRow], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows = rows

    def rowCount(self, parent: AnyIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: AnyIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else 7

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)
    ) -> Any:
        names = (
            self.tr("Entry"), self.tr("Time"), self.tr("Way"), self.tr("With"), self.tr("Type"),
            self.tr("What happened"), self.tr("State"),
        )  # fmt: skip
        shown = orientation is Qt.Orientation.Horizontal and role == int(Qt.ItemDataRole.DisplayRole)
        return names[section] if shown and section < len(names) else None

    def data(self, index: AnyIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid() or role not in (
            int(Qt.ItemDataRole.DisplayRole), int(Qt.ItemDataRole.ToolTipRole)
        ):  # fmt: skip
            return None
        entry = self._rows[index.row()]
        words = (
            str(entry.seq),
            text.exact(entry.time),
            direction_word(entry.direction),
            text.peer_text(entry.peer, text.NAME_LIMIT),
            text.peer_text(entry.message_type, 24),
            text.peer_text(entry.summary),
            trust.delivery_mark(entry.state).word,
        )[index.column()]
        return text.tooltip(words) if role == int(Qt.ItemDataRole.ToolTipRole) else words


class OpenedDialog(QDialog):
    """Opens an exported file: verifies it, and shows its entries."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("An exported log"))
        self.resize(960, 560)
        self._bridge = bridge
        self.path = PathField("opened-path", self.tr("An exported log (JSONL)"), pattern=_PATTERN)
        self.open_button = button(
            self.tr("Open and verify"),
            kind="primary",
            icon="shield-check",
            name="opened-go",
            clicked=self._open,
        )
        self.work = LongWork(self.tr("Reading the file"))
        self.notice = Notice()
        self.whose, self.keys = (
            Label(wrap=True, selectable=True),
            Label(role="mono", wrap=True, selectable=True),
        )
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.addRow(Label(self.tr("Whose"), "muted"), self.whose)
        form.addRow(Label(self.tr("Keys in it"), "muted"), self.keys)
        self.facts = QWidget()
        self.facts.setLayout(form)
        self.facts.hide()
        self.table = QTableView()
        self.table.setAccessibleName(self.tr("Entries of the file"))
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(False)
        line = row(self.path, self.open_button)
        line.setStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        layout.addLayout(line)
        layout.addWidget(self.work)
        layout.addWidget(self.notice)
        layout.addWidget(self.facts)
        layout.addWidget(self.table, 1)
        layout.addLayout(row(None, button(self.tr("Close"), name="opened-close", clicked=self.close)))
        self.path.changed.connect(self._check)
        self.work.cancel_button.clicked.connect(self._check)
        self._check()

    def _check(self) -> None:
        self.open_button.setEnabled(
            self.path.path() is not None and not self.path.problem() and not self.work.busy
        )

    def _open(self) -> None:
        path = self.path.path()
        if path is None:
            return
        self.open_button.setEnabled(False)
        self.notice.show_notice("", Tone.NEUTRAL)
        task = self._bridge.command(
            lambda agent: agent.proof.open(path, self.work.tick),
            name="open an exported log",
            owner=self,
            done=self._opened,
            failed=self._failed,
        )
        self.work.begin(task, self.tr("Verifying entry"))

    def _opened(self, opened: OpenedExport) -> None:
        self.work.end()
        self._check()
        self.notice.show_notice(*report_words(opened.report))
        header = opened.header
        words = [text.peer_text(header.agent_id, text.NAME_LIMIT), text.exact(header.exported_at)]
        if header.filter_text:
            words.append(self.tr("filter: {0}").format(text.peer_text(header.filter_text)))
        if header.redacted:
            words.append(self.tr("what was said is left out"))
        self.whose.setText("  ·  ".join(words))
        prints = [
            f"{text.peer_text(agent_id, text.NAME_LIMIT)}: {', '.join(found)}"
            for agent_id, found in opened.report.keys.items()
        ]
        self.keys.setText("\n".join(prints) or "–")
        self.facts.show()
        self.table.setModel(RowsModel(opened.rows, self.table))
        header_view = self.table.horizontalHeader()
        header_view.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header_view.setHighlightSections(False)
        header_view.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for column, width in enumerate((56, 216, 48, 110, 126, 200, 92)):
            self.table.setColumnWidth(column, width)
        header_view.setSectionResizeMode(5, QHeaderView.ResizeMode.Stretch)
        bad = opened.report.first_bad
        place = next((at for at, one in enumerate(opened.rows) if bad is not None and one.seq >= bad.seq), -1)
        if place >= 0:
            self.table.selectRow(place)

    def _failed(self, sentence: str) -> None:
        self.work.end()
        self._check()
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.work.cancel()
        super().closeEvent(event)


class CompareDialog(QDialog):
    """Compares what two parties exported."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Compare two exported logs"))
        self.resize(720, 460)
        self._bridge = bridge
        self.first = PathField("compare-first", self.tr("One party's export (JSONL)"), pattern=_PATTERN)
        self.second = PathField(
            "compare-second", self.tr("The other party's export (JSONL)"), pattern=_PATTERN
        )
        self.go = button(self.tr("Compare"), kind="primary", name="compare-go", clicked=self._compare)
        self.work = LongWork(self.tr("Comparing"))
        self.notice = Notice()
        self.differences = QListWidget()
        self.differences.setWordWrap(True)
        self.differences.setAccessibleName(self.tr("Differences"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        words = self.tr(
            "Lists which messages one has and the other lacks, and whose log was rewritten. Verify each file first."
        )
        layout.addWidget(Label(words, "muted", wrap=True))
        for widget in (self.first, self.second, self.work, self.notice):
            layout.addWidget(widget)
        layout.addWidget(self.differences, 1)
        layout.addLayout(
            row(None, button(self.tr("Close"), name="compare-close", clicked=self.close), self.go)
        )
        for field in (self.first, self.second):
            field.changed.connect(self._check)
        self.work.cancel_button.clicked.connect(self._check)
        self._check()

    def _paths(self) -> tuple[Path, Path] | None:
        one, other = self.first.path(), self.second.path()
        if one is None or other is None or self.first.problem() or self.second.problem():
            return None
        return one, other

    def _check(self) -> None:
        self.go.setEnabled(self._paths() is not None and not self.work.busy)

    def _compare(self) -> None:
        paths = self._paths()
        if paths is None:
            return
        self.go.setEnabled(False)
        self.differences.clear()
        self.notice.show_notice("", Tone.NEUTRAL)
        task = self._bridge.command(
            lambda agent: agent.proof.compare(*paths),
            name="compare exported logs",
            owner=self,
            done=self._compared,
            failed=self._failed,
        )
        self.work.begin(task, self.tr("Comparing …"))

    def _compared(self, found: list[Difference]) -> None:
        self.work.end()
        self._check()
        for difference in found:
            self.differences.addItem(text.peer_text(difference.sentence))
        words = (
            self.tr("Differences: {0}.").format(len(found))
            if found
            else self.tr("The two logs tell the same.")
        )
        self.notice.show_notice(words, Tone.WARN if found else Tone.GOOD)

    def _failed(self, sentence: str) -> None:
        self.work.end()
        self._check()
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.work.cancel()
        super().closeEvent(event)
