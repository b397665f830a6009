"""A small relay for these tests: a real WebSocket server whose behaviour each test writes down."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from agentnet_desktop.transport.client import RelayClient
from agentnet_desktop.transport.signals import State, Status
from agentnet_desktop.transport.tokens import Token
from relay.wire.codec import Decoded, Format, decode, encode
from relay.wire.envelope import SYSTEM, Envelope, MessageType, metadata
from relay.wire.errors import WireError

Script = Callable[["Peer"], Awaitable[None]]
LIMIT_S = 10.0


def now_ms() -> int:
    return int(time.time() * 1000)


def envelope(
    kind: MessageType, content: dict[str, Any], *, sender: str = SYSTEM, at: str = "alice"
) -> Envelope:
    return Envelope(
        message_id=f"msg_{os.urandom(6).hex()}",
        conversation_id=SYSTEM,
        sender_id=sender,
        recipient_id=at,
        message_type=kind,
        content=content,
        timestamp=now_ms(),
        metadata=metadata(encrypted=False, requires_response=False),
    )


class Peer:
    """The relay's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.format = next(f for f in Format if f.subprotocol == socket.subprotocol)
        self.frames: list[bytes] = []
        self._got: list[Envelope] = []

    async def send(self, *envelopes: Envelope) -> None:
        for each in envelopes:
            await self.socket.send(encode(each, self.format), text=self.format is Format.JSON)

    async def receive(self, kind: MessageType | None = None) -> Envelope:
        """The next envelope, of this kind when one is named."""
        while True:
            while self._got:
                found = self._got.pop(0)
                if kind is None or found.message_type is kind:
                    return found
            frame = await self.socket.recv(decode=False)
            self.frames.append(frame)
            for element in decode(frame, self.format):
                assert isinstance(element, Decoded)
                self._got.append(element.envelope)

    async def greet(self, **changes: Any) -> None:
        content = {
            "connectionId": "conn_1",
            "agentId": "alice",
            "heartbeatInterval": 30_000,
            "idleTimeout": 90_000,
            "maxMessageBytes": 65_536,
            "tokenExpiresAt": now_ms() + 3_600_000,
            "serverTime": now_ms(),
            "relayName": "Test",
        }
        await self.send(envelope(MessageType.CONNECTED, content | changes))

    async def part(self) -> None:
        """Answer DISCONNECT as a relay does."""
        asked = await self.receive(MessageType.DISCONNECT)
        await self.send(envelope(MessageType.ACK, {"messageId": asked.message_id, "status": "CLOSED"}))
        await self.socket.close(1000)


@dataclass
class Relay:
    """Runs one script per connection, in order; the last one again for all further ones."""

    scripts: list[Script]
    requests: list[Headers] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    done: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    server: Server | None = None
    ssl: Any = None

    def process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request.headers)
        if not self.refusals:
            return None
        status, body = self.refusals.pop(0)
        response = socket.respond(HTTPStatus(status), json.dumps(body))
        if 300 <= status < 400:
            response.headers["Location"] = body["location"]
        return response

    async def handle(self, socket: ServerConnection) -> None:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        await script(Peer(socket))
        self.done.put_nowait("script ended")

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[Relay]:
        server = await serve(
            self.handle,
            "127.0.0.1",
            port,
            subprotocols=[Subprotocol(fmt.subprotocol) for fmt in (Format.MSGPACK, Format.JSON)],
            process_request=self.process_request,
            compression=None,
            ssl=self.ssl,
        )
        self.server = server
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    @property
    def address(self) -> str:
        assert self.server is not None
        scheme = "wss" if self.ssl else "ws"
        return f"{scheme}://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"


class Tokens:
    """Gives a new token each time and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []
        self.taken = 0

    async def token(self, *, now_ms: int, fresh: bool) -> Token:
        self.asked.append((now_ms, fresh))
        return Token(f"token{len(self.asked)}", None)

    def accepted(self) -> None:
        self.taken += 1


class Desk:
    """A client with everything it reported, and ways to wait for it."""

    def __init__(self, address: str, **options: Any) -> None:
        self.states: list[Status] = []
        self.received: list[Decoded | WireError] = []
        self.sent: list[Envelope] = []
        self.tokens = Tokens()
        self._news = asyncio.Event()
        self.client = RelayClient(
            endpoint=address,
            agent_id="alice",
            tokens=self.tokens,
            clock=now_ms,
            random=os.urandom,
            on_frame=self._frame,
            on_state=self._state,
            on_sent=self.sent.extend,
            **options,
        )

    def _frame(self, elements: list[Decoded | WireError], frame: bytes) -> None:
        assert frame
        self.received += elements
        self._news.set()

    def _state(self, status: Status) -> None:
        self.states.append(status)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def reaches(self, state: State) -> Status:
        await self.until(lambda: self.client.status.state is state)
        return self.client.status


@asynccontextmanager
async def at_desk(address: str, **options: Any) -> AsyncIterator[Desk]:
    desk = Desk(address, **options)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(desk.client.run())
        try:
            yield desk
        finally:
            await desk.client.stop()
