"""What the bundled relay counts: its metrics read, and a short history of rates for the chart.

Reads Prometheus' text format as `agentnet-relay` writes it. Pure: no Qt, no clock, no socket.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_PREFIX = "agentnet_relay_"
KEPT_POINTS = 150  # five minutes at one every two seconds


class NotMetrics(ValueError):
    """The text is not what the relay's metrics page shows."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The relay's counters at one moment.

    Attributes:
        messages: Handed to a recipient since the relay started.
        size: Bytes of these messages.
        connections: Open now.
        unauthenticated: Of these, not yet let in.
        refused: Connections and sign-ins refused.
        errors: ERROR messages sent.
        started_at: Seconds since the Unix epoch.
        certificate_until: Seconds since the Unix epoch; 0 where the relay itself speaks no TLS.
    """

    messages: int
    size: int
    connections: int
    unauthenticated: int
    refused: int
    errors: int
    started_at: int
    certificate_until: int


def read_metrics(page: str) -> Totals:
    """Read the relay's metrics page.

    Raises:
        NotMetrics: it is something else.
    """
    sums: dict[str, int] = {}
    for line in page.splitlines():
        if not line.startswith(_PREFIX):
            continue
        name, _, value = line.rpartition(" ")
        plain = name.partition("{")[0].removeprefix(_PREFIX)
        try:
            sums[plain] = sums.get(plain, 0) + int(value)
        except ValueError:
            raise NotMetrics(f"The metric {plain} has no whole number.") from None
    try:
        return Totals(
            messages=sums["messages_routed_total"],
            size=sums["bytes_routed_total"],
            connections=sums["connections"],
            unauthenticated=sums["unauthenticated_connections"],
            refused=sums["refused_connections_total"] + sums["refused_authentications_total"],
            errors=sums.get("errors_total", 0),
            started_at=sums["started_at_seconds"],
            certificate_until=sums["certificate_expires_at_seconds"],
        )
    except KeyError as missing:
        raise NotMetrics(f"The metric {missing.args[0]} is missing.") from None


@dataclass(frozen=True, slots=True)
class Point:
    """One place of the chart.

    Attributes:
        at: Seconds on a monotonic clock.
        rate: Messages a second since the point before.
        connections: Open at that moment.
    """

    at: float
    rate: float
    connections: int


class History:
    """The last minutes of one relay. A relay that starts again starts a new history."""

    def __init__(self, kept: int = KEPT_POINTS) -> None:
        self._points: deque[Point] = deque(maxlen=kept)
        self._before: tuple[float, Totals] | None = None

    @property
    def points(self) -> tuple[Point, ...]:
        """From the oldest to the newest."""
        return tuple(self._points)

    @property
    def totals(self) -> Totals | None:
        """The newest counters; None before the first."""
        return None if self._before is None else self._before[1]

    def add(self, at: float, totals: Totals) -> None:
        """Take what was read.

        Args:
            at: Seconds on a monotonic clock; a reading not later than the last one is left out.
            totals: The counters at that moment.
        """
        if self._before is not None and self._before[1].started_at != totals.started_at:
            self.clear()
        rate = 0.0
        if self._before is not None:
            earlier, before = self._before
            if at <= earlier:
                return
            rate = max(0, totals.messages - before.messages) / (at - earlier)
        self._before = (at, totals)
        self._points.append(Point(at, rate, totals.connections))

    def clear(self) -> None:
        """Forget everything: the relay has ended."""
        self._points.clear()
        self._before = None


def ceiling(highest: float) -> float:
    """Give the top of a scale for values up to `highest`: 1, 2 or 5 times a power of ten, at least 1."""
    top = 1.0
    while True:
        for factor in (1, 2, 5):
            if top * factor >= highest:
                return top * factor
        top *= 10
