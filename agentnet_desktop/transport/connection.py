"""The client's side of one agent's connection to its relay, as a sans-I/O machine: events in, commands out.

Implements docs/protocol.md, sections "Transport" (life cycle, keepalive, close codes) and "Relay authentication"
(renewal on a live connection, the relay's time after a refusal). It opens no socket, reads no clock and draws no
randomness of its own: `client` carries its commands out. What agents say to each other passes it by; it acts
only on what the relay itself says.

The life of the machine, by phase:

    NEW --Start--> ASKING --token--> DIALLING --opened--> GREETING --CONNECTED--> LIVE --Stop--> LEAVING --> ENDED
                     ^                    |                  |                     |
                     +------ WAITING <----+------------------+---------------------+----> HALTED (a person decides)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from msgspec import structs

from agentnet_desktop.transport import outcomes, signals
from agentnet_desktop.transport.backoff import delay_ms, unit_from
from agentnet_desktop.transport.heartbeat import Pulse
from agentnet_desktop.transport.outcomes import Outcome, Plan
from agentnet_desktop.transport.phases import LATE, STATES, Phase
from agentnet_desktop.transport.signals import Command, Event, Moment, State, Status
from relay.wire.codec import Format
from relay.wire.control import AckContent, AckStatus, ConnectedContent, ErrorContent, HeartbeatContent, parse
from relay.wire.envelope import SYSTEM, Envelope, MessageType, Priority, agent_key, metadata, new_id
from relay.wire.errors import ErrorCode, WireError

TOKEN_MS = 30_000  # a sign-in over the network may take its time
GREETING_MS = 10_000
FAREWELL_MS = 3_000
WATCH_MS = 10_000  # how often the two clocks are compared, which shows that the machine slept
SLEPT_MS = 20_000
STABLE_MS = 5_000  # a connection that held this long was a good one: the next loss is retried at once
RECOVERED_MS = 60_000
LONGEST_HINT_MS = 5 * 60_000
TROUBLE_ATTEMPTS = 5
HEARTBEAT_BOUNDS_MS = (100, 600_000)

ALL_FORMATS = (Format.MSGPACK, Format.JSON)
_AUTHENTICATION = frozenset({ErrorCode.AUTHENTICATION_ERROR, ErrorCode.AUTHENTICATION_FAILED})


class IllegalEvent(Exception):
    """An event that cannot happen in the machine's phase: a fault of the shell. Nothing has changed."""


