"""The one filter line: completes the filter language's words and tells what is wrong with an expression."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCompleter, QLineEdit, QVBoxLayout, QWidget

from agentnet_desktop.ui.theme import icons
from agentnet_desktop.ui.theme.tokens import SPACE_XS
from agentnet_desktop.ui.widgets.labels import Label

WITHOUT_HEARTBEATS = "-type:HEARTBEAT"
KEYS = ("from:", "to:", "with:", "type:", "conv:", "state:", "is:", "after:", "before:")
_TYPES = (
    "HANDSHAKE", "QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "REJECTION", "HEARTBEAT", "ERROR",
    "DISCONNECT", "AUTH", "CONNECTED", "ACK", "PRESENCE",
)  # fmt: skip
_STATES = ("QUEUED", "IN_FLIGHT", "ROUTED", "DELIVERED", "EXPIRED", "FAILED", "RECEIVED", "REFUSED")
_IS = ("failed", "unverified", "encrypted", "pinned", "queued")
_TYPING_PAUSE_MS = 250


class _LastWordCompleter(QCompleter):
    """Completes the last word of the line and leaves the rest alone."""

    def pathFromIndex(self, index: QModelIndex | QPersistentModelIndex) -> str:
        word = super().pathFromIndex(index)
        line = self.widget()
        text = line.text() if isinstance(line, QLineEdit) else ""
        return text[: len(text) - len(last_word(text))] + word

    def splitPath(self, path: str) -> list[str]:
        return [last_word(path)]


def last_word(text: str) -> str:
    """Give what stands after the last space."""
    return text.rsplit(" ", 1)[-1]


def suggestions(word: str, peers: list[str]) -> list[str]:
    """List completions of one word of an expression.

    Args:
        word: What is typed so far, with its `-` if it negates.
        peers: agentIds to offer after `from:`, `to:` and `with:`.
    """
    sign, bare = ("-", word[1:]) if word.startswith("-") else ("", word)
    key, colon, _ = bare.partition(":")
    if not colon:
        return [sign + key for key in KEYS]
    values = {
        "type": list(_TYPES),
        "state": list(_STATES),
        "is": list(_IS),
        "from": peers,
        "to": peers,
        "with": peers,
    }
    return [f"{sign}{key}:{value}" for value in values.get(key.lower(), [])]


class FilterLine(QWidget):
    """An edit that emits `submitted` when Enter is pressed or typing pauses."""

    submitted = Signal(str)

    def __init__(self, peers: Callable[[], list[str]]) -> None:
        super().__init__()
        self._peers = peers
        self._last = ""
        self.edit = QLineEdit()
        self.edit.setObjectName("log-filter")
        self.edit.setPlaceholderText(self.tr("Filter: with:bob type:PROPOSAL is:failed, or any words"))
        self.edit.setAccessibleName(self.tr("Filter of the live log"))
        self.edit.setClearButtonEnabled(True)
        self.edit.addAction(icons.icon("search", "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self._words = QStringListModel(self)
        completer = _LastWordCompleter(self._words, self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.edit.setCompleter(completer)
        self._error = Label(role="error", wrap=True)
        self._error.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_XS)
        layout.addWidget(self.edit)
        layout.addWidget(self._error)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_TYPING_PAUSE_MS)
        self._pause.timeout.connect(self._submit)
        self.edit.textEdited.connect(self._edited)
        self.edit.textChanged.connect(self._changed)
        self.edit.returnPressed.connect(self._submit)

    def set_expression(self, expression: str) -> None:
        """Show an expression and submit it."""
        self.edit.setText(expression)
        self._submit()

    def expression(self) -> str:
        """Give what the line holds."""
        return self.edit.text().strip()

    def show_error(self, sentence: str) -> None:
        """Say what is wrong with the expression; "" when nothing is."""
        self._error.setText(sentence)
        self._error.setVisible(bool(sentence))
        self.edit.setProperty("invalid", "true" if sentence else "false")
        self.edit.style().unpolish(self.edit)
        self.edit.style().polish(self.edit)

    def error(self) -> str:
        """Give the sentence that is shown."""
        return self._error.text()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.edit.text():
            self.set_expression("")
        else:
            super().keyPressEvent(event)

    def _edited(self, text: str) -> None:
        self._words.setStringList(suggestions(last_word(text), self._peers()))
        self._pause.start()

    def _changed(self, text: str) -> None:
        if not text:
            self._submit()

    def _submit(self) -> None:
        self._pause.stop()
        if self.expression() != self._last:
            self._last = self.expression()
            self.submitted.emit(self._last)
