"""One connection as a state machine: events in, commands out (docs/protocol.md, "Connection" and "Routing").

The shell reports what happened (an upgrade, a frame, a verdict on a token, the passing of time) and carries
out the commands that come back, in order. Times are passed in: `now` is ms on a monotonic clock; the wall
clock is `now + relay.wall_offset`. There is no asyncio, socket or clock here, and no content is looked into,
kept or logged: of a message that is passed on, only what it is routed by is read.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, Protocol

import msgspec

from relay.auth.grant import Grant
from relay.limits import AddressMeter, AgentMeter, Backlog, Meters
from relay.metrics import Counters
from relay.router import Router
from relay.wire import control
from relay.wire.codec import Decoded, Format, Routed, decode, decode_routing, encode, transcode
from relay.wire.envelope import SYSTEM, Envelope, MessageType, Priority, agent_key, metadata, new_id
from relay.wire.errors import CloseCode, ErrorCode, WireError

MISMATCH_WINDOW_MS: Final = 60_000
ABUSE_WINDOW_MS: Final = 60_000
MAX_HELD_FRAMES: Final = 64
_RELAY_ONLY: Final = frozenset({MessageType.AUTH, MessageType.CONNECTED, MessageType.PRESENCE})
_UNACKNOWLEDGED: Final = frozenset({MessageType.ACK, MessageType.ERROR, MessageType.HEARTBEAT})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every connection of a relay is told or held to. Times in ms.

    Attributes:
        relay_name: for display.
        max_message_bytes: the largest envelope, in JSON form.
        heartbeat_interval: how often clients send HEARTBEAT.
        idle_timeout: silence after which a connection is dropped.
        authentication_timeout: time for an AUTH after an upgrade without a token.
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
        self.random = random
        self.router: Router[Connection] = Router()
        self.counters = Counters()
        self.wall_offset = 0
        self._id_ms, self._id_start, self._id_count = -1, "", 0

    def ack_id(self, wall: int) -> str:
        """A `msg_` ULID; within one ms a counter takes the place of fresh randomness, so they sort."""
        if wall != self._id_ms or self._id_count > 0xFFFFFF:
            self._id_ms, self._id_count = wall, 0
            self._id_start = new_id("msg_", wall, self.random(10))[:-6]
        self._id_count += 1
        return f"{self._id_start}{self._id_count:06X}"


class Link(Protocol):
    """The shell's end of a connection: carried in commands, never called here."""

    def send(self, data: bytes) -> None:
        """Write one frame in the connection's format."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and end the connection."""
        ...


class Send(msgspec.Struct, gc=False):
    """Write one frame to a connection."""

    to: Connection
    data: bytes


class Close(msgspec.Struct):
    """Close a connection."""

    to: Connection
    code: CloseCode
    reason: str


class Verify(msgspec.Struct):
    """Judge a token, and report `authenticated` or `refused`."""

    token: str
    agent_id: str
    invite: str | None


class Accept(msgspec.Struct):
    """Complete the upgrade: 101."""


class Refuse(msgspec.Struct):
    """Refuse the upgrade with an HTTP status and the ERROR content as its body."""

    status: int
    content: dict[str, Any]


Command = Send | Close | Verify | Accept | Refuse


class State(Enum):
    """Where a connection stands."""

    UPGRADING = auto()  # the request has not been read
    VERIFYING_UPGRADE = auto()  # its token is being judged; 101 not sent
    AWAITING = auto()  # upgraded without a token; AUTH must come
    VERIFYING = auto()  # AUTH came, and is being judged
    OPEN = auto()
    CLOSED = auto()  # closing or gone; nothing more is said or heard


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


class _AckContent(msgspec.Struct, rename="camel", gc=False):
    message_id: str
    status: str


class _Ack(msgspec.Struct, rename="camel", gc=False):
    """An ACK of ours, written field by field: it goes out with every message."""

    message_id: str
    conversation_id: str
    sender_id: str
    recipient_id: str
    message_type: str
    content: _AckContent
    timestamp: int
    metadata: msgspec.Raw


_ENCODERS: Final[dict[Format, Callable[[Any], bytes]]] = {
    Format.JSON: msgspec.json.Encoder().encode,
    Format.MSGPACK: msgspec.msgpack.Encoder().encode,
}
_LOW: Final = metadata(Priority.LOW, encrypted=False, requires_response=False)
_NORMAL: Final = metadata(Priority.NORMAL, encrypted=False, requires_response=False)
_ACK_METADATA: Final = {fmt: msgspec.Raw(encoder(_NORMAL)) for fmt, encoder in _ENCODERS.items()}


