"""Two agents over a network that loses, doubles and reorders: they always end up agreed, and lose nothing."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.wire.envelope import Envelope
from tests.crypto.model import Agent
from tests.crypto.people import ALICE, BOB

_ROUNDS = 25  # far more than any handshake takes


class Network:
    """Carries envelopes between the two; the test decides which, when, and how often."""

    def __init__(self) -> None:
        self.agents = {ALICE: Agent(ALICE, BOB), BOB: Agent(BOB, ALICE)}
        self.flying: list[Envelope] = []
        self.sent: dict[str, int] = {ALICE: 0, BOB: 0}

    def collect(self) -> None:
        for agent in self.agents.values():
            self.flying += agent.out
            agent.out = []

    def deliver(self, envelope: Envelope) -> None:
        self.agents[envelope.recipient_id].receive(envelope)
        self.collect()

    def send(self, name: str) -> None:
        self.sent[name] += 1
        self.agents[name].send(self.sent[name])

    def run(self, step: tuple[str, str, int]) -> None:
        what, name, number = step
        agent = self.agents[name]
        at = number % len(self.flying) if self.flying else -1
        match what:
            case "send":
                self.send(name)
            case "deliver" if self.flying:
                self.deliver(self.flying.pop(at))
            case "double" if self.flying:
                self.deliver(self.flying[at])
            case "lose" if self.flying:
                self.flying.pop(at)
            case "rotate":
                agent.rotate()
            case "tick":
                agent.tick()
            case "give up gaps":
                agent.give_up_gaps()
            case "restart":
                agent.restart()
            case "lose sessions":
                agent.lose_sessions()
        self.collect()

    def settle(self) -> None:
        """From here on nothing is lost: retries and deliveries until nothing is undelivered or unconfirmed."""
        for _ in range(_ROUNDS):
            for agent in self.agents.values():
                agent.tick()
            self.collect()
            budget = 500
            while self.flying:
                self.deliver(self.flying.pop(0))
                budget -= 1
                assert budget, "the two answer each other for ever"
            if all(row.delivered for agent in self.agents.values() for row in agent.rows):
                break
        else:
            raise AssertionError("something stayed undelivered")
        for agent in self.agents.values():
            agent.give_up_gaps()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["send"] * 4
            + ["deliver"] * 8
            + ["double", "lose", "lose", "rotate", "tick", "give up gaps", "restart", "lose sessions"]
        ),
        st.sampled_from([ALICE, BOB]),
        st.integers(0, 50),
    ),
    max_size=60,
)


def check(network: Network) -> None:
    for name, agent in network.agents.items():
        peer = network.agents[agent.peer]
        texts = [text for text, _ in peer.handed]
        assert sorted(texts) == list(range(1, network.sent[name] + 1)), "each exactly once"
        gap_noted, highest = False, 0
        for text, mark in peer.handed:
            gap_noted = gap_noted or mark == "gap"
            assert text > highest or mark == "late" or gap_noted, "in order, or with its gap noted"
            highest = max(highest, text)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_happens_on_the_way_each_message_is_handed_on_exactly_once(
    steps: list[tuple[str, str, int]],
) -> None:
    network = Network()
    for step in steps:
        network.run(step)
    network.settle()
    check(network)


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_whatever_happened_both_end_with_the_same_session_once_they_talk_again(
    steps: list[tuple[str, str, int]],
) -> None:
    network = Network()
    for step in steps:
        network.run(step)
    network.settle()
    for _ in range(2):
        for name in (ALICE, BOB):
            network.send(name)
            network.collect()
            network.settle()
    check(network)
    alice, bob = (network.agents[name].current() for name in (ALICE, BOB))
    assert alice is not None and bob is not None
    assert alice.keys is not None and bob.keys is not None
    assert alice.session_id == bob.session_id
    assert alice.keys.to_bytes() == bob.keys.to_bytes()


def flows(*steps: tuple[str, str, int]) -> Callable[[], Network]:
    def run() -> Network:
        network = Network()
        for step in steps:
            network.run(step)
        network.settle()
        check(network)
        return network

    return run


def test_a_first_message_waits_for_the_handshake_and_follows_it() -> None:
    network = flows(("send", ALICE, 0))()
    assert network.agents[BOB].handed == [(1, "")]


def test_when_both_start_at_once_one_session_is_left() -> None:
    network = flows(("send", ALICE, 0), ("send", BOB, 0))()
    alice, bob = (network.agents[name].current() for name in (ALICE, BOB))
    assert alice is not None and bob is not None
    assert alice.session_id == bob.session_id
    assert alice.initiation.sender_id == ALICE, "the id that sorts first wins"


def test_a_lost_session_is_replaced_when_the_next_message_comes() -> None:
    network = flows(("send", ALICE, 0))()
    network.run(("lose sessions", BOB, 0))
    network.send(ALICE)
    network.collect()
    network.settle()
    check(network)


def test_messages_in_flight_over_a_rotation_arrive_once() -> None:
    network = flows(("send", ALICE, 0))()
    for step in (
        ("send", ALICE, 0),
        ("rotate", BOB, 0),
        ("send", ALICE, 0),
        ("double", ALICE, 0),
        ("double", ALICE, 1),
    ):
        network.run(step)
    network.settle()
    check(network)
