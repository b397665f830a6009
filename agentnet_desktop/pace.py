"""How often the interpreter changes between the loop's thread and the database's.

The two hand each message to and fro, and each hand-over may wait for as long as the interpreter lets one thread run
while the other wants to. Python's own 5 ms made up a third of what a QUERY and its RESPONSE took; a tenth of one costs an
eighth more processor time while hundreds of messages pass. So the change is quick, and seldom while much is written.
Decides only this; the times come from whoever writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

QUICK_S: Final = 0.0001
SELDOM_S: Final = 0.002
LONG_S: Final = 0.008
"""Jobs that were run in one go for longer than this were many; one message takes a quarter of it."""


class Pace:
    """Sets the interpreter's switch interval by how long the last jobs took."""

    def __init__(self, set_interval: Callable[[float], None]) -> None:
        """Begins with the quick change.

        Args:
            set_interval: takes seconds; `sys.setswitchinterval`.
        """
        self._set_interval = set_interval
        self._is_quick = True
        set_interval(QUICK_S)

    def ran(self, seconds: float) -> None:
        """Notes how long a group of jobs ran, their commit left out."""
        is_quick = seconds <= LONG_S
        if is_quick != self._is_quick:
            self._is_quick = is_quick
            self._set_interval(QUICK_S if is_quick else SELDOM_S)
