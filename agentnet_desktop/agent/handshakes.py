"""Handshakes: starting, answering, confirming and repeating them, and what a new session replaces.

Implements docs/protocol.md, *Handshake*, *Confirmation* and *Rotation and loss*. A pending handshake and its
ephemeral key live in the database until answered, superseded or seven days old. Who may get an answer is
`trust`'s affair; messages that wait for a session are `delivery`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from agentnet_desktop.agent.events import Verified
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.sealing import freeze, thaw
from agentnet_desktop.agent.trust import Answer, Trust
from agentnet_desktop.crypto import handshake
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.handshake import Offer
from agentnet_desktop.crypto.keys import EphemeralKey
from agentnet_desktop.crypto.replay import ReceiveWindow
from agentnet_desktop.crypto.session import SessionKeys
from agentnet_desktop.protocol import contact as trust_states
from agentnet_desktop.protocol.contact import ContactState
from agentnet_desktop.protocol.delivery import MAX_ATTEMPTS, retry_delay_ms
from agentnet_desktop.protocol.session import SessionEvent, SessionState, next_state
from agentnet_desktop.store import contacts, outbox, sessions
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.sessions import StoredSession
from relay.wire import control
from relay.wire.control import AckContent, AckStatus
from relay.wire.envelope import Envelope, MessageType, Priority, metadata
from relay.wire.errors import WireError

if TYPE_CHECKING:
    from agentnet_desktop.agent.journal import Journal
    from relay.wire.codec import Decoded

INITIATOR = "INITIATOR"
RESPONDER = "RESPONDER"
FRESH_MS = 1000  # an answer sent within this time is still on its way
NO_SESSION = "NO_SESSION"
PEER_OFFLINE = "PEER_OFFLINE"


class Handshakes:
    """The handshakes of one agent."""

    def __init__(self, ground: Ground, journal: Journal, trust: Trust) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._trust = trust
        self.on_active: Callable[[Turn], None] = lambda _: None  # messages may go now

    # --------------------------------------------------------------------------------------- starting

    def ensure(self, turn: Turn, contact: Contact, conversation_id: str) -> None:
        """Starts a handshake in a conversation, unless one is under way there."""
        under_way = sessions.in_conversation(
            turn.session,
            contact.agent_id,
            conversation_id,
            (SessionState.PENDING, SessionState.UNCONFIRMED),
        )
        # An answer of ours whose confirmation is due counts; one that was repeated in vain does not.
        if not any(stored.role == INITIATOR or stored.next_attempt_at for stored in under_way):
            self.begin(turn, contact, conversation_id)

    def begin(self, turn: Turn, contact: Contact, conversation_id: str) -> None:
        """Starts a handshake in a conversation; it replaces the session there once it is answered."""
        ground = self._ground
        ephemeral = EphemeralKey.from_seed(ground.random(32))
        envelope = handshake.build_initiation(
            ground.identity,
            ephemeral,
            agent_id=ground.agent_id,
            peer_id=contact.agent_id,
            conversation_id=conversation_id,
            message_id=ground.new_id("msg_", turn.now),
            session_id=ground.new_id("sess_", turn.now),
            timestamp=turn.now,
            contact_proof=self._proof(contact),
        )
        self._note_handshake(turn, contact.agent_id, conversation_id)
        sessions.add(
            turn.session,
            StoredSession(
                peer=contact.agent_id,
                peer_key=contact.identity_key or b"",
                conversation_id=conversation_id,
                session_id=str(envelope.content["sessionId"]),
                role=INITIATOR,
                state=SessionState.PENDING,
                message_id=envelope.message_id,
                created_at=turn.now,
                ephemeral=ephemeral.private,
                initiation=freeze(envelope),
                next_attempt_at=turn.now + ground.timing.handshake_repeat,
            ),
        )
        ephemeral.wipe()
        self._journal.sent(turn, envelope, state="IN_FLIGHT")
        turn.send(envelope)
        turn.wake("handshakes", turn.now + ground.timing.handshake_repeat)

    def recover(self, turn: Turn, contact: Contact, conversation_id: str) -> None:
        """Starts a handshake because a session was lost, at most once a minute in a conversation."""
        if not trust_states.may_send(ContactState(contact.state)):
            return
        known = sessions.conversation(turn.session, contact.agent_id, conversation_id)
        last = known.last_handshake_at if known else None
        if last is not None and turn.now - last < self._ground.timing.recovery:
            return
        pending = [
            stored
            for stored in sessions.in_conversation(
                turn.session, contact.agent_id, conversation_id, (SessionState.PENDING,)
            )
            if stored.role == INITIATOR
        ]
        if pending:
            self._note_handshake(turn, contact.agent_id, conversation_id)
            self._repeat(turn, pending[0], turn.now + self._ground.timing.handshake_repeat)
        else:
            self.begin(turn, contact, conversation_id)

    def _note_handshake(self, turn: Turn, peer: str, conversation_id: str) -> None:
        sessions.open_conversation(turn.session, peer, conversation_id, turn.now)
        known = sessions.conversation(turn.session, peer, conversation_id)
        if known is not None:
            sessions.save_conversation(turn.session, replace(known, last_handshake_at=turn.now))

    def _proof(self, contact: Contact) -> bytes | None:
        if contact.link_token is None:
            return None
        return handshake.contact_proof(
            contact.link_token,
            identity_key=self._ground.identity.public,
            agent_id=self._ground.agent_id,
            recipient_id=contact.agent_id,
        )

    # --------------------------------------------------------------------------------------- receiving

    def receive(self, turn: Turn, decoded: Decoded) -> None:
        """Handles a HANDSHAKE of either role."""
        envelope = decoded.envelope
        try:
            if envelope.metadata["requiresResponse"] is True:
                offer = handshake.check_initiation(envelope, own_id=self._ground.agent_id)
                self._initiation(turn, decoded, offer)
            else:
                self._response(turn, decoded)
        except (CryptoError, WireError) as error:
            self._journal.refused(turn, decoded, error)

    def _initiation(self, turn: Turn, decoded: Decoded, offer: Offer) -> None:
        known = sessions.by_session_id(turn.session, offer.agent_id, offer.session_id)
        if known and known[0].initiation != freeze(offer.envelope):
            self._journal.refused_as(
                turn,
                decoded,
                "SESSION_REUSED",
                "A handshake reuses the id of an earlier session; it was refused.",
            )
            return
        contact, answer, words = self._trust.asked(turn, offer)
        if answer is not Answer.ANSWER:
            state = "KEPT" if answer is Answer.KEEP else "IGNORED"
            self._journal.received(turn, decoded, verified=Verified.GOOD, state=state, note=words)
            if answer is Answer.KEEP:
                self.keep_offer(turn, offer)
            return
        own = self._colliding(turn, contact, offer)
        if own is not None and handshake.initiator_wins(self._ground.agent_id, contact.agent_id):
            self._journal.received(
                turn,
                decoded,
                verified=Verified.GOOD,
                state="IGNORED",
                note="Both started at once; ours goes on",
            )
            # Ours was not on its way just now: the peer has not got it, or has dropped it.
            if own.attempts == 0 or turn.now - self._last_begun(own) >= FRESH_MS:
                self._repeat(turn, own, turn.now + self._ground.timing.handshake_repeat)
            return
        if own is not None:
            sessions.wipe(turn.session, own.row_id, self._next(own, SessionEvent.WIPED))
        self._journal.received(turn, decoded, verified=Verified.GOOD, note=words)
        answered = [stored for stored in known if stored.response is not None]
        if answered:
            self._send_response(turn, answered[0])
        else:
            self.answer(turn, contact, offer)

    def _colliding(self, turn: Turn, contact: Contact, offer: Offer) -> StoredSession | None:
        """Returns a pending handshake of ours that this one crossed, in its conversation or both in new ones."""
        conversation_id = offer.envelope.conversation_id
        new = not sessions.in_conversation(turn.session, contact.agent_id, conversation_id)
        for stored in sessions.of_peer(turn.session, contact.agent_id, (SessionState.PENDING,)):
            if stored.role != INITIATOR:
                continue
            if stored.conversation_id == conversation_id:
                return stored
            ours = sessions.in_conversation(turn.session, contact.agent_id, stored.conversation_id)
            if new and len(ours) == 1:
                return stored
        return None

    def keep_offer(self, turn: Turn, offer: Offer) -> None:
        """Keeps the newest handshake of an agent that is not approved, in place of an earlier one."""
        for stored in sessions.of_peer(turn.session, offer.agent_id, (SessionState.PENDING,)):
            if stored.role == RESPONDER:
                sessions.remove(turn.session, stored.row_id)
        sessions.add(
            turn.session,
            StoredSession(
                peer=offer.agent_id,
                peer_key=offer.identity_key,
                conversation_id=offer.envelope.conversation_id,
                session_id=offer.session_id,
                role=RESPONDER,
                state=SessionState.PENDING,
                message_id="",
                created_at=turn.now,
                initiation=freeze(offer.envelope),
                wipe_at=turn.now + self._ground.timing.handshake_life,
            ),
        )
        turn.wake("handshakes", turn.now + self._ground.timing.handshake_life)

    def answer_kept(self, turn: Turn, contact: Contact) -> bool:
        """Answers the handshake that was kept while a person decided; False when there is none."""
        for stored in sessions.of_peer(turn.session, contact.agent_id, (SessionState.PENDING,)):
            if stored.role == RESPONDER and stored.initiation and stored.peer_key == contact.identity_key:
                offer = handshake.check_initiation(thaw(stored.initiation), own_id=self._ground.agent_id)
                sessions.remove(turn.session, stored.row_id)
                self.answer(turn, contact, offer)
                return True
        return False

    def answer(self, turn: Turn, contact: Contact, offer: Offer) -> None:
        """Answers a checked handshake of an approved contact; the session waits for its confirmation."""
        ground = self._ground
        ephemeral = EphemeralKey.from_seed(ground.random(32))
        response = handshake.build_response(
            ground.identity,
            ephemeral,
            offer,
            message_id=ground.new_id("msg_", turn.now),
            timestamp=turn.now,
            contact_proof=self._proof(contact),
        )
        keys = handshake.derive(
            ephemeral.private, offer.public_key, initiation=offer.envelope, response=response
        )
        ephemeral.wipe()
        sessions.open_conversation(turn.session, contact.agent_id, offer.envelope.conversation_id, turn.now)
        row_id = sessions.add(
            turn.session,
            StoredSession(
                peer=contact.agent_id,
                peer_key=offer.identity_key,
                conversation_id=offer.envelope.conversation_id,
                session_id=offer.session_id,
                role=RESPONDER,
                state=SessionState.UNCONFIRMED,
                message_id=response.message_id,
                created_at=turn.now,
                keys=keys.to_bytes(),
                initiation=freeze(offer.envelope),
                response=freeze(response),
                window=ReceiveWindow().to_bytes(),
            ),
        )
        keys.wipe()
        stored = sessions.get(turn.session, row_id)
        if stored is not None:
            self._send_response(turn, stored)

    def _send_response(self, turn: Turn, stored: StoredSession) -> None:
        """Sends a stored response; until it is confirmed it is repeated on the retry schedule."""
        if stored.response is None:
            return
        response = thaw(stored.response)
        if stored.state == SessionState.UNCONFIRMED:
            at = turn.now + retry_delay_ms(stored.attempts + 1)
            stored = replace(stored, attempts=stored.attempts + 1, next_attempt_at=at)
            sessions.save(turn.session, stored)
            turn.wake("handshakes", at)
        self._journal.sent(turn, response, state="SENT")
        turn.send(response)

    def _response(self, turn: Turn, decoded: Decoded) -> None:
        envelope = decoded.envelope
        session_id = str(envelope.content.get("sessionId"))
        mine = [
            stored
            for stored in sessions.by_session_id(turn.session, envelope.sender_id, session_id)
            if stored.role == INITIATOR and stored.initiation is not None
        ]
        if not mine:
            self._journal.received(turn, decoded, state="IGNORED", note="It answers no handshake of ours")
            return
        stored = mine[0]
        initiation = thaw(stored.initiation or b"")
        offer = handshake.check_response(envelope, initiation=initiation, own_id=self._ground.agent_id)
        if stored.response is not None:
            self._repeated_response(turn, decoded, stored)
            return
        if stored.state != SessionState.PENDING or stored.ephemeral is None:
            self._journal.received(turn, decoded, state="IGNORED", note="It answers no pending handshake")
            return
        contact, words = self._trust.answered(turn, offer)
        if contact is None:
            self._journal.received(turn, decoded, verified=Verified.GOOD, state="IGNORED", note=words)
            return
        keys = handshake.derive(stored.ephemeral, offer.public_key, initiation=initiation, response=envelope)
        stored = replace(
            stored,
            peer_key=offer.identity_key,
            keys=keys.to_bytes(),
            ephemeral=None,
            response=freeze(envelope),
            window=ReceiveWindow().to_bytes(),
        )
        self._journal.received(turn, decoded, verified=Verified.GOOD)
        self._send_confirmation(turn, stored, keys)
        keys.wipe()
        self._activate(turn, stored, SessionEvent.ANSWERED)

    def _repeated_response(self, turn: Turn, decoded: Decoded, stored: StoredSession) -> None:
        """The same answer again: our confirmation was lost. Another answer is not taken."""
        if stored.response != freeze(decoded.envelope):
            self._journal.refused_as(
                turn, decoded, "SECOND_RESPONSE", "A second, different answer to one handshake was refused."
            )
            return
        self._journal.received(turn, decoded, verified=Verified.GOOD, state="DUPLICATE")
        if stored.keys is not None:
            keys = SessionKeys.from_bytes(stored.keys)
            self._send_confirmation(turn, stored, keys)
            keys.wipe()

    def _send_confirmation(self, turn: Turn, stored: StoredSession, keys: SessionKeys) -> None:
        response = thaw(stored.response or b"")
        tag = handshake.confirmation_tag(keys, response)
        content = AckContent(message_id=response.message_id, status=AckStatus.CONFIRMED, tag=tag)
        ack = self.control_envelope(turn, stored.peer, stored.conversation_id, control.build(content))
        self._journal.sent(turn, ack, state="SENT")
        turn.send(ack)

    def control_envelope(
        self, turn: Turn, peer: str, conversation_id: str, content: dict[str, object]
    ) -> Envelope:
        """Returns an ACK to a peer."""
        return Envelope(
            message_id=self._ground.new_id("msg_", turn.now),
            conversation_id=conversation_id,
            sender_id=self._ground.agent_id,
            recipient_id=peer,
            message_type=MessageType.ACK,
            content=content,
            timestamp=turn.now,
            metadata=metadata(Priority.HIGH, encrypted=False, requires_response=False),
        )

    def confirmed(self, turn: Turn, decoded: Decoded, ack: AckContent) -> None:
        """Handles ACK CONFIRMED: the initiator of a session has its keys."""
        stored = sessions.by_message_id(turn.session, decoded.envelope.sender_id, ack.message_id)
        if stored is None or stored.keys is None or stored.response is None or stored.role != RESPONDER:
            self._journal.received(turn, decoded, state="IGNORED", note="It confirms no session of ours")
            return
        keys = SessionKeys.from_bytes(stored.keys)
        try:
            handshake.check_confirmation(keys, thaw(stored.response), ack.tag or b"")
        except CryptoError as error:
            self._journal.refused(turn, decoded, error)
            return
        finally:
            keys.wipe()
        self._journal.received(turn, decoded, verified=Verified.GOOD)
        self.prove(turn, stored, SessionEvent.CONFIRMED)

    # -------------------------------------------------------------------------------------- activation

    def prove(self, turn: Turn, stored: StoredSession, event: SessionEvent) -> None:
        """The peer has shown that it has a session's keys, by a tag or by a message that opened."""
        if stored.state == SessionState.UNCONFIRMED:
            self._activate(turn, stored, event)

    def _activate(self, turn: Turn, stored: StoredSession, event: SessionEvent) -> None:
        """Makes a session the one of its conversation, retires the others, and frees what waited for it."""
        fresh = replace(
            stored,
            state=self._next(stored, event),
            confirmed_at=turn.now,
            next_attempt_at=None,
        )
        sessions.save(turn.session, fresh)
        for other in sessions.in_conversation(turn.session, stored.peer, stored.conversation_id):
            if other.row_id == stored.row_id or other.state == SessionState.CLOSED:
                continue
            self._retire(turn, other, SessionEvent.REPLACED)
        outbox.unseal_conversation(turn.session, stored.peer, stored.conversation_id, None)
        outbox.wake_peer(turn.session, stored.peer, turn.now, reasons=("", NO_SESSION, PEER_OFFLINE))
        contacts.touch(turn.session, stored.peer, turn.now)
        self._trust.session_ready(turn, stored.peer)
        self.on_active(turn)

    def _retire(self, turn: Turn, stored: StoredSession, event: SessionEvent) -> None:
        """Takes a session out of use: what is live still opens for a day, what never was live goes now."""
        state = self._next(stored, event)
        if state == SessionState.CLOSED:
            sessions.wipe(turn.session, stored.row_id, state)
            return
        wipe_at = stored.wipe_at or turn.now + self._ground.timing.transition
        sessions.save(
            turn.session,
            replace(stored, state=state, retired_at=stored.retired_at or turn.now, wipe_at=wipe_at),
        )
        turn.wake("handshakes", wipe_at)

    def end_conversation(self, turn: Turn, peer: str, conversation_id: str) -> None:
        """Ends a conversation: its sessions seal nothing more and their keys go after a day."""
        known = sessions.conversation(turn.session, peer, conversation_id)
        if known is not None and known.ended_at is None:
            sessions.save_conversation(turn.session, replace(known, ended_at=turn.now))
        for stored in sessions.in_conversation(turn.session, peer, conversation_id):
            if stored.state != SessionState.CLOSED:
                self._retire(turn, stored, SessionEvent.ENDED)

    def close(self, turn: Turn, peer: str, conversation_id: str) -> None:
        """Ends a conversation from this side; its session still seals what was posted in it before."""
        known = sessions.conversation(turn.session, peer, conversation_id)
        if known is not None and known.ended_at is None:
            sessions.save_conversation(turn.session, replace(known, ended_at=turn.now))

    def _last_begun(self, stored: StoredSession) -> int:
        """Returns when a pending handshake of ours was last sent."""
        if stored.next_attempt_at is None:
            return stored.created_at
        return stored.next_attempt_at - self._ground.timing.handshake_repeat

    @staticmethod
    def _last_sent(stored: StoredSession) -> int:
        """Returns when a response was last sent: its next sending is one retry delay later."""
        if stored.next_attempt_at is None:
            return stored.created_at
        return stored.next_attempt_at - retry_delay_ms(stored.attempts)

    @staticmethod
    def _next(stored: StoredSession, event: SessionEvent) -> SessionState:
        return next_state(SessionState(stored.state), event)

    # ------------------------------------------------------------------------------------------ due

    def due(self, turn: Turn) -> None:
        """Repeats what is due, drops what is too old, wipes what had its day."""
        life = self._ground.timing.handshake_life
        sessions.wipe_due(turn.session, turn.now, SessionState.CLOSED)
        for stored in sessions.due(turn.session, turn.now):
            if stored.state == SessionState.PENDING and turn.now - stored.created_at >= life:
                sessions.wipe(turn.session, stored.row_id, self._next(stored, SessionEvent.LAPSED))
            elif stored.state == SessionState.PENDING:
                self._repeat(turn, stored, turn.now + self._ground.timing.handshake_repeat)
            elif stored.state == SessionState.UNCONFIRMED and stored.attempts < MAX_ATTEMPTS:
                self._send_response(turn, stored)
            else:
                sessions.save(turn.session, replace(stored, next_attempt_at=None))
        if (at := sessions.next_deadline(turn.session)) is not None:
            turn.wake("handshakes", at)

    def _repeat(self, turn: Turn, stored: StoredSession, at: int) -> None:
        """Sends a pending handshake again, unchanged."""
        contact = contacts.get(turn.session, stored.peer)
        sessions.save(turn.session, replace(stored, next_attempt_at=at))
        turn.wake("handshakes", at)
        if contact is None or not trust_states.may_send(ContactState(contact.state)):
            return
        envelope = thaw(stored.initiation or b"")
        self._journal.sent(turn, envelope, state="IN_FLIGHT")
        turn.send(envelope)

    def routed(self, turn: Turn, peer: str, message_id: str) -> bool:
        """The relay handed our handshake over; False when the message is none."""
        stored = sessions.by_message_id(turn.session, peer, message_id)
        if stored is None:
            return False
        if stored.state == SessionState.PENDING:
            sessions.save(turn.session, replace(stored, attempts=stored.attempts + 1))
        return True

    def not_found(self, turn: Turn, peer: str, message_id: str) -> bool:
        """The relay did not find the peer: our handshake is tried again when it comes online, or by a probe."""
        stored = sessions.by_message_id(turn.session, peer, message_id)
        if stored is None:
            return False
        if stored.state == SessionState.PENDING:
            at = turn.now + self._ground.timing.probe
            sessions.save(turn.session, replace(stored, next_attempt_at=at))
            turn.wake("handshakes", at)
        return True

    def online(self, turn: Turn, peer: str | None) -> None:
        """Sends pending handshakes that nobody got yet: a peer, or with None this agent, came online."""
        found = (
            sessions.in_states(turn.session, (SessionState.PENDING, SessionState.UNCONFIRMED))
            if peer is None
            else sessions.of_peer(turn.session, peer, (SessionState.PENDING, SessionState.UNCONFIRMED))
        )
        for stored in found:
            if stored.state == SessionState.UNCONFIRMED and stored.attempts < MAX_ATTEMPTS:
                if turn.now - self._last_sent(stored) >= FRESH_MS:
                    self._send_response(turn, stored)
            elif stored.role == INITIATOR and stored.attempts == 0:
                self._repeat(turn, stored, turn.now + self._ground.timing.handshake_repeat)
