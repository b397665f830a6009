"""The wall clock set an hour forward or back in the middle of things: nothing is lost, nothing shown twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.agent.deadlines import MAX_WAIT_MS
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from agentnet_desktop.protocol.delivery import LIFETIME_MS, LONGEST_RETRY_MS
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, outbox, queries, sessions
from relay.wire.control import error_envelope
from relay.wire.errors import ErrorCode
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import Verdict, only


def set_clock(world: World, jump: int) -> None:
    """Sets the wall clock; a loop's timers do not know it, and go off as they would have: within a minute."""
    clock = world.clock
    latest = clock.now + MAX_WAIT_MS
    clock.now += jump
    clock._alarms = {key: (min(at, latest) + jump, told) for key, (at, told) in clock._alarms.items()}


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
    set_clock(world, jump)
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


async def test_what_was_lost_before_the_clock_was_set_back_is_sent_again_on_schedule(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft("Before"))
    await world.settle()
    set_clock(world, -HOUR_MS)
    await world.advance(MINUTE_MS)
    assert [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()] == ["Before"]
    assert await alice.agent.outbox() == []


async def test_after_a_restart_with_the_clock_set_back_nothing_waits_for_it(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    await alice.crash()
    set_clock(world, -DAY_MS)
    await alice.start()
    await world.advance(MINUTE_MS)
    assert len(bob.arrivals()) == 1
    assert await alice.agent.outbox() == []


async def test_no_time_in_the_database_lies_further_away_than_a_schedule_could_have_set_it(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.go_down()
    await world.settle()
    await alice.agent.propose(["bob"], draft())
    asked = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await alice.agent.rotate_keys()
    await world.settle()
    set_clock(world, -30 * DAY_MS)
    await world.advance(2 * MINUTE_MS)
    now = world.clock.now
    for row in await alice.db.read(outbox.waiting):
        assert row.expires_at <= now + LIFETIME_MS
        assert (row.next_attempt_at or 0) <= now + LONGEST_RETRY_MS
    own = await alice.db.read(lambda session: queries.get(session, asked))
    assert own is not None and own.deadline <= now + alice.agent._ground.timing.query_answer
    contact = await alice.db.read(lambda session: contacts.get(session, "bob"))
    assert contact is not None and (contact.last_exchange_at or 0) <= now
    found = await alice.db.read(lambda session: sessions.of_peer(session, "bob"))
    assert {stored.state for stored in found} == {SessionState.ACTIVE, SessionState.PENDING}
    assert all(stored.created_at <= now for stored in found)
    assert all((stored.next_attempt_at or 0) <= now + HOUR_MS for stored in found)


async def test_a_session_made_after_the_clock_was_set_back_still_replaces_the_one_before(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    set_clock(world, -SECOND_MS // 2)
    assert await alice.agent.rotate_keys() == 1
    await world.settle()
    found = await alice.db.read(lambda session: sessions.of_peer(session, "bob"))
    assert [stored.state for stored in found] == [SessionState.ACTIVE, SessionState.RETIRED]


async def test_keys_of_a_replaced_session_are_wiped_a_day_later_by_the_clock_that_was_set_back(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    await alice.agent.rotate_keys()
    await world.settle()
    set_clock(world, -30 * DAY_MS)
    await world.advance(DAY_MS + 2 * MINUTE_MS)
    found = await alice.db.read(lambda session: sessions.of_peer(session, "bob"))
    assert {stored.state for stored in found if stored.keys is None} == {SessionState.CLOSED}


async def test_a_lost_session_is_asked_for_again_although_the_last_handshake_lies_ahead(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends

    def lie_ahead(session: Session) -> None:
        for known in sessions.conversations(session, "bob"):
            ahead = replace(known, last_handshake_at=world.clock.now + DAY_MS)
            sessions.save_conversation(session, ahead)

    await alice.db.write(lie_ahead)
    await alice.crash()
    await alice.start()
    known = await alice.db.read(lambda session: sessions.conversations(session, "bob"))
    assert [one.last_handshake_at for one in known] == [None]


async def test_a_relay_that_asks_for_a_wait_of_years_is_heard_for_minutes(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    (row,) = await alice.db.read(outbox.waiting)
    envelope = error_envelope(
        ErrorCode.SERVER_ERROR,
        "Busy.",
        recipient="alice",
        message_id="err_1",
        now_ms=world.clock.now,
        details={"originalMessageId": row.message_id},
        retry_after=1000 * DAY_MS,
    )
    world.relay.inject(envelope)
    await world.advance(LONGEST_RETRY_MS + SECOND_MS)
    assert len(bob.arrivals()) == 1
