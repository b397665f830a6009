"""A message that did not arrive: what it carried stays true to what both sides can still do."""

from __future__ import annotations

import pytest

from agentnet_desktop.agent.errors import NotAllowed
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS, MINUTE_MS
from relay.wire.envelope import MessageType
from relay.wire.errors import ErrorCode
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.agent.test_outcomes import relay_says
from tests.simulator import Verdict, only


async def failed(world: World, alice: Peer, expires_at: int | None = None) -> tuple[str, str]:
    """Makes a proposal to bob whose message fails; returns its reference and message id."""
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="PROPOSAL", times=12))
    (sent,) = await alice.agent.propose(["bob"], draft(expires_at=expires_at))
    await world.advance(HOUR_MS)
    (row,) = await alice.agent.outbox()
    assert row.state == "FAILED"
    world.relay.faults.clear()
    return sent.ref, row.message_id


async def stands(peer: Peer, ref: str) -> tuple[str, str]:
    """Returns the state and the note of a proposal."""
    view = await peer.agent.proposal(ref)
    return view.state, view.note


async def test_a_failed_proposal_is_pending_until_its_time_and_can_be_sent_again_and_accepted(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    ref, message_id = await failed(world, alice)
    assert await stands(alice, ref) == ("PENDING", "Not delivered: ATTEMPTS_EXHAUSTED")
    await alice.agent.retry_message(message_id)
    assert await stands(alice, ref) == ("PENDING", "")
    await world.settle()
    (arrived,) = bob.arrivals()
    await bob.agent.accept(arrived)
    await world.settle()
    assert await stands(alice, ref) == ("ACCEPTED", "")
    assert (await bob.agent.proposal(arrived)).state == "ACCEPTED"


async def test_a_failed_proposal_expires_in_its_time_and_cannot_be_sent_again(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    ref, message_id = await failed(world, alice, expires_at=world.clock.now + 3 * HOUR_MS)
    await world.advance(3 * HOUR_MS)
    assert (await stands(alice, ref))[0] == "EXPIRED"
    assert "“Coffee” did not reach bob in time" in await alice.summaries()
    with pytest.raises(NotAllowed, match="propose it again"):
        await alice.agent.retry_message(message_id)
    await world.advance(MINUTE_MS)
    assert bob.arrivals() == []


async def test_an_expired_proposal_gets_no_more_days_by_being_sent_again(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["bob"], draft(expires_at=world.clock.now + HOUR_MS))
    await world.advance(2 * HOUR_MS)
    (row,) = await alice.agent.outbox()
    assert row.state == "EXPIRED"
    with pytest.raises(NotAllowed, match="The time to answer this proposal is over: propose it again"):
        await alice.agent.retry_message(row.message_id)
    world.relay.restore("bob")
    await world.settle()
    assert bob.arrivals() == []


async def test_a_proposal_sent_again_does_not_outlive_itself(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    until = world.clock.now + 5 * HOUR_MS
    _, message_id = await failed(world, alice, expires_at=until)
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.retry_message(message_id)
    (row,) = await alice.agent.outbox()
    assert (row.state, row.expires_at) == ("QUEUED", until)
    await world.advance(5 * HOUR_MS)
    (row,) = await alice.agent.outbox()
    assert row.state == "EXPIRED"
    world.relay.restore("bob")
    await world.settle()
    assert bob.arrivals() == []


async def test_a_proposal_whose_message_was_given_up_is_withdrawn_for_good(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.cut("bob")
    await world.settle()
    (sent,) = await alice.agent.propose(["bob"], draft())
    (row,) = await alice.agent.outbox()
    await alice.agent.cancel_message(row.message_id)
    assert await stands(alice, sent.ref) == ("REJECTED", "Withdrawn before it was delivered.")
    with pytest.raises(NotAllowed, match="withdrawn or declined: propose it again"):
        await alice.agent.retry_message(row.message_id)
    world.relay.restore("bob")
    await world.settle()
    assert bob.arrivals() == []


async def test_a_withdrawn_proposal_that_did_arrive_is_withdrawn_there_too(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.HOLD, sender="bob", message_type="ACK"))
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    (row,) = await alice.agent.outbox()
    await alice.agent.cancel_message(row.message_id)
    world.relay.release()
    await world.settle()
    (arrived,) = bob.arrivals()
    assert (await bob.agent.proposal(arrived)).state == "REJECTED"
    assert (await stands(alice, sent.ref))[0] == "REJECTED"
    assert await alice.agent.outbox() == []


async def test_a_late_receipt_takes_back_that_a_proposal_was_not_delivered(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.faults.append(only(Verdict.HOLD, sender="bob", message_type="ACK", times=12))
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.advance(HOUR_MS)
    assert await stands(alice, sent.ref) == ("PENDING", "Not delivered: ATTEMPTS_EXHAUSTED")
    world.relay.release()
    await world.settle()
    assert await stands(alice, sent.ref) == ("PENDING", "")
    assert await alice.agent.outbox() == []


async def test_a_failed_message_can_be_given_up_once(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    ref, message_id = await failed(world, alice)
    await alice.agent.cancel_message(message_id)
    (row,) = await alice.agent.outbox()
    assert (row.state, row.reason, row.given_up) == ("FAILED", "You cancelled it.", True)
    assert (await stands(alice, ref))[0] == "REJECTED"
    with pytest.raises(NotAllowed, match="given up already"):
        await alice.agent.cancel_message(message_id)
    assert (await alice.agent.proof.verify()).intact


async def test_withdrawing_a_proposal_that_never_left_tells_nobody_of_it(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.go_down()
    await world.settle()
    (sent,) = await alice.agent.propose(["bob"], draft(description="x" * 5_000))
    world.relay.max_message_bytes = 8192
    world.relay.come_back()
    await world.settle()
    assert await stands(alice, sent.ref) == ("PENDING", "Not delivered: TOO_LARGE")
    await alice.agent.cancel(sent.ref)
    await world.settle()
    assert await stands(alice, sent.ref) == ("REJECTED", "Withdrawn before it was delivered.")
    assert [row.given_up for row in await alice.agent.outbox()] == [True]
    assert "ERROR" not in [row.message_type for row in await bob.log()]


@pytest.mark.parametrize("way", ["block_contact", "relay"])
async def test_why_a_proposal_failed_says_whether_it_can_be_sent_again(
    world: World, friends: tuple[Peer, Peer], way: str
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="PROPOSAL", times=99))
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    (row,) = await alice.agent.outbox()
    world.relay.faults.clear()
    if way == "relay":
        await relay_says(world, alice, ErrorCode.SENDER_MISMATCH, row.message_id)
        assert await stands(alice, sent.ref) == ("PENDING", "Not delivered: REFUSED_BY_RELAY")
        await alice.agent.retry_message(row.message_id)
        await world.settle()
        assert len(bob.arrivals()) == 1
        return
    await alice.agent.block_contact("bob")
    assert await stands(alice, sent.ref) == ("EXPIRED", "Not delivered: CONTACT_GONE")
    with pytest.raises(NotAllowed, match="could not be delivered and is closed: propose it again"):
        await alice.agent.retry_message(row.message_id)


async def test_a_query_that_failed_and_is_sent_again_is_answered(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="QUERY", times=12))
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.advance(DAY_MS)
    (row,) = await alice.agent.outbox()
    world.relay.faults.clear()
    await alice.agent.retry_message(row.message_id)
    await world.settle()
    answer = await alice.agent.wait_query(request, 0)
    assert answer is not None
    assert answer.error is None
    assert len(world.relay.sent("bob", MessageType.ENCRYPTED)) == 1
