"""One connection as a state machine: events in, commands out (docs/protocol.md 3).

The shell reports what happened (an upgrade, a frame, a verdict on a token, the passing of time) and carries
out the commands that come back, in order. Times are passed in: `now` is ms on a monotonic clock; the wall
clock is `now + relay.wall_offset`. There is no asyncio, socket or clock here, and no content is looked into,
kept or logged: of a message that is passed on, only what it is routed by is read.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import msgspec

from relay.auth.grant import Grant
from relay.commands import Accept, Close, Command, Link, Refuse, Send, Verify
from relay.limits import AddressMeter, AgentMeter, Backlog, Meters
from relay.metrics import Counters
from relay.outcome import Outcome
from relay.router import Router
from relay.voice import Voice
from relay.wire import control
from relay.wire.codec import (
    Format,
    Routed,
    Routing,
    decode,
    decode_routing_left,
    encode,
    read_again,
    transcode,
)
from relay.wire.control import PresenceState
from relay.wire.envelope import SYSTEM, Envelope, MessageType, agent_key
from relay.wire.errors import CloseCode, ErrorCode, WireError
from relay.wire.fast import read_json, read_msgpack

if TYPE_CHECKING:
    from relay.nodes import Nodes

MISMATCH_WINDOW_MS: Final = 60_000
ABUSE_WINDOW_MS: Final = 60_000
MAX_HELD_FRAMES: Final = 64
_RELAY_ONLY: Final = frozenset({MessageType.AUTH, MessageType.CONNECTED, MessageType.PRESENCE})
_ONLINE, _OFFLINE = PresenceState.ONLINE, PresenceState.OFFLINE
_HANDSHAKE: Final = MessageType.HANDSHAKE  # looking a member up costs more than the rest of a comparison
_UNACKNOWLEDGED: Final = frozenset({MessageType.ACK, MessageType.ERROR, MessageType.HEARTBEAT})
_TOKEN_REFUSED: Final = "The token was not accepted."
_NOT_CONNECTED: Final = "The recipient is not connected."
_READS_SLOWLY: Final = "The recipient reads too slowly."
_NO_ANSWER: Final = "The recipient's relay does not answer."
_OTHER_SENDER: Final = "The sender is not the connection's agent."


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every connection of a relay is told or held to. Times in ms.

    Attributes:
        relay_name: for display.
        max_message_bytes: the largest envelope, in JSON form.
        heartbeat_interval: how often clients send HEARTBEAT.
        idle_timeout: silence after which a connection is dropped.
        authentication_timeout: time for the upgrade request, and again for an AUTH after it.
        expiry_grace: time for a fresh token after the old one has expired.
    """

    relay_name: str
    max_message_bytes: int = 65_536
    heartbeat_interval: int = 30_000
    idle_timeout: int = 90_000
    authentication_timeout: int = 10_000
    expiry_grace: int = 60_000


class Relay:
    """What the connections of one relay share."""

    def __init__(self, settings: Settings, meters: Meters, random: Callable[[int], bytes]) -> None:
        """Build it.

        Args:
            settings: see there.
            meters: the limits' counters.
            random: gives that many random bytes.
        """
        self.settings = settings
        self.meters = meters
        self.voice = Voice(random)
        self.router: Router[Connection] = Router()
        self.nodes: Nodes | None = None  # the other relays, where there are any
        self.counters = Counters()
        self.wall_offset = 0


class State(Enum):
    """Where a connection stands."""

    UPGRADING = auto()  # the request has not been read
    VERIFYING_UPGRADE = auto()  # its token is being judged; 101 not sent
    AWAITING = auto()  # upgraded without a token; AUTH must come
    VERIFYING = auto()  # AUTH came, and is being judged
    OPEN = auto()
    CLOSED = auto()  # closing or gone; nothing more is said or heard


