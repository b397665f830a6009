"""The connection's state machine, without sockets: events in, commands out."""

from __future__ import annotations

import json
import secrets
from typing import Any

import msgspec
import pytest

from relay.auth.grant import Grant
from relay.commands import Accept, Close, Command, Refuse, Send, Verify
from relay.connection import Connection, IllegalTransition, Relay, Settings, State
from relay.limits import Limits
from relay.voice import Voice
from relay.wire.codec import Decoded, Format, decode, encode, json_form
from relay.wire.errors import CloseCode
from tests.relay.core import WALL, Nowhere, World, said, told


def test_a_token_in_the_upgrade_is_verified_before_the_upgrade_is_accepted() -> None:
    world = World()
    alice = world.arrive()
    assert alice.upgrade_requested(Format.JSON, "t", "alice", "code", 1000) == [Verify("t", "alice", "code")]
    assert told(alice.authenticated(Grant("alice", "key:x", WALL), 1000)) == ["Accept", "alice: CONNECTED"]
    assert alice.state is State.OPEN


def test_a_refused_upgrade_is_answered_over_http_and_nothing_else_follows() -> None:
    world = World()
    alice = world.arrive()
    alice.upgrade_requested(Format.JSON, "t", "alice", None, 1000)
    (refusal,) = alice.refused(1000)
    assert isinstance(refusal, Refuse)
    assert refusal.content["serverTime"] == WALL + 1000
    assert alice.authenticated(Grant("alice", "key:x", WALL), 1000) == []
    assert alice.ticked(10**9) == []
    assert (world.relay.meters.open, world.relay.meters.unauthenticated) == (0, 0)


def test_messages_that_come_while_auth_is_judged_are_answered_after_connected() -> None:
    world = World()
    alice = world.arrive()
    assert alice.upgrade_requested(Format.JSON, None, "", None, 1000) == [Accept()]
    alice.agent_id = "alice"
    (verify,) = world.send(
        alice, messageType="AUTH", content={"token": "t", "agentId": "alice", "invite": "code"}
    )
    assert verify == Verify("t", "alice", "code")
    assert world.send(alice) == []
    assert told(alice.authenticated(Grant("alice", "key:x", WALL), 1000)) == [
        "alice: CONNECTED",
        "alice: HEARTBEAT",
    ]


def test_no_more_than_64_messages_are_held_while_auth_is_judged() -> None:
    world = World()
    alice = world.arrive()
    alice.upgrade_requested(Format.JSON, None, "", None, 1000)
    alice.agent_id = "alice"
    world.send(alice, messageType="AUTH", content={"token": "t", "agentId": "alice"})
    for _ in range(64):
        assert world.send(alice) == []
    assert told(world.send(alice)) == ["alice closed 4400"]


def test_events_out_of_turn_are_bugs_and_change_nothing() -> None:
    alice = World().open("alice")
    with pytest.raises(IllegalTransition):
        alice.upgrade_requested(Format.JSON, "t", "alice", None, 1000)
    assert alice.state is State.OPEN


def test_the_second_false_name_within_a_minute_closes_and_a_later_one_does_not() -> None:
    world = World()
    alice = world.open("alice")
    false = {
        "messageType": "ACK",
        "recipientId": "bob",
        "senderId": "eve",
        "content": {"messageId": "m", "status": "ROUTED"},
    }
    assert told(world.send(alice, **false)) == ["alice: SENDER_MISMATCH"]
    world.now += 60_000
    assert told(world.send(alice, **false)) == ["alice: SENDER_MISMATCH"]
    world.now += 59_999
    assert told(world.send(alice, **false)) == ["alice: SENDER_MISMATCH", "alice closed 4400"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [("AUTH", {"token": "secret", "agentId": "alice"}), ("PRESENCE", {"watch": []})],
)
def test_what_is_between_an_agent_and_its_relay_is_not_passed_on(kind: str, content: dict[str, Any]) -> None:
    world = World()
    alice = world.open("alice")
    world.open("bob")
    commands = world.send(alice, messageType=kind, recipientId="bob", content=content)
    assert told(commands) == ["alice: INVALID_MESSAGE_FORMAT"]


def test_an_answer_to_the_relay_is_heard_and_not_answered() -> None:
    world = World()
    alice = world.open("alice")
    assert world.send(alice, messageType="ACK", content={"messageId": "m", "status": "ROUTED"}) == []


