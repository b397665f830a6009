"""The receive window: everything is handed on exactly once, in order or with its gap noted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.crypto import replay
from agentnet_desktop.crypto.errors import SequenceRefused
from agentnet_desktop.crypto.replay import Duplicate, Gap, InOrder, Late, ReceiveWindow, Skipped, TooFar


def test_messages_in_order_are_handed_on_at_once() -> None:
    window = ReceiveWindow()
    assert [window.accept(seq) for seq in (1, 2, 3)] == [InOrder((1,)), InOrder((2,)), InOrder((3,))]
    assert window.next == 4
    assert not window.waiting


def test_a_message_ahead_waits_for_the_gap_and_follows_it() -> None:
    window = ReceiveWindow()
    assert window.accept(3) == Gap((1, 2))
    assert window.waiting
    assert window.accept(5) == Gap((1, 2, 4))
    assert window.accept(1) == InOrder((1,))
    assert window.accept(2) == InOrder((2, 3))
    assert window.accept(4) == InOrder((4, 5))
    assert not window.waiting


def test_a_gap_given_up_is_noted_and_a_late_message_delivered_once() -> None:
    window = ReceiveWindow()
    window.accept(1)
    window.accept(4)
    window.accept(6)
    assert window.skip() == Skipped(missing=(2, 3), ready=(4,))
    assert window.next == 5
    assert window.accept(3) == Late()
    assert window.accept(3) == Duplicate()
    assert window.accept(2) == Late()
    assert window.skip() == Skipped(missing=(5,), ready=(6,))
    assert window.skip() == Skipped(missing=(), ready=())
    assert window.next == 7


def test_a_replayed_seq_is_a_duplicate_wherever_it_stands() -> None:
    window = ReceiveWindow()
    window.accept(1)
    window.accept(3)
    before = window.to_bytes()
    assert window.accept(1) == Duplicate()
    assert window.accept(3) == Duplicate()
    assert window.accept(0) == Duplicate()
    assert window.to_bytes() == before


def test_a_seq_over_a_thousand_ahead_is_refused_and_changes_nothing() -> None:
    window = ReceiveWindow()
    window.accept(1)
    before = window.to_bytes()
    assert window.accept(1003) == TooFar(limit=1002)
    with pytest.raises(SequenceRefused):
        window.check(1003)
    assert window.to_bytes() == before
    window.check(1002)
    assert isinstance(window.accept(1002), Gap)


def test_given_up_seqs_are_forgotten_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_MAX_MISSING", 3)
    window = ReceiveWindow()
    window.accept(6)
    assert window.skip().missing == (1, 2, 3, 4, 5)
    assert window.accept(2) == Duplicate()
    assert window.accept(3) == Late()


@pytest.mark.parametrize("stored", [b"", b"1", b"1;2", b"x;;", b"1;2-3", b"1;2;", b"1;;;", b"\xff;;"])
def test_a_damaged_window_is_told(stored: bytes) -> None:
    with pytest.raises(ValueError, match="window is damaged"):
        ReceiveWindow.from_bytes(stored)


@given(
    st.lists(st.one_of(st.integers(1, 30), st.just("skip"), st.just("restart")), max_size=80),
)
def test_everything_is_handed_on_exactly_once_whatever_the_order_losses_and_restarts(
    steps: list[int | str],
) -> None:
    window = ReceiveWindow()
    handed: list[int] = []
    late: list[int] = []
    received: set[int] = set()
    given_up: set[int] = set()
    for step in steps:
        if step == "restart":
            window = ReceiveWindow.from_bytes(window.to_bytes())
            continue
        if step == "skip":
            skipped = window.skip()
            given_up |= set(skipped.missing)
            handed += skipped.ready
            continue
        assert isinstance(step, int)
        outcome = window.accept(step)
        assert isinstance(outcome, Duplicate) is (step in received)
        received.add(step)
        match outcome:
            case InOrder(ready):
                handed += ready
            case Late():
                assert step in given_up
                late.append(step)
            case Gap(missing):
                assert not set(missing) & received
    while window.waiting:
        handed += window.skip().ready
    assert handed == sorted(handed)
    assert sorted(handed + late) == sorted(received)


def test_a_stored_window_is_short_however_many_seqs_it_names() -> None:
    window = ReceiveWindow()
    for seq in (1, 10, 11, 12, 20, 30, 31):
        window.accept(seq)
    assert window.to_bytes() == b"2;10-12,20-20,30-31;"
    window.skip()
    assert window.to_bytes() == b"13;20-20,30-31;2-9"
    window.skip()
    assert window.to_bytes() == b"21;30-31;2-9,13-19"


def test_four_thousand_given_up_seqs_are_remembered() -> None:
    window = ReceiveWindow()
    given_up: list[int] = []
    while len(given_up) <= 4000:
        window.accept(window.next + 1000)
        given_up += window.skip().missing
    assert len(given_up) == 5000
    assert window.accept(given_up[-4001]) == Duplicate()
    assert window.accept(given_up[-4000]) == Late()
