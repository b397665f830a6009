"""Receiving sealed messages: from the bytes of an ENCRYPTED envelope to one message handed on, exactly once.

Implements docs/protocol.md, *Messages* (the receiver's steps) and *Duplicates, order, poison*. All steps of one
message happen in one turn, so the acknowledgement leaves only after the message is on disk. A failure at any
step changes no state but the log. What a message means is for `negotiation` and `queries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from agentnet_desktop.agent.delivery import TOUCH_MS, Delivery
from agentnet_desktop.agent.events import Verified
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.sealing import freeze, thaw
from agentnet_desktop.agent.timing import MINUTE_MS
from agentnet_desktop.crypto.errors import CryptoError, DecryptionFailed
from agentnet_desktop.crypto.replay import Acceptance, Duplicate, Gap, InOrder, Late, ReceiveWindow
from agentnet_desktop.crypto.session import (
    Opened,
    SessionKeys,
    open_sealed,
    sign_receipt,
    substance,
    verify_sealed,
)
from agentnet_desktop.crypto.session import Verified as VerifiedEnvelope
from agentnet_desktop.protocol.contact import ContactState, may_receive, may_send
from agentnet_desktop.protocol.content import Content, build_content, parse_content
from agentnet_desktop.protocol.session import SessionEvent, SessionState, may_open
from agentnet_desktop.store import audit_log, contacts, inbox, sessions
from agentnet_desktop.store.audit_log import Anchor, LogEntry
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.inbox import SET_ASIDE, STORED, HeldMessage, InboxRow
from agentnet_desktop.store.sessions import StoredSession
from relay.wire import control
from relay.wire.control import AckContent, AckStatus, ErrorContent
from relay.wire.envelope import MessageType, Priority
from relay.wire.errors import ERRORS, ErrorCode, WireError

if TYPE_CHECKING:
    from agentnet_desktop.agent.handshakes import Handshakes
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.session_life import SessionLife
    from relay.wire.codec import Decoded


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message of a peer, opened, valid and stored, in its turn.

    Attributes:
        contact: who sent it.
        conversation_id: in which conversation.
        message_id: of its envelope.
        message_type: what `content` is.
        content: parsed.
        raw: the whole content in JSON form, unknown fields included.
        received_at: milliseconds since the epoch.
        log_seq: its entry in the log.
        late: its gap had been given up.
    """

    contact: Contact
    conversation_id: str
    message_id: str
    message_type: MessageType
    content: Content
    raw: Mapping[str, Any]
    received_at: int
    log_seq: int | None
    late: bool = False


class Receiver(Protocol):
    """Who takes what arrived."""

    def arrived(self, turn: Turn, message: Arrived) -> None:
        """Handles one message inside the turn that stored it."""


