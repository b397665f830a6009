"""One agentId, several identities, as transcripts: what was agreed with one key is nothing of another's."""

from __future__ import annotations

import pytest

from agentnet_desktop.agent.errors import NotAllowed, NotFound
from agentnet_desktop.agent.events import QueryAnswered
from agentnet_desktop.protocol.contact import ContactState
from agentnet_desktop.store import contacts, inbox, queries
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.queries import PeerQuery
from relay.wire.envelope import MessageType
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.agent.test_receiving import forge, query
from tests.agent.test_trust import ask_without_link, change_key, states


async def successor(world: World, bob: Peer, alice: Peer) -> Peer:
    """Bob removes alice; somebody else comes under her agentId, with a key of their own and a fresh link."""
    await bob.agent.remove_contact("alice")
    other = await change_key(world, alice)
    link = await bob.agent.create_contact_link()
    await other.agent.add_contact(link.link)
    await world.settle()
    assert (await states(bob))["alice"] == "APPROVED"
    return other


async def accepted(world: World, bob: Peer, alice: Peer) -> Peer:
    """Alice comes back with another key, which bob's person accepts as hers."""
    other = await change_key(world, alice)
    await ask_without_link(world, other, bob)
    await bob.agent.accept_key("alice")
    await world.settle()
    return other


def answer_to(proposal_id: str) -> dict[str, object]:
    """The content of a CONFIRMATION of revision 1."""
    return {"proposalId": proposal_id, "status": "ACCEPTED"}


def proposal(proposal_id: str) -> dict[str, object]:
    """The content of a PROPOSAL."""
    when = {"startTime": "2026-06-03T12:00:00Z", "endTime": "2026-06-03T13:00:00Z"}
    return {"proposalId": proposal_id, "details": {"title": "Mine", "status": "PENDING"} | when}


