"""One sentence for each entry of the log."""

from __future__ import annotations

from typing import Any

import pytest

from agentnet_desktop.agent.events import Direction
from agentnet_desktop.agent.summaries import inner, quote, relay

START = {"title": "Coffee", "startTime": "2026-06-02T14:00:00Z"}


@pytest.mark.parametrize(
    ("kind", "content", "out", "back"),
    [
        (
            "QUERY",
            {"queryType": "AVAILABILITY"},
            "You asked Bob when they are free",
            "Bob asked when you are free",
        ),
        (
            "QUERY",
            {"queryType": "LOCATION_PREFERENCE"},
            "You asked Bob where they like to meet",
            "Bob asked where you like to meet",
        ),
        (
            "QUERY",
            {"queryType": "MEETING_TYPE_PREFERENCE"},
            "You asked Bob what kind of meeting they prefer",
            "Bob asked what kind of meeting you prefer",
        ),
        ("QUERY", {"queryType": "CUSTOM", "parameters": {"name": "x"}}, "You asked Bob “x”", "Bob asked “x”"),
        ("RESPONSE", {"data": {"slots": [1]}}, "You told Bob 1 free time", "Bob told 1 free time"),
        ("RESPONSE", {"data": {"slots": [1, 2]}}, "You told Bob 2 free times", "Bob told 2 free times"),
        ("RESPONSE", {"data": {}}, "You answered Bob", "Bob answered"),
        (
            "RESPONSE",
            {"error": {"code": "PERMISSION_DENIED"}},
            "You declined to answer Bob",
            "Bob declined to answer",
        ),
        ("RESPONSE", {"error": {"code": "X"}}, "You could not answer Bob", "Bob could not answer"),
        (
            "PROPOSAL",
            {"details": START},
            "You proposed “Coffee” for Tue 2 Jun 2026, 14:00 UTC to Bob",
            "Bob proposed “Coffee” for Tue 2 Jun 2026, 14:00 UTC",
        ),
        (
            "PROPOSAL",
            {"details": START | {"status": "MODIFIED", "startTime": "soon"}},
            "You suggested another time to Bob: “Coffee” for soon",
            "Bob suggested another time: “Coffee” for soon",
        ),
        ("CONFIRMATION", {}, "You accepted Bob's proposal", "Bob accepted"),
        ("REJECTION", {"reason": "USER_DECLINED"}, "You declined Bob's proposal", "Bob declined"),
        (
            "REJECTION",
            {"reason": "TIME_UNSUITABLE"},
            "You declined Bob's proposal: the time does not suit",
            "Bob declined: the time does not suit",
        ),
        (
            "REJECTION",
            {"reason": "OTHER", "details": "ill"},
            "You withdrew the meeting with Bob: “ill”",
            "Bob withdrew the meeting: “ill”",
        ),
        ("DISCONNECT", {}, "You ended the conversation with Bob", "Bob ended the conversation"),
        ("ERROR", {"message": "no"}, "You told Bob of a problem: “no”", "Bob reported a problem: “no”"),
        ("HANDSHAKE", {}, "You asked Bob for a secure session", "Bob asks for a secure session"),
        (
            "HANDSHAKE",
            {"peerHash": "x"},
            "You agreed to a secure session with Bob",
            "Bob agreed to a secure session",
        ),
        ("ACK", {"status": "DELIVERED"}, "You acknowledged a message of Bob", "Bob has stored your message"),
        ("ACK", {"status": "CONFIRMED"}, "You confirmed the session with Bob", "Bob confirmed the session"),
        ("WHATEVER", {}, "You sent Bob a message", "Bob sent a message"),
    ],
)
def test_a_message_between_agents_reads_from_this_side(
    kind: str, content: dict[str, Any], out: str, back: str
) -> None:
    assert inner(Direction.OUT, "Bob", kind, content) == out
    assert inner(Direction.IN, "Bob", kind, content) == back


@pytest.mark.parametrize(
    ("direction", "kind", "content", "sentence"),
    [
        (Direction.IN, "CONNECTED", {"relayName": "Home"}, "Connected to the relay “Home”"),
        (Direction.IN, "ACK", {"status": "ROUTED"}, "The relay passed your message on"),
        (Direction.IN, "ACK", {"status": "CLOSED"}, "The relay said goodbye"),
        (Direction.OUT, "PRESENCE", {"watch": ["a", "b"]}, "You told the relay whom to announce: 2"),
        (Direction.IN, "PRESENCE", {"agentId": "bob", "status": "ONLINE"}, "bob is online"),
        (Direction.IN, "PRESENCE", {"agentId": "bob", "status": "OFFLINE"}, "bob is offline"),
        (Direction.OUT, "HEARTBEAT", {}, "You sent a heartbeat"),
        (Direction.IN, "HEARTBEAT", {}, "The relay echoed a heartbeat"),
        (Direction.IN, "ERROR", {"message": "no"}, "The relay reported a problem: “no”"),
        (Direction.OUT, "AUTH", {}, "You proved who you are to the relay"),
        (Direction.OUT, "DISCONNECT", {}, "You said goodbye to the relay"),
        (Direction.IN, "QUERY", {}, "A message from the relay"),
        (Direction.OUT, "QUERY", {}, "A message to the relay"),
    ],
)
def test_a_message_from_or_to_the_relay_says_what_it_is(
    direction: Direction, kind: str, content: dict[str, Any], sentence: str
) -> None:
    assert relay(direction, kind, content) == sentence


def test_what_a_peer_wrote_is_cut_to_a_line() -> None:
    assert quote("a\nb  c") == "“a b c”"
    assert len(quote("x" * 500)) == 62
