"""The wall clock set an hour forward or back in the middle of things: nothing is lost, nothing shown twice."""

from __future__ import annotations

import pytest

from agentnet_desktop.agent.timing import HOUR_MS, MINUTE_MS
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import Verdict, only


@pytest.mark.parametrize("jump", [HOUR_MS, -HOUR_MS])
async def test_a_clock_that_jumps_loses_nothing_and_shows_nothing_twice(
    world: World, friends: tuple[Peer, Peer], jump: int
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    world.relay.faults.append(only(Verdict.DROP, sender="bob", message_type="RESPONSE"))
    await alice.agent.propose(["bob"], draft("Before"))
    asked = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    world.clock.now += jump
    await alice.agent.propose(["bob"], draft("After"))
    await world.advance(HOUR_MS + MINUTE_MS)
    titles = [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()]
    assert sorted(titles) == ["After", "Before"]
    answer = await alice.agent.wait_query(asked, 0)
    assert answer is not None
    assert answer.error is None
    for ref in bob.arrivals():
        await bob.agent.decline(ref)
    await world.settle()
    assert {view.state for view in await alice.agent.proposals()} == {"REJECTED"}
    for peer in (alice, bob):
        assert await peer.agent.outbox() == []
        assert (await peer.agent.log.verify(identity_key=peer.identity.public)).intact
        assert peer.alarms() == []
