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

_AROUND_WATCH = (
    512  # bytes of the envelope around a watch set in JSON form, with ids of 64 characters, and more
)

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
        self._announced = ""  # message id of the watch set sent last on this connection
        self._repeated = (
            False  # it was written once more on this connection, because the relay could not read it
        )
        self._left_out = 0  # contacts for which the watch set has no room
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
        self._announced, self._repeated = "", False

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
        envelope = Envelope(
            message_id=self._ground.new_id("msg_", turn.now),
            conversation_id=SYSTEM,
            sender_id=self._ground.agent_id,
            recipient_id=SYSTEM,
            message_type=MessageType.PRESENCE,
            content=control.build(PresenceWatch(watch=self._watched(turn))),
            timestamp=turn.now,
            metadata=metadata(Priority.LOW, encrypted=False, requires_response=False),
        )
        self._announced = envelope.message_id
        self._journal.sent(turn, envelope, state="SENT")
        turn.send(envelope)

    def refused(self, turn: Turn, message_id: str, at: int, *, once: bool) -> bool:
        """The relay did not take a message: if it was the present watch set, it is sent again at `at` (ms).

        Without it the relay lets nobody through who was approved since.

        Args:
            turn: of the transaction.
            message_id: of what was refused.
            at: when the relay may take it, ms.
            once: the relay could not read it; it is written only once more.

        Returns:
            Whether it was a watch set.
        """
        if not message_id or message_id != self._announced:
            return False
        if not (once and self._repeated):
            self._repeated = self._repeated or once
            turn.wake("presence", at)
        return True

    def _watched(self, turn: Turn) -> tuple[str, ...]:
        """Returns from whom messages may come: all, or as many of the latest as one envelope has room for."""
        willing = [
            contact for contact in contacts.every(turn.session) if may_receive(ContactState(contact.state))
        ]
        room = self._ground.max_message_bytes - _AROUND_WATCH
        latest = sorted(
            willing, key=lambda contact: contact.last_exchange_at or contact.added_at, reverse=True
        )
        watched: set[str] = set()
        for contact in latest[:MAX_WATCHED]:
            room -= len(contact.agent_id) + 3  # two quotes and a comma
            if room < 0:
                break
            watched.add(contact.agent_id)
        self._tell_left_out(turn, len(willing) - len(watched))
        return tuple(contact.agent_id for contact in willing if contact.agent_id in watched)

    def _tell_left_out(self, turn: Turn, count: int) -> None:
        if count > self._left_out:
            self._journal.local(
                turn,
                peer="",
                message_type=MessageType.PRESENCE,
                state="LOCAL",
                summary=f"The relay cannot watch for {count} of your contacts: they cannot reach you now",
            )
        self._left_out = count
