"""Who is online, as far as the relay says, and whom this agent asks it about.

Implements docs/protocol.md, *Presence*. The watch set is everybody from whom messages may come; it is sent
after each connect and whenever it changes, because the relay lets only those through. What is known of a
peer's presence lives in memory and ends with the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentnet_desktop.agent.events import ContactChanged
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.views import contact_view
from agentnet_desktop.protocol.contact import ContactState, may_receive
from agentnet_desktop.store import contacts
from agentnet_desktop.store.contacts import Contact
from relay.wire import control
from relay.wire.control import MAX_WATCHED, PresenceWatch
from relay.wire.envelope import SYSTEM, Envelope, MessageType, Priority, agent_key, metadata

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import ContactView
    from agentnet_desktop.agent.journal import Journal


class Presence:
    """Presence of this agent's contacts."""

    def __init__(self, ground: Ground, journal: Journal) -> None:
        """Knows of nobody yet."""
        self._ground = ground
        self._journal = journal
        self._online: dict[str, bool] = {}
        self.connected = False

    def online(self, agent_id: str) -> bool | None:
        """Tells whether an agent is online; None while the relay has not said."""
        return self._online.get(agent_key(agent_id))

    def note(self, agent_id: str, online: bool | None) -> None:
        """Notes what the relay said, or with None that nothing is known any more."""
        if online is None:
            self._online.pop(agent_key(agent_id), None)
        else:
            self._online[agent_key(agent_id)] = online

    def forget(self) -> None:
        """Forgets everybody's presence: the connection is gone."""
        self._online.clear()

    def view(self, contact: Contact) -> ContactView:
        """Returns a contact as faces see it."""
        return contact_view(
            contact,
            own_id=self._ground.agent_id,
            own_key=self._ground.identity.public,
            online=self.online(contact.agent_id),
        )

    def tell(self, turn: Turn, contact: Contact, *, removed: bool = False) -> None:
        """Tells faces that a contact changed."""
        turn.tell(ContactChanged(self.view(contact), removed=removed))

    def announce(self, turn: Turn) -> None:
        """Sends the watch set: everybody from whom messages may come."""
        if not self.connected:
            return
        watch = tuple(
            contact.agent_id
            for contact in contacts.every(turn.session)
            if may_receive(ContactState(contact.state))
        )
        envelope = Envelope(
            message_id=self._ground.new_id("msg_", turn.now),
            conversation_id=SYSTEM,
            sender_id=self._ground.agent_id,
            recipient_id=SYSTEM,
            message_type=MessageType.PRESENCE,
            content=control.build(PresenceWatch(watch=watch[:MAX_WATCHED])),
            timestamp=turn.now,
            metadata=metadata(Priority.LOW, encrypted=False, requires_response=False),
        )
        self._journal.sent(turn, envelope, state="SENT")
        turn.send(envelope)
