"""Notices that this machine's network changed: it has an address again, or another one.

Belongs to docs/protocol.md, section "Transport" (life cycle): who waits for the next attempt tries at once when the
network is back, and who is connected asks whether the connection still stands. It asks the system which of its
addresses it would send from, which sends nothing; that the far end is unreachable it cannot know.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

LOOK_EVERY_S = 1.0
# Addresses for documentation (RFC 5737, RFC 3849): nobody's, but routed as any address far away.
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_DISCARD_PORT = 9


def local_addresses() -> tuple[str, ...]:
    """Returns the addresses that this machine sends from, IPv4 before IPv6; none without a network."""
    found = []
    for family, target in _FAR_AWAY:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, _DISCARD_PORT))  # of a datagram socket: chooses a route, sends nothing
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return tuple(found)


class NetworkWatch:
    """Looks once a second, and tells when the network is there again or is another one."""

    def __init__(
        self,
        changed: Callable[[], None],
        *,
        look: Callable[[], tuple[str, ...]] = local_addresses,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Does not look yet.

        Args:
            changed: called on the loop's thread after a change, unless no network is left.
            look: returns the machine's addresses.
            every_s: seconds between two looks.
        """
        self._changed = changed
        self._look = look
        self._every_s = every_s
        self._seen: tuple[str, ...] | None = None

    def look(self) -> None:
        """Looks once; the first look only remembers."""
        seen, self._seen = self._seen, self._look()
        if seen is not None and self._seen and seen != self._seen:
            self._changed()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._every_s)
