"""The life of a proposal: one state table, and what follows when messages cross.

Implements docs/protocol.md section 8.4 (state of a proposal) and 8.5 (crossing). State is kept per (peer,
proposalId, revision). The table says what may happen to one revision; the `on_...` functions say what an
incoming message does to the newest revision that the receiver holds.

This module stores nothing, checks no calendar and no clock, and does not validate contents (`content` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from agentnet_desktop.protocol.table import IllegalTransition, look_up

__all__ = [
    "Held",
    "IllegalTransition",
    "ProposalEvent",
    "ProposalState",
    "Verdict",
    "next_state",
    "on_confirmation",
    "on_proposal",
    "on_rejection",
]


class ProposalState(StrEnum):
    """`status` of a proposal, in the document's words."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    MODIFIED = "MODIFIED"


class ProposalEvent(Enum):
    """What can happen to one revision."""

    ACCEPT = "a CONFIRMATION of it"
    REJECT = "a REJECTION of it: declined, withdrawn or cancelled, by either side"
    EXPIRE = "its expiresAt passed with no answer"
    MODIFY = "a PROPOSAL with a later revision"


TABLE: Final[Mapping[ProposalState, Mapping[ProposalEvent, ProposalState]]] = {
    ProposalState.PENDING: {
        ProposalEvent.ACCEPT: ProposalState.ACCEPTED,
        ProposalEvent.REJECT: ProposalState.REJECTED,
        ProposalEvent.EXPIRE: ProposalState.EXPIRED,
        ProposalEvent.MODIFY: ProposalState.MODIFIED,
    },
    ProposalState.ACCEPTED: {
        ProposalEvent.REJECT: ProposalState.REJECTED,
        ProposalEvent.MODIFY: ProposalState.MODIFIED,
    },
    ProposalState.REJECTED: {},
    ProposalState.EXPIRED: {},
    ProposalState.MODIFIED: {},
}

_OPEN: Final = frozenset({ProposalState.PENDING, ProposalState.ACCEPTED})


def next_state(state: ProposalState, event: ProposalEvent) -> ProposalState:
    """The state that follows.

    Raises:
        IllegalTransition: If the table has no such entry; nothing changes.
    """
    return look_up(TABLE, state, event)


@dataclass(frozen=True, slots=True)
class Held:
    """The newest revision that the receiver of a message holds of a proposal.

    Attributes:
        revision: From 1.
        state: Its state.
        ours: Whether the receiver sent this revision, so that the peer is the one to answer it.
    """

    revision: int
    state: ProposalState
    ours: bool


class Verdict(Enum):
    """What the receiver does with a PROPOSAL, CONFIRMATION or REJECTION."""

    APPLY = "it takes effect on the newest revision, or opens a newer one"
    REPLACE = "equal revisions crossed and the peer's wins: it takes the place of ours"
    IGNORE = "it says what is already so: acknowledge, change nothing"
    STALE = "it names a revision that is no longer the newest: answer with ERROR"
    CLOSED = "it meets EXPIRED or REJECTED: answer with REJECTION of the revision it names"
    NOT_THEIRS = "the peer answers its own revision, or one that does not exist: answer with ERROR"


def on_proposal(newest: Held | None, revision: int, *, we_began: bool) -> Verdict:
    """Judge an incoming PROPOSAL.

    A later revision closes the newest one as MODIFIED, whatever lies between: a revision is complete in
    itself. Of two equal revisions that crossed, the original proposer's wins.

    Args:
        newest: The newest revision held of this (peer, proposalId), if any.
        revision: The revision that came.
        we_began: Whether the receiver sent revision 1.
    """
    if newest is None:
        return Verdict.APPLY
    if revision > newest.revision:
        return Verdict.APPLY if newest.state in _OPEN else Verdict.CLOSED
    if revision == newest.revision and newest.ours and not we_began:
        return Verdict.REPLACE if newest.state in _OPEN else Verdict.CLOSED
    return Verdict.STALE


def on_confirmation(newest: Held | None, revision: int) -> Verdict:
    """Judge an incoming CONFIRMATION; only the side that did not send a revision can accept it."""
    if newest is None or revision > newest.revision:
        return Verdict.NOT_THEIRS
    if revision < newest.revision:
        return Verdict.STALE
    if not newest.ours:
        return Verdict.NOT_THEIRS
    match newest.state:
        case ProposalState.PENDING:
            return Verdict.APPLY
        case ProposalState.ACCEPTED:
            return Verdict.IGNORE
        case ProposalState.MODIFIED:
            return Verdict.STALE
        case _:
            return Verdict.CLOSED


def on_rejection(newest: Held | None, revision: int) -> Verdict:
    """Judge an incoming REJECTION; either side may send one, and when the two sides crossed it wins.

    A REJECTION of the revision that our own newest one answers crossed with it, and so ends that too.
    """
    if newest is None or revision > newest.revision:
        return Verdict.NOT_THEIRS
    crossed = newest.ours and revision == newest.revision - 1
    if revision < newest.revision and not crossed:
        return Verdict.STALE
    return Verdict.APPLY if newest.state in _OPEN else Verdict.IGNORE
