"""Proposals: one row for each revision with each peer.

Stores what docs/protocol.md, *PROPOSAL*, asks for. Which state follows which is `protocol.proposal`'s table;
`decide` here only refuses to write over a state that the caller did not expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import ProposalModel
from agentnet_desktop.store.records import Records, changed


@dataclass(frozen=True, slots=True)
class StoredProposal:
    """One revision of one proposal with one peer. `state` is a `protocol.proposal.ProposalState` value."""

    peer: str
    peer_key: bytes  # the peer's identity key when it was made, 32 bytes
    proposal_id: str
    revision: int
    conversation_id: str
    direction: str  # "in": a person here decides; "out": the peer does
    original_direction: str  # of revision 1: whose proposal it is; wins between equal revisions
    content: Mapping[str, Any]  # the PROPOSAL's content, whole, in JSON form
    message_id: str
    start: int  # of the main slot, ms
    end: int
    created_at: int
    state: str = "PENDING"
    expires_at: int | None = None
    chosen_alternative: int = 0
    reason: str = ""  # of a rejection
    note: str = ""  # the peer's or the person's own words with it
    group_id: str = ""  # names one meeting of several participants
    event_id: str = ""  # of the calendar event made for it, so that only one is made
    decided_at: int | None = None
    log_seq: int | None = None


_rows = Records(ProposalModel, StoredProposal)
_c = _rows.c
_in_state = _rows.lookup(
    _rows.select(_c.state == bindparam("wanted")).order_by(_c.expires_at.is_(None), _c.expires_at, _c.start)
)


def add(session: Session, proposal: StoredProposal) -> None:
    """Stores a new revision; a repeated (peer, proposalId, revision) raises `sqlalchemy.exc.IntegrityError`."""
    _rows.add(session, proposal)


def get(session: Session, peer: str, proposal_id: str, revision: int) -> StoredProposal | None:
    """Returns one revision, or None."""
    return _rows.one(session, _c.peer == peer, _c.proposal_id == proposal_id, _c.revision == revision)


def latest(session: Session, peer: str, proposal_id: str) -> StoredProposal | None:
    """Returns the newest revision of a proposal with a peer, or None."""
    found = _rows.select(_c.peer == peer, _c.proposal_id == proposal_id).order_by(_c.revision.desc())
    return next(iter(_rows.all(session, found.limit(1))), None)


def revisions(session: Session, proposal_id: str, peer: str | None = None) -> list[StoredProposal]:
    """Returns all revisions of a proposal, with one peer or all, oldest first."""
    where = [_c.proposal_id == proposal_id] + ([] if peer is None else [_c.peer == peer])
    return _rows.all(session, _rows.select(*where).order_by(_c.peer, _c.revision))


def of_group(session: Session, group_id: str) -> list[StoredProposal]:
    """Returns all revisions that belong to one meeting of several participants."""
    return _rows.all(session, _rows.select(_c.group_id == group_id).order_by(_c.peer, _c.revision))


def pending_with(session: Session, peer: str) -> list[StoredProposal]:
    """Returns the PENDING revisions with a peer, under whichever identity key of it."""
    found = _rows.select(_c.peer == peer, _c.state == "PENDING")
    return _rows.all(session, found.order_by(_c.created_at))


def carry_over(session: Session, peer: str, before: bytes, after: bytes) -> None:
    """Makes what was agreed with a peer under one identity key count under another, which the person accepted."""
    session.execute(_rows.update(_c.peer == peer, _c.peer_key == before).values(peer_key=after))


def set_apart(session: Session, peer: str, proposal_id: str, name: str) -> list[StoredProposal]:
    """Gives all revisions of a proposal another name here, for its id is used by another identity now.

    Args:
        session: of the job.
        peer: with whom.
        proposal_id: as it was.
        name: no id of the protocol, so that it is never used again.

    Returns:
        The revisions under their new name.
    """
    session.execute(_rows.update(_c.peer == peer, _c.proposal_id == proposal_id).values(proposal_id=name))
    return revisions(session, name, peer)


def save(session: Session, proposal: StoredProposal) -> None:
    """Writes all fields of a stored revision.

    Raises:
        LookupError: there is no such revision.
    """
    _rows.save(session, proposal)


def decide(
    session: Session,
    proposal: StoredProposal,
    state: str,
    now: int,
    *,
    alternative: int = 0,
    reason: str = "",
    note: str = "",
) -> bool:
    """Moves a revision from the state in `proposal` to `state`.

    Returns:
        False, having changed nothing, when the stored state is no longer the one in `proposal`.
    """
    statement = _rows.update(
        _c.peer == proposal.peer,
        _c.proposal_id == proposal.proposal_id,
        _c.revision == proposal.revision,
        _c.state == proposal.state,
    )
    values = {"state": state, "chosen_alternative": alternative, "reason": reason, "note": note}
    return changed(session, statement.values(**values, decided_at=now)) > 0


def claim_event(session: Session, proposal: StoredProposal, event_id: str) -> bool:
    """Notes the calendar event made for a revision; False when one was noted before."""
    statement = _rows.update(
        _c.peer == proposal.peer,
        _c.proposal_id == proposal.proposal_id,
        _c.revision == proposal.revision,
        _c.event_id == "",
    )
    return changed(session, statement.values(event_id=event_id)) > 0


def every(session: Session, limit: int = 1000) -> list[StoredProposal]:
    """Returns the newest revisions of all proposals, in any state, newest first."""
    return _rows.all(session, _rows.select().order_by(_c.created_at.desc(), _c.revision.desc()).limit(limit))


def in_state(session: Session, state: str) -> list[StoredProposal]:
    """Returns all revisions in one state, soonest deadline first, those without one last."""
    return _in_state.all(session, wanted=state)


def expired(session: Session, now: int) -> list[StoredProposal]:
    """Returns the PENDING revisions whose time is over at `now` (ms)."""
    return _rows.all(
        session, _rows.select(_c.state == "PENDING", _c.expires_at <= now).order_by(_c.expires_at)
    )


def next_deadline(session: Session) -> int | None:
    """Returns the earliest expiry (ms) of a PENDING revision, or None."""
    statement = select(func.min(_c.expires_at)).where(_c.state == "PENDING", _c.expires_at.is_not(None))
    earliest: int | None = session.execute(statement).scalar_one()
    return earliest


def between(session: Session, start: int, end: int, states: tuple[str, ...]) -> list[StoredProposal]:
    """Returns the revisions in one of `states` whose main slot overlaps [start, end) (ms): holds and meetings."""
    where = (_c.state.in_(states), _c.start < end, _c.end > start)
    return _rows.all(session, _rows.select(*where).order_by(_c.start))
