"""Two fields for a new passphrase, and what is wrong with what stands in them."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import SPACE_S

SHORTEST = 8


def secret_field(name: str, words: str) -> QLineEdit:
    """Make an edit that hides what is typed."""
    made = QLineEdit()
    made.setEchoMode(QLineEdit.EchoMode.Password)
    made.setObjectName(name)
    made.setPlaceholderText(words)
    made.setAccessibleName(words)
    return made


def passphrase_problem(words: str, repeated: str) -> str:
    """Say what is wrong with a new passphrase; "" when nothing is, or nothing is typed yet."""
    if words and len(words) < SHORTEST:
        return tr("A passphrase has at least {0} characters.").format(SHORTEST)
    if repeated and words != repeated:
        return tr("The two passphrases differ.")
    return ""


class NewPassphrase(QWidget):
    """A passphrase, typed twice."""

    changed = Signal()

    def __init__(self, name: str, words: str) -> None:
        super().__init__()
        self.first = secret_field(f"{name}-first", words)
        self.again = secret_field(f"{name}-again", self.tr("The passphrase again"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_S)
        for edit in (self.first, self.again):
            layout.addWidget(edit)
            edit.textChanged.connect(lambda _words: self.changed.emit())

    def problem(self) -> str:
        """Say what is wrong; "" when nothing is, or nothing is typed yet."""
        return passphrase_problem(self.first.text(), self.again.text())

    def complete(self) -> bool:
        """Whether a good passphrase stands there twice."""
        return bool(self.first.text()) and self.first.text() == self.again.text() and not self.problem()

    def text(self) -> str:
        """Give the passphrase."""
        return self.first.text()

    def clear(self) -> None:
        """Forget what was typed."""
        self.first.clear()
        self.again.clear()
