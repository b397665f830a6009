"""Sending as transcripts: one message, one peer or one fault that goes wrong takes nothing else with it."""

from __future__ import annotations

from typing import Any

import pytest

from agentnet_desktop.agent.delivery import Delivery
from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timing
from agentnet_desktop.store import queries
from agentnet_desktop.store.outbox import OutboxRow
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import Verdict, only

DEEP: dict[str, Any] = {"a": {}}
for _ in range(14):
    DEEP = {"a": DEEP}


async def three(world: World, alice: Peer, bob: Peer) -> Peer:
    """Makes carol a contact of both."""
    carol = await world.add("carol")
    await world.befriend(alice, carol)
    await world.befriend(bob, carol)
    return carol


async def states(peer: Peer) -> list[tuple[str, str, str]]:
    """Returns whom a peer's messages that are not delivered are for, how they stand and why; oldest first."""
    return [(view.peer, view.state, view.reason) for view in reversed(await peer.agent.outbox())]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**60, "parameters.a is an integral number beyond 2"),
        (10**5000, "parameters.a is an integral number beyond 2"),
        (float("nan"), "parameters.a is not a finite number"),
        (1e999, "parameters.a is not a finite number"),
        ({"b": ["\ud800"]}, r"parameters.a.b\[0\] holds a lone surrogate"),
        ({"b": {1: 2}}, "write it with texts, numbers, lists and objects"),
        (DEEP, "is nested over 16 deep"),
        ("x" * 70_000, "too long to be sent: it takes 70,"),
    ],
    ids=["integer", "long integer", "NaN", "infinity", "surrogate", "key", "depth", "length"],
)
async def test_a_query_that_no_message_can_carry_is_refused_in_words_and_nothing_is_stored(
    world: World, friends: tuple[Peer, Peer], value: object, words: str
) -> None:
    alice, bob = friends
    world.relay.cut("alice")
    await world.settle()
    entries = len(await alice.log())
    with pytest.raises(BadInput, match=words):
        await alice.agent.query("bob", "CUSTOM", {"name": "x", "a": value})
    assert await alice.agent.outbox() == []
    assert await alice.db.read(lambda session: queries.overdue(session, world.clock.now + 9 * DAY_MS)) == []
    assert len(await alice.log()) == entries
    world.relay.restore("alice")
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert len(bob.arrivals()) == 1


