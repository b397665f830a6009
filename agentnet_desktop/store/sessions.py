"""Conversations, and the sessions (the keys of one handshake each) inside them.

Stores what docs/protocol.md, *Handshake* and *Rotation and loss*, asks for: a pending handshake with its
ephemeral private key, both handshake envelopes as they were sent, the session keys, the counters of both
directions. It does not derive keys or decide which state follows: `crypto` and `protocol` do. Keys are bytes
in the encrypted database; `wipe` overwrites them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from sqlalchemy import Table, bindparam, delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import ConversationModel, ReorderModel, SessionModel
from agentnet_desktop.store.prepared import Prepared
from agentnet_desktop.store.records import Lookup, Records, changed


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation with one peer."""

    peer: str
    conversation_id: str
    created_at: int
    last_at: int
    subject: str = ""
    ended_at: int | None = None
    last_handshake_at: int | None = None  # handshakes after a lost session: at most one a minute


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One handshake and the session that came of it. `row_id` 0 means not stored yet."""

    peer: str
    peer_key: bytes  # the peer's identity key, 32 bytes; b"" while a handshake of ours does not know it
    conversation_id: str
    session_id: str
    role: str  # "INITIATOR" or "RESPONDER"
    state: str  # a `protocol.session.SessionState` value, such as PENDING UNCONFIRMED ACTIVE RETIRED CLOSED
    message_id: str  # of our own HANDSHAKE envelope in it
    created_at: int
    keys: bytes | None = field(default=None, repr=False)  # `SessionKeys.to_bytes()`, 80 bytes
    ephemeral: bytes | None = field(
        default=None, repr=False
    )  # our X25519 private key while pending, 32 bytes
    initiation: bytes | None = None  # the initiator's envelope, bytes as sent or received
    response: bytes | None = None  # the responder's envelope, likewise
    next_seq: int = 1  # of the next message that we seal
    window: bytes = b""  # `ReceiveWindow.to_bytes()`
    message_count: int = 0  # in both directions; rotation looks at it
    attempts: int = 0  # sendings of our handshake envelope
    next_attempt_at: int | None = None  # when it is sent again; None when nothing is due
    confirmed_at: int | None = None
    retired_at: int | None = None
    wipe_at: int | None = None  # when the keys of a retired session go
    row_id: int = 0


_conversations = Records(ConversationModel, Conversation)
_sessions = Records(SessionModel, StoredSession)
_c = _sessions.c
_of = _conversations.c
_open = insert(_conversations.table)
_open_conversation = _conversations.insertion(
    _open.on_conflict_do_update(set_={"last_at": _open.excluded.last_at})
)
_with_peer = _conversations.lookup(
    _conversations.select(_of.peer == bindparam("peer")).order_by(_of.last_at.desc())
)
_add = _sessions.insertion(without="row_id")
_take_seq = Prepared(
    _sessions.update(_c.row_id == bindparam("row"))
    .values(next_seq=_c.next_seq + 1, message_count=_c.message_count + 1)
    .returning(_c.next_seq)
)
_set_window = Prepared(
    _sessions.update(_c.row_id == bindparam("row")).values(
        window=bindparam("bits"), message_count=_c.message_count + bindparam("received")
    )
)
_by_row = _sessions.lookup(_sessions.select(_c.row_id == bindparam("row")))
_states_in = Prepared(
    select(_c.state).where(_c.peer == bindparam("peer"), _c.conversation_id == bindparam("conversation"))
)
_by_session_id = _sessions.lookup(
    _sessions.select(_c.session_id == bindparam("id"), _c.peer == bindparam("peer")).order_by(
        _c.row_id.desc()
    )
)


# --- conversations ---


def open_conversation(session: Session, peer: str, conversation_id: str, now: int, subject: str = "") -> None:
    """Notes a conversation, or that something happened in it at `now` (ms)."""
    _open_conversation.run(session, Conversation(peer, conversation_id, now, now, subject))


def conversation(session: Session, peer: str, conversation_id: str) -> Conversation | None:
    """Returns one conversation, or None."""
    c = _conversations.c
    return _conversations.one(session, c.peer == peer, c.conversation_id == conversation_id)


def conversations(session: Session, peer: str) -> list[Conversation]:
    """Returns a peer's conversations, the latest first."""
    return _with_peer.all(session, peer=peer)


def save_conversation(session: Session, record: Conversation) -> None:
    """Writes all fields of a known conversation.

    Raises:
        LookupError: there is no such conversation.
    """
    _conversations.save(session, record)


# --- sessions ---


def add(session: Session, record: StoredSession) -> int:
    """Stores a new handshake or session and returns its `row_id`."""
    return _add.run(session, record)


def get(session: Session, row_id: int) -> StoredSession | None:
    """Returns one session by its row, or None."""
    return _by_row.first(session, row=row_id)


def save(session: Session, record: StoredSession) -> None:
    """Writes all fields of a stored session.

    Raises:
        LookupError: there is no such session.
    """
    _sessions.save(session, record)


def by_session_id(session: Session, peer: str, session_id: str) -> list[StoredSession]:
    """Returns a peer's sessions with this id, under whichever identity key, newest first.

    A stranger's use of the same id is never among them.
    """
    return _by_session_id.all(session, id=session_id, peer=peer)


def by_message_id(session: Session, peer: str, message_id: str) -> StoredSession | None:
    """Returns the session in which our HANDSHAKE envelope had this id, or None."""
    return _sessions.one(session, _c.message_id == message_id, _c.peer == peer)


def in_conversation(
    session: Session, peer: str, conversation_id: str, states: tuple[str, ...] = ()
) -> list[StoredSession]:
    """Returns a conversation's sessions, newest first; all of them, or those in one of `states`."""
    return _in_conversation(states).all(session, peer=peer, conversation=conversation_id)


