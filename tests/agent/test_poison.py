"""Poison as transcripts: what cannot be handled is set aside and answered, and stops neither the agent nor others."""

from __future__ import annotations

import pytest

from agentnet_desktop.store import inbox, queries
from relay.wire.envelope import MessageType
from tests.agent.conftest import Peer, World
from tests.agent.test_receiving import acks, forge

ENDS_OF_TIME = [
    ("9999-12-30T00:00:00Z", "9999-12-31T23:59:59Z"),
    ("0001-01-01T00:00:00+14:00", "0001-01-01T10:00:00Z"),
]


def asked_for(start: str, end: str) -> dict[str, object]:
    """The content of an AVAILABILITY query for any range."""
    parameters = {"startDate": start, "endDate": end, "timeZone": "Europe/Berlin"}
    return {"requestId": "req_end", "queryType": "AVAILABILITY", "parameters": parameters}


@pytest.mark.parametrize(("start", "end"), ENDS_OF_TIME)
@pytest.mark.parametrize("seq", [1, 2], ids=["in its turn", "after a gap"])
async def test_an_instant_at_the_end_of_time_is_answered_and_stops_nothing(
    world: World, friends: tuple[Peer, Peer], start: str, end: str, seq: int
) -> None:
    alice, bob = friends
    world.relay.inject(await forge(alice, "bob", asked_for(start, end), seq=seq))
    await world.advance(31_000)
    (asked,) = await bob.db.read(lambda session: queries.find_peer_queries(session, "req_end"))
    assert asked.answer is not None and asked.answer["error"]["code"] == "INVALID_PARAMETERS"
    assert "You could not answer alice" in await bob.summaries()
    await bob.crash()
    await bob.start()
    await world.settle()
    assert await bob.agent.wait_connected(0)


@pytest.mark.parametrize(("start", "end"), ENDS_OF_TIME)
async def test_a_proposal_at_the_end_of_time_is_set_aside(
    world: World, friends: tuple[Peer, Peer], start: str, end: str
) -> None:
    alice, bob = friends
    details = {"title": "x", "startTime": start, "endTime": end, "status": "PENDING"}
    zone = {"timeZone": "Europe/Berlin", "localStart": "2026-01-01T00:00:00"}
    content = {"proposalId": "prop_1", "details": details | zone}
    world.relay.inject(await forge(alice, "bob", content, seq=1, kind=MessageType.PROPOSAL))
    await world.settle()
    (row,) = await bob.db.read(inbox.set_aside)
    assert row.problem == "content.details.startTime: is not in the years 1970 to 2999"
    assert (bob.arrivals(), acks(world, "bob")) == ([], [])
