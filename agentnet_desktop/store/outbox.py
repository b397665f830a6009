"""Messages of ours on their way: what waits, in which order it goes, when it is tried again, what became of it.

Stores what docs/protocol.md, *Delivery*, asks for. Which state follows which is `protocol.delivery`'s table;
callers pass the outcome in. Order: FIFO inside a conversation, HIGH before NORMAL before LOW between
conversations; an urgent message lifts what stands before it in its own conversation. A row with
`next_attempt_at` None waits for something other than time (a session, presence, a person) and costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Integer, and_, bindparam, case, func, literal_column, not_, or_, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import OutboxDigestModel, OutboxModel
from agentnet_desktop.store.prepared import Prepared
from agentnet_desktop.store.records import Records, changed

RANKS: Mapping[str, int] = {"HIGH": 0, "NORMAL": 1, "LOW": 2}


class OutboxRow(msgspec.Struct, frozen=True):
    """One message on its way. `state` and `reason` are `protocol.delivery` values."""

    message_id: str
    peer: str
    conversation_id: str
    message_type: str  # of the inner message
    content: Mapping[str, Any]  # inner content in JSON form
    envelope_metadata: Mapping[str, Any]
    timestamp: int  # the envelope's, ms
    created_at: int
    expires_at: int
    priority: str = "NORMAL"
    state: str = "QUEUED"
    reason: str = ""  # typed: why it waits or failed
    session_row: int | None = None  # under which session it is sealed
    seq: int | None = None  # its sequence number there
    sealed: bytes | None = None  # the sealed envelope, as stored before its first sending
    attempts: int = 0
    next_attempt_at: int | None = None  # None: waits for a session, presence or a person, or is settled
    settled_at: int | None = None  # when it became DELIVERED, EXPIRED or FAILED
    log_seq: int | None = None  # its entry in the log
    subject: str = ""  # what it is about: "proposal/…" or "query/…"; the caller's word
    position: int = 0  # given when stored; grows


@dataclass(frozen=True, slots=True)
class _Digest:
    digest: bytes
    message_id: str
    sent_at: int


_rows = Records(OutboxModel, OutboxRow)
_digests = Records(OutboxDigestModel, _Digest)
_c = _rows.c
_by_id = _rows.lookup(_rows.select(_c.message_id == bindparam("message")))
_add = Prepared(insert(_rows.table), [column.name for column in _c if column.name != "position"])
_add_digest = _digests.insertion(insert(_digests.table).on_conflict_do_nothing())
_digests_of = _digests.lookup(
    _digests.select(_digests.c.message_id == bindparam("message")).order_by(_digests.c.sent_at)
)
_last_waiting = Prepared(
    select(_c.rank)
    .where(
        _c.peer == bindparam("to"),
        _c.conversation_id == bindparam("conversation"),
        _c.state == literal_column("'QUEUED'"),
    )
    .order_by(_c.position.desc())
    .limit(1)
)
_lift = Prepared(
    _rows.update(
        _c.peer == bindparam("to"),
        _c.conversation_id == bindparam("conversation"),
        _c.state == "QUEUED",
        _c.rank > bindparam("most"),
    ).values(rank=bindparam("most"))
)
# The plus keeps SQLite from choosing the index by time: with 100,000 rows due it would sort them all.
_by_now = literal_column("+outbox.next_attempt_at", Integer) <= bindparam("now")
_ahead = _rows.table.alias("ahead")
# Looked up for each row in turn, so that those behind a row that waits cost no place among the `limit` first.
_kept_back = (
    select(literal_column("1"))
    .where(
        _ahead.c.peer == _c.peer,
        _ahead.c.conversation_id == _c.conversation_id,
        _ahead.c.state == literal_column("'QUEUED'"),  # as the index says it
        _ahead.c.position < _c.position,
        or_(_ahead.c.next_attempt_at.is_(None), _ahead.c.next_attempt_at > bindparam("now")),
    )
    .correlate(_rows.table)
    .exists()
)
_left_out = _c.peer.in_(select(func.json_each(bindparam("without")).table_valued("value").c.value))
_due = _rows.lookup(
    _rows.select(
        _c.next_attempt_at.is_not(None),
        _by_now,
        or_(_c.state != "QUEUED", and_(not_(_left_out), not_(_kept_back))),
    )
    .order_by(_c.rank, _c.position)
    .limit(bindparam("most"))
)
_in_flight = select(_c.message_id, _c.peer).where(
    _c.settled_at.is_(None), _c.state.in_(("IN_FLIGHT", "ROUTED"))
)
_any_queued = Prepared(select(_c.position).where(_c.state == "QUEUED").limit(1))
_behind = (
    select(
        _c.position,
        func.min(_c.rank).over(partition_by=_c.conversation_id, order_by=_c.position.desc()).label("least"),
    )
    .where(_c.peer == bindparam("to"), _c.settled_at.is_(None))
    .subquery()
)
_keep_order = Prepared(
    _rows.update(_c.position == _behind.c.position, _c.rank > _behind.c.least).values(rank=_behind.c.least)
)
_this = _rows.update(_c.message_id == bindparam("message"))
_move = Prepared(
    _this.values(
        state=bindparam("to"),
        reason=bindparam("why"),
        next_attempt_at=bindparam("at"),
        settled_at=bindparam("settled"),
    )
)
_set_state = Prepared(_this.values(state=bindparam("to")))
_attempt = Prepared(
    _this.values(state=bindparam("to"), attempts=_c.attempts + 1, next_attempt_at=bindparam("at"), reason="")
)
_seal = Prepared(
    _this.values(session_row=bindparam("row"), seq=bindparam("number"), sealed=bindparam("envelope"))
)
_log = Prepared(_this.values(log_seq=bindparam("entry")))
_first_attempt = select(func.min(_c.next_attempt_at)).where(_c.next_attempt_at.is_not(None))
_next_attempt = Prepared(_first_attempt)
_next_attempt_again = Prepared(_first_attempt.where(_c.state != "QUEUED"))
_next_expiry = Prepared(select(func.min(_c.expires_at)).where(_c.settled_at.is_(None)))


def add(session: Session, row: OutboxRow) -> int:
    """Queues a message and returns its position.

    A priority other than HIGH, NORMAL or LOW raises `KeyError`, a repeated message id
    `sqlalchemy.exc.IntegrityError`.
    """
    rank = RANKS[row.priority]
    if row.state == "QUEUED":  # one that goes at once had nothing before it
        lane = {"to": row.peer, "conversation": row.conversation_id}
        last = _last_waiting.run(session, lane).fetchone()
        if last is not None and last[0] > rank:  # no row stands behind one that is less urgent
            _lift.run(session, lane | {"most": rank})
    return int(_add.run(session, _rows.values(row) | {"rank": rank}).lastrowid or 0)


def get(session: Session, message_id: str) -> OutboxRow | None:
    """Returns one message of ours, settled or not, or None."""
    return _by_id.first(session, message=message_id)


def due(session: Session, now: int, limit: int = 64, *, without: Sequence[str] = ()) -> list[OutboxRow]:
    """Returns what can be sent at `now` (ms), in the order in which it must be sent.

    A message behind a QUEUED one of its conversation that cannot be sent yet is left out, and so is what waits
    QUEUED for one of the peers `without`. What was sent already comes up again in any case.
    """
    return _due.all(session, now=now, most=limit, without=json.dumps(list(without)))


def any_queued(session: Session) -> bool:
    """Tells whether any message is QUEUED."""
    return _any_queued.run(session, {}).fetchone() is not None


def in_flight(session: Session) -> dict[str, str]:
    """Returns the messages that were sent and are not settled: their peers by their ids."""
    return {row.message_id: row.peer for row in session.execute(_in_flight)}


def next_attempt(session: Session, *, again: bool = False) -> int | None:
    """Returns the earliest time (ms) at which a message is due, or None when none waits for time.

    With `again`, what waits QUEUED does not count: there is no room for it.
    """
    statement = _next_attempt_again if again else _next_attempt
    earliest: int | None = statement.run(session, {}).fetchone()[0]
    return earliest


def next_expiry(session: Session) -> int | None:
    """Returns the earliest time (ms) at which an unsettled message expires, or None when there is none."""
    earliest: int | None = _next_expiry.run(session, {}).fetchone()[0]
    return earliest


def expired(session: Session, now: int, limit: int = 64) -> list[OutboxRow]:
    """Returns the unsettled messages whose time is over, the longest over first."""
    statement = _rows.select(_c.settled_at.is_(None), _c.expires_at <= now)
    return _rows.all(session, statement.order_by(_c.expires_at).limit(limit))


def set_sealed(
    session: Session, message_id: str, *, session_row: int, seq: int, sealed: bytes, digest: bytes, now: int
) -> None:
    """Stores the sealed bytes of a message, made under one session with one sequence number.

    Args:
        session: of the job; take the sequence number in the same one.
        message_id: of the message.
        session_row: the session's row.
        seq: the sequence number, from 1.
        sealed: the envelope's bytes, which every retry repeats.
        digest: SHA-256(nonce || ciphertext || header), 32 bytes; a receipt for it settles the message.
        now: time in ms.
    """
    _seal.run(session, {"message": message_id, "row": session_row, "number": seq, "envelope": sealed})
    add_digest(session, message_id, digest, now)


def add_digest(session: Session, message_id: str, digest: bytes, now: int) -> None:
    """Stores the 32-byte digest of a ciphertext of a message, for one that was added with its sealed bytes."""
    _add_digest.run(session, _Digest(digest, message_id, now))


def digests(session: Session, message_id: str) -> list[bytes]:
    """Returns the digests of all ciphertexts ever stored for a message, oldest first."""
    return [record.digest for record in _digests_of.all(session, message=message_id)]


def count_attempt(session: Session, message_id: str, state: str, next_attempt_at: int | None) -> None:
    """Counts an attempt before it is made, and sets the state (IN_FLIGHT) and the time of the next (ms)."""
    _attempt.run(session, {"message": message_id, "to": state, "at": next_attempt_at})


def give_back_attempt(session: Session, message_id: str) -> None:
    """Takes back an attempt that was counted: the relay handed the message to nobody."""
    statement = _rows.update(_c.message_id == message_id, _c.attempts > 0)
    session.execute(statement.values(attempts=_c.attempts - 1))


def give_back_attempts(session: Session, now: int, peer: str | None = None) -> int:
    """Takes back the last attempt of messages whose time for a receipt was cut short at `now` (ms); returns how many.

    The connection was lost, or with `peer` that peer went offline, before it was time to send them again. Otherwise
    a few minutes of a bad network would use up the attempts of a message that has days.
    """
    where = [_c.state.in_(("IN_FLIGHT", "ROUTED")), _c.next_attempt_at > now, _c.attempts > 0]
    if peer is not None:
        where.append(_c.peer == peer)
    return changed(session, _rows.update(*where).values(attempts=_c.attempts - 1))


def move(
    session: Session, message_id: str, state: str, *, next_attempt_at: int | None = None, reason: str = ""
) -> None:
    """Sets the state of an unsettled message, why it waits, and when it is due (None: not by time)."""
    values = {"message": message_id, "to": state, "why": reason, "at": next_attempt_at, "settled": None}
    _move.run(session, values)


def set_state(session: Session, message_id: str, state: str) -> None:
    """Sets the state of a message that was sent and nothing else: most indexes need not be touched."""
    _set_state.run(session, {"message": message_id, "to": state})


def settle(session: Session, message_id: str, state: str, now: int, reason: str = "") -> None:
    """Ends a message's way: DELIVERED, EXPIRED or FAILED. Its sealed bytes and content stay for the log's sake."""
    values = {"message": message_id, "to": state, "why": reason, "at": None, "settled": now}
    _move.run(session, values)


def wake_peer(session: Session, peer: str, now: int, reasons: Sequence[str] = ()) -> int:
    """Makes a peer's waiting QUEUED messages due at `now` (ms): it came online, or a session stands.

    Args:
        session: of the job.
        peer: agentId.
        now: time in ms.
        reasons: wakes only those that wait for one of these; empty: all.

    Returns:
        How many were woken.
    """
    where = [_c.peer == peer, _c.state == "QUEUED", _c.settled_at.is_(None)]
    where.append(or_(_c.next_attempt_at.is_(None), _c.next_attempt_at > now))
    if reasons:
        where.append(_c.reason.in_(reasons))
    return changed(session, _rows.update(*where).values(next_attempt_at=now, reason=""))


def wake_conversation(session: Session, peer: str, conversation_id: str, now: int) -> int:
    """Makes the waiting QUEUED messages of one conversation due at `now` (ms); returns how many."""
    where = [_c.peer == peer, _c.conversation_id == conversation_id, _c.state == "QUEUED"]
    where.append(or_(_c.next_attempt_at.is_(None), _c.next_attempt_at > now))
    return changed(session, _rows.update(*where).values(next_attempt_at=now, reason=""))


def wait_conversation(session: Session, peer: str, conversation_id: str, reason: str) -> None:
    """Lets the QUEUED messages of a conversation that are due wait for `reason`: the first of them does."""
    where = (_c.peer == peer, _c.conversation_id == conversation_id, _c.state == "QUEUED")
    waits = _rows.update(*where, _c.next_attempt_at.is_not(None))
    session.execute(waits.values(next_attempt_at=None, reason=reason))


def keep_order(session: Session, peer: str) -> None:
    """Lets an urgent message lift what stands before it in its conversation again, after some went back to QUEUED.

    When it was added, what stood before it may have been on its way, and so was not lifted.
    """
    _keep_order.run(session, {"to": peer})


def under_way(session: Session, peer: str) -> list[OutboxRow]:
    """Returns a peer's messages that were sent and are not settled, in order; at most as many as may be in flight."""
    where = (_c.peer == peer, _c.settled_at.is_(None), _c.state.in_(("IN_FLIGHT", "ROUTED")))
    return _rows.all(session, _rows.select(*where).order_by(_c.position))


