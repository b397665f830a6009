"""Handshakes as transcripts: crossing, repetition, loss, rotation, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.timing import DAY_MS, HOUR_MS, MINUTE_MS, Timing
from agentnet_desktop.crypto.handshake import (
    build_initiation,
    build_response,
    check_initiation,
    check_response,
)
from agentnet_desktop.crypto.keys import EphemeralKey, IdentityKey
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import sessions
from agentnet_desktop.store.sessions import StoredSession
from relay.wire.codec import Decoded
from relay.wire.envelope import Envelope, MessageType
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import Verdict, only, tampered


def handshakes(world: World, sender: str) -> list[Envelope]:
    """Returns the handshakes that one agent sent, in order."""
    return world.relay.sent(sender, MessageType.HANDSHAKE)


async def stored(peer: Peer, other: str, *states: SessionState) -> list[StoredSession]:
    """Returns the sessions with an agent, newest first."""
    return await peer.db.read(lambda session: sessions.of_peer(session, other, states))


async def works(world: World, one: Peer, other: Peer) -> bool:
    """Tells whether a query is answered."""
    request = await one.agent.query(other.agent_id, "AVAILABILITY", WEEK)
    await world.settle()
    return await one.agent.wait_query(request, 0) is not None


async def both_add(alice: Peer, bob: Peer) -> None:
    """Both add each other at the same moment."""
    links = await alice.agent.create_contact_link(), await bob.agent.create_contact_link()
    await asyncio.gather(bob.agent.add_contact(links[0].link), alice.agent.add_contact(links[1].link))


async def both_rotate(alice: Peer, bob: Peer) -> None:
    """Both start a handshake in their conversation at the same moment."""
    await asyncio.gather(alice.agent.rotate_keys(), bob.agent.rotate_keys())


async def test_when_both_start_at_once_one_session_comes_about(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (before,) = await stored(alice, "bob", SessionState.ACTIVE)
    await both_rotate(alice, bob)
    await world.settle()
    ours = await stored(alice, "bob", SessionState.ACTIVE)
    theirs = await stored(bob, "alice", SessionState.ACTIVE)
    assert [s.session_id for s in ours] == [s.session_id for s in theirs] != [before.session_id]
    assert [s.role for s in ours] == ["INITIATOR"]  # alice sorts before bob
    assert await stored(bob, "alice", SessionState.PENDING) == []
    assert await works(world, alice, bob) and await works(world, bob, alice)


async def test_handshakes_in_two_conversations_do_not_cross_and_are_both_answered(
    world: World, alice: Peer, bob: Peer
) -> None:
    await both_add(alice, bob)
    await world.settle()
    for peer, other in ((alice, "bob"), (bob, "alice")):
        live = await stored(peer, other, SessionState.ACTIVE)
        assert sorted(s.role for s in live) == ["INITIATOR", "RESPONDER"]
        assert await stored(peer, other, SessionState.PENDING, SessionState.UNCONFIRMED) == []
    assert await works(world, alice, bob) and await works(world, bob, alice)


@pytest.mark.parametrize(("desktop", "stranger"), [("alice", "bob"), ("bob", "alice")])
async def test_a_client_written_from_the_document_never_waits_for_a_handshake_that_crossed(
    world: World, desktop: str, stranger: str
) -> None:
    mine, theirs = await world.add(desktop), await world.add(stranger)
    link = await theirs.agent.create_contact_link()
    client = world.relay.clients[stranger]
    theirs.running = False  # from now on its connection is the other client's
    got: list[Envelope] = []
    client.on_frame = lambda elements, _: got.extend(e.envelope for e in elements if isinstance(e, Decoded))
    client.on_state = lambda _: None
    await mine.agent.add_contact(link.link)
    begun = build_initiation(
        theirs.identity,
        EphemeralKey.from_seed(b"g" * 32),
        agent_id=stranger,
        peer_id=desktop,
        conversation_id="conv_of_the_stranger",
        message_id="msg_begun",
        session_id="sess_begun",
        timestamp=world.clock.now,
    )
    client.send([begun])
    await world.settle()
    (asked,) = [e for e in got if e.message_type is MessageType.HANDSHAKE and e.requires_response]
    response = build_response(
        theirs.identity,
        EphemeralKey.from_seed(b"h" * 32),
        check_initiation(asked, own_id=stranger),
        message_id="msg_answer",
        timestamp=world.clock.now,
    )
    client.send([response])
    await world.settle()
    (answer,) = [e for e in got if e.message_type is MessageType.HANDSHAKE and not e.requires_response]
    check_response(answer, initiation=begun, own_id=stranger)
    (confirmed,) = world.relay.sent(desktop, MessageType.ACK)
    assert (confirmed.content["status"], confirmed.content["messageId"]) == ("CONFIRMED", "msg_answer")


async def test_messages_behind_a_handshake_that_lost_are_delivered(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await both_rotate(alice, bob)
    await bob.agent.propose(["alice"], draft())
    await world.settle()
    assert len(alice.arrivals()) == 1
    assert await bob.agent.outbox() == []


async def test_an_identical_handshake_gets_the_identical_response(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.relay.faults.append(only(Verdict.DUPLICATE, sender="alice", message_type="HANDSHAKE"))
    await world.befriend(alice, bob)
    first, second = handshakes(world, "bob")
    assert first == second
    assert len(await stored(bob, "alice")) == 1
    assert await works(world, alice, bob)


async def test_a_session_id_used_again_with_other_bytes_is_refused(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (begun,) = handshakes(world, "alice")
    again = build_initiation(
        alice.identity,
        EphemeralKey.from_seed(bytes(range(32))),
        agent_id="alice",
        peer_id="bob",
        conversation_id="conv_other",
        message_id="msg_other",
        session_id=begun.content["sessionId"],
        timestamp=world.clock.now,
    )
    world.relay.inject(again)
    await world.settle()
    assert bob.alarms() == ["SESSION_REUSED"]
    assert len(handshakes(world, "bob")) == 1


async def test_a_session_id_that_another_key_has_used_is_still_the_pinned_keys(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.HOLD, sender="alice", message_type="HANDSHAKE"))
    await alice.agent.rotate_keys()
    await world.settle()
    (genuine,) = world.relay.held
    squatter = build_initiation(
        IdentityKey.from_seed(b"e" * 32),
        EphemeralKey.from_seed(b"f" * 32),
        agent_id="alice",
        peer_id="bob",
        conversation_id=genuine.conversation_id,
        message_id="msg_squatter",
        session_id=genuine.content["sessionId"],
        timestamp=world.clock.now,
    )
    world.relay.inject(squatter)
    await world.settle()
    await bob.agent.refuse_key("alice")
    world.relay.faults.clear()
    world.relay.release()
    await world.settle()
    assert bob.alarms() == ["KEY_CHANGED"]
    assert len(handshakes(world, "bob")) == 2
    (now,) = await stored(bob, "alice", SessionState.ACTIVE)
    assert now.session_id == genuine.content["sessionId"]
    assert await works(world, alice, bob)


async def test_a_handshake_with_a_wrong_signature_is_refused_and_changes_nothing(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    _, bob = friends
    (begun,) = handshakes(world, "alice")
    before = await bob.agent.contacts()
    world.relay.inject(tampered(begun, sessionId="sess_new"))
    await world.settle()
    assert bob.alarms() == ["BAD_SIGNATURE"]
    assert await bob.agent.contacts() == before
    row = (await bob.log())[-1]
    assert (row.state, row.verified) == ("REFUSED", "bad")


async def test_a_response_to_nothing_pending_is_logged_and_ignored(
    world: World, alice: Peer, bob: Peer
) -> None:
    carol = await world.add("carol")
    await world.befriend(alice, bob)
    (response,) = handshakes(world, "bob")
    await alice.agent.remove_contact("bob")
    world.relay.inject(response)
    await world.settle()
    assert alice.alarms() == []
    assert (await alice.log())[-1].state == "IGNORED"
    assert carol.alarms() == []


async def test_a_lost_confirmation_is_repeated_with_the_response(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="ACK"))
    await world.befriend(alice, bob)
    assert [s.state for s in await stored(bob, "alice")] == [SessionState.UNCONFIRMED]
    await world.advance(5_000)
    assert [s.state for s in await stored(bob, "alice")] == [SessionState.ACTIVE]
    assert len(handshakes(world, "bob")) == 2


async def test_a_message_that_opens_confirms_the_session(world: World, alice: Peer, bob: Peer) -> None:
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="ACK"))
    await world.befriend(alice, bob)
    assert await works(world, alice, bob)
    assert [s.state for s in await stored(bob, "alice")] == [SessionState.ACTIVE]


async def test_a_wrong_confirmation_is_refused(world: World, alice: Peer, bob: Peer) -> None:
    def spoil(envelope: Envelope) -> Verdict | Envelope:
        if envelope.content.get("status") == "CONFIRMED":
            return tampered(envelope, tag="A" * 43 + "=")
        return Verdict.PASS

    world.relay.faults.append(spoil)
    await world.befriend(alice, bob)
    assert [s.state for s in await stored(bob, "alice")] == [SessionState.UNCONFIRMED]
    assert bob.alarms() == ["CONFIRMATION_MISMATCH"]


async def test_an_unconfirmed_responder_sends_nothing_under_the_new_session(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="ACK"))
    await world.befriend(alice, bob)
    await bob.agent.query("alice", "AVAILABILITY", WEEK)
    await world.settle()
    assert world.relay.sent("bob", MessageType.ENCRYPTED) == []
    await world.advance(5_000)
    assert len(world.relay.sent("bob", MessageType.ENCRYPTED)) == 1


async def test_a_handshake_waits_until_the_peer_is_found_and_messages_wait_behind_it(
    world: World, alice: Peer, bob: Peer
) -> None:
    link = await bob.agent.create_contact_link()
    world.relay.cut("bob")
    await alice.agent.add_contact(link.link)
    (sent,) = await alice.agent.propose(["bob"], draft())
    await world.settle()
    world.relay.restore("bob")
    await world.advance(5 * MINUTE_MS)
    assert len(bob.arrivals()) == 1
    assert len({e.message_id for e in handshakes(world, "alice")}) == 1
    assert (await alice.agent.proposal(sent.ref)).state == "PENDING"


async def test_a_routed_handshake_that_nobody_answers_is_repeated_unchanged_and_at_most_hourly(
    world: World, alice: Peer, bob: Peer
) -> None:
    link = await bob.agent.create_contact_link(expires_in_ms=1)
    world.clock.now += 2
    await alice.agent.add_contact(link.link)
    await world.settle()
    for _ in range(3):
        world.relay.cut("bob")
        await world.settle()
        world.relay.restore("bob")
        await world.settle()
    assert len(handshakes(world, "alice")) == 1
    await world.advance(3 * HOUR_MS + MINUTE_MS)
    sent = handshakes(world, "alice")
    assert len(sent) == 4 and len({e.message_id for e in sent}) == 1


async def test_a_pending_handshake_is_given_up_after_seven_days(world: World, alice: Peer, bob: Peer) -> None:
    world.timing = Timing(linger=0, handshake_life=2 * HOUR_MS)
    await alice.stop()
    await alice.start()
    link = await bob.agent.create_contact_link(expires_in_ms=1)
    world.clock.now += 2
    await alice.agent.add_contact(link.link)
    await world.advance(3 * HOUR_MS)
    (old,) = await stored(alice, "bob")
    assert (old.state, old.ephemeral) == (SessionState.CLOSED, None)


async def test_the_ephemeral_key_is_gone_once_the_session_stands(friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    assert [s.ephemeral for s in await stored(alice, "bob")] == [None]
    assert [s.ephemeral for s in await stored(bob, "alice")] == [None]


async def test_rotation_replaces_the_keys_and_the_old_ones_are_wiped_after_a_day(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    assert await alice.agent.rotate_keys("bob") == 1
    await world.settle()
    for peer, other in ((alice, "bob"), (bob, "alice")):
        new, old = await stored(peer, other)
        assert (new.state, old.state) == (SessionState.ACTIVE, SessionState.RETIRED)
        assert new.keys != old.keys
        assert new.conversation_id == old.conversation_id
    await world.advance(DAY_MS + 1)
    for peer, other in ((alice, "bob"), (bob, "alice")):
        assert (await stored(peer, other))[1].keys is None
    assert await works(world, alice, bob)


async def test_rotation_comes_by_itself_after_enough_messages(world: World, alice: Peer, bob: Peer) -> None:
    world.timing = Timing(linger=0, rotation_messages=6)
    for peer in (alice, bob):
        await peer.stop()
        await peer.start()
    await world.befriend(alice, bob)
    for _ in range(6):
        assert await works(world, alice, bob)
    assert len(await stored(alice, "bob")) > 1
    assert len(await stored(alice, "bob", SessionState.ACTIVE)) == 1


async def test_what_was_not_delivered_is_sealed_again_under_the_new_session_with_the_same_id(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert bob.arrivals() == []
    await alice.agent.rotate_keys()
    await world.settle()
    assert len(bob.arrivals()) == 1
    first, second = world.relay.sent("alice", MessageType.ENCRYPTED)
    assert first.message_id == second.message_id
    assert first.content["sessionId"] != second.content["sessionId"]
    assert await alice.agent.outbox() == []


async def test_a_resealed_copy_of_a_stored_message_is_acknowledged_and_not_shown_again(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, sender="bob", message_type="ACK"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert len(bob.arrivals()) == 1
    await alice.agent.rotate_keys()
    await world.settle()
    assert len(bob.arrivals()) == 1
    assert await alice.agent.outbox() == []


async def test_a_session_that_is_confirmed_late_leaves_a_newer_one_alone(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.HOLD, sender="alice", message_type="ACK", times=2))
    for _ in range(2):
        await alice.agent.rotate_keys()
        await world.settle()
    assert [s.state for s in await stored(bob, "alice")][:2] == [SessionState.UNCONFIRMED] * 2
    world.relay.release()
    await world.settle()
    (newest,) = await stored(alice, "bob", SessionState.ACTIVE)
    assert [s.session_id for s in await stored(bob, "alice", SessionState.ACTIVE)] == [newest.session_id]
    assert await works(world, bob, alice)
    assert len(handshakes(world, "bob")) + len(handshakes(world, "alice")) == 6


async def test_what_waited_for_a_gap_is_handed_on_when_a_new_session_brings_the_missing_message(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="PROPOSAL"))
    for title in ("One", "Two"):
        await alice.agent.propose(["bob"], draft(title))
    await world.settle()
    assert bob.arrivals() == []
    await alice.agent.rotate_keys()
    await world.settle()
    titles = [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()]
    assert sorted(titles) == ["One", "Two"]
    assert "1 message of alice did not arrive in time" in await bob.summaries()


async def test_a_gap_in_a_replaced_session_is_not_waited_for(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.HOLD, sender="alice", message_type="PROPOSAL", times=2))
    for title in ("One", "Two"):
        await alice.agent.propose(["bob"], draft(title))
    await world.settle()
    world.relay.held.pop(0)
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="PROPOSAL", times=2))
    await alice.agent.rotate_keys()
    await world.settle()
    assert bob.arrivals() == []
    world.relay.release()
    await world.settle()
    assert [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()] == ["Two"]


async def end_conversation(alice: Peer) -> StoredSession:
    """Alice's agent ends her conversation with bob; returns its session as it was."""
    (old,) = await stored(alice, "bob")

    def end(turn: Turn) -> None:
        contact = alice.agent._people.the(turn, "bob")
        alice.agent._conversations.end(turn, contact, old.conversation_id)

    await alice.agent._ground.turn(end)
    await alice.world.settle()
    return old


