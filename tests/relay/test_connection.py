"""The connection's state machine, without sockets: events in, commands out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay.auth.grant import Grant
from relay.commands import Accept, Close, Command, Refuse, Send, Verify
from relay.connection import Connection, IllegalTransition, Relay, Settings, State
from relay.limits import Limits, Meters
from relay.wire.codec import Format
from relay.wire.errors import CloseCode

WALL = 1_750_000_000_000


class Nowhere:
    """A link that is carried, never called."""

    def send(self, data: bytes) -> None:
        raise AssertionError("the core calls no link")

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("the core calls no link")


class World:
    """A relay's core, and a clock in hand."""

    def __init__(self, settings: Settings | None = None, limits: Limits | None = None) -> None:
        self.relay = Relay(settings or Settings(relay_name="test"), Meters(limits or Limits()), bytes)
        self.relay.wall_offset = WALL
        self.now = 1000

    def arrive(self) -> Connection:
        return Connection(self.relay, Nowhere(), self.relay.meters.address("192.0.2.1"), self.now)

    def open(self, agent_id: str, expires_at: int = WALL + 3_600_000) -> Connection:
        made = self.arrive()
        made.upgrade_requested(Format.JSON, "t", agent_id, None, self.now)
        made.authenticated(Grant(agent_id, "key:x", expires_at), self.now)
        made.backlog.waiting = 0
        return made

    def send(self, connection: Connection, **fields: Any) -> list[Command]:
        envelope = {
            "messageId": "msg_1",
            "conversationId": "c",
            "senderId": connection.agent_id,
            "recipientId": "system",
            "messageType": "HEARTBEAT",
            "content": {"timestamp": 1},
            "timestamp": 1,
            "metadata": {"priority": "LOW", "encrypted": False, "requiresResponse": False},
        }
        return connection.received(json.dumps({**envelope, **fields}).encode(), self.now)


def told(commands: list[Command]) -> list[str]:
    """The commands in short: whom what is said to, or what happens."""
    found = []
    for command in commands:
        match command:
            case Send(to=to, data=data):
                said = json.loads(data)
                content = said["content"]
                word = content.get("errorCode") or content.get("status") or said["messageType"]
                found.append(f"{to.agent_id or '?'}: {word}")
            case Close(to=to, code=code):
                found.append(f"{to.agent_id or '?'} closed {int(code)}")
            case Refuse(status=status):
                found.append(f"refused {status}")
            case _:
                found.append(type(command).__name__)
    return found


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