class Receiving:
    """Opens what peers sealed for this agent."""

    def __init__(
        self,
        ground: Ground,
        journal: Journal,
        handshakes: Handshakes,
        life: SessionLife,
        delivery: Delivery,
    ) -> None:
        """Keeps the rooms it works with; `receiver` is set when all rooms stand."""
        self._ground = ground
        self._journal = journal
        self._handshakes = handshakes
        self._life = life
        self._delivery = delivery
        self.receiver: Receiver | None = None

    # ------------------------------------------------------------------------------------------- steps

    def sealed(self, turn: Turn, decoded: Decoded) -> None:
        """Handles one ENCRYPTED envelope.

        1. Its sender is a contact with a pinned key.
        2. The signature holds under that key, over the bytes as they came.
        3. A duplicate is acknowledged again, silently.
        4. The session it names is at hand, and the message opens under it.
        5. Its `seq` is new and not too far ahead.
        6. Its content is valid for its type; else it is set aside.
        7. It is stored and acknowledged, and handed on in its turn.
        """
        envelope = decoded.envelope
        contact = contacts.get(turn.session, envelope.sender_id)  # (1)
        key = contact.identity_key if contact is not None else None
        if contact is None or key is None or not may_receive(ContactState(contact.state)):
            self._journal.received(turn, decoded, state="REFUSED", note="from an agent that is not approved")
            return
        try:
            verified = verify_sealed(envelope, identity_key=key, own_id=self._ground.agent_id)  # (2)
        except (CryptoError, WireError) as error:
            self._journal.refused(turn, decoded, error)
            return
        seen = inbox.seen(turn.session, key, envelope.message_id)
        if seen is not None and seen.digest == verified.digest:  # (3)
            self._again(turn, decoded, seen)
            return
        stored = self._session(turn, contact, verified)
        if stored is None:
            self._journal.received(
                turn, decoded, verified=Verified.GOOD, state="REFUSED", note="its session is not known here"
            )
            self._handshakes.recover(turn, contact, envelope.conversation_id)
            return
        opened = self._open(turn, decoded, contact, verified, stored)  # (4)
        if opened is not None:
            if seen is not None:
                self._resealed(turn, decoded, verified, opened, stored, seen)
            else:
                self._new(turn, decoded, contact, verified, opened, stored)

    def _session(self, turn: Turn, contact: Contact, verified: VerifiedEnvelope) -> StoredSession | None:
        """Returns the session that a message names, within its conversation and under the pinned key."""
        for stored in sessions.by_session_id(turn.session, contact.agent_id, verified.content.session_id):
            if (
                stored.conversation_id == verified.envelope.conversation_id
                and stored.peer_key == contact.identity_key
                and stored.keys is not None
                and may_open(SessionState(stored.state))
            ):
                return stored
        return None

    def _open(
        self,
        turn: Turn,
        decoded: Decoded,
        contact: Contact,
        verified: VerifiedEnvelope,
        stored: StoredSession,
    ) -> Opened | None:
        keys = SessionKeys.from_bytes(stored.keys or b"")
        try:
            opened = open_sealed(verified, keys)
            _window(stored).check(opened.seq)
        except DecryptionFailed as error:
            self._journal.refused(turn, decoded, error)
            self._handshakes.recover(turn, contact, decoded.envelope.conversation_id)
            return None
        except CryptoError as error:
            self._journal.refused(turn, decoded, error)
            return None
        finally:
            keys.wipe()
        return opened

    def _take_seq(self, turn: Turn, decoded: Decoded, opened: Opened, stored: StoredSession) -> Acceptance:
        """Takes the place of a message in its session; other bytes in a place that is taken are refused."""
        window = _window(stored)
        outcome = window.accept(opened.seq)
        if isinstance(outcome, Duplicate):
            self._journal.refused_as(
                turn,
                decoded,
                "SEQUENCE_REUSED",
                f"{stored.peer} used a sequence number twice; the second message was refused.",
            )
            return outcome
        sessions.save_window(turn.session, stored.row_id, window.to_bytes())
        self._prove(turn, stored)
        return outcome

    def _prove(self, turn: Turn, stored: StoredSession) -> None:
        """A message opened: the peer has the session's keys."""
        if stored.state == SessionState.UNCONFIRMED:
            fresh = sessions.get(turn.session, stored.row_id)  # with the window just written
            self._life.prove(turn, fresh or stored, SessionEvent.OPENED)

    def _again(self, turn: Turn, decoded: Decoded, seen: InboxRow) -> None:
        """The same bytes again: the stored acknowledgement again, and nothing else."""
        self._journal.received(turn, decoded, verified=Verified.GOOD, state="DUPLICATE", note="again")
        if seen.ack is not None:
            ack = thaw(seen.ack)
            self._journal.sent(turn, ack, state="SENT")
            turn.send(ack)

    def _resealed(
        self,
        turn: Turn,
        decoded: Decoded,
        verified: VerifiedEnvelope,
        opened: Opened,
        stored: StoredSession,
        seen: InboxRow,
    ) -> None:
        """A known message sealed again: acknowledged only if it says the same."""
        if substance(verified, opened) != seen.content_hash:
            self._journal.refused_as(
                turn,
                decoded,
                "MESSAGE_ID_REUSED",
                f"{decoded.envelope.sender_id} sent another message under the id of an earlier one; "
                "it was refused.",
            )
            return
        if self._came_before(turn, verified):
            self._again(turn, decoded, seen)
            return
        outcome = self._take_seq(turn, decoded, opened, stored)
        if isinstance(outcome, Duplicate):
            return
        entry = self._journal.received(
            turn,
            decoded,
            verified=Verified.GOOD,
            state="DUPLICATE",
            note="again, sealed anew",
            message_type=verified.content.original_type.value,
            plaintext=opened.plaintext,
            content=opened.content,
            security=_findings(verified, opened),
        )
        if seen.state == STORED:
            self._acknowledge(turn, verified, entry)
        self._release(turn, stored, outcome)

    @staticmethod
    def _came_before(turn: Turn, verified: VerifiedEnvelope) -> bool:
        """Tells whether this very copy was taken before; the log remembers it, the inbox only the first."""
        found = audit_log.by_message(turn.session, verified.envelope.message_id)
        contents = [audit_log.content(turn.session, entry.seq) for entry in found if entry.direction == "in"]
        digest = verified.digest.hex()
        return any(kept is not None and kept.parsed.security.get("digest") == digest for kept in contents)

    def _new(
        self,
        turn: Turn,
        decoded: Decoded,
        contact: Contact,
        verified: VerifiedEnvelope,
        opened: Opened,
        stored: StoredSession,
    ) -> None:
        outcome = self._take_seq(turn, decoded, opened, stored)  # (5)
        if isinstance(outcome, Duplicate):
            return
        problem: WireError | None = None
        try:
            content = parse_content(verified.content.original_type, opened.content)  # (6)
        except WireError as error:
            problem = error
        else:

            def store(own: Turn) -> None:
                self._store(own, decoded, contact, verified, opened, stored, outcome, content)

            if not turn.careful:
                store(turn)
            elif isinstance(turn.apart(store, "handling a received message"), Exception):
                problem = _NOT_HANDLED
        if problem is not None:
            self._set_aside(turn, decoded, contact, verified, opened, problem)
        self._release(turn, stored, outcome)

    def _store(
        self,
        turn: Turn,
        decoded: Decoded,
        contact: Contact,
        verified: VerifiedEnvelope,
        opened: Opened,
        stored: StoredSession,
        outcome: Acceptance,
        content: Content,
    ) -> None:
        entry = self._log(turn, decoded, contact, verified, opened, outcome)
        ack = self._acknowledge(turn, verified, entry)  # (7)
        self._remember(turn, contact, verified, opened, STORED, ack=ack, log_seq=entry.seq)
        if turn.now - (contact.last_exchange_at or 0) >= TOUCH_MS:
            contacts.touch(turn.session, contact.agent_id, turn.now)
            sessions.open_conversation(
                turn.session, contact.agent_id, decoded.envelope.conversation_id, turn.now
            )
        kind = verified.content.original_type
        if isinstance(outcome, Gap):
            by = turn.now + self._ground.timing.gap_wait
            message = HeldMessage(
                session_row=stored.row_id,
                seq=opened.seq,
                message_id=decoded.envelope.message_id,
                message_type=kind.value,
                content=opened.content,
                received_at=turn.now,
                deliver_by=by,
                log_seq=entry.seq,
            )
            inbox.hold(turn.session, message)
            turn.wake("gaps", by)
            if stored.state == SessionState.RETIRED:
                self.replaced(turn, sessions.get(turn.session, stored.row_id) or stored)
            return
        self._hand_on(
            turn,
            Arrived(
                contact=contact,
                conversation_id=decoded.envelope.conversation_id,
                message_id=decoded.envelope.message_id,
                message_type=kind,
                content=content,
                raw=opened.content,
                received_at=turn.now,
                log_seq=entry.seq,
                late=isinstance(outcome, Late),
            ),
        )

    # --------------------------------------------------------------------------------------- the parts

    def _log(
        self,
        turn: Turn,
        decoded: Decoded,
        contact: Contact,
        verified: VerifiedEnvelope,
        opened: Opened,
        outcome: Acceptance,
    ) -> LogEntry:
        notes = []
        if isinstance(outcome, Gap):
            notes.append("ahead of its turn")
        if isinstance(outcome, Late):
            notes.append("late")
        if contact.state == ContactState.KEY_CHANGED:
            notes.append("under a key in doubt")
        return self._journal.received(
            turn,
            decoded,
            message_type=verified.content.original_type.value,
            content=opened.content,
            plaintext=opened.plaintext,
            verified=Verified.GOOD,
            note=", ".join(notes),
            security=_findings(verified, opened),
        )

    def _remember(
        self,
        turn: Turn,
        contact: Contact,
        verified: VerifiedEnvelope,
        opened: Opened,
        state: str,
        *,
        ack: bytes | None = None,
        problem: str = "",
        log_seq: int | None = None,
    ) -> None:
        row = InboxRow(
            peer=contact.agent_id,
            peer_key=contact.identity_key or b"",
            message_id=verified.envelope.message_id,
            digest=verified.digest,
            content_hash=substance(verified, opened),
            received_at=turn.now,
            state=state,
            ack=ack,
            problem=problem,
            log_seq=log_seq,
        )
        inbox.add(turn.session, row)

    def _acknowledge(self, turn: Turn, verified: VerifiedEnvelope, entry: LogEntry) -> bytes:
        """Signs that the message is stored, and where this log stood; returns the ACK's bytes."""
        envelope = verified.envelope
        content = AckContent(
            message_id=envelope.message_id,
            status=AckStatus.DELIVERED,
            log_head=entry.entry_hash,
            signature=sign_receipt(self._ground.identity, verified.digest, entry.entry_hash),
        )
        ack = self._handshakes.control_envelope(
            turn, envelope.sender_id, envelope.conversation_id, control.build(content)
        )
        audit_log.add_anchor(
            turn.session, Anchor(entry.seq, entry.entry_hash, "PEER", envelope.sender_id, turn.now)
        )
        self._journal.sent(turn, ack, state="SENT")
        turn.send(ack)
        return freeze(ack)

    def _set_aside(
        self,
        turn: Turn,
        decoded: Decoded,
        contact: Contact,
        verified: VerifiedEnvelope,
        opened: Opened,
        error: WireError,
    ) -> None:
        """Keeps a message whose content is not valid, and tells its sender, whose row ends with that."""
        entry = self._journal.received(
            turn,
            decoded,
            message_type=verified.content.original_type.value,
            content=opened.content,
            plaintext=opened.plaintext,
            verified=Verified.GOOD,
            state="SET_ASIDE",
            note=f"set aside: {error.field} {error.reason}",
        )
        problem = f"{error.field}: {error.reason}"
        self._remember(turn, contact, verified, opened, SET_ASIDE, problem=problem, log_seq=entry.seq)
        # An ERROR about an ERROR could go back and forth for ever.
        if verified.content.original_type is not MessageType.ERROR:
            self.complain(turn, contact, decoded.envelope.conversation_id, decoded.envelope.message_id, error)

    def complain(
        self, turn: Turn, contact: Contact, conversation_id: str, message_id: str, error: WireError
    ) -> None:
        """Answers a message that cannot be taken with a sealed ERROR, if the contact gets answers."""
        if not may_send(ContactState(contact.state)):
            return
        meaning = ERRORS[ErrorCode.INVALID_MESSAGE_FORMAT]
        content = ErrorContent(
            error_code=ErrorCode.INVALID_MESSAGE_FORMAT.value,
            message=f"{error.field} {error.reason}",
            details={"originalMessageId": message_id, "field": error.field, "reason": error.reason},
            recoverable=meaning.recoverable,
            retry_after=meaning.retry_after_ms,
        )
        self._delivery.post(
            turn, contact, conversation_id, MessageType.ERROR, build_content(content), priority=Priority.HIGH
        )

    # -------------------------------------------------------------------------------------- the order

    def _release(self, turn: Turn, stored: StoredSession, outcome: Acceptance) -> None:
        """Hands on what had waited for the message that just came."""
        if isinstance(outcome, InOrder) and len(outcome.ready) > 1:
            self._hand_on_held(turn, stored, outcome.ready)

    def _hand_on_held(self, turn: Turn, stored: StoredSession, ready: tuple[int, ...]) -> None:
        """Hands on what waited; one that fails is set aside and keeps neither the others nor this turn from going on."""
        contact = contacts.get(turn.session, stored.peer)
        if contact is None or not _is_of(contact, stored):
            inbox.drop(turn.session, stored.row_id)  # whoever sent it is no contact any more
            return
        held = {message.seq: message for message in inbox.held(turn.session, stored.row_id)}
        for seq in ready:
            message = held.get(seq)
            if message is None:
                continue
            inbox.release(turn.session, stored.row_id, seq)
            hand_on = partial(self._hand_on_one, contact=contact, stored=stored, message=message)
            error = turn.apart(hand_on, f"handing on {message.message_id}, which had waited for its turn,")
            if isinstance(error, Exception):
                problem = error if isinstance(error, WireError) else _NOT_HANDLED
                self._set_aside_late(turn, contact, stored, message, problem)

    def _hand_on_one(self, turn: Turn, contact: Contact, stored: StoredSession, message: HeldMessage) -> None:
        kind = MessageType(message.message_type)
        self._hand_on(
            turn,
            Arrived(
                contact=contact,
                conversation_id=stored.conversation_id,
                message_id=message.message_id,
                message_type=kind,
                content=parse_content(kind, message.content),
                raw=message.content,
                received_at=message.received_at,
                log_seq=message.log_seq,
            ),
        )

    def _set_aside_late(
        self, turn: Turn, contact: Contact, stored: StoredSession, message: HeldMessage, error: WireError
    ) -> None:
        """Sets a message aside that was acknowledged when it came and cannot be handled in its turn."""
        problem = f"{error.field}: {error.reason}"
        inbox.put_aside(turn.session, stored.peer_key, message.message_id, problem)
        self._journal.state(turn, message.log_seq, SET_ASIDE, problem)
        if message.message_type != MessageType.ERROR:
            self.complain(turn, contact, stored.conversation_id, message.message_id, error)

    def gaps_due(self, turn: Turn) -> None:
        """Gives up gaps that were waited for long enough, and notes them."""
        for row_id in inbox.overdue(turn.session, turn.now):
            turn.apart(partial(self._gap_due, row_id=row_id), "giving up a gap")
        if (at := inbox.next_deadline(turn.session)) is not None:
            # What could not be handled is looked at again, but not at once for ever.
            turn.wake("gaps", at if at > turn.now else turn.now + MINUTE_MS)

    def _gap_due(self, turn: Turn, row_id: int) -> None:
        stored = sessions.get(turn.session, row_id)
        if stored is None:
            inbox.drop(turn.session, row_id)
        else:
            self._give_up(turn, stored, _window(stored))

    def replaced(self, turn: Turn, stored: StoredSession) -> None:
        """Gives up all gaps of a session that a newer one replaced: what is missing comes sealed anew."""
        window = _window(stored)
        while window.waiting:
            self._give_up(turn, stored, window)

    def _give_up(self, turn: Turn, stored: StoredSession, window: ReceiveWindow) -> None:
        skipped = window.skip()
        sessions.save_window(turn.session, stored.row_id, window.to_bytes(), received=0)
        count = len(skipped.missing)
        name = self._journal.name(turn, stored.peer)
        self._journal.local(
            turn,
            peer=stored.peer,
            message_type="GAP",
            state="LOCAL",
            summary=f"{count} message{'s' if count != 1 else ''} of {name} did not arrive in time",
            conversation_id=stored.conversation_id,
            content={"missing": list(skipped.missing), "sessionId": stored.session_id},
        )
        self._hand_on_held(turn, stored, skipped.ready)

    def _hand_on(self, turn: Turn, message: Arrived) -> None:
        if self.receiver is not None:
            self.receiver.arrived(turn, message)


def _findings(verified: VerifiedEnvelope, opened: Opened) -> dict[str, Any]:
    """What the log keeps of an opened message beside what it says."""
    digest = verified.digest.hex()
    return {"sessionId": verified.content.session_id, "seq": opened.seq, "digest": digest}


def _is_of(contact: Contact, stored: StoredSession) -> bool:
    """Tells whether a session is of the identity that the contact has now, and messages of it are taken."""
    return contact.identity_key == stored.peer_key and may_receive(ContactState(contact.state))


_NOT_HANDLED = WireError("content", "cannot be handled here")


def _window(stored: StoredSession) -> ReceiveWindow:
    return ReceiveWindow.from_bytes(stored.window) if stored.window else ReceiveWindow()
