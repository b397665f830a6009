"""A pure model of one agent in one conversation: sessions, outbox, inbox, and nothing else.

It uses the real cryptography and the real state tables, and stands for what an agent must do with them. Time is a
count of ticks; what would be on disk survives `restart`, which goes through the stored forms of keys and windows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.handshake import (
    build_initiation,
    build_response,
    check_confirmation,
    check_initiation,
    check_response,
    confirmation_tag,
    derive,
    initiator_wins,
)
from agentnet_desktop.crypto.keys import EphemeralKey
from agentnet_desktop.crypto.replay import Duplicate, Gap, InOrder, Late, ReceiveWindow
from agentnet_desktop.crypto.session import (
    Opened,
    SessionKeys,
    Verified,
    open_sealed,
    seal,
    sign_receipt,
    substance,
    verify_receipt,
    verify_sealed,
)
from agentnet_desktop.protocol.session import SessionEvent, SessionState, may_open, may_seal, next_state
from relay.wire.envelope import Envelope, MessageType, b64decode, b64encode, metadata
from tests.crypto.people import identity

CONVERSATION = "conv_1"
_RESPONSE_REPEATS = 4  # of the retry schedule; then an unconfirmed session lapses
_HEAD = bytes(32)


@dataclass
class Session:
    session_id: str
    age: int  # in order of making
    state: SessionState
    initiation: Envelope
    private: bytes = b""
    response: Envelope | None = None
    keys: SessionKeys | None = None
    next_seq: int = 1
    repeats: int = 0
    window: ReceiveWindow = field(default_factory=ReceiveWindow)
    waiting: dict[int, int | None] = field(default_factory=dict)  # seq -> text; None: a copy handed on before


@dataclass
class Row:
    """One message on its way."""

    message_id: str
    text: int
    digests: list[bytes] = field(default_factory=list)
    envelope: Envelope | None = None
    delivered: bool = False


@dataclass
class Received:
    digests: list[bytes]
    substance: bytes


class Agent:
    """One of two agents. `out` is what it has put on the wire, for the test to carry."""

    def __init__(self, name: str, peer: str) -> None:
        self.name, self.peer = name, peer
        self.identity, self.peer_key = identity(name), identity(peer).public
        self.sessions: dict[str, Session] = {}
        self.rows: list[Row] = []
        self.inbox: dict[str, Received] = {}
        self.handed: list[tuple[int, str]] = []  # (text, "", "gap" or "late")
        self.out: list[Envelope] = []
        self._count: Iterator[int] = itertools.count(1)

    # --------------------------------------------------------------------------- what a person or a timer starts

    def send(self, text: int) -> None:
        self.rows.append(Row(self._id("msg"), text))
        self._seal_and_send(self.rows[-1])

    def rotate(self) -> None:
        """Start a handshake, unless one of ours is pending."""
        if self._pending() is None:
            session_id = self._id("sess")
            ephemeral = EphemeralKey.from_seed(session_id.encode().ljust(32, b"."))
            envelope = build_initiation(
                self.identity,
                ephemeral,
                agent_id=self.name,
                peer_id=self.peer,
                conversation_id=CONVERSATION,
                message_id=self._id("msg"),
                session_id=session_id,
                timestamp=1,
            )
            self._add(Session(session_id, 0, SessionState.PENDING, envelope, private=ephemeral.private))
            self.out.append(envelope)

    def tick(self) -> None:
        """Repeat what is unanswered, with the same bytes; start a handshake if something waits for one."""
        for session in list(self.sessions.values()):
            if session.state is SessionState.PENDING:
                self.out.append(session.initiation)
            elif session.state is SessionState.UNCONFIRMED and session.response is not None:
                session.repeats += 1
                if session.repeats > _RESPONSE_REPEATS:
                    self._step(session, SessionEvent.LAPSED)
                else:
                    self.out.append(session.response)
        for row in self.rows:
            if not row.delivered:
                if row.envelope is None:
                    self._seal_and_send(row)
                else:
                    self.out.append(row.envelope)

    def give_up_gaps(self) -> None:
        """The 30 s that a gap is waited for are over."""
        for session in self._by_age():
            self._give_up(session)

    def restart(self) -> None:
        """Everything goes through its stored form and back."""
        for session in self.sessions.values():
            session.window = ReceiveWindow.from_bytes(session.window.to_bytes())
            if session.keys is not None:
                session.keys = SessionKeys.from_bytes(session.keys.to_bytes())

    def lose_sessions(self) -> None:
        """As after a restored backup, but for the inbox."""
        self.give_up_gaps()
        self.sessions.clear()
        for row in self.rows:
            row.envelope = None

    # --------------------------------------------------------------------------- what comes in

    def receive(self, envelope: Envelope) -> None:
        match envelope.message_type:
            case MessageType.HANDSHAKE if envelope.requires_response:
                self._initiation(envelope)
            case MessageType.HANDSHAKE:
                self._response(envelope)
            case MessageType.ENCRYPTED:
                self._encrypted(envelope)
            case _:
                self._ack(envelope)

    def _initiation(self, envelope: Envelope) -> None:
        offer = check_initiation(envelope, own_id=self.name)
        known = self.sessions.get(offer.session_id)
        if known is not None:
            if known.initiation == envelope and known.response is not None:
                self.out.append(known.response)
            return
        ours = self._pending()
        if ours is not None:
            if initiator_wins(self.name, self.peer):
                return
            self._step(ours, SessionEvent.WIPED)
        ephemeral = EphemeralKey.from_seed(self._id("eph").encode().ljust(32, b"."))
        answer = build_response(self.identity, ephemeral, offer, message_id=self._id("msg"), timestamp=1)
        keys = derive(ephemeral.private, offer.public_key, initiation=envelope, response=answer)
        self._add(
            Session(offer.session_id, 0, SessionState.UNCONFIRMED, envelope, response=answer, keys=keys)
        )
        self.out.append(answer)

    def _response(self, envelope: Envelope) -> None:
        session = self.sessions.get(envelope.content["sessionId"])
        if session is None or (session.keys is None and session.state is not SessionState.PENDING):
            return
        if session.state is SessionState.PENDING:
            offer = check_response(envelope, initiation=session.initiation, own_id=self.name)
            session.keys = derive(
                session.private, offer.public_key, initiation=session.initiation, response=envelope
            )
            session.response, session.private = envelope, b""
            self._confirm(session)
            self._step(session, SessionEvent.ANSWERED)
            self._activated(session)
        elif session.response == envelope:
            self._confirm(session)

    def _confirm(self, session: Session) -> None:
        assert session.keys is not None and session.response is not None
        tag = confirmation_tag(session.keys, session.response)
        self._acknowledge(session.response.message_id, "CONFIRMED", tag=b64encode(tag))

    def _encrypted(self, envelope: Envelope) -> None:
        verified = verify_sealed(envelope, identity_key=self.peer_key, own_id=self.name)
        before = self.inbox.get(envelope.message_id)
        if before is not None and verified.digest in before.digests:
            self._receipt(verified)
            return
        session = self.sessions.get(verified.content.session_id)
        if session is None or session.keys is None or not may_open(session.state):
            self.rotate()
            return
        try:
            opened = open_sealed(verified, session.keys)
        except CryptoError:
            self.rotate()
            return
        was = session.state
        self._step(session, SessionEvent.OPENED)
        if was is SessionState.UNCONFIRMED:
            self._activated(session)
        self._store(session, verified, opened, before)

    def _store(self, session: Session, verified: Verified, opened: Opened, before: Received | None) -> None:
        said = substance(verified, opened)
        if before is not None:
            assert before.substance == said, "a copy sealed again says the same"
            before.digests.append(verified.digest)
        else:
            self.inbox[verified.envelope.message_id] = Received([verified.digest], said)
        text = None if before is not None and not self._take_back(opened) else int(opened.content["text"])
        place = session.window.accept(opened.seq)
        match place:
            case InOrder(ready):
                session.waiting[opened.seq] = text
                for seq in ready:
                    self._hand_on(session, seq, "")
            case Gap():
                session.waiting[opened.seq] = text
                if session.state is SessionState.RETIRED:
                    self._give_up(session)  # what fills the gap is sealed again in the newer session
            case Late():
                session.waiting[opened.seq] = text
                self._hand_on(session, opened.seq, "late")
            case Duplicate():
                raise AssertionError("a seq was used twice")
            case _:
                raise AssertionError("a seq ran away")
        self._receipt(verified)

    def _take_back(self, opened: Opened) -> bool:
        """Whether the first copy still waits for a gap in some session: then this one takes its place."""
        for session in self.sessions.values():
            for seq, text in session.waiting.items():
                if text == opened.content["text"]:
                    session.waiting[seq] = None
                    return True
        return False

    def _receipt(self, verified: Verified) -> None:
        signature = sign_receipt(self.identity, verified.digest, _HEAD)
        self._acknowledge(
            verified.envelope.message_id,
            "DELIVERED",
            logHead=b64encode(_HEAD),
            signature=b64encode(signature),
        )

    def _ack(self, envelope: Envelope) -> None:
        about = envelope.content["messageId"]
        if envelope.content["status"] == "CONFIRMED":
            self._confirmed(about, b64decode(envelope.content["tag"], field="tag"))
            return
        row = next((row for row in self.rows if row.message_id == about), None)
        signature = b64decode(envelope.content["signature"], field="signature")
        for digest in row.digests if row is not None else []:
            try:
                verify_receipt(self.peer_key, digest, _HEAD, signature)
            except CryptoError:
                continue
            assert row is not None
            row.delivered = True

    def _confirmed(self, message_id: str, tag: bytes) -> None:
        for session in self.sessions.values():
            if session.response is None or session.response.message_id != message_id or session.keys is None:
                continue
            check_confirmation(session.keys, session.response, tag)
            was = session.state
            self._step(session, SessionEvent.CONFIRMED)
            if was is SessionState.UNCONFIRMED:
                self._activated(session)
            return

    # --------------------------------------------------------------------------- parts

    def current(self) -> Session | None:
        """The newest session that seals."""
        sealing = [session for session in self._by_age() if may_seal(session.state)]
        return sealing[-1] if sealing else None

    def _activated(self, session: Session) -> None:
        """Retire what is older, hand on what waited there, and seal again what is undelivered."""
        current = self.current()
        assert current is not None
        for other in self._by_age():
            if other.age < current.age and other.state is not SessionState.CLOSED:
                self._step(other, SessionEvent.REPLACED)
                self._give_up(other)
        if session is current:
            for row in self.rows:
                if not row.delivered:
                    row.envelope = None
                    self._seal_and_send(row)

    def _seal_and_send(self, row: Row) -> None:
        session = self.current()
        if session is None or session.keys is None:
            if not any(s.state is SessionState.UNCONFIRMED for s in self.sessions.values()):
                self.rotate()
            return
        sealed = seal(
            session.keys,
            self.identity,
            session_id=session.session_id,
            seq=session.next_seq,
            message_id=row.message_id,
            conversation_id=CONVERSATION,
            sender_id=self.name,
            recipient_id=self.peer,
            original_type=MessageType.QUERY,
            content={"text": row.text},
            timestamp=1,
            metadata=metadata(encrypted=True, requires_response=True),
            opening=self._id("opening").encode().ljust(32, b"."),
            hedge=self._id("hedge").encode().ljust(32, b"."),
        )
        session.next_seq += 1
        row.envelope = sealed.envelope
        row.digests.append(sealed.digest)
        self.out.append(sealed.envelope)

    def _give_up(self, session: Session) -> None:
        """Hand on all that waits in a session, noting each gap at the first message behind it."""
        mark = ""
        while session.window.waiting:
            mark = "gap"
            for seq in session.window.skip().ready:
                if self._hand_on(session, seq, mark):
                    mark = ""

    def _hand_on(self, session: Session, seq: int, mark: str) -> bool:
        """False for a copy of what was handed on before."""
        text = session.waiting.pop(seq)
        if text is not None:
            self.handed.append((text, mark))
        return text is not None

    def _acknowledge(self, message_id: str, status: str, **content: Any) -> None:
        self.out.append(
            Envelope(
                message_id=self._id("msg"),
                conversation_id=CONVERSATION,
                sender_id=self.name,
                recipient_id=self.peer,
                message_type=MessageType.ACK,
                content={"messageId": message_id, "status": status, **content},
                timestamp=1,
                metadata=metadata(encrypted=False, requires_response=False),
            )
        )

    def _step(self, session: Session, event: SessionEvent) -> None:
        session.state = next_state(session.state, event)
        if session.state is SessionState.CLOSED and session.keys is not None:
            session.keys.wipe()
            session.keys = None

    def _pending(self) -> Session | None:
        return next((s for s in self.sessions.values() if s.state is SessionState.PENDING), None)

    def _by_age(self) -> list[Session]:
        return sorted(self.sessions.values(), key=lambda session: session.age)

    def _add(self, session: Session) -> None:
        session.age = next(self._count)
        self.sessions[session.session_id] = session

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self.name}_{next(self._count)}"
