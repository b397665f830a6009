"""What the command line prints."""

from __future__ import annotations

import pytest

from agentnet_desktop.cli.output import when


def test_no_time_is_never() -> None:
    assert when(None) == "never"


@pytest.mark.parametrize(
    "ms", [-62_135_683_140_000, -1, 0, 32_503_679_999_999, 253_402_387_139_999, 2**53 - 1]
)
def test_a_time_beyond_what_a_system_can_write_is_shown_as_the_nearest(ms: int) -> None:
    assert when(ms)[:4] in ("1970", "2999", "3000")
    assert when(ms, seconds=True).count(":") == 2
