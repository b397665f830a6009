"""What relay and peers say about messages of ours, and what that may never change."""

from __future__ import annotations

import pytest

from agentnet_desktop.agent.timing import DAY_MS, MINUTE_MS, SECOND_MS
from relay.wire import control
from relay.wire.envelope import Envelope, MessageType
from relay.wire.errors import ErrorCode
from tests.agent.conftest import WEEK, Peer, World
from tests.agent.test_trust import ask_without_link
from tests.simulator import SimClient, Verdict, only

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


def refuse(
    world: World, monkeypatch: pytest.MonkeyPatch, sender: str, kind: MessageType, code: ErrorCode, times: int
) -> list[int]:
    """Makes the relay refuse an agent's next messages of one type; returns when it did."""
    refused: list[int] = []
    taken = {"_control": world.relay._control, "_route": world.relay._route}

    def instead(way: str, client: SimClient, envelope: Envelope) -> None:
        if client.agent_id == sender and envelope.message_type is kind and len(refused) < times:
            refused.append(world.clock.now)
            world.relay._refuse(client, envelope, code, "no")
        else:
            taken[way](client, envelope)

    for way in taken:
        monkeypatch.setattr(world.relay, way, lambda *given, way=way: instead(way, *given))
    return refused


@pytest.mark.parametrize(
    "code", [ErrorCode.RATE_LIMIT_EXCEEDED, ErrorCode.MESSAGE_ERROR, ErrorCode.INVALID_MESSAGE_FORMAT]
)
async def test_a_watch_set_that_the_relay_refused_is_sent_again_when_it_may(
    world: World, alice: Peer, bob: Peer, monkeypatch: pytest.MonkeyPatch, code: ErrorCode
) -> None:
    carol = await world.add("carol")
    await world.befriend(bob, carol)  # bob has a watch set
    await ask_without_link(world, alice, bob)
    refused = refuse(world, monkeypatch, "bob", MessageType.PRESENCE, code, 1)
    await bob.agent.approve_contact("alice")
    await world.settle()
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.advance(6 * SECOND_MS)
    answer = await alice.agent.wait_query(request, 0)
    assert len(refused) == 1
    assert answer is not None
    assert answer.error is None


async def test_a_watch_set_that_the_relay_cannot_read_is_written_once_more_only(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bob = friends
    code = ErrorCode.INVALID_MESSAGE_FORMAT
    refused = refuse(world, monkeypatch, "bob", MessageType.PRESENCE, code, 99)
    await bob.agent._ground.turn(bob.agent._presence.announce)
    await world.advance(10 * MINUTE_MS)
    assert len(refused) == 2


@pytest.mark.parametrize("sender", ["alice", "bob"])
async def test_a_handshake_that_the_relay_refused_goes_again_when_it_may(
    world: World, alice: Peer, bob: Peer, monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    code = ErrorCode.RATE_LIMIT_EXCEEDED
    refused = refuse(world, monkeypatch, sender, MessageType.HANDSHAKE, code, 3)
    link = await bob.agent.create_contact_link()
    await alice.agent.add_contact(link.link)
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.advance(16 * SECOND_MS)
    assert [at - refused[0] for at in refused] == [0, 5_000, 10_000]
    answer = await alice.agent.wait_query(request, 0)
    assert answer is not None
    assert answer.error is None


async def test_a_relay_that_refuses_every_handshake_is_not_flooded(
    world: World, alice: Peer, bob: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refuse(world, monkeypatch, "alice", MessageType.HANDSHAKE, ErrorCode.SENDER_MISMATCH, 99)
    link = await bob.agent.create_contact_link()
    await alice.agent.add_contact(link.link)
    await world.advance(30 * MINUTE_MS)
    assert len(refused) == 1