def states_in(session: Session, peer: str, conversation_id: str) -> set[str]:
    """Returns the states that a conversation's sessions are in; an index alone tells."""
    found = _states_in.run(session, {"peer": peer, "conversation": conversation_id})
    return {state for (state,) in found}


@cache
def _in_conversation(states: tuple[str, ...]) -> Lookup[StoredSession]:
    """A selection of its own for the states: a conversation that lives long has many sessions behind it."""
    where = [_c.peer == bindparam("peer"), _c.conversation_id == bindparam("conversation")]
    if states:
        where.append(or_(*(_c.state == str(state) for state in states)))
    return _sessions.lookup(_sessions.select(*where).order_by(_c.row_id.desc()))


def of_peer(session: Session, peer: str, states: Collection[str] = ()) -> list[StoredSession]:
    """Returns all sessions with a peer, newest first; all of them, or those in one of `states`."""
    found = _sessions.all(session, _sessions.select(_c.peer == peer).order_by(_c.row_id.desc()))
    return [record for record in found if not states or record.state in states]


def in_states(session: Session, states: Collection[str]) -> list[StoredSession]:
    """Returns the sessions of all peers in one of `states`, newest first."""
    return _sessions.all(session, _sessions.select(_c.state.in_(states)).order_by(_c.row_id.desc()))


def take_seq(session: Session, row_id: int) -> int:
    """Takes the next send sequence number (from 1) and counts the message.

    Raises:
        LookupError: there is no such session.
    """
    row = _take_seq.run(session, {"row": row_id}).fetchone()
    if row is None:
        raise LookupError(f"no session has row {row_id}")
    return int(row[0]) - 1


def save_window(session: Session, row_id: int, window: bytes, received: int = 1) -> None:
    """Stores the receive window after `received` more messages were opened."""
    _set_window.run(session, {"row": row_id, "bits": window, "received": received})


def due(session: Session, now: int, limit: int = 64) -> list[StoredSession]:
    """Returns the sessions whose handshake envelope is due to be sent again, the longest due first."""
    found = _sessions.select(_c.next_attempt_at.is_not(None), _c.next_attempt_at <= now)
    return _sessions.all(session, found.order_by(_c.next_attempt_at).limit(limit))


def next_deadline(session: Session) -> int | None:
    """Returns the earliest time (ms) at which a handshake is due or keys are to be wiped, or None."""
    resend = select(func.min(_c.next_attempt_at)).where(_c.next_attempt_at.is_not(None)).scalar_subquery()
    wiping = select(func.min(_c.wipe_at)).where(_c.wipe_at.is_not(None)).scalar_subquery()
    times = [time for time in session.execute(select(resend, wiping)).one() if time is not None]
    return min(times, default=None)


def wipe(session: Session, row_id: int, state: str) -> None:
    """Overwrites a session's keys and ephemeral key with nothing and sets its state."""
    gone = _sessions.update(_c.row_id == row_id).values(
        keys=None, ephemeral=None, wipe_at=None, next_attempt_at=None, state=state
    )
    session.execute(gone)


def wipe_due(session: Session, now: int, state: str) -> list[int]:
    """Wipes every session whose time for that has come, sets their state, and returns their rows."""
    where = (_c.wipe_at.is_not(None), _c.wipe_at <= now)
    rows = list(session.execute(select(_c.row_id).where(*where)).scalars())
    for row_id in rows:
        wipe(session, row_id, state)
    return rows


def wipe_peer(session: Session, peer: str, state: str, peer_key: bytes | None = None) -> int:
    """Wipes all sessions with a peer, or those under one identity key of it; returns how many had keys."""
    where = [_c.peer == peer, (_c["keys"].is_not(None)) | (_c.ephemeral.is_not(None))]
    if peer_key is not None:
        where.append(_c.peer_key == peer_key)
    rows = list(session.execute(select(_c.row_id).where(*where)).scalars())
    for row_id in rows:
        wipe(session, row_id, state)
    return len(rows)


def pull_in(session: Session, now: int, *, repeats: Mapping[str, int], kept: Mapping[str, int]) -> None:
    """Mends what was planned under a clock that was set back since: nothing is made, repeated or wiped too late.

    Args:
        session: of the job.
        now: time in ms.
        repeats: by state, the longest wait until a handshake is sent again, ms; one that waits longer is due now.
        kept: by state, the longest time for which keys are kept, ms.
    """
    for state, span in repeats.items():
        late = (_c.next_attempt_at.is_not(None), _c.next_attempt_at > now + span, _c.state == state)
        session.execute(_sessions.update(*late).values(next_attempt_at=now))
    for state, span in kept.items():
        late = (_c.wipe_at.is_not(None), _c.wipe_at > now + span, _c.state == state)
        session.execute(_sessions.update(*late).values(wipe_at=now + span))
    session.execute(_sessions.update(_c.created_at > now).values(created_at=now))
    session.execute(_conversations.update(_of.last_handshake_at > now).values(last_handshake_at=None))


def remove(session: Session, row_id: int) -> None:
    """Deletes one session, such as a superseded handshake of a stranger."""
    changed(session, _sessions.delete(_c.row_id == row_id))


def remove_peer(session: Session, peer: str) -> None:
    """Deletes all sessions and conversations with a peer, and the messages that were held in them.

    A row's number may be given out again, and no message may turn up in somebody else's session.
    """
    held = cast(Table, ReorderModel.__table__)
    session.execute(delete(held).where(held.c.session_row.in_(select(_c.row_id).where(_c.peer == peer))))
    session.execute(_sessions.delete(_c.peer == peer))
    session.execute(_conversations.delete(_conversations.c.peer == peer))
