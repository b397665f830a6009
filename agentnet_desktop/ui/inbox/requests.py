"""The other decisions of the inbox: contact requests, permission requests, stuck messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from agentnet_desktop.agent.display import visible
from agentnet_desktop.agent.events import ContactView, OutboxView, QueryView
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.proposal import ARMING_MS
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxItem
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import Badge, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, Rule, button, row, scrolled

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent

_ANSWER_LIMIT = 6000


class RequestPanel(QWidget):
    """A question with a title, an explanation, a body and buttons that arm after half a second."""

    log_wanted = Signal(str)  # filter expression

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._deciding: list[QPushButton] = []
        self.title = Label(role="title", wrap=True)
        self.badge = Badge()
        self.words = Label(wrap=True)
        self.notice = Notice()
        content = QWidget()
        self.content = QVBoxLayout(content)
        self.content.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_M)
        self.content.setSpacing(SPACE_M)
        self.content.addWidget(self.title)
        self.content.addLayout(row(self.badge, None))
        self.content.addWidget(self.words)
        footer = QWidget()
        foot = QVBoxLayout(footer)
        foot.setContentsMargins(SPACE_L, SPACE_S, SPACE_L, SPACE_M)
        foot.addWidget(self.notice)
        self.buttons = row(spacing=SPACE_S)
        foot.addLayout(self.buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(scrolled(content), 1)
        layout.addWidget(Rule())
        layout.addWidget(footer)
        self._arming = QTimer(self)
        self._arming.setSingleShot(True)
        self._arming.setInterval(ARMING_MS)
        self._arming.timeout.connect(lambda: self._enable(True))

    def show_item(self, item: InboxItem) -> None:
        """Show one item of the panel's kind."""
        raise NotImplementedError

    def add_decision(self, made: QPushButton, *, left: bool = False) -> QPushButton:
        """Add a button that arms."""
        self._deciding.append(made)
        self.buttons.addWidget(made)
        if left:
            self.buttons.addStretch(1)
        return made

    def rearm(self) -> None:
        """Disarm, and arm again in half a second."""
        self.notice.show_notice("", Tone.NEUTRAL)
        self._enable(False)
        if self.isVisible():
            self._arming.start()

    def send(self, name: str, make: Callable[[Agent], Coroutine[Any, Any, Any]]) -> None:
        """Give the agent the decision; shows what went wrong."""
        self._enable(False)

        def failed(sentence: str) -> None:
            self.notice.show_notice(sentence, Tone.BAD)
            self._enable(True)

        self._bridge.command(make, name=name, owner=self, failed=failed)

    def _enable(self, enabled: bool) -> None:
        for made in self._deciding:
            made.setEnabled(enabled)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.rearm()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._arming.stop()


