"""The reconnect schedule: at once, then 1 s growing by 1.5 up to 30 s, each 20 % more or less."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.transport.backoff import delay_ms, unit_from

MIDDLE = 0.5


def test_the_first_attempt_is_made_at_once() -> None:
    assert delay_ms(0, 0.99) == 0


def test_delays_grow_by_half_from_one_second_to_thirty() -> None:
    assert [delay_ms(n, MIDDLE) for n in range(1, 12)] == [
        1000, 1500, 2250, 3375, 5062, 7594, 11391, 17086, 25629, 30000, 30000,
    ]  # fmt: skip


@given(st.integers(1, 100_000), st.floats(0, 1, exclude_max=True))
def test_every_delay_stays_within_twenty_percent(attempt: int, unit: float) -> None:
    middle = delay_ms(attempt, MIDDLE)
    assert 0.8 * middle - 1 <= delay_ms(attempt, unit) <= 1.2 * middle + 1


@pytest.mark.parametrize(("attempt", "unit"), [(-1, 0.5), (1, 1.0), (1, -0.1)])
def test_figures_out_of_range_are_refused(attempt: int, unit: float) -> None:
    with pytest.raises(ValueError, match="attempt"):
        delay_ms(attempt, unit)


def test_the_random_figure_covers_its_range_and_never_reaches_one() -> None:
    assert unit_from(lambda n: b"\0" * n) == 0
    assert 0.999 < unit_from(lambda n: b"\xff" * n) < 1
    assert len({unit_from(os.urandom) for _ in range(20)}) == 20