_OPEN: Final = State.OPEN
_JSON: Final = Format.JSON
_NEXT: Final[dict[State, frozenset[State]]] = {
    State.UPGRADING: frozenset({State.VERIFYING_UPGRADE, State.AWAITING, State.CLOSED}),
    State.VERIFYING_UPGRADE: frozenset({State.OPEN, State.CLOSED}),
    State.AWAITING: frozenset({State.VERIFYING, State.CLOSED}),
    State.VERIFYING: frozenset({State.OPEN, State.CLOSED}),
    State.OPEN: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


class IllegalTransition(Exception):
    """The shell reported an event that cannot happen now: a bug of ours."""


class Connection:
    """One connection's state. The methods up to `close` report an event and return commands."""

    __slots__ = (
        "_abuse",
        "_abuse_since",
        "_deadline",
        "_expires_at",
        "_held",
        "_meter",
        "_mismatch_at",
        "_renewing",
        "_state",
        "address",
        "agent_id",
        "backlog",
        "connection_id",
        "format",
        "key",
        "link",
        "relay",
        "watching",
    )

    def __init__(self, relay: Relay, link: Link, address: AddressMeter, now: int) -> None:
        """A connection that has just been accepted.

        Args:
            relay: what all connections share.
            link: the shell's end.
            address: the meter of the address it comes from.
            now: ms.
        """
        self.relay = relay
        self.link = link
        self.address = address
        self.backlog = Backlog()
        self.format = Format.JSON
        self.agent_id = self.key = self.connection_id = ""
        self.watching: frozenset[str] | None = None
        self._state = State.UPGRADING
        self._deadline = now + relay.settings.authentication_timeout
        self._expires_at: int  # by the wall clock; known once it is open
        self._held: list[bytes] = []
        self._meter: AgentMeter | None = None
        self._mismatch_at = now - MISMATCH_WINDOW_MS
        self._abuse = self._abuse_since = 0
        self._renewing: bool  # whether a token is being judged; known once one is
        relay.meters.opened(address)

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    def _go(self, state: State) -> None:
        if state not in _NEXT[self._state]:
            raise IllegalTransition(f"{self._state.name} to {state.name}")
        self._state = state

    def move(self, address: AddressMeter) -> None:
        """Count the connection for another address: the one that a trusted proxy names."""
        self.relay.meters.closed(self.address, authenticated=False)
        self.relay.meters.opened(address)
        self.address = address

    # --- authentication ---------------------------------------------------------------------------------

    def upgrade_requested(
        self, fmt: Format, token: str | None, agent_id: str, invite: str | None, now: int
    ) -> list[Command]:
        """A valid upgrade request came.

        Args:
            fmt: the format that the subprotocol means.
            token: from `Authorization`, or None.
            agent_id: from `X-Agent-Id` or the query, or "".
            invite: from `X-Agent-Invite`, or None.
            now: ms.
        """
        self.format = fmt
        if token is None:
            self._go(State.AWAITING)
            self._deadline = now + self.relay.settings.authentication_timeout
            return [Accept()]
        if wait := self.address.failures.take(1, now):
            return self.upgrade_denied(429, now, wait)
        self._go(State.VERIFYING_UPGRADE)
        return [Verify(token, agent_id, invite)]

    def upgrade_denied(self, status: int, now: int, retry_after: int | None = None) -> list[Command]:
        """This connection is not taken: 401, 429 over a rate, 503 over a cap or while going away."""
        code, words = {
            401: (ErrorCode.AUTHENTICATION_FAILED, _TOKEN_REFUSED),
            429: (ErrorCode.RATE_LIMIT_EXCEEDED, "Too many connections from this address."),
            503: (ErrorCode.CONNECTION_LIMIT_EXCEEDED, "The relay takes no more connections now."),
        }[status]
        error = self._error_envelope(code, words, now, retry_after=retry_after)
        self._end(now)
        return [Refuse(status, {**error.content, "serverTime": self._wall(now)})]

    def authenticated(self, grant: Grant, now: int) -> list[Command]:
        """The token that was to be verified is good."""
        self.address.failures.put_back(1, now)
        self.relay.counters.authentications_total += 1
        if self._state is State.CLOSED:
            return []
        self._expires_at = grant.expires_at
        if self._state is State.OPEN:
            self._renewing = False
            return [self._connected(now)]
        commands: list[Command] = [Accept()] if self._state is State.VERIFYING_UPGRADE else []
        self._go(State.OPEN)
        self._renewing = False
        self._deadline = now + self.relay.settings.idle_timeout
        commands += self._enter(grant.agent_id, now)
        commands.append(self._connected(now))
        held, self._held = self._held, []
        for frame in held:
            commands += self.received(frame, now)
        return commands

    def _enter(self, agent_id: str, now: int) -> list[Command]:
        """Become the agent's connection; the one before is closed."""
        self.agent_id, self.key = agent_id, agent_key(agent_id)
        self.connection_id = self.relay.voice.new_id("conn_", self._wall(now))
        self.relay.meters.authenticated(self.address)
        self._meter = self.relay.meters.agent(self.key)
        self._meter.holders += 1
        replaced = self.relay.router.attach(self)
        words = "the same agent connected again"
        commands = [] if replaced is None else replaced.close(CloseCode.REPLACED, words, now)
        if self.relay.nodes is not None:
            commands += self.relay.nodes.entered(self, now)
        return commands

    def refused(self, now: int) -> list[Command]:
        """The token that was to be verified is refused. Every reason reads the same."""
        self.relay.counters.refused_authentications_total += 1
        if self._state is State.CLOSED:
            return []
        if self._state is State.VERIFYING_UPGRADE:
            return self.upgrade_denied(401, now)
        details = {"serverTime": self._wall(now)}
        error = self._error(ErrorCode.AUTHENTICATION_FAILED, _TOKEN_REFUSED, now, details)
        return [error, *self.close(CloseCode.UNAUTHENTICATED, "authentication failed", now)]

    def _connected(self, now: int) -> Send:
        settings = self.relay.settings
        content = control.ConnectedContent(
            connection_id=self.connection_id,
            agent_id=self.agent_id,
            heartbeat_interval=settings.heartbeat_interval,
            idle_timeout=settings.idle_timeout,
            max_message_bytes=settings.max_message_bytes,
            token_expires_at=self._expires_at,
            server_time=self._wall(now),
            relay_name=settings.relay_name,
        )
        return self._say(self.relay.voice.connected(self.format, content))

    def _first_frame(self, frame: bytes, now: int) -> list[Command]:
        """AUTH, and only AUTH, may open a connection that brought no token."""
        found = decode(frame, self.format, max_message_bytes=self.relay.settings.max_message_bytes)[0]
        self._go(State.VERIFYING)
        if isinstance(found, WireError) or found.envelope.message_type is not MessageType.AUTH:
            return self.refused(now)
        return self._authenticate(found.envelope, now)

    def _authenticate(self, envelope: Envelope, now: int) -> list[Command]:
        """Take AUTH, first or on a live connection, whose agent it cannot change."""
        content = envelope.content
        # On a live connection the sender is known to be its agent.
        is_own = agent_key(content["agentId"]) == agent_key(envelope.sender_id)
        if not is_own or self.address.failures.take(1, now):
            return self.refused(now)
        self._renewing = True
        return [Verify(content["token"], content["agentId"], content.get("invite"))]

    # --- messages ---------------------------------------------------------------------------------------

    def received(self, frame: bytes, now: int) -> list[Command]:
        """A whole WebSocket message came."""
        if self._state is not _OPEN:
            return self._received_early(frame, now)
        settings = self.relay.settings
        self._deadline = now + settings.idle_timeout
        commands: list[Command] = []
        read = read_json if self.format is _JSON else read_msgpack
        found = read(frame, settings.max_message_bytes)
        if found is not None:  # one envelope, as nearly all frames are
            self._message(found, frame, now, commands)
            return commands
        for message in decode_routing_left(frame, self.format, max_message_bytes=settings.max_message_bytes):
            if isinstance(message, Routed):
                self._message(message, message.raw, now, commands)
            elif not self._over_limit(message.message_id, len(frame), now, commands):
                self._malformed(message, now, commands)
            if self._deadline == 0:  # closed on the way
                break
        return commands

    def _received_early(self, frame: bytes, now: int) -> list[Command]:
        if self._state is State.AWAITING:
            return self._first_frame(frame, now)
        if self._state is State.VERIFYING:
            self._held.append(frame)
            if len(self._held) > MAX_HELD_FRAMES:
                return self.close(CloseCode.PROTOCOL_VIOLATION, "too many messages before CONNECTED", now)
        return []

    def _message(self, message: Routing, raw: bytes, now: int, commands: list[Command]) -> None:
        """Route one message, or answer why not."""
        size = len(raw)
        wait = self.address.charge(size, now)
        if not wait and self._meter is not None:
            wait = self._meter.charge(size, now)
        if wait:
            self._limited(wait, message.message_id, now, commands)
        elif message.sender_id != self.agent_id and agent_key(message.sender_id) != self.key:
            self._mismatch(message.message_id, now, commands)
        elif message.recipient_id == SYSTEM:
            self._system(message, raw, now, commands)
        elif message.message_type in _RELAY_ONLY:
            words = "is between an agent and its relay"
            self._malformed(WireError("messageType", words, message_id=message.message_id), now, commands)
        else:
            self._route(message, raw, now, commands)

    def _route(self, message: Routing, raw: bytes, now: int, commands: list[Command]) -> None:
        relay = self.relay
        target = relay.router.online.get(message.recipient_id.lower())
        is_knock = message.message_type is _HANDSHAKE
        if is_knock and not self._may_knock(target, message, now, commands):
            return
        if target is None or not target.admits(self.key, message.message_type):
            if target is None and relay.nodes is not None:
                commands += relay.nodes.forward(self, message, raw, now)
                return
            commands.append(
                self._undelivered(ErrorCode.RECIPIENT_NOT_FOUND, _NOT_CONNECTED, message.message_id, now)
            )
            return
        data = transcode(raw, self.format, target.format)
        size, backlog = len(data), target.backlog
        if not backlog.has_room(size, relay.meters.limits, now):
            commands.append(
                self._undelivered(ErrorCode.MESSAGE_ERROR, _READS_SLOWLY, message.message_id, now)
            )
            return
        backlog.waiting += size
        commands.append(Send(target, data))
        counters = relay.counters
        counters.messages_routed_total += 1
        counters.bytes_routed_total += size
        if message.message_type not in _UNACKNOWLEDGED:
            wall = now + relay.wall_offset
            ack = relay.voice.ack(self.format, self.agent_id, message.message_id, "ROUTED", wall)
            self.backlog.waiting += len(ack)
            commands.append(Send(self, ack))

    def admits(self, sender: str, message_type: MessageType) -> bool:
        """Whether the agent behind this connection takes a message of this type from that agent key."""
        return self.watching is None or sender in self.watching or message_type is MessageType.HANDSHAKE

    def _may_knock(
        self, target: Connection | None, message: Routing, now: int, commands: list[Command]
    ) -> bool:
        """HANDSHAKEs to those who do not watch the sender are few, whether these are online or not."""
        if self._meter is None or (target and target.watching and self.key in target.watching):
            return True
        nodes = self.relay.nodes
        if nodes is not None and nodes.is_friend(self, agent_key(message.recipient_id)):
            return True
        wait = self._meter.handshakes.take(1, now)
        if wait:
            self._limited(wait, message.message_id, now, commands)
        return not wait

    def answered(
        self, message_id: str, message_type: MessageType, outcome: Outcome, now: int
    ) -> list[Command]:
        """It is known what became of a message that another relay was handed, or that it is not known."""
        if self._state is not _OPEN:
            return []
        match outcome:
            case Outcome.ABSENT:
                return [self._undelivered(ErrorCode.RECIPIENT_NOT_FOUND, _NOT_CONNECTED, message_id, now)]
            case Outcome.SLOW:
                return [self._undelivered(ErrorCode.MESSAGE_ERROR, _READS_SLOWLY, message_id, now)]
            case Outcome.UNKNOWN:
                return [self._undelivered(ErrorCode.MESSAGE_ERROR, _NO_ANSWER, message_id, now)]
        if outcome is Outcome.EXPECTED and message_type is _HANDSHAKE and self._meter is not None:
            self._meter.handshakes.put_back(1, now)  # one that is watched for was no knock
        return [] if message_type in _UNACKNOWLEDGED else [self._ack(message_id, "ROUTED", now)]

    def _system(self, message: Routing, raw: bytes, now: int, commands: list[Command]) -> None:
        """Act on a message that is addressed to the relay."""
        envelope = read_again(raw, self.format)
        match envelope.message_type:
            case MessageType.HEARTBEAT:
                echo = self.relay.voice.echo(self.format, envelope, self.agent_id, self._wall(now))
                commands.append(self._say(echo))
            case MessageType.DISCONNECT:
                commands.append(self._ack(message.message_id, "CLOSED", now))
                commands += self.close(CloseCode.NORMAL, "goodbye", now)
            case MessageType.AUTH if not self._renewing:
                commands += self._authenticate(envelope, now)
            case MessageType.PRESENCE if "watch" in envelope.content:
                self._watch(envelope, now, commands)
            case MessageType.ACK | MessageType.ERROR:
                pass  # heard; an answer to an answer would never end
            case _:
                words = "is not one that the relay takes now"
                error = WireError("messageType", words, message_id=message.message_id)
                self._malformed(error, now, commands)

    def _watch(self, envelope: Envelope, now: int, commands: list[Command]) -> None:
        watched = control.parse(control.PresenceWatch, envelope.content).watch
        change = self.relay.router.watch(self, frozenset(agent_key(name) for name in watched))
        commands += [self.tell_presence(other.agent_id, _ONLINE, now) for other in change.mutual]
        commands += [other.tell_presence(self.agent_id, _ONLINE, now) for other in change.gained]
        commands += [other.tell_presence(self.agent_id, _OFFLINE, now) for other in change.lost]
        if self.relay.nodes is not None:
            commands += self.relay.nodes.watched(self, now)

    # --- trouble ----------------------------------------------------------------------------------------

    def control_frame(self, now: int) -> list[Command]:
        """A ping, a pong, or a fragment that ends no message came: it costs a message and shows life."""
        commands: list[Command] = []
        if self._state is State.CLOSED or self._over_limit(None, 0, now, commands):
            return commands
        if self._state is State.OPEN:
            self._deadline = now + self.relay.settings.idle_timeout
        return commands

    def wrong_frame_type(self, now: int) -> list[Command]:
        """A text frame came in msgpack, or a binary one in JSON."""
        return self.close(CloseCode.PROTOCOL_VIOLATION, "the subprotocol has another frame type", now)

    def _over_limit(self, message_id: str | None, size: int, now: int, commands: list[Command]) -> bool:
        wait = self.address.charge(size, now)
        if not wait and self._meter is not None:
            wait = self._meter.charge(size, now)
        if wait:
            self._limited(wait, message_id, now, commands)
        return wait > 0

    def _limited(self, wait: int, message_id: str | None, now: int, commands: list[Command]) -> None:
        if now - self._abuse_since > ABUSE_WINDOW_MS:
            self._abuse_since, self._abuse = now, 0
        self._abuse += 1
        details = {"originalMessageId": message_id} if message_id else None
        words = "Too many messages."
        commands.append(self._error(ErrorCode.RATE_LIMIT_EXCEEDED, words, now, details, retry_after=wait))
        if self._abuse > self.relay.meters.limits.refusals_before_close:
            commands += self.close(CloseCode.RATE_LIMITED, "rate limit exceeded repeatedly", now)

    def _mismatch(self, message_id: str, now: int, commands: list[Command]) -> None:
        """Someone else's name: told once, and a second time within a minute is the end."""
        details = {"originalMessageId": message_id}
        commands.append(self._error(ErrorCode.SENDER_MISMATCH, _OTHER_SENDER, now, details))
        if now - self._mismatch_at < MISMATCH_WINDOW_MS:
            commands += self.close(CloseCode.PROTOCOL_VIOLATION, "sent as another agent", now)
        self._mismatch_at = now

    def _malformed(self, error: WireError, now: int, commands: list[Command]) -> None:
        """Answer what does not fit the protocol, naming the field."""
        words = f"The message does not fit the protocol: {error.field} {error.reason}."
        commands.append(self._error(error.code, words, now, error.error_details()))

    # --- time and end -----------------------------------------------------------------------------------

    def ticked(self, now: int) -> list[Command]:
        """Time has passed; called about once a second."""
        if self.backlog.is_slow(self.relay.meters.limits, now):
            return self.close(CloseCode.SLOW_CONSUMER, "reads too slowly", now)
        if now >= self._deadline:
            return self.close(CloseCode.TIMED_OUT, "no message in time", now)
        if (
            self._state is State.OPEN
            and self._wall(now) >= self._expires_at + self.relay.settings.expiry_grace
        ):
            error = self._error(ErrorCode.AUTHENTICATION_FAILED, "The token has expired.", now)
            return [error, *self.close(CloseCode.UNAUTHENTICATED, "token expired", now)]
        return []

    def revoked(self, now: int) -> list[Command]:
        """The agent may no longer connect."""
        error = self._error(ErrorCode.AUTHENTICATION_FAILED, _TOKEN_REFUSED, now)
        return [error, *self.close(CloseCode.UNAUTHENTICATED, "authentication failed", now)]

    def warned(self, retry_after: int, now: int) -> list[Command]:
        """The relay is about to go away; `retry_after` ms from now it may be back."""
        if self._state is not State.OPEN:
            return []
        words = "The relay is going away; connect again in a while."
        return [self._error(ErrorCode.CONNECTION_ERROR, words, now, retry_after=retry_after)]

    def lost(self, now: int) -> list[Command]:
        """The transport is gone, or the client has closed."""
        return [] if self._state is State.CLOSED else self._end(now)

    def close(self, code: CloseCode, reason: str, now: int) -> list[Command]:
        """Close from the relay's side."""
        if self._state is State.CLOSED:
            return []
        self.relay.counters.closed(code)
        return [*self._end(now), Close(self, code, reason)]

    def _end(self, now: int) -> list[Command]:
        """Leave the tables, and tell those who watched and were watched."""
        was_open = self._state is State.OPEN
        self._go(State.CLOSED)
        self._deadline = 0
        self._held = []
        self.relay.meters.closed(self.address, authenticated=was_open)
        if self._meter is None:
            return []
        self._meter.holders -= 1
        mutual = self.relay.router.mutual(self)
        self.relay.router.detach(self)
        commands: list[Command] = [other.tell_presence(self.agent_id, _OFFLINE, now) for other in mutual]
        if self.relay.nodes is not None:
            commands += self.relay.nodes.left(self)
        return commands

    # --- what is said -----------------------------------------------------------------------------------

    def _wall(self, now: int) -> int:
        return now + self.relay.wall_offset

    def _say(self, data: bytes) -> Send:
        self.backlog.waiting += len(data)
        return Send(self, data)

    def _ack(self, message_id: str, status: str, now: int) -> Send:
        wall = now + self.relay.wall_offset
        return self._say(self.relay.voice.ack(self.format, self.agent_id, message_id, status, wall))

    def tell_presence(self, agent_id: str, status: PresenceState, now: int) -> Send:
        """Tell this connection's agent that another is there or gone."""
        wall = self._wall(now)
        return self._say(self.relay.voice.presence(self.format, self.agent_id, agent_id, status, wall))

    def _error_envelope(
        self,
        code: ErrorCode,
        words: str,
        now: int,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> Envelope:
        self.relay.counters.error(code.value)
        return self.relay.voice.error(
            code, words, to=self.agent_id, wall=self._wall(now), details=details, retry_after=retry_after
        )

    def _error(
        self,
        code: ErrorCode,
        words: str,
        now: int,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> Send:
        return self._say(encode(self._error_envelope(code, words, now, details, retry_after), self.format))

    def _undelivered(self, code: ErrorCode, words: str, message_id: str, now: int) -> Send:
        return self._error(code, words, now, {"originalMessageId": message_id, "reason": words})