def test_replacing_a_connection_tells_its_watchers_and_closes_it_with_4409() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    world.send(alice, messageType="PRESENCE", content={"watch": ["bob"]})
    assert told(world.send(bob, messageType="PRESENCE", content={"watch": ["alice"]})) == [
        "bob: ONLINE",
        "alice: ONLINE",
    ]
    again = world.arrive()
    again.upgrade_requested(Format.JSON, "t", "Bob", None, 1000)
    commands = again.authenticated(Grant("Bob", "key:x", WALL), 1000)
    assert told(commands) == ["Accept", "alice: OFFLINE", "bob closed 4409", "Bob: CONNECTED"]
    assert world.relay.router.find("bob") is again
    assert bob.lost(1000) == []
    assert world.relay.router.find("bob") is again


def test_a_watcher_that_stops_watching_looks_offline_to_the_other() -> None:
    world = World()
    alice, bob = world.open("alice"), world.open("bob")
    world.send(alice, messageType="PRESENCE", content={"watch": ["bob"]})
    world.send(bob, messageType="PRESENCE", content={"watch": ["alice"]})
    assert told(world.send(alice, messageType="PRESENCE", content={"watch": []})) == ["bob: OFFLINE"]
    assert bob.lost(1000) == []


def test_silence_is_ended_and_a_sign_of_life_puts_it_off() -> None:
    world = World()
    alice = world.open("alice")
    world.now += 89_999
    assert alice.ticked(world.now) == []
    alice.control_frame(world.now)
    world.now += 89_999
    assert alice.ticked(world.now) == []
    world.now += 1
    assert told(alice.ticked(world.now)) == ["alice closed 4408"]


def test_an_expired_token_is_borne_for_a_minute_and_a_renewal_saves_the_connection() -> None:
    world = World(Settings(relay_name="test", idle_timeout=10**9))
    alice, bob = (world.open(name, WALL + 10_000) for name in ("alice", "bob"))
    assert world.send(bob, messageType="AUTH", content={"token": "t", "agentId": "bob"}) == [
        Verify("t", "bob", None)
    ]
    assert told(bob.authenticated(Grant("bob", "key:x", WALL + 10**8), world.now)) == ["bob: CONNECTED"]
    assert alice.ticked(69_999) == []
    assert told(alice.ticked(70_000)) == ["alice: AUTHENTICATION_FAILED", "alice closed 4401"]
    assert bob.ticked(70_000) == []


def test_a_refused_renewal_ends_the_connection() -> None:
    world = World()
    alice = world.open("alice")
    world.send(alice, messageType="AUTH", content={"token": "t", "agentId": "alice"})
    assert told(alice.refused(1000)) == ["alice: AUTHENTICATION_FAILED", "alice closed 4401"]


def test_replies_that_pile_up_at_a_reader_that_never_reads_end_it() -> None:
    world = World(limits=Limits(queue_bytes=1000, queue_bytes_max=2000))
    alice = world.open("alice")
    while alice.backlog.waiting <= 2000:
        world.send(alice)
    assert told(alice.ticked(world.now)) == ["alice closed 4413"]


def test_closing_leaves_no_trace_in_the_tables() -> None:
    world = World()
    alice = world.open("alice")
    assert told(alice.close(CloseCode.GOING_AWAY, "bye", 1000)) == ["alice closed 1001"]
    assert alice.close(CloseCode.GOING_AWAY, "bye", 1000) == []
    assert world.send(alice) == []
    assert (world.relay.meters.open, world.relay.meters.unauthenticated) == (0, 0)
    world.relay.meters.prune(10**9)
    assert world.relay.meters.agent("alice").holders == 0


