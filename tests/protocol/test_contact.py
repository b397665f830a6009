"""docs/protocol.md section 10.1 (contact states)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.protocol.contact import (
    TABLE,
    ContactEvent,
    ContactState,
    IllegalTransition,
    gets_answers,
    may_answer_automatically,
    may_receive,
    may_send,
    next_state,
    refusal,
)

S, E = ContactState, ContactEvent
TRUSTED = {S.APPROVED, S.VERIFIED}


def test_a_stranger_who_asks_waits_for_the_person() -> None:
    assert next_state(S.UNKNOWN, E.ASKED) is S.PENDING
    assert next_state(S.PENDING, E.ASKED) is S.PENDING


@pytest.mark.parametrize("state", [S.UNKNOWN, S.PENDING])
def test_approval_a_proof_or_a_read_key_let_a_stranger_in(state: ContactState) -> None:
    assert next_state(state, E.APPROVE) is S.APPROVED
    assert next_state(state, E.PROVE) is S.APPROVED
    assert next_state(state, E.VERIFY) is S.VERIFIED


@pytest.mark.parametrize("state", [S.APPROVED, S.VERIFIED, S.BLOCKED, S.KEY_CHANGED])
def test_a_proof_moves_nobody_else(state: ContactState) -> None:
    assert next_state(state, E.PROVE) is state


@pytest.mark.parametrize("state", S)
def test_asking_again_lifts_nobody_who_is_known(state: ContactState) -> None:
    if state is not S.UNKNOWN:
        assert next_state(state, E.ASKED) is state


def test_verification_is_not_lost_by_approving_again() -> None:
    assert next_state(S.APPROVED, E.APPROVE) is S.APPROVED
    assert next_state(S.VERIFIED, E.APPROVE) is S.VERIFIED
    assert next_state(S.APPROVED, E.VERIFY) is S.VERIFIED
    assert next_state(S.VERIFIED, E.VERIFY) is S.VERIFIED


@pytest.mark.parametrize("state", S)
def test_anyone_can_be_blocked(state: ContactState) -> None:
    assert next_state(state, E.BLOCK) is S.BLOCKED


def test_only_the_person_lifts_a_block() -> None:
    assert {event for event in E if TABLE[S.BLOCKED].get(event, S.BLOCKED) is not S.BLOCKED} == {E.APPROVE}


@pytest.mark.parametrize("state", sorted(TRUSTED))
def test_another_key_stops_a_trusted_contact(state: ContactState) -> None:
    assert next_state(state, E.CHANGE_KEY) is S.KEY_CHANGED


@pytest.mark.parametrize("state", [S.BLOCKED, S.KEY_CHANGED])
def test_another_key_changes_nothing_for_who_is_stopped_already(state: ContactState) -> None:
    assert next_state(state, E.CHANGE_KEY) is state


def test_a_changed_key_is_accepted_as_approved_and_not_as_verified() -> None:
    assert next_state(S.KEY_CHANGED, E.ACCEPT_KEY) is S.APPROVED


@pytest.mark.parametrize("state", sorted(TRUSTED))
def test_refusing_a_changed_key_restores_what_was(state: ContactState) -> None:
    assert next_state(next_state(state, E.CHANGE_KEY), refusal(state)) is state


@pytest.mark.parametrize("state", sorted(set(S) - TRUSTED))
def test_a_refusal_restores_no_other_state(state: ContactState) -> None:
    with pytest.raises(ValueError, match="does not come from"):
        refusal(state)


@pytest.mark.parametrize("state", sorted(set(S) - {S.KEY_CHANGED}))
@pytest.mark.parametrize("event", [E.ACCEPT_KEY, E.REFUSE_KEY_APPROVED, E.REFUSE_KEY_VERIFIED])
def test_a_key_is_judged_only_after_it_changed(state: ContactState, event: ContactEvent) -> None:
    with pytest.raises(IllegalTransition):
        next_state(state, event)


def test_a_changed_key_is_neither_approved_nor_verified_in_passing() -> None:
    for event in (E.APPROVE, E.VERIFY):
        with pytest.raises(IllegalTransition):
            next_state(S.KEY_CHANGED, event)


def test_a_stranger_has_no_key_that_could_change() -> None:
    for state in (S.UNKNOWN, S.PENDING):
        with pytest.raises(IllegalTransition):
            next_state(state, E.CHANGE_KEY)


def test_only_the_trusted_are_sent_to_and_answered() -> None:
    for allowed in (may_send, may_answer_automatically, gets_answers):
        assert {state for state in S if allowed(state)} == TRUSTED


def test_a_changed_key_still_receives_under_the_pinned_one() -> None:
    assert {state for state in S if may_receive(state)} == TRUSTED | {S.KEY_CHANGED}


@given(st.lists(st.sampled_from([E.ASKED, E.CHANGE_KEY])))
def test_nothing_that_a_stranger_sends_makes_them_trusted(events: list[ContactEvent]) -> None:
    state = S.UNKNOWN
    for event in events:
        if event in TABLE[state]:
            state = next_state(state, event)
    assert state not in TRUSTED
