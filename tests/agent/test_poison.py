"""Poison as transcripts: what cannot be handled is set aside and answered, and stops neither the agent nor others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.receiving import Arrived
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, inbox, proposals, queries, sessions
from agentnet_desktop.store.models import ProposalModel, ReorderModel
from agentnet_desktop.store.records import changed
from relay.wire.envelope import MessageType
from tests.agent.conftest import Peer, World, draft
from tests.agent.test_receiving import acks, forge, query

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
    content: dict[str, object] = {"proposalId": "prop_1", "details": details | zone}
    world.relay.inject(await forge(alice, "bob", content, seq=1, kind=MessageType.PROPOSAL))
    await world.settle()
    (row,) = await bob.db.read(inbox.set_aside)
    assert row.problem == "content.details.startTime: is not in the years 1970 to 2999"
    assert (bob.arrivals(), acks(world, "bob")) == ([], [])


class Choking:
    """A room that writes half of what it has to and then fails, on the messages with some ids."""

    def __init__(self, peer: Peer, *message_ids: str) -> None:
        receiver = peer.agent._receiving.receiver
        assert receiver is not None
        self._next = receiver
        self._message_ids = message_ids
        peer.agent._receiving.receiver = self

    def arrived(self, turn: Turn, message: Arrived) -> None:
        """Handles a message, or fails after it wrote something."""
        if message.message_id in self._message_ids:
            contacts.save(turn.session, replace(message.contact, name="Half"))
            raise RuntimeError("a fault of ours")
        self._next.arrived(turn, message)


async def send(world: World, alice: Peer, *numbers: int) -> None:
    """Alice's queries of these numbers reach bob together."""
    for number in numbers:
        world.relay.inject(await forge(alice, "bob", query(number), seq=number, message_id=f"msg_{number}"))
    await world.settle()


async def answered(bob: Peer) -> list[str]:
    """Returns the requests that bob has answered."""
    waiting = [f"req_{number}" for number in range(1, 6)]
    found = await bob.db.read(
        lambda session: [one for ask in waiting for one in queries.find_peer_queries(session, ask)]
    )
    return [asked.request_id for asked in found if asked.state == queries.ANSWERED]


async def refused(alice: Peer) -> list[str]:
    """Returns what bob's agent complained of, as alice's log has it."""
    return [row.summary for row in await alice.log() if (row.direction, row.message_type) == ("in", "ERROR")]


@pytest.mark.expected_errors("a batch of 3 could not be handled", "handling a received message failed")
async def test_a_message_that_cannot_be_handled_is_set_aside_and_the_others_are_not(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    Choking(bob, "msg_2")
    await send(world, alice, 1, 2, 3)
    assert await answered(bob) == ["req_1", "req_3"]
    assert [ack.content["messageId"] for ack in acks(world, "bob")] == ["msg_1", "msg_3"]
    (row,) = await bob.db.read(inbox.set_aside)
    assert (row.message_id, row.problem) == ("msg_2", "content: cannot be handled here")
    assert [row.state for row in await bob.log() if row.message_id == "msg_2"] == ["SET_ASIDE"]
    assert len(await refused(alice)) == 1
    assert [view.name for view in await bob.agent.contacts()] == ["alice"]
    assert (await bob.agent.proof.verify()).intact


@pytest.mark.expected_errors("handing on msg_.*, which had waited for its turn, failed")
async def test_a_held_message_that_cannot_be_handled_costs_none_before_or_behind_it(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    Choking(bob, "msg_2")
    await send(world, alice, 2, 3)
    await send(world, alice, 1)
    assert await answered(bob) == ["req_1", "req_3"]
    (row,) = await bob.db.read(inbox.set_aside)
    assert row.message_id == "msg_2"
    assert [row.state for row in await bob.log() if row.message_id == "msg_2"] == ["SET_ASIDE"]
    assert len(await refused(alice)) == 1
    assert [view.name for view in await bob.agent.contacts()] == ["alice"]


@pytest.mark.expected_errors("handing on msg_.*, which had waited for its turn, failed")
async def test_a_held_message_that_cannot_be_handled_does_not_keep_the_agent_from_starting(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await send(world, alice, 2, 3)
    spoilt = update(ReorderModel).where(ReorderModel.seq == 2).values(content={"requestId": 1})
    await bob.db.write(lambda session: changed(session, spoilt))
    await bob.crash()
    world.clock.now += 60_000
    await bob.start()
    await world.settle()
    assert await answered(bob) == ["req_3"]
    (row,) = await bob.db.read(inbox.set_aside)
    assert row.message_id == "msg_2"
    assert len(await refused(alice)) == 1


@pytest.mark.expected_errors("giving up a gap failed")
async def test_a_damaged_window_is_told_and_does_not_keep_the_agent_from_starting_or_busy(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await send(world, alice, 2)
    (live,) = await bob.db.read(lambda session: sessions.of_peer(session, "alice", (SessionState.ACTIVE,)))
    await bob.db.write(lambda session: sessions.save_window(session, live.row_id, b"damaged"))
    await bob.crash()
    world.clock.now += 60_000
    await bob.start()
    await world.settle()
    assert await bob.agent.wait_connected(0)
    assert bob.agent._ground.deadlines.when("gaps") == world.clock.now + 60_000


@pytest.mark.expected_errors("closing prop_.* failed")
async def test_a_damaged_proposal_does_not_keep_others_from_expiring_or_the_agent_from_starting(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    for title in ("One", "Two"):
        await alice.agent.propose(["bob"], draft(title))
    await world.settle()
    first, second = bob.arrivals()

    def damage(session: Session) -> None:
        session.execute(
            update(ProposalModel).where(ProposalModel.proposal_id == first.split("/")[1]).values(content={})
        )

    await bob.db.write(damage)
    await bob.crash()
    world.clock.now += 8 * DAY_MS
    await bob.start()
    await world.settle()
    assert await bob.agent.wait_connected(0)
    assert (await bob.agent.proposal(second)).state == "EXPIRED"
    stored = await bob.db.read(lambda session: proposals.in_state(session, "PENDING"))
    assert [f"alice/{one.proposal_id}/1" for one in stored] == [first]