def test_acks_have_ids_that_sort_by_time() -> None:
    voice = World().relay.voice
    ids = [
        json.loads(voice.ack(Format.JSON, "a", "m", "ROUTED", WALL + n // 3))["messageId"] for n in range(9)
    ]
    assert ids == sorted(set(ids))


def test_acks_of_one_ms_have_ids_of_their_own_in_either_format_and_of_either_status() -> None:
    voice = Voice(secrets.token_bytes)
    wanted = [(fmt, status) for fmt in Format for status in ("ROUTED", "CLOSED", "ROUTED", "ROUTED")]
    ids: set[str] = set()
    for fmt, status in wanted:
        (found,) = decode(voice.ack(fmt, "alice", "m", status, WALL), fmt)
        assert isinstance(found, Decoded)
        assert found.envelope.content == {"messageId": "m", "status": status}
        ids.add(found.envelope.message_id)
    assert len(ids) == len(wanted)


@pytest.mark.parametrize("fmt", Format)
def test_an_ack_is_a_whole_envelope_in_either_format(fmt: Format) -> None:
    raw = World().relay.voice.ack(fmt, "Alice.2", "m:1", "ROUTED", WALL)
    (found,) = decode(raw, fmt)
    assert isinstance(found, Decoded)
    assert json_form(found.envelope) == {
        "messageId": found.envelope.message_id,
        "conversationId": "system",
        "senderId": "system",
        "recipientId": "Alice.2",
        "messageType": "ACK",
        "content": {"messageId": "m:1", "status": "ROUTED"},
        "timestamp": WALL,
        "metadata": {"priority": "NORMAL", "encrypted": False, "requiresResponse": False},
    }
    assert encode(found.envelope, fmt) == raw


# ------------------------------------------------------------------------------------------- arriving and leaving


def test_connected_tells_the_relays_figures() -> None:
    settings = Settings(
        relay_name="r",
        max_message_bytes=11,
        heartbeat_interval=22,
        idle_timeout=33,
        authentication_timeout=44,
    )
    world = World(settings)
    made = world.arrive()
    made.upgrade_requested(Format.JSON, "t", "alice", None, 1000)
    connected = made.authenticated(Grant("Alice", "key:x", WALL + 55), 1000)[-1]
    content = said(connected)["content"]
    assert content.pop("connectionId").startswith("conn_")
    assert content == {
        "agentId": "Alice",
        "heartbeatInterval": 22,
        "idleTimeout": 33,
        "maxMessageBytes": 11,
        "tokenExpiresAt": WALL + 55,
        "serverTime": WALL + 1000,
        "relayName": "r",
    }
    assert made.connection_id == said(connected)["content"]["connectionId"]
    assert isinstance(connected, Send)
    assert made.backlog.waiting == len(connected.data)


def test_the_settings_are_those_of_the_document() -> None:
    settings = Settings(relay_name="r")
    assert (settings.max_message_bytes, settings.heartbeat_interval, settings.idle_timeout) == (
        65_536,
        30_000,
        90_000,
    )
    assert (settings.authentication_timeout, settings.expiry_grace) == (10_000, 60_000)


def test_who_upgrades_without_a_token_has_ten_seconds_more_for_auth() -> None:
    world = World()
    made = world.arrive()
    assert made.ticked(10_999) == []
    made.upgrade_requested(Format.JSON, None, "", None, 5000)
    assert made.ticked(14_999) == []
    (close,) = made.ticked(15_000)
    assert isinstance(close, Close)
    assert (int(close.code), close.reason) == (4408, "no message in time")


def test_who_sends_no_upgrade_in_time_is_cut_off() -> None:
    world = World()
    made = world.arrive()
    assert made.ticked(10_999) == []
    assert told(made.ticked(11_000)) == ["? closed 4408"]


def test_a_connection_that_is_being_judged_hears_nothing_before_its_upgrade() -> None:
    made = World().arrive()
    assert made.received(b"{}", 1000) == []
    made.upgrade_requested(Format.JSON, "t", "alice", None, 1000)
    assert made.received(b"{}", 1000) == []
    assert told(made.authenticated(Grant("alice", "key:x", WALL), 1000)) == ["Accept", "alice: CONNECTED"]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "AUTHENTICATION_FAILED", "The token was not accepted."),
        (429, "RATE_LIMIT_EXCEEDED", "Too many connections from this address."),
        (503, "CONNECTION_LIMIT_EXCEEDED", "The relay takes no more connections now."),
    ],
)
def test_a_connection_that_is_not_taken_is_told_why(status: int, code: str, words: str) -> None:
    world = World()
    made = world.arrive()
    (refusal,) = made.upgrade_denied(status, 1000, 77)
    assert told([refusal]) == [f"refused {status}"]
    content = said(refusal)
    assert (content["errorCode"], content["message"], content["retryAfter"]) == (code, words, 77)
    assert content["serverTime"] == WALL + 1000
    assert made.state is State.CLOSED
    assert world.relay.counters.errors_total == {code: 1}


