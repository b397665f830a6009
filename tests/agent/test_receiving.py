"""Receiving as transcripts: duplicates, order, gaps, poison, tampering, lost sessions, cleartext."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from agentnet_desktop.agent.timing import MINUTE_MS
from agentnet_desktop.crypto.session import SessionKeys, seal
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, inbox, sessions
from relay.wire.codec import Format, decode
from relay.wire.envelope import Envelope, MessageType, Priority, metadata
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.simulator import Verdict, only, tampered


async def forge(
    peer: Peer,
    other: str,
    content: dict[str, object],
    *,
    kind: MessageType = MessageType.QUERY,
    seq: int,
    message_id: str = "msg_forged",
    **fields: object,
) -> Envelope:
    """Seals anything in an agent's name, as a faulty or malicious client with its keys could."""
    (live,) = await peer.db.read(lambda session: sessions.of_peer(session, other, (SessionState.ACTIVE,)))
    values: dict[str, object] = {
        "session_id": live.session_id,
        "seq": seq,
        "message_id": message_id,
        "conversation_id": live.conversation_id,
        "sender_id": peer.agent_id,
        "recipient_id": other,
        "original_type": kind,
        "content": content,
        "timestamp": peer.world.clock.now,
        "metadata": metadata(Priority.NORMAL, encrypted=True, requires_response=False),
        "opening": bytes(32),
        "hedge": bytes(32),
    }
    keys = SessionKeys.from_bytes(live.keys or b"")
    return seal(keys, peer.identity, **(values | fields)).envelope  # type: ignore[arg-type]


def query(number: int) -> dict[str, object]:
    """The content of a valid query."""
    return {"requestId": f"req_{number}", "queryType": "AVAILABILITY", "parameters": dict(WEEK)}


def acks(world: World, sender: str) -> list[Envelope]:
    """Returns the receipts that one agent sent."""
    return [e for e in world.relay.sent(sender, MessageType.ACK) if e.content["status"] == "DELIVERED"]


async def last(peer: Peer) -> tuple[str, str, str]:
    """Returns type, state and signature check of the last received entry."""
    row = [row for row in await peer.log() if row.direction == "in"][-1]
    return row.message_type, row.state, row.verified


async def test_a_duplicate_is_acknowledged_again_and_not_shown(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DUPLICATE, message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert len(bob.arrivals()) == 1
    first, second = acks(world, "bob")
    assert first == second


async def test_a_lost_receipt_makes_the_sender_repeat_the_same_bytes(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, sender="bob", message_type="ACK"))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert len(await alice.agent.outbox()) == 1
    await world.advance(5_000)
    first, second = world.relay.sent("alice", MessageType.ENCRYPTED)
    assert first == second
    assert len(bob.arrivals()) == 1
    assert await alice.agent.outbox() == []


@pytest.mark.parametrize("field", ["encryptedData", "nonce", "signature", "commitment"])
async def test_a_tampered_message_is_refused_logged_and_delivered_when_repeated(
    world: World, friends: tuple[Peer, Peer], field: str
) -> None:
    alice, bob = friends
    done: list[Envelope] = []

    def spoil(envelope: Envelope) -> Verdict | Envelope:
        if envelope.message_type is not MessageType.ENCRYPTED or done:
            return Verdict.PASS
        done.append(envelope)
        text = envelope.content[field]
        return tampered(envelope, **{field: ("B" if text[0] == "A" else "A") + text[1:]})

    world.relay.faults.append(spoil)
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert bob.arrivals() == [] and acks(world, "bob") == []
    assert await last(bob) == ("ENCRYPTED", "REFUSED", "bad")
    assert bob.alarms() == ["BAD_SIGNATURE"]
    await world.advance(5_000)
    assert len(bob.arrivals()) == 1


async def test_messages_out_of_order_are_handed_on_in_order(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.HOLD, message_type="PROPOSAL", times=3))
    for title in ("One", "Two", "Three"):
        await alice.agent.propose(["bob"], draft(title))
    await world.settle()
    world.relay.release(reverse=True)
    await world.settle()
    titles = [(await bob.agent.proposal(ref)).title for ref in bob.arrivals()]
    assert titles == ["One", "Two", "Three"]
    assert len(acks(world, "bob")) == 3


