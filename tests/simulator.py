"""An in-memory relay, client and clock, with which agents' tests are fast and the same every time.

`SimRelay` routes as docs/protocol.md says the relay does: by recipientId, RECIPIENT_NOT_FOUND, ACK ROUTED,
PRESENCE for pairs that watch each other, only HANDSHAKE from outside a watch set. Envelopes are really
encoded and decoded, so agents see the bytes that a connection would carry. Tests can drop, duplicate, hold
and change what passes (`faults`), cut connections and take the whole relay down.

`SimClient` has the interface of `transport.client.RelayClient`. `ManualClock` moves only when told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from agentnet_desktop.agent.ports import OnFrame, OnSent, OnState
from agentnet_desktop.transport.signals import State, Status
from relay.wire import control
from relay.wire.codec import Format, decode, encode
from relay.wire.control import AckContent, AckStatus, ConnectedContent, PresenceState, PresenceStatus
from relay.wire.envelope import SYSTEM, Envelope, MessageType, Priority, agent_key, metadata
from relay.wire.errors import ErrorCode

RELAY_URL = "ws://127.0.0.1:8765/agent-network/v1/connect"
START = 1_780_300_800_000  # Monday 2026-06-01 08:00 UTC


class ManualClock:
    """A clock in milliseconds that tests move, and the alarms that go off on the way."""

    def __init__(self, now: int = START) -> None:
        self.now = now
        self._alarms: dict[int, tuple[int, Callable[[], None]]] = {}

    def __call__(self) -> int:
        return self.now

    def alarm(self) -> ManualAlarm:
        """Returns a new alarm of this clock."""
        return ManualAlarm(self)

    def soonest(self) -> int | None:
        """Returns when the next alarm goes off, or None."""
        return min((at for at, _ in self._alarms.values()), default=None)

    def due(self) -> bool:
        """Tells whether an alarm is due at the present time."""
        soonest = self.soonest()
        return soonest is not None and soonest <= self.now

    def ring(self, until: int) -> bool:
        """Moves to the soonest alarm at or before `until` and sets it off; False when there is none."""
        due = sorted((at, key) for key, (at, _) in self._alarms.items() if at <= until)
        if not due:
            self.now = max(self.now, until)
            return False
        at, key = due[0]
        self.now = max(self.now, at)
        self._alarms.pop(key)[1]()
        return True


class ManualAlarm:
    """One alarm of a `ManualClock`."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def arm(self, delay_ms: int, callback: Callable[[], None]) -> None:
        """Goes off `delay_ms` after the clock's present time."""
        self._clock._alarms[id(self)] = (self._clock.now + delay_ms, callback)

    def disarm(self) -> None:
        """Does not go off."""
        self._clock._alarms.pop(id(self), None)


class Verdict(Enum):
    """What the relay does with one envelope that it was to route."""

    PASS = "pass"
    DROP = "drop"  # routed as far as the sender knows, and lost
    DUPLICATE = "duplicate"
    HOLD = "hold"  # kept until `release`


Fault = Callable[[Envelope], "Verdict | Envelope"]


class SimClient:
    """One agent's connection to the in-memory relay."""

    def __init__(self, relay: SimRelay, agent_id: str, on_frame: OnFrame, on_state: OnState) -> None:
        self.relay = relay
        self.agent_id = agent_id
        self.on_frame = on_frame
        self.on_state = on_state
        self.connected = False
        self.stopped = asyncio.Event()

    @property
    def format(self) -> Format | None:
        """What the connection speaks."""
        return self.relay.form if self.connected else None

    async def run(self) -> None:
        """Connects when the relay is up and stays until stopped."""
        self.relay.clients[agent_key(self.agent_id)] = self
        self.relay.connect(self)
        await self.stopped.wait()

    def send(self, envelopes: Sequence[Envelope]) -> bool:
        """Hands envelopes to the relay; False without a connection."""
        if not self.connected:
            return False
        self.relay.accept(self, envelopes)
        return True

    async def stop(self) -> None:
        """Leaves the relay."""
        self.relay.disconnect(self)
        self.stopped.set()

    def reconnect_now(self) -> None:
        """Connects if the relay is up."""
        self.relay.connect(self)

    def tell(self, state: State) -> None:
        """Tells the agent of its connection."""
        limit = self.relay.max_message_bytes
        self.on_state(Status(state, RELAY_URL, "simulator", "conn_1", max_message_bytes=limit))


