"""Trust as transcripts: approval, contact links, changed keys, blocking, safety numbers."""

from __future__ import annotations

import asyncio

import pytest

from agentnet_desktop.agent import policy
from agentnet_desktop.agent.errors import BadInput, NotAllowed, NotFound
from agentnet_desktop.agent.events import PermissionAsked
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS
from agentnet_desktop.protocol.contact_link import parse_contact_link
from agentnet_desktop.store import settings
from relay.wire.envelope import MessageType
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import RELAY_URL, Verdict, only


async def states(peer: Peer) -> dict[str, str]:
    """Returns the contacts' states by id."""
    return {view.agent_id: view.state for view in await peer.agent.contacts()}


async def ask_without_link(world: World, alice: Peer, bob: Peer) -> None:
    """Alice asks for contact by a link of Bob's that has expired."""
    link = await bob.agent.create_contact_link(expires_in_ms=1)
    world.clock.now += 2
    await alice.agent.add_contact(link.link)
    await world.settle()


async def test_an_agent_that_is_not_approved_gets_no_answer(world: World, alice: Peer, bob: Peer) -> None:
    await ask_without_link(world, alice, bob)
    assert await states(bob) == {"alice": "PENDING"}
    assert [envelope.message_type for envelope in world.relay.sent("bob")] == [
        MessageType.PRESENCE for _ in world.relay.sent("bob")
    ]
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    assert await alice.agent.wait_query(request, 0) is None
    assert len(await alice.agent.outbox()) == 1


async def test_approval_answers_the_handshake_that_waited(world: World, alice: Peer, bob: Peer) -> None:
    await ask_without_link(world, alice, bob)
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    view = await bob.agent.approve_contact("alice")
    assert (view.state, view.fingerprint != "") == ("APPROVED", True)
    await world.settle()
    assert await alice.agent.wait_query(request, 5) is not None
    assert await states(bob) == {"alice": "APPROVED"}


async def test_of_an_unapproved_agent_only_the_newest_handshake_is_kept(
    world: World, alice: Peer, bob: Peer
) -> None:
    await ask_without_link(world, alice, bob)
    await alice.agent.remove_contact("bob")
    await ask_without_link(world, alice, bob)
    await bob.agent.approve_contact("alice")
    await world.settle()
    assert await alice.agent.wait_contact("bob", 5) is not None
    assert len([e for e in world.relay.sent("bob") if e.message_type is MessageType.HANDSHAKE]) == 1


async def test_a_link_approves_only_the_first_key_that_uses_it(world: World, alice: Peer, bob: Peer) -> None:
    carol = await world.add("carol")
    link = await bob.agent.create_contact_link()
    await alice.agent.add_contact(link.link)
    await world.settle()
    await carol.agent.add_contact(link.link)
    await world.settle()
    assert await states(bob) == {"alice": "APPROVED", "carol": "PENDING"}
    (shown,) = await bob.agent.contact_links()
    assert shown.used_by == "alice"


@pytest.mark.parametrize("how", ["approved", "blocked"])
async def test_a_link_that_a_known_agent_has_used_approves_nobody_else(
    world: World, alice: Peer, bob: Peer, how: str
) -> None:
    carol = await world.add("carol")
    await ask_without_link(world, alice, bob)
    await bob.agent.approve_contact("alice")
    await world.settle()
    if how == "blocked":
        await bob.agent.block_contact("alice")
    link = await bob.agent.create_contact_link()
    await alice.agent.add_contact(link.link)
    await world.settle()
    assert [shown.used_by for shown in await bob.agent.contact_links() if shown.token == link.token] == [
        "alice"
    ]
    await carol.agent.add_contact(link.link)
    await world.settle()
    assert (await states(bob))["carol"] == "PENDING"


