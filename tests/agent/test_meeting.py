"""The main job as transcripts: handshake, query, proposal, answer."""

from __future__ import annotations

from tests.agent.conftest import WEEK, Peer, World, draft


async def test_a_contact_link_leads_to_a_session_on_both_sides(world: World, alice: Peer, bob: Peer) -> None:
    link = await bob.agent.create_contact_link()
    contact = await alice.agent.add_contact(link.link, name="Bob")
    assert (contact.agent_id, contact.state, contact.name) == ("bob", "VERIFIED", "Bob")
    await world.settle()
    assert (await alice.agent.wait_contact("bob", 5)) is not None
    assert (await bob.agent.wait_contact("alice", 5)) is not None
    assert [c.state for c in await bob.agent.contacts()] == ["APPROVED"]


async def test_a_query_is_answered_from_working_hours(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
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
