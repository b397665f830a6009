"""A message for an agent at another relay: the same rules and the same answers as at one relay."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from relay import forwards
from relay.commands import Command, Publish, Send
from relay.forwards import ANSWER_MS
from relay.limits import Limits
from relay.notes import agent_subject, back_subject
from relay.outcome import Outcome
from relay.wire.codec import Format, decode, encode
from relay.wire.envelope import Envelope
from relay.wire.errors import WireError
from tests.relay.core import World, said
from tests.relay.mesh import Mesh
from tests.relay.test_connection_routing import KNOCK, QUERY

CONNECTED = {
    "connectionId": "c",
    "agentId": "alice",
    "heartbeatInterval": 1,
    "idleTimeout": 1,
    "maxMessageBytes": 1,
    "tokenExpiresAt": 1,
    "serverTime": 1,
    "relayName": "r",
}
SLOW = Limits(queue_bytes=1000, queue_bytes_max=2000)


def raw(world: World, sender: Any, **fields: Any) -> bytes:
    return json.dumps(world.envelope(sender, **{**QUERY, **fields})).encode()


def answer(mesh: Mesh, name: str, number: int, outcome: Outcome) -> list[Command]:
    return mesh.nodes[name].answered(number, outcome, mesh.worlds[name].now)


def errors(mesh: Mesh, name: str) -> dict[str, int]:
    return mesh.worlds[name].relay.counters.errors_total


# ------------------------------------------------------------------------------------------- on the way


@pytest.mark.parametrize("spelling", ["bob.b", "BOB.B"])
def test_a_message_reaches_an_agent_at_another_relay_and_its_sender_is_told(spelling: str) -> None:
    mesh = Mesh("abc")
    alice, bob = mesh.connect("a", "alice"), mesh.connect("b", "Bob.B")
    assert mesh.send(alice, **{**QUERY, "recipientId": spelling}) == ["Bob.B: ENCRYPTED", "alice: ROUTED"]
    mesh.send(alice, **{**QUERY, "recipientId": spelling})
    counters = [world.relay.counters for world in mesh.worlds.values()]
    assert [each.messages_forwarded_total for each in counters] == [2, 0, 0]
    assert [each.messages_received_total for each in counters] == [0, 2, 0]
    assert [each.messages_routed_total for each in counters] == [0, 2, 0]
    assert [each.unanswered_forwards_total for each in counters] == [0, 0, 0]
    assert counters[1].bytes_routed_total == bob.backlog.waiting > 0


def test_what_crosses_is_the_envelope_byte_for_byte_and_nothing_else() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    frame = json.dumps(mesh.worlds["a"].envelope(alice, **QUERY), indent=1).encode()
    mesh.run("a", alice.received(frame, 1000))
    node = mesh.nodes["a"].node
    assert mesh.held == [("a", Publish(agent_subject("bob"), frame, back_subject(node, 1)))]


def test_whoever_is_connected_here_is_never_looked_for_elsewhere() -> None:
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice"), mesh.connect("a", "bob")
    mesh.held = []
    assert mesh.send(alice, **QUERY) == ["bob: ENCRYPTED", "alice: ROUTED"]
    assert mesh.held == []


def test_an_unwilling_recipient_here_is_not_looked_for_elsewhere() -> None:
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice"), mesh.connect("a", "bob", "carol")
    mesh.held = []
    assert mesh.send(alice, **QUERY) == ["alice: RECIPIENT_NOT_FOUND"]
    assert mesh.held == []


@pytest.mark.parametrize("fmt", Format)
@pytest.mark.parametrize("other", Format)
def test_a_message_is_written_in_its_recipients_format(fmt: Format, other: Format) -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice"), mesh.connect("b", "bob", fmt=other)
    form = mesh.worlds["a"].envelope(alice, **QUERY)
    data = encode(msgspec.convert(form, Envelope), fmt)
    outcome, (passed,) = mesh.nodes["b"].asked("bob", data, 1000)
    assert outcome is Outcome.ROUTED
    assert isinstance(passed, Send)
    assert passed.to is bob
    (found,) = decode(passed.data, other)
    assert not isinstance(found, WireError)
    assert found.envelope.content == QUERY["content"]
    assert bob.backlog.waiting == len(passed.data)
    if fmt is other:
        assert passed.data == data


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
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob")
    found = mesh.send(alice, messageType=kind, recipientId="bob", content=content)
    assert len(found) == 1
    assert found[0].startswith("bob: ")


def test_the_elements_of_a_batch_arrive_in_order() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice"), mesh.connect("b", "bob")
    mesh.held = []
    mesh.batch(alice, *({**QUERY, "messageId": f"msg_{number}"} for number in range(5)))
    order = [json.loads(command.data)["messageId"] for _, command in mesh.held]
    assert order == [f"msg_{number}" for number in range(5)]
    assert mesh.release() == ["bob: ENCRYPTED", "alice: ROUTED"] * 5
    assert bob.state.name == "OPEN"


# ------------------------------------------------------------------------------------------- why not


def test_nobody_unwilling_and_unknown_read_the_same() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice"), mesh.connect("b", "bob", "carol")
    found = []
    for name in ("bob", "nobody"):
        mesh.held = []
        mesh.send(alice, **{**QUERY, "recipientId": name})
        outcome = mesh.nodes["b"].asked(name, mesh.held[0][1].data, 1000)
        assert outcome == (Outcome.ABSENT, [])
        number = int(mesh.held[0][1].reply.rpartition(".")[2])
        (error,) = answer(mesh, "a", number, Outcome.ABSENT)
        content = said(error)["content"]
        assert content["details"].pop("originalMessageId") == "msg_q"
        found.append(content)
    assert found[0] == found[1]
    assert found[0]["errorCode"] == "RECIPIENT_NOT_FOUND"
    alone = World()
    (error,) = alone.send(alone.open("alice"), **QUERY)
    content = said(error)["content"]
    del content["details"]["originalMessageId"]
    assert content == found[0]
    assert bob.backlog.waiting == 0


def test_who_watches_others_hears_of_strangers_elsewhere_only_handshakes() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "Alice"), mesh.connect("b", "bob", "carol")
    assert mesh.send(alice, **QUERY) == ["Alice: RECIPIENT_NOT_FOUND"]
    assert mesh.send(alice, **KNOCK) == ["bob: HANDSHAKE", "Alice: ROUTED"]
    mesh.watch(bob, "alice")
    assert mesh.send(alice, **QUERY) == ["bob: ENCRYPTED", "Alice: ROUTED"]


def test_a_slow_reader_elsewhere_is_told_as_one_here() -> None:
    mesh = Mesh(limits=SLOW)
    alice, bob = mesh.connect("a", "alice"), mesh.connect("b", "bob")
    bob.backlog.waiting = 900
    mesh.held = []
    mesh.send(alice, **QUERY)
    assert mesh.nodes["b"].asked("bob", mesh.held[0][1].data, 1000) == (Outcome.SLOW, [])
    assert bob.backlog.waiting == 900
    (error,) = answer(mesh, "a", 1, Outcome.SLOW)
    content = said(error)["content"]
    assert (content["errorCode"], content["recoverable"]) == ("MESSAGE_ERROR", True)
    assert content["retryAfter"] > 0
    assert content["details"] == {"originalMessageId": "msg_q", "reason": "The recipient reads too slowly."}
    assert mesh.worlds["b"].relay.counters.messages_received_total == 0


def unknown(error: Command) -> None:
    content = said(error)["content"]
    assert (content["errorCode"], content["recoverable"]) == ("MESSAGE_ERROR", True)
    assert content["retryAfter"] > 0
    reason = "The recipient's relay does not answer."
    assert content["message"] == reason
    assert content["details"] == {"originalMessageId": "msg_q", "reason": reason}


def test_no_answer_in_time_is_told_as_not_known_and_a_late_one_changes_nothing() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    mesh.send(alice, **QUERY)
    node, world = mesh.nodes["a"], mesh.worlds["a"]
    mesh.send(alice, **QUERY)
    world.now += 1
    mesh.send(alice, **QUERY)
    assert [c for c in node.ticked(world.now + ANSWER_MS - 2) if isinstance(c, Send)] == []
    errors = [c for c in node.ticked(world.now + ANSWER_MS - 1) if isinstance(c, Send)]
    assert len(errors) == 2
    for error in errors:
        unknown(error)
    assert world.relay.counters.unanswered_forwards_total == 2
    assert answer(mesh, "a", 1, Outcome.ROUTED) == []
    assert len(answer(mesh, "a", 3, Outcome.ROUTED)) == 1


def test_a_second_answer_changes_nothing() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    mesh.send(alice, **QUERY)
    assert len(answer(mesh, "a", 1, Outcome.ROUTED)) == 1
    assert answer(mesh, "a", 1, Outcome.ABSENT) == []
    assert answer(mesh, "a", 2, Outcome.ROUTED) == []


def test_what_was_under_way_when_nats_went_is_not_known_and_what_comes_then_too() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    mesh.send(alice, **QUERY)
    mesh.send(alice, **QUERY)
    both = mesh.nodes["a"].cut_off(1000)
    assert len(both) == 2
    for error in both:
        unknown(error)
    (error,) = mesh.worlds["a"].send(alice, **QUERY)
    unknown(error)
    counters = mesh.worlds["a"].relay.counters
    assert (counters.messages_forwarded_total, counters.unanswered_forwards_total) == (2, 2)
    mesh.nodes["a"].joined()
    (published,) = mesh.worlds["a"].send(alice, **QUERY)
    assert isinstance(published, Publish)


def test_a_sender_that_has_gone_is_told_nothing() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    mesh.send(alice, **QUERY)
    mesh.lose(alice)
    assert answer(mesh, "a", 1, Outcome.ROUTED) == []


@pytest.mark.parametrize(("name", "most"), [("MAX_FORWARDS", 2), ("MAX_FORWARDED_BYTES", 2000)])
def test_more_than_may_be_under_way_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(forwards, name, most)
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    for _ in range(2):
        assert mesh.send(alice, **QUERY) == []
    assert mesh.send(alice, **QUERY) == ["alice: MESSAGE_ERROR"]
    answer(mesh, "a", 1, Outcome.ROUTED)
    assert mesh.send(alice, **QUERY) == []
    assert mesh.send(alice, **QUERY) == ["alice: MESSAGE_ERROR"]
    mesh.nodes["a"].cut_off(1000)
    mesh.nodes["a"].joined()
    assert mesh.send(alice, **QUERY) == []
    mesh.tick(ANSWER_MS, "a")
    for _ in range(2):
        assert mesh.send(alice, **QUERY) == []


@pytest.mark.parametrize(("less", "taken"), [(0, [0, 0, 1]), (1, [0, 1, 1])])
@pytest.mark.parametrize("outages", [0, 1])
def test_exactly_so_many_bytes_may_be_under_way(
    monkeypatch: pytest.MonkeyPatch, less: int, taken: list[int], outages: int
) -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    frame = raw(mesh.worlds["a"], alice)
    for _ in range(outages):
        mesh.run("a", alice.received(frame, 1000))
        mesh.nodes["a"].cut_off(1000)
        mesh.nodes["a"].joined()
    monkeypatch.setattr(forwards, "MAX_FORWARDED_BYTES", 2 * len(frame) - less)
    assert [len(mesh.run("a", alice.received(frame, 1000))) for _ in range(3)] == taken


def test_the_figures_are_those_of_the_documents() -> None:
    assert forwards.ANSWER_MS == 5000
    assert (forwards.MAX_FORWARDS, forwards.MAX_FORWARDED_BYTES) == (20_000, 32 * 1024 * 1024)


# ------------------------------------------------------------------------------------------- knocks


FEW = Limits(handshakes_burst=2, handshakes_per_minute=60)


def test_handshakes_to_strangers_elsewhere_are_few() -> None:
    mesh = Mesh(limits=FEW)
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob")
    for target in ("bob", "nobody"):
        assert "RATE" not in mesh.send(alice, **{**KNOCK, "recipientId": target})[-1]
    assert mesh.send(alice, **KNOCK) == ["alice: RATE_LIMIT_EXCEEDED"]
    assert mesh.worlds["a"].relay.counters.messages_forwarded_total == 2


def test_handshakes_to_those_elsewhere_who_watch_the_sender_are_not_counted() -> None:
    mesh = Mesh(limits=FEW)
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob", "alice")
    for _ in range(9):
        assert mesh.send(alice, **KNOCK) == ["bob: HANDSHAKE", "alice: ROUTED"]


def test_a_knock_that_was_expected_gives_back_no_more_than_itself() -> None:
    mesh = Mesh(limits=FEW)
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob", "alice")
    nobody = {**KNOCK, "recipientId": "nobody"}
    assert mesh.send(alice, **nobody) == ["alice: RECIPIENT_NOT_FOUND"]
    assert mesh.send(alice, **KNOCK) == ["bob: HANDSHAKE", "alice: ROUTED"]
    assert mesh.send(alice, **nobody) == ["alice: RECIPIENT_NOT_FOUND"]
    assert mesh.send(alice, **nobody) == ["alice: RATE_LIMIT_EXCEEDED"]


def test_a_friend_elsewhere_is_knocked_at_though_all_knocks_are_spent() -> None:
    mesh = Mesh(limits=FEW)
    alice, _ = mesh.connect("a", "alice", "bob"), mesh.connect("b", "bob", "alice")
    for _ in range(3):
        mesh.send(alice, **{**KNOCK, "recipientId": "nobody"})
    assert mesh.send(alice, **{**KNOCK, "recipientId": "BOB"}) == ["bob: HANDSHAKE", "alice: ROUTED"]


def test_a_stranger_who_is_let_in_to_knock_is_not_expected() -> None:
    mesh = Mesh(limits=FEW)
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob", "carol")
    for _ in range(2):
        assert mesh.send(alice, **KNOCK) == ["bob: HANDSHAKE", "alice: ROUTED"]
    assert mesh.send(alice, **KNOCK) == ["alice: RATE_LIMIT_EXCEEDED"]


def test_other_messages_give_no_knock_back() -> None:
    mesh = Mesh(limits=FEW)
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob", "alice")
    for _ in range(2):
        mesh.send(alice, **{**KNOCK, "recipientId": "nobody"})
    assert mesh.send(alice, **QUERY) == ["bob: ENCRYPTED", "alice: ROUTED"]
    assert mesh.send(alice, **{**KNOCK, "recipientId": "nobody"}) == ["alice: RATE_LIMIT_EXCEEDED"]


# ------------------------------------------------------------------------------------------- what may come


def test_what_is_no_message_for_that_agent_is_counted_and_dropped() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice"), mesh.connect("b", "bob")
    world = mesh.worlds["a"]
    good = raw(world, alice)
    presence = {"messageType": "PRESENCE", "content": {"agentId": "alice", "status": "ONLINE"}}
    bad = [
        b"",
        b"nonsense",
        b"\xff\xfe",
        good[:-1],
        b"[" + good + b"," + good + b"]",
        raw(world, alice, recipientId="carol"),
        raw(world, alice, senderId="system"),
        raw(world, alice, **presence),
        raw(world, alice, messageType="CONNECTED", content=CONNECTED),
        raw(world, alice, messageType="AUTH", content={"token": "t", "agentId": "alice"}),
        raw(world, alice, timestamp=-1),
    ]
    for data in bad:
        assert mesh.nodes["b"].asked("bob", data, 1000) == (None, [])
    assert mesh.worlds["b"].relay.counters.malformed_notes_total == len(bad)
    assert mesh.nodes["b"].asked("bob", good, 1000)[0] is Outcome.ROUTED
    assert bob.backlog.waiting == len(good)


def test_a_message_as_large_as_any_relay_takes_is_taken_from_another() -> None:
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob")
    content = {**QUERY["content"], "encryptedData": "A" * 400_000}
    assert (
        mesh.nodes["b"].asked("bob", raw(mesh.worlds["a"], alice, content=content), 1000)[0] is Outcome.ROUTED
    )