async def test_the_keys_of_an_ended_conversation_go_although_the_peer_never_hears_of_it(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.stop()
    await end_conversation(alice)
    await world.leap(7 * DAY_MS)
    assert [s.state for s in await stored(alice, "bob")] == [SessionState.RETIRED]
    await world.advance(DAY_MS + HOUR_MS)
    (gone,) = await stored(alice, "bob")
    assert (gone.state, gone.keys) == (SessionState.CLOSED, None)


async def test_an_ended_conversation_is_not_used_again(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    old = await end_conversation(alice)
    for peer, other in ((alice, "bob"), (bob, "alice")):
        assert [s.state for s in await stored(peer, other)] == [SessionState.RETIRED]
    assert await works(world, bob, alice)
    (new,) = await stored(alice, "bob", SessionState.ACTIVE)
    assert new.conversation_id != old.conversation_id


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_a_pending_handshake_survives_a_restart(world: World, alice: Peer, bob: Peer, who: str) -> None:
    link = await bob.agent.create_contact_link()
    world.relay.faults.append(only(Verdict.HOLD, message_type="HANDSHAKE", times=1 if who == "alice" else 2))
    await alice.agent.add_contact(link.link)
    await world.settle()
    peer = alice if who == "alice" else bob
    await peer.stop()
    await peer.start()
    await world.settle()
    world.relay.faults.clear()
    world.relay.release()
    await world.settle()
    assert await works(world, alice, bob)


async def test_a_first_handshake_is_sent_once(world: World, alice: Peer, bob: Peer) -> None:
    await world.befriend(alice, bob)
    assert [len(handshakes(world, name)) for name in ("alice", "bob")] == [1, 1]


async def test_a_handshake_made_without_a_connection_is_put_to_the_relay_once_on_the_next(
    world: World, alice: Peer, bob: Peer
) -> None:
    link = (await bob.agent.create_contact_link()).link
    back = (await alice.agent.create_contact_link()).link
    world.relay.cut("alice")
    await alice.agent.add_contact(link)
    await world.settle()
    world.relay.faults.append(only(Verdict.HOLD, sender="bob", message_type="HANDSHAKE"))
    await bob.agent.add_contact(back)
    await world.settle()
    world.relay.restore("alice")
    await world.settle()
    asked = [e for e in handshakes(world, "alice") if e.metadata["requiresResponse"]]
    assert len(asked) == 1
    assert await works(world, alice, bob)


async def test_a_handshake_is_the_same_however_its_members_are_ordered(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    for sender, peer in (("alice", bob), ("bob", alice)):
        sent = handshakes(world, sender)[0]
        fields = {name: getattr(sent, name) for name in sent.__struct_fields__}
        fields["content"] = dict(reversed(sent.content.items()))
        world.relay.inject(Envelope(**fields))
        await world.settle()
        assert peer.alarms() == []
    first, second = handshakes(world, "bob")
    assert first == second
    assert await works(world, alice, bob)


async def test_an_old_handshake_played_again_does_not_put_an_end_to_one_of_ours(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    (old,) = handshakes(world, "alice")
    world.relay.faults.append(only(Verdict.HOLD, sender="bob", message_type="HANDSHAKE"))
    await bob.agent.rotate_keys()
    await world.settle()
    world.relay.inject(old)
    await world.settle()
    world.relay.faults.clear()
    world.relay.release()
    await world.settle()
    (now,) = await stored(bob, "alice", SessionState.ACTIVE)
    assert (now.role, len(await stored(alice, "bob", SessionState.ACTIVE))) == ("INITIATOR", 1)
    assert handshakes(world, "bob")[0] == handshakes(world, "bob")[-1]  # what was answered once


async def test_a_handshake_that_its_sender_has_dropped_holds_messages_up_only_for_a_while(
    world: World, alice: Peer, bob: Peer
) -> None:
    world.relay.faults.append(only(Verdict.HOLD, message_type="HANDSHAKE", times=2))
    await both_add(alice, bob)
    await bob.agent.propose(["alice"], draft())
    await world.settle()
    await alice.agent.remove_contact("bob")
    world.relay.held = [e for e in world.relay.held if e.sender_id == "alice"]  # bob's own is lost
    world.relay.release()
    await world.settle()
    assert alice.arrivals() == []
    await world.advance(HOUR_MS)
    assert len(alice.arrivals()) == 1


async def test_a_response_spends_no_attempt_while_the_initiator_is_away(
    world: World, alice: Peer, bob: Peer
) -> None:
    link = await bob.agent.create_contact_link()
    world.relay.faults.append(only(Verdict.DROP, sender="bob", message_type="HANDSHAKE"))
    await alice.agent.add_contact(link.link)
    await world.settle()
    world.relay.cut("alice")
    await world.advance(3 * HOUR_MS)
    (waiting,) = await stored(bob, "alice")
    assert (waiting.state, waiting.attempts) == (SessionState.UNCONFIRMED, 1)
    world.relay.restore("alice")
    await world.settle()
    assert [s.state for s in await stored(bob, "alice")] == [SessionState.ACTIVE]


async def test_the_keys_of_an_answer_that_nobody_confirms_go_after_seven_days(
    world: World, alice: Peer, bob: Peer
) -> None:
    link = await bob.agent.create_contact_link()
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="ACK", times=100))
    await alice.agent.add_contact(link.link)
    await world.settle()
    await alice.stop()
    await world.leap(7 * DAY_MS - HOUR_MS)
    (waiting,) = await stored(bob, "alice")
    assert (waiting.state, waiting.keys is None) == (SessionState.UNCONFIRMED, False)
    await world.advance(2 * HOUR_MS)
    (gone,) = await stored(bob, "alice")
    assert (gone.state, gone.keys) == (SessionState.CLOSED, None)
