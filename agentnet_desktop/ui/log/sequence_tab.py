"""The tab *Sequence* of an entry: its conversation as a diagram, to copy as Mermaid or to save as SVG.

It reads the conversation when it is looked at, and again when something of it changes meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.agent.events import LogRow
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.log.sequence import Diagram, diagram, mermaid, svg
from agentnet_desktop.ui.log.sequence_view import SequenceView
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_S
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import button, row

MOST_STEPS = 500
_COPIED_MS = 2000
_NONE = ("", "system")


class SequenceTab(QWidget):
    """The conversation of the entry that is shown."""

    entry_wanted = Signal(int)

    def __init__(self, bridge: Bridge, contacts: ContactsModel) -> None:
        super().__init__()
        self._bridge = bridge
        self._contacts = contacts
        self._conversation = ""
        self._seq = 0
        self._task: asyncio.Task[None] | None = None
        self._stale = True
        self.line = Label(role="muted", wrap=True)
        self.copy = button(self.tr("Copy Mermaid"), kind="flat", name="sequence-copy", clicked=self._copy)
        self.save = button(self.tr("Save SVG …"), kind="flat", name="sequence-save", clicked=self._ask_where)
        self.view = SequenceView()
        self.view.step_chosen.connect(self._chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_S, SPACE_L, SPACE_S)
        head = row(self.line, self.copy, self.save)
        head.setStretch(0, 1)
        layout.addLayout(head)
        layout.addWidget(self.view, 1)
        bridge.log_appended.connect(self._changed)
        bridge.log_changed.connect(self._changed)
        self._show_rows([])

    def show_entry(self, entry: LogRow) -> None:
        """Show the conversation of an entry, once the tab is looked at."""
        self._seq = entry.seq
        if entry.conversation_id != self._conversation:
            self._conversation = entry.conversation_id
            self._stale = True
            self._show_rows([])
        elif not self._stale:
            self.view.show_diagram(self.view.shown, self._seq)
        self._read_if_seen()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._read_if_seen()

    # ------------------------------------------------------------------------------- reading

    def _read_if_seen(self) -> None:
        if not (self._stale and self.isVisible() and self._conversation not in _NONE):
            return
        if self._task is not None:
            return  # what comes of it is looked at when it is there
        self._stale = False
        conversation = self._conversation
        self._task = self._bridge.command(
            lambda agent: agent.log.conversation(conversation, MOST_STEPS),
            name="read a conversation",
            owner=self,
            done=lambda rows: self._read(conversation, rows),
            failed=self._failed,
        )

    def _read(self, conversation: str, rows: Sequence[LogRow]) -> None:
        self._task = None
        if conversation == self._conversation:
            self._show_rows(rows)
        self._read_if_seen()

    def _failed(self, sentence: str) -> None:
        self._task = None
        self.line.setText(text.peer_text(sentence))

    def _changed(self, rows: tuple[LogRow, ...]) -> None:
        if any(entry.conversation_id == self._conversation for entry in rows):
            self._stale = True
            self._read_if_seen()

    # ------------------------------------------------------------------------------- showing

    def _show_rows(self, rows: Sequence[LogRow]) -> None:
        snapshot = self._bridge.snapshot
        me = text.peer_text(snapshot.agent_id, text.NAME_LIMIT) if snapshot is not None else tr("This agent")
        relay = (
            text.peer_text(snapshot.connection.relay_name, text.NAME_LIMIT) if snapshot is not None else ""
        )
        shown = diagram(rows, name_of=self._contacts.name_of, me=me, relay=relay or tr("Relay"))
        self.view.show_diagram(shown, self._seq)
        self.line.setText(self._words(shown))
        for made in (self.copy, self.save):
            made.setEnabled(bool(rows))

    def _words(self, shown: Diagram) -> str:
        count = len(shown.steps)
        if self._conversation in _NONE:
            return self.tr("This entry belongs to no conversation.")
        if count >= MOST_STEPS:
            return self.tr("The last {0} entries of this conversation").format(count)
        return self.tr("{0} entries of this conversation").format(count) if count else self.tr("Reading …")

    def _chosen(self, seq: int) -> None:
        self._seq = seq
        self.entry_wanted.emit(seq)

    # ------------------------------------------------------------------------------- taking it along

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(mermaid(self.view.shown))
        self.copy.setText(self.tr("Copied"))
        QTimer.singleShot(_COPIED_MS, self.copy, lambda: self.copy.setText(self.tr("Copy Mermaid")))

    def _ask_where(self) -> None:
        chooser = QFileDialog(self.window(), self.tr("Save the diagram"))
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chooser.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        chooser.setDefaultSuffix("svg")
        chooser.setNameFilter("*.svg")
        chooser.fileSelected.connect(lambda path: self.save_to(Path(path)))
        chooser.open()

    def save_to(self, path: Path) -> None:
        """Write the diagram into a file; the chooser has asked about one that is there."""
        words = svg(self.view.shown)
        self._bridge.work(
            lambda: _write(path, words),
            name="save a diagram",
            owner=self,
            done=lambda _none: self.line.setText(self.tr("Saved as {0}").format(path)),
        )


async def _write(path: Path, words: str) -> None:
    try:
        await asyncio.to_thread(path.write_text, words, encoding="utf-8")
    except OSError as error:
        raise AgentError(f"{path} cannot be written: {error.strerror}.") from error