def park_peer(
    session: Session, peer: str, reason: str, probe_at: int | None = None, *, beside: str = ""
) -> int:
    """Puts a peer's unsettled messages back to QUEUED, waiting for `reason` (the peer is offline, a key changed).

    The oldest one is due again at `probe_at` (ms), if given; those behind it wait for it. What waits for the reason
    `beside` goes on waiting for that.

    Returns:
        How many wait.
    """
    where = [_c.peer == peer, _c.settled_at.is_(None)]
    if beside:
        where.append(_c.reason != beside)
    parked = changed(
        session, _rows.update(*where).values(state="QUEUED", next_attempt_at=None, reason=reason)
    )
    if probe_at is not None:
        oldest = select(func.min(_c.position)).where(*where).scalar_subquery()
        session.execute(_rows.update(_c.position == oldest).values(next_attempt_at=probe_at))
    keep_order(session, peer)
    return parked


def unseal_conversation(
    session: Session, peer: str, conversation_id: str, now: int | None
) -> list[OutboxRow]:
    """Takes back the sealed bytes of a conversation's unsettled messages, because its session was replaced.

    They become QUEUED, due at `now` (ms) or, with None, waiting; message ids and digests stay.

    Returns:
        The messages in order, as they now stand: to be sealed again under the new session.
    """
    c = _c
    where = (c.peer == peer, c.conversation_id == conversation_id, c.settled_at.is_(None))
    session.execute(
        _rows.update(*where).values(
            session_row=None, seq=None, sealed=None, state="QUEUED", next_attempt_at=now
        )
    )
    keep_order(session, peer)
    return _rows.all(session, _rows.select(*where).order_by(c.position))


