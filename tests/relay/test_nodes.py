"""Several relays as one, without NATS and sockets: who is newer, who watches whom, who fell silent."""

from __future__ import annotations

from typing import Any

import pytest

from relay import nodes
from relay.auth.grant import Grant
from relay.commands import Listen, Publish
from relay.limits import Limits
from relay.nodes import SILENT_MS, Nodes
from relay.notes import (
    NOTES,
    Beat,
    Bye,
    Gone,
    Hello,
    Here,
    Seen,
    Stamp,
    There,
    read,
    write,
)
from relay.wire.codec import Format
from relay.wire.envelope import MAX_INTEGER
from relay.wire.errors import CloseCode
from tests.relay.core import WALL, World
from tests.relay.mesh import Mesh

SOMEONE = "ab" * 8
OTHER = "cd" * 8


def hear(mesh: Mesh, name: str, note: Any) -> list[str]:
    """A note of a relay that is not one of the mesh."""
    return mesh.run(name, mesh.nodes[name].heard(write(note), mesh.worlds[name].now))


def stamp_of(mesh: Mesh, key: str) -> Stamp:
    (found,) = [node._here[key].stamp for node in mesh.nodes.values() if key in node._here]
    return found


def said(mesh: Mesh, name: str, key: str) -> Here:
    """The announcement of an agent at a relay."""
    node = mesh.nodes[name]
    return node._announcement(node._here[key])


# ------------------------------------------------------------------------------------------- newest wins


def test_a_newer_connection_at_another_relay_closes_the_older_one() -> None:
    mesh = Mesh()
    old, _ = mesh.open("a", "Alice")
    new, found = mesh.open("b", "alice")
    assert found == ["Alice closed 4409"]
    assert (old.state.name, new.state.name) == ("CLOSED", "OPEN")
    assert mesh.worlds["a"].relay.router.find("alice") is None


def test_it_is_newer_though_its_relays_clock_is_behind() -> None:
    mesh = Mesh()
    mesh.worlds["a"].relay.wall_offset += 3_600_000
    mesh.open("a", "alice")
    _, found = mesh.open("b", "alice")
    assert found == ["alice closed 4409"]
    assert mesh.worlds["b"].relay.router.find("alice") is not None
    _, found = mesh.open("b", "alice")
    assert found == ["alice closed 4409"]


def test_a_relay_that_came_later_learns_the_time_from_a_beat() -> None:
    mesh = Mesh()
    mesh.nodes["b"].cut_off(0)
    mesh.worlds["a"].relay.wall_offset += 3_600_000
    mesh.open("a", "alice")
    mesh.run("b", mesh.nodes["b"].joined())
    mesh.tick(1000, "a")
    mesh.tick(1000, "a")
    _, found = mesh.open("b", "alice")
    assert found == ["alice closed 4409"]
    assert mesh.worlds["b"].relay.router.find("alice") is not None


def test_a_clock_beyond_reason_is_followed_for_a_day_only() -> None:
    mesh = Mesh()
    hear(mesh, "a", Beat(SOMEONE, MAX_INTEGER))
    mesh.open("a", "alice")
    assert stamp_of(mesh, "alice").clock == WALL + 1000 + 86_400_000 + 1
    _, found = mesh.open("b", "alice")
    assert found == ["alice closed 4409"]


def test_of_two_simultaneous_connections_exactly_one_stays() -> None:
    mesh = Mesh()
    mesh.held = []
    mesh.open("a", "alice")
    mesh.open("b", "alice")
    assert mesh.release() == ["alice closed 4409"]
    left = [name for name, world in mesh.worlds.items() if world.relay.router.find("alice")]
    assert len(left) == 1


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_which_of_them_stays_does_not_depend_on_who_hears_first(order: str) -> None:
    mesh = Mesh()
    mesh.held = []
    for name in "ab":
        mesh.open(name, "alice")
    first, second = said(mesh, "a", "alice"), said(mesh, "b", "alice")
    newer = "a" if (first.clock, first.connection) > (second.clock, second.connection) else "b"
    mesh.held = sorted(mesh.held, key=lambda each: order.index(each[0]))
    mesh.release()
    assert [name for name in "ab" if mesh.worlds[name].relay.router.find("alice")] == [newer]


def test_an_older_connection_that_comes_to_light_is_told_that_it_is_older() -> None:
    mesh = Mesh()
    mesh.nodes["a"].cut_off(0)
    mesh.open("a", "alice")
    mesh.worlds["b"].now += 10
    mesh.open("b", "alice")
    mesh.run("a", mesh.nodes["a"].joined())
    assert mesh.tick() == ["alice closed 4409"]
    assert mesh.worlds["b"].relay.router.find("alice") is not None