class SimRelay:
    """Routes between agents in memory, on the running loop, in order.

    Attributes:
        up: whether anybody can connect.
        max_message_bytes: the largest envelope that it takes, in JSON form.
        seen: every envelope that an agent sent, in order.
        wire: the bytes of those envelopes.
        faults: asked in turn what to do with each envelope to route; the first that does not say PASS counts.
        held: envelopes that a fault told to hold.
    """

    def __init__(self, clock: ManualClock, form: Format = Format.MSGPACK) -> None:
        self.clock = clock
        self.form = form
        self.up = True
        self.max_message_bytes = 65_536
        self.clients: dict[str, SimClient] = {}
        self.online: dict[str, SimClient] = {}
        self.watched: dict[str, set[str]] = {}
        self.seen: list[Envelope] = []
        self.wire: list[bytes] = []
        self.faults: list[Fault] = []
        self.held: list[Envelope] = []
        self.swallowed: set[str] = set()
        self.pending = 0
        self._serial = 0

    def factory(self, agent_id: str) -> Callable[..., SimClient]:
        """Returns what builds the client of one agent."""

        def build(*, on_frame: OnFrame, on_state: OnState, on_sent: OnSent) -> SimClient:
            return SimClient(self, agent_id, on_frame, on_state)

        return build

    # ----------------------------------------------------------------------------------- connections

    def connect(self, client: SimClient) -> None:
        """Lets a client in, unless the relay is down."""
        if client.connected or client.stopped.is_set():
            return
        if not self.up:
            client.tell(State.WAITING)
            return
        client.connected = True
        self.online[agent_key(client.agent_id)] = client
        content = ConnectedContent(
            connection_id=f"conn_{self._next()}",
            agent_id=client.agent_id,
            heartbeat_interval=30_000,
            idle_timeout=90_000,
            max_message_bytes=self.max_message_bytes,
            token_expires_at=self.clock() + 3_600_000,
            server_time=self.clock(),
            relay_name="simulator",
        )
        self._tell(client, MessageType.CONNECTED, control.build(content))
        self._soon(client.tell, State.CONNECTED)

    def disconnect(self, client: SimClient) -> None:
        """Ends a client's connection without a word."""
        if not client.connected:
            return
        client.connected = False
        key = agent_key(client.agent_id)
        if self.online.get(key) is client:
            del self.online[key]
            self._presence(key, PresenceState.OFFLINE)
            self.watched.pop(key, None)
        self._soon(client.tell, State.WAITING)

    def vanish(self, agent_id: str) -> None:
        """An agent's process died: its connection is gone and nobody is there to hear of it."""
        client = self.clients.pop(agent_key(agent_id), None)
        if client is not None:
            client.on_state = lambda _: None
            client.on_frame = lambda *_: None
            self.clients[agent_key(agent_id)] = client
            self.disconnect(client)
            client.stopped.set()

    def cut(self, agent_id: str) -> None:
        """Cuts one agent's connection; it stays away until `restore`."""
        self.disconnect(self.clients[agent_key(agent_id)])

    def restore(self, agent_id: str) -> None:
        """Lets an agent connect again."""
        self.connect(self.clients[agent_key(agent_id)])

    def go_down(self) -> None:
        """Cuts everybody and refuses new connections."""
        self.up = False
        for client in list(self.online.values()):
            self.disconnect(client)

    def come_back(self) -> None:
        """Lets everybody in again."""
        self.up = True
        for client in self.clients.values():
            self.connect(client)

    # --------------------------------------------------------------------------------------- routing

    def accept(self, client: SimClient, envelopes: Sequence[Envelope]) -> None:
        """Takes what a client sends."""
        for envelope in envelopes:
            raw = encode(envelope, self.form)
            self.seen.append(envelope)
            self.wire.append(raw)
            if agent_key(client.agent_id) in self.swallowed:
                continue
            if len(encode(envelope, Format.JSON)) > self.max_message_bytes:
                self._refuse(client, envelope, ErrorCode.INVALID_MESSAGE_FORMAT, "The message is too large.")
            elif envelope.recipient_id == SYSTEM:
                self._soon(self._control, client, envelope)
            else:
                self._soon(self._route, client, envelope)

    def release(self, *, reverse: bool = False) -> None:
        """Delivers what was held, in order or the other way round."""
        held, self.held = self.held, []
        for envelope in reversed(held) if reverse else held:
            self._hand_over(envelope)

    def swallow(self, agent_id: str) -> None:
        """Takes everything that an agent sends from now on, and does nothing with it."""
        self.swallowed.add(agent_key(agent_id))

    def inject(self, envelope: Envelope) -> None:
        """Delivers an envelope as if the named sender had sent it."""
        self._hand_over(envelope)

    def sent(self, sender: str, message_type: MessageType | None = None) -> list[Envelope]:
        """Returns what one agent sent, of one outer type or of all."""
        return [
            envelope
            for envelope in self.seen
            if envelope.sender_id == sender and message_type in (None, envelope.message_type)
        ]

    def _control(self, client: SimClient, envelope: Envelope) -> None:
        if envelope.message_type is not MessageType.PRESENCE:
            return
        key = agent_key(client.agent_id)
        before = self.watched.get(key, set())
        self.watched[key] = {agent_key(peer) for peer in envelope.content["watch"]}
        for peer in sorted(self.watched[key] - before):
            other = self.online.get(peer)
            if other is not None and key in self.watched.get(peer, set()):
                self._say_presence(client, other.agent_id, PresenceState.ONLINE)
                self._say_presence(other, client.agent_id, PresenceState.ONLINE)
            else:
                self._say_presence(client, peer, PresenceState.OFFLINE)

    def _presence(self, key: str, state: PresenceState) -> None:
        agent = self.clients[key].agent_id
        for peer in sorted(self.watched.get(key, set())):
            other = self.online.get(peer)
            if other is not None and key in self.watched.get(peer, set()):
                self._say_presence(other, agent, state)

    def _say_presence(self, client: SimClient, about: str, state: PresenceState) -> None:
        content = control.build(PresenceStatus(agent_id=about, status=state))
        self._tell(client, MessageType.PRESENCE, content)

    def _route(self, client: SimClient, envelope: Envelope) -> None:
        recipient = agent_key(envelope.recipient_id)
        sender = agent_key(envelope.sender_id)
        known = self.watched.get(recipient)
        welcome = known is None or sender in known or envelope.message_type is MessageType.HANDSHAKE
        if recipient not in self.online or not welcome:
            if envelope.message_type not in (MessageType.ACK, MessageType.ERROR):
                words = "The recipient is not connected."
                self._refuse(client, envelope, ErrorCode.RECIPIENT_NOT_FOUND, words)
            return
        if envelope.message_type not in (MessageType.ACK, MessageType.ERROR, MessageType.HEARTBEAT):
            ack = AckContent(message_id=envelope.message_id, status=AckStatus.ROUTED)
            self._tell(client, MessageType.ACK, control.build(ack))
        self._pass_on(envelope)

    def _pass_on(self, envelope: Envelope) -> None:
        for fault in self.faults:
            verdict = fault(envelope)
            if isinstance(verdict, Envelope):
                envelope = verdict
                continue
            if verdict is Verdict.DROP:
                return
            if verdict is Verdict.HOLD:
                self.held.append(envelope)
                return
            if verdict is Verdict.DUPLICATE:
                self._hand_over(envelope)
        self._hand_over(envelope)

    def _hand_over(self, envelope: Envelope) -> None:
        client = self.online.get(agent_key(envelope.recipient_id))
        if client is not None:
            self._soon(self._frame, client, envelope)

    def _refuse(self, client: SimClient, envelope: Envelope, code: ErrorCode, words: str) -> None:
        error = control.error_envelope(
            code,
            words,
            recipient=client.agent_id,
            message_id=f"err_{self._next()}",
            now_ms=self.clock(),
            details={"originalMessageId": envelope.message_id},
        )
        self._soon(self._frame, client, error)

    def _tell(self, client: SimClient, message_type: MessageType, content: dict[str, object]) -> None:
        envelope = Envelope(
            message_id=f"msg_relay_{self._next()}",
            conversation_id=SYSTEM,
            sender_id=SYSTEM,
            recipient_id=client.agent_id,
            message_type=message_type,
            content=content,
            timestamp=self.clock(),
            metadata=metadata(Priority.LOW, encrypted=False, requires_response=False),
        )
        self._soon(self._frame, client, envelope)

    def _frame(self, client: SimClient, envelope: Envelope) -> None:
        if client.connected:
            raw = encode(envelope, self.form)
            limit = self.max_message_bytes
            client.on_frame(decode(raw, self.form, max_message_bytes=limit), raw)

    def _soon(self, action: Callable[..., None], *arguments: object) -> None:
        """Does it in a later turn of the loop, in order, and counts it, so that tests can wait."""
        self.pending += 1

        def run() -> None:
            self.pending -= 1
            action(*arguments)

        asyncio.get_running_loop().call_soon(run)

    def _next(self) -> int:
        self._serial += 1
        return self._serial


def only(
    verdict: Verdict, *, sender: str | None = None, message_type: str | None = None, times: int = 1
) -> Fault:
    """Returns a fault for the first `times` envelopes of a sender and type (inner type for ENCRYPTED)."""
    left: Iterator[int] = iter(range(times))

    def fault(envelope: Envelope) -> Verdict | Envelope:
        if sender is not None and envelope.sender_id != sender:
            return Verdict.PASS
        inner = envelope.content.get("originalType", envelope.message_type.value)
        if message_type is not None and inner != message_type:
            return Verdict.PASS
        return verdict if next(left, None) is not None else Verdict.PASS

    return fault


def tampered(envelope: Envelope, **content: object) -> Envelope:
    """Returns the envelope with some fields of its content replaced."""
    fields = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    fields["content"] = {**envelope.content, **content}
    return Envelope(**fields)
