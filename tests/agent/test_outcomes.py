"""What relay and peers say about messages of ours, and what that may never change."""

from __future__ import annotations

import pytest

from agentnet_desktop.agent.timing import DAY_MS, MINUTE_MS
from relay.wire import control
from relay.wire.envelope import MessageType
from relay.wire.errors import ErrorCode
from tests.agent.conftest import WEEK, Peer, World
from tests.simulator import Verdict, only

EVERY_CODE = [
    ErrorCode.INVALID_MESSAGE_FORMAT,
    ErrorCode.SENDER_MISMATCH,
    ErrorCode.PERMISSION_DENIED,
    ErrorCode.SERVER_ERROR,
    ErrorCode.RATE_LIMIT_EXCEEDED,
    ErrorCode.RECIPIENT_NOT_FOUND,
]


async def relay_says(world: World, peer: Peer, code: ErrorCode, message_id: str) -> None:
    """The relay tells a peer that a message of theirs met an error."""
    error = control.error_envelope(
        code,
        "no",
        recipient=peer.agent_id,
        message_id=f"err_{code}",
        now_ms=world.clock.now,
        details={"originalMessageId": message_id},
    )
    world.relay.inject(error)
    await world.settle()


async def settled(world: World, alice: Peer, how: str) -> str:
    """Brings a query of alice's to one end; returns its message id."""
    if how != "DELIVERED":
        world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="QUERY", times=99))
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    (sent,) = world.relay.sent("alice", MessageType.ENCRYPTED)
    if how == "CANCELLED":
        await alice.agent.cancel_message(sent.message_id)
    elif how == "EXPIRED":
        world.relay.cut("alice")
        await world.settle()
        await world.advance(8 * DAY_MS)
        world.relay.restore("alice")
        await world.settle()
    world.relay.faults.clear()
    return sent.message_id


@pytest.mark.parametrize("how", ["DELIVERED", "CANCELLED", "EXPIRED"])
async def test_what_is_over_stays_over_whatever_the_relay_says(
    world: World, friends: tuple[Peer, Peer], how: str
) -> None:
    alice, _ = friends
    message_id = await settled(world, alice, how)
    sent = len(world.relay.sent("alice", MessageType.ENCRYPTED))
    before = await alice.agent.outbox()
    for code in EVERY_CODE:
        await relay_says(world, alice, code, message_id)
    ack = control.AckContent(message_id=message_id, status=control.AckStatus.ROUTED)
    world.relay._tell(world.relay.online["alice"], MessageType.ACK, control.build(ack))
    await world.advance(10 * MINUTE_MS)
    assert await alice.agent.outbox() == before
    assert len(world.relay.sent("alice", MessageType.ENCRYPTED)) == sent
    said = [row.state for row in await alice.log() if row.message_type == "ERROR" and row.peer == "system"]
    assert said == ["RECEIVED"] * len(EVERY_CODE)


async def test_an_error_about_a_delivered_message_loses_nothing_that_came_with_it(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    message_id = await settled(world, alice, "DELIVERED")
    await bob.agent.query("alice", "AVAILABILITY", WEEK)
    await relay_says(world, alice, ErrorCode.INVALID_MESSAGE_FORMAT, message_id)
    assert await bob.agent.outbox() == []