async def test_two_links_used_at_the_same_time_are_both_used_up(world: World, alice: Peer, bob: Peer) -> None:
    carol = await world.add("carol")
    of_alice = await alice.agent.create_contact_link()
    of_bob = await bob.agent.create_contact_link()
    await asyncio.gather(bob.agent.add_contact(of_alice.link), alice.agent.add_contact(of_bob.link))
    await world.settle()
    for peer, link in ((alice, of_alice), (bob, of_bob)):
        await carol.agent.add_contact(link.link)
        await world.settle()
        assert (await states(peer))["carol"] == "PENDING"


async def test_a_withdrawn_link_can_only_ask(world: World, alice: Peer, bob: Peer) -> None:
    link = await bob.agent.create_contact_link()
    await bob.agent.withdraw_contact_link(link.token)
    await alice.agent.add_contact(link.link)
    await world.settle()
    assert await states(bob) == {"alice": "PENDING"}
    assert [view.withdrawn for view in await bob.agent.contact_links()] == [True]
    with pytest.raises(NotFound):
        await bob.agent.withdraw_contact_link("unknown")


async def test_a_fresh_link_approves_though_one_that_only_asks_is_under_way(
    world: World, alice: Peer, bob: Peer
) -> None:
    withdrawn = await bob.agent.create_contact_link()
    await bob.agent.withdraw_contact_link(withdrawn.token)
    await alice.agent.add_contact(withdrawn.link)
    await world.settle()
    fresh = await bob.agent.create_contact_link()
    for _ in range(2):  # opened once more by mistake, it asks no more
        await alice.agent.add_contact(fresh.link)
    await world.settle()
    assert await states(bob) == {"alice": "APPROVED"}
    assert await alice.agent.wait_contact("bob", 5) is not None
    asked = [e for e in world.relay.sent("alice") if e.message_type is MessageType.HANDSHAKE]
    assert len({envelope.message_id for envelope in asked}) == 2


async def test_a_link_names_agent_relay_and_key(alice: Peer) -> None:
    view = await alice.agent.create_contact_link()
    link = parse_contact_link(view.link)
    assert (link.agent_id, link.key) == ("alice", alice.identity.public)
    assert RELAY_URL.startswith(link.relay)
    assert link.expires == alice.world.clock.now + 7 * DAY_MS
    with pytest.raises(BadInput):
        await alice.agent.create_contact_link(expires_in_ms=367 * DAY_MS)


async def test_links_that_cannot_be_used_say_why(world: World, alice: Peer, bob: Peer) -> None:
    link = (await bob.agent.create_contact_link()).link
    for text in ("hello", link.replace("contact", "join"), (await alice.agent.create_contact_link()).link):
        with pytest.raises(BadInput):
            await alice.agent.add_contact(text)
    with pytest.raises(BadInput, match="both must use the same"):
        await alice.agent.add_contact(link.replace("8765", "9999"))
    assert await alice.agent.contacts() == []


async def change_key(world: World, peer: Peer, machine: str = "new") -> Peer:
    """Somebody loses their profile and comes back with another identity key."""
    await peer.stop()
    world.peers.remove(peer)
    peer.path = peer.path.rename(peer.path.with_name(f"{peer.agent_id}-before-{machine}.db"))
    return await world.add(peer.agent_id, seed=f"{peer.agent_id}'s {machine} machine")


