"""Adding a contact by link. A link always asks: what it names is shown, and the person says yes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from agentnet_desktop.agent.display import link_facts
from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.agent.events import ContactView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, row


class AddContactDialog(QDialog):
    """Takes a link, shows whose it is, and adds the contact when the person says so."""

    def __init__(self, bridge: Bridge, parent: QWidget, link: str = "") -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Add a contact"))
        self.setMinimumWidth(560)
        self._bridge = bridge
        self.link = QLineEdit()
        self.link.setObjectName("add-link")
        self.link.setPlaceholderText("agentnet://contact/…")
        self.link.setAccessibleName(self.tr("Contact link"))
        self.name = QLineEdit()
        self.name.setObjectName("add-name")
        self.name.setMaxLength(text.NAME_LIMIT)
        self.name.setPlaceholderText(self.tr("How you call them (optional)"))
        self.name.setAccessibleName(self.tr("Name"))
        self.notice = Notice()
        self.who, self.relay, self.key, self.expires = (
            Label(role="strong", wrap=True, selectable=True), Label(wrap=True), Label(role="mono", wrap=True), Label()
        )  # fmt: skip
        facts = QFormLayout()
        facts.setHorizontalSpacing(SPACE_L)
        facts.addRow(Label(self.tr("Agent"), "muted"), self.who)
        facts.addRow(Label(self.tr("Relay"), "muted"), self.relay)
        facts.addRow(Label(self.tr("Fingerprint"), "muted"), self.key)
        facts.addRow(Label(self.tr("Works until"), "muted"), self.expires)
        self._facts = Card(facts)
        self.add = button(
            self.tr("Add this contact"),
            kind="primary",
            icon="user-plus",
            name="add-confirm",
            clicked=self._add,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.tr("Add a contact"), "title"))
        layout.addWidget(Label(self.tr("Paste the link that they gave you."), "muted", wrap=True))
        layout.addWidget(self.link)
        layout.addWidget(self._facts)
        layout.addWidget(self.name)
        layout.addWidget(self.notice)
        layout.addLayout(
            row(None, button(self.tr("Cancel"), name="add-cancel", clicked=self.reject), self.add)
        )
        self.link.textChanged.connect(self._read)
        self.link.setText(link)
        self._read()

    def _read(self) -> None:
        entered = self.link.text().strip()
        problem = ""
        self.add.setEnabled(False)
        self._facts.hide()
        if entered:
            try:
                facts = link_facts(entered)
            except BadInput as error:
                problem = str(error)
            else:
                self.who.setText(text.peer_text(facts.agent_id, text.NAME_LIMIT))
                self.relay.setText(text.peer_text(facts.relay, text.TITLE_LIMIT))
                self.key.setText(facts.fingerprint)
                self.expires.setText(text.exact(facts.expires_at))
                self._facts.show()
                self.add.setEnabled(True)
        self.notice.show_notice(problem, Tone.BAD)

    def _add(self) -> None:
        self.add.setEnabled(False)
        link, name = self.link.text().strip(), self.name.text().strip() or None
        self._bridge.command(
            lambda agent: agent.add_contact(link, name=name),
            name="add contact",
            owner=self,
            done=self._added,
            failed=self._failed,
        )

    def _added(self, _contact: ContactView) -> None:
        self.accept()

    def _failed(self, sentence: str) -> None:
        self.add.setEnabled(True)
        self.notice.show_notice(sentence, Tone.BAD)
