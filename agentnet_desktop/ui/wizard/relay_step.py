"""The step *Which relay?* of the first run: host one here or join one, and how the relay knows this agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QRadioButton, QVBoxLayout, QWidget

from agentnet_desktop.agent.display import InviteFacts, invite_facts
from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.ui import text
from agentnet_desktop.ui.theme.tokens import SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Notice
from agentnet_desktop.ui.widgets.passphrase import secret_field
from agentnet_desktop.ui.widgets.path_field import PathField
from agentnet_desktop.ui.wizard.steps import Step


class Access(StrEnum):
    """How the relay knows the agent."""

    OWN_KEY = "own key"
    ACCOUNT = "account"
    TOKEN_FILE = "token file"


@dataclass(frozen=True, slots=True)
class AccountChoice:
    """A Firebase account."""

    api_key: str
    email: str
    password: str = field(repr=False)


def _line(name: str, words: str) -> QLineEdit:
    made = QLineEdit()
    made.setObjectName(name)
    made.setPlaceholderText(words)
    made.setAccessibleName(words)
    return made


class AccessFields(QWidget):
    """How the relay knows this agent, and what that takes."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.way = QComboBox()
        self.way.setObjectName("wizard-access")
        self.way.setAccessibleName(self.tr("How the relay knows you"))
        for way, words in (
            (Access.OWN_KEY, self.tr("By the invite: your agent's own key signs in")),
            (Access.ACCOUNT, self.tr("By a Firebase account")),
            (Access.TOKEN_FILE, self.tr("By a token that another program keeps in a file")),
        ):
            self.way.addItem(words, way.value)
        self.email = _line("wizard-email", self.tr("E-mail address of the account"))
        self.password = secret_field("wizard-password", self.tr("Its password, used once and kept nowhere"))
        self.api_key = _line("wizard-api-key", self.tr("Web API key; the relay's operator tells it"))
        self.token_file = PathField("wizard-token-file", self.tr("The token's file"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_S)
        layout.addWidget(Label(self.tr("How the relay knows you"), "strong"))
        for widget in (self.way, self.email, self.password, self.api_key, self.token_file):
            layout.addWidget(widget)
        self.way.currentIndexChanged.connect(self._show)
        for edit in (self.email, self.password, self.api_key):
            edit.textChanged.connect(lambda _text: self.changed.emit())
        self.token_file.changed.connect(self.changed)
        self._show()

    def access(self) -> Access:
        """Give the way that is chosen."""
        return Access(str(self.way.currentData()))

    def choose(self, way: Access) -> None:
        """Choose a way."""
        self.way.setCurrentIndex(self.way.findData(way.value))

    def account(self) -> AccountChoice | None:
        """Give the account, where that is the way."""
        if self.access() is not Access.ACCOUNT:
            return None
        return AccountChoice(self.api_key.text().strip(), self.email.text().strip(), self.password.text())

    def complete(self) -> bool:
        """Whether nothing is missing."""
        match self.access():
            case Access.ACCOUNT:
                given = (self.api_key.text().strip(), self.email.text().strip(), self.password.text())
                return all(given) and not self.problem()
            case Access.TOKEN_FILE:
                return self.token_file.path() is not None and not self.problem()
            case _:
                return True

    def problem(self) -> str:
        """Say what is wrong; "" when nothing is, or nothing is typed yet."""
        email = self.email.text().strip()
        if self.access() is Access.ACCOUNT and email and "@" not in email:
            return self.tr("An e-mail address has an @ in it.")
        return self.token_file.problem() if self.access() is Access.TOKEN_FILE else ""

    def _show(self) -> None:
        for edit in (self.email, self.password, self.api_key):
            edit.setVisible(self.access() is Access.ACCOUNT)
        self.token_file.setVisible(self.access() is Access.TOKEN_FILE)
        self.changed.emit()


class RelayStep(Step):
    """Host a relay here, or join one by its invite link."""

    def __init__(self) -> None:
        super().__init__(
            self.tr("Which relay?"),
            self.tr("A relay passes messages between agents. It cannot read them."),
        )
        self.host_here = QRadioButton(self.tr("Host one on this machine"))
        self.host_here.setObjectName("wizard-host-here")
        self.host_here.setChecked(True)
        self.joined = QRadioButton(self.tr("Join one: I have an invite link"))
        self.joined.setObjectName("wizard-join")
        self.invite = _line("wizard-invite", "agentnet://join?…")
        self.invite.setAccessibleName(self.tr("Invite link"))
        self.insecure = QCheckBox(self.tr("Connect even though the connection is not encrypted (ws://)"))
        self.insecure.setObjectName("wizard-insecure")
        self.fields = AccessFields()
        self.notice = Notice()
        words = self.tr("It starts with this window. You can invite others to it later.")
        self.body.addWidget(self.host_here)
        self.body.addWidget(Label(words, "small", wrap=True))
        self.body.addSpacing(SPACE_M)
        for widget in (self.joined, self.invite, self.insecure, self.fields, self.notice):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self.host_here.toggled.connect(self._turn)
        self.invite.textChanged.connect(self._check)
        self.insecure.toggled.connect(self._check)
        self.fields.changed.connect(self._check)
        self._check()

    def take_invite(self, link: str) -> None:
        """Fill in an invite link that came from outside."""
        self.joined.setChecked(True)
        self.invite.setText(link)

    def complete(self) -> bool:
        if self.host_here.isChecked():
            return True
        facts, problem = self._read()
        return facts is not None and not problem and self.fields.complete()

    def _read(self) -> tuple[InviteFacts | None, str]:
        """Give what the link says, and what is wrong with it."""
        if not self.invite.text().strip():
            return None, ""
        try:
            facts = invite_facts(self.invite.text())
        except BadInput as error:
            return None, text.peer_text(str(error))
        if facts.exposed and not self.insecure.isChecked():
            where = text.peer_text(facts.relay, text.TITLE_LIMIT)
            return facts, self.tr(
                "The connection to {0} is not encrypted. Messages are, all the same."
            ).format(where)
        return facts, ""

    def _turn(self) -> None:
        self._check()
        if self.joined.isChecked():
            self.invite.setFocus()

    def _check(self) -> None:
        joining = self.joined.isChecked()
        facts, problem = self._read() if joining else (None, "")
        self.invite.setVisible(joining)
        self.fields.setVisible(joining)
        self.insecure.setVisible(facts is not None and facts.exposed)
        problem = problem or (self.fields.problem() if joining else "")
        sentence = problem
        if facts is not None and not problem:
            relay = text.peer_text(facts.name or facts.relay, text.NAME_LIMIT)
            address = text.peer_text(facts.relay, text.TITLE_LIMIT)
            sentence = self.tr("This joins {0} at {1}.").format(relay, address)
        self.notice.show_notice(sentence, Tone.BAD if problem else Tone.GOOD)
        self.changed.emit()
