"""Who talks to the relay during a soak: agents that stay, agents that come and go, and what each does.

Everything waits for the relay's answer, so what is not answered in time ends the soak. This module measures
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from benchmarks.relay_routers import envelope
from relay.auth.local import key_owner
from relay.auth.registry import Registry
from relay.upgrade import ENDPOINT
from tests.processes import RelayProcess
from tests.relay.conftest import JSON, LIMIT_S, MSGPACK, Client, Person

_TOKEN_S = 120  # short, so that what the relay keeps until a token expires levels off early
_VISITORS = 40
_INVITE_MS = 60_000


class Staying:
    """An agent that stays connected; its answers are matched with what it asked."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard = 0
        self._asked: dict[str, asyncio.Future[str]] = {}

    async def listen(self) -> None:
        """Read until the connection is closed."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = await self.client.socket.recv()
                found = msgspec.msgpack.decode(frame) if isinstance(frame, bytes) else json.loads(frame)
                self._hear(found)

    def _hear(self, found: dict[str, Any]) -> None:
        self.heard += 1
        kind, content = found["messageType"], found["content"]
        if found["senderId"] != "system":
            return
        about = content.get("messageId") or (content.get("details") or {}).get("originalMessageId")
        asked = self._asked.pop(about or kind, None)
        if asked is not None:
            asked.set_result(str(content.get("errorCode", kind)))

    async def ask(self, made: dict[str, Any], answered_by: str) -> str:
        """Send an envelope and wait for the answer.

        Args:
            made: the envelope.
            answered_by: the id that the answer names, or its type.

        Returns:
            The answer's type, or the code of an ERROR.
        """
        asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[answered_by] = asked
        await self.client.send(made)
        async with asyncio.timeout(LIMIT_S):
            return await asked


class Town:
    """All agents of a soak, at one relay.

    Attributes:
        staying: those who stay, by twos who talk to each other.
        done: what was done, counted.
    """

    def __init__(self, relay: RelayProcess, pairs: int) -> None:
        self.relay = relay
        self.registry = Registry(relay.data_dir / "registry.sqlite")
        self.staying: list[Staying] = []
        self.done: Counter[str] = Counter()
        self._people: dict[str, Person] = {}
        self._turns: Counter[str] = Counter()
        self._pairs = pairs
        self._visitors = [f"visitor-{number}" for number in range(_VISITORS)]

    def _turn(self, what: str) -> int:
        self._turns[what] += 1
        return self._turns[what]

    def _person(self, name: str) -> Person:
        """An agent that the operator has let in."""
        if name not in self._people:
            self._people[name] = Person(name)
            self.registry.add_agent(name, key_owner(self._people[name].public), int(time.time() * 1000))
        return self._people[name]

    def _token(self, person: Person, invite: str | None = None) -> str:
        return person.token(self.relay.url, invite, exp=int(time.time()) + _TOKEN_S)

    @contextlib.asynccontextmanager
    async def _dial(self, name: str, token: str, subprotocol: str) -> AsyncIterator[Client]:
        async with connect(
            self.relay.url + ENDPOINT,
            additional_headers={"Authorization": f"Bearer {token}", "X-Agent-Id": name},
            subprotocols=[Subprotocol(subprotocol)],
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=LIMIT_S,
            close_timeout=LIMIT_S,
        ) as socket:
            client = Client(socket, name)
            assert (await client.next())["messageType"] == "CONNECTED"
            yield client

    async def settle(self, stack: contextlib.AsyncExitStack) -> None:
        """Bring in those who stay; each watches its peer and all visitors."""
        for number in range(2 * self._pairs):
            name = f"staying-{number}"
            subprotocol = MSGPACK if number // 2 % 2 else JSON
            dialled = self._dial(name, self._token(self._person(name)), subprotocol)
            client = await stack.enter_async_context(dialled)
            self.staying.append(Staying(client))
        for number, each in enumerate(self.staying):
            watched = [f"staying-{number ^ 1}", *self._visitors]
            await each.client.send(each.client.envelope("PRESENCE", "system", {"watch": watched}))

    def _next(self, what: str) -> tuple[int, Staying]:
        number = self._turn(what) % len(self.staying)
        return number, self.staying[number]

    def _sealed(self, client: Client, peer: str) -> dict[str, Any]:
        """An ENCRYPTED envelope of about 1.1 KB."""
        raw = envelope(client.agent_id, peer, client.socket.subprotocol or JSON)
        made: dict[str, Any] = msgspec.msgpack.decode(raw) if client.is_msgpack else json.loads(raw)
        return {**made, "messageId": f"msg_s{self._turn('id')}"}

    # --- what they do -----------------------------------------------------------------------------------

    async def talk(self) -> None:
        """One of those who stay sends a message to its peer."""
        number, one = self._next("messages")
        made = self._sealed(one.client, f"staying-{number ^ 1}")
        assert await one.ask(made, made["messageId"]) == "ACK"
        self.done["messages"] += 1

    async def visit(self) -> None:
        """An agent comes, watches and greets somebody, and leaves: every other one without a word."""
        turn = self._turn("visits")
        name = self._visitors[turn % _VISITORS]
        subprotocol = MSGPACK if turn % 4 < 2 else JSON
        host = f"staying-{turn % len(self.staying)}"
        async with self._dial(name, self._token(self._person(name)), subprotocol) as client:
            await client.send(client.envelope("PRESENCE", "system", {"watch": [host]}))
            assert (await client.until("PRESENCE"))["content"]["status"] == "ONLINE"
            await client.send(self._sealed(client, host))
            assert (await client.until("ACK"))["content"]["status"] == "ROUTED"
            if turn % 2:
                client.socket.transport.abort()
        self.done["visits"] += 1

    async def invite(self) -> None:
        """A new agent redeems an invite, is not heard by a stranger, and is revoked."""
        name = f"newcomer-{self._turn('invites')}"
        now = int(time.time() * 1000)
        code = self.registry.create_invite(agent_id="", uses=1, lifetime_ms=_INVITE_MS, now=now)
        async with self._dial(name, self._token(Person(name), code), JSON) as client:
            await client.send(self._sealed(client, "staying-0"))
            assert (await client.until("ERROR"))["content"]["errorCode"] == "RECIPIENT_NOT_FOUND"
            self.registry.revoke_agent(name, int(time.time() * 1000))
            assert (await client.closed())[0] == 4401
        self.done["invites"] += 1

    async def renew(self) -> None:
        """One of those who stay brings a fresh token."""
        _, one = self._next("renewals")
        name = one.client.agent_id
        content = {"token": self._token(self._person(name)), "agentId": name}
        made = one.client.envelope("AUTH", "system", content)
        assert await one.ask(made, "CONNECTED") == "CONNECTED"
        self.done["renewals"] += 1

    async def watch(self) -> None:
        """One of those who stay watches one agent more, or fewer, and beats its heart."""
        number, one = self._next("watches")
        more = [f"newcomer-{number}"] if self._turns["watches"] % 3 else []
        watched = {"watch": [f"staying-{number ^ 1}", *self._visitors, *more]}
        await one.client.send(one.client.envelope("PRESENCE", "system", watched))
        beat = one.client.envelope("HEARTBEAT", "system", {"timestamp": int(time.time() * 1000)})
        assert await one.ask(beat, "HEARTBEAT") == "HEARTBEAT"
        self.done["watches"] += 1

    async def be_refused(self) -> None:
        """A token that is none, and a message that is none."""
        with contextlib.suppress(InvalidStatus):
            async with self._dial("visitor-0", "a.b.c", JSON):
                raise AssertionError("a bad token was taken")
        _, one = self._next("refusals")
        made = one.client.envelope("QUERY", "staying-0", {"no": "query"}, timestamp=-1)
        assert await one.ask(made, made["messageId"]) == "INVALID_MESSAGE_FORMAT"
        self.done["refusals"] += 1