def test_ones_own_announcement_under_another_relays_name_changes_nothing() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    own = said(mesh, "a", "alice")
    mesh.held = []
    echo = Here(SOMEONE, own.agent, own.clock, own.connection, own.watch)
    assert hear(mesh, "a", echo) == []
    assert mesh.held == []


def test_a_relay_listens_for_the_agents_that_are_here() -> None:
    world = World()
    node = world.relay.nodes = Nodes(world.relay, bytes)
    made = world.arrive()
    made.upgrade_requested(Format.JSON, "t", "Alice", None, world.now)
    commands = made.authenticated(Grant("Alice", "key:x", WALL + 3_600_000), world.now)
    assert [command for command in commands if isinstance(command, Listen | Publish)] == [Listen("alice")]
    assert node._here["alice"].stamp.clock == WALL + 1000
    world.send(made, messageType="PRESENCE", content={"watch": ["bob"]})
    assert made.lost(world.now) == [Listen("alice")]
    node.joined()
    made = world.open("Alice")
    world.send(made, messageType="PRESENCE", content={"watch": ["bob"]})
    listen, published = made.lost(world.now)
    assert listen == Listen("alice")
    assert isinstance(published, Publish)
    assert isinstance(read(published.data), Gone)


def test_a_relay_that_has_not_joined_says_nothing_and_begins_with_hello() -> None:
    world = World()
    node = world.relay.nodes = Nodes(world.relay, bytes)
    world.open("alice")
    assert node.ticked(1000) == node.leaving() == []
    other = Nodes(World().relay, bytes)
    (hello,) = other.joined()
    assert hello == Publish(NOTES, write(Hello("00" * 8, 0)), "")
    assert other.ticked(0) == [Publish(NOTES, write(Beat("00" * 8, 0)), "")]


def test_the_figures_are_those_of_the_documents() -> None:
    assert (nodes.BEAT_MS, nodes.SILENT_MS) == (1000, 5000)
    assert (nodes.ANNOUNCED_AT_ONCE, nodes.MAX_NODES) == (1000, 1000)


# ------------------------------------------------------------------------------------------- presence


def test_two_who_watch_each_other_are_told_across_relays_once() -> None:
    mesh = Mesh("abc")
    alice, bob = mesh.connect("a", "Alice"), mesh.connect("b", "Bob")
    assert mesh.watch(alice, "bob", "carol") == []
    assert mesh.watch(bob, "ALICE") == ["Alice: ONLINE", "Bob: ONLINE"]
    assert mesh.watch(bob, "ALICE") == ["Bob: ONLINE"]  # asked again, told again


def test_two_who_begin_to_watch_each_other_at_once_are_told_once() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice"), mesh.connect("b", "bob")
    mesh.held = []
    mesh.watch(alice, "bob")
    mesh.watch(bob, "alice")
    assert sorted(mesh.release()) == ["alice: ONLINE", "bob: ONLINE"]


def test_who_is_watched_and_does_not_watch_back_is_told_nothing_and_tells_nothing() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice", "bob"), mesh.connect("b", "bob", "carol")
    assert mesh.lose(bob) == []
    assert mesh.lose(alice) == []


def test_who_goes_is_told_as_offline_at_other_relays() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob", "carol")
    bob, _ = mesh.connect("b", "bob", "alice"), mesh.connect("b", "carol", "alice")
    assert mesh.lose(bob) == ["alice: OFFLINE"]
    assert mesh.lose(mesh.connect("b", "bob")) == []


def test_who_goes_is_told_as_offline_here_and_there() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice", "bob", "dora")
    mesh.connect("a", "dora", "alice"), mesh.connect("b", "bob", "alice")
    assert mesh.lose(alice) == ["dora: OFFLINE", "bob: OFFLINE"]


def test_who_is_no_longer_watched_is_told_and_the_other_is_not() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice", "bob"), mesh.connect("b", "bob", "alice")
    assert mesh.watch(alice, "carol") == ["bob: OFFLINE"]
    assert mesh.lose(bob) == []
    assert mesh.lose(alice) == []


def test_who_asks_again_is_told_at_once_of_friends_that_are_known() -> None:
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice", "bob"), mesh.connect("b", "Bob", "alice")
    mesh.held = []
    assert mesh.watch(alice, "bob", "carol") == ["alice: ONLINE"]
    assert mesh.release() == []