def set_log_seq(session: Session, message_id: str, log_seq: int) -> None:
    """Notes which entry of the log stands for a message."""
    _log.run(session, {"message": message_id, "entry": log_seq})


def cancel(session: Session, message_id: str, now: int, reason: str) -> bool:
    """Ends an unsettled message as FAILED because a person said so; tells whether it was unsettled."""
    statement = _rows.update(_c.message_id == message_id, _c.settled_at.is_(None))
    values = {"state": "FAILED", "reason": reason, "next_attempt_at": None, "settled_at": now}
    return changed(session, statement.values(**values)) > 0


def retry(session: Session, message_id: str, now: int, expires_at: int) -> bool:
    """Queues a message again at once because a person said so: failed, expired or waiting ones.

    Attempts start again at 0; a sealed copy is kept. DELIVERED ones are left alone.

    Returns:
        Whether the message is on its way again.
    """
    statement = _rows.update(_c.message_id == message_id, _c.state != "DELIVERED")
    later = case((_c.expires_at > expires_at, _c.expires_at), else_=expires_at)
    values = {"state": "QUEUED", "reason": "", "attempts": 0, "next_attempt_at": now, "settled_at": None}
    return changed(session, statement.values(**values, expires_at=later)) > 0


def waiting(session: Session, limit: int = 1000) -> list[OutboxRow]:
    """Returns the unsettled messages, oldest first."""
    return _rows.all(session, _rows.select(_c.settled_at.is_(None)).order_by(_c.position).limit(limit))