class ContactRequestPanel(RequestPanel):
    """An agent asks for contact."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(bridge)
        self._agent_id = self._seen = ""  # whose key is decided on, and its fingerprint as shown
        self.fingerprint = Label(role="mono", wrap=True, selectable=True)
        self.content.addWidget(Card(Label(self.tr("Fingerprint of its key"), "section"), self.fingerprint))
        self.content.addStretch(1)
        self.add_decision(button(self.tr("Block"), kind="danger", icon="ban", clicked=self._block))
        self.add_decision(button(self.tr("Remove"), icon="trash", clicked=self._remove), left=True)
        self.approve = self.add_decision(
            button(
                self.tr("Approve"),
                kind="primary",
                icon="check",
                name="contact-approve",
                clicked=self._approve,
            )
        )

    def show_item(self, item: InboxItem) -> None:
        """Show one request."""
        if not isinstance(item.view, ContactView):
            return
        offered = item.view.fingerprint or item.view.candidate_fingerprint
        if (self._agent_id, self._seen) != (item.view.agent_id, offered):
            self._agent_id, self._seen = item.view.agent_id, offered
            self.rearm()
        self.title.setText(item.title)
        self.badge.set_mark(trust.contact_mark(item.view.state))
        self.words.setText(
            self.tr(
                "{0} would like to exchange messages with your agent. Approve only whom you expect. Until you do, "
                "it gets no answer and learns nothing."
            ).format(text.peer_text(item.view.agent_id, text.NAME_LIMIT))
        )
        self.fingerprint.setText(offered or "–")

    def _approve(self) -> None:
        name, seen = self._agent_id, self._seen or None
        self.send("approve contact", lambda agent: agent.approve_contact(name, seen=seen))

    def _block(self) -> None:
        self.send("block contact", lambda agent: agent.block_contact(self._agent_id))

    def _remove(self) -> None:
        self.send("remove contact", lambda agent: agent.remove_contact(self._agent_id))


class PermissionPanel(RequestPanel):
    """A query asks for permission: exactly what would leave this machine."""

    def __init__(self, bridge: Bridge, contacts: ContactsModel) -> None:
        super().__init__(bridge)
        self._contacts = contacts
        self._request_id = ""
        self.asked, self.answer = (Label(role="mono", wrap=True, selectable=True) for _ in range(2))
        self.content.addWidget(Card(Label(self.tr("They ask"), "section"), self.asked))
        self.content.addWidget(Card(Label(self.tr("This would leave your machine"), "section"), self.answer))
        self.content.addStretch(1)
        self.add_decision(
            button(self.tr("Deny"), kind="danger", icon="close", name="permission-deny", clicked=self._deny),
            left=True,
        )
        self.add_decision(
            button(self.tr("Always for this contact"), name="permission-always", clicked=self._always)
        )
        self.once = self.add_decision(
            button(
                self.tr("Allow once"),
                kind="primary",
                icon="check",
                name="permission-allow",
                clicked=self._allow,
            )
        )

    def show_item(self, item: InboxItem) -> None:
        """Show one query."""
        if not isinstance(item.view, QueryView):
            return
        if self._request_id != item.view.request_id:
            self._request_id = item.view.request_id
            self.rearm()
        self.title.setText(item.title)
        self.badge.set_mark(trust.contact_mark(self._contacts.state_of(item.peer)))
        self.words.setText(self.tr("{0} asks your agent.").format(self._contacts.name_of(item.peer)))
        self.asked.setText(_formatted(item.view.parameters))
        self.answer.setText(_formatted(item.view.answer))

    def _allow(self) -> None:
        self.send("allow query", lambda agent: agent.allow_request(self._request_id))

    def _always(self) -> None:
        self.send("always allow query", lambda agent: agent.allow_request(self._request_id, always=True))

    def _deny(self) -> None:
        self.send("deny query", lambda agent: agent.deny_request(self._request_id))


class StuckPanel(RequestPanel):
    """A message was not delivered."""

    def __init__(self, bridge: Bridge, contacts: ContactsModel) -> None:
        super().__init__(bridge)
        self._contacts = contacts
        self._message_id = ""
        self._expression = ""
        self.content.addWidget(
            button(self.tr("Show in log"), kind="flat", icon="log", clicked=self._show_in_log)
        )
        self.content.addStretch(1)
        self.add_decision(
            button(self.tr("Give it up"), kind="danger", icon="trash", clicked=self._cancel), left=True
        )
        self.add_decision(button(self.tr("Try again"), kind="primary", icon="refresh", clicked=self._retry))

    def show_item(self, item: InboxItem) -> None:
        """Show one message."""
        if not isinstance(item.view, OutboxView):
            return
        if self._message_id != item.view.message_id:
            self._message_id = item.view.message_id
            self.rearm()
        self._expression = f"conv:{item.view.conversation_id}"
        self.title.setText(item.title)
        self.badge.set_mark(trust.delivery_mark(item.view.state))
        to = self.tr("To {0}, tried {1} times.").format(self._contacts.name_of(item.peer), item.view.attempts)
        self.words.setText(f"{text.peer_text(item.view.reason)} {to}".strip())

    def _retry(self) -> None:
        self.send("retry message", lambda agent: agent.retry_message(self._message_id))

    def _cancel(self) -> None:
        self.send("cancel message", lambda agent: agent.cancel_message(self._message_id))

    def _show_in_log(self) -> None:
        self.log_wanted.emit(self._expression)


def _formatted(value: object) -> str:
    words = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return visible(words, _ANSWER_LIMIT, multiline=True)