async def test_a_changed_key_stops_sending_until_the_person_decides(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    imposter = await change_key(world, alice)
    await ask_without_link(world, imposter, bob)
    assert await states(bob) == {"alice": "KEY_CHANGED"}
    assert bob.alarms() == ["KEY_CHANGED"]
    (view,) = await bob.agent.contacts()
    assert view.candidate_fingerprint not in ("", view.fingerprint)
    with pytest.raises(NotAllowed):
        await bob.agent.query("alice", "AVAILABILITY", WEEK)
    assert not any(e.message_type is MessageType.HANDSHAKE for e in world.relay.sent("bob")[6:])


async def test_refusing_a_changed_key_restores_the_contact_and_remembers_the_key(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    imposter = await change_key(world, alice)
    await ask_without_link(world, imposter, bob)
    await bob.agent.refuse_key("alice")
    assert await states(bob) == {"alice": "APPROVED"}
    await imposter.agent.remove_contact("bob")
    await ask_without_link(world, imposter, bob)
    assert await states(bob) == {"alice": "APPROVED"}
    assert bob.alarms() == ["KEY_CHANGED"]


async def test_a_decision_is_about_the_key_that_was_seen_and_no_other(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    second = await change_key(world, alice)
    await ask_without_link(world, second, bob)
    (seen,) = await bob.agent.contacts()
    third = await change_key(world, second, "third")
    await ask_without_link(world, third, bob)
    for decide in (bob.agent.accept_key, bob.agent.refuse_key):
        with pytest.raises(NotAllowed, match="since you looked"):
            await decide("alice", seen=seen.candidate_fingerprint)
    assert await states(bob) == {"alice": "KEY_CHANGED"}
    (now,) = await bob.agent.contacts()
    assert now.candidate_fingerprint != seen.candidate_fingerprint
    view = await bob.agent.accept_key("alice", seen=now.candidate_fingerprint)
    assert view.fingerprint == now.candidate_fingerprint


async def test_an_approval_is_of_the_key_that_was_seen(world: World, alice: Peer, bob: Peer) -> None:
    await ask_without_link(world, alice, bob)
    (asks,) = await bob.agent.contacts()
    shown = asks.fingerprint or asks.candidate_fingerprint
    with pytest.raises(NotAllowed, match="since you looked"):
        await bob.agent.approve_contact("alice", seen="0000")
    assert (await bob.agent.approve_contact("alice", seen=shown)).fingerprint == shown


async def test_accepting_a_changed_key_holds_what_waited_and_starts_anew(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.cut("alice")
    await world.settle()
    await bob.agent.propose(["alice"], draft("Old"))
    new = await change_key(world, alice)
    await ask_without_link(world, new, bob)
    view = await bob.agent.accept_key("alice")
    assert (view.state, view.candidate_fingerprint) == ("APPROVED", "")
    await world.settle()
    assert new.arrivals() == []
    (held,) = await bob.agent.outbox()
    assert held.reason == "Held because the contact's key changed."
    await world.advance(5_000)
    request = await bob.agent.query("alice", "AVAILABILITY", WEEK)
    await world.settle()
    assert await bob.agent.wait_query(request, 5) is not None
    await bob.agent.retry_message(held.message_id)
    await world.settle()
    assert len(new.arrivals()) == 1


async def test_a_link_with_another_key_than_the_pinned_one_changes_nothing(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    new = await change_key(world, alice)
    link = await new.agent.create_contact_link()
    with pytest.raises(NotAllowed, match="another key"):
        await bob.agent.add_contact(link.link)
    assert await states(bob) == {"alice": "APPROVED"}


async def test_a_blocked_agent_is_neither_answered_nor_shown(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.agent.block_contact("alice")
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    await alice.agent.rotate_keys()
    await world.advance(HOUR_MS)
    assert bob.arrivals() == []
    assert await states(bob) == {"alice": "BLOCKED"}
    with pytest.raises(NotAllowed):
        await bob.agent.query("alice", "AVAILABILITY", WEEK)


async def test_a_removed_contact_is_forgotten_but_for_the_log(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    _, bob = friends
    before = len(await bob.log())
    await bob.agent.remove_contact("alice")
    assert await bob.agent.contacts() == []
    assert len(await bob.log()) >= before
    with pytest.raises(NotFound):
        await bob.agent.safety_number("alice")


async def test_a_removed_contact_leaves_no_sharing_policy_behind(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.agent.set_policy("alice", "AVAILABILITY", "deny")
    await bob.agent.set_policy("*", "LOCATION_PREFERENCE", "deny")
    await bob.agent.remove_contact("alice")
    await world.befriend(alice, bob)
    kept = await bob.db.read(lambda session: settings.get(session, policy.POLICY))
    assert kept == {"*": {"LOCATION_PREFERENCE": "deny"}}
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    answer = await alice.agent.wait_query(request, 0)
    assert answer is not None and answer.error is None


async def test_a_removed_contact_can_only_ask_again_though_it_still_holds_a_link(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.agent.remove_contact("alice")
    assert [link.withdrawn for link in await bob.agent.contact_links()] == [True]
    await alice.agent.rotate_keys("bob")
    await world.settle()
    assert await states(bob) == {"alice": "PENDING"}


@pytest.mark.parametrize("command", ["block_contact", "remove_contact"])
async def test_what_a_blocked_or_removed_agent_asked_waits_no_more_and_gets_no_answer(
    world: World, friends: tuple[Peer, Peer], command: str
) -> None:
    alice, bob = friends
    await bob.agent.set_policy("alice", "AVAILABILITY", "ask")
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    assert len(await bob.agent.requests()) == 1
    sent = len(world.relay.sent("bob", MessageType.ENCRYPTED))
    await getattr(bob.agent, command)("alice")
    await world.settle()
    assert await bob.agent.requests() == []
    assert [event.closed for event in bob.events if isinstance(event, PermissionAsked)] == [False, True]
    assert len(world.relay.sent("bob", MessageType.ENCRYPTED)) == sent


async def test_a_blocked_agent_gets_nothing_whatever_it_sends(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    before = list(world.relay.seen)
    await bob.agent.block_contact("alice")
    await world.settle()
    said = len(world.relay.seen)
    for envelope in before:
        if envelope.sender_id == "alice" and envelope.recipient_id == "bob":
            world.relay.inject(envelope)
    await alice.agent.rotate_keys()
    await world.advance(2 * HOUR_MS)
    to_alice = [e for e in world.relay.seen[said:] if e.sender_id == "bob" and e.recipient_id == "alice"]
    assert to_alice == []


async def test_in_key_changed_nothing_but_receipts_goes_out_whatever_comes(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="ACK"))
    await bob.agent.rotate_keys()  # alice's response waits to be confirmed
    await world.settle()
    (response,) = [e for e in world.relay.sent("alice", MessageType.HANDSHAKE) if "peerHash" in e.content]
    imposter = await change_key(world, alice)
    await ask_without_link(world, imposter, bob)
    assert await states(bob) == {"alice": "KEY_CHANGED"}
    said = len(world.relay.seen)
    world.relay.inject(response)
    await bob.agent.rotate_keys()
    await world.advance(2 * HOUR_MS)
    assert [e for e in world.relay.seen[said:] if e.sender_id == "bob" and e.recipient_id == "alice"] == []


async def test_both_sides_see_the_same_safety_number(friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    number = await alice.agent.safety_number("bob")
    assert number == await bob.agent.safety_number("alice")
    assert len(number) == 60
    with pytest.raises(BadInput):
        await bob.agent.verify_contact("alice", "0" * 60)
    assert await states(bob) == {"alice": "APPROVED"}
    view = await bob.agent.verify_contact("alice", f"{number[:30]} {number[30:]}")
    assert view.state == "VERIFIED"


async def test_presence_of_contacts_is_told(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    assert [view.online for view in await alice.agent.contacts()] == [True]
    world.relay.cut("bob")
    await world.settle()
    assert [view.online for view in await alice.agent.contacts()] == [False]
    world.relay.cut("alice")
    await world.settle()
    assert [view.online for view in await alice.agent.contacts()] == [None]


async def test_commands_about_nobody_say_so(alice: Peer) -> None:
    for command in (
        alice.agent.approve_contact,
        alice.agent.block_contact,
        alice.agent.remove_contact,
        alice.agent.accept_key,
        alice.agent.refuse_key,
        alice.agent.verify_contact,
        alice.agent.safety_number,
    ):
        with pytest.raises(NotFound):
            await command("nobody")


async def test_a_key_that_did_not_change_can_be_neither_accepted_nor_refused(
    friends: tuple[Peer, Peer],
) -> None:
    _, bob = friends
    for command in (bob.agent.accept_key, bob.agent.refuse_key):
        with pytest.raises(NotAllowed):
            await command("alice")
