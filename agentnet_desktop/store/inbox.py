"""Messages received: by what duplicates are known, what was answered, what was set aside, what waits for a gap.

Stores what docs/protocol.md, *Duplicates, order, poison*, asks for. It does not judge a message: `crypto` and
the agent do. Duplicates are keyed by (peer identity key, messageId).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select, tuple_
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import InboxModel, ReorderModel
from agentnet_desktop.store.records import Records, changed

STORED = "STORED"
SET_ASIDE = "SET_ASIDE"


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One message received and stored."""

    peer: str
    peer_key: bytes  # the identity key whose signature it carried, 32 bytes
    message_id: str
    digest: bytes  # SHA-256(nonce || ciphertext || header), 32 bytes
    content_hash: bytes  # of data and header without sessionId and commitment: equal for a re-sealed copy
    received_at: int
    state: str = STORED  # or SET_ASIDE: opened, but its content does not validate or cannot be handled
    ack: bytes | None = None  # the acknowledgement's envelope, sent again for a duplicate
    problem: str = ""  # why it was set aside
    log_seq: int | None = None


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A stored message that came ahead of its turn in its session."""

    session_row: int
    seq: int
    message_id: str
    message_type: str
    content: Mapping[str, Any]
    received_at: int
    deliver_by: int  # ms: then delivery goes on with the gap noted
    log_seq: int | None = None


_rows = Records(InboxModel, InboxRow)
_held = Records(ReorderModel, HeldMessage)
_c = _rows.c
_seen = _rows.lookup(_rows.select(_c.peer_key == bindparam("key"), _c.message_id == bindparam("message")))


def seen(session: Session, peer_key: bytes, message_id: str) -> InboxRow | None:
    """Returns what is stored of a message from the holder of this 32-byte key, or None: it is new."""
    return _seen.first(session, key=peer_key, message=message_id)


def add(session: Session, row: InboxRow) -> None:
    """Stores a new message; a repeated one raises `sqlalchemy.exc.IntegrityError`."""
    _rows.add(session, row)


def set_ack(session: Session, peer_key: bytes, message_id: str, ack: bytes) -> None:
    """Stores the acknowledgement's envelope, which duplicates get again."""
    session.execute(_rows.update(_c.peer_key == peer_key, _c.message_id == message_id).values(ack=ack))


def put_aside(session: Session, peer_key: bytes, message_id: str, problem: str) -> None:
    """Sets a stored message aside after all: it could not be handled in its turn."""
    where = (_c.peer_key == peer_key, _c.message_id == message_id)
    session.execute(_rows.update(*where).values(state=SET_ASIDE, problem=problem))


def set_aside(session: Session, limit: int = 1000) -> list[InboxRow]:
    """Returns the messages set aside, newest first."""
    found = _rows.select(_c.state == SET_ASIDE).order_by(_c.received_at.desc()).limit(limit)
    return _rows.all(session, found)


def forget(session: Session, before: int, limit: int = 1000) -> int:
    """Deletes some messages received before a time (ms), after which their senders cannot repeat them."""
    old = select(_c.peer_key, _c.message_id).where(_c.received_at < before).limit(limit)
    return changed(session, _rows.delete(tuple_(_c.peer_key, _c.message_id).in_(old)))


# --- messages ahead of their turn ---


def hold(session: Session, message: HeldMessage) -> None:
    """Keeps a message that came ahead of its turn."""
    _held.add(session, message)


def held(session: Session, session_row: int) -> list[HeldMessage]:
    """Returns the messages of one session that wait for a gap, in order."""
    found = _held.select(_held.c.session_row == session_row).order_by(_held.c.seq)
    return _held.all(session, found)


def pull_in(session: Session, latest: int) -> None:
    """Lets no held message wait longer than until `latest` (ms): the clock was set back since it came."""
    session.execute(_held.update(_held.c.deliver_by > latest).values(deliver_by=latest))


def release(session: Session, session_row: int, seq: int) -> None:
    """Forgets a held message, which is being delivered in the same transaction."""
    session.execute(_held.delete(_held.c.session_row == session_row, _held.c.seq == seq))


def drop(session: Session, session_row: int) -> None:
    """Forgets the held messages of a session that is gone."""
    session.execute(_held.delete(_held.c.session_row == session_row))


def overdue(session: Session, now: int) -> list[int]:
    """Returns the rows of the sessions in which a held message waited long enough at `now` (ms)."""
    statement = select(_held.c.session_row).where(_held.c.deliver_by <= now).distinct()
    return list(session.execute(statement).scalars())


def next_deadline(session: Session) -> int | None:
    """Returns the earliest time (ms) at which a held message is delivered in spite of its gap, or None."""
    earliest: int | None = session.execute(select(func.min(_held.c.deliver_by))).scalar_one()
    return earliest
