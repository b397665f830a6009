"""The shell round the connection machine: sockets, timers and tasks for `connection`, and nothing it decides.

Implements docs/protocol.md, section "Transport", on `websockets.asyncio.client`. Runs on any asyncio loop, the
window's too. Frames are decoded here and handed on; what an envelope means is the agent's business. No proxy is
used and no redirect followed: the token goes to the address that was dialled, or nowhere.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection

from agentnet_desktop.transport import dial, signals
from agentnet_desktop.transport.connection import ALL_FORMATS, Connection
from agentnet_desktop.transport.endpoint import parse_endpoint
from agentnet_desktop.transport.link import Link
from agentnet_desktop.transport.network import NetworkWatch, local_addresses
from agentnet_desktop.transport.phases import Phase
from agentnet_desktop.transport.signals import Moment, Status
from agentnet_desktop.transport.tokens import SignInEnded, TokenError, TokenSource
from relay.wire.codec import Decoded, Format, decode, encode
from relay.wire.envelope import SYSTEM, Envelope
from relay.wire.errors import WireError

OnFrame = Callable[[list[Decoded | WireError], bytes], None]
OnState = Callable[[Status], None]
OnSent = Callable[[Sequence[Envelope]], None]


def _ignore_sent(_envelopes: Sequence[Envelope]) -> None:
    """Nobody keeps a log of what the client sends on its own account."""


class RelayClient:
    """One connection to the relay that keeps itself alive. All calls are made on the loop's thread."""

    def __init__(
        self,
        *,
        endpoint: str,
        agent_id: str,
        tokens: TokenSource,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
        on_frame: OnFrame,
        on_state: OnState,
        on_sent: OnSent = _ignore_sent,
        tls_pin: str | None = None,
        insecure: bool = False,
        network: Callable[[], tuple[str, ...]] = local_addresses,
    ) -> None:
        """Makes a client that has not connected yet.

        Args:
            endpoint: the relay's base address or whole endpoint.
            agent_id: who connects.
            tokens: whence each token comes.
            clock: ms since the Unix epoch.
            random: returns n random bytes.
            on_frame: called for each received frame with its elements and its bytes, in order.
            on_state: called when the status changed; CONNECTED after the relay's CONNECTED went to `on_frame`.
            on_sent: called with what the client sends on its own account (AUTH without its token, HEARTBEAT,
                DISCONNECT), so that a log can show it.
            tls_pin: hex SHA-256 of the relay's SPKI, when its certificate is self-signed.
            insecure: allows `ws://` to another machine.
            network: returns the addresses that this machine has at the moment.

        Raises:
            BadEndpoint: the address cannot be used.
        """
        self._endpoint = parse_endpoint(endpoint, insecure=insecure)
        self._agent_id = agent_id
        self._tokens = tokens
        self._clock = clock
        self._on_frame = on_frame
        self._on_state = on_state
        self._on_sent = on_sent
        self._tls_pin = tls_pin
        self._machine = Connection(
            agent_id=agent_id, relay_url=self._endpoint.url, insecure=self._endpoint.exposed, random=random
        )
        self._network = NetworkWatch(self._network_changed, look=network)
        self._events: deque[signals.Event] = deque()
        self._feeding = False
        self._group: asyncio.TaskGroup | None = None
        self._finished = asyncio.Event()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._token_job: asyncio.Task[None] | None = None
        self._socket_job: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._format = ALL_FORMATS[0]

    # --------------------------------------------------------------------------------------- interface

    @property
    def status(self) -> Status:
        """The connection as it stands."""
        return self._machine.status

    @property
    def format(self) -> Format:
        """How envelopes are written on the present connection, or were on the last one."""
        return self._format

    async def run(self) -> None:
        """Connects, reconnects, until stopped. Never raises for network trouble. Call it once."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                if self._machine.phase is Phase.NEW:
                    self._feed(signals.Start())
                watch = group.create_task(self._network.run(), name="network watch")
                await self._finished.wait()
                watch.cancel()
                self._cancel(self._token_job)
        finally:
            self._group = None
            if self._timer is not None:
                self._timer.cancel()
            self._finished.set()

    def send(self, envelopes: Sequence[Envelope]) -> bool:
        """Sends envelopes in the negotiated format, in order, several to a frame when several are ready.

        Returns:
            False when there is no connection: nothing was sent. True says only that they are on their way.
        """
        link = self._link
        if link is None or self._machine.phase is not Phase.LIVE:
            return False
        for envelope in envelopes:
            link.put(encode(envelope, link.format))
        return True

    async def stop(self) -> None:
        """Sends DISCONNECT, waits for its acknowledgement and for the close with 1000. Safe to call twice."""
        if self._machine.phase is not Phase.ENDED and not self._finished.is_set():
            self._feed(signals.Stop())
        if self._group is not None:
            await self._finished.wait()

    def reconnect_now(self) -> None:
        """Ends a wait at once, takes up a stopped connection again, and tests a live one."""
        if self._group is not None:
            self._feed(signals.Reconnect())

    def _network_changed(self) -> None:
        self._feed(signals.NetworkChanged())

    # ----------------------------------------------------------------------------------- the machine

    def _moment(self) -> Moment:
        return Moment(asyncio.get_running_loop().time() * 1000, self._clock())

    def _feed(self, event: signals.Event) -> None:
        """Hands an event to the machine and carries out its commands; what they cause is taken in turn."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events:
                for command in self._machine.handle(self._events.popleft(), self._moment()):
                    self._execute(command)
        finally:
            self._feeding = False
        self._arm()

    def _execute(self, command: signals.Command) -> None:
        match command:
            case signals.GetToken():
                self._cancel(self._token_job)
                self._token_job = self._start(self._get_token(command), "relay token")
            case signals.Dial():
                self._socket_job = self._start(self._connection(command), "relay connection")
            case signals.Write():
                if self._link is not None:
                    self._link.put(encode(command.envelope, self._link.format))
                    self._on_sent((command.shown,))
            case signals.Hangup():
                self._hang_up(orderly=command.orderly)
            case signals.Accepted():
                self._tokens.accepted()
            case signals.Report():
                self._on_state(command.status)
            case signals.Finished():
                self._finished.set()

    def _start(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        if self._group is None:
            coro.close()
            raise RuntimeError("the client does not run")
        return self._group.create_task(coro, name=name)

    @staticmethod
    def _cancel(job: asyncio.Task[None] | None) -> None:
        if job is not None:
            job.cancel()

    def _arm(self) -> None:
        """Keeps one timer, which a later deadline leaves alone.

        An early Tick does no harm, and under Qt's loop a cancelled timer would stay until it is due.
        """
        deadline = self._machine.deadline
        if deadline is None or self._group is None:
            return
        at = deadline / 1000
        if self._timer is not None and self._timer_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at  # Qt's loop gives handles that do not know their time
        self._timer = asyncio.get_running_loop().call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._feed(signals.Tick())

    # ------------------------------------------------------------------------------------------ tasks

    async def _get_token(self, command: signals.GetToken) -> None:
        try:
            token = await self._tokens.token(now_ms=command.now_ms, fresh=command.fresh)
        except TokenError as error:
            self._feed(signals.TokenFailed(str(error), ended=isinstance(error, SignInEnded)))
        else:
            self._feed(signals.TokenReceived(token.text, token.expires_at, token.invite))

    async def _connection(self, command: signals.Dial) -> None:
        """One connection from the dialling to its end."""
        result = await dial.dial(
            self._endpoint,
            agent_id=self._agent_id,
            token=command.token,
            invite=command.invite,
            formats=command.formats,
            tls_pin=self._tls_pin,
        )
        if not isinstance(result, ClientConnection):
            self._feed(result)
            return
        fmt = dial.format_of(result)
        link = Link(result, fmt, max_message_bytes=self.status.max_message_bytes)
        self._link = link
        self._format = fmt
        self._feed(signals.Opened(fmt))
        code = await link.run(lambda frame: self._frame(link, frame))
        if self._link is link:
            self._link = None
            self._feed(signals.Closed(code))

    def _frame(self, link: Link, frame: bytes) -> None:
        elements = decode(frame, link.format, max_message_bytes=link.max_message_bytes)
        self._on_frame(elements, frame)
        for element in elements:
            # A link that was hung up may still hold frames; the machine has left it behind.
            if self._link is link and isinstance(element, Decoded) and element.envelope.sender_id == SYSTEM:
                self._feed(signals.FromRelay(element.envelope))
        link.max_message_bytes = self.status.max_message_bytes

    def _hang_up(self, *, orderly: bool) -> None:
        link, self._link = self._link, None
        if link is not None and orderly:
            self._start(link.close(), "relay farewell")
            return  # the connection's own task ends when the close is done
        if link is not None:
            link.abort()
        if self._socket_job is not asyncio.current_task():
            self._cancel(self._socket_job)
