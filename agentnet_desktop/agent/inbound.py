"""What arrives: each received envelope to the room that handles it, several in one turn when they come together.

Implements docs/protocol.md, *Transport* and *What travels in the clear*: QUERY, RESPONSE, PROPOSAL,
CONFIRMATION and REJECTION, and DISCONNECT or ERROR between agents, travel only sealed; in the clear they are
refused and logged as a security event. What only the relay may say is taken from the relay alone. Decides
nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.receiving import Arrived
from agentnet_desktop.protocol.content import (
    ConfirmationContent,
    ProposalContent,
    QueryContent,
    RejectionContent,
    ResponseContent,
)
from agentnet_desktop.store import contacts
from relay.wire import control
from relay.wire.codec import Decoded
from relay.wire.control import (
    AckContent,
    AckStatus,
    DisconnectContent,
    ErrorContent,
    PresenceState,
    PresenceStatus,
)
from relay.wire.envelope import SYSTEM, MessageType, agent_key
from relay.wire.errors import WireError

if TYPE_CHECKING:
    from agentnet_desktop.agent.conversations import Conversations
    from agentnet_desktop.agent.delivery import Delivery
    from agentnet_desktop.agent.handshakes import Handshakes
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.negotiation import Negotiation
    from agentnet_desktop.agent.outcomes import Outcomes
    from agentnet_desktop.agent.presence import Presence
    from agentnet_desktop.agent.queries import Queries
    from agentnet_desktop.agent.receiving import Receiving
    from agentnet_desktop.agent.repeats import Repeats

Element = Decoded | WireError

_log = logging.getLogger(__name__)


def may_linger(element: Element) -> bool:
    """Tells whether nobody waits for what came: an ACK says what became of a message, a HEARTBEAT nothing."""
    if isinstance(element, WireError):
        return False
    envelope = element.envelope
    if envelope.message_type is MessageType.ACK:
        return envelope.content.get("status") in (AckStatus.ROUTED, AckStatus.DELIVERED)
    return envelope.message_type is MessageType.HEARTBEAT


class Inbound:
    """Hands each received envelope to its room."""

    def __init__(
        self,
        agent_id: str,
        *,
        journal: Journal,
        presence: Presence,
        handshakes: Handshakes,
        repeats: Repeats,
        delivery: Delivery,
        outcomes: Outcomes,
        receiving: Receiving,
        conversations: Conversations,
        negotiation: Negotiation,
        queries: Queries,
    ) -> None:
        """Keeps the rooms."""
        self._own = agent_key(agent_id)
        self._journal = journal
        self._presence = presence
        self._handshakes = handshakes
        self._repeats = repeats
        self._delivery = delivery
        self._outcomes = outcomes
        self._receiving = receiving
        self._conversations = conversations
        self._negotiation = negotiation
        self._queries = queries
        receiving.receiver = self

    def batch(self, turn: Turn, elements: Sequence[tuple[Element, bytes]]) -> None:
        """Handles what came, in order, in one turn.

        Args:
            turn: of the transaction.
            elements: each with the bytes of the frame that it came in.
        """
        for element, raw in elements:
            if isinstance(element, WireError):
                self._journal.unreadable(turn, element, raw)
            else:
                self._one(turn, element)
        self._delivery.pump(turn)

    def broken(self, turn: Turn, element: Element, raw: bytes) -> None:
        """Logs an envelope whose handling failed here: it must not come back for ever, nor vanish."""
        if isinstance(element, Decoded):
            self._journal.received(turn, element, state="FAILED", note="it could not be handled here")
        else:
            self._journal.unreadable(turn, element, raw)

    def _one(self, turn: Turn, decoded: Decoded) -> None:
        envelope = decoded.envelope
        if agent_key(envelope.recipient_id) != self._own:
            self._journal.received(turn, decoded, state="REFUSED", note="it is for somebody else")
        elif envelope.sender_id == SYSTEM:
            self._relay(turn, decoded)
        elif envelope.message_type is MessageType.ENCRYPTED:
            self._receiving.sealed(turn, decoded)
        elif envelope.message_type is MessageType.HANDSHAKE:
            self._handshakes.receive(turn, decoded)
        elif envelope.message_type is MessageType.ACK:
            self._ack(turn, decoded)
        else:
            self._journal.refused_as(
                turn,
                decoded,
                "CLEARTEXT_REFUSED",
                f"{envelope.sender_id} sent a {envelope.message_type} without encryption; it was refused.",
            )

    # ------------------------------------------------------------------------------------------- relay

    def _relay(self, turn: Turn, decoded: Decoded) -> None:
        """What the relay says changes transport state only."""
        envelope = decoded.envelope
        try:
            match envelope.message_type:
                case MessageType.ACK:
                    ack = control.parse(AckContent, envelope.content)
                    if ack.status is AckStatus.ROUTED:
                        self._outcomes.routed(turn, ack.message_id)
                    self._journal.received(turn, decoded)  # its entry covers the step that it caused
                case MessageType.ERROR:
                    error = control.parse(ErrorContent, envelope.content)
                    self._journal.received(turn, decoded)
                    self._outcomes.relay_error(turn, error)
                case MessageType.PRESENCE:
                    status = control.parse(PresenceStatus, envelope.content)
                    self._journal.received(turn, decoded)
                    self._presence_of(turn, status)
                case MessageType.CONNECTED | MessageType.HEARTBEAT:
                    self._journal.received(turn, decoded)
                case _:
                    self._journal.received(
                        turn, decoded, state="REFUSED", note="a relay does not send such a message"
                    )
        except WireError as fault:
            self._journal.refused(turn, decoded, fault)

    def _presence_of(self, turn: Turn, status: PresenceStatus) -> None:
        contact = contacts.get(turn.session, status.agent_id)
        if contact is None:
            return
        online = status.status is PresenceState.ONLINE
        self._presence.note(contact.agent_id, online)
        self._presence.tell(turn, contact)
        if online:
            self._repeats.online(turn, contact.agent_id)
            self._delivery.online(turn, contact.agent_id)
        else:
            self._delivery.offline(turn, contact.agent_id)

    def _ack(self, turn: Turn, decoded: Decoded) -> None:
        try:
            ack = control.parse(AckContent, decoded.envelope.content)
        except WireError as fault:
            self._journal.refused(turn, decoded, fault)
            return
        if ack.status is AckStatus.DELIVERED:
            self._outcomes.receipt(turn, decoded, ack)
        elif ack.status is AckStatus.CONFIRMED:
            self._handshakes.confirmed(turn, decoded, ack)
        else:
            self._journal.received(turn, decoded, state="REFUSED", note="only a relay says this")

    # ------------------------------------------------------------------------------------------ opened

    def arrived(self, turn: Turn, message: Arrived) -> None:
        """Hands an opened message to the room of its type."""
        match message.content:
            case QueryContent() as content:
                self._queries.asked(turn, message, content)
            case ResponseContent() as content:
                self._queries.answered(turn, message, content)
            case ProposalContent() as content:
                self._negotiation.proposed(turn, message, content)
            case ConfirmationContent() as content:
                self._negotiation.confirmed(turn, message, content)
            case RejectionContent() as content:
                self._negotiation.rejected(turn, message, content)
            case ErrorContent() as content:
                self._outcomes.peer_error(turn, message.contact.agent_id, content)
            case DisconnectContent():
                self._conversations.ended(turn, message.contact.agent_id, message.conversation_id)
