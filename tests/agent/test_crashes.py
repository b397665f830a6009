"""Crashes: an agent dies at every stage of the main job, comes back, and nothing is lost or shown twice.

A stage is one transaction. The process ends either just before it, or just after it became durable and before
anything that follows from it (events, sending) happened. Every stage of both agents is hit: just before it is nearly
just after the one before, so every other one of those will do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.agent.timing import HOUR_MS, MINUTE_MS
from agentnet_desktop.store import audit_log
from tests.agent.conftest import Peer, World, draft


class Doom:
    """Kills an agent at its n-th passage of a failpoint: from then on nothing in it goes on."""

    def __init__(self, peer: Peer, point: str, number: int) -> None:
        self.peer = peer
        self.point = point
        self.left = number
        self.struck = False
        peer.agent._ground.failpoint = self

    async def __call__(self, point: str) -> None:
        if not self.struck and point == self.point:
            self.left -= 1
            self.struck = self.left < 0
        if self.struck:
            self.peer.dead = True
            await asyncio.Event().wait()


class Play:
    """The main job with one crash in it."""

    def __init__(self, world: World, victim: Peer, doom: Doom) -> None:
        self.world = world
        self.victim = victim
        self.doom = doom

    async def settle(self) -> None:
        """Lets everything happen; a dead agent comes back, as a person would start it again."""
        await self.world.settle()
        if self.victim.dead:
            await self.victim.crash()
            await self.victim.start()
            await self.world.settle()

    async def advance(self) -> None:
        """Lets an hour pass, after which even a handshake that was routed and lost is sent again."""
        until = self.world.clock.now + HOUR_MS + MINUTE_MS
        await self.settle()
        while self.world.clock.ring(until):
            await self.settle()
        await self.settle()

    async def act(
        self, command: Callable[[], Coroutine[Any, Any, object]], done: Callable[[], Awaitable[bool]]
    ) -> None:
        """Gives a command, and gives it again if the crash undid it."""
        for _ in range(2):
            task = asyncio.create_task(command())
            await asyncio.sleep(0)
            await self.settle()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if await done():
                break
        await self.advance()


async def play(folder: Path, victim: str, point: str, number: int) -> bool:
    """Alice adds Bob and proposes; Bob accepts. Returns whether the crash came at all."""
    world = World(folder)
    alice, bob = await world.add("alice"), await world.add("bob")
    await world.settle()
    link = (await bob.agent.create_contact_link()).link
    await world.settle()
    doom = Doom(alice if victim == "alice" else bob, point, number)
    script = Play(world, doom.peer, doom)

    async def added() -> bool:
        return bool(await alice.agent.contacts())

    async def proposed() -> bool:
        return bool(await alice.agent.proposals())

    async def accepted() -> bool:
        return (await bob.agent.proposals())[0].state == "ACCEPTED"

    await script.act(lambda: alice.agent.add_contact(link), added)
    await script.act(lambda: alice.agent.propose(["bob"], draft()), proposed)
    (shown,) = await bob.agent.proposals()
    await script.act(lambda: bob.agent.accept(shown.ref), accepted)
    for peer in (alice, bob):
        await all_is_well(peer)
    struck = doom.struck
    doom.peer.agent._ground.failpoint = None  # its orderly stop is not part of the play
    await world.close()
    return struck


async def all_is_well(peer: Peer) -> None:
    """Checks the end: accepted once, all delivered, every message handed on once, the log whole."""
    assert [view.state for view in await peer.agent.proposals()] == ["ACCEPTED"]
    assert await peer.agent.outbox() == []
    entries = await peer.db.read(lambda session: audit_log.entries_from(session, 1, 100_000))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    taken = [row.message_id for row in await peer.log() if row.encrypted and row.state == "RECEIVED"]
    assert len(taken) == len(set(taken)) == 1
    assert len(peer.arrivals()) <= 1
    assert peer.alarms() == []


@pytest.mark.parametrize("victim", ["alice", "bob"])
@pytest.mark.parametrize(("point", "stride"), [("begin", 2), ("committed", 1)])
async def test_a_crash_at_any_stage_loses_nothing_and_shows_nothing_twice(
    tmp_path: Path, victim: str, point: str, stride: int
) -> None:
    number = 0
    while True:
        folder = tmp_path / f"{number}"
        folder.mkdir()
        if not await play(folder, victim, point, number):
            break
        number += stride
    assert number >= 8