class Connection:
    """Keeps one agent connected: decides, and leaves the doing to a shell."""

    def __init__(
        self, *, agent_id: str, relay_url: str, insecure: bool, random: Callable[[int], bytes]
    ) -> None:
        """Makes a machine that waits for `Start`.

        Args:
            agent_id: who connects.
            relay_url: the endpoint, for the status.
            insecure: the connection crosses a network without TLS, for the status.
            random: returns n random bytes: for message ids and for the jitter of delays.
        """
        self._agent_id = agent_id
        self._random = random
        self.phase = Phase.NEW
        self._now = Moment(0.0, 0)
        self._out: list[Command] = []
        self._status = Status(State.OFFLINE, relay_url, insecure=insecure)
        self._reported = self._status
        self._until: float | None = None  # ticks at which the phase has lasted long enough
        self._attempts = 0  # since the last connection that held
        self._fresh = False
        self._token = ""  # the one shown last
        self._time_offset = 0  # relay's clock minus ours, from a refusal: for iat and exp only
        self._hint_ms = 0  # the relay's `retryAfter` for the next attempt
        self._pulse = Pulse(WATCH_MS, 0)  # counts while LIVE only
        self._renew_at: float | None = None
        self._live_since = 0.0
        self._greetings = 0

    # --------------------------------------------------------------------------------------- interface

    @property
    def status(self) -> Status:
        """What a face shows."""
        return self._status

    @property
    def deadline(self) -> float | None:
        """Ticks in ms at which to hand in a Tick; None: not before another event."""
        times = [self._until]
        if self.phase in (Phase.LIVE, Phase.WAITING):
            times.append(self._now.ticks + WATCH_MS)
        if self.phase is Phase.LIVE:
            times += [self._pulse.deadline, self._renew_at]
        return min((time for time in times if time is not None), default=None)

    def handle(self, event: Event, now: Moment) -> list[Command]:
        """Takes one event and returns what the shell has to do, in order.

        Raises:
            IllegalEvent: the event cannot happen in this phase; the machine is as it was.
        """
        rule = self._RULES.get((self.phase, type(event)))
        if rule is None:
            if type(event) in LATE.get(self.phase, ()):
                return []
            raise IllegalEvent(f"{type(event).__name__} in phase {self.phase.name}")
        before, self._now, self._out = self._now, now, []
        rule(self, event, before)
        self._status = replace(self._status, state=STATES[self.phase])
        if self._status != self._reported:
            self._reported = self._status
            self._out.append(signals.Report(self._status))
        if self.phase is Phase.ENDED:
            self._out.append(signals.Finished())
        return self._out

    # ------------------------------------------------------------------------------ from NEW to LIVE

    def _ask(self, _event: Event | None = None, _before: Moment | None = None) -> None:
        """A token first: each attempt shows its own (`jti` is accepted once)."""
        self.phase = Phase.ASKING
        self._until = self._now.ticks + TOKEN_MS
        self._status = replace(self._status, retry_at=None)
        self._get_token()

    def _get_token(self, *, anew: bool = False) -> None:
        self._out.append(signals.GetToken(self._now.wall + self._time_offset, self._fresh or anew))

    def _dial(self, event: signals.TokenReceived, _before: Moment) -> None:
        self.phase = Phase.DIALLING
        self._until = None  # the shell bounds the time for opening
        self._token = event.text
        self._out.append(signals.Dial(event.text, self._formats(), event.invite))

    def _formats(self) -> tuple[Format, ...]:
        return (Format.JSON,) if self._status.degraded else ALL_FORMATS

    def _opened(self, _event: signals.Opened, _before: Moment) -> None:
        self.phase = Phase.GREETING
        self._until = self._now.ticks + GREETING_MS

    def _no_token(self, event: signals.TokenFailed, _before: Moment) -> None:
        kind = outcomes.SIGN_IN_ENDED if event.ended else outcomes.NO_TOKEN
        self._retry(replace(kind, reason=event.reason))

    def _dial_failed(self, event: signals.DialFailed, _before: Moment) -> None:
        self._retry(outcomes.unreachable(event.kind, event.reason))

    def _refused(self, event: signals.Refused, _before: Moment) -> None:
        if event.server_time is not None:
            self._correct_clock(event.server_time)
        self._hint_ms = event.retry_after_ms or 0
        self._retry(outcomes.of_refusal(event.status))

    def _correct_clock(self, server_time: int) -> None:
        """The clock behind a refused token is corrected for `iat` and `exp`, and for nothing else."""
        self._time_offset = server_time - self._now.wall
        self._status = replace(self._status, clock_skew_ms=-self._time_offset)

    def _greeted(self, event: signals.FromRelay, _before: Moment) -> None:
        if event.envelope.message_type is MessageType.ERROR:
            self._relay_error(event.envelope)
            return
        if event.envelope.message_type is not MessageType.CONNECTED:
            return
        greeting = self._parse(ConnectedContent, event.envelope)
        if greeting is None or agent_key(greeting.agent_id) != agent_key(self._agent_id):
            self._hang_up(outcomes.BAD_GREETING)
            return
        self.phase = Phase.LIVE
        self._until = None
        self._live_since = self._now.ticks
        self._fresh = False
        self._hint_ms = 0
        self._pulse = Pulse(self._heartbeat_interval(greeting), self._now.ticks)
        self._plan_renewal(greeting.token_expires_at - greeting.server_time)
        self._status = replace(
            self._status,
            relay_name=greeting.relay_name,
            connection_id=greeting.connection_id,
            max_message_bytes=greeting.max_message_bytes,
            clock_skew_ms=self._now.wall - greeting.server_time,
            connected_at=self._now.wall,
            reason="",
            kind="",
            reconnections=self._greetings,
        )
        self._greetings += 1
        self._out.append(signals.Accepted())
        self._beat()

    def _heartbeat_interval(self, greeting: ConnectedContent) -> int:
        low, high = HEARTBEAT_BOUNDS_MS
        interval = min(max(greeting.heartbeat_interval, low), high)
        if self._status.degraded:
            # Persistent trouble: longer heartbeats, yet well inside the relay's idle timeout.
            interval = max(interval, min(2 * interval, greeting.idle_timeout * 2 // 3))
        return interval

    # ------------------------------------------------------------------------------------------- LIVE

    def _from_relay(self, event: signals.FromRelay, _before: Moment) -> None:
        match event.envelope.message_type:
            case MessageType.HEARTBEAT:
                echo = self._parse(HeartbeatContent, event.envelope)
                if echo is not None:
                    trip = self._pulse.echoed(echo.timestamp, self._now.ticks)
                    if trip is not None:
                        self._status = replace(self._status, round_trip_ms=trip)
            case MessageType.CONNECTED:
                renewed = self._parse(ConnectedContent, event.envelope)
                if renewed is not None:
                    self._fresh = False
                    self._plan_renewal(renewed.token_expires_at - renewed.server_time)
            case MessageType.ERROR:
                self._relay_error(event.envelope)
            case _:
                pass  # ACK ROUTED and PRESENCE are the agent's business

    def _relay_error(self, envelope: Envelope) -> None:
        """Keeps what an ERROR says about the next attempt; the close that may follow uses it."""
        error = self._parse(ErrorContent, envelope)
        if error is None:
            return
        if error.error_code in _AUTHENTICATION:
            self._fresh = True
            server_time = error.details.get("serverTime")
            if type(server_time) is int:
                self._correct_clock(server_time)
            self._renew_at = self._now.ticks + WATCH_MS
        elif error.error_code in (ErrorCode.RATE_LIMIT_EXCEEDED, ErrorCode.CONNECTION_LIMIT_EXCEEDED):
            self._hint_ms = error.retry_after or 0

    def _tick_live(self, _event: Event, before: Moment) -> None:
        now = self._now.ticks
        if self._slept(before):
            self._pulse.probe(now)
        if self._pulse.dead(now):
            self._hang_up(outcomes.NO_ECHO)
            return
        if self._pulse.due(now):
            self._beat()
        if self._renew_at is not None and now >= self._renew_at:
            self._renew_at = None
            self._get_token(anew=True)
        if now - self._live_since >= STABLE_MS:
            self._attempts = 0
        if self._status.degraded and now - self._live_since >= RECOVERED_MS:
            self._status = replace(self._status, degraded=False)

    def _slept(self, before: Moment) -> bool:
        """The wall clock ran ahead of the ticking one: the machine slept, or its clock was set."""
        return (self._now.wall - before.wall) - (self._now.ticks - before.ticks) > SLEPT_MS

    def _beat(self) -> None:
        stamp = self._now.wall
        self._write(MessageType.HEARTBEAT, {"timestamp": stamp}, Priority.LOW)
        self._pulse.sent(stamp, self._now.ticks)

    def _probe(self, _event: Event, _before: Moment) -> None:
        self._pulse.probe(self._now.ticks)
        if self._pulse.due(self._now.ticks):
            self._beat()
        if self._status.kind == outcomes.SIGN_IN_ENDED.kind:
            self._get_token(anew=True)

    def _plan_renewal(self, remaining_ms: int) -> None:
        """The token is renewed on the live connection, a quarter of its life or five minutes before its end."""
        lead = min(300_000, max(remaining_ms, 0) // 4)
        self._renew_at = self._now.ticks + max(remaining_ms - lead, 0)

    def _renew(self, event: signals.TokenReceived, _before: Moment) -> None:
        if event.text == self._token:
            # Whoever keeps the token fresh has not yet done so.
            self._renew_at = self._now.ticks + WATCH_MS
            return
        self._token = event.text
        if self._status.kind == outcomes.SIGN_IN_ENDED.kind:
            self._status = replace(self._status, reason="", kind="")
        content = {"token": event.text, "agentId": self._agent_id}
        self._write(MessageType.AUTH, content, Priority.HIGH, shown={"agentId": self._agent_id})
        if event.expires_at is not None:
            # Until the relay confirms, the token's own word counts.
            self._plan_renewal(event.expires_at - self._now.wall - self._time_offset)

    def _renewal_failed(self, event: signals.TokenFailed, _before: Moment) -> None:
        """The connection stands until its token ends; who can help is told now."""
        self._renew_at = None if event.ended else self._now.ticks + WATCH_MS
        if event.ended:
            self._status = replace(self._status, reason=event.reason, kind=outcomes.SIGN_IN_ENDED.kind)

    # ------------------------------------------------------------------------------------ the way out

    def _closed(self, event: signals.Closed, _before: Moment) -> None:
        self._retry(outcomes.of_close(event.code))

    def _overdue(self, _event: Event, _before: Moment) -> None:
        """A Tick while asking, or waiting for the greeting."""
        if not self._time_is_up():
            return
        if self.phase is Phase.ASKING:
            self._retry(outcomes.NO_TOKEN)
        else:
            self._hang_up(outcomes.NO_GREETING)

    def _time_is_up(self) -> bool:
        return self._until is not None and self._now.ticks >= self._until

    def _hang_up(self, outcome: Outcome) -> None:
        self._out.append(signals.Hangup(orderly=False))
        self._retry(outcome)

    def _retry(self, outcome: Outcome) -> None:
        """Plans the next attempt, or none, by how the last one ended."""
        if self.phase is Phase.LIVE and self._now.ticks - self._live_since >= STABLE_MS:
            self._attempts = 0
        self._renew_at = None
        self._gone()
        self._status = replace(self._status, reason=outcome.reason, kind=outcome.kind)
        if outcome.plan is Plan.HALT:
            self.phase, self._until = Phase.HALTED, None
            return
        self._fresh = self._fresh or outcome.plan is Plan.FRESH_TOKEN
        if outcome.plan is Plan.BACKOFF:
            self._attempts = max(self._attempts, 1)
        hint, self._hint_ms = min(self._hint_ms, LONGEST_HINT_MS), 0
        delay = max(delay_ms(self._attempts, unit_from(self._random)), hint)
        self._attempts += 1
        if self._attempts > TROUBLE_ATTEMPTS:
            self._status = replace(self._status, degraded=True)
        if delay == 0:
            self._ask()
            return
        self.phase = Phase.WAITING
        self._until = self._now.ticks + delay
        self._status = replace(self._status, retry_at=self._now.wall + delay)

    def _tick_waiting(self, _event: Event, before: Moment) -> None:
        if self._time_is_up() or self._slept(before):
            self._ask()

    def _resume(self, _event: Event, _before: Moment) -> None:
        self._attempts = 0
        self._ask()

    def _dial_anew(self, _event: Event, _before: Moment) -> None:
        """What was dialled over the old network may never answer."""
        self._out.append(signals.Hangup(orderly=False))
        self._resume(_event, _before)

    def _leave(self, _event: Event, _before: Moment) -> None:
        self._write(MessageType.DISCONNECT, {}, Priority.NORMAL)
        self._gone()
        self.phase = Phase.LEAVING
        self._until = self._now.ticks + FAREWELL_MS

    def _farewell(self, event: signals.FromRelay, _before: Moment) -> None:
        if event.envelope.message_type is not MessageType.ACK:
            return
        ack = self._parse(AckContent, event.envelope)
        if ack is not None and ack.status is AckStatus.CLOSED:
            self._out.append(signals.Hangup(orderly=True))
            self._end()

    def _tick_leaving(self, _event: Event, _before: Moment) -> None:
        if self._time_is_up():
            self._abandon()

    def _abandon(self, _event: Event | None = None, _before: Moment | None = None) -> None:
        self._out.append(signals.Hangup(orderly=False))
        self._end()

    def _end(self, _event: Event | None = None, _before: Moment | None = None) -> None:
        self.phase = Phase.ENDED
        self._until = self._renew_at = None
        self._gone()
        self._status = replace(self._status, retry_at=None)

    def _gone(self) -> None:
        """There is no connection any more."""
        self._status = replace(self._status, connection_id="", round_trip_ms=None, connected_at=None)

    # ---------------------------------------------------------------------------------------- helpers

    def _write(
        self,
        kind: MessageType,
        content: dict[str, Any],
        priority: Priority,
        shown: dict[str, Any] | None = None,
    ) -> None:
        envelope = Envelope(
            message_id=new_id("msg_", self._now.wall, self._random(10)),
            conversation_id=SYSTEM,
            sender_id=self._agent_id,
            recipient_id=SYSTEM,
            message_type=kind,
            content=content,
            timestamp=self._now.wall,
            metadata=metadata(priority, encrypted=False, requires_response=kind is MessageType.DISCONNECT),
        )
        log_form = envelope if shown is None else structs.replace(envelope, content=shown)
        self._out.append(signals.Write(envelope, log_form))

    @staticmethod
    def _parse(kind: Any, envelope: Envelope) -> Any:
        """Reads the relay's content; None for what does not fit, which the log shows anyway."""
        try:
            return parse(kind, envelope.content)
        except WireError:
            return None

    # ------------------------------------------------------------------------------------------ table

    _RULES: ClassVar[Mapping[tuple[Phase, type[Event]], Callable[[Connection, Any, Moment], None]]] = (
        MappingProxyType(
            {
                (Phase.NEW, signals.Start): _ask,
                (Phase.NEW, signals.Stop): _end,
                (Phase.ASKING, signals.TokenReceived): _dial,
                (Phase.ASKING, signals.TokenFailed): _no_token,
                (Phase.ASKING, signals.Tick): _overdue,
                (Phase.ASKING, signals.Stop): _end,
                (Phase.DIALLING, signals.Opened): _opened,
                (Phase.DIALLING, signals.DialFailed): _dial_failed,
                (Phase.DIALLING, signals.Refused): _refused,
                (Phase.DIALLING, signals.NetworkChanged): _dial_anew,
                (Phase.DIALLING, signals.Stop): _abandon,
                (Phase.GREETING, signals.FromRelay): _greeted,
                (Phase.GREETING, signals.Closed): _closed,
                (Phase.GREETING, signals.Tick): _overdue,
                (Phase.GREETING, signals.NetworkChanged): _dial_anew,
                (Phase.GREETING, signals.Stop): _abandon,
                (Phase.LIVE, signals.FromRelay): _from_relay,
                (Phase.LIVE, signals.TokenReceived): _renew,
                (Phase.LIVE, signals.TokenFailed): _renewal_failed,
                (Phase.LIVE, signals.Tick): _tick_live,
                (Phase.LIVE, signals.Reconnect): _probe,
                (Phase.LIVE, signals.NetworkChanged): _probe,
                (Phase.LIVE, signals.Closed): _closed,
                (Phase.LIVE, signals.Stop): _leave,
                (Phase.LEAVING, signals.FromRelay): _farewell,
                (Phase.LEAVING, signals.Tick): _tick_leaving,
                (Phase.LEAVING, signals.Closed): _end,
                (Phase.LEAVING, signals.Stop): _abandon,
                (Phase.WAITING, signals.Tick): _tick_waiting,
                (Phase.WAITING, signals.Reconnect): _resume,
                (Phase.WAITING, signals.NetworkChanged): _resume,
                (Phase.WAITING, signals.Stop): _end,
                (Phase.HALTED, signals.Reconnect): _resume,
                (Phase.HALTED, signals.Stop): _end,
            }
        )
    )