def test_an_address_whose_tokens_fail_too_often_is_not_judged_again_for_a_while() -> None:
    world = World(limits=Limits(address_failures_per_minute=60, address_failures_burst=1))
    first = world.arrive()
    first.upgrade_requested(Format.JSON, "bad", "alice", None, 1000)
    first.refused(1000)
    (refusal,) = world.arrive().upgrade_requested(Format.JSON, "good", "alice", None, 1000)
    assert told([refusal]) == ["refused 429"]
    assert said(refusal)["retryAfter"] == 1001
    third = world.arrive()
    third.upgrade_requested(Format.JSON, None, "", None, 1000)
    third.agent_id = "alice"
    auth = {"messageType": "AUTH", "content": {"token": "t", "agentId": "alice"}}
    assert told(world.send(third, **auth)) == ["alice: AUTHENTICATION_FAILED", "alice closed 4401"]
    world.now = 2001
    assert told(world.arrive().upgrade_requested(Format.JSON, "good", "alice", None, 2001)) == ["Verify"]


def test_a_good_token_costs_nothing() -> None:
    world = World(limits=Limits(address_failures_per_minute=0.001, address_failures_burst=1))
    for _ in range(3):
        world.open("alice")
    assert world.relay.counters.authentications_total == 3
    assert world.relay.counters.refused_authentications_total == 0


def test_a_renewal_that_is_good_costs_nothing_and_can_be_repeated() -> None:
    world = World(limits=Limits(address_failures_per_minute=0.001, address_failures_burst=1))
    alice = world.open("alice")
    for _ in range(3):
        assert told(world.send(alice, messageType="AUTH", content={"token": "t", "agentId": "ALICE"})) == [
            "Verify"
        ]
        assert told(alice.authenticated(Grant("alice", "key:x", WALL), world.now)) == ["alice: CONNECTED"]


def test_a_refused_token_after_the_upgrade_is_told_with_the_relays_time() -> None:
    world = World()
    made = world.arrive()
    made.upgrade_requested(Format.JSON, None, "", None, 1000)
    made.agent_id = "alice"
    world.send(made, messageType="AUTH", content={"token": "t", "agentId": "alice"})
    error, close = made.refused(1000)
    content = said(error)["content"]
    assert (content["errorCode"], content["message"]) == (
        "AUTHENTICATION_FAILED",
        "The token was not accepted.",
    )
    assert content["details"] == {"serverTime": WALL + 1000}
    assert isinstance(close, Close)
    assert (int(close.code), close.reason) == (4401, "authentication failed")
    assert world.relay.counters.refused_authentications_total == 1
    assert made.refused(1000) == []
    assert world.relay.counters.refused_authentications_total == 2


def test_before_anyone_has_authenticated_an_error_is_for_nobody() -> None:
    world = World()
    made = world.arrive()
    made.upgrade_requested(Format.JSON, None, "", None, 1000)
    error, _ = made.received(b"no JSON", 1000)
    assert said(error)["recipientId"] == "unknown"


@pytest.mark.parametrize(
    "changes",
    [
        {"messageType": "HEARTBEAT", "content": {"timestamp": 1}},
        {"content": {"token": "t", "agentId": "bob"}},
        {"senderId": "bob"},
        {"timestamp": -1},
        {"content": {"token": "t" * 70_000, "agentId": "alice"}},
    ],
)
def test_only_ones_own_auth_opens_a_connection(changes: dict[str, Any]) -> None:
    world = World()
    made = world.arrive()
    made.upgrade_requested(Format.JSON, None, "", None, 1000)
    auth = {"senderId": "alice", "messageType": "AUTH", "content": {"token": "t", "agentId": "alice"}}
    assert told(world.send(made, **{**auth, **changes})) == ["?: AUTHENTICATION_FAILED", "? closed 4401"]


def test_auth_on_a_live_connection_cannot_change_its_agent() -> None:
    world = World()
    alice = world.open("alice")
    commands = world.send(alice, messageType="AUTH", content={"token": "t", "agentId": "bob"})
    assert told(commands) == ["alice: AUTHENTICATION_FAILED", "alice closed 4401"]


def test_a_verdict_that_comes_after_the_end_is_counted_and_changes_nothing() -> None:
    world = World()
    made = world.arrive()
    made.upgrade_requested(Format.JSON, "t", "alice", None, 1000)
    assert made.lost(1000) == []
    assert made.authenticated(Grant("alice", "key:x", WALL), 1000) == []
    assert made.refused(1000) == []
    assert world.relay.router.find("alice") is None
    assert (world.relay.meters.open, world.relay.meters.unauthenticated) == (0, 0)
    assert (made.address.open, made.address.unauthenticated) == (0, 0)


