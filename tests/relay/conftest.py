"""What the relay's tests share: agents that speak to a real relay process over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from relay.auth.registry import Registry
from relay.config import load
from relay.server import Server
from relay.upgrade import ENDPOINT
from tests.processes import ROOT, RelayProcess

LIMIT_S = 10.0
_COUNTER = itertools.count(1)
JSON = "agentnet.v1+json"
MSGPACK = "agentnet.v1+msgpack"


def invite_code(link: str) -> str:
    """The code in an invite link."""
    fields = dict(part.partition("=")[::2] for part in urlsplit(link).fragment.split("&"))
    return unquote(fields["invite"])


def b64url(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Person:
    """One agent's identity, and the tokens it signs."""

    def __init__(self, agent_id: str, key: Ed25519PrivateKey | None = None) -> None:
        self.agent_id = agent_id
        self.key = key or Ed25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def token(self, url: str, invite: str | None = None, **claims: Any) -> str:
        """A good token, but for the claims given; a claim given as None is left out."""
        now = int(time.time())
        made: dict[str, Any] = {
            "sub": self.agent_id,
            "aud": url,
            "iat": now,
            "exp": now + 3600,
            "jti": f"t{next(_COUNTER)}-{now}",
            "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64url(self.public)}},
        }
        if invite:
            made["invite"] = invite
        made.update(claims)
        return jwt.encode({k: v for k, v in made.items() if v is not None}, self.key, algorithm="EdDSA")


class Client:
    """One connection to the relay."""

    def __init__(self, socket: ClientConnection, agent_id: str) -> None:
        self.socket = socket
        self.agent_id = agent_id
        self.connected: dict[str, Any] = {}

    @property
    def is_msgpack(self) -> bool:
        return self.socket.subprotocol == MSGPACK

    def envelope(
        self, kind: str, to: str, content: dict[str, Any] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """A valid envelope, but for the fields given."""
        made: dict[str, Any] = {
            "messageId": f"msg_{next(_COUNTER)}",
            "conversationId": "conv_1",
            "senderId": self.agent_id,
            "recipientId": to,
            "messageType": kind,
            "content": {} if content is None else content,
            "timestamp": int(time.time() * 1000),
            "metadata": {"priority": "NORMAL", "encrypted": False, "requiresResponse": False},
        }
        return {**made, **fields}

    async def send(self, what: Any) -> Any:
        """Send an envelope, or a batch, in the connection's format."""
        await self.socket.send(msgspec.msgpack.encode(what) if self.is_msgpack else json.dumps(what))
        return what

    async def raw(self) -> bytes | str:
        """The next frame, as it came."""
        async with asyncio.timeout(LIMIT_S):
            return await self.socket.recv()

    async def next(self) -> dict[str, Any]:
        """The next envelope."""
        frame = await self.raw()
        found: dict[str, Any] = (
            msgspec.msgpack.decode(frame) if isinstance(frame, bytes) else json.loads(frame)
        )
        return found

    async def until(self, kind: str) -> dict[str, Any]:
        """The next envelope of a type; others are skipped."""
        while (found := await self.next())["messageType"] != kind:
            pass
        return found

    async def closed(self) -> tuple[int, str]:
        """Wait for the close; returns its code and reason. What comes before is skipped."""
        async with asyncio.timeout(LIMIT_S):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code or 0, self.socket.close_reason or ""

    async def settled(self) -> None:
        """Return once the relay has handled all that was sent before."""
        beat = await self.send(self.envelope("HEARTBEAT", "system", {"timestamp": next(_COUNTER)}))
        while (await self.until("HEARTBEAT"))["messageId"] != beat["messageId"]:
            pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()


class Net:
    """Agents at one relay."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay
        self.people: dict[str, Person] = {}
        self._stack = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        return self.relay.url

    def person(self, agent_id: str) -> Person:
        """The agent of that name, let in by the operator at first mention."""
        if agent_id not in self.people:
            person = self.people[agent_id] = Person(agent_id)
            from relay.auth.local import key_owner
            from relay.auth.registry import Registry

            registry = Registry(self.relay.data_dir / "registry.sqlite")
            registry.add_agent(agent_id, key_owner(person.public), int(time.time() * 1000))
            registry.close()
        return self.people[agent_id]

    async def dial(
        self,
        agent_id: str = "",
        *,
        token: str | None = None,
        subprotocol: str | None = JSON,
        headers: dict[str, str] | None = None,
        path: str = ENDPOINT,
        **options: Any,
    ) -> Client:
        """Open a connection, with a token in the upgrade when one is given."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
            if agent_id:
                sent.setdefault("X-Agent-Id", agent_id)
        offered = [Subprotocol(subprotocol)] if subprotocol else None
        socket = await connect(
            self.url + path,
            additional_headers=sent,
            subprotocols=offered,
            compression=None,
            ping_interval=None,
            proxy=None,
            max_size=None,
            open_timeout=LIMIT_S,
            close_timeout=LIMIT_S,
            **options,
        )
        return await self._stack.enter_async_context(Client(socket, agent_id))

    async def join(self, agent_id: str, *, subprotocol: str | None = JSON, **options: Any) -> Client:
        """Connect an agent, and wait for CONNECTED."""
        token = self.person(agent_id).token(self.url)
        client = await self.dial(agent_id, token=token, subprotocol=subprotocol, **options)
        client.connected = await client.next()
        assert client.connected["messageType"] == "CONNECTED"
        return client

    async def close(self) -> None:
        """Close all connections."""
        await self._stack.aclose()


@pytest.fixture
async def net(relay_process: RelayProcess) -> AsyncIterator[Net]:
    """A relay of its own, with default settings, and the means to connect to it."""
    made = Net(relay_process)
    yield made
    await made.close()


@pytest.fixture
async def start_net(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[..., Net]]:
    """Start a relay with options of `serve`, and give the means to connect to it."""
    made: list[Net] = []

    def start(*options: str) -> Net:
        relay = RelayProcess(tmp_path_factory.mktemp("relay"), extra=options)
        relay.start()
        made.append(Net(relay))
        return made[-1]

    yield start
    for one in made:
        await one.close()
        one.relay.stop()


@pytest.fixture
def relay_cli() -> Callable[..., str]:
    """Run `agentnet-relay` as a process; gives its standard output, and fails when it does."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "relay", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


class Here(NamedTuple):
    """A relay in this process, and the means to connect to it."""

    server: Server
    net: Net


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    """A relay in this process, on asyncio's own loop, that takes one unauthenticated connection an address."""
    registry = Registry(tmp_path / "registry.sqlite")
    limits = {"address_unauthenticated": 1, "agent_messages_burst": 1e6, "address_messages_burst": 1e6}
    server = Server(load({"port": 0, "data_dir": str(tmp_path), "limits": limits}, environment={}), registry)
    await server.start()
    net = Net(RelayProcess(tmp_path, port=int(server.url.rpartition(":")[2]), url=server.url))
    yield Here(server, net)
    await net.close()
    await server.stop()
    registry.close()
