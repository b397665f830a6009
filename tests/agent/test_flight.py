"""Who may send more while much is in flight."""

from __future__ import annotations

from agentnet_desktop.agent.flight import FEW, Flight


def filled(most: int, **counts: int) -> Flight:
    """A sky with so many messages of each peer."""
    flight = Flight(lambda: most)
    for peer, count in counts.items():
        for number in range(count):
            flight.add(f"{peer}{number}", peer)
    return flight


def test_while_there_is_room_it_is_anybodys() -> None:
    flight = filled(100, bob=99)
    assert flight.has_room()
    assert flight.has_room("bob")
    assert flight.full() == []


def test_when_one_peer_has_filled_the_room_all_others_have_a_little() -> None:
    flight = filled(100, bob=100)
    assert not flight.has_room()
    assert not flight.has_room("Bob")
    assert flight.full() == ["bob"]
    for number in range(FEW):
        assert flight.has_room("carol")
        flight.add(f"carol{number}", "Carol")
    assert not flight.has_room("carol")
    assert flight.full() == ["bob", "carol"]
    assert flight.has_room("dave")


def test_what_ended_makes_room_once() -> None:
    flight = filled(2, bob=2)
    flight.add("bob1", "bob")
    flight.discard("bob1")
    flight.discard("bob1")
    assert flight.has_room("bob")
    assert "bob0" in flight
    assert "bob1" not in flight


def test_the_outbox_is_the_truth() -> None:
    flight = filled(2, bob=2)
    flight.replace({"m1": "Carol", "m2": "carol"})
    assert flight.full() == ["carol"]
    assert flight.has_room("bob")


def test_a_small_room_is_small_for_everybody() -> None:
    flight = filled(1, bob=1)
    assert flight.has_room("carol")
    flight.add("m", "carol")
    assert not flight.has_room("carol")
