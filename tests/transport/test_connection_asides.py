"""The client's connection machine: when it wants to be woken, and what it passes over."""

from __future__ import annotations

from agentnet_desktop.transport.connection import WATCH_MS
from agentnet_desktop.transport.phases import Phase
from agentnet_desktop.transport.signals import Closed, Opened, Stop
from relay.wire.codec import Format
from relay.wire.envelope import MessageType
from tests.transport.test_connection import Story

ACK = {"messageId": "msg_0", "status": "ROUTED"}
PRESENCE = {"agentId": "bob", "status": "ONLINE"}


def test_a_live_connection_looks_at_the_clock_at_least_at_each_watch() -> None:
    story = Story()
    assert story.machine.deadline is None
    story.connects()
    assert story.machine.phase is Phase.LIVE
    assert story.machine.deadline == story.ticks + WATCH_MS


def test_a_token_that_ends_soon_is_renewed_before_the_next_watch() -> None:
    story = Story()
    story.connects(tokenExpiresAt=story.server + 60_000)
    deadline = story.machine.deadline
    assert deadline is not None
    assert deadline <= story.ticks + WATCH_MS


def test_a_wait_is_watched_too() -> None:
    story = Story()
    story.connects()
    story.tell(Closed(1001))
    assert story.machine.phase is Phase.WAITING
    deadline = story.machine.deadline
    assert deadline is not None
    assert deadline <= story.ticks + WATCH_MS


def test_whatever_comes_before_the_greeting_is_passed_over() -> None:
    story = Story()
    story.dials()
    story.tell(Opened(Format.MSGPACK))
    assert story.from_relay(MessageType.ACK, ACK) == []
    assert story.machine.phase is Phase.GREETING


def test_an_error_in_place_of_the_greeting_is_heard() -> None:
    story = Story(skew=-3_600_000)
    story.dials()
    story.tell(Opened(Format.MSGPACK))
    story.error("AUTHENTICATION_FAILED", serverTime=story.server)
    assert story.machine.phase is Phase.GREETING
    assert story.status.clock_skew_ms == -3_600_000


def test_what_is_the_agents_business_is_passed_over() -> None:
    story = Story()
    story.connects()
    assert story.from_relay(MessageType.ACK, ACK) == []
    assert story.from_relay(MessageType.PRESENCE, PRESENCE) == []


def test_what_comes_between_goodbye_and_its_answer_is_passed_over() -> None:
    story = Story()
    story.connects()
    story.tell(Stop())
    assert story.from_relay(MessageType.PRESENCE, PRESENCE) == []
    assert story.machine.phase is Phase.LEAVING


def test_an_error_about_something_else_changes_nothing_here() -> None:
    story = Story()
    story.connects()
    before = story.status
    assert story.error("MESSAGE_ERROR", retry_after=5000) == []
    assert story.status == before