def test_open_connections_are_counted_by_relay_and_address() -> None:
    world = World()
    alice = world.open("alice")
    world.arrive()
    meters = world.relay.meters
    assert (meters.open, meters.unauthenticated) == (2, 1)
    assert (alice.address.open, alice.address.unauthenticated) == (2, 1)
    assert meters.agent("alice").holders == 1
    alice.lost(1000)
    assert (meters.open, meters.unauthenticated) == (1, 1)
    assert meters.agent("alice").holders == 0


def test_a_connection_behind_a_proxy_counts_for_the_address_that_the_proxy_names() -> None:
    world = World()
    made = world.arrive()
    before, after = made.address, world.relay.meters.address("198.51.100.7")
    made.move(after)
    assert made.address is after
    assert (before.open, before.unauthenticated, after.open, after.unauthenticated) == (0, 0, 1, 1)
    assert (world.relay.meters.open, world.relay.meters.unauthenticated) == (1, 1)


def test_a_frame_of_the_other_type_ends_the_connection() -> None:
    world = World()
    (close,) = world.open("alice").wrong_frame_type(1000)
    assert isinstance(close, Close)
    assert (int(close.code), close.reason) == (4400, "the subprotocol has another frame type")


def test_a_revoked_agent_is_told_and_closed() -> None:
    world = World()
    error, close = world.open("alice").revoked(1000)
    assert said(error)["content"]["message"] == "The token was not accepted."
    assert told([error, close]) == ["alice: AUTHENTICATION_FAILED", "alice closed 4401"]


def test_who_is_connected_is_warned_before_the_relay_goes_away() -> None:
    world = World()
    (error,) = world.open("alice").warned(1234, 1000)
    content = said(error)["content"]
    assert (content["errorCode"], content["retryAfter"]) == ("CONNECTION_ERROR", 1234)
    assert content["message"] == "The relay is going away; connect again in a while."
    assert world.arrive().warned(1234, 1000) == []


def test_an_expired_token_is_told_in_words() -> None:
    world = World()
    alice = world.open("alice", WALL)
    error, close = alice.ticked(60_000)
    assert said(error)["content"]["message"] == "The token has expired."
    assert isinstance(close, Close)
    assert close.reason == "token expired"


def test_a_connection_that_never_opened_has_no_token_to_expire() -> None:
    world = World(Settings(relay_name="test", authentication_timeout=10**9))
    made = world.arrive()
    assert made.ticked(10**8) == []


# ------------------------------------------------------------------------------------------- the small print


def test_a_new_relays_clock_has_no_offset() -> None:
    world = World()
    assert Relay(world.relay.settings, world.relay.meters, bytes).wall_offset == 0


def test_an_agent_whose_connection_was_replaced_still_holds_one() -> None:
    world = World()
    world.open("alice")
    world.open("alice")
    assert world.relay.meters.agent("alice").holders == 1


def test_the_first_message_may_be_no_larger_than_any_other() -> None:
    world = World(Settings(relay_name="test", max_message_bytes=300))
    alice = world.arrive()
    alice.upgrade_requested(Format.JSON, None, "", None, 1000)
    alice.agent_id = "alice"
    content = {"token": "t" * 300, "agentId": "alice"}
    assert told(world.send(alice, messageType="AUTH", content=content))[-1] == "alice closed 4401"


def test_a_new_connection_speaks_json_over_its_link() -> None:
    world = World()
    link = Nowhere()
    made = Connection(world.relay, link, world.relay.meters.address("192.0.2.1"), 1000)
    assert (made.link, made.format) == (link, Format.JSON)


def test_a_closed_connection_takes_no_event_that_opens_it() -> None:
    alice = World().open("alice")
    alice.lost(1000)
    with pytest.raises(IllegalTransition, match="CLOSED to AWAITING"):
        alice.upgrade_requested(Format.JSON, None, "", None, 1000)


def test_a_closed_connection_hears_no_ticks() -> None:
    world = World()
    alice = world.open("alice", WALL)
    alice.backlog.waiting = 2**40
    alice.lost(1000)
    assert alice.ticked(10**9) == []


