"""Conversations: which one a message belongs to, ending them, and replacing their keys on request.

Implements docs/protocol.md, *Conversations*: one live conversation per contact is reused for queries and
proposals until it is ended; otherwise a new one starts, with a handshake. The handshakes themselves are
`handshakes`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.protocol.contact import ContactState, may_send
from agentnet_desktop.protocol.content import build_content
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, sessions
from agentnet_desktop.store.contacts import Contact
from relay.wire.control import DisconnectContent
from relay.wire.envelope import MessageType

if TYPE_CHECKING:
    from agentnet_desktop.agent.delivery import Delivery
    from agentnet_desktop.agent.handshakes import Handshakes
    from agentnet_desktop.agent.session_life import SessionLife

_LIVE = (SessionState.ACTIVE, SessionState.UNCONFIRMED, SessionState.PENDING)


class Conversations:
    """The conversations of one agent."""

    def __init__(self, ground: Ground, handshakes: Handshakes, life: SessionLife, delivery: Delivery) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._handshakes = handshakes
        self._life = life
        self._delivery = delivery

    def choose(self, turn: Turn, contact: Contact) -> str:
        """Returns the live conversation with a contact, or the id of a new one.

        Of several, the one with the best session counts; of equals, the latest used.
        """
        best: tuple[int, str] | None = None
        for known in sessions.conversations(turn.session, contact.agent_id):
            if known.ended_at is not None:
                continue
            states = sessions.states_in(turn.session, contact.agent_id, known.conversation_id)
            rank = next((place for place, state in enumerate(_LIVE) if state in states), None)
            if rank == 0:
                return known.conversation_id
            if rank is not None and (best is None or rank < best[0]):
                best = (rank, known.conversation_id)
        return best[1] if best else self._ground.new_id("conv_", turn.now)

    def has_session(self, turn: Turn, agent_id: str) -> bool:
        """Tells whether messages to a contact can be sealed now."""
        return bool(sessions.of_peer(turn.session, agent_id, (SessionState.ACTIVE,)))

    def end(self, turn: Turn, contact: Contact, conversation_id: str, reason: str = "") -> None:
        """Ends a conversation from this side: says so to the peer, and seals nothing more in it."""
        content = build_content(DisconnectContent(reason=reason or None))
        self._delivery.post(turn, contact, conversation_id, MessageType.DISCONNECT, content)
        self._life.close(turn, contact.agent_id, conversation_id)

    def ended(self, turn: Turn, peer: str, conversation_id: str) -> None:
        """The peer ended a conversation."""
        self._delivery.end_conversation(turn, peer, conversation_id)
        self._life.end_conversation(turn, peer, conversation_id)

    def rotate(self, turn: Turn, peer: str | None) -> int:
        """Starts new handshakes in the live conversations with one peer or all; returns how many."""
        begun = 0
        for contact in contacts.every(turn.session):
            wanted = peer is None or contact.agent_id.lower() == peer.lower()
            if not wanted or not may_send(ContactState(contact.state)):
                continue
            live = sessions.of_peer(turn.session, contact.agent_id, (SessionState.ACTIVE,))
            for conversation_id in {stored.conversation_id for stored in live}:
                self._handshakes.ensure(turn, contact, conversation_id)
                begun += 1
        return begun
