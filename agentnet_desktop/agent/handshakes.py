"""Handshakes: starting, answering and confirming them.

Implements docs/protocol.md, *Handshake* and *Confirmation*. A pending handshake and its ephemeral key live in
the database until answered, superseded or seven days old. Who may get an answer is `trust`'s affair, sending
again is `repeats`'s, and what a new session replaces is `session_life`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentnet_desktop.agent.events import Verified
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.repeats import Repeats
from agentnet_desktop.agent.sealing import freeze, thaw
from agentnet_desktop.agent.session_life import INITIATOR, RESPONDER, SessionLife, after
from agentnet_desktop.agent.trust import Answer, Trust
from agentnet_desktop.crypto import handshake
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.handshake import Offer
from agentnet_desktop.crypto.keys import EphemeralKey
from agentnet_desktop.crypto.replay import ReceiveWindow
from agentnet_desktop.crypto.session import SessionKeys
from agentnet_desktop.protocol import contact as trust_states
from agentnet_desktop.protocol.contact import ContactState
from agentnet_desktop.protocol.session import SessionEvent, SessionState
from agentnet_desktop.store import sessions
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.sessions import StoredSession
from relay.wire import control
from relay.wire.control import AckContent, AckStatus
from relay.wire.envelope import Envelope, MessageType, Priority, metadata
from relay.wire.errors import WireError

if TYPE_CHECKING:
    from agentnet_desktop.agent.journal import Journal
    from relay.wire.codec import Decoded


class Handshakes:
    """The handshakes of one agent."""

    def __init__(
        self, ground: Ground, journal: Journal, trust: Trust, life: SessionLife, repeats: Repeats
    ) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._trust = trust
        self._life = life
        self._repeats = repeats

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

    def prove(self, turn: Turn, contact: Contact, conversation_id: str) -> None:
        """Starts a handshake that proves the contact's link, unless one that does is under way there."""
        proof = self._proof(contact)
        pending = sessions.in_conversation(
            turn.session, contact.agent_id, conversation_id, (SessionState.PENDING,)
        )
        if not any(stored.role == INITIATOR and _proof_in(stored) == proof for stored in pending):
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
        self._repeats.transmit(turn, envelope)
        turn.wake("handshakes", turn.now + ground.timing.handshake_repeat)

    def recover(self, turn: Turn, contact: Contact, conversation_id: str) -> None:
        """Starts a handshake because a session was lost, at most once a minute in a conversation."""
        if not trust_states.may_send(ContactState(contact.state)):
            return
        known = sessions.conversation(turn.session, contact.agent_id, conversation_id)
        last = known.last_handshake_at if known else None
        if last is not None and 0 <= turn.now - last < self._ground.timing.recovery:
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
            self._repeats.initiation(turn, pending[0])
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
        # Whoever has another key than this handshake's cannot take its sessionId away.
        known = [
            stored
            for stored in sessions.by_session_id(turn.session, offer.agent_id, offer.session_id)
            if stored.role == INITIATOR or stored.peer_key == offer.identity_key
        ]
        if known and not _same(known[0].initiation, offer.envelope):
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
        answered = [stored for stored in known if stored.response is not None]
        if answered:
            self._journal.received(turn, decoded, verified=Verified.GOOD, state="DUPLICATE", note=words)
            self._repeats.response(turn, answered[0])
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
            # Ours is not on its way just now: the peer has not got it, or has dropped it.
            if not self._repeats.on_its_way(turn, own):
                self._repeats.initiation(turn, own)
            return
        if own is not None:
            sessions.wipe(turn.session, own.row_id, after(own, SessionEvent.WIPED))
        self._journal.received(turn, decoded, verified=Verified.GOOD, note=words)
        self.answer(turn, contact, offer)

    def _colliding(self, turn: Turn, contact: Contact, offer: Offer) -> StoredSession | None:
        """Returns a pending handshake of ours that this one crossed; in another conversation it crosses nothing."""
        pending = sessions.in_conversation(
            turn.session, contact.agent_id, offer.envelope.conversation_id, (SessionState.PENDING,)
        )
        return next((stored for stored in pending if stored.role == INITIATOR), None)

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
                wipe_at=turn.now + ground.timing.handshake_life,
            ),
        )
        keys.wipe()
        turn.wake("handshakes", turn.now + ground.timing.handshake_life)
        stored = sessions.get(turn.session, row_id)
        if stored is not None:
            self._repeats.response(turn, stored)

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
        self._life.activate(turn, stored, SessionEvent.ANSWERED)

    def _repeated_response(self, turn: Turn, decoded: Decoded, stored: StoredSession) -> None:
        """The same answer again: our confirmation was lost. Another answer is not taken."""
        if not _same(stored.response, decoded.envelope):
            self._journal.refused_as(
                turn, decoded, "SECOND_RESPONSE", "A second, different answer to one handshake was refused."
            )
            return
        self._journal.received(turn, decoded, verified=Verified.GOOD, state="DUPLICATE")
        contact = self._trust.contact(turn, stored.peer)
        trusted = contact is not None and trust_states.gets_answers(ContactState(contact.state))
        if trusted and stored.keys is not None:
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
        self._life.prove(turn, stored, SessionEvent.CONFIRMED)


def _proof_in(stored: StoredSession) -> bytes | None:
    """Returns the contact proof that a handshake of ours carries, 32 bytes."""
    content = thaw(stored.initiation or b"").content
    return control.parse(control.HandshakeContent, content).contact_proof


def _same(stored: bytes | None, envelope: Envelope) -> bool:
    """Tells whether an envelope is a stored one, however its members are ordered on the wire."""
    return stored is not None and handshake.envelope_hash(thaw(stored)) == handshake.envelope_hash(envelope)