def listed(session: Session, limit: int = 1000) -> list[OutboxRow]:
    """Returns the unsettled messages, and the FAILED and EXPIRED ones, which a person may retry; newest first."""
    stuck = or_(_c.settled_at.is_(None), _c.state.in_(("FAILED", "EXPIRED")))
    return _rows.all(session, _rows.select(stuck).order_by(_c.position.desc()).limit(limit))


def of_peer(session: Session, peer: str, conversation_id: str | None = None) -> list[OutboxRow]:
    """Returns a peer's unsettled messages in order, of all conversations or one."""
    where = [_c.peer == peer, _c.settled_at.is_(None)]
    if conversation_id is not None:
        where.append(_c.conversation_id == conversation_id)
    return _rows.all(session, _rows.select(*where).order_by(_c.position))


def delivered(session: Session, limit: int = 200) -> list[OutboxRow]:
    """Returns the last messages that were delivered and are not forgotten yet, newest first."""
    newest = _rows.select(_c.state == "DELIVERED").order_by(_c.position.desc()).limit(limit)
    return _rows.all(session, newest)


def count_waiting(session: Session) -> int:
    """Returns how many messages are unsettled."""
    statement = select(func.count()).select_from(_rows.table).where(_c.settled_at.is_(None))
    return int(session.execute(statement).scalar_one())


