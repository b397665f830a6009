"""The connection's state machine, without sockets: what is routed, to whom it is told, and what is over a limit."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from relay.commands import Close, Command, Send
from relay.connection import Connection, Settings
from relay.limits import Limits
from relay.wire.codec import Format, decode
from relay.wire.envelope import b64encode
from relay.wire.errors import WireError
from tests.relay.core import WALL, World, said, told

BYTES = {"encryptedData", "nonce", "signature", "commitment"}
QUERY: dict[str, Any] = {
    "messageId": "msg_q",
    "recipientId": "bob",
    "messageType": "ENCRYPTED",
    "content": {
        "encryptedData": b64encode(bytes(272)),
        "nonce": b64encode(bytes(24)),
        "signature": b64encode(bytes(64)),
        "originalType": "QUERY",
        "sessionId": "sess_1",
        "commitment": b64encode(bytes(32)),
    },
}
KNOCK: dict[str, Any] = {
    "messageId": "msg_h",
    "recipientId": "bob",
    "messageType": "HANDSHAKE",
    "content": {
        "agentId": "alice",
        "publicKey": b64encode(bytes(32)),
        "identityKey": b64encode(bytes(32)),
        "sessionId": "sess_1",
        "suite": ["X"],
        "signature": b64encode(bytes(64)),
    },
}


def watch(world: World, connection: Connection, *names: str) -> list[Command]:
    return world.send(connection, messageType="PRESENCE", content={"watch": list(names)})


def limits(whose: str, **figures: float) -> Limits:
    """The usual limits, but for some of an agent's or an address's."""
    return msgspec.convert({f"{whose}_{name}": value for name, value in figures.items()}, Limits)


def details(command: Command) -> dict[str, Any]:
    """The details of the ERROR that is said."""
    found: dict[str, Any] = said(command)["content"]["details"]
    return found


# ------------------------------------------------------------------------------------------- on the way


def test_a_message_goes_on_byte_for_byte_and_its_sender_is_told() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    frame = json.dumps(world.envelope(alice, **QUERY), indent=1).encode()
    passed, ack = alice.received(frame, world.now)
    assert passed == Send(bob, frame)
    assert isinstance(ack, Send)
    assert ack.to is alice
    message = said(ack)
    assert message["content"] == {"messageId": "msg_q", "status": "ROUTED"}
    assert (message["messageType"], message["senderId"], message["recipientId"]) == ("ACK", "system", "alice")
    assert message["timestamp"] == WALL + 1000
    assert (world.relay.counters.messages_routed_total, world.relay.counters.bytes_routed_total) == (
        1,
        len(frame),
    )
    assert bob.backlog.waiting == len(frame)
    assert alice.backlog.waiting == len(ack.data)


def test_counters_and_backlogs_add_up() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    sent = [command for _ in range(3) for command in world.send(alice, **QUERY) if isinstance(command, Send)]
    for connection in (alice, bob):
        waiting = sum(len(command.data) for command in sent if command.to is connection)
        assert connection.backlog.waiting == waiting
    counters = world.relay.counters
    assert (counters.messages_routed_total, counters.bytes_routed_total) == (3, bob.backlog.waiting)


def test_a_recipient_is_found_in_any_spelling() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("Bob")
    assert told(world.send(alice, **{**QUERY, "recipientId": "BOB"})) == ["Bob: ENCRYPTED", "alice: ROUTED"]
    assert told(world.send(bob, **{**QUERY, "senderId": "bOB", "recipientId": "Alice"})) == [
        "alice: ENCRYPTED",
        "Bob: ROUTED",
    ]


@pytest.mark.parametrize("fmt", Format)
def test_a_message_for_the_other_format_is_written_anew(fmt: Format) -> None:
    world = World()
    other = Format.MSGPACK if fmt is Format.JSON else Format.JSON
    alice, bob = world.open("alice", fmt=fmt), world.open("bob", fmt=other)
    form = world.envelope(alice, **QUERY)
    if fmt is Format.MSGPACK:
        inside = {
            name: msgspec.convert(text, bytes) if name in BYTES else text
            for name, text in QUERY["content"].items()
        }
        frame = msgspec.msgpack.encode({**form, "content": inside})
    else:
        frame = json.dumps(form).encode()
    passed, ack = alice.received(frame, world.now)
    assert isinstance(passed, Send)
    assert isinstance(ack, Send)
    (found,) = decode(passed.data, other)
    assert not isinstance(found, WireError)
    assert found.envelope.content == QUERY["content"]
    assert bob.backlog.waiting == world.relay.counters.bytes_routed_total == len(passed.data)
    assert said(ack)["content"]["status"] == "ROUTED"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("ACK", {"messageId": "m", "status": "ROUTED"}),
        ("ERROR", {"errorCode": "X", "message": "m", "recoverable": True, "retryAfter": 0}),
        ("HEARTBEAT", {"timestamp": 1}),
    ],
)
def test_answers_and_heartbeats_are_passed_on_and_not_acknowledged(
    kind: str, content: dict[str, Any]
) -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    (passed,) = world.send(alice, messageType=kind, recipientId="bob", content=content)
    assert isinstance(passed, Send)
    assert passed.to is bob


def test_an_absent_recipient_is_told_with_the_message() -> None:
    world = World()
    alice = world.open("alice")
    (error,) = world.send(alice, **QUERY)
    content = said(error)["content"]
    assert content["errorCode"] == "RECIPIENT_NOT_FOUND"
    assert content["message"] == content["details"]["reason"] == "The recipient is not connected."
    assert content["details"]["originalMessageId"] == "msg_q"
    assert world.relay.counters.errors_total == {"RECIPIENT_NOT_FOUND": 1}


def test_a_message_that_a_slow_reader_has_no_room_for_is_told_and_not_passed_on() -> None:
    world = World(limits=Limits(queue_bytes=1000, queue_bytes_max=2000))
    alice, bob = world.open("alice"), world.open("bob")
    bob.backlog.waiting = 900
    (error,) = world.send(alice, **QUERY)
    content = said(error)["content"]
    assert content["errorCode"] == "MESSAGE_ERROR"
    assert content["details"] == {
        "originalMessageId": "msg_q",
        "reason": "The recipient reads too slowly.",
    }
    assert (bob.backlog.waiting, world.relay.counters.messages_routed_total) == (900, 0)


def test_ones_own_name_in_another_spelling_is_ones_own() -> None:
    world = World()
    alice = world.open("alice")
    assert told(world.send(alice, senderId="ALICE")) == ["alice: HEARTBEAT"]


def test_a_false_name_is_told_with_the_message() -> None:
    world = World()
    alice, _ = world.open("alice"), world.open("bob")
    (error,) = world.send(alice, **{**QUERY, "senderId": "eve"})
    content = said(error)["content"]
    assert content["errorCode"] == "SENDER_MISMATCH"
    assert content["message"] == "The sender is not the connection's agent."
    assert content["details"] == {"originalMessageId": "msg_q"}


# ------------------------------------------------------------------------------------------- strangers


def test_who_watches_others_hears_of_strangers_only_handshakes() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    watch(world, bob, "carol")
    assert told(world.send(alice, **QUERY)) == ["alice: RECIPIENT_NOT_FOUND"]
    assert told(world.send(alice, **KNOCK)) == ["bob: HANDSHAKE", "alice: ROUTED"]
    watch(world, bob, "Alice")
    assert told(world.send(alice, **QUERY)) == ["bob: ENCRYPTED", "alice: ROUTED"]


def test_an_empty_watch_set_keeps_all_strangers_out() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    watch(world, bob)
    assert told(world.send(alice, **QUERY)) == ["alice: RECIPIENT_NOT_FOUND"]


def test_handshakes_to_those_who_do_not_watch_the_sender_are_few() -> None:
    world = World(limits=Limits(handshakes_burst=2, handshakes_per_minute=60))
    alice, bob = world.open("alice"), world.open("bob")
    for target in ("bob", "nobody"):  # whether it is there or not
        assert "RATE" not in told(world.send(alice, **{**KNOCK, "recipientId": target}))[-1]
    (error,) = world.send(alice, **KNOCK)
    content = said(error)["content"]
    assert (content["errorCode"], content["retryAfter"]) == ("RATE_LIMIT_EXCEEDED", 1001)
    assert content["message"] == "Too many messages."
    assert content["details"] == {"originalMessageId": "msg_h"}
    assert told(world.send(alice, **QUERY)) == ["bob: ENCRYPTED", "alice: ROUTED"]
    watch(world, bob, "carol")
    assert told(world.send(alice, **KNOCK)) == ["alice: RATE_LIMIT_EXCEEDED"]
    watch(world, bob, "alice")
    for _ in range(9):
        assert told(world.send(alice, **KNOCK)) == ["bob: HANDSHAKE", "alice: ROUTED"]


def test_presence_is_told_to_both_of_a_pair_once() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("Bob")
    assert watch(world, alice, "bob", "carol") == []
    commands = watch(world, bob, "ALICE")
    assert [(said(c)["recipientId"], said(c)["content"]) for c in commands] == [
        ("Bob", {"agentId": "alice", "status": "ONLINE"}),
        ("alice", {"agentId": "Bob", "status": "ONLINE"}),
    ]
    assert all(said(c)["timestamp"] == WALL + 1000 for c in commands)
    assert told(watch(world, bob, "ALICE")) == ["Bob: ONLINE"]  # asked again, told again


def test_what_presence_says_waits_for_its_reader() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    watch(world, alice, "bob")
    first, second = watch(world, bob, "alice")
    assert isinstance(first, Send)
    assert isinstance(second, Send)
    assert (bob.backlog.waiting, alice.backlog.waiting) == (len(first.data), len(second.data))


def test_who_goes_is_told_as_offline() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    watch(world, alice, "bob")
    watch(world, bob, "alice")
    (gone,) = bob.lost(world.now)
    assert isinstance(gone, Send)
    assert gone.to is alice
    assert said(gone)["content"] == {"agentId": "bob", "status": "OFFLINE"}
    assert told(world.send(alice, **QUERY)) == ["alice: RECIPIENT_NOT_FOUND"]
    assert bob.lost(world.now) == []


# ------------------------------------------------------------------------------------------- for the relay


def test_a_heartbeat_comes_back_with_its_ids_and_content() -> None:
    world = World()
    alice = world.open("alice")
    world.now = 5000
    (echo,) = world.send(alice, content={"timestamp": 77})
    message = said(echo)
    assert (message["messageId"], message["conversationId"], message["content"]) == (
        "msg_1",
        "c",
        {"timestamp": 77},
    )
    assert (message["senderId"], message["recipientId"], message["timestamp"]) == (
        "system",
        "alice",
        WALL + 5000,
    )


def test_a_goodbye_is_acknowledged_and_then_closed() -> None:
    world = World()
    alice = world.open("alice")
    ack, close = world.send(alice, messageType="DISCONNECT", content={})
    assert said(ack)["content"] == {"messageId": "msg_1", "status": "CLOSED"}
    assert said(ack)["timestamp"] == WALL + 1000
    assert isinstance(close, Close)
    assert (int(close.code), close.reason) == (1000, "goodbye")
    assert world.relay.counters.closed_total == {1000: 1}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("ACK", {"messageId": "m", "status": "ROUTED"}),
        ("ERROR", {"errorCode": "X", "message": "m", "recoverable": True, "retryAfter": 0}),
    ],
)
def test_an_answer_to_the_relay_is_heard_and_not_answered(kind: str, content: dict[str, Any]) -> None:
    world = World()
    alice = world.open("alice")
    assert world.send(alice, messageType=kind, content=content) == []


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("PRESENCE", {"agentId": "bob", "status": "ONLINE"}),
        ("QUERY", {}),
        ("ENCRYPTED", QUERY["content"]),
        ("HANDSHAKE", KNOCK["content"]),
    ],
)
def test_what_the_relay_does_not_take_is_told(kind: str, content: dict[str, Any]) -> None:
    world = World()
    (error,) = world.send(world.open("alice"), messageType=kind, content=content)
    assert said(error)["content"]["errorCode"] == "INVALID_MESSAGE_FORMAT"
    assert details(error) == {
        "field": "messageType",
        "reason": "is not one that the relay takes now",
        "originalMessageId": "msg_1",
    }


def test_what_is_between_an_agent_and_its_relay_names_the_message_when_sent_on() -> None:
    world = World()
    alice, _ = world.open("alice"), world.open("bob")
    content = {
        "connectionId": "c",
        "agentId": "alice",
        "heartbeatInterval": 1,
        "idleTimeout": 1,
        "maxMessageBytes": 1,
        "tokenExpiresAt": 1,
        "serverTime": 1,
        "relayName": "r",
    }
    (error,) = world.send(alice, messageType="CONNECTED", recipientId="bob", content=content)
    assert details(error) == {
        "field": "messageType",
        "reason": "is between an agent and its relay",
        "originalMessageId": "msg_1",
    }


def test_a_second_renewal_waits_for_the_verdict_on_the_first() -> None:
    world = World()
    alice = world.open("alice")
    auth = {"messageType": "AUTH", "content": {"token": "t", "agentId": "alice"}}
    assert told(world.send(alice, **auth)) == ["Verify"]
    assert told(world.send(alice, **auth)) == ["alice: INVALID_MESSAGE_FORMAT"]


def test_what_does_not_fit_is_told_by_field_and_message() -> None:
    world = World()
    (error,) = world.send(world.open("alice"), timestamp=-1)
    content = said(error)["content"]
    assert content["errorCode"] == "INVALID_MESSAGE_FORMAT"
    assert content["message"] == "The message does not fit the protocol: timestamp is out of range."
    assert content["details"] == {
        "field": "timestamp",
        "reason": "is out of range",
        "originalMessageId": "msg_1",
    }


def test_a_message_over_the_size_limit_is_told_the_limit() -> None:
    world = World(Settings(relay_name="test", max_message_bytes=300))
    alice = world.open("alice")
    assert told(world.send(alice)) == ["alice: HEARTBEAT"]
    (error,) = world.send(alice, conversationId="c" * 64, content={"timestamp": 1, "x": "y" * 100})
    assert details(error)["limit"] == 300


# ------------------------------------------------------------------------------------------- limits


def test_an_agent_that_says_too_much_is_told_how_long_to_wait() -> None:
    world = World(limits=Limits(agent_messages_per_second=1, agent_messages_burst=2))
    alice = world.open("alice")
    assert told([*world.send(alice), *world.send(alice)]) == ["alice: HEARTBEAT"] * 2
    (error,) = world.send(alice)
    content = said(error)["content"]
    assert (content["errorCode"], content["retryAfter"]) == ("RATE_LIMIT_EXCEEDED", 1001)
    assert content["details"] == {"originalMessageId": "msg_1"}
    world.now += 1001
    assert told(world.send(alice)) == ["alice: HEARTBEAT"]


def test_an_address_that_says_too_much_is_told_though_its_agents_are_many() -> None:
    world = World(limits=Limits(address_messages_per_second=1, address_messages_burst=2))
    alice, bob = world.open("alice"), world.open("bob")
    assert told([*world.send(alice), *world.send(bob)]) == ["alice: HEARTBEAT", "bob: HEARTBEAT"]
    assert told(world.send(alice)) == ["alice: RATE_LIMIT_EXCEEDED"]


@pytest.mark.parametrize("whose", ["agent", "address"])
def test_bytes_count_as_messages_do(whose: str) -> None:
    world = World(limits=limits(whose, bytes_per_second=1, bytes_burst=500))
    alice = world.open("alice")
    assert told(world.send(alice)) == ["alice: HEARTBEAT"]
    (error,) = world.send(alice, content={"timestamp": 1, "x": "y" * 200})
    assert said(error)["content"]["errorCode"] == "RATE_LIMIT_EXCEEDED"


@pytest.mark.parametrize("whose", ["agent", "address"])
def test_what_does_not_fit_the_protocol_counts_too(whose: str) -> None:
    world = World(limits=limits(whose, messages_per_second=1, messages_burst=1))
    alice = world.open("alice")
    assert told(world.send(alice, timestamp=-1)) == ["alice: INVALID_MESSAGE_FORMAT"]
    (error,) = world.send(alice, timestamp=-1)
    content = said(error)["content"]
    assert (content["errorCode"], content["retryAfter"]) == ("RATE_LIMIT_EXCEEDED", 1001)
    assert content["details"] == {"originalMessageId": "msg_1"}
    (error,) = alice.received(b"no JSON", world.now)
    assert said(error)["content"]["details"] == {}


@pytest.mark.parametrize("whose", ["agent", "address"])
def test_the_bytes_of_what_does_not_fit_count_too(whose: str) -> None:
    world = World(limits=limits(whose, bytes_per_second=1, bytes_burst=500))
    alice = world.open("alice")
    assert told(alice.received(b" " * 400, world.now)) == ["alice: INVALID_MESSAGE_FORMAT"]
    assert told(alice.received(b" " * 400, world.now)) == ["alice: RATE_LIMIT_EXCEEDED"]


@pytest.mark.parametrize("whose", ["agent", "address"])
def test_control_frames_cost_a_message_and_no_bytes(whose: str) -> None:
    few = {"messages_per_second": 1, "messages_burst": 2, "bytes_per_second": 0.001, "bytes_burst": 0.0005}
    world = World(limits=limits(whose, **few))
    alice = world.open("alice")
    assert alice.control_frame(world.now) == []
    assert alice.control_frame(world.now) == []
    (error,) = alice.control_frame(world.now)
    assert said(error)["content"]["errorCode"] == "RATE_LIMIT_EXCEEDED"
    assert said(error)["content"]["details"] == {}


def test_control_frames_before_authentication_cost_the_address_and_keep_nothing_open() -> None:
    world = World(limits=Limits(address_messages_per_second=1, address_messages_burst=1))
    made = world.arrive()
    made.upgrade_requested(Format.JSON, None, "", None, world.now)
    world.now += 9_999
    assert made.control_frame(world.now) == []
    assert told(made.control_frame(world.now)) == ["?: RATE_LIMIT_EXCEEDED"]
    world.now += 1
    assert told(made.ticked(world.now)) == ["? closed 4408"]
    assert made.control_frame(world.now) == []


def test_a_control_frame_over_the_limit_is_no_sign_of_life() -> None:
    world = World(
        Settings(relay_name="test", idle_timeout=500),
        Limits(agent_messages_per_second=1, agent_messages_burst=1),
    )
    alice = world.open("alice")
    assert alice.control_frame(world.now) == []
    world.now += 499
    assert told(alice.control_frame(world.now)) == ["alice: RATE_LIMIT_EXCEEDED"]
    assert told(alice.ticked(world.now + 1)) == ["alice closed 4408"]


def test_refusals_without_end_close_the_connection_and_slow_ones_do_not() -> None:
    few = Limits(agent_messages_per_second=0.00001, agent_messages_burst=1, refusals_before_close=3)
    world = World(Settings(relay_name="test", idle_timeout=10**9), few)
    alice = world.open("alice")
    world.send(alice)
    for _ in range(3):
        assert told(world.send(alice)) == ["alice: RATE_LIMIT_EXCEEDED"]
    world.now += 60_001  # counted anew
    for _ in range(3):
        assert told(world.send(alice)) == ["alice: RATE_LIMIT_EXCEEDED"]
    world.now += 60_001  # once more
    for _ in range(3):
        assert told(world.send(alice)) == ["alice: RATE_LIMIT_EXCEEDED"]
    world.now += 60_000  # not yet
    error, close = world.send(alice)
    assert said(error)["content"]["errorCode"] == "RATE_LIMIT_EXCEEDED"
    assert isinstance(close, Close)
    assert (int(close.code), close.reason) == (4429, "rate limit exceeded repeatedly")


def test_a_batch_is_read_no_further_than_to_the_message_that_closes() -> None:
    world = World()
    alice, _ = world.open("alice"), world.open("bob")
    elements = [
        world.envelope(alice),
        world.envelope(alice, messageType="DISCONNECT", content={}),
        world.envelope(alice, **QUERY),
    ]
    commands = alice.received(json.dumps(elements).encode(), world.now)
    assert told(commands) == ["alice: HEARTBEAT", "alice: CLOSED", "alice closed 1000"]


def test_each_element_of_a_batch_is_answered_in_order() -> None:
    world = World()
    alice, _ = world.open("alice"), world.open("bob")
    elements = [world.envelope(alice, **QUERY), world.envelope(alice, timestamp=-1), world.envelope(alice)]
    commands = alice.received(json.dumps(elements).encode(), world.now)
    assert told(commands) == [
        "bob: ENCRYPTED",
        "alice: ROUTED",
        "alice: INVALID_MESSAGE_FORMAT",
        "alice: HEARTBEAT",
    ]


def test_each_message_puts_off_the_end_of_an_idle_connection() -> None:
    world = World()
    alice = world.open("alice")
    world.now += 89_999
    world.send(alice)
    assert alice.ticked(world.now + 89_999) == []
    assert told(alice.ticked(world.now + 90_000)) == ["alice closed 4408"]


def test_a_reader_that_stays_behind_is_closed_in_the_end() -> None:
    world = World(limits=Limits(queue_bytes=1000, queue_bytes_max=2000, queue_seconds=5))
    alice = world.open("alice")
    alice.backlog.waiting = 1500
    assert alice.ticked(world.now) == []
    (close,) = alice.ticked(world.now + 5000)
    assert isinstance(close, Close)
    assert (int(close.code), close.reason) == (4413, "reads too slowly")


def test_control_frames_give_no_bytes_back() -> None:
    world = World(limits=limits("agent", bytes_per_second=0.001, bytes_burst=500))
    alice = world.open("alice")
    frame = json.dumps(world.envelope(alice)).encode()
    assert 500 / 3 < len(frame) < 250
    assert told([*alice.received(frame, 1000), *alice.received(frame, 1000)]) == ["alice: HEARTBEAT"] * 2
    for _ in range(300):
        assert alice.control_frame(1000) == []
    assert told(alice.received(frame, 1000)) == ["alice: RATE_LIMIT_EXCEEDED"]


def test_over_a_limit_by_less_than_a_millisecond_is_over_it() -> None:
    world = World(limits=limits("agent", messages_per_second=2000, messages_burst=1))
    alice = world.open("alice")
    assert told(alice.received(b"no JSON", 1000)) == ["alice: INVALID_MESSAGE_FORMAT"]
    (error,) = alice.received(b"no JSON", 1000)
    assert said(error)["content"]["retryAfter"] == 1
