"""A small world for agents' tests: a manual clock, an in-memory relay, real databases, agents that can crash."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.deadlines import DeadlineQueue
from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.events import Event, LogRow, ProposalChanged, SecurityRaised
from agentnet_desktop.agent.log_queries import view
from agentnet_desktop.agent.timing import Timing
from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.engine import Database
from tests.simulator import RELAY_URL, ManualClock, SimRelay


class Randomness:
    """Bytes that differ with every call and are the same in every run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, count: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(count)


class Peer:
    """One agent in the world, with its database and all that it told."""

    def __init__(self, world: World, agent_id: str, seed: str | None = None) -> None:
        self.world = world
        self.agent_id = agent_id
        self.identity = IdentityKey.from_seed(hashlib.sha256((seed or agent_id).encode()).digest())
        self.key = hashlib.sha256(b"database" + agent_id.encode()).digest()
        self.path = world.folder / f"{agent_id}.db"
        self.random = Randomness(seed or agent_id)
        self.events: list[Event] = []
        self.agent: Agent
        self.db: Database
        self.running = False
        self.dead = False  # the process was killed and is not cleaned up yet

    async def start(self) -> None:
        """Opens the database and starts an agent on it."""
        clock = self.world.clock
        self.db = await asyncio.to_thread(Database.open, self.path, self.key, now_ms=clock)
        self.agent = Agent(
            agent_id=self.agent_id,
            identity=self.identity,
            db=self.db,
            client_factory=self.world.relay.factory(self.agent_id),
            relay_url=RELAY_URL,
            clock=clock,
            random=self.random,
            keyring_backend="test",
            calendar=self.world.calendar,
            timing=self.world.timing,
            deadlines=DeadlineQueue(clock, clock.alarm()),
        )
        self.agent.subscribe(self.events.append)
        self.running = True
        self.dead = False
        await self.agent.start()

    async def stop(self) -> None:
        """Stops the agent in order."""
        if self.running:
            self.running = False
            await self.agent.stop()
            await self.db.close()

    async def crash(self) -> None:
        """Ends the agent without any goodbye: what is not on disk is lost."""
        self.running = False
        self.agent._ground.deadlines.close()
        self.world.relay.vanish(self.agent_id)
        self.agent._frames.clear()
        await self.agent._ground.tasks.cancel_all()
        await self.db.close()

    async def log(self) -> list[LogRow]:
        """Returns the whole log, in order."""
        return [
            view(entry)
            for entry in await self.db.read(lambda session: audit_log.entries_from(session, 1, 100_000))
        ]

    async def summaries(self) -> list[str]:
        """Returns the sentences of the log, in order."""
        return [row.summary for row in await self.log()]

    def arrivals(self) -> list[str]:
        """Returns the references of the proposals that were shown to the person, in order."""
        return [e.view.ref for e in self.events if isinstance(e, ProposalChanged) and e.arrived]

    def alarms(self) -> list[str]:
        """Returns the kinds of the security events, in order."""
        return [event.view.kind for event in self.events if isinstance(event, SecurityRaised)]


class World:
    """Agents, a relay and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.relay = SimRelay(self.clock)
        self.timing = Timing(linger=0)
        self.calendar = None
        self.peers: list[Peer] = []

    async def add(self, agent_id: str, seed: str | None = None) -> Peer:
        """Starts an agent that did not exist yet."""
        peer = Peer(self, agent_id, seed)
        self.peers.append(peer)
        await peer.start()
        return peer

    async def settle(self) -> None:
        """Waits until nobody has anything to do at the present time."""
        calm = 0
        while calm < 3:  # a task that was just started has not run yet
            await asyncio.sleep(0)
            quiet = all(p.dead or p.agent.is_quiet for p in self.peers if p.running)
            calm = calm + 1 if quiet and not self.relay.pending and not self.clock.due() else 0
            if quiet and self.clock.due():
                self.clock.ring(self.clock.now)

    async def advance(self, milliseconds: int) -> None:
        """Lets time pass, and everything happen that is due on the way."""
        until = self.clock.now + milliseconds
        await self.settle()
        while self.clock.ring(until):
            await self.settle()
        await self.settle()

    async def leap(self, milliseconds: int) -> None:
        """Lets time pass in one leap, as for computers that sleep: what is due meanwhile happens afterwards."""
        await self.settle()
        self.clock.now += milliseconds
        await self.settle()

    async def befriend(self, one: Peer, other: Peer) -> None:
        """Makes two agents contacts by a link, with a session between them."""
        link = await other.agent.create_contact_link()
        await one.agent.add_contact(link.link)
        await self.settle()

    async def close(self) -> None:
        """Stops everybody."""
        for peer in self.peers:
            await peer.stop()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """An empty world."""
    made = World(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def alice(world: World) -> Peer:
    """Alice's agent, connected."""
    return await world.add("alice")


@pytest.fixture
async def bob(world: World) -> Peer:
    """Bob's agent, connected."""
    return await world.add("bob")


@pytest.fixture
async def friends(world: World, alice: Peer, bob: Peer) -> tuple[Peer, Peer]:
    """Alice and Bob, with a session."""
    await world.befriend(alice, bob)
    return alice, bob


def draft(title: str = "Coffee", **fields: object) -> ProposalDraft:
    """A proposal for Tuesday, 2 June 2026, 14:00 to 15:00 in Berlin."""
    values: dict[str, object] = {
        "start": "2026-06-02T14:00:00+02:00",
        "end": "2026-06-02T15:00:00+02:00",
        "time_zone": "Europe/Berlin",
    }
    return ProposalDraft(title=title, **(values | fields))  # type: ignore[arg-type]


WEEK = {
    "startDate": "2026-06-01T00:00:00Z",
    "endDate": "2026-06-05T00:00:00Z",
    "timeZone": "Europe/Berlin",
}