def test_a_friend_of_two_here_stays_with_the_one_when_the_other_lets_go() -> None:
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice", "bob"), mesh.connect("a", "dora", "bob")
    bob = mesh.connect("b", "bob", "alice", "dora")
    assert mesh.watch(alice) == ["bob: OFFLINE"]
    assert mesh.lose(bob) == ["dora: OFFLINE"]


def test_a_friend_of_two_here_that_goes_is_told_to_both() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob"), mesh.connect("a", "dora", "bob")
    bob = mesh.connect("b", "bob", "alice", "dora")
    assert mesh.lose(bob) == ["alice: OFFLINE", "dora: OFFLINE"]


def test_nobody_answers_whom_nobody_watches_back() -> None:
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice"), mesh.connect("b", "bob", "carol")
    mesh.held = []
    mesh.watch(alice, "bob")
    held, mesh.held = mesh.held, []
    for name, command in held:
        mesh._carry(name, command)
    assert mesh.held == []


def test_an_answer_about_one_friend_of_two_is_news_to_the_other() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob", "carol"), mesh.connect("a", "dora", "bob")
    bob, carol = Seen("bob", 1, "conn_bob"), Seen("carol", 1, "conn_carol")
    alice, dora = stamp_of(mesh, "alice"), stamp_of(mesh, "dora")
    assert hear(mesh, "a", There(SOMEONE, "alice", alice.connection, (bob,))) == ["alice: ONLINE"]
    assert hear(mesh, "a", There(SOMEONE, "dora", dora.connection, (carol, bob))) == ["dora: ONLINE"]
    newer = Seen("bob", 2, "conn_newer")
    assert hear(mesh, "a", There(SOMEONE, "dora", dora.connection, (newer,))) == []
    assert hear(mesh, "a", Gone(SOMEONE, "bob", 1, "conn_bob")) == []
    assert hear(mesh, "a", Gone(SOMEONE, "bob", 2, "conn_newer")) == ["alice: OFFLINE", "dora: OFFLINE"]


def test_who_watches_again_is_told_again() -> None:
    mesh = Mesh()
    alice, _ = mesh.connect("a", "alice", "bob"), mesh.connect("b", "bob", "alice")
    mesh.watch(alice)
    assert mesh.watch(alice, "bob") == ["bob: ONLINE", "alice: ONLINE"]


def test_who_moves_to_another_relay_is_offline_until_it_watches_there() -> None:
    mesh = Mesh("abc")
    mesh.connect("a", "alice", "bob")
    mesh.connect("b", "bob", "alice")
    bob, found = mesh.open("c", "bob")
    assert sorted(found) == ["alice: OFFLINE", "bob closed 4409"]
    assert mesh.watch(bob, "alice") == ["alice: ONLINE", "bob: ONLINE"]


def test_who_moves_to_a_friends_relay_is_told_once_however_late_the_old_one_says_that_it_is_gone() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    mesh.connect("b", "bob", "alice")
    mesh.held = []
    bob, found = mesh.open("a", "bob")
    assert found == ["alice: OFFLINE"]
    assert mesh.watch(bob, "alice") == ["bob: ONLINE", "alice: ONLINE"]
    assert mesh.release() == ["bob closed 4409"]


def test_news_of_an_older_connection_do_not_harm_the_newer_one() -> None:
    mesh = Mesh("abc")
    alice = mesh.connect("a", "alice", "bob")
    mesh.connect("b", "bob", "alice")
    old = said(mesh, "b", "bob")
    mesh.connect("c", "bob", "alice")
    node = mesh.nodes["b"].node
    for note in (
        Gone(node, "bob", old.clock, old.connection),
        Here(node, "bob", old.clock, old.connection, ()),
        Here(node, "bob", old.clock, old.connection, None),
    ):
        assert hear(mesh, "a", note) == []
    stamp = stamp_of(mesh, "alice")
    seen = Seen("Bob", old.clock, old.connection)
    assert hear(mesh, "a", There(node, "alice", stamp.connection, (seen,))) == []
    assert mesh.nodes["a"].is_friend(alice, "bob")
    assert mesh.nodes["a"]._there["bob"].agent_id == "bob"


def test_a_newer_connection_that_watches_the_same_is_no_news_to_its_friends() -> None:
    mesh = Mesh("abc")
    mesh.connect("a", "alice", "bob")
    mesh.connect("b", "bob", "alice")
    old = said(mesh, "b", "bob")
    note = Here(SOMEONE, "bob", old.clock + 1, "conn_new", ("alice",))
    assert hear(mesh, "a", note) == []
    assert hear(mesh, "a", Gone(SOMEONE, "bob", old.clock, old.connection)) == []
    assert hear(mesh, "a", Gone(SOMEONE, "bob", old.clock + 1, "conn_new")) == ["alice: OFFLINE"]


