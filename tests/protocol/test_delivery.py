"""docs/protocol.md section 9 (delivery)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.protocol.delivery import (
    LIFETIME_MS,
    MAX_ATTEMPTS,
    MAY_PASS,
    PROBE_MS,
    TABLE,
    DeliveryEvent,
    DeliveryState,
    FailureReason,
    IllegalTransition,
    expiry,
    is_final,
    next_state,
    on_error,
    retry_delay_ms,
    send_order,
)
from relay.wire.envelope import Priority
from relay.wire.errors import ERRORS, ErrorCode

S, E = DeliveryState, DeliveryEvent
OPEN = [S.QUEUED, S.IN_FLIGHT, S.ROUTED]
OVER = [S.DELIVERED, S.EXPIRED, S.FAILED]


def test_a_message_goes_from_the_queue_to_the_peers_disk() -> None:
    state = S.QUEUED
    for event in (E.SENT, E.ROUTED, E.RECEIPT):
        state = next_state(state, event)
    assert state is S.DELIVERED


@pytest.mark.parametrize("state", S)
def test_a_receipt_is_believed_whenever_it_comes(state: DeliveryState) -> None:
    assert next_state(state, E.RECEIPT) is S.DELIVERED


@pytest.mark.parametrize("state", OPEN)
def test_a_message_on_its_way_may_go_back_expire_or_fail(state: DeliveryState) -> None:
    assert next_state(state, E.SENT) is S.IN_FLIGHT
    assert next_state(state, E.ROUTED) is S.ROUTED
    assert next_state(state, E.NOT_FOUND) is S.QUEUED
    assert next_state(state, E.RESEALED) is S.QUEUED
    assert next_state(state, E.RESEND) is S.QUEUED
    assert next_state(state, E.EXPIRE) is S.EXPIRED
    assert next_state(state, E.FAIL) is S.FAILED


def test_a_lost_connection_puts_back_what_was_in_flight_and_nothing_else() -> None:
    after = {state: next_state(state, E.DISCONNECTED) for state in S}
    assert after == {**{state: state for state in S}, S.IN_FLIGHT: S.QUEUED}


@pytest.mark.parametrize("state", OVER)
@pytest.mark.parametrize("event", [E.SENT, E.RESEALED, E.EXPIRE, E.FAIL])
def test_what_is_over_is_not_sent_sealed_expired_or_failed_again(
    state: DeliveryState, event: DeliveryEvent
) -> None:
    with pytest.raises(IllegalTransition):
        next_state(state, event)


@pytest.mark.parametrize("state", OVER)
@pytest.mark.parametrize("event", [E.ROUTED, E.NOT_FOUND])
def test_a_late_word_from_the_relay_changes_nothing(state: DeliveryState, event: DeliveryEvent) -> None:
    assert next_state(state, event) is state


def test_a_person_may_retry_what_expired_or_failed_but_not_what_arrived() -> None:
    assert next_state(S.EXPIRED, E.RESEND) is S.QUEUED
    assert next_state(S.FAILED, E.RESEND) is S.QUEUED
    with pytest.raises(IllegalTransition):
        next_state(S.DELIVERED, E.RESEND)


def test_what_is_over_is_told_apart() -> None:
    assert [state for state in S if is_final(state)] == OVER
    assert set(TABLE) == set(S)


@given(st.lists(st.sampled_from(E), max_size=20))
def test_delivered_stays_delivered_whatever_happens(events: list[DeliveryEvent]) -> None:
    state = S.DELIVERED
    for event in events:
        if event in TABLE[state]:
            state = next_state(state, event)
    assert state is S.DELIVERED


# ------------------------------------------------------------------------------------------- times


def test_retries_double_from_five_seconds_to_five_minutes() -> None:
    assert MAX_ATTEMPTS == 12
    assert [retry_delay_ms(n) for n in range(1, MAX_ATTEMPTS + 1)] == [
        5_000, 10_000, 20_000, 40_000, 80_000, 160_000, *[300_000] * 6,
    ]  # fmt: skip
    assert PROBE_MS == 300_000
    assert retry_delay_ms(10**9) == 300_000


@pytest.mark.parametrize("attempts", [0, -1])
def test_no_retry_comes_before_the_first_attempt(attempts: int) -> None:
    with pytest.raises(ValueError, match="attempt"):
        retry_delay_ms(attempts)


def test_a_message_expires_after_a_week_and_a_proposal_with_itself() -> None:
    assert LIFETIME_MS == 604_800_000
    assert expiry(1_000) == 604_801_000
    assert expiry(1_000, 5_000) == 5_000
    assert expiry(1_000, 999_999_999_999) == 604_801_000


def test_high_goes_before_normal_before_low() -> None:
    assert sorted([Priority.LOW, Priority.NORMAL, Priority.HIGH], key=send_order) == [
        Priority.HIGH,
        Priority.NORMAL,
        Priority.LOW,
    ]


# ------------------------------------------------------------------------------------------- errors


def test_a_recipient_who_is_not_there_costs_no_attempt() -> None:
    for recoverable in (True, False):
        assert on_error("RECIPIENT_NOT_FOUND", recoverable=recoverable, resent=False) is E.NOT_FOUND


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - {ErrorCode.RECIPIENT_NOT_FOUND}))
def test_what_cannot_be_mended_fails(code: str) -> None:
    assert on_error(code, recoverable=False, resent=False) is E.FAIL


def test_a_message_found_malformed_is_sent_once_more_and_then_fails() -> None:
    assert on_error("INVALID_MESSAGE_FORMAT", recoverable=True, resent=False) is E.RESEND
    assert on_error("INVALID_MESSAGE_FORMAT", recoverable=True, resent=True) is E.FAIL


@pytest.mark.parametrize(
    "code",
    [
        *(
            code
            for code, meaning in ERRORS.items()
            if meaning.recoverable and code not in ("RECIPIENT_NOT_FOUND", "INVALID_MESSAGE_FORMAT")
        ),
        "NEVER_HEARD_OF",
    ],
)
def test_anything_else_is_retried_on_schedule(code: str) -> None:
    assert on_error(code, recoverable=True, resent=False) is None


def test_a_message_may_be_sent_again_after_silence_a_refusal_by_the_relay_or_too_small_a_limit() -> None:
    assert {
        FailureReason.ATTEMPTS_EXHAUSTED,
        FailureReason.REFUSED_BY_RELAY,
        FailureReason.TOO_LARGE,
    } == MAY_PASS
