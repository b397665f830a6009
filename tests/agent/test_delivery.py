"""Delivery as transcripts: offline peers, retries, expiry, errors of the relay, what a person does by hand."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.agent.errors import BadInput, NotAllowed, NotFound
from agentnet_desktop.agent.events import OutboxChanged
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timing
from agentnet_desktop.agent.trust import KEY_CHANGED
from agentnet_desktop.store import contacts, inbox, outbox
from relay.wire import control
from relay.wire.envelope import Envelope, MessageType
from relay.wire.errors import ErrorCode
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import Verdict, only, tampered


def sealed(world: World, sender: str) -> list[Envelope]:
    """Returns the sealed messages that one agent sent."""
    return world.relay.sent(sender, MessageType.ENCRYPTED)


async def test_a_message_to_an_offline_peer_waits_and_goes_when_it_comes_online(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    (waiting,) = await alice.agent.outbox()
    assert (waiting.state, waiting.attempts) == ("QUEUED", 0)
    assert waiting.reason == "Waits until the recipient is online."
    assert sealed(world, "alice") == []
    world.relay.restore("bob")
    await world.settle()
    assert len(bob.arrivals()) == 1


async def test_not_found_spends_no_attempt_and_is_probed_every_five_minutes(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.cut("bob")
    await world.settle()
    alice.agent._presence.note("bob", None)
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    (waiting,) = await alice.agent.outbox()
    assert (waiting.state, waiting.attempts) == ("QUEUED", 0)
    assert len(sealed(world, "alice")) == 1
    await world.advance(3 * 5 * MINUTE_MS)
    (waiting,) = await alice.agent.outbox()
    assert (waiting.state, waiting.attempts) == ("QUEUED", 0)
    assert len(sealed(world, "alice")) == 4


async def test_retries_come_after_five_seconds_doubling_up_to_five_minutes_twelve_times(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL", times=99))
    begun = world.clock.now
    (sent,) = await alice.agent.propose(["bob"], draft())
    times = []
    count = 0
    while world.clock.now - begun < HOUR_MS:
        await world.settle()
        if len(sealed(world, "alice")) > count:
            count = len(sealed(world, "alice"))
            times.append((world.clock.now - begun) // 1000)
        if not world.clock.ring(begun + HOUR_MS):
            break
    await world.settle()
    assert times == [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215, 1515, 1815]
    (failed,) = await alice.agent.outbox()
    assert (failed.state, failed.reason, failed.attempts) == (
        "FAILED",
        "No receipt came after twelve attempts.",
        12,
    )
    view = await alice.agent.proposal(sent.ref)
    assert (view.state, view.note) == ("PENDING", "Not delivered: ATTEMPTS_EXHAUSTED")


async def test_every_attempt_stands_in_the_delivery_history(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await world.advance(5_000)
    row = next(row for row in await alice.log() if row.message_type == "PROPOSAL")
    detail = await alice.agent.log.detail(row.seq)
    assert detail is not None
    assert [step.state for step in detail.delivery] == [
        "IN_FLIGHT",
        "ROUTED",
        "IN_FLIGHT",
        "ROUTED",
        "DELIVERED",
    ]


async def test_a_message_expires_after_seven_days(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    world.relay.cut("bob")
    await world.settle()
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    world.clock.now += 7 * DAY_MS - HOUR_MS
    await world.advance(HOUR_MS)
    (expired,) = await alice.agent.outbox()
    assert expired.state == "EXPIRED"
    answer = await alice.agent.wait_query(request, 5)
    assert answer is not None and answer.error is not None
    assert answer.error["code"] == "TIMEOUT_ERROR"


async def test_a_proposal_is_not_sent_after_its_own_time(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    world.relay.cut("bob")
    await world.settle()
    (sent,) = await alice.agent.propose(["bob"], draft(expires_at=world.clock.now + HOUR_MS))
    await world.advance(2 * HOUR_MS)
    world.relay.restore("bob")
    await world.settle()
    assert bob.arrivals() == []
    assert (await alice.agent.proposal(sent.ref)).state == "EXPIRED"


async def test_nothing_is_lost_while_the_relay_is_down(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    world.relay.go_down()
    await world.settle()
    for title in ("One", "Two", "Three"):
        await alice.agent.propose(["bob"], draft(title))
    await world.settle()
    assert [view.state for view in await alice.agent.outbox()] == ["QUEUED"] * 3
    world.relay.come_back()
    await world.settle()
    assert [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()] == ["One", "Two", "Three"]


async def test_a_connection_lost_in_flight_repeats_the_same_bytes_after_reconnecting(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    world.relay.cut("alice")
    await world.settle()
    world.relay.restore("alice")
    await world.settle()
    first, second = sealed(world, "alice")
    assert first == second
    assert len(bob.arrivals()) == 1


async def test_a_receipt_with_a_wrong_signature_is_refused_and_counts_nothing(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends

    def spoil(envelope: Envelope) -> Verdict | Envelope:
        if envelope.content.get("status") == "DELIVERED" and envelope.sender_id == "bob":
            return tampered(envelope, logHead="A" * 43 + "=")
        return Verdict.PASS

    world.relay.faults.append(spoil)
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert alice.alarms() == ["BAD_RECEIPT"]
    assert len(await alice.agent.outbox()) == 1


async def test_a_receipt_from_somebody_else_counts_nothing(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    carol = await world.add("carol")
    await world.befriend(alice, carol)
    world.relay.faults.append(only(Verdict.HOLD, sender="bob", message_type="ACK"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    (receipt,) = world.relay.held
    fields = {name: getattr(receipt, name) for name in receipt.__struct_fields__}
    world.relay.inject(Envelope(**(fields | {"sender_id": "carol"})))
    await world.settle()
    assert len(await alice.agent.outbox()) == 1


@pytest.mark.parametrize(
    ("code", "state", "sendings"),
    [
        (ErrorCode.SENDER_MISMATCH, "FAILED", 1),
        (ErrorCode.INVALID_MESSAGE_FORMAT, "IN_FLIGHT", 2),
        (ErrorCode.MESSAGE_ERROR, "IN_FLIGHT", 1),
        (ErrorCode.RATE_LIMIT_EXCEEDED, "IN_FLIGHT", 1),
    ],
)
async def test_an_error_of_the_relay_does_what_its_code_means(
    world: World, friends: tuple[Peer, Peer], code: ErrorCode, state: str, sendings: int
) -> None:
    alice, _ = friends
    world.relay.swallow("alice")
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    (message,) = sealed(world, "alice")
    error = control.error_envelope(
        code,
        "no",
        recipient="alice",
        message_id="err_1",
        now_ms=world.clock.now,
        details={"originalMessageId": message.message_id},
    )
    world.relay.inject(error)
    await world.settle()
    assert len(sealed(world, "alice")) == sendings
    assert [view.state for view in await alice.agent.outbox()] == [state]


async def test_an_error_about_nothing_of_ours_is_only_logged(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    for details in ({}, {"originalMessageId": "msg_unknown"}, {"originalMessageId": 5}):
        world.relay.inject(
            control.error_envelope(
                ErrorCode.RECIPIENT_NOT_FOUND,
                "no",
                recipient="alice",
                message_id="err_1",
                now_ms=world.clock.now,
                details=details,
            )
        )
    await world.settle()
    assert [row.message_type for row in (await alice.log())[-3:]] == ["ERROR"] * 3


async def test_a_message_can_be_cancelled_and_sent_again_by_hand(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    (waiting,) = await alice.agent.outbox()
    await alice.agent.cancel_message(waiting.message_id)
    (cancelled,) = await alice.agent.outbox()
    assert (cancelled.state, cancelled.reason) == ("FAILED", "You cancelled it.")
    with pytest.raises(NotAllowed):
        await alice.agent.cancel_message(waiting.message_id)
    world.relay.restore("bob")
    await world.settle()
    assert sealed(world, "alice") == []
    await alice.agent.retry_message(waiting.message_id)
    await world.settle()
    assert await alice.agent.outbox() == []
    with pytest.raises(NotAllowed):
        await alice.agent.retry_message(waiting.message_id)
    for command in (alice.agent.cancel_message, alice.agent.retry_message):
        with pytest.raises(NotFound):
            await command("msg_unknown")


async def test_no_more_messages_are_in_flight_than_allowed_and_all_arrive_in_order(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.timing = Timing(linger=0, in_flight=3)
    await alice.stop()
    await alice.start()
    await world.befriend(alice, bob)
    world.relay.faults.append(only(Verdict.HOLD, sender="bob", message_type="ACK", times=3))
    for number in range(10):
        await alice.agent.propose(["bob"], draft(f"{number}"))
    await world.settle()
    assert len(sealed(world, "alice")) == 3
    world.relay.release()
    await world.settle()
    assert [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()] == [f"{n}" for n in range(10)]
    assert await alice.agent.outbox() == []


async def test_content_that_is_too_long_is_refused_and_the_next_message_has_no_gap(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    with pytest.raises(BadInput, match="too long to be sent"):
        await alice.agent.propose(["bob"], draft(description="x" * 50_000))
    await alice.agent.propose(["bob"], draft("Short"))
    await world.settle()
    assert [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()] == ["Short"]
    assert await alice.agent.outbox() == []


async def test_late_news_that_a_message_was_routed_does_not_keep_it_from_being_sent_again(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    (sent,) = sealed(world, "alice")
    world.relay.cut("bob")
    await world.settle()
    late = control.AckContent(message_id=sent.message_id, status=control.AckStatus.ROUTED)
    client = world.relay.online["alice"]
    world.relay._tell(client, MessageType.ACK, control.build(late))
    await world.settle()
    world.relay.restore("bob")
    await world.settle()
    assert len(bob.arrivals()) == 1
    assert await alice.agent.outbox() == []


async def test_faces_hear_how_many_messages_wait(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    counts = [event.queued for event in alice.events if isinstance(event, OutboxChanged)]
    assert counts[-1] == 1
    assert (await alice.agent.snapshot()).queued == 1


async def test_messages_for_one_who_went_offline_do_not_keep_those_for_others_back(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.timing = Timing(linger=0, in_flight=2)
    await alice.stop()
    await alice.start()
    carol = await world.add("carol")
    await world.befriend(alice, bob)
    await world.befriend(alice, carol)
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL", times=2))
    for number in range(2):
        await alice.agent.propose(["bob"], draft(f"{number}"))
    await world.settle()
    world.relay.cut("bob")
    await world.settle()
    await alice.agent.propose(["carol"], draft("Lunch"))
    await world.advance(SECOND_MS)
    assert len(carol.arrivals()) == 1
    world.relay.restore("bob")
    await world.settle()
    assert len(bob.arrivals()) == 2


async def test_what_was_lost_is_sent_again_though_more_urgent_messages_fill_the_queue(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.timing = Timing(linger=0, in_flight=1)
    await alice.stop()
    await alice.start()
    await world.befriend(alice, bob)
    world.relay.faults.append(only(Verdict.DROP, message_type="QUERY"))
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    for number in range(65):  # more than are looked at in one turn, and all of a higher priority
        await alice.agent.propose(["bob"], draft(f"{number}"))
    await world.advance(5 * SECOND_MS)
    assert len(bob.arrivals()) == 65
    assert await alice.agent.outbox() == []


@pytest.mark.parametrize("flapping", ["alice", "bob"])
async def test_a_bad_network_does_not_use_up_the_attempts_of_a_message(
    world: World, friends: tuple[Peer, Peer], flapping: str
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL", times=20))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    for _ in range(20):
        await world.advance(SECOND_MS)
        world.relay.cut(flapping)
        await world.settle()
        world.relay.restore(flapping)
        await world.settle()
    assert len(sealed(world, "alice")) == 21
    assert len(bob.arrivals()) == 1


async def frames_wait(peer: Peer, count: int) -> None:
    """Returns when so many received messages wait to be handled."""
    for _ in range(1_000_000):
        if len(peer.agent._frames) == count:
            return
        await asyncio.sleep(0)
    raise AssertionError("they do not wait")


async def test_what_only_tells_of_delivery_waits_for_company(world: World, alice: Peer, bob: Peer) -> None:
    await world.befriend(alice, bob)
    alice.agent._ground.timing = Timing(linger=20)
    (sent,) = await alice.agent.propose(["bob"], draft())
    await frames_wait(alice, 2)  # ROUTED and the receipt
    assert [view.state for view in await alice.agent.outbox()] == ["IN_FLIGHT"]
    await bob.agent.accept(bob.arrivals()[0])  # its CONFIRMATION is company
    answered = await alice.agent.wait_proposal(sent.ref, 30)
    assert answered is not None
    assert answered.state == "ACCEPTED"
    assert await alice.agent.outbox() == []


async def test_what_only_tells_of_delivery_does_not_wait_long(world: World, alice: Peer, bob: Peer) -> None:
    await world.befriend(alice, bob)
    alice.agent._ground.timing = Timing(linger=20)
    await alice.agent.propose(["bob"], draft())
    await frames_wait(alice, 2)
    assert world.clock.ring(world.clock.now + 20)
    await world.settle()
    assert await alice.agent.outbox() == []


async def test_a_message_put_back_to_wait_shows_that_it_waits(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert [row.state for row in await alice.log() if row.message_type == "PROPOSAL"] == ["ROUTED"]
    world.relay.cut(bob.agent_id)
    await world.settle()
    assert [row.state for row in await alice.log() if row.message_type == "PROPOSAL"] == ["QUEUED"]
    assert (await alice.agent.proof.verify()).intact


@pytest.mark.parametrize("what", ["cancel_message", "retry_message"])
async def test_when_the_last_held_message_went_its_way_none_is_held(
    world: World, friends: tuple[Peer, Peer], what: str
) -> None:
    alice, bob = friends
    world.relay.cut(bob.agent_id)
    await alice.agent.propose(["bob"], draft("One"))
    await alice.agent.propose(["bob"], draft("Two"))
    await world.settle()

    def hold(session: Session) -> None:
        outbox.park_peer(session, "bob", KEY_CHANGED)
        contact = contacts.get(session, "bob")
        assert contact is not None
        contacts.save(session, replace(contact, held=1))

    await alice.db.write(hold)
    first, second = await alice.db.read(outbox.waiting)
    await getattr(alice.agent, what)(first.message_id)
    assert [view.held for view in await alice.agent.contacts()] == [True]
    await getattr(alice.agent, what)(second.message_id)
    assert [view.held for view in await alice.agent.contacts()] == [False]


async def test_messages_whose_way_ended_long_ago_are_forgotten_and_the_log_stays(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    ours = [row for row in await alice.log() if row.message_type == "PROPOSAL"]
    world.clock.now += 8 * DAY_MS
    await alice.agent._retention.run()
    assert await alice.db.read(lambda session: outbox.get(session, ours[0].message_id)) is None
    key = alice.identity.public
    assert await bob.db.read(lambda session: inbox.seen(session, key, ours[0].message_id)) is not None
    world.clock.now += 130 * DAY_MS
    await bob.agent._retention.run()
    assert await bob.db.read(lambda session: inbox.seen(session, key, ours[0].message_id)) is None
    assert (await alice.agent.proof.verify()).intact


async def test_a_held_message_stays_held_when_its_peer_goes_and_comes(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    await alice.db.write(lambda session: outbox.park_peer(session, "bob", KEY_CHANGED))
    world.relay.cut(bob.agent_id)
    await world.settle()
    world.relay.restore(bob.agent_id)
    await world.advance(HOUR_MS)
    assert [row.reason for row in await alice.db.read(outbox.waiting)] == [KEY_CHANGED]
    assert bob.arrivals() == []
