"""The steps of the first run that need little: who you are, and the calendar. Each checks itself live."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QRadioButton, QVBoxLayout, QWidget

from agentnet_desktop.agent.display import agent_id_problem
from agentnet_desktop.ui.theme.tokens import SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Notice, button, row
from agentnet_desktop.ui.widgets.passphrase import passphrase_problem, secret_field


class Step(QWidget):
    """One step: a heading, a sentence, fields, and whether it is filled in well."""

    changed = Signal()

    def __init__(self, title: str, words: str) -> None:
        super().__init__()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(SPACE_S)
        self.body.addWidget(Label(title, "title"))
        self.body.addWidget(Label(words, "muted", wrap=True))
        self.body.addSpacing(SPACE_M)

    def complete(self) -> bool:
        """Whether the next step may come."""
        return True


class IdentityStep(Step):
    """Agent id, and an optional passphrase; or the way to a backup."""

    restore_wanted = Signal()

    def __init__(self) -> None:
        super().__init__(
            self.tr("Who are you?"),
            self.tr(
                "Others find your agent by this name. Its keys are made on this machine and never leave it."
            ),
        )
        self.agent_id = QLineEdit()
        self.agent_id.setObjectName("wizard-agent-id")
        self.agent_id.setPlaceholderText(self.tr("for example alice"))
        self.agent_id.setAccessibleName(self.tr("Agent id"))
        self.passphrase = secret_field("wizard-passphrase", self.tr("Passphrase (optional)"))
        self.repeated = secret_field("wizard-repeated", self.tr("The passphrase again"))
        self.vault_file = QCheckBox(self.tr("Keep the keys in a file instead of the system's keyring"))
        self.vault_file.setObjectName("wizard-vault-file")
        self.problem = Notice()
        self.body.addWidget(Label(self.tr("Agent id"), "strong"))
        self.body.addWidget(self.agent_id)
        self.body.addSpacing(SPACE_M)
        self.body.addWidget(Label(self.tr("Passphrase"), "strong"))
        self.body.addWidget(
            Label(
                self.tr("With one, the keys open only with it. Nobody can restore it for you."),
                "muted",
                wrap=True,
            )
        )
        self.body.addWidget(self.passphrase)
        self.body.addWidget(self.repeated)
        self.body.addWidget(self.vault_file)
        self.body.addWidget(self.problem)
        self.body.addStretch(1)
        self.restore = button(
            self.tr("Restore from a backup …"),
            kind="flat",
            icon="undo",
            name="wizard-restore",
            clicked=self.restore_wanted.emit,
        )
        self.body.addLayout(row(self.restore, None))
        for edit in (self.agent_id, self.passphrase, self.repeated):
            edit.textChanged.connect(self._check)
        self.vault_file.toggled.connect(self._check)
        self._check()

    def complete(self) -> bool:
        return bool(self.agent_id.text()) and not self._problem()

    def _problem(self) -> str:
        if self.agent_id.text() and (wrong := agent_id_problem(self.agent_id.text())):
            return wrong
        words = self.passphrase.text()
        if wrong := passphrase_problem(words, self.repeated.text()):
            return wrong
        if self.vault_file.isChecked() and not words:
            return self.tr("A file needs a passphrase: a key beside what it opens protects nothing.")
        return ""

    def _check(self) -> None:
        self.repeated.setVisible(bool(self.passphrase.text()))
        self.problem.show_notice(self._problem(), Tone.WARN)
        self.changed.emit()


class CalendarStep(Step):
    """No calendar for now: working hours answer when others ask."""

    def __init__(self) -> None:
        super().__init__(
            self.tr("Your calendar"),
            self.tr("When an approved contact asks when you are free, your agent answers from this."),
        )
        self.none = QRadioButton(self.tr("No calendar: working hours, and what is arranged here"))
        self.none.setChecked(True)
        self.body.addWidget(self.none)
        self.body.addWidget(
            Label(self.tr("Only free stretches are told, never what you do in between."), "small", wrap=True)
        )
        self.body.addStretch(1)
