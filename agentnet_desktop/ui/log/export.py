"""Export of what the live log shows: format, redaction, where to, progress, cancel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QFormLayout, QVBoxLayout, QWidget

from agentnet_desktop.audit.export import Exported, ExportFormat
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.log.filter_line import WITHOUT_HEARTBEATS
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label, paragraph
from agentnet_desktop.ui.widgets.long_work import LongWork
from agentnet_desktop.ui.widgets.parts import Notice, button, row
from agentnet_desktop.ui.widgets.path_field import PathField


def proposed_name(file_format: ExportFormat, now_ms: int) -> str:
    """Give a file name that sorts by time."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"agentnet-log-{moment:%Y%m%d-%H%M%S}.{file_format.value}"


def entries_words(expression: str) -> str:
    """Say which entries a filter lets through."""
    bare = expression.removeprefix(WITHOUT_HEARTBEATS).strip()
    words = text.peer_text(bare) or text.tr("Everything")
    return words if bare == expression else text.tr("{0}, without heartbeats").format(words)


class ExportDialog(QDialog):
    """Writes the entries that fit the filter into a file.

    Args:
        bridge: To the agent.
        expression: The filter in force, as the log has it; empty for all.
        folder: Where the file is proposed to go.
        parent: Above which window.
    """

    def __init__(self, bridge: Bridge, expression: str, folder: Path, parent: QWidget) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Export the log"))
        self.setMinimumWidth(600)
        self._bridge = bridge
        self._expression = expression
        self._folder = folder
        self.format = QComboBox()
        self.format.setObjectName("export-format")
        self.format.setAccessibleName(self.tr("Format"))
        for kind, words in (
            (ExportFormat.JSONL, self.tr("JSONL: whole, and others can verify it")),
            (ExportFormat.HAR, self.tr("HAR: for the network view of a browser")),
            (ExportFormat.CSV, self.tr("CSV: for a spreadsheet")),
        ):
            self.format.addItem(words, kind.value)
        self.redact = QCheckBox(self.tr("Leave out what was said; the hashes still verify"))
        self.redact.setObjectName("export-redact")
        self.path = PathField("export-path", self.tr("File"), saving=True)
        self.work = LongWork(self.tr("Exporting the log"))
        self.notice = Notice()
        self.notice.widen()
        self.go = button(self.tr("Export"), kind="primary", name="export-go", clicked=self._export)
        self.close_button = button(self.tr("Close"), name="export-close", clicked=self.close)
        self._lay_out()
        self.format.currentIndexChanged.connect(self._propose)
        self.path.changed.connect(self._check)
        self.work.cancel_button.clicked.connect(self._cancelled)
        self._propose()

    def _lay_out(self) -> None:
        what = entries_words(self._expression)
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.setVerticalSpacing(SPACE_M)
        form.addRow(Label(self.tr("Entries"), "muted"), paragraph(what, "strong", width=360))
        form.addRow(Label(self.tr("Format"), "muted"), self.format)
        form.addRow(Label("", "muted"), self.redact)
        form.addRow(Label(self.tr("File"), "muted"), self.path)
        words = self.tr(
            "In JSONL, what the filter leaves out stays as hashes, so that nobody can say that you chose. The file "
            "holds what was said, unless you leave that out."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        layout.addWidget(paragraph(words))
        layout.addLayout(form)
        layout.addWidget(self.work)
        layout.addWidget(self.notice)
        layout.addLayout(row(None, self.close_button, self.go))

    def chosen_format(self) -> ExportFormat:
        """Give the format that is chosen."""
        return ExportFormat(str(self.format.currentData()))

    def _propose(self) -> None:
        path = self.path.path()
        folder = path.parent if path is not None else self._folder
        self.path.set_path(folder / proposed_name(self.chosen_format(), text.now_ms()))
        self.path.pattern = f"*.{self.chosen_format().value}"

    def _check(self) -> None:
        problem = self.path.problem()
        self.notice.show_notice(problem, Tone.WARN)
        self.go.setEnabled(not problem and self.path.path() is not None and not self.work.busy)

    def _export(self) -> None:
        path = self.path.path()
        if path is None:
            return
        self.go.setEnabled(False)
        self.notice.show_notice("", Tone.NEUTRAL)
        kind, redact, expression = self.chosen_format(), self.redact.isChecked(), self._expression
        task = self._bridge.command(
            lambda agent: agent.proof.export(
                path, expr=expression, file_format=kind, redact=redact, progress=self.work.tick
            ),
            name="export the log",
            owner=self,
            done=self._done,
            failed=self._failed,
        )
        self.work.begin(task, self.tr("Writing entry"))
        self._bridge.command(
            lambda agent: agent.log.head(), name="read the log's end", owner=self, done=self.work.set_total
        )

    def _done(self, done: Exported) -> None:
        self.work.end()
        words = self.tr("{0} entries are in {1} ({2}).")
        hashes = self.tr(" {0} more are in it as hashes.").format(done.stubs) if done.stubs else ""
        told = words.format(done.entries, done.path, text.size(done.size)) + hashes
        self.notice.show_notice(told, Tone.GOOD)

    def _failed(self, sentence: str) -> None:
        self.work.end()
        self._check()
        self.notice.show_notice(sentence, Tone.BAD)

    def _cancelled(self) -> None:
        self._check()
        self.notice.show_notice(self.tr("Stopped; no file was left behind."), Tone.NEUTRAL)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.work.cancel()
        super().closeEvent(event)