def test_what_was_held_is_let_go_with_the_connection() -> None:
    world = World()
    made = world.arrive()
    made.upgrade_requested(Format.JSON, None, "", None, 1000)
    made.agent_id = "alice"
    world.send(made, messageType="AUTH", content={"token": "t", "agentId": "alice"})
    world.send(made)
    made.lost(1000)
    assert made._held == []


def test_a_good_token_gives_back_no_more_than_it_took() -> None:
    world = World(limits=Limits(address_failures_per_minute=0.001, address_failures_burst=2))
    first = world.arrive()
    first.upgrade_requested(Format.JSON, "bad", "alice", None, 1000)
    first.refused(1000)
    world.open("alice")
    assert told(world.arrive().upgrade_requested(Format.JSON, "t", "bob", None, 1000)) == ["Verify"]
    assert told(world.arrive().upgrade_requested(Format.JSON, "t", "bob", None, 1000)) == ["refused 429"]


def test_who_came_in_by_auth_can_renew_by_auth() -> None:
    world = World()
    made = world.arrive()
    made.upgrade_requested(Format.JSON, None, "", None, 1000)
    made.agent_id = "alice"
    auth = {"messageType": "AUTH", "content": {"token": "t", "agentId": "alice"}}
    assert told(world.send(made, **auth)) == ["Verify"]
    assert told(made.authenticated(Grant("alice", "key:x", WALL), 1000)) == ["alice: CONNECTED"]
    assert told(world.send(made, **auth)) == ["Verify"]


@pytest.mark.parametrize("first_is_auth", [True, False])
def test_of_a_batch_that_opens_a_connection_the_first_element_counts(first_is_auth: bool) -> None:
    world = World()
    made = world.arrive()
    made.upgrade_requested(Format.JSON, None, "", None, 1000)
    made.agent_id = "alice"
    auth = world.envelope(made, messageType="AUTH", content={"token": "t", "agentId": "alice"})
    elements = [auth, world.envelope(made)] if first_is_auth else [world.envelope(made), auth]
    commands = made.received(json.dumps(elements).encode(), 1000)
    assert told(commands) == (
        ["Verify"] if first_is_auth else ["alice: AUTHENTICATION_FAILED", "alice closed 4401"]
    )


def in_msgpack(world: World, connection: Connection, **fields: Any) -> list[Command]:
    """What follows when a connection that speaks msgpack sends an envelope."""
    fields = {"metadata": {"priority": "LOW", "encrypted": False, "requiresResponse": False}, **fields}
    whole = world.envelope(connection, **fields)
    return connection.received(msgspec.msgpack.encode(whole), world.now)


def test_whatever_the_relay_says_is_in_the_listeners_format_for_the_listener_and_of_now() -> None:
    world = World()
    arriving = world.arrive()
    arriving.upgrade_requested(Format.MSGPACK, "t", "alice", None, world.now)
    commands = arriving.authenticated(Grant("alice", "key:x", WALL + 3_600_000), world.now)
    alice, bob = arriving, world.open("bob")
    world.now += 17
    commands += in_msgpack(world, alice)
    commands += in_msgpack(world, alice, recipientId="bob", messageType="HANDSHAKE", content={})
    commands += in_msgpack(world, alice, recipientId="nobody", messageType="DISCONNECT", content={})
    commands += in_msgpack(world, alice, messageType="PRESENCE", content={"watch": ["bob"]})
    commands += world.send(bob, messageType="PRESENCE", content={"watch": ["alice"]})
    commands += in_msgpack(world, alice, messageType="PRESENCE", content={"status": "ONLINE", "agentId": "x"})
    commands += in_msgpack(world, alice, messageType="DISCONNECT", content={})
    heard = [decode(c.data, Format.MSGPACK)[0] for c in commands if isinstance(c, Send) and c.to is alice]
    told_of: list[str] = []
    for message in heard:
        assert isinstance(message, Decoded), message
        envelope = message.envelope
        assert (envelope.sender_id, envelope.recipient_id) == ("system", "alice")
        told_of.append(f"{envelope.message_type.value} {envelope.timestamp - WALL}")
    assert told_of == [
        "CONNECTED 1000",
        "HEARTBEAT 1017",
        "ERROR 1017",  # a HANDSHAKE without content
        "ERROR 1017",  # nobody there
        "PRESENCE 1017",  # bob, who watches in turn
        "ERROR 1017",  # a PRESENCE that only the relay says
        "ACK 1017",
    ]
