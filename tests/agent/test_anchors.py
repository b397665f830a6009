"""The log's head is kept outside the database, and an old copy of the database put back is found by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.deadlines import DeadlineQueue
from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.agent.ports import HeadNotKept, KeptHead
from agentnet_desktop.agent.timing import MINUTE_MS, Timing
from agentnet_desktop.store import audit_log, settings
from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.store.engine import Database
from tests.agent.conftest import Peer, World
from tests.simulator import RELAY_URL


class Keeper:
    """A key store in memory that can refuse."""

    def __init__(self) -> None:
        self.head: KeptHead | None = None
        self.saved = 0
        self.refuses = ""

    async def save(self, head: KeptHead) -> None:
        if self.refuses:
            raise HeadNotKept(self.refuses)
        self.head = head
        self.saved += 1

    async def load(self) -> KeptHead | None:
        if self.refuses:
            raise HeadNotKept(self.refuses)
        return self.head


class Kept(Peer):
    """An agent whose head is kept."""

    def __init__(self, world: World, keeper: Keeper) -> None:
        super().__init__(world, "alice")
        self.keeper = keeper

    async def start(self) -> None:
        clock = self.world.clock
        self.db = Database.open(self.path, self.key, now_ms=clock)
        self.agent = Agent(
            agent_id=self.agent_id,
            identity=self.identity,
            db=self.db,
            client_factory=self.world.relay.factory(self.agent_id),
            relay_url=RELAY_URL,
            clock=clock,
            random=self.random,
            timing=Timing(anchor_entries=10),
            deadlines=DeadlineQueue(clock, clock.alarm()),
            head_keeper=self.keeper,
        )
        self.agent.subscribe(self.events.append)
        self.running = True
        await self.agent.start()
        await self.world.settle()

    async def note(self, count: int = 1) -> None:
        """Logs something, as a turn of the agent does."""
        for _ in range(count):
            await self.agent._ground.turn(
                lambda turn: self.agent._journal.local(
                    turn, peer="", message_type="NOTE", state="LOCAL", summary="noted"
                )
            )
        await self.world.settle()


@pytest.fixture
async def kept(world: World) -> Kept:
    """Alice with a key store."""
    peer = Kept(world, Keeper())
    world.peers.append(peer)
    await peer.start()
    return peer


async def test_the_head_is_kept_after_minutes_after_entries_and_at_the_end(world: World, kept: Kept) -> None:
    await kept.note()
    before = kept.keeper.saved
    await world.advance(6 * MINUTE_MS)
    assert kept.keeper.saved == before + 1
    await kept.note(10)
    assert kept.keeper.saved == before + 2
    await kept.note()
    await kept.stop()
    assert kept.keeper.saved == before + 3
    await kept.start()
    head = kept.keeper.head
    assert head is not None
    there = await kept.db.read(lambda session: audit_log.get(session, head.seq))
    assert there is not None
    assert there.entry_hash == head.entry_hash
    assert (await kept.db.read(audit_log.anchors))[-1].kind == "SIGNED"
    assert kept.alarms() == []


async def test_nothing_is_written_while_the_log_does_not_grow(world: World, kept: Kept) -> None:
    await world.advance(60 * MINUTE_MS)
    before = kept.keeper.saved
    await world.advance(60 * MINUTE_MS)
    assert kept.keeper.saved == before


async def old_copy_put_back(kept: Kept, folder: Path) -> int:
    """Puts back a database from before some entries; returns the place that was reached."""
    await kept.note(3)
    await kept.stop()
    shutil.copy(kept.path, folder / "old.db")
    await kept.start()
    await kept.note(5)
    await kept.stop()
    assert kept.keeper.head is not None
    reached = kept.keeper.head.seq
    shutil.copy(folder / "old.db", kept.path)
    return reached


async def test_an_old_copy_put_back_is_a_security_event_and_found_by_verifying(
    kept: Kept, tmp_path: Path
) -> None:
    reached = await old_copy_put_back(kept, tmp_path)
    await kept.start()
    assert kept.alarms() == ["LOG_ROLLED_BACK"]
    (words,) = [line for line in await kept.summaries() if "old copy" in line]
    assert f"its log had entry {reached}" in words
    report = await kept.agent.proof.verify()
    assert [problem.kind for problem in report.problems] == ["TRUNCATED"]
    await kept.note(20)  # the log grows past the place: it stays found
    report = await kept.agent.proof.verify()
    assert [(problem.seq, problem.kind) for problem in report.problems] == [(reached, "REWRITTEN")]
    await kept.stop()
    await kept.start()
    assert kept.alarms() == ["LOG_ROLLED_BACK"]  # told once


async def test_verifying_a_database_put_back_while_nobody_ran_names_the_key_store(
    kept: Kept, tmp_path: Path
) -> None:
    await old_copy_put_back(kept, tmp_path)
    kept.db = Database.open(kept.path, kept.key, now_ms=kept.world.clock)
    agent = kept.agent
    agent._ground.db = kept.db
    agent.log._db = kept.db
    report = await agent.proof.verify()
    assert "The keyring says that the log had at least" in report.problems[0].sentence
    await kept.db.close()


async def test_a_key_store_that_refuses_is_told_once_and_asked_again(world: World, kept: Kept) -> None:
    kept.keeper.refuses = "The keyring is locked."
    for _ in range(3):
        await kept.note()
        await world.advance(6 * MINUTE_MS)
    assert kept.alarms() == ["LOG_HEAD_NOT_KEPT"]
    assert "The keyring is locked." in (await kept.summaries())[-3] + (await kept.summaries())[1]
    with pytest.raises(AgentError, match="The keyring is locked"):
        await kept.agent.proof.verify()
    kept.keeper.refuses = ""
    await world.advance(6 * MINUTE_MS)
    assert kept.keeper.head is not None
    assert kept.keeper.head.seq == (await kept.db.read(audit_log.head)).seq


async def test_a_key_store_that_gives_nothing_at_start_is_told(kept: Kept) -> None:
    await kept.note()
    await kept.stop()
    kept.keeper.refuses = "The keyring is locked."
    await kept.start()
    assert kept.alarms() == ["LOG_HEAD_NOT_KEPT"]
    assert any("cannot be told" in words for words in await kept.summaries())


async def test_a_head_that_this_agent_did_not_sign_is_set_aside(kept: Kept) -> None:
    await kept.note()
    await kept.stop()
    kept.keeper.head = KeptHead(900, b"h" * 32, b"s" * 64)
    await kept.start()
    assert kept.alarms() == ["LOG_HEAD_NOT_KEPT"]
    assert (await kept.agent.proof.verify()).intact


async def test_retention_deletes_what_is_old_and_the_log_still_verifies(world: World, kept: Kept) -> None:
    await kept.note(450)
    await world.advance(3 * 24 * 60 * MINUTE_MS)
    await kept.note(2)
    assert (await kept.agent.retention()).days is None
    assert (await kept.agent.set_retention(days=2)).days == 2
    await world.settle()
    use = await kept.agent.disk_use()
    assert 2 <= use.kept <= 6
    assert use.entries >= 452
    assert use.free == 0
    report = await kept.agent.proof.verify()
    assert report.intact
    assert report.undisclosed >= 450
    await world.advance(3 * 24 * 60 * MINUTE_MS)  # the daily turn goes on with what has become old
    assert (await kept.agent.disk_use()).kept <= 3


async def test_retention_by_size_stops_at_the_size(world: World, kept: Kept) -> None:
    big = NewEntry(1, "local", "NOTE", "LOCAL", "", content={"text": "x" * 20_000})
    await kept.db.write(lambda session: audit_log.append_many(session, [big] * 300))
    await kept.agent.set_retention(megabytes=3)
    await world.settle()
    use = await kept.agent.disk_use()
    assert use.file <= 3 * 1_048_576
    assert use.kept > 50
    assert (await kept.agent.proof.verify()).intact


async def test_a_limit_that_is_none_is_refused(kept: Kept) -> None:
    before = await kept.db.read(settings.every)
    for limits in ({"days": 0}, {"megabytes": -1}):
        with pytest.raises(AgentError, match="at least one day"):
            await kept.agent.set_retention(**limits)
    assert await kept.db.read(settings.every) == before