class Connection:
    """One connection's state. Every method but `admits` reports an event and returns commands."""

    __slots__ = (
        "_abuse", "_abuse_since", "_ack_metadata", "_deadline", "_encode", "_expires_at", "_held", "_max_bytes",
        "_meter", "_mismatch_at", "_renewing", "_state", "address", "agent_id", "backlog", "connection_id",
        "format", "key", "link", "relay", "watching",
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
        self._expires_at = 0  # wall clock
        self._held: list[tuple[bytes, int]] | None = None
        self._meter: AgentMeter | None = None
        self._mismatch_at = -MISMATCH_WINDOW_MS
        self._abuse = self._abuse_since = 0
        self._renewing = False
        self._max_bytes = relay.settings.max_message_bytes
        self._use(Format.JSON)
        relay.meters.opened(address)

    def _use(self, fmt: Format) -> None:
        self.format = fmt
        self._encode = _ENCODERS[fmt]
        self._ack_metadata = _ACK_METADATA[fmt]

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
        self._use(fmt)
        if token is None:
            self._go(State.AWAITING)
            self._deadline = now + self.relay.settings.authentication_timeout
            return [Accept()]
        if wait := self.address.failures.take(0, now):
            return self._refuse_upgrade(429, ErrorCode.RATE_LIMIT_EXCEEDED, "Too many refused tokens.", now, wait)
        self._go(State.VERIFYING_UPGRADE)
        return [Verify(token, agent_id, invite)]

    def upgrade_denied(self, status: int, now: int, retry_after: int | None = None) -> list[Command]:
        """The shell will not take this connection: 429 over a rate, 503 over a cap or while going away."""
        if status == 429:
            code, words = ErrorCode.RATE_LIMIT_EXCEEDED, "Too many connections from this address."
        else:
            code, words = ErrorCode.CONNECTION_LIMIT_EXCEEDED, "The relay takes no more connections now."
        return self._refuse_upgrade(status, code, words, now, retry_after)

    def _refuse_upgrade(
        self, status: int, code: ErrorCode, words: str, now: int, retry_after: int | None = None
    ) -> list[Command]:
        error = self._error_envelope(code, words, now, retry_after=retry_after)
        self._end()
        return [Refuse(status, {**error.content, "serverTime": self._wall(now)})]

    def authenticated(self, grant: Grant, now: int) -> list[Command]:
        """The token that was to be verified is good."""
        self.relay.counters.authentications_total += 1
        if self._state is State.CLOSED:
            return []
        if self._state is State.OPEN:
            self._renewing = False
            self._expires_at = grant.expires_at
            return [self._connected(now)]
        commands: list[Command] = [Accept()] if self._state is State.VERIFYING_UPGRADE else []
        self._go(State.OPEN)
        self.agent_id, self.key = grant.agent_id, agent_key(grant.agent_id)
        self._expires_at = grant.expires_at
        self._deadline = now + self.relay.settings.idle_timeout
        self.connection_id = new_id("conn_", self._wall(now), self.relay.random(10))
        self.relay.meters.authenticated(self.address)
        self._meter = self.relay.meters.agent(self.key)
        self._meter.holders += 1
        replaced = self.relay.router.attach(self)
        if replaced is not None:
            commands += replaced.close(CloseCode.REPLACED, "the same agent connected again", now)
        commands.append(self._connected(now))
        held, self._held = self._held, None
        for frame, count in held or ():
            commands += self.received(frame, now, frames=count)
        return commands

    def refused(self, now: int) -> list[Command]:
        """The token that was to be verified is refused. Every reason reads the same."""
        self.relay.counters.refused_authentications_total += 1
        self.address.failures.take(1, now)
        words = "The token was not accepted."
        if self._state is State.CLOSED:
            return []
        if self._state is State.VERIFYING_UPGRADE:
            return self._refuse_upgrade(401, ErrorCode.AUTHENTICATION_FAILED, words, now)
        error = self._error(ErrorCode.AUTHENTICATION_FAILED, words, now, {"serverTime": self._wall(now)})
        return [error, *self.close(CloseCode.UNAUTHENTICATED, "authentication failed", now)]

    def _connected(self, now: int) -> Send:
        settings = self.relay.settings
        content = control.ConnectedContent(
            connection_id=self.connection_id, agent_id=self.agent_id,
            heartbeat_interval=settings.heartbeat_interval, idle_timeout=settings.idle_timeout,
            max_message_bytes=settings.max_message_bytes, token_expires_at=self._expires_at,
            server_time=self._wall(now), relay_name=settings.relay_name,
        )
        return self._tell(MessageType.CONNECTED, control.build(content), now)

    def _first_frame(self, frame: bytes, now: int) -> list[Command]:
        """AUTH, and only AUTH, may open a connection that brought no token."""
        found = decode(frame, self.format, max_message_bytes=self._max_bytes)[0]
        is_auth = isinstance(found, Decoded) and found.envelope.message_type is MessageType.AUTH
        if not is_auth or self.address.failures.take(0, now):
            self._go(State.VERIFYING)
            return self.refused(now)
        self._go(State.VERIFYING)
        self._held = []
        return self._authenticate(found.envelope, now)

    def _authenticate(self, envelope: Envelope, now: int) -> list[Command]:
        content = envelope.content
        invite = content.get("invite")
        same = agent_key(content["agentId"]) == agent_key(envelope.sender_id)
        if not same or (self.key and self.key != agent_key(content["agentId"])):
            return self.refused(now)
        self._renewing = True
        return [Verify(content["token"], content["agentId"], invite if isinstance(invite, str) else None)]

    # --- messages ---------------------------------------------------------------------------------------

    def received(self, frame: bytes, now: int, *, frames: int = 1) -> list[Command]:
        """A whole WebSocket message came.

        Args:
            frame: its bytes.
            now: ms.
            frames: how many WebSocket frames carried it.
        """
        if self._state is not State.OPEN:
            return self._received_early(frame, now, frames)
        self._deadline = now + self.relay.settings.idle_timeout
        commands: list[Command] = []
        for message in decode_routing(frame, self.format, max_message_bytes=self._max_bytes):
            if type(message) is Routed:
                self._message(message, now, commands)
            elif isinstance(message, WireError):
                self._malformed(message, len(frame), now, commands)
            if self._state is State.CLOSED:
                break
        return commands

    def _received_early(self, frame: bytes, now: int, frames: int) -> list[Command]:
        if self._state is State.AWAITING:
            return self._first_frame(frame, now)
        if self._held is not None and len(self._held) < MAX_HELD_FRAMES:
            self._held.append((frame, frames))
        elif self._held is not None:
            return self.close(CloseCode.PROTOCOL_VIOLATION, "too many frames before CONNECTED", now)
        return []

    def _message(self, message: Routed, now: int, commands: list[Command]) -> None:
        """Route one message, or answer why not."""
        if self._over_limit(message.message_id, message.size, now, commands):
            return
        if message.sender_id != self.agent_id and message.sender_id.lower() != self.key:
            return self._mismatch(message.message_id, now, commands)
        if message.recipient_id == SYSTEM:
            return self._system(message, now, commands)
        if message.message_type in _RELAY_ONLY:
            error = WireError("messageType", "is between an agent and its relay", message_id=message.message_id)
            return self._malformed(error, 0, now, commands)
        target = self.relay.router.online.get(message.recipient_id.lower())
        if message.message_type is MessageType.HANDSHAKE and self._handshake_limited(target, message, now, commands):
            return
        if target is None or not target.admits(self.key, message.message_type):
            commands.append(self._undelivered(
                ErrorCode.RECIPIENT_NOT_FOUND, "The recipient is not connected.", message.message_id, now
            ))
            return
        self._deliver(target, message, now, commands)

    def _deliver(self, target: Connection, message: Routed, now: int, commands: list[Command]) -> None:
        data = message.raw
        if target.format is not self.format:
            try:
                data = transcode(data, self.format, target.format)
            except WireError as error:
                error.message_id = message.message_id
                return self._malformed(error, 0, now, commands)
        if target.backlog.waiting + len(data) > self.relay.meters.limits.queue_bytes:
            commands.append(self._undelivered(
                ErrorCode.MESSAGE_ERROR, "The recipient reads too slowly.", message.message_id, now
            ))
            return
        target.backlog.waiting += len(data)
        commands.append(Send(target, data))
        counters = self.relay.counters
        counters.messages_routed_total += 1
        counters.bytes_routed_total += len(data)
        if message.message_type not in _UNACKNOWLEDGED:
            commands.append(self._ack(message.message_id, "ROUTED", now))

    def admits(self, sender: str, message_type: MessageType) -> bool:
        """Whether the agent behind this connection takes a message of this type from that agent key."""
        return self.watching is None or sender in self.watching or message_type is MessageType.HANDSHAKE

    def _handshake_limited(
        self, target: Connection | None, message: Routed, now: int, commands: list[Command]
    ) -> bool:
        """HANDSHAKEs to those who do not watch the sender are few, whether these are online or not."""
        if target is not None and target.watching is not None and self.key in target.watching:
            return False
        assert self._meter is not None
        wait = self._meter.handshakes.take(1, now)
        if wait:
            self._limited(wait, message.message_id, now, commands)
        return wait > 0

    def _system(self, message: Routed, now: int, commands: list[Command]) -> None:
        """Act on a message that is addressed to the relay."""
        found = decode(message.raw, self.format, max_message_bytes=self._max_bytes)[0]
        if isinstance(found, WireError):
            return self._malformed(found, 0, now, commands)
        envelope = found.envelope
        match envelope.message_type:
            case MessageType.HEARTBEAT:
                echo = msgspec.structs.replace(
                    envelope, sender_id=SYSTEM, recipient_id=self.agent_id, timestamp=self._wall(now), metadata=_LOW
                )
                commands.append(self._send(encode(echo, self.format)))
            case MessageType.DISCONNECT:
                commands.append(self._ack(message.message_id, "CLOSED", now))
                commands += self.close(CloseCode.NORMAL, "goodbye", now)
            case MessageType.AUTH if not self._renewing:
                commands += self._authenticate(envelope, now)
            case MessageType.PRESENCE if "watch" in envelope.content:
                self._watch(envelope, now, commands)
            case MessageType.ACK | MessageType.ERROR:
                return  # heard; an answer to an answer would never end
            case _:
                error = WireError("messageType", "is not one that the relay takes", message_id=message.message_id)
                self._malformed(error, 0, now, commands)

    def _watch(self, envelope: Envelope, now: int, commands: list[Command]) -> None:
        watched = control.parse(control.PresenceWatch, envelope.content).watch
        change = self.relay.router.watch(self, frozenset(agent_key(name) for name in watched))
        commands += [self._presence(other.agent_id, "ONLINE", now) for other in change.mutual]
        commands += [other._presence(self.agent_id, "ONLINE", now) for other in change.gained]
        commands += [other._presence(self.agent_id, "OFFLINE", now) for other in change.lost]

    # --- trouble ----------------------------------------------------------------------------------------

    def control_frame(self, now: int) -> list[Command]:
        """A ping or pong, or a fragment without an end, came: it costs a message and shows life."""
        commands: list[Command] = []
        if not self._over_limit(None, 0, now, commands) and self._state is State.OPEN:
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
        details = {"originalMessageId": message_id} if message_id else {}
        commands.append(self._error(
            ErrorCode.RATE_LIMIT_EXCEEDED, "Too many messages.", now, details, retry_after=wait
        ))
        if self._abuse > self.relay.meters.limits.refusals_before_close:
            commands += self.close(CloseCode.RATE_LIMITED, "rate limit exceeded repeatedly", now)

    def _mismatch(self, message_id: str, now: int, commands: list[Command]) -> None:
        commands.append(self._undelivered(
            ErrorCode.SENDER_MISMATCH, "The sender is not the connection's agent.", message_id, now
        ))
        if now - self._mismatch_at < MISMATCH_WINDOW_MS:
            commands += self.close(CloseCode.PROTOCOL_VIOLATION, "sent as another agent", now)
        self._mismatch_at = now

    def _malformed(self, error: WireError, size: int, now: int, commands: list[Command]) -> None:
        """Answer what does not fit the protocol; `size` bytes are charged unless they were already."""
        if size and self._over_limit(error.message_id, size, now, commands):
            return
        words = f"The message does not fit the protocol: {error.field} {error.reason}."
        commands.append(self._error(error.code, words, now, error.error_details()))

    # --- time and end -----------------------------------------------------------------------------------

    def ticked(self, now: int) -> list[Command]:
        """Time has passed; called about once a second."""
        if self._state is State.CLOSED:
            return []
        if self.backlog.is_slow(self.relay.meters.limits, now):
            return self.close(CloseCode.SLOW_CONSUMER, "reads too slowly", now)
        if now >= self._deadline:
            if self._state is State.UPGRADING:
                self._end()
                return [Close(self, CloseCode.TIMED_OUT, "no request in time")]
            return self.close(CloseCode.TIMED_OUT, "no message in time", now)
        if self._state is State.OPEN and self._wall(now) >= self._expires_at + self.relay.settings.expiry_grace:
            error = self._error(ErrorCode.AUTHENTICATION_FAILED, "The token has expired.", now)
            return [error, *self.close(CloseCode.UNAUTHENTICATED, "token expired", now)]
        return []

    def revoked(self, now: int) -> list[Command]:
        """The agent may no longer connect."""
        error = self._error(ErrorCode.AUTHENTICATION_FAILED, "The token was not accepted.", now)
        return [error, *self.close(CloseCode.UNAUTHENTICATED, "authentication failed", now)]

    def warned(self, retry_after: int, now: int) -> list[Command]:
        """The relay is about to go away; `retry_after` ms from now it may be back."""
        if self._state is not State.OPEN:
            return []
        words = "The relay is going away; connect again in a while."
        return [self._error(ErrorCode.CONNECTION_ERROR, words, now, retry_after=retry_after)]

    def close(self, code: CloseCode, reason: str, now: int) -> list[Command]:
        """Close from the relay's side."""
        if self._state is State.CLOSED:
            return []
        self.relay.counters.closed(code)
        return [*self._end(now), Close(self, code, reason)]

    def lost(self, now: int) -> list[Command]:
        """The transport is gone, or the client has closed."""
        return [] if self._state is State.CLOSED else self._end(now)

    def _end(self, now: int = 0) -> list[Command]:
        """Leave the tables, and tell those who watched."""
        was_open = self._state is State.OPEN
        self._go(State.CLOSED)
        self._held = None
        self.relay.meters.closed(self.address, authenticated=was_open)
        if not was_open:
            return []
        assert self._meter is not None
        self._meter.holders -= 1
        mutual = self.relay.router.mutual(self)
        here = self.relay.router.find(self.key)
        if here is not self:  # replaced: the agent is still here, but its new connection watches nobody yet
            return [other._presence(self.agent_id, "OFFLINE", now) for other in mutual]
        self.relay.router.detach(self)
        return [other._presence(self.agent_id, "OFFLINE", now) for other in mutual]

    # --- what is said -----------------------------------------------------------------------------------

    def _wall(self, now: int) -> int:
        return now + self.relay.wall_offset

    def _send(self, data: bytes) -> Send:
        self.backlog.waiting += len(data)
        return Send(self, data)

    def _ack(self, message_id: str, status: str, now: int) -> Send:
        wall = now + self.relay.wall_offset
        ack = _Ack(
            self.relay.ack_id(wall), SYSTEM, SYSTEM, self.agent_id, "ACK", _AckContent(message_id, status), wall,
            self._ack_metadata,
        )
        data = self._encode(ack)
        self.backlog.waiting += len(data)
        return Send(self, data)

    def _tell(self, message_type: MessageType, content: dict[str, Any], now: int) -> Send:
        wall = self._wall(now)
        envelope = Envelope(
            message_id=new_id("msg_", wall, self.relay.random(10)), conversation_id=SYSTEM, sender_id=SYSTEM,
            recipient_id=self.agent_id, message_type=message_type, content=content, timestamp=wall,
            metadata=_NORMAL,
        )
        return self._send(encode(envelope, self.format))

    def _presence(self, agent_id: str, status: str, now: int) -> Send:
        return self._tell(MessageType.PRESENCE, {"agentId": agent_id, "status": status}, now)

    def _error_envelope(
        self, code: ErrorCode, words: str, now: int, details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> Envelope:
        self.relay.counters.error(code.value)
        wall = self._wall(now)
        return control.error_envelope(
            code, words, recipient=self.agent_id or "unknown", details=details, retry_after=retry_after,
            message_id=new_id("err_", wall, self.relay.random(10)), now_ms=wall,
        )

    def _error(
        self, code: ErrorCode, words: str, now: int, details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> Send:
        return self._send(encode(self._error_envelope(code, words, now, details, retry_after), self.format))

    def _undelivered(self, code: ErrorCode, words: str, message_id: str, now: int) -> Send:
        return self._error(code, words, now, {"originalMessageId": message_id, "reason": words})
