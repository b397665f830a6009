"""The detail of one log entry: summary, decrypted, on the wire, security, delivery."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFormLayout, QPlainTextEdit, QTabWidget, QVBoxLayout, QWidget

from agentnet_desktop.agent.display import visible
from agentnet_desktop.agent.events import LogDetail, LogRow
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.log.sequence_tab import SequenceTab
from agentnet_desktop.ui.models.log_model import direction_word, marks_words
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import button, row, scrolled

_TEXT_LIMIT = 400_000
_VALUE_LIMIT = 600
_COPIED_MS = 2000


class Facts(QWidget):
    """Names and values below each other, selectable."""

    def __init__(self) -> None:
        super().__init__()
        self._form = QFormLayout(self)
        self._form.setContentsMargins(SPACE_L, SPACE_M, SPACE_L, SPACE_M)
        self._form.setHorizontalSpacing(SPACE_L)
        self._form.setVerticalSpacing(SPACE_S - 2)

    def show_facts(self, facts: list[tuple[str, str]]) -> None:
        """Show these names and values, empty values left out."""
        while self._form.rowCount():
            self._form.removeRow(0)
        for name, value in facts:
            if value:
                words = Label(text.peer_text(value, _VALUE_LIMIT, multiline=True), wrap=True, selectable=True)
                words.setAccessibleName(f"{name}: {value}")
                self._form.addRow(Label(name, "muted"), words)


def _code() -> QPlainTextEdit:
    made = QPlainTextEdit()
    made.setReadOnly(True)
    made.setProperty("code", "true")
    made.setFrameShape(QPlainTextEdit.Shape.NoFrame)
    made.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
    made.setTabChangesFocus(True)
    return made


def hex_dump(data: bytes) -> str:
    """Give bytes as offset, hexadecimal and printable characters, 16 a line."""
    lines = []
    for start in range(0, len(data), 16):
        part = data[start : start + 16]
        codes = " ".join(f"{byte:02x}" for byte in part)
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:06x}  {codes:<47}  {shown}")
    return "\n".join(lines)


def flat(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """List the values of nested mappings, with dotted names."""
    found: list[tuple[str, str]] = []
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{name}.")
        elif isinstance(value, bytes):
            found.append((prefix + name, value.hex()))
        elif isinstance(value, (list, tuple)):
            found.append((prefix + name, ", ".join(str(part) for part in value)))
        elif value is not None:
            found.append((prefix + name, str(value)))
    return found


class DecryptedTab(QWidget):
    """The content: formatted for reading, or byte-exact as committed and signed."""

    def __init__(self) -> None:
        super().__init__()
        self._detail: LogDetail | None = None
        self._exact = button(self.tr("Exact bytes"), name="log-exact")
        self._exact.setCheckable(True)
        self._exact.setToolTip(self.tr("Show the plaintext byte for byte, as it was committed to and signed"))
        self._exact.toggled.connect(self._show)
        self._line = Label(role="muted", wrap=True)
        self.code = _code()
        self.code.setAccessibleName(self.tr("Decrypted content"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_S, SPACE_L, SPACE_S)
        head = row(self._line, self._exact)
        head.setStretch(0, 1)
        layout.addLayout(head)
        layout.addWidget(self.code)

    def show_detail(self, detail: LogDetail) -> None:
        """Show one entry."""
        self._detail = detail
        self._show()

    def _show(self) -> None:
        detail = self._detail
        if detail is None:
            return
        self._exact.setVisible(detail.plaintext is not None)
        if detail.plaintext is None and detail.content is None:
            self._line.setText(self.tr("This entry has no content that could be opened here."))
            self.code.setPlainText("")
        elif self._exact.isChecked() and detail.plaintext is not None:
            self._line.setText(self.tr("{0} bytes, exactly as signed").format(len(detail.plaintext)))
            exact = detail.plaintext.decode("utf-8", "replace")
            self.code.setPlainText(visible(exact, _TEXT_LIMIT))
        else:
            kind = (
                self.tr("Decrypted on this machine") if detail.row.encrypted else self.tr("Sent in the clear")
            )
            self._line.setText(kind)
            shown = json.dumps(detail.content, indent=2, ensure_ascii=False, default=str)
            self.code.setPlainText(visible(shown, _TEXT_LIMIT, multiline=True))


class WireTab(QWidget):
    """The envelope as it crossed the connection: what the relay could see."""

    def __init__(self) -> None:
        super().__init__()
        self._line = Label(role="muted", wrap=True)
        self.code = _code()
        self.code.setAccessibleName(self.tr("On the wire"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_S, SPACE_L, SPACE_S)
        layout.addWidget(self._line)
        layout.addWidget(self.code)

    def show_detail(self, detail: LogDetail) -> None:
        """Show one entry."""
        if detail.wire is None:
            self._line.setText(self.tr("Nothing of this entry has crossed the connection."))
            self.code.setPlainText("")
            return
        count, form = len(detail.wire), detail.wire_format
        self._line.setText(self.tr("{0} bytes, {1}. This is all that the relay sees.").format(count, form))
        if form == "json":
            self.code.setPlainText(visible(_pretty(detail.wire), _TEXT_LIMIT, multiline=True))
        else:
            self.code.setPlainText(hex_dump(detail.wire))


def _pretty(wire: bytes) -> str:
    words = wire.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(words), indent=2, ensure_ascii=False)
    except ValueError:
        return words


def detail_json(detail: LogDetail) -> str:
    """Give an entry whole as JSON, bytes as b64, for the clipboard."""
    row_ = {name: getattr(detail.row, name) for name in detail.row.__dataclass_fields__}
    value = {
        **row_,
        "content": detail.content,
        "plaintext": _b64(detail.plaintext),
        "wire": _b64(detail.wire),
        "wire_format": detail.wire_format,
        "security": detail.security,
        "delivery": [{"time": s.time, "state": s.state, "detail": s.detail} for s in detail.delivery],
        "entry_hash": detail.entry_hash.hex(),
        "previous_hash": detail.previous_hash.hex(),
    }
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _b64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


class EntryActs(QWidget):
    """What can be done with the entry that is shown."""

    conversation_wanted = Signal(str)  # filter expression
    pin_wanted = Signal(int, bool)  # entry, whether it shall be pinned

    def __init__(self) -> None:
        super().__init__()
        self._detail: LogDetail | None = None
        self.setObjectName("entryActs")
        self.pin = button(self.tr("Pin"), kind="flat", name="entry-pin", clicked=self._pin)
        self.copy = button(self.tr("Copy JSON"), kind="flat", name="entry-copy", clicked=self._copy)
        self.conversation = button(
            self.tr("Conversation"),
            kind="flat",
            name="entry-conversation",
            clicked=self._conversation,
        )
        self.conversation.setToolTip(self.tr("Show only this conversation in the log"))
        self.copy.setToolTip(self.tr("Copy the whole entry to the clipboard, as JSON"))
        self.pin.setToolTip(self.tr("Mark the entry; is:pinned shows the marked ones"))
        self.setLayout(row(self.conversation, self.copy, self.pin, spacing=0))

    def show_detail(self, detail: LogDetail) -> None:
        """Show what can be done with one entry."""
        self._detail = detail
        self.conversation.setEnabled(detail.row.conversation_id not in ("", "system"))
        self.pin.setText(self.tr("Unpin") if detail.row.pinned else self.tr("Pin"))

    def _pin(self) -> None:
        if self._detail is not None:
            self.pin_wanted.emit(self._detail.row.seq, not self._detail.row.pinned)

    def _copy(self) -> None:
        if self._detail is not None:
            QGuiApplication.clipboard().setText(detail_json(self._detail))
            self.copy.setText(self.tr("Copied"))
            QTimer.singleShot(_COPIED_MS, self.copy, lambda: self.copy.setText(self.tr("Copy JSON")))

    def _conversation(self) -> None:
        if self._detail is not None:
            self.conversation_wanted.emit(f"conv:{self._detail.row.conversation_id}")


class DetailTabs(QTabWidget):
    """Six views of one entry, and what can be done with it in the corner."""

    def __init__(self, sequence: SequenceTab) -> None:
        super().__init__()
        self.sequence = sequence
        self.acts = EntryActs()
        self.setCornerWidget(self.acts)
        self.setAccessibleName(self.tr("Details of the entry"))
        self.summary, self.security, self.delivery = Facts(), Facts(), Facts()
        self.decrypted, self.wire = DecryptedTab(), WireTab()
        self.addTab(scrolled(self.summary), self.tr("Summary"))
        self.addTab(self.decrypted, self.tr("Decrypted"))
        self.addTab(self.wire, self.tr("On the wire"))
        self.addTab(scrolled(self.security), self.tr("Security"))
        self.addTab(scrolled(self.delivery), self.tr("Delivery"))
        self.addTab(sequence, self.tr("Sequence"))

    def show_detail(self, detail: LogDetail, peer: str) -> None:
        """Show one entry.

        Args:
            detail: The entry.
            peer: The shown name of the other side.
        """
        self.acts.show_detail(detail)
        self.sequence.show_entry(detail.row)
        self.summary.show_facts(self._summary(detail.row, peer))
        self.decrypted.show_detail(detail)
        self.wire.show_detail(detail)
        chain = [
            (self.tr("Entry"), f"{detail.row.seq}"),
            (self.tr("Entry hash"), detail.entry_hash.hex()),
            (self.tr("Previous hash"), detail.previous_hash.hex()),
        ]
        self.security.show_facts(
            [(self.tr("Checks"), marks_words(detail.row)), *flat(detail.security), *chain]
        )
        steps = [(text.exact(step.time), _step(step.state, step.detail)) for step in detail.delivery]
        self.delivery.show_facts(steps or [(self.tr("Steps"), self.tr("None are recorded for this entry."))])

    def _summary(self, entry: LogRow, peer: str) -> list[tuple[str, str]]:
        sent = text.exact(entry.sent_time) if entry.sent_time else ""
        return [
            (self.tr("What happened"), entry.summary),
            (self.tr("With"), peer),
            (self.tr("Direction"), direction_word(entry.direction)),
            (self.tr("Type"), entry.message_type),
            (self.tr("State"), trust.delivery_mark(entry.state).word),
            (self.tr("Logged"), text.exact(entry.time)),
            (self.tr("Sent, by its own clock"), sent),
            (self.tr("Conversation"), entry.conversation_id),
            (self.tr("Message"), entry.message_id),
            (self.tr("Size on the wire"), text.size(entry.size)),
        ]


def _step(state: str, detail: str) -> str:
    word = trust.delivery_mark(state).word
    return f"{word} · {detail}" if detail else word
