"""The main job as transcripts: handshake, query, proposal, answer."""

from __future__ import annotations

import asyncio

import pytest

from agentnet_desktop.agent.errors import BadInput, NotAllowed, NotFound
from agentnet_desktop.agent.events import Slot
from agentnet_desktop.agent.timing import HOUR_MS
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import START, Verdict, only


async def test_a_contact_link_leads_to_a_session_on_both_sides(world: World, alice: Peer, bob: Peer) -> None:
    link = await bob.agent.create_contact_link()
    contact = await alice.agent.add_contact(link.link, name="Bob")
    assert (contact.agent_id, contact.state, contact.name) == ("bob", "VERIFIED", "Bob")
    await world.settle()
    assert (await alice.agent.wait_contact("bob", 5)) is not None
    assert (await bob.agent.wait_contact("alice", 5)) is not None
    assert [c.state for c in await bob.agent.contacts()] == ["APPROVED"]


async def test_a_query_is_answered_from_working_hours(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    answer = await alice.agent.wait_query(request, 5)
    assert answer is not None and answer.error is None and answer.data is not None
    assert len(answer.data["slots"]) == 4


async def test_an_accepted_proposal_is_accepted_on_both_sides(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    (ref,) = bob.arrivals()
    shown = await bob.agent.proposal(ref)
    assert (shown.title, shown.state, shown.peer) == ("Coffee", "PENDING", "alice")
    await bob.agent.accept(ref)
    await world.settle()
    answer = await alice.agent.wait_proposal(sent.ref, 5)
    assert answer is not None and answer.state == "ACCEPTED"
    assert await alice.agent.outbox() == [] and await bob.agent.outbox() == []


async def test_a_declined_proposal_carries_the_reason_and_the_note(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    await bob.agent.decline(bob.arrivals()[0], reason="TIME_UNSUITABLE", note="too early")
    await world.settle()
    view = await alice.agent.proposal(sent.ref)
    assert (view.state, view.reason, view.note) == ("REJECTED", "TIME_UNSUITABLE", "too early")


async def test_an_unknown_reason_or_one_without_its_explanation_changes_nothing(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    (ref,) = bob.arrivals()
    for reason in ("BORED", "OTHER"):
        with pytest.raises(BadInput):
            await bob.agent.decline(ref, reason=reason)
    assert (await bob.agent.proposal(ref)).state == "PENDING"


async def test_an_alternative_can_be_accepted(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    other = Slot(START + 50 * HOUR_MS, START + 51 * HOUR_MS, "Library")
    (sent,) = await alice.agent.propose(["bob"], draft(alternatives=(other,)))
    await world.settle()
    (ref,) = bob.arrivals()
    assert (await bob.agent.proposal(ref)).alternatives == (other,)
    with pytest.raises(BadInput):
        await bob.agent.accept(ref, alternative=2)
    await bob.agent.accept(ref, alternative=1)
    await world.settle()
    assert (await alice.agent.proposal(sent.ref)).chosen_alternative == 1


async def test_a_counter_proposal_is_answered_by_the_other_side(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    counter = await bob.agent.counter(
        bob.arrivals()[0], start="2026-06-02T16:00:00+02:00", end="2026-06-02T17:00:00+02:00"
    )
    assert (counter.revision, counter.state, counter.local_start) == (2, "PENDING", "2026-06-02T16:00:00")
    await world.settle()
    assert (await alice.agent.proposal(sent.ref)).state == "MODIFIED"
    (ref,) = alice.arrivals()
    with pytest.raises(NotAllowed):
        await bob.agent.accept(counter.ref)
    await alice.agent.accept(ref)
    await world.settle()
    assert (await bob.agent.proposal(counter.ref)).state == "ACCEPTED"


@pytest.mark.parametrize("side", [0, 1])
async def test_an_accepted_meeting_can_be_cancelled_by_either_side(
    world: World, friends: tuple[Peer, Peer], side: int
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    await bob.agent.accept(bob.arrivals()[0])
    await world.settle()
    refs = (sent.ref, bob.arrivals()[0])
    await friends[side].agent.cancel(refs[side], "sorry")
    await world.settle()
    for peer, ref in zip(friends, refs, strict=True):
        view = await peer.agent.proposal(ref)
        assert (view.state, view.reason, view.note) == ("REJECTED", "OTHER", "sorry")


async def test_a_proposal_withdrawn_while_it_is_accepted_ends_rejected_on_both_sides(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    world.relay.faults.append(only(Verdict.HOLD, message_type="CONFIRMATION"))
    await bob.agent.accept(bob.arrivals()[0])
    await world.settle()
    await alice.agent.cancel(sent.ref)
    world.relay.release()
    await world.settle()
    assert (await alice.agent.proposal(sent.ref)).state == "REJECTED"
    assert (await bob.agent.proposal(bob.arrivals()[0])).state == "REJECTED"
    assert await alice.agent.outbox() == [] and await bob.agent.outbox() == []


async def test_two_counter_proposals_that_cross_end_with_the_original_proposers(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    (ref,) = bob.arrivals()
    await asyncio.gather(
        alice.agent.counter(sent.ref, start="2026-06-02T17:00:00+02:00", end="2026-06-02T18:00:00+02:00"),
        bob.agent.counter(ref, start="2026-06-02T10:00:00+02:00", end="2026-06-02T11:00:00+02:00"),
    )
    await world.settle()
    ours = await alice.agent.proposal(f"bob/{sent.proposal_id}")
    theirs = await bob.agent.proposal(f"alice/{sent.proposal_id}")
    assert (ours.revision, ours.state, ours.direction) == (2, "PENDING", "out")
    assert (theirs.revision, theirs.state, theirs.direction) == (2, "PENDING", "in")
    assert ours.start == theirs.start
    await bob.agent.accept(theirs.ref)
    await world.settle()
    assert (await alice.agent.proposal(ours.ref)).state == "ACCEPTED"


async def test_an_unanswered_proposal_expires_on_both_sides(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft(expires_at=world.clock.now + HOUR_MS))
    await world.settle()
    await world.advance(HOUR_MS)
    assert (await alice.agent.proposal(sent.ref)).state == "EXPIRED"
    assert (await bob.agent.proposal(bob.arrivals()[0])).state == "EXPIRED"
    assert "bob did not answer “Coffee” in time" in await alice.summaries()
    with pytest.raises(NotAllowed):
        await bob.agent.accept(bob.arrivals()[0])


async def test_a_confirmation_that_comes_too_late_is_answered_with_a_rejection(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft(expires_at=world.clock.now + HOUR_MS))
    await world.settle()
    world.relay.faults.append(only(Verdict.HOLD, message_type="CONFIRMATION", times=100))
    await bob.agent.accept(bob.arrivals()[0])
    await world.advance(HOUR_MS)
    world.relay.faults.clear()
    world.relay.release()
    await world.settle()
    assert (await alice.agent.proposal(sent.ref)).state == "EXPIRED"
    assert (await bob.agent.proposal(bob.arrivals()[0])).state == "REJECTED"


async def test_a_slot_taken_since_is_answered_with_a_schedule_conflict(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    carol = await world.add("carol")
    await world.befriend(alice, carol)
    (first,) = await alice.agent.propose(["bob"], draft("First"))
    (second,) = await alice.agent.propose(["carol"], draft("Second"))
    await world.settle()
    await bob.agent.accept(bob.arrivals()[0])
    await world.settle()
    await carol.agent.accept(carol.arrivals()[0])
    await world.settle()
    assert (await alice.agent.proposal(first.ref)).state == "ACCEPTED"
    assert (await alice.agent.proposal(second.ref)).reason == "SCHEDULE_CONFLICT"
    assert (await carol.agent.proposal(carol.arrivals()[0])).state == "REJECTED"


async def test_a_meeting_of_three_is_one_proposal_to_each(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    carol = await world.add("carol")
    await world.befriend(alice, carol)
    sent = await alice.agent.propose(["bob", "carol"], draft())
    await world.settle()
    assert len({view.proposal_id for view in sent}) == 1
    assert (await bob.agent.proposal(bob.arrivals()[0])).participants == ("alice", "bob", "carol")
    for peer in (bob, carol):
        await peer.agent.accept(peer.arrivals()[0])
    await world.settle()
    assert {view.state for view in await alice.agent.proposals()} == {"ACCEPTED"}


async def test_what_a_person_gets_wrong_is_said_and_sends_nothing(friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    before = len(alice.world.relay.seen)
    for fields in (
        {"end": "2026-06-02T13:00:00+02:00"},
        {"start": "2026-06-02T14:00:00"},
        {"time_zone": "Mars/Olympus"},
        {"start": "2020-06-02T14:00:00+02:00"},
        {"expires_at": 5},
    ):
        with pytest.raises(BadInput):
            await alice.agent.propose(["bob"], draft(**fields))
    with pytest.raises(BadInput):
        await alice.agent.propose(["bob"], draft(title=""))
    with pytest.raises(BadInput):
        await alice.agent.propose(["bob", "bob"], draft())
    with pytest.raises(BadInput):
        await alice.agent.propose([], draft())
    with pytest.raises(NotFound):
        await alice.agent.propose(["nobody"], draft())
    with pytest.raises(NotFound):
        await alice.agent.proposal("prop_unknown")
    assert len(alice.world.relay.seen) == before


async def test_no_plaintext_crosses_the_relay_or_lies_in_the_database_file(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await alice.agent.propose(["bob"], draft("Zebra crossing"))
    await world.settle()
    await world.close()
    assert not any(b"Zebra" in raw for raw in world.relay.wire)
    for peer in (alice, bob):
        assert b"Zebra" not in peer.path.read_bytes()


async def test_every_message_stands_in_the_log_of_both_sides(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    row = next(row for row in await alice.log() if row.message_type == "PROPOSAL")
    theirs = next(row for row in await bob.log() if row.message_type == "PROPOSAL")
    assert (row.direction, row.state, row.encrypted) == ("out", "DELIVERED", True)
    assert (theirs.direction, theirs.state, theirs.verified) == ("in", "RECEIVED", "good")
    assert row.summary == "You proposed “Coffee” for Tue 2 Jun 2026, 14:00 UTC+02:00 to bob"
    ours, their = await alice.agent.log.detail(row.seq), await bob.agent.log.detail(theirs.seq)
    assert ours is not None and their is not None
    assert ours.wire == their.wire and ours.plaintext == their.plaintext
    assert ours.content is not None and ours.content["proposalId"] == sent.proposal_id
    assert [step.state for step in ours.delivery] == ["IN_FLIGHT", "ROUTED", "DELIVERED"]
