"""docs/protocol.md section 7.10 (rotation and loss): the life of a session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.protocol.session import (
    PENDING_LIFE_MS,
    PENDING_RESEND_MS,
    REHANDSHAKE_MS,
    TABLE,
    TRANSITION_MS,
    IllegalTransition,
    SessionEvent,
    SessionState,
    may_open,
    may_seal,
    next_state,
    wants_rotation,
)

S, E = SessionState, SessionEvent
DAY = 24 * 3_600_000


def test_ours_is_active_once_it_is_answered() -> None:
    assert next_state(S.PENDING, E.ANSWERED) is S.ACTIVE


@pytest.mark.parametrize("event", [E.CONFIRMED, E.OPENED])
def test_theirs_is_active_once_they_have_shown_that_they_have_the_keys(event: SessionEvent) -> None:
    assert next_state(S.UNCONFIRMED, event) is S.ACTIVE


@pytest.mark.parametrize("state", [S.ACTIVE, S.RETIRED])
@pytest.mark.parametrize("event", [E.CONFIRMED, E.OPENED])
def test_a_repeated_confirmation_changes_nothing(state: SessionState, event: SessionEvent) -> None:
    assert next_state(state, event) is state


@pytest.mark.parametrize("event", [E.REPLACED, E.ENDED])
def test_a_session_that_was_used_retires_before_it_closes(event: SessionEvent) -> None:
    assert next_state(S.ACTIVE, event) is S.RETIRED
    assert next_state(S.RETIRED, event) is S.RETIRED
    assert next_state(S.RETIRED, E.LAPSED) is S.CLOSED


@pytest.mark.parametrize("state", [S.PENDING, S.UNCONFIRMED])
@pytest.mark.parametrize("event", [E.REPLACED, E.ENDED, E.LAPSED])
def test_a_session_that_was_never_used_closes_at_once(state: SessionState, event: SessionEvent) -> None:
    assert next_state(state, event) is S.CLOSED


@pytest.mark.parametrize("state", S)
def test_keys_can_always_be_wiped(state: SessionState) -> None:
    assert next_state(state, E.WIPED) is S.CLOSED


@given(st.lists(st.sampled_from(E)))
def test_a_closed_session_stays_closed(events: list[SessionEvent]) -> None:
    for event in events:
        if event is not E.WIPED:
            with pytest.raises(IllegalTransition):
                next_state(S.CLOSED, event)


@pytest.mark.parametrize("event", [E.CONFIRMED, E.OPENED])
def test_without_keys_nothing_is_confirmed_or_opened(event: SessionEvent) -> None:
    with pytest.raises(IllegalTransition):
        next_state(S.PENDING, event)


def test_only_a_pending_session_is_answered() -> None:
    for state in set(S) - {S.PENDING}:
        with pytest.raises(IllegalTransition):
            next_state(state, E.ANSWERED)


def test_an_active_session_does_not_lapse_by_itself() -> None:
    with pytest.raises(IllegalTransition):
        next_state(S.ACTIVE, E.LAPSED)


def test_messages_are_sealed_only_under_what_is_active() -> None:
    assert [state for state in S if may_seal(state)] == [S.ACTIVE]
    assert [state for state in S if may_open(state)] == [S.UNCONFIRMED, S.ACTIVE, S.RETIRED]
    assert set(TABLE) == set(S)


@pytest.mark.parametrize(
    ("age", "messages", "due"),
    [(0, 0, False), (30 * DAY - 1, 999, False), (30 * DAY, 0, True), (0, 1_000, True)],
)
def test_a_session_is_rotated_after_thirty_days_or_a_thousand_messages(
    age: int, messages: int, due: bool
) -> None:
    assert wants_rotation(age_ms=age, messages=messages) is due


def test_the_times_are_those_of_the_document() -> None:
    assert TRANSITION_MS == 86_400_000
    assert PENDING_LIFE_MS == 604_800_000
    assert PENDING_RESEND_MS == 3_600_000
    assert REHANDSHAKE_MS == 60_000
