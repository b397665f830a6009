"""What stands in the window when the profile cannot be used yet: the passphrase, or what went wrong."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from agentnet_desktop.ui.theme.tokens import SPACE_M, Tone
from agentnet_desktop.ui.widgets.labels import IconLabel, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, row

_WIDTH = 420


class UnlockPage(QWidget):
    """Asks for the passphrase of the profile."""

    entered = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.passphrase = QLineEdit()
        self.passphrase.setObjectName("unlock-passphrase")
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        self.passphrase.setAccessibleName(self.tr("Passphrase"))
        self.passphrase.returnPressed.connect(self._enter)
        self.notice = Notice()
        self.unlock = button(
            self.tr("Unlock"), kind="primary", icon="lock-open", name="unlock", clicked=self._enter
        )
        card = Card(
            row(IconLabel("lock", "accent", 24), Label(self.tr("Your profile is locked"), "heading"), None),
            Label(self.tr("Enter the passphrase that you chose for it."), "muted", wrap=True),
            self.passphrase,
            self.notice,
            row(None, self.unlock),
        )
        card.setFixedWidth(_WIDTH)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        layout.addLayout(row(None, card, None))
        layout.addStretch(2)

    def ask(self, problem: str) -> None:
        """Ask again, saying what was wrong with the last try; "" for the first."""
        self.passphrase.clear()
        self._enable(True)
        self.notice.show_notice(problem, Tone.BAD)
        self.passphrase.setFocus()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.passphrase.setFocus()

    def _enter(self) -> None:
        if self.passphrase.text():
            self._enable(False)
            self.entered.emit(self.passphrase.text())

    def _enable(self, enabled: bool) -> None:
        self.passphrase.setEnabled(enabled)
        self.unlock.setEnabled(enabled)


class TroublePage(QWidget):
    """Says why the profile cannot be opened, and offers to try again."""

    again = Signal()
    quit_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.words = Label(wrap=True, selectable=True)
        self.retry = button(
            self.tr("Try again"),
            kind="primary",
            icon="refresh",
            name="trouble-retry",
            clicked=self.again.emit,
        )
        card = Card(
            row(
                IconLabel("alert", "warn", 24),
                Label(self.tr("The profile cannot be opened"), "heading"),
                None,
            ),
            self.words,
            SPACE_M,
            row(None, button(self.tr("Quit"), clicked=self.quit_wanted.emit), self.retry),
        )
        card.setFixedWidth(_WIDTH)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        layout.addLayout(row(None, card, None))
        layout.addStretch(2)


class BackendPage(QWidget):
    """Another key store answers than the one that the keys were put into. Nothing goes on by itself."""

    again = Signal()
    accepted = Signal()
    quit_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.words = Label(wrap=True, selectable=True)
        self.accept = button(
            self.tr("Use the one that is here"),
            kind="danger",
            name="backend-accept",
            clicked=self._accept,
        )
        self.retry = button(
            self.tr("Try again"),
            kind="primary",
            icon="refresh",
            name="backend-retry",
            clicked=self._again,
        )
        advice = Label(
            self.tr(
                "If you changed your desktop or moved your keyring yourself, you can go on with the one that is here; it "
                "is then the one that is expected. If you did not, start the former keyring and try again: a program "
                "that replaces the keyring could read the keys."
            ),
            "muted",
            wrap=True,
        )
        card = Card(
            row(
                IconLabel("shield-alert", "bad", 24),
                Label(self.tr("Another keyring is in use"), "heading"),
                None,
            ),
            self.words,
            advice,
            SPACE_M,
            row(button(self.tr("Quit"), clicked=self.quit_wanted.emit), None, self.accept, self.retry),
        )
        card.setFixedWidth(_WIDTH + 80)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        layout.addLayout(row(None, card, None))
        layout.addStretch(2)

    def ask(self, words: str) -> None:
        """Ask what to do, with what was found."""
        self.words.setText(words)
        self.setEnabled(True)

    def _accept(self) -> None:
        self.setEnabled(False)
        self.accepted.emit()

    def _again(self) -> None:
        self.setEnabled(False)
        self.again.emit()