async def test_an_answer_that_one_identity_got_is_not_repeated_to_another(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.inject(await forge(alice, "bob", query(1), seq=1))
    await world.settle()
    other = await successor(world, bob, alice)
    await bob.agent.set_policy("alice", "AVAILABILITY", "deny")
    world.relay.inject(await forge(other, "bob", query(1), seq=1, message_id="msg_other"))
    await world.settle()
    answers = [
        row.summary for row in await bob.log() if (row.direction, row.message_type) == ("out", "RESPONSE")
    ]
    assert len(answers) == 2 and answers[-1].startswith("You declined")


async def test_a_proposal_to_one_identity_cannot_be_accepted_by_another(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (view,) = await bob.agent.propose(["alice"], draft())
    await world.settle()
    other = await successor(world, bob, alice)
    closed = await bob.agent.proposal(view.ref)
    assert (closed.state, closed.note) == ("REJECTED", "The contact was removed.")
    confirmation = answer_to(view.proposal_id)
    world.relay.inject(await forge(other, "bob", confirmation, kind=MessageType.CONFIRMATION, seq=1))
    await world.settle()
    assert (await bob.agent.proposal(view.ref)).state == "REJECTED"
    assert [row.summary for row in await other.log() if row.message_type == "ERROR"] != []


async def test_a_meeting_with_one_identity_cannot_be_changed_by_or_told_to_another(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (view,) = await bob.agent.propose(["alice"], draft())
    await world.settle()
    await alice.agent.accept(alice.arrivals()[0])
    await world.settle()
    other = await successor(world, bob, alice)
    rejection: dict[str, object] = {"proposalId": view.proposal_id, "reason": "OTHER"}
    world.relay.inject(await forge(other, "bob", rejection, kind=MessageType.REJECTION, seq=1))
    await world.settle()
    assert (await bob.agent.proposal(view.ref)).state == "ACCEPTED"
    with pytest.raises(NotAllowed, match="who was alice before"):
        await bob.agent.counter(view.ref, start="2026-06-04T12:00:00Z", end="2026-06-04T13:00:00Z")
    before = len(world.relay.sent("bob"))
    assert (await bob.agent.cancel(view.ref, "No more.")).state == "REJECTED"
    await world.settle()
    assert len(world.relay.sent("bob")) == before


async def test_an_id_that_another_identity_uses_again_is_a_new_proposal_and_the_old_one_stands(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.inject(await forge(alice, "bob", proposal("prop_1"), kind=MessageType.PROPOSAL, seq=1))
    await world.settle()
    await bob.agent.accept("alice/prop_1/1")
    await world.settle()
    other = await successor(world, bob, alice)
    world.relay.inject(await forge(other, "bob", proposal("prop_1"), kind=MessageType.PROPOSAL, seq=1))
    await world.settle()
    assert (await bob.agent.proposal("alice/prop_1/1")).state == "PENDING"
    (old,) = [view for view in await bob.agent.proposals() if view.state == "ACCEPTED"]
    assert old.proposal_id.startswith("prop_1~")
    with pytest.raises(NotAllowed, match="waits for no answer"):
        await bob.agent.accept(old.ref)
    assert (await bob.agent.accept("alice/prop_1/1")).state == "ACCEPTED"


async def test_a_query_to_one_identity_is_not_answered_by_another(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await alice.agent.set_policy("bob", "AVAILABILITY", "ask")
    open_one = await bob.agent.query("alice", "AVAILABILITY", WEEK)
    await world.settle()
    other = await successor(world, bob, alice)
    told = [event.answer for event in bob.events if isinstance(event, QueryAnswered)]
    assert [(one.request_id, (one.error or {})["message"]) for one in told] == [
        (open_one, "The contact was removed.")
    ]
    answer: dict[str, object] = {
        "requestId": open_one,
        "data": {"availableTimes": [], "slots": [], "timeZone": "UTC"},
        "error": None,
    }
    world.relay.inject(await forge(other, "bob", answer, kind=MessageType.RESPONSE, seq=1))
    await world.settle()
    stored = await bob.db.read(lambda session: queries.get(session, open_one))
    assert stored is not None and (stored.state, stored.data) == ("FAILED", None)


async def test_links_that_a_removed_contact_has_used_approve_none_of_its_keys(
    world: World, alice: Peer, bob: Peer
) -> None:
    link = await bob.agent.create_contact_link()
    await alice.agent.add_contact(link.link)
    await world.settle()
    newer = await accepted(world, bob, alice)
    await bob.agent.remove_contact("alice")
    await newer.stop()
    world.peers.remove(newer)
    newer.path.rename(newer.path.with_name("newer.db"))
    old = await world.add("alice")  # whoever has her first key
    await old.agent.add_contact(link.link)
    await world.settle()
    assert await states(bob) == {"alice": "PENDING"}


async def test_a_key_that_was_accepted_goes_on_with_proposals_and_queries_of_ours(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (view,) = await bob.agent.propose(["alice"], draft())
    await world.settle()
    other = await accepted(world, bob, alice)
    assert (await bob.agent.proposal(view.ref)).state == "PENDING"
    confirmation = answer_to(view.proposal_id)
    world.relay.inject(await forge(other, "bob", confirmation, kind=MessageType.CONFIRMATION, seq=1))
    await world.settle()
    assert (await bob.agent.proposal(view.ref)).state == "ACCEPTED"


async def test_what_was_proposed_before_a_contacts_key_was_known_is_proposed_to_the_key_that_answers(
    world: World, alice: Peer, bob: Peer
) -> None:
    for peer, other in ((alice, "bob"), (bob, "alice")):
        unknown = Contact(other, ContactState.APPROVED, world.clock.now)
        await peer.db.write(lambda session, unknown=unknown: contacts.add(session, unknown))  # type: ignore[misc]
        await peer.crash()
        await peer.start()
    (view,) = await bob.agent.propose(["alice"], draft())
    await world.settle()
    await alice.agent.accept(alice.arrivals()[0])
    await world.settle()
    assert (await bob.agent.proposal(view.ref)).state == "ACCEPTED"


async def test_what_the_old_key_asked_waits_no_more_once_another_is_accepted(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.agent.set_policy("alice", "AVAILABILITY", "ask")
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    (request,) = await bob.agent.requests()
    await accepted(world, bob, alice)
    assert await bob.agent.requests() == []
    with pytest.raises(NotFound):
        await bob.agent.allow_request(request.request_id)


@pytest.mark.parametrize(
    "answer", [{}, {"requestId": "req_1", "data": {}, "error": None}], ids=["unhandled", "ready"]
)
async def test_a_question_of_another_key_than_the_contacts_gets_no_answer(
    world: World, friends: tuple[Peer, Peer], answer: dict[str, object]
) -> None:
    _, bob = friends
    stray = PeerQuery(
        peer="alice",
        peer_key=b"o" * 32,
        request_id="req_1",
        conversation_id="conv_1",
        message_id="msg_1",
        query_type="CUSTOM",
        parameters={"name": "x"},
        received_at=world.clock.now,
        answer=answer,
    )
    await bob.db.write(lambda session: queries.add_peer_query(session, stray))
    await bob.crash()
    await bob.start()
    await world.settle()
    with pytest.raises(NotFound):
        await bob.agent.allow_request("req_1")
    assert await bob.agent.outbox() == []
    assert world.relay.sent("bob", MessageType.ENCRYPTED) == []


@pytest.mark.parametrize("how", ["removed", "blocked", "succeeded"])
async def test_what_waits_for_a_gap_is_handed_on_only_while_its_sender_is_a_contact(
    world: World, friends: tuple[Peer, Peer], how: str
) -> None:
    alice, bob = friends
    world.relay.inject(await forge(alice, "bob", proposal("prop_1"), kind=MessageType.PROPOSAL, seq=2))
    await world.settle()
    if how == "removed":
        await bob.agent.remove_contact("alice")
    elif how == "blocked":
        await bob.agent.block_contact("alice")
    else:
        await accepted(world, bob, alice)
    await world.advance(31_000)
    assert bob.arrivals() == []
    assert await bob.db.read(inbox.next_deadline) is None
    assert bob.agent._ground.deadlines.when("gaps") is None
