"""Queries: ours that wait for an answer, and peers' that were answered or wait for a person's permission.

Stores what docs/protocol.md, *QUERY* and *RESPONSE*, asks for. What may be answered is the policy's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import OwnQueryModel, PeerQueryModel
from agentnet_desktop.store.prepared import Prepared
from agentnet_desktop.store.records import Records, changed

PENDING = "PENDING"
ANSWERED = "ANSWERED"
REFUSED = "REFUSED"
TIMED_OUT = "TIMED_OUT"
FAILED = "FAILED"
WAITING = "WAITING"
DENIED = "DENIED"


@dataclass(frozen=True, slots=True)
class OwnQuery:
    """A query of ours."""

    request_id: str
    peer: str
    conversation_id: str
    message_id: str
    query_type: str
    parameters: Mapping[str, Any]
    sent_at: int
    deadline: int  # ms: then TIMEOUT_ERROR is raised here
    state: str = PENDING  # ANSWERED, REFUSED (the answer is an error), TIMED_OUT, FAILED
    data: Any | None = None
    error: Any | None = None
    answered_at: int | None = None


@dataclass(frozen=True, slots=True)
class PeerQuery:
    """A query that a peer sent."""

    peer: str
    peer_key: bytes  # 32 bytes
    request_id: str  # the peer's: unique with `peer` only
    conversation_id: str
    message_id: str
    query_type: str
    parameters: Mapping[str, Any]
    received_at: int
    state: str = WAITING  # ANSWERED, DENIED, TIMED_OUT
    answer: Any | None = None  # RESPONSE content prepared for the person, or sent
    expires_at: int | None = None
    answered_at: int | None = None


_own = Records(OwnQueryModel, OwnQuery)
_theirs = Records(PeerQueryModel, PeerQuery)
_own_by_id = _own.lookup(_own.select(_own.c.request_id == bindparam("request")))
_end_own = Prepared(
    _own.update(
        _own.c.request_id == bindparam("request"),
        _own.c.peer == bindparam("from"),
        or_(_own.c.state == PENDING, _own.c.state == TIMED_OUT),
    ).values(
        state=bindparam("to"), data=bindparam("found"), error=bindparam("fault"), answered_at=bindparam("now")
    )
)
_their_by_id = _theirs.lookup(
    _theirs.select(_theirs.c.peer == bindparam("from"), _theirs.c.request_id == bindparam("request"))
)


def add(session: Session, query: OwnQuery) -> None:
    """Stores a query of ours."""
    _own.add(session, query)


def get(session: Session, request_id: str) -> OwnQuery | None:
    """Returns a query of ours, or None."""
    return _own_by_id.first(session, request=request_id)


def answer(
    session: Session, request_id: str, peer: str, state: str, now: int, *, data: Any = None, error: Any = None
) -> bool:
    """Ends a pending query of ours.

    Args:
        session: of the job.
        request_id: which query.
        peer: who answered; another than the one asked changes nothing.
        state: ANSWERED, REFUSED, TIMED_OUT or FAILED.
        now: time in ms.
        data: the answer's data.
        error: the answer's error object.

    Returns:
        False, having changed nothing, when no query of this id to this peer is pending.
    """
    values = {"request": request_id, "from": peer, "to": state, "found": data, "fault": error, "now": now}
    return _end_own.run(session, values).rowcount > 0


def close(session: Session, peer: str, now: int, error: Any) -> list[OwnQuery]:
    """Ends the queries of ours to a peer for good: not even a late answer counts any more.

    Args:
        session: of the job.
        peer: who was asked.
        now: time in ms.
        error: what those that still wait are answered with.

    Returns:
        Those that still waited.
    """
    waiting = _own.all(session, _own.select(_own.c.peer == peer, _own.c.state == PENDING))
    ended = _own.update(_own.c.peer == peer, _own.c.state == PENDING)
    session.execute(ended.values(state=FAILED, error=error, answered_at=now))
    session.execute(_own.update(_own.c.peer == peer, _own.c.state == TIMED_OUT).values(state=FAILED))
    return waiting


def pending(session: Session) -> list[OwnQuery]:
    """Returns the queries of ours without an answer, oldest first."""
    return _own.all(session, _own.select(_own.c.state == PENDING).order_by(_own.c.sent_at))


def overdue(session: Session, now: int) -> list[OwnQuery]:
    """Returns the pending queries of ours whose deadline has passed at `now` (ms)."""
    found = _own.select(_own.c.state == PENDING, _own.c.deadline <= now)
    return _own.all(session, found.order_by(_own.c.deadline))


def next_deadline(session: Session) -> int | None:
    """Returns the earliest deadline (ms) of a pending query of ours, or None."""
    statement = select(func.min(_own.c.deadline)).where(_own.c.state == PENDING)
    earliest: int | None = session.execute(statement).scalar_one()
    return earliest


def pull_in(session: Session, latest: int) -> None:
    """Lets no pending query of ours wait longer than until `latest` (ms): the clock was set back since."""
    late = (_own.c.state == PENDING, _own.c.deadline > latest)
    session.execute(_own.update(*late).values(deadline=latest))


# --- peers' queries ---


def add_peer_query(session: Session, query: PeerQuery) -> None:
    """Stores a peer's query; a repeated (peer, requestId) raises `sqlalchemy.exc.IntegrityError`."""
    _theirs.add(session, query)


def peer_query(session: Session, peer: str, request_id: str) -> PeerQuery | None:
    """Returns a peer's query, or None."""
    return _their_by_id.first(session, **{"from": peer, "request": request_id})


def forget_peer_query(session: Session, query: PeerQuery) -> None:
    """Forgets a settled query of a peer, whose id another identity under the same agentId now uses."""
    session.execute(_theirs.delete(_theirs.c.peer == query.peer, _theirs.c.request_id == query.request_id))


def find_peer_queries(session: Session, request_id: str) -> list[PeerQuery]:
    """Returns the queries with this id, of all peers: a person's command may name one without its peer."""
    return _theirs.all(session, _theirs.select(_theirs.c.request_id == request_id))


def waiting_requests(session: Session) -> list[PeerQuery]:
    """Returns the peers' queries that wait for a person, oldest first."""
    found = _theirs.select(_theirs.c.state == WAITING).order_by(_theirs.c.received_at)
    return _theirs.all(session, found)


def answer_peer_query(
    session: Session, peer: str, request_id: str, state: str, now: int, answered: Any | None = None
) -> bool:
    """Ends a waiting query of a peer: ANSWERED, DENIED or TIMED_OUT, with the answer sent.

    Returns:
        False, having changed nothing, when it does not wait any more.
    """
    c = _theirs.c
    statement = _theirs.update(c.peer == peer, c.request_id == request_id, c.state == WAITING)
    return changed(session, statement.values(state=state, answer=answered, answered_at=now)) > 0