def test_an_answer_is_for_the_connection_that_asked_and_for_those_whom_it_watches() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob", "dora")
    mesh.connect("a", "dora", "alice")
    stamp = stamp_of(mesh, "alice")
    bob, carol, dora = (Seen(name, 1, f"conn_{name}") for name in ("bob", "carol", "dora"))
    assert hear(mesh, "a", There(SOMEONE, "alice", "conn_other", (bob,))) == []
    assert hear(mesh, "a", There(SOMEONE, "zoe", stamp.connection, (bob,))) == []
    assert hear(mesh, "a", There(SOMEONE, "alice", stamp.connection, (carol, dora))) == []
    assert hear(mesh, "a", There(SOMEONE, "alice", stamp.connection, (bob,))) == ["alice: ONLINE"]
    assert hear(mesh, "a", There(SOMEONE, "alice", stamp.connection, (bob,))) == []


def test_nothing_is_kept_of_those_who_do_not_watch_each_other() -> None:
    mesh = Mesh()
    alice, bob = mesh.connect("a", "alice", "bob"), mesh.connect("b", "bob", "alice")
    mesh.connect("b", "carol", "alice", "dora")
    assert list(mesh.nodes["a"]._there) == ["bob"]
    mesh.watch(alice)
    mesh.lose(bob)
    assert [node._there for node in mesh.nodes.values()] == [{}, {}]
    mesh.watch(alice, "carol")
    mesh.lose(alice)
    assert [node._there for node in mesh.nodes.values()] == [{}, {}]


# ------------------------------------------------------------------------------------------- silence, outage


def test_a_silent_relay_is_gone_and_its_agents_with_it() -> None:
    mesh = Mesh("abc")
    mesh.connect("a", "alice", "bob", "carol")
    mesh.connect("b", "bob", "alice")
    mesh.connect("c", "carol", "alice")
    mesh.connect("a", "dora", "eve")
    mesh.connect("b", "eve", "dora")
    for _ in range(SILENT_MS // 1000 - 1):
        assert mesh.tick(1000, "ac") == []
    assert mesh.nodes["b"].node in mesh.nodes["a"].others
    assert mesh.tick(1000, "ac") == ["alice: OFFLINE", "dora: OFFLINE"]
    assert mesh.nodes["a"].others == {mesh.nodes["c"].node}


def test_a_relay_that_was_only_slow_is_told_anew_who_is_there() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    mesh.connect("b", "bob", "alice")
    assert mesh.tick(SILENT_MS, "a") == ["alice: OFFLINE"]
    assert mesh.tick(1000, "b") == []
    assert mesh.tick(500, "a") == ["alice: ONLINE"]


def test_a_relay_that_stops_says_so() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    mesh.connect("b", "bob", "alice")
    assert mesh.run("b", mesh.nodes["b"].leaving()) == ["alice: OFFLINE"]
    assert mesh.nodes["a"].others == frozenset()


def test_a_relay_that_begins_anew_is_believed_nothing_that_it_said_before() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    mesh.connect("b", "bob", "alice")
    mesh.nodes["b"].cut_off(0)
    assert mesh.run("b", mesh.nodes["b"].joined()) == ["alice: OFFLINE"]
    assert sorted(mesh.tick(1000)) == ["alice: ONLINE", "bob: ONLINE"]


def test_without_nats_all_elsewhere_are_offline_and_with_it_all_is_announced_anew() -> None:
    mesh = Mesh("abc")
    alice, bob = mesh.connect("a", "alice", "bob", "carol"), mesh.connect("b", "bob", "alice")
    dora = mesh.connect("b", "dora", "alice")
    mesh.watch(alice, "bob", "carol", "dora")
    assert mesh.run("a", mesh.nodes["a"].cut_off(0)) == ["alice: OFFLINE", "alice: OFFLINE"]
    assert sorted(mesh.run("b", mesh.nodes["b"].cut_off(0))) == ["bob: OFFLINE", "dora: OFFLINE"]
    mesh.lose(dora)
    mesh.nodes["c"].cut_off(0)
    assert mesh.nodes["a"].others == frozenset()
    mesh.watch(alice, "bob")
    mesh.open("c", "carol")
    for name in "abc":
        assert mesh.run(name, mesh.nodes[name].joined()) == []
    assert sorted(mesh.tick(500)) == ["alice: ONLINE", "bob: ONLINE"]
    assert mesh.tick(1000) == []
    assert mesh.lose(bob) == ["alice: OFFLINE"]


def test_who_left_during_an_outage_is_not_announced() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    bob = mesh.connect("b", "bob", "alice")
    for name in "ab":
        mesh.nodes[name].cut_off(0)
    mesh.lose(bob)
    for name in "ab":
        mesh.run(name, mesh.nodes[name].joined())
    assert mesh.tick(500) == []


def test_who_left_before_it_was_announced_is_not() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice", "bob")
    mesh.nodes["a"]._announce_all()
    mesh.lose(alice)
    mesh.held = []
    mesh.tick(0, "a")
    assert [type(read(command.data)) for _, command in mesh.held] == [Beat]


def test_an_outage_forgets_what_was_still_to_be_announced() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    mesh.run("a", mesh.nodes["a"].joined())
    mesh.nodes["a"].cut_off(0)
    assert not mesh.nodes["a"]._to_announce


def test_nothing_is_said_while_nats_is_gone() -> None:
    mesh = Mesh()
    mesh.nodes["a"].cut_off(0)
    mesh.held = []
    mesh.lose(mesh.connect("a", "alice", "bob"))
    mesh.tick(5000, "a")
    mesh.run("a", mesh.nodes["a"].leaving())
    assert mesh.held == []


def test_a_beat_goes_out_once_a_second() -> None:
    mesh = Mesh()
    mesh.held = []
    for _ in range(6):
        mesh.tick(500, "a")
    assert [type(read(command.data)) for _, command in mesh.held] == [Beat] * 3


def test_many_agents_are_announced_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "ANNOUNCED_AT_ONCE", 2)
    mesh = Mesh()
    for number in range(3):
        mesh.connect("a", f"agent-{number}")
    mesh.nodes["a"]._announce_all()
    counts = []
    for _ in range(3):
        mesh.held = []
        mesh.tick(0, "a")
        counts.append(sum(isinstance(read(command.data), Here) for _, command in mesh.held))
    assert counts == [2, 1, 0]


