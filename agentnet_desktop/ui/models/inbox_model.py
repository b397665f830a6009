"""All that waits for a person, soonest deadline first.

Proposals, contact requests, permission requests, changed keys, held and stuck messages. The model gathers them from
events; it answers none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QObject, Signal

from agentnet_desktop.agent.events import (
    AgentSnapshot,
    ContactChanged,
    ContactView,
    Direction,
    OutboxView,
    PermissionAsked,
    ProposalChanged,
    ProposalView,
    QueryView,
)
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel, shown_name
from agentnet_desktop.ui.models.meetings_model import proposal_key
from agentnet_desktop.ui.models.views import ViewsModel
from agentnet_desktop.ui.text import TITLE_LIMIT, peer_text, tr

_NO_DEADLINE = 2**62
_STUCK_STATES = ("FAILED", "EXPIRED")


class InboxKind(StrEnum):
    """What a person is asked."""

    PROPOSAL = "proposal"
    CONTACT = "contact"
    KEY_CHANGE = "key"
    PERMISSION = "permission"
    STUCK = "stuck"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class HeldMessages:
    """What is held for one contact since its changed key was accepted, in order."""

    peer: str
    messages: tuple[OutboxView, ...]


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One thing that waits for a decision."""

    kind: InboxKind
    key: str
    title: str
    peer: str
    deadline: int | None
    since: int
    view: ProposalView | ContactView | QueryView | OutboxView | HeldMessages


def _item_of_proposal(view: ProposalView) -> InboxItem:
    title = peer_text(view.title, TITLE_LIMIT)
    key = f"{InboxKind.PROPOSAL}/{proposal_key(view)}"
    return InboxItem(InboxKind.PROPOSAL, key, title, view.peer, view.expires_at, view.received_at, view)


def _item_of_contact(view: ContactView) -> InboxItem:
    changed = view.state == "KEY_CHANGED"
    kind = InboxKind.KEY_CHANGE if changed else InboxKind.CONTACT
    words = tr("{0} has another key") if changed else tr("{0} asks for contact")
    key = f"contact/{view.agent_id.lower()}"
    return InboxItem(kind, key, words.format(shown_name(view)), view.agent_id, None, view.added_at or 0, view)


def _item_of_query(view: QueryView) -> InboxItem:
    title = tr("Asks to know: {0}").format(peer_text(view.query_type, 40).replace("_", " ").lower())
    key = f"{InboxKind.PERMISSION}/{view.peer.lower()}/{view.request_id}"
    return InboxItem(InboxKind.PERMISSION, key, title, view.peer, None, view.received_at, view)


def _item_of_message(view: OutboxView) -> InboxItem:
    title = tr("{0} was not delivered").format(view.message_type)
    key = f"{InboxKind.STUCK}/{view.message_id}"
    return InboxItem(InboxKind.STUCK, key, title, view.peer, None, view.created_at, view)


def _item_of_held(held: HeldMessages) -> InboxItem:
    count = len(held.messages)
    title = tr("A held message") if count == 1 else tr("{0} held messages")
    since = held.messages[0].created_at
    key = f"{InboxKind.HELD}/{held.peer.lower()}"
    return InboxItem(InboxKind.HELD, key, title.format(count), held.peer, None, since, held)


class InboxModel(ViewsModel[InboxItem]):
    """What waits for the person; its row count is the number beside *Inbox*."""

    arrived = Signal(object)  # InboxItem: the moment to ask or to notify

    def __init__(self, bridge: Bridge, contacts: ContactsModel, parent: QObject | None = None) -> None:
        super().__init__(
            key=lambda item: item.key,
            order=lambda item: (item.deadline or _NO_DEADLINE, item.since),
            words=lambda item: f"{item.title}, {contacts.name_of(item.peer)}",
            parent=parent,
        )
        self._bridge = bridge
        self._contacts = contacts
        bridge.attached.connect(self._start)
        bridge.proposal_changed.connect(self._proposal)
        bridge.contact_changed.connect(self._contact)
        bridge.permission_changed.connect(self._permission)
        bridge.outbox_changed.connect(self._outbox)

    def _start(self, snapshot: AgentSnapshot) -> None:
        items = [_item_of_proposal(view) for view in snapshot.proposals if _waits(view)]
        items += [
            _item_of_contact(view) for view in snapshot.contacts if view.state in ("PENDING", "KEY_CHANGED")
        ]
        items += [_item_of_query(view) for view in snapshot.requests]
        self.replace_all(items)
        self._outbox(snapshot.queued)

    def _proposal(self, event: ProposalChanged) -> None:
        item = _item_of_proposal(event.view)
        if _waits(event.view):
            self.put(item)
            if event.arrived:
                self.arrived.emit(item)
            return
        known = self.find(item.key)
        if (
            known is not None
            and isinstance(known.view, ProposalView)
            and known.view.revision <= event.view.revision
        ):
            self.drop(item.key)

    def _contact(self, event: ContactChanged) -> None:
        item = _item_of_contact(event.view)
        if event.view.held or self.find(f"{InboxKind.HELD}/{event.view.agent_id.lower()}") is not None:
            self._outbox(0)
        if event.removed or event.view.state not in ("PENDING", "KEY_CHANGED"):
            self.drop(item.key)
            return
        known = self.find(item.key)
        self.put(item)
        if known is None or known.kind is not item.kind:
            self.arrived.emit(item)

    def _permission(self, event: PermissionAsked) -> None:
        item = _item_of_query(event.view)
        if event.closed:
            self.drop(item.key)
        else:
            self.put(item)
            self.arrived.emit(item)

    def _outbox(self, _queued: int) -> None:
        if self._bridge.agent is not None:
            self._bridge.command(
                lambda agent: agent.outbox(), name="read the outbox", owner=self, done=self._stuck
            )

    def _stuck(self, messages: Sequence[OutboxView]) -> None:
        stuck = (view for view in messages if view.state in _STUCK_STATES and not view.given_up)
        waiting = [_item_of_message(view) for view in stuck]
        waiting += [_item_of_held(held) for held in self._held(messages)]
        keys = {item.key for item in waiting}
        for item in self.views():
            if item.kind in (InboxKind.STUCK, InboxKind.HELD) and item.key not in keys:
                self.drop(item.key)
        for item in waiting:
            if self.find(item.key) != item:
                self.put(item)

    def _held(self, messages: Sequence[OutboxView]) -> list[HeldMessages]:
        """Gather what is held by contact; while its key is still in doubt, that is the question to answer."""
        found: dict[str, list[OutboxView]] = {}
        for view in sorted(messages, key=lambda view: view.created_at):
            if view.held and self._contacts.state_of(view.peer) != "KEY_CHANGED":
                found.setdefault(view.peer, []).append(view)
        return [HeldMessages(peer, tuple(views)) for peer, views in found.items()]


def _waits(view: ProposalView) -> bool:
    return view.direction is Direction.IN and view.state == "PENDING"
