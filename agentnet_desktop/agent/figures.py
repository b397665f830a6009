"""What is measured of an agent: connect time, round trips, message latency, connections and retries.

Implements the figures behind docs/protocol.md, *Debugging*. They are kept in the agent's own database, shown to the
person, and sent nowhere. Latency and retries are counted by the day, in the turn that notes a delivery.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from agentnet_desktop.agent.events import ConnectionState, ConnectionView, FiguresView
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.store import metrics

CONNECT, ROUND_TRIP, CONNECTIONS = "connect_ms", "round_trip_ms", "connections"
LATENCY, RETRIES = "latency_ms", "retries"
PERIOD_DAYS = 30  # that shares, percentiles and counts of messages are of
_KEPT_MS = PERIOD_DAYS * DAY_MS


def note_delivery(session: Session, now: int, queued_at: int, attempts: int) -> None:
    """Counts a message that was delivered at `now` (ms): how long it took since `queued_at`, and what it was retried."""
    metrics.note(session, LATENCY, now, max(0, now - queued_at))
    for retry in range(1, attempts):
        metrics.note(session, RETRIES, now, retry)


class Figures:
    """Measures one agent."""

    def __init__(self, ground: Ground) -> None:
        """Has measured nothing yet."""
        self._ground = ground
        self._began: int | None = None  # of the attempt under way
        self._since: int | None = None
        self._connect_ms: int | None = None
        self._round_trip_ms: float | None = None
        self._connections = 0

    def note(self, before: ConnectionView, now: ConnectionView) -> None:
        """Takes what there is to measure from a change of the connection."""
        moment = self._ground.clock()
        if now.state is ConnectionState.CONNECTING and before.state is not ConnectionState.CONNECTING:
            self._began = moment
        elif now.state is ConnectionState.CONNECTED and before.state is not ConnectionState.CONNECTED:
            self._connected(moment)
        elif now.state is not ConnectionState.CONNECTED:
            self._since = None
        if now.round_trip_ms is not None and now.round_trip_ms != before.round_trip_ms:
            self._round_trip_ms = now.round_trip_ms
            trip = round(now.round_trip_ms)
            self._ground.start_turn(lambda turn: _sample(turn, ROUND_TRIP, trip), name="note a round trip")

    def _connected(self, moment: int) -> None:
        self._since = moment
        self._connections += 1
        took = None if self._began is None else max(0, moment - self._began)
        self._connect_ms, self._began = took, None

        def job(turn: Turn) -> None:
            metrics.count(turn.session, CONNECTIONS)
            metrics.forget_samples(turn.session, turn.now - _KEPT_MS)
            if took is not None:
                _sample(turn, CONNECT, took)

        self._ground.start_turn(job, name="note a connection")

    async def view(self) -> FiguresView:
        """Returns the figures as they stand."""
        return await self._ground.db.read(self._read)

    def _read(self, session: Session) -> FiguresView:
        since = self._ground.clock() - _KEPT_MS
        return FiguresView(
            connected_since=self._since,
            connect_ms=self._connect_ms,
            connect_p95_ms=metrics.percentile(session, CONNECT, since, 0.95),
            round_trip_ms=self._round_trip_ms,
            round_trip_p50_ms=metrics.percentile(session, ROUND_TRIP, since, 0.5),
            round_trip_p95_ms=metrics.percentile(session, ROUND_TRIP, since, 0.95),
            latency_p50_ms=metrics.noted_share(session, LATENCY, since, 0.5),
            latency_p95_ms=metrics.noted_share(session, LATENCY, since, 0.95),
            delivered=metrics.noted(session, LATENCY, since),
            connections=metrics.counters(session).get(CONNECTIONS, 0),
            reconnections=max(0, self._connections - 1),
            retries=metrics.noted(session, RETRIES, since),
        )


def _sample(turn: Turn, name: str, value: int) -> None:
    metrics.sample(turn.session, name, turn.now, value)