async def test_a_gap_is_waited_for_thirty_seconds_then_noted_and_a_late_message_comes_once(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.inject(await forge(alice, "bob", query(2), seq=2, message_id="msg_2"))
    await world.settle()
    assert "alice" not in [row.peer for row in await bob.log() if row.message_type == "RESPONSE"]
    await world.advance(30_000)
    assert "1 message of alice did not arrive in time" in await bob.summaries()
    assert [row.message_type for row in await bob.log() if row.direction == "out"][-1] == "RESPONSE"
    late = await forge(alice, "bob", query(1), seq=1, message_id="msg_1")
    world.relay.inject(late)
    world.relay.inject(late)
    await world.settle()
    answers = [row for row in await bob.log() if (row.direction, row.message_type) == ("out", "RESPONSE")]
    assert len(answers) == 2
    assert any("(late)" in sentence for sentence in await bob.summaries())


async def test_a_sequence_number_too_far_ahead_or_used_twice_is_refused(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.inject(await forge(alice, "bob", query(1), seq=1, message_id="msg_1"))
    world.relay.inject(await forge(alice, "bob", query(2), seq=1, message_id="msg_2"))
    world.relay.inject(await forge(alice, "bob", query(3), seq=1003, message_id="msg_3"))
    await world.settle()
    assert bob.alarms() == ["SEQUENCE_REUSED", "SEQUENCE_REFUSED"]
    assert len(acks(world, "bob")) == 1


async def test_a_copy_sealed_again_under_a_sequence_number_that_is_taken_gets_no_receipt(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    for number in (1, 2):
        world.relay.inject(await forge(alice, "bob", query(number), seq=number, message_id=f"msg_{number}"))
    copy = await forge(alice, "bob", query(1), seq=2, message_id="msg_1", opening=b"o" * 32)
    world.relay.inject(copy)
    await world.settle()
    assert bob.alarms() == ["SEQUENCE_REUSED"]
    assert [ack.content["messageId"] for ack in acks(world, "bob")] == ["msg_1", "msg_2"]
    copy = await forge(alice, "bob", query(1), seq=3, message_id="msg_1", opening=b"o" * 32)
    world.relay.inject(copy)
    await world.settle()
    world.relay.inject(copy)  # as when its receipt was lost
    await world.settle()
    assert [ack.content["messageId"] for ack in acks(world, "bob")] == ["msg_1", "msg_2", "msg_1", "msg_1"]
    assert bob.alarms() == ["SEQUENCE_REUSED"]


async def test_another_message_under_a_known_id_is_refused_without_a_receipt(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.inject(await forge(alice, "bob", query(1), seq=1))
    world.relay.inject(await forge(alice, "bob", query(2), seq=2))
    await world.settle()
    assert bob.alarms() == ["MESSAGE_ID_REUSED"]
    assert len(acks(world, "bob")) == 1


async def test_content_that_does_not_validate_is_set_aside_and_ends_the_senders_row(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    poison = await forge(alice, "bob", {"requestId": "req_1"}, seq=1)
    world.relay.inject(poison)
    world.relay.inject(poison)
    await world.settle()
    assert acks(world, "bob") == []
    (row,) = await bob.db.read(inbox.set_aside)
    assert row.message_id == "msg_forged"
    told = [row.summary for row in await alice.log() if row.message_type == "ERROR"]
    assert len(told) == 1 and told[0].startswith("bob reported a problem")
    assert await bob.agent.outbox() == []


async def test_a_proposal_that_writes_null_for_what_it_leaves_out_is_shown_and_accepted(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    nulls = dict.fromkeys(("revision", "alternatives", "participants", "location", "timeZone", "expiresAt"))
    when = {"startTime": "2026-06-02T12:00:00Z", "endTime": "2026-06-02T13:00:00Z", "status": "PENDING"}
    content: dict[str, object] = {"proposalId": "prop_1", "details": {"title": "x"} | when | nulls}
    world.relay.inject(await forge(alice, "bob", content, kind=MessageType.PROPOSAL, seq=1))
    await world.settle()
    assert bob.arrivals() == ["alice/prop_1/1"]
    assert (await bob.agent.accept("alice/prop_1/1")).state == "ACCEPTED"


async def test_an_error_about_our_message_fails_its_row(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, message_type="QUERY", times=9))
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    (waiting,) = await alice.agent.outbox()
    content = {
        "errorCode": "INVALID_MESSAGE_FORMAT",
        "message": "no",
        "recoverable": True,
        "retryAfter": 0,
        "details": {"originalMessageId": waiting.message_id},
    }
    world.relay.inject(await forge(bob, "alice", content, kind=MessageType.ERROR, seq=1))
    await world.settle()
    (failed,) = await alice.agent.outbox()
    assert (failed.state, failed.reason) == ("FAILED", "The recipient could not read it.")
    answer = await alice.agent.wait_query(request, 5)
    assert answer is not None and answer.error is not None and answer.error["code"] == "TIMEOUT_ERROR"


async def test_a_message_under_a_lost_session_leads_to_a_new_handshake_and_arrives(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.db.write(lambda session: sessions.wipe_peer(session, "alice", SessionState.CLOSED))
    await alice.agent.propose(["bob"], draft())
    await world.settle()
    assert len(bob.arrivals()) == 1
    assert await alice.agent.outbox() == []
    starts = [e for e in world.relay.sent("bob", MessageType.HANDSHAKE) if e.requires_response]
    assert len(starts) == 1


async def test_a_lost_session_starts_a_handshake_at_most_once_a_minute(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    world.relay.faults.append(only(Verdict.DROP, sender="bob", message_type="HANDSHAKE", times=99))
    strays = [
        await forge(alice, "bob", query(n), seq=n, message_id=f"msg_{n}", session_id="sess_unknown")
        for n in range(1, 6)
    ]
    for stray in strays[:4]:
        world.relay.inject(stray)
    await world.settle()

    def starts() -> int:
        return len([e for e in world.relay.sent("bob", MessageType.HANDSHAKE) if e.requires_response])

    assert starts() == 1
    await world.advance(MINUTE_MS)
    world.relay.inject(strays[4])
    await world.settle()
    assert starts() == 2


async def test_a_bad_signature_starts_and_counts_nothing(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    stray = await forge(alice, "bob", query(1), seq=1, session_id="sess_unknown")
    world.relay.inject(tampered(stray, signature=stray.content["nonce"][:-2] + "A" * 56 + "=="))
    await world.settle()
    assert [e for e in world.relay.sent("bob", MessageType.HANDSHAKE) if e.requires_response] == []


@pytest.mark.parametrize(
    "kind",
    [
        MessageType.QUERY,
        MessageType.RESPONSE,
        MessageType.PROPOSAL,
        MessageType.CONFIRMATION,
        MessageType.REJECTION,
        MessageType.ERROR,
        MessageType.DISCONNECT,
    ],
)
async def test_what_travels_only_sealed_is_refused_in_the_clear(
    world: World, friends: tuple[Peer, Peer], kind: MessageType
) -> None:
    _, bob = friends
    before = len(world.relay.sent("bob"))
    contents: dict[MessageType, dict[str, object]] = {
        MessageType.ERROR: {"errorCode": "X", "message": "", "recoverable": False, "retryAfter": 0}
    }
    envelope = Envelope(
        message_id="msg_clear",
        conversation_id="conv_clear",
        sender_id="alice",
        recipient_id="bob",
        message_type=kind,
        content=contents.get(kind, {}),
        timestamp=world.clock.now,
        metadata=metadata(Priority.HIGH, encrypted=False, requires_response=False),
    )
    world.relay.inject(envelope)
    await world.settle()
    assert bob.alarms() == ["CLEARTEXT_REFUSED"]
    assert await last(bob) == (kind.value, "REFUSED", "none")
    assert len(world.relay.sent("bob")) == before


async def test_only_the_relay_may_say_what_the_relay_says(world: World, friends: tuple[Peer, Peer]) -> None:
    _, bob = friends
    for kind, content in (
        (MessageType.ACK, {"messageId": "msg_1", "status": "ROUTED"}),
        (MessageType.PRESENCE, {"agentId": "alice", "status": "OFFLINE"}),
        (MessageType.CONNECTED, None),
    ):
        if content is None:
            continue
        world.relay.inject(
            Envelope(
                message_id="msg_spoof",
                conversation_id="system",
                sender_id="alice",
                recipient_id="bob",
                message_type=kind,
                content=content,
                timestamp=world.clock.now,
                metadata=metadata(Priority.HIGH, encrypted=False, requires_response=False),
            )
        )
        await world.settle()
        assert (await last(bob))[1] == "REFUSED"
    assert [view.online for view in await bob.agent.contacts()] == [True]


async def test_bytes_that_are_no_envelope_are_logged_and_nothing_else(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    _, bob = friends
    raw = msgspec.msgpack.encode({"messageId": "msg_1"})
    client = world.relay.clients["bob"]
    client.on_frame(decode(raw, Format.MSGPACK), raw)
    await world.settle()
    assert await last(bob) == ("INVALID", "REFUSED", "none")


async def test_a_message_of_an_agent_that_is_no_contact_is_refused_silently(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    message = await forge(alice, "bob", query(1), seq=1)
    before = len(world.relay.sent("bob"))
    await bob.agent.remove_contact("alice")
    world.relay.inject(message)
    await world.settle()
    assert (await last(bob))[1] == "REFUSED"
    assert [e.message_type for e in world.relay.sent("bob")[before:]] == [MessageType.PRESENCE]


async def test_in_key_changed_messages_of_the_pinned_key_are_received_and_not_answered(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends

    def doubt(session: object) -> None:
        contact = contacts.get(session, "alice")  # type: ignore[arg-type]
        assert contact is not None
        contacts.save(
            session,  # type: ignore[arg-type]
            replace(contact, state="KEY_CHANGED", state_before_change="APPROVED", candidate_key=b"k" * 32),
        )

    await bob.db.write(doubt)
    request = await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    assert any("under a key in doubt" in sentence for sentence in await bob.summaries())
    assert len(await bob.agent.requests()) == 1
    assert await alice.agent.wait_query(request, 0) is None
