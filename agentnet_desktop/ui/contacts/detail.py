"""One contact: trust, the safety number in groups and as a QR code, what it may learn, and what can be done."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import ContactView
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.contacts.sharing import SharingCard
from agentnet_desktop.ui.models.contacts_model import shown_name
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.confirm import Confirmation
from agentnet_desktop.ui.widgets.labels import Badge, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, QrCode, button, column, row, scrolled

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent

_COLUMNS = 4


class SafetyNumber(QWidget):
    """The 60 digits in 12 groups, with their QR code beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[Label] = []
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACE_L)
        grid.setVerticalSpacing(SPACE_S)
        for place in range(12):
            made = Label("·····", "digits", selectable=True)
            self.groups.append(made)
            grid.addWidget(made, place // _COLUMNS, place % _COLUMNS)
        self._code = QrCode(side=132)
        words = Label(
            self.tr(
                "Read these out to each other, or scan the other's code. Equal numbers prove equal keys."
            ),
            "muted",
            wrap=True,
        )
        layout = row(column(words, SPACE_S, grid, None), self._code, spacing=SPACE_XL)
        layout.setStretch(0, 1)
        self.setLayout(layout)

    def show_number(self, digits: str) -> None:
        """Show a safety number of 60 digits; an empty one shows no code."""
        for label, group in zip(self.groups, text.groups(digits) or [""] * 12, strict=False):
            label.setText(group)
        self._code.set_text(digits)
        self.setAccessibleName(self.tr("Safety number {0}").format(" ".join(text.groups(digits))))


class ContactDetail(QWidget):
    """Everything about one contact."""

    log_wanted = Signal(str)  # filter expression
    meeting_wanted = Signal(str)  # agentId

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._view: ContactView | None = None
        self.name = Label(role="title", wrap=True)
        self.badge = Badge()
        self._meaning = Label(role="muted", wrap=True)
        self._facts = Label(role="muted", wrap=True, selectable=True)
        self.notice = Notice()
        self.number = SafetyNumber()
        self._fingerprint = Label(role="mono", wrap=True, selectable=True)
        self._fingerprint_title = Label(self.tr("Fingerprint of the key"), "section")
        self._candidate = Label(role="mono", wrap=True, selectable=True)
        self._candidate_title = Label(self.tr("The key it shows now, which you have not accepted"), "section")
        self._candidate_number = Label(role="mono", wrap=True, selectable=True)
        self._number_card = Card(
            Label(self.tr("Safety number"), "section"), self.number, SPACE_S, self._fingerprint_title,
            self._fingerprint, self._candidate_title, self._candidate, self._candidate_number,
        )  # fmt: skip
        self.sharing = SharingCard(bridge)
        self._make_buttons()
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        inside.setSpacing(SPACE_M)
        head = row(self.name, self.badge)
        head.setAlignment(self.badge, Qt.AlignmentFlag.AlignTop)
        head.setStretch(0, 1)
        inside.addLayout(head)
        inside.addWidget(self._meaning)
        inside.addWidget(self._facts)
        inside.addWidget(self.notice)
        inside.addLayout(row(self.meeting, self.approve, self.accept_key, self.refuse_key, self.verify, None))
        inside.addWidget(self._number_card)
        inside.addWidget(self.sharing)
        inside.addLayout(row(self.log, None, self.block, self.remove))
        inside.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolled(content))

    def _make_buttons(self) -> None:
        self.meeting = button(
            self.tr("New meeting"),
            kind="primary",
            icon="calendar",
            name="contact-meeting",
            clicked=self._meet,
        )
        self.approve = button(
            self.tr("Approve"), kind="primary", icon="check", name="contact-approve", clicked=self._approve
        )
        self.verify = button(
            self.tr("The numbers match"), icon="shield-check", name="contact-verify", clicked=self._verify
        )
        self.accept_key = button(
            self.tr("Accept the new key"), kind="danger", name="contact-accept-key", clicked=self._accept_key
        )
        self.refuse_key = button(
            self.tr("Refuse the new key"), name="contact-refuse-key", clicked=self._refuse_key
        )
        self.log = button(self.tr("Show in log"), kind="flat", icon="log", clicked=self._show_log)
        self.block = button(
            self.tr("Block"), kind="danger", icon="ban", name="contact-block", clicked=self._ask_block
        )
        self.remove = button(
            self.tr("Remove"), kind="danger", icon="trash", name="contact-remove", clicked=self._ask_remove
        )

    def show_contact(self, view: ContactView) -> None:
        """Show one contact."""
        other = self._view is None or self._view.agent_id != view.agent_id
        self._view = view
        if other:
            self.notice.show_notice("", Tone.NEUTRAL)
        mark = trust.contact_mark(view.state)
        self.name.setText(shown_name(view))
        self.badge.set_mark(mark)
        self._meaning.setText(mark.meaning)
        self._facts.setText(self._facts_of(view))
        self._fingerprint.setText(view.fingerprint)
        self._fingerprint_title.setVisible(bool(view.fingerprint))
        self._fingerprint.setVisible(bool(view.fingerprint))
        self._fingerprint_title.setText(
            self.tr("Fingerprint of the key you know")
            if view.candidate_fingerprint
            else self.tr("Fingerprint of the key")
        )
        self._candidate.setText(view.candidate_fingerprint)
        self._candidate_number.setText(
            self.tr("Safety number under it: {0}").format(" ".join(text.groups(view.candidate_safety_number)))
        )
        for label in (self._candidate, self._candidate_title, self._candidate_number):
            label.setVisible(bool(view.candidate_fingerprint))
        self.number.setVisible(bool(view.safety_number))
        self.number.show_number(view.safety_number)
        self._number_card.setVisible(
            bool(view.safety_number or view.fingerprint or view.candidate_fingerprint)
        )
        trusted = view.state in ("APPROVED", "VERIFIED")
        self.meeting.setVisible(trusted)
        self.sharing.setVisible(trusted)
        if trusted:
            self.sharing.show_peer(view.agent_id)
        self.verify.setVisible(view.state == "APPROVED" and bool(view.safety_number))
        self.approve.setVisible(view.state in ("PENDING", "UNKNOWN", "BLOCKED"))
        self.accept_key.setVisible(view.state == "KEY_CHANGED")
        self.refuse_key.setVisible(view.state == "KEY_CHANGED")
        self.block.setVisible(view.state != "BLOCKED")

    def _facts_of(self, view: ContactView) -> str:
        parts = [text.peer_text(view.agent_id, text.NAME_LIMIT)]
        if view.online is not None:
            parts.append(self.tr("online now") if view.online else self.tr("offline"))
        if view.last_exchange_at:
            parts.append(
                self.tr("last exchange {0}").format(text.relative(view.last_exchange_at, text.now_ms()))
            )
        if view.added_at:
            parts.append(self.tr("known since {0}").format(text.short_date(text.at(view.added_at))))
        return "  ·  ".join(parts)

    # ------------------------------------------------------------------------------- acts

    def _send(self, name: str, make: Callable[[Agent, ContactView], Coroutine[Any, Any, Any]]) -> None:
        """Give the agent a command about the contact as it is shown at this moment."""
        if self._view is None:
            return
        view = self._view
        self.notice.show_notice("", Tone.NEUTRAL)
        self._bridge.command(
            lambda agent: make(agent, view),
            name=name,
            owner=self,
            failed=lambda sentence: self.notice.show_notice(sentence, Tone.BAD),
        )

    def _approve(self) -> None:
        self._send(
            "approve contact",
            lambda agent, view: agent.approve_contact(
                view.agent_id, seen=view.fingerprint or view.candidate_fingerprint or None
            ),
        )

    def _verify(self) -> None:
        self._send(
            "verify contact", lambda agent, view: agent.verify_contact(view.agent_id, view.safety_number)
        )

    def _accept_key(self) -> None:
        self._send(
            "accept key", lambda agent, view: agent.accept_key(view.agent_id, seen=view.candidate_fingerprint)
        )

    def _refuse_key(self) -> None:
        self._send(
            "refuse key", lambda agent, view: agent.refuse_key(view.agent_id, seen=view.candidate_fingerprint)
        )

    def _ask_block(self) -> None:
        if self._view is not None:
            _ask(
                self,
                self.tr("Block {0}?").format(shown_name(self._view)),
                self.tr("Nothing this agent sends will be answered or shown, except in the log."),
                self.tr("Block"),
                lambda: self._send("block contact", lambda agent, view: agent.block_contact(view.agent_id)),
            )

    def _ask_remove(self) -> None:
        if self._view is not None:
            _ask(
                self,
                self.tr("Remove {0}?").format(shown_name(self._view)),
                self.tr("Its key and waiting messages are forgotten. The log stays."),
                self.tr("Remove"),
                lambda: self._send("remove contact", lambda agent, view: agent.remove_contact(view.agent_id)),
            )

    def _show_log(self) -> None:
        if self._view is not None:
            self.log_wanted.emit(f"with:{self._view.agent_id}")

    def _meet(self) -> None:
        if self._view is not None:
            self.meeting_wanted.emit(self._view.agent_id)


def _ask(owner: QWidget, title: str, words: str, act: str, then: Callable[[], None]) -> QObject:
    """Ask before a destructive act, in a modal that opens and returns."""
    asking = Confirmation(owner, title, words, act)
    asking.accepted.connect(then)
    asking.open()
    return asking
