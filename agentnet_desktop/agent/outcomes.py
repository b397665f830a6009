"""What becomes of a message that was sent: routed, delivered by a signed receipt, refused by relay or peer.

Implements docs/protocol.md, *Delivery receipt*, *Delivery* and *Errors*. Which state follows is
`protocol.delivery`'s table. Sending, and sending again, is `delivery`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from agentnet_desktop.agent.delivery import TOUCH_MS, Delivery
from agentnet_desktop.agent.events import Verified
from agentnet_desktop.agent.figures import note_delivery
from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.session import verify_receipt
from agentnet_desktop.protocol.delivery import (
    LONGEST_RETRY_MS,
    DeliveryEvent,
    DeliveryState,
    FailureReason,
    next_state,
    on_error,
)
from agentnet_desktop.store import audit_log, contacts, outbox
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.outbox import OutboxRow
from relay.wire.envelope import MessageType, agent_key

if TYPE_CHECKING:
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.presence import Presence
    from agentnet_desktop.agent.repeats import Repeats
    from agentnet_desktop.agent.session_life import SessionLife
    from relay.wire.codec import Decoded
    from relay.wire.control import AckContent, ErrorContent

SOONEST_MS = 1_000  # what was refused is not tried again sooner, whatever the relay says


class Outcomes:
    """Takes in what relay and peers say about this agent's messages."""

    def __init__(
        self,
        journal: Journal,
        delivery: Delivery,
        repeats: Repeats,
        life: SessionLife,
        presence: Presence,
    ) -> None:
        """Keeps the rooms it works with."""
        self._journal = journal
        self._delivery = delivery
        self._repeats = repeats
        self._life = life
        self._presence = presence
        self._resent: set[str] = set()  # sent once more because the relay could not read it

    def routed(self, turn: Turn, message_id: str) -> None:
        """The relay handed a message to the recipient's connection; no proof of delivery."""
        row = outbox.get(turn.session, message_id)
        if row is None:
            self._handshake_news(turn, message_id, "ROUTED", self._repeats.routed)
            return
        if row.state == DeliveryState.QUEUED:
            return  # late news: the message waits for its peer or a session again, and must go on waiting
        state = next_state(DeliveryState(row.state), DeliveryEvent.ROUTED)
        if state != row.state:
            outbox.set_state(turn.session, message_id, state)
            self._journal.state(turn, row.log_seq, state)

    def _handshake_news(
        self, turn: Turn, message_id: str, state: str, tell: Callable[[Turn, str, str], bool]
    ) -> None:
        entry = audit_log.first_sent(turn.session, message_id)
        if entry is not None and tell(turn, entry.peer, message_id):
            self._journal.state(turn, entry.seq, state)

    def receipt(self, turn: Turn, decoded: Decoded, ack: AckContent) -> None:
        """Handles ACK DELIVERED: the peer has a message on disk, by its signature."""
        sender = decoded.envelope.sender_id
        row = outbox.get(turn.session, ack.message_id)
        contact = contacts.get(turn.session, sender)
        mine = row is not None and agent_key(row.peer) == agent_key(sender)
        if row is None or not mine or contact is None or contact.identity_key is None:
            self._journal.received(turn, decoded, state="IGNORED", note="It acknowledges no message of ours")
            return
        if not self._holds(turn, contact.identity_key, ack):
            self._journal.refused_as(
                turn,
                decoded,
                "BAD_RECEIPT",
                f"A receipt that claims to be from {sender} carries a wrong signature; it was refused.",
            )
            return
        if row.state != DeliveryState.DELIVERED:
            self._delivered(turn, row, contact)
        # After the step that it caused: the entry of a receipt covers that step.
        self._journal.received(turn, decoded, verified=Verified.GOOD)

    def _delivered(self, turn: Turn, row: OutboxRow, contact: Contact) -> None:
        state = next_state(DeliveryState(row.state), DeliveryEvent.RECEIPT)
        outbox.settle(turn.session, row.message_id, state, turn.now)
        note_delivery(turn.session, turn.now, row.created_at, row.attempts)
        if turn.now - (contact.last_exchange_at or 0) >= TOUCH_MS:
            contacts.touch(turn.session, row.peer, turn.now)
        self._journal.state(turn, row.log_seq, state, "receipt verified")
        if row.message_type == MessageType.DISCONNECT:
            self._life.end_conversation(turn, row.peer, row.conversation_id)
        self._delivery.settled(turn, row.message_id)
        if row.settled_at is not None:
            self._delivery.on_reached(turn, row)

    @staticmethod
    def _holds(turn: Turn, identity_key: bytes, ack: AckContent) -> bool:
        """Tells whether a receipt is for any ciphertext ever sent of its message."""
        for digest in outbox.digests(turn.session, ack.message_id):
            try:
                verify_receipt(identity_key, digest, ack.log_head or b"", ack.signature or b"")
            except CryptoError:
                continue
            return True
        return False

    def relay_error(self, turn: Turn, error: ErrorContent) -> None:
        """Does to a row what the relay's ERROR about it says."""
        message_id = error.details.get("originalMessageId")
        row = outbox.get(turn.session, message_id) if isinstance(message_id, str) else None
        if row is None:
            if isinstance(message_id, str):
                self._control_refused(turn, message_id, error)
            return
        if row.settled_at is not None:
            return  # an ERROR in the clear proves nothing: what is over begins anew by the person's word only
        resent = row.message_id in self._resent
        event = on_error(error.error_code, recoverable=error.recoverable, resent=resent)
        state = DeliveryState(row.state) if event is None else next_state(DeliveryState(row.state), event)
        if state == row.state and event is not None:
            return
        if event is DeliveryEvent.NOT_FOUND:
            self._not_found(turn, row)
        elif event is DeliveryEvent.FAIL:
            self._delivery.fail(turn, row, FailureReason.REFUSED_BY_RELAY)
        elif event is DeliveryEvent.RESEND:
            self._resent.add(row.message_id)
            outbox.move(turn.session, row.message_id, state, next_attempt_at=turn.now)
            outbox.keep_order(turn.session, row.peer)
            self._journal.state(turn, row.log_seq, state, error.error_code)
            self._delivery.look(turn)
        elif row.next_attempt_at is not None:
            at = max(row.next_attempt_at, turn.now + min(error.retry_after, LONGEST_RETRY_MS))
            outbox.move(turn.session, row.message_id, row.state, next_attempt_at=at)
            self._journal.state(turn, row.log_seq, row.state, error.error_code)

    def _control_refused(self, turn: Turn, message_id: str, error: ErrorContent) -> None:
        """The relay did not take a HANDSHAKE or a watch set: it goes again when the relay says that it may."""
        if error.error_code == "RECIPIENT_NOT_FOUND":
            self._handshake_news(turn, message_id, "QUEUED", self._repeats.not_found)
            return
        event = on_error(error.error_code, recoverable=error.recoverable, resent=message_id in self._resent)
        if event is DeliveryEvent.FAIL:
            return
        once = event is DeliveryEvent.RESEND
        if once:
            self._resent.add(message_id)
        at = turn.now + min(max(error.retry_after, SOONEST_MS), LONGEST_RETRY_MS)
        if not self._presence.refused(turn, message_id, at, once=once):
            again = partial(self._repeats.refused, at=at)
            self._handshake_news(turn, message_id, "QUEUED", again)

    def _not_found(self, turn: Turn, row: OutboxRow) -> None:
        self._presence.note(row.peer, False)
        outbox.give_back_attempt(turn.session, row.message_id)
        self._journal.state(turn, row.log_seq, DeliveryState.QUEUED, "recipient not found")
        self._delivery.park(turn, row.peer)
        self._delivery.came_back(row.message_id)

    def peer_error(self, turn: Turn, peer: str, error: ErrorContent) -> None:
        """Handles an ERROR of a peer, sealed: it could not take a message of ours, whose row ends."""
        message_id = error.details.get("originalMessageId")
        row = outbox.get(turn.session, message_id) if isinstance(message_id, str) else None
        if row is not None and agent_key(row.peer) == agent_key(peer):
            if row.settled_at is None:
                self._delivery.fail(turn, row, FailureReason.REFUSED_BY_PEER)
            else:
                self._delivery.on_ended(turn, row, FailureReason.REFUSED_BY_PEER)
