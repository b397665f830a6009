"""The interpreter changes threads quickly for one message, and seldom for many."""

from __future__ import annotations

from agentnet_desktop.pace import LONG_S, QUICK_S, SELDOM_S, Pace


def test_a_change_is_quick_until_much_is_written_and_quick_again_afterwards() -> None:
    told: list[float] = []
    pace = Pace(told.append)
    pace.ran(LONG_S)
    assert told == [QUICK_S]
    pace.ran(LONG_S + 0.001)
    pace.ran(LONG_S * 5)
    assert told == [QUICK_S, SELDOM_S]
    pace.ran(0.001)
    assert told == [QUICK_S, SELDOM_S, QUICK_S]
