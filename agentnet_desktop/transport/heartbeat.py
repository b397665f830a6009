"""The pulse of one connection: when to send a HEARTBEAT, and when silence means that the connection is dead.

Implements the keepalive rules of docs/protocol.md, section "Transport": one heartbeat every interval, two missed
echoes mean reconnect. Pure: times are ticks in ms, passed in. It builds no envelopes.
"""

from __future__ import annotations

ALLOWED_MISSES = 2
PROBE_MS = 5_000


class Pulse:
    """Counts heartbeats and their echoes on one connection."""

    def __init__(self, interval_ms: int, now: float) -> None:
        """Starts the pulse; the first heartbeat is due at once, which measures the round trip.

        Args:
            interval_ms: between heartbeats, as the relay announced it.
            now: ticks in ms.
        """
        self._interval = interval_ms
        self._waiting: dict[int, float] = {}  # timestamp in the heartbeat -> ticks when it was sent
        self._missed = 0
        self._probe_until: float | None = None
        self.next_at = now

    @property
    def deadline(self) -> float:
        """Ticks at which `due` or `dead` has news."""
        return self.next_at if self._probe_until is None else min(self.next_at, self._probe_until)

    def due(self, now: float) -> bool:
        """True when a heartbeat is to be sent now."""
        return now >= self.next_at

    def sent(self, timestamp: int, now: float) -> None:
        """Notes a heartbeat that goes out; what was sent before and is not echoed yet counts as missed.

        Args:
            timestamp: the heartbeat's own, ms, by which its echo is known.
            now: ticks in ms.
        """
        if self._waiting:
            self._missed += 1
        self._waiting[timestamp] = now
        self.next_at = now + self._interval

    def echoed(self, timestamp: int, now: float) -> float | None:
        """Notes an echo.

        Returns:
            The round trip in ms, or None for an echo of nothing sent here.
        """
        sent = self._waiting.get(timestamp)
        if sent is None:
            return None
        self._waiting = {stamp: at for stamp, at in self._waiting.items() if at > sent}
        self._missed = 0
        self._probe_until = None
        return now - sent

    def probe(self, now: float) -> None:
        """Doubts the connection (after a sleep, or on a person's word): asks now, and for a quick answer."""
        if self._probe_until is None:
            self.next_at = now
            self._probe_until = now + PROBE_MS

    def dead(self, now: float) -> bool:
        """True when two echoes are missing and the next heartbeat is due, or a probe was not answered."""
        if self._probe_until is not None:
            return now >= self._probe_until
        return now >= self.next_at and bool(self._waiting) and self._missed + 1 >= ALLOWED_MISSES
