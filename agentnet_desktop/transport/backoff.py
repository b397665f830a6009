"""When to try the relay again: at once, then 1 s, growing by 1.5 up to 30 s, each 20 % more or less.

Implements the reconnect schedule of docs/protocol.md, section "Delivery". Pure: the caller passes the
number of the attempt and a random figure in. It does not wait, and it does not decide whether to retry.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_MS = 1_000
GROWTH = 1.5
LONGEST_MS = 30_000
JITTER = 0.2

# From this attempt on the cap rules; a bound keeps the power from overflowing after days without a network.
_CAPPED_FROM = 10


def delay_ms(attempt: int, unit: float) -> int:
    """Returns how long to wait before an attempt to reconnect, in ms.

    Args:
        attempt: how many attempts failed since the last good connection; 0 is tried at once.
        unit: a random figure in [0, 1), which spreads many clients of one relay.

    Raises:
        ValueError: `attempt` is negative or `unit` outside [0, 1).
    """
    if attempt < 0 or not 0 <= unit < 1:
        raise ValueError("attempt must be 0 or more, and unit in [0, 1)")
    if attempt == 0:
        return 0
    steps = min(attempt - 1, _CAPPED_FROM)
    middle = min(float(LONGEST_MS), FIRST_MS * GROWTH**steps)
    return round(middle * (1 - JITTER + 2 * JITTER * unit))


def unit_from(random: Callable[[int], bytes]) -> float:
    """Draws a figure in [0, 1) from a source of random bytes, uniformly over 2^53 values."""
    return (int.from_bytes(random(7), "big") >> 3) / float(1 << 53)