def test_a_new_relay_makes_nobody_announce_all_again() -> None:
    mesh = Mesh("ab")
    mesh.connect("a", "alice", "bob")
    mesh.tick(1000)
    mesh.start("b", 9)
    mesh.held = None
    mesh.run("b", mesh.nodes["b"].joined())
    mesh.held = []
    mesh.tick(0, "a")
    assert mesh.held == []


def test_of_relays_without_end_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_NODES", 2)
    mesh = Mesh("ab")
    mesh.connect("a", "alice", "bob")
    for node in (SOMEONE, OTHER, "ef" * 8):
        hear(mesh, "a", Beat(node, 0))
    assert mesh.nodes["a"].others == {mesh.nodes["b"].node, SOMEONE}
    assert mesh.worlds["a"].relay.counters.malformed_notes_total == 2
    assert hear(mesh, "a", Here(OTHER, "bob", 1, "conn_1", ("alice",))) == []


def test_a_note_that_is_none_or_claims_to_be_our_own_is_counted_and_dropped() -> None:
    mesh = Mesh()
    mesh.connect("a", "alice", "bob")
    own = mesh.nodes["a"].node
    for data in (b"", b"nonsense", write(Here(own, "bob", 1, "c", ("alice",))), write(Bye(own))):
        assert mesh.run("a", mesh.nodes["a"].heard(data, 0)) == []
    assert mesh.worlds["a"].relay.counters.malformed_notes_total == 4
    assert mesh.nodes["a"].others == {mesh.nodes["b"].node}


def test_a_connection_that_watched_nobody_leaves_without_a_word() -> None:
    mesh = Mesh()
    alice = mesh.connect("a", "alice")
    mesh.held = []
    mesh.lose(alice)
    assert mesh.held == []


def test_a_drain_tells_the_others_of_each_agent() -> None:
    mesh = Mesh(limits=Limits())
    mesh.connect("b", "bob", "alice")
    alice = mesh.connect("a", "alice", "bob")
    found = mesh.run("a", alice.close(CloseCode.GOING_AWAY, "the relay is going away", 0))
    assert found == ["alice closed 1001", "bob: OFFLINE"]


def test_notes_go_to_all_and_forwards_to_one_agent() -> None:
    mesh = Mesh()
    mesh.held = []
    mesh.connect("a", "alice", "bob")
    assert {command.subject for _, command in mesh.held} == {NOTES}
