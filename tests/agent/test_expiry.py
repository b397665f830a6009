"""Expiry: every message ends in its time, connected or not, whatever else goes wrong."""

from __future__ import annotations

import pytest

from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS, MINUTE_MS
from agentnet_desktop.store.outbox import OutboxRow
from relay.wire.envelope import MessageType
from tests.agent.conftest import WEEK, Peer, World, draft


async def states(peer: Peer) -> list[str]:
    """Returns how a peer's messages that are not delivered stand, oldest first."""
    return [view.state for view in reversed(await peer.agent.outbox())]


@pytest.mark.parametrize("cut", ["alice", "bob"])
async def test_each_message_expires_in_its_own_time(
    world: World, friends: tuple[Peer, Peer], cut: str
) -> None:
    alice, _ = friends
    world.relay.cut(cut)
    await world.settle()
    now = world.clock.now
    await alice.agent.propose(["bob"], draft("one", expires_at=now + HOUR_MS))
    await alice.agent.propose(["bob"], draft("two", expires_at=now + 2 * HOUR_MS))
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.advance(HOUR_MS)
    assert await states(alice) == ["EXPIRED", "QUEUED", "QUEUED"]
    await world.advance(HOUR_MS)
    assert await states(alice) == ["EXPIRED", "EXPIRED", "QUEUED"]
    await world.leap(7 * DAY_MS)
    assert await states(alice) == ["EXPIRED"] * 3


async def test_a_hundred_messages_that_expire_together_all_end_without_a_connection(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.cut("alice")
    await world.settle()
    for _ in range(100):  # more than one turn takes
        await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.advance(8 * DAY_MS)
    assert await states(alice) == ["EXPIRED"] * 100


async def test_what_expired_while_the_agent_was_not_running_is_told_at_its_start(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["bob"], draft(expires_at=world.clock.now + HOUR_MS))
    await alice.stop()
    world.clock.now += 2 * HOUR_MS
    world.relay.restore("bob")
    await alice.start()
    await world.settle()
    assert await states(alice) == ["EXPIRED"]
    assert bob.arrivals() == []


async def test_what_expired_while_the_machine_slept_is_not_sent_by_the_next_connection(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.cut("alice")
    await world.settle()
    await alice.agent.propose(["bob"], draft(expires_at=world.clock.now + HOUR_MS))
    await world.settle()
    world.clock.now += 2 * HOUR_MS  # no alarm goes off meanwhile
    await alice.agent._ground.turn(alice.agent._delivery.connected)
    alice.agent._presence.connected = True
    await alice.agent._ground.turn(alice.agent._delivery.look)
    assert world.relay.sent("alice", MessageType.ENCRYPTED) == []
    assert await states(alice) == ["EXPIRED"]
    assert bob.arrivals() == []


@pytest.mark.expected_errors("failed and was left out")
async def test_a_fault_in_telling_that_one_expired_keeps_no_other_from_expiring(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.cut("alice")
    await world.settle()
    for _ in range(3):
        await alice.agent.query("bob", "AVAILABILITY", WEEK)
    first = next(view.message_id for view in reversed(await alice.agent.outbox()))
    tell = alice.agent._delivery.on_ended
    told: list[str] = []

    def faulty(turn: Turn, row: OutboxRow, reason: str) -> None:
        if row.message_id == first:
            raise LookupError("no")
        told.append(row.message_id)
        tell(turn, row, reason)

    alice.agent._delivery.on_ended = faulty
    await world.advance(8 * DAY_MS)
    assert await states(alice) == ["EXPIRED"] * 3
    assert len(told) == 2


@pytest.mark.expected_errors("failed and was left out")
async def test_a_fault_in_sending_keeps_nothing_from_expiring(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["bob"], draft(expires_at=world.clock.now + HOUR_MS))

    def faulty(turn: Turn) -> bool:
        raise LookupError("no")

    alice.agent._delivery._pump = faulty  # type: ignore[method-assign]
    await world.advance(HOUR_MS + MINUTE_MS)
    assert await states(alice) == ["EXPIRED"]