async def test_a_title_that_fits_no_message_is_refused_without_a_connection(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.cut("alice")
    await world.settle()
    with pytest.raises(BadInput, match="too long to be sent"):
        await alice.agent.propose(["bob"], draft("x" * 70_000))
    assert await alice.agent.outbox() == []
    assert await alice.agent.proposals() == []


async def test_the_limit_of_the_relay_last_used_counts_after_a_restart_too(world: World) -> None:
    world.relay.max_message_bytes = 131_072
    alice, bob = await world.add("alice"), await world.add("bob")
    await world.befriend(alice, bob)
    await alice.stop()
    world.relay.go_down()
    await alice.start()
    await alice.agent.propose(["bob"], draft("Long", description="x" * 70_000))
    with pytest.raises(BadInput, match="too long to be sent"):
        await alice.agent.propose(["bob"], draft("Longer", description="x" * 140_000))
    world.relay.come_back()
    await world.settle()
    assert len(bob.arrivals()) == 1


async def spoil(peer: Peer, message_id: str) -> None:
    """Puts into a stored message what no message can carry, as versions before this one let in."""
    content = (
        '{"requestId": "req_1", "queryType": "CUSTOM", "parameters": {"name": "x", "a": 1152921504606846976}}'
    )
    await peer.db.write(
        lambda session: session.connection().exec_driver_sql(
            "UPDATE outbox SET content = ? WHERE message_id = ?", (content, message_id)
        )
    )


async def test_a_stored_message_that_cannot_be_sealed_fails_alone_and_is_told(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    carol = await three(world, alice, bob)
    world.relay.cut("alice")
    await world.settle()
    request = await alice.agent.query("bob", "CUSTOM", {"name": "x"})
    (row,) = await alice.agent.outbox()
    await spoil(alice, row.message_id)
    await alice.agent.propose(["bob"], draft("to bob"))
    await alice.agent.propose(["carol"], draft("to carol"))
    await bob.agent.propose(["alice"], draft("from bob"))
    world.relay.restore("alice")
    await world.settle()
    assert [len(peer.arrivals()) for peer in (alice, bob, carol)] == [1, 1, 1]
    assert await states(alice) == [("bob", "FAILED", "It holds what no message can carry.")]
    answer = await alice.agent.wait_query(request, 0)
    assert answer is not None and answer.error is not None
    assert answer.error["code"] == "TIMEOUT_ERROR"
    assert next(entry.state for entry in await alice.log() if entry.message_id == row.message_id) == "FAILED"


@pytest.mark.expected_errors("sending msg_.* failed and was left out")
async def test_a_fault_of_ours_with_one_message_ends_that_message_only(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = friends
    carol = await three(world, alice, bob)
    world.relay.cut("alice")
    await world.settle()
    await alice.agent.query("bob", "CUSTOM", {"name": "x"})
    (row,) = await alice.agent.outbox()
    await alice.agent.propose(["bob"], draft("to bob"))
    await alice.agent.propose(["carol"], draft("to carol"))
    await bob.agent.propose(["alice"], draft("from bob"))
    send = Delivery._send

    def faulty(self: Delivery, turn: Turn, sent: OutboxRow, *rest: Any) -> None:
        send(self, turn, sent, *rest)
        if sent.message_id == row.message_id:
            raise LookupError("a session without keys")

    monkeypatch.setattr(Delivery, "_send", faulty)
    world.relay.restore("alice")
    await world.settle()
    assert [len(peer.arrivals()) for peer in (alice, bob, carol)] == [1, 1, 1]
    assert [(peer, state) for peer, state, _ in await states(alice)] == [("bob", "FAILED")]
    assert "late" not in " ".join(await bob.summaries())
    await world.advance(HOUR_MS)
    assert "did not arrive in time" not in " ".join(await bob.summaries())
    assert (await alice.agent.proof.verify()).intact


@pytest.mark.expected_errors("failed and was left out")
async def test_a_fault_in_sending_does_not_take_what_arrived_with_it(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = friends
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["bob"], draft("to bob"))

    def faulty(turn: Turn) -> bool:
        raise LookupError("no")

    monkeypatch.setattr(alice.agent._delivery, "_pump", faulty)
    world.relay.restore("bob")
    await world.settle()
    await bob.agent.propose(["alice"], draft("from bob"))
    await world.settle()
    assert len(alice.arrivals()) == 1
    monkeypatch.undo()
    await world.advance(HOUR_MS)
    assert len(bob.arrivals()) == 1


@pytest.mark.expected_errors("handler of a CUSTOM query failed")
async def test_an_answer_that_no_message_can_carry_is_replaced_by_an_error(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.agent.set_policy("alice", "CUSTOM", "slots")
    bob.agent.add_query_handler("big", lambda peer, parameters: {"value": "x" * 70_000})
    bob.agent.add_query_handler("odd", lambda peer, parameters: {"value": 2**60})
    bob.agent.add_query_handler("thing", lambda peer, parameters: {"value": object()})
    for name in ("big", "odd", "thing"):
        request = await alice.agent.query("bob", "CUSTOM", {"name": name})
        await world.settle()
        answer = await alice.agent.wait_query(request, 0)
        assert answer is not None and answer.error is not None
        assert answer.error["code"] == "INTERNAL_ERROR"


async def test_a_hundred_messages_behind_one_that_waits_for_keys_keep_nobody_elses_back(
    world: World, alice: Peer, bob: Peer
) -> None:
    carol = await world.add("carol")
    await world.befriend(alice, carol)
    link = await bob.agent.create_contact_link()
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="HANDSHAKE", times=99))
    await alice.agent.add_contact(link.link)
    await world.settle()
    alice.agent._presence.note("bob", None)  # as the relay leaves it for those who do not watch back
    for _ in range(100):  # more than are looked at in one turn
        await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await alice.agent.query("carol", "AVAILABILITY", WEEK)
    await world.advance(MINUTE_MS)
    assert {view.peer for view in await alice.agent.outbox()} == {"bob"}
    world.relay.faults.clear()
    await world.advance(2 * HOUR_MS)
    assert await alice.agent.outbox() == []


async def test_a_peer_that_never_acknowledges_keeps_nobody_elses_messages_back(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.timing = Timing(linger=0, in_flight=40)
    await alice.stop()
    await alice.start()
    await world.befriend(alice, bob)
    carol = await three(world, alice, bob)
    world.relay.faults.append(only(Verdict.DROP, sender="bob", message_type="ACK", times=9999))
    for number in range(200):
        await alice.agent.propose(["bob"], draft(f"{number}"))
    await world.settle()
    await alice.agent.query("carol", "AVAILABILITY", WEEK)
    await world.advance(2 * SECOND_MS)
    assert {view.peer for view in await alice.agent.outbox()} == {"bob"}
    await alice.agent.propose(["carol"], draft("Lunch"))
    await world.advance(2 * SECOND_MS)
    assert len(carol.arrivals()) == 1
    on_their_way = [view for view in await alice.agent.outbox() if view.state != "QUEUED"]
    assert len(on_their_way) == 40
    world.relay.faults.clear()
    await world.advance(HOUR_MS)
    assert len(bob.arrivals()) == 200


async def test_urgent_messages_do_not_overtake_when_all_are_sealed_anew(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="QUERY", times=99))
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="PROPOSAL", times=99))
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await alice.agent.propose(["bob"], draft("first"))
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await alice.agent.propose(["bob"], draft("second"))
    await world.settle()
    world.relay.faults.clear()
    await alice.agent.rotate_keys()
    await world.advance(MINUTE_MS)
    received = [row.message_type for row in await bob.log() if row.state == "RECEIVED" and row.encrypted]
    assert received == ["QUERY", "PROPOSAL", "QUERY", "PROPOSAL"]


async def test_urgent_messages_do_not_overtake_when_their_peer_went_and_came(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.timing = Timing(linger=0, in_flight=1)
    alice.agent._ground.timing = world.timing
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="QUERY"))
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["bob"], draft())
    await alice.agent.rotate_keys()
    world.relay.restore("bob")
    await world.advance(MINUTE_MS)
    received = [row.message_type for row in await bob.log() if row.state == "RECEIVED" and row.encrypted]
    assert received == ["QUERY", "PROPOSAL"]