def recover(session: Session, now: int) -> int:
    """Makes everything that was on its way when the process ended due at `now` (ms); returns how many."""
    later = or_(_c.next_attempt_at.is_(None), _c.next_attempt_at > now)
    where = (_c.state.in_(("IN_FLIGHT", "ROUTED")), later)
    return changed(session, _rows.update(*where).values(next_attempt_at=now))


def pull_in(session: Session, now: int, *, retry: int, life: int) -> int:
    """Mends what was planned under a clock that was set back since.

    Args:
        session: of the job.
        now: time in ms.
        retry: the longest wait for the next attempt, ms; what waits longer is due now.
        life: the longest life of a message, ms; none expires later than that from now.

    Returns:
        How many messages are due now because of it.
    """
    late = (_c.settled_at.is_(None), _c.expires_at > now + life)
    session.execute(_rows.update(*late).values(expires_at=now + life))
    waits = (_c.next_attempt_at.is_not(None), _c.next_attempt_at > now + retry)
    return changed(session, _rows.update(*waits).values(next_attempt_at=now))


def forget_settled(session: Session, before: int, limit: int = 1000, states: Sequence[str] = ()) -> int:
    """Deletes messages settled before a time (ms), of all outcomes or some, with their digests; returns how many."""
    where = [_c.settled_at.is_not(None), _c.settled_at < before]
    if states:
        where.append(_c.state.in_(states))
    old = select(_c.message_id).where(*where).limit(limit)
    gone = list(session.execute(old).scalars())
    session.execute(_digests.delete(_digests.c.message_id.in_(gone)))
    return changed(session, _rows.delete(_c.message_id.in_(gone)))
