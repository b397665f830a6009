"""docs/protocol.md sections 8.4 (state of a proposal) and 8.5 (crossing)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.protocol.proposal import (
    TABLE,
    Held,
    IllegalTransition,
    ProposalEvent,
    ProposalState,
    Verdict,
    next_state,
    on_confirmation,
    on_proposal,
    on_rejection,
)

S, E, V = ProposalState, ProposalEvent, Verdict

LEGAL = {
    (S.PENDING, E.ACCEPT): S.ACCEPTED,
    (S.PENDING, E.REJECT): S.REJECTED,
    (S.PENDING, E.EXPIRE): S.EXPIRED,
    (S.PENDING, E.MODIFY): S.MODIFIED,
    (S.ACCEPTED, E.REJECT): S.REJECTED,
    (S.ACCEPTED, E.MODIFY): S.MODIFIED,
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("event", E)
def test_only_what_the_profile_lists_can_happen(state: ProposalState, event: ProposalEvent) -> None:
    if (state, event) in LEGAL:
        assert next_state(state, event) is LEGAL[state, event]
    else:
        with pytest.raises(IllegalTransition):
            next_state(state, event)


def test_every_state_has_its_row() -> None:
    assert set(TABLE) == set(S)


# ------------------------------------------------------------------------------------------- proposals


def test_a_first_proposal_opens() -> None:
    assert on_proposal(None, 1, we_began=False) is V.APPLY


def test_a_later_revision_of_an_unknown_proposal_opens_too() -> None:
    assert on_proposal(None, 3, we_began=False) is V.APPLY


@pytest.mark.parametrize("state", [S.PENDING, S.ACCEPTED])
@pytest.mark.parametrize("ours", [True, False])
def test_a_counter_proposal_opens_the_next_revision(state: ProposalState, ours: bool) -> None:
    assert on_proposal(Held(1, state, ours), 2, we_began=ours) is V.APPLY


@pytest.mark.parametrize("state", [S.REJECTED, S.EXPIRED, S.MODIFIED])
def test_a_counter_to_what_is_over_is_answered_by_rejection(state: ProposalState) -> None:
    assert on_proposal(Held(1, state, ours=True), 2, we_began=True) is V.CLOSED


def test_of_two_equal_revisions_the_original_proposers_wins() -> None:
    ours = Held(2, S.PENDING, ours=True)
    assert on_proposal(ours, 2, we_began=False) is V.REPLACE
    assert on_proposal(ours, 2, we_began=True) is V.STALE


def test_an_equal_revision_does_not_revive_what_is_over() -> None:
    assert on_proposal(Held(2, S.REJECTED, ours=True), 2, we_began=False) is V.CLOSED


def test_the_same_revision_twice_from_one_side_is_stale() -> None:
    assert on_proposal(Held(2, S.PENDING, ours=False), 2, we_began=True) is V.STALE
    assert on_proposal(Held(1, S.PENDING, ours=False), 1, we_began=False) is V.STALE


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("we_began", [True, False])
def test_an_earlier_revision_is_stale(state: ProposalState, ours: bool, we_began: bool) -> None:
    assert on_proposal(Held(3, state, ours), 2, we_began=we_began) is V.STALE


# ------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (S.PENDING, V.APPLY),
        (S.ACCEPTED, V.IGNORE),
        (S.REJECTED, V.CLOSED),
        (S.EXPIRED, V.CLOSED),
        (S.MODIFIED, V.STALE),
    ],
)
def test_a_confirmation_of_our_newest_revision_meets_its_state(
    state: ProposalState, verdict: Verdict
) -> None:
    assert on_confirmation(Held(2, state, ours=True), 2) is verdict


@pytest.mark.parametrize("state", S)
def test_nobody_confirms_their_own_proposal(state: ProposalState) -> None:
    assert on_confirmation(Held(2, state, ours=False), 2) is V.NOT_THEIRS


def test_a_confirmation_of_a_stale_or_unknown_revision_changes_nothing() -> None:
    assert on_confirmation(Held(2, S.PENDING, ours=True), 1) is V.STALE
    assert on_confirmation(Held(2, S.PENDING, ours=True), 3) is V.NOT_THEIRS
    assert on_confirmation(None, 1) is V.NOT_THEIRS


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (S.PENDING, V.APPLY),
        (S.ACCEPTED, V.APPLY),
        (S.REJECTED, V.IGNORE),
        (S.EXPIRED, V.IGNORE),
        (S.MODIFIED, V.IGNORE),
    ],
)
def test_either_side_may_reject_before_and_after_acceptance(
    state: ProposalState, verdict: Verdict, ours: bool
) -> None:
    assert on_rejection(Held(1, state, ours), 1) is verdict


def test_a_rejection_that_crossed_with_our_counter_ends_that_too() -> None:
    assert on_rejection(Held(2, S.PENDING, ours=True), 1) is V.APPLY


def test_a_rejection_of_a_stale_or_unknown_revision_changes_nothing() -> None:
    assert on_rejection(Held(2, S.PENDING, ours=False), 1) is V.STALE
    assert on_rejection(Held(3, S.PENDING, ours=True), 1) is V.STALE
    assert on_rejection(Held(2, S.PENDING, ours=True), 3) is V.NOT_THEIRS
    assert on_rejection(None, 1) is V.NOT_THEIRS


# ------------------------------------------------------------------------------------------- both sides


@dataclass
class Side:
    """One agent's view of one proposal, acting as docs/protocol.md section 8.5 tells it to."""

    began: bool
    newest: Held | None = None
    outbox: list[tuple[str, int]] = field(default_factory=list)

    def send(self, kind: str, revision: int) -> None:
        self.outbox.append((kind, revision))

    def propose(self) -> None:
        if self.newest is None and self.began:
            self._open(1, ours=True)
        elif self.newest and is_open(self.newest.state):
            self._open(self.newest.revision + 1, ours=True)
        else:
            return
        assert self.newest
        self.send("PROPOSAL", self.newest.revision)

    def accept(self) -> None:
        if self.newest and not self.newest.ours and self.newest.state is S.PENDING:
            self._move(E.ACCEPT)
            self.send("CONFIRMATION", self.newest.revision)

    def reject(self) -> None:
        if self.newest and is_open(self.newest.state):
            self._move(E.REJECT)
            self.send("REJECTION", self.newest.revision)

    def expire(self) -> None:
        if self.newest and self.newest.state is S.PENDING:
            self._move(E.EXPIRE)

    def receive(self, kind: str, revision: int) -> None:
        if kind == "PROPOSAL":
            verdict = on_proposal(self.newest, revision, we_began=self.began)
            if verdict in (V.APPLY, V.REPLACE):
                self._open(revision, ours=False)
        elif kind == "CONFIRMATION":
            verdict = on_confirmation(self.newest, revision)
            if verdict is V.APPLY:
                self._move(E.ACCEPT)
        else:
            verdict = on_rejection(self.newest, revision)
            if verdict is V.APPLY:
                self._move(E.REJECT)
        if verdict is V.CLOSED:
            self.send("REJECTION", revision)

    def _open(self, revision: int, *, ours: bool) -> None:
        if self.newest and revision > self.newest.revision:
            next_state(self.newest.state, E.MODIFY)
        self.newest = Held(revision, S.PENDING, ours)

    def _move(self, event: ProposalEvent) -> None:
        assert self.newest
        self.newest = Held(self.newest.revision, next_state(self.newest.state, event), self.newest.ours)


def is_open(state: ProposalState) -> bool:
    return E.MODIFY in TABLE[state]


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["propose", "accept", "reject", "expire", "deliver"])),
    max_size=30,
)


@given(STEPS)
def test_whatever_crosses_nobody_goes_to_a_meeting_that_the_other_has_dropped(
    steps: list[tuple[int, str]],
) -> None:
    sides = (Side(began=True), Side(began=False))
    sides[0].propose()
    for who, step in [*steps, *[(0, "deliver"), (1, "deliver")] * 40]:
        if step == "deliver":
            if sides[who].outbox:
                sides[1 - who].receive(*sides[who].outbox.pop(0))
        else:
            getattr(sides[who], step)()
    assert not sides[0].outbox
    assert not sides[1].outbox
    one, two = (side.newest for side in sides)
    assert one
    assert two
    if S.ACCEPTED in (one.state, two.state):
        assert (one.revision, one.state, one.ours) == (two.revision, two.state, not two.ours)
    if S.PENDING in (one.state, two.state):
        assert {one.state, two.state} <= {S.PENDING, S.EXPIRED}
        assert (one.revision, one.ours) == (two.revision, not two.ours)
