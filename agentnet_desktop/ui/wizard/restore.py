"""Restoring a profile from a backup, in the place of the first run's steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QDialog, QVBoxLayout, QWidget

from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label, paragraph
from agentnet_desktop.ui.widgets.long_work import LongWork
from agentnet_desktop.ui.widgets.parts import Notice, button, row
from agentnet_desktop.ui.widgets.passphrase import NewPassphrase, secret_field
from agentnet_desktop.ui.widgets.path_field import PathField


@dataclass(frozen=True, slots=True)
class RestoreChoices:
    """What the person chose."""

    source: Path
    backup_passphrase: str = field(repr=False)
    passphrase: str | None = field(repr=False)
    vault_file: bool


class RestoreFailed(Exception):
    """The profile could not be restored. The text is a sentence for the person."""


Restore = Callable[[RestoreChoices], Awaitable[None]]


class RestoreDialog(QDialog):
    """Takes a backup and its passphrase, and how the restored keys are kept here."""

    restored = Signal()

    def __init__(self, bridge: Bridge, restore: Restore, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Restore from a backup"))
        self.setMinimumWidth(540)
        self._bridge = bridge
        self._restore = restore
        self._busy = False
        self.source = PathField("restore-source", self.tr("The backup"), pattern="*.agentnet-backup *")
        self.words = secret_field("restore-words", self.tr("Passphrase of the backup"))
        self.new = NewPassphrase("restore-new", self.tr("Passphrase here (optional)"))
        self.vault_file = QCheckBox(self.tr("Keep the keys in a file instead of the system's keyring"))
        self.vault_file.setObjectName("restore-vault-file")
        self.notice = Notice()
        self.notice.widen()
        self.work = LongWork(self.windowTitle())
        self.work.cancel_button.hide()
        self.go = button(self.tr("Restore"), kind="primary", name="restore-go", clicked=self._go)
        self.cancel = button(self.tr("Cancel"), name="restore-cancel", clicked=self.reject)
        words = self.tr(
            "It brings back your identity, contacts and settings. Contacts are greeted anew; the log is not in a "
            "backup. Do not use the same identity on two machines at once."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        layout.addWidget(paragraph(words))
        for widget in (self.source, self.words, Label(self.tr("How the keys are kept on this machine"), "strong"),
                       self.new, self.vault_file, self.work, self.notice):  # fmt: skip
            layout.addWidget(widget)
        layout.addLayout(row(None, self.cancel, self.go))
        for signal in (
            self.source.changed,
            self.words.textChanged,
            self.new.changed,
            self.vault_file.toggled,
        ):
            signal.connect(self._check)
        self._check()

    def _problem(self) -> str:
        if self.vault_file.isChecked() and not self.new.text():
            return self.tr("A file needs a passphrase: a key beside what it opens protects nothing.")
        return self.source.problem() or self.new.problem()

    def _check(self) -> None:
        problem = self._problem()
        self.notice.show_notice(problem, Tone.WARN)
        twice = self.new.complete() or not (self.new.first.text() or self.new.again.text())
        given = self.source.path() is not None and bool(self.words.text())
        self.go.setEnabled(given and twice and not problem and not self._busy)

    def _go(self) -> None:
        source = self.source.path()
        if source is None:
            return
        choices = RestoreChoices(
            source, self.words.text(), self.new.text() or None, self.vault_file.isChecked()
        )
        self._busy = True
        self._check()
        task = self._bridge.work(lambda: self._run(choices), name="restore the profile", owner=self)
        self.work.begin(task, self.tr("Opening the backup and making the profile …"))

    async def _run(self, choices: RestoreChoices) -> None:
        try:
            await self._restore(choices)
        except RestoreFailed as failure:
            self._busy = False
            self.work.end()
            self._check()
            self.notice.show_notice(str(failure), Tone.BAD)
            return
        self.work.end()
        self.restored.emit()
        self.accept()

    def reject(self) -> None:
        """Close, unless the profile is being made at this moment."""
        if not self._busy:
            super().reject()
