"""Gives memory back to the system when a crowd of connections has gone.

What a crowd had is free at once, but glibc keeps free memory for itself wherever something lies above it: after
half-open TLS sockets by the hundred that is many times what the relay needs. Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Final

_CROWD: Final = 100
_PAUSE_MS: Final = 10_000


class Ebb:
    """Notices when a crowd has gone. Pure."""

    def __init__(self) -> None:
        self._most = 0
        self._came_at: int | None = None

    def has_come(self, connections: int, now: int) -> bool:
        """Whether at least a hundred connections, and half of the most there were, have gone.

        Args:
            connections: how many are open now. Once it has come, counting starts anew from them.
            now: ms on a monotonic clock. It comes every 10 s at most, since giving memory back costs time.
        """
        self._most = max(self._most, connections)
        is_too_soon = self._came_at is not None and now - self._came_at < _PAUSE_MS
        if is_too_soon or self._most - connections < max(_CROWD, self._most / 2):
            return False
        self._most, self._came_at = connections, now
        return True


def find_trim() -> Callable[[int], int] | None:
    """The C library's `malloc_trim`; None where it has none."""
    if sys.platform != "linux":
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
