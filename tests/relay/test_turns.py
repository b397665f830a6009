"""A crowd of connections has its turns like everybody: no turn of the loop is as long as the crowd is large."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.auth.registry import Registry
from relay.config import load
from relay.connection import Connection
from relay.server import Server
from relay.websocket import TURN_S, WebSocket
from tests.relay.conftest import Client, Here


class Turns:
    """Counts the turns of the loop, and what happens in each."""

    def __init__(self) -> None:
        self.number = 0
        self.seen: Counter[int] = Counter()
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_soon(self._count)

    def _count(self) -> None:
        self.number += 1
        self._next = self._loop.call_soon(self._count)

    def note(self, *_: Any) -> None:
        self.seen[self.number] += 1

    def stop(self) -> None:
        self._next.cancel()


async def test_a_thousand_sockets_hear_of_the_time_for_as_long_as_a_turn_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path / "registry.sqlite")
    server, turns, clock = Server(load({"data_dir": str(tmp_path)}, environment={}), registry), Turns(), [0.0]
    monkeypatch.setattr("relay.server.time", SimpleNamespace(perf_counter=lambda: clock[0]))

    class Closing:
        """One that takes a tenth of a turn."""

        def ticked(self, now: int) -> None:
            clock[0] += TURN_S / 10
            turns.note()

    server.sockets = cast(set[WebSocket], {Closing() for _ in range(1000)})
    await server._tell_time(0)
    turns.stop()
    registry.close()
    assert sum(turns.seen.values()) == 1000
    assert max(turns.seen.values()) <= 11


class Crowd:
    """Twenty agents, one who stays, and a count of the turns in which something happens to those who go."""

    def __init__(self, here: Here, people: list[Client], witness: Client) -> None:
        self.server, self.people, self._witness = here.server, people, witness
        self._turns, self._gone = Turns(), asyncio.Event()

    @classmethod
    async def of(cls, here: Here) -> Crowd:
        people = [await here.net.join(f"one-{number}") for number in range(20)]
        return cls(here, people, await here.net.join("witness"))

    def noting(self, real: Callable[..., None]) -> Callable[..., None]:
        """What is to stand in the place of `real`: at its first call all are out of the tables already."""

        def noted(*arguments: Any) -> None:
            if not self._turns.seen:
                assert list(self.server.relay.router.online) == ["witness"]
                assert self.server.relay.meters.open == 1
            self._turns.note()
            real(*arguments)
            if len(self.server.sockets) == 1:
                self._gone.set()

        return noted

    async def goes_one_a_turn(self) -> None:
        async with asyncio.timeout(10):
            await self._gone.wait()
        self._turns.stop()
        await self._witness.settled()
        assert sum(self._turns.seen.values()) == len(self.people)
        assert max(self._turns.seen.values()) == 1


async def test_a_crowd_that_goes_at_once_is_out_at_once_and_freed_one_a_turn(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = await Crowd.of(here)
    monkeypatch.setattr(crowd.server, "forget", crowd.noting(crowd.server.forget))
    for socket in list(crowd.server.sockets):
        if socket.connection.key != "witness":
            socket.cut()
    await crowd.goes_one_a_turn()


async def test_a_crowd_that_ends_at_once_is_out_at_once_and_closed_one_a_turn(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = await Crowd.of(here)
    monkeypatch.setattr(WebSocket, "connection_lost", crowd.noting(WebSocket.connection_lost))
    for person in crowd.people:
        person.socket.transport.abort()
    await crowd.goes_one_a_turn()


async def test_what_one_agent_sent_is_on_its_way_before_what_another_sent_is_handled(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = [await here.net.join(name) for name in ("alice", "bob", "carol")]
    seen: list[str] = []
    received, flush = Connection.received, WebSocket.flush

    def noting_received(self: Connection, frame: bytes, now: int) -> Any:
        seen.append(f"{self.key} handled")
        return received(self, frame, now)

    def noting_flush(self: WebSocket) -> None:
        seen.append(f"{self.connection.key} written")
        flush(self)

    monkeypatch.setattr(Connection, "received", noting_received)
    monkeypatch.setattr(WebSocket, "flush", noting_flush)
    await asyncio.gather(*(each.send(each.envelope("QUERY", "bob", {})) for each in (alice, carol)))
    assert {(await bob.until("QUERY"))["senderId"] for _ in range(2)} == {"alice", "carol"}
    second = [at for at, step in enumerate(seen) if step.endswith("handled")][1]
    first = seen[0].partition(" ")[0]
    assert sorted(seen[1:second]) == sorted(["bob written", f"{first} written"])


@pytest.mark.expected_errors("data_received")
async def test_a_fault_amid_what_one_agent_sent_keeps_nothing_from_the_others(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await here.net.join("alice"), await here.net.join("bob")
    real = Connection.received

    def received(self: Connection, frame: bytes, now: int) -> Any:
        if self.key == "alice":
            raise RuntimeError("a fault of ours")
        return real(self, frame, now)

    monkeypatch.setattr(Connection, "received", received)
    await alice.send(alice.envelope("QUERY", "bob", {}))
    await alice.closed()
    (of_bob,) = here.server.sockets
    of_bob.run(of_bob.connection.warned(1000, here.server.now()))  # said while nothing comes
    assert (await bob.until("ERROR"))["content"]["errorCode"] == "CONNECTION_ERROR"
