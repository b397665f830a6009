"""A crowd of connections has its turns like everybody: no turn of the loop is as long as the crowd is large."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.auth.registry import Registry
from relay.config import load
from relay.server import Server
from relay.websocket import TURN_S, WebSocket
from tests.relay.conftest import Here


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


async def test_a_crowd_that_goes_at_once_is_out_at_once_and_freed_one_a_turn(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, people = here.server, [await here.net.join(f"one-{number}") for number in range(20)]
    witness, turns = await here.net.join("witness"), Turns()
    forget, freed = server.forget, asyncio.Event()

    def noted(socket: WebSocket) -> None:
        if not turns.seen:
            assert list(server.relay.router.online) == ["witness"]
            assert server.relay.meters.open == 1
        turns.note()
        forget(socket)
        if len(server.sockets) == 1:
            freed.set()

    monkeypatch.setattr(server, "forget", noted)
    for socket in list(server.sockets):
        if socket.connection.key != "witness":
            socket.cut()
    async with asyncio.timeout(10):
        await freed.wait()
    turns.stop()
    await witness.settled()
    assert sum(turns.seen.values()) == len(people)
    assert max(turns.seen.values()) == 1


async def test_a_crowd_that_ends_at_once_is_out_at_once_and_closed_one_a_turn(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, people = here.server, [await here.net.join(f"one-{number}") for number in range(20)]
    witness, turns = await here.net.join("witness"), Turns()
    lose, closed = WebSocket.connection_lost, asyncio.Event()

    def noted(socket: WebSocket, problem: Exception | None) -> None:
        if not turns.seen:
            assert list(server.relay.router.online) == ["witness"]
            assert server.relay.meters.open == 1
        turns.note()
        lose(socket, problem)
        if len(server.sockets) == 1:
            closed.set()

    monkeypatch.setattr(WebSocket, "connection_lost", noted)
    for person in people:
        person.socket.transport.abort()
    async with asyncio.timeout(10):
        await closed.wait()
    turns.stop()
    await witness.settled()
    assert sum(turns.seen.values()) == len(people)
    assert max(turns.seen.values()) == 1
