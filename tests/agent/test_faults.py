"""A fault of ours in one thing leaves all others going: what follows a turn, timers, what arrives, the start."""

from __future__ import annotations

from typing import Any

import pytest

from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timing
from agentnet_desktop.store.errors import DiskFull
from relay.wire.envelope import MessageType
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import Verdict, only


def fail(*_: Any, **__: Any) -> None:
    """A fault of ours."""
    raise LookupError("no")


@pytest.mark.expected_errors("something that follows from a transaction failed")
async def test_what_was_stored_counts_though_something_that_follows_from_it_fails(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    done: list[str] = []

    def job(turn: Turn) -> str:
        turn.then(fail)
        turn.then(lambda: done.append("after"))
        return "stored"

    assert await alice.agent._ground.turn(job) == "stored"
    assert done == ["after"]
    await bob.agent.propose(["alice"], draft())
    await world.settle()
    assert len(alice.arrivals()) == 1


@pytest.mark.expected_errors("handler of a CUSTOM query failed")
async def test_a_handler_that_answers_nonsense_is_an_internal_error_for_the_peer(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.agent.set_policy("alice", "CUSTOM", "slots")

    def nonsense(peer: str, parameters: Any) -> Any:
        return 5

    bob.agent.add_query_handler("odd", nonsense)
    request = await alice.agent.query("bob", "CUSTOM", {"name": "odd"})
    await world.settle()
    answer = await alice.agent.wait_query(request, 0)
    assert answer is not None and answer.error is not None
    assert answer.error["code"] == "INTERNAL_ERROR"


@pytest.mark.expected_errors("could not be handled|not even be logged")
async def test_a_message_that_cannot_even_be_logged_does_not_end_receiving(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = friends
    inbound = bob.agent._inbound
    with monkeypatch.context() as patch:
        patch.setattr(inbound, "batch", fail)
        patch.setattr(inbound, "broken", fail)
        await alice.agent.propose(["bob"], draft("One"))
        await world.settle()
    await alice.agent.propose(["bob"], draft("Two"))
    await world.advance(MINUTE_MS)
    assert len(bob.arrivals()) == 2


@pytest.mark.expected_errors("a batch of .* could not be handled")
async def test_a_disk_that_fills_up_amid_a_batch_with_a_fault_loses_nothing_of_it(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = friends
    inbound = bob.agent._inbound
    batch = inbound.batch
    turns = 0

    def faulty(turn: Turn, elements: Any) -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            fail()
        if turns == 2:
            raise DiskFull(bob.path)
        batch(turn, elements)

    monkeypatch.setattr(inbound, "batch", faulty)
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    await world.advance(5 * SECOND_MS - 1)  # alice repeats nothing so soon
    assert len(world.relay.sent("alice", MessageType.ENCRYPTED)) == 1
    await world.advance(1)
    assert len(bob.arrivals()) == 1


@pytest.mark.expected_errors("closing prop_.* failed and was left out")
async def test_a_proposal_that_cannot_be_closed_keeps_no_other_from_closing(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = friends
    until = world.clock.now + HOUR_MS
    (first,) = await alice.agent.propose(["bob"], draft("One", expires_at=until))
    (second,) = await alice.agent.propose(["bob"], draft("Two", expires_at=until + 1))
    await world.settle()
    negotiation = alice.agent._negotiation
    view = negotiation.view

    def faulty(turn: Turn, proposal: Any) -> Any:
        return fail() if proposal.proposal_id == first.proposal_id else view(turn, proposal)

    with monkeypatch.context() as patch:
        patch.setattr(negotiation, "view", faulty)
        await world.advance(HOUR_MS + MINUTE_MS)
        assert (await alice.agent.proposal(second.ref)).state == "EXPIRED"
        assert (await alice.agent.proposal(first.ref)).state == "PENDING"
        await alice.stop()
        await alice.start()  # it does not keep the agent from starting either
        await world.settle()
    await world.advance(2 * MINUTE_MS)
    assert (await alice.agent.proposal(first.ref)).state == "EXPIRED"


@pytest.mark.parametrize(
    "room", ["_delivery.expire", "_repeats.due", "_receiving.gaps_due", "_queries.due", "_negotiation.due"]
)
@pytest.mark.expected_errors("failed and was left out")
async def test_a_fault_in_what_was_due_does_not_keep_an_agent_from_starting(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    alice, bob = friends
    await alice.stop()
    name, _, method = room.partition(".")
    kind = type(getattr(alice.agent, name))
    with monkeypatch.context() as patch:
        patch.setattr(kind, method, fail)
        await alice.start()
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert len(bob.arrivals()) == 1


@pytest.mark.expected_errors("task handshakes failed")
async def test_a_timer_whose_turn_failed_comes_again(
    world: World, alice: Peer, bob: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="HANDSHAKE"))
    link = await bob.agent.create_contact_link()
    await alice.agent.add_contact(link.link)
    await world.settle()
    with monkeypatch.context() as patch:
        patch.setattr("agentnet_desktop.store.sessions.wipe_due", fail)
        await world.advance(HOUR_MS)
    await world.advance(2 * MINUTE_MS)
    assert len(world.relay.sent("alice", MessageType.HANDSHAKE)) == 2


@pytest.mark.expected_errors("repeating the handshake msg_.* failed and was left out")
async def test_a_handshake_that_cannot_be_repeated_keeps_nothing_else_from_a_new_connection(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = friends
    carol = await world.add("carol")
    world.relay.go_down()
    await world.settle()
    link = await carol.agent.create_contact_link()
    await alice.agent.add_contact(link.link)
    await alice.agent.propose(["bob"], draft())
    monkeypatch.setattr(alice.agent._repeats, "initiation", fail)
    world.relay.come_back()
    await world.advance(DAY_MS // 2)
    assert len(bob.arrivals()) == 1


async def test_messages_stay_in_order_though_the_turn_that_sent_some_was_undone(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    alice.agent._ground.timing = Timing(linger=0, in_flight=1)
    world.relay.faults.append(only(Verdict.HOLD, sender="bob", message_type="ACK"))
    await alice.agent.propose(["bob"], draft("One"))
    await world.settle()
    await alice.agent.propose(["bob"], draft("Two"))  # waits for room
    alice.agent._ground.timing = Timing(linger=0)
    delivery = alice.agent._delivery

    def job(turn: Turn) -> None:
        delivery.look(turn)
        fail()

    with pytest.raises(LookupError):
        await alice.agent._ground.turn(job)
    await alice.agent.propose(["bob"], draft("Three"))
    await world.advance(10 * SECOND_MS)
    titles = [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()]
    assert titles == ["One", "Two", "Three"]
    assert await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    assert await alice.agent.outbox() == []
