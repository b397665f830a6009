"""The client's connection machine: when it wants to be woken, and what it passes over."""

from __future__ import annotations

from agentnet_desktop.transport.connection import WATCH_MS
from agentnet_desktop.transport.phases import Phase
from agentnet_desktop.transport.signals import (
    Closed,
    GetToken,
    NetworkChanged,
    Opened,
    Reconnect,
    Start,
    State,
    Stop,
    TokenFailed,
    TokenReceived,
    Write,
)
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


ENDED = TokenFailed("Sign in again.", ended=True)


def renewing() -> Story:
    """A live connection whose token ends in ten seconds, and which has just asked for the next."""
    story = Story()
    story.connects(tokenExpiresAt=story.server + 40_000, heartbeatInterval=600_000)
    story.echo()
    assert GetToken(story.wall + 30_000, fresh=True) in story.passes(30_000)
    return story


def test_a_sign_in_that_ended_waits_for_a_person_and_nobody_else() -> None:
    story = Story()
    story.tell(Start())
    story.tell(ENDED)
    assert (story.status.state, story.status.kind) == (State.STOPPED, "SIGN_IN_ENDED")
    assert story.status.reason == "Sign in again."
    assert story.passes(3_600_000) == []
    assert story.tell(NetworkChanged()) == []
    assert GetToken(story.wall, fresh=False) in story.tell(Reconnect())


def test_a_token_that_cannot_be_had_now_is_asked_for_again() -> None:
    story = Story()
    story.tell(Start())
    story.tell(TokenFailed("Nobody answers."))
    assert (story.status.state, story.status.reason) == (State.WAITING, "Nobody answers.")
    assert story.status.kind == "AUTHENTICATION_ERROR"


def test_a_sign_in_that_ends_on_a_live_connection_is_told_at_once_and_not_asked_for_again() -> None:
    story = renewing()
    story.tell(ENDED)
    assert (story.status.state, story.status.kind) == (State.CONNECTED, "SIGN_IN_ENDED")
    assert story.status.reason == "Sign in again."
    story.echo()
    assert not [command for command in story.passes(60_000) if isinstance(command, GetToken)]
    story.tell(Closed(4401))
    story.tell(ENDED)
    assert story.status.state is State.STOPPED


def test_a_new_sign_in_renews_the_token_on_the_connection_that_still_stands() -> None:
    story = renewing()
    story.tell(ENDED)
    assert GetToken(story.wall, fresh=True) in story.tell(Reconnect())
    (write,) = (c for c in story.tell(TokenReceived("new jwt")) if isinstance(c, Write))
    assert write.envelope.content["token"] == "new jwt"
    assert (story.status.state, story.status.kind, story.status.reason) == (State.CONNECTED, "", "")
    assert not [command for command in story.tell(Reconnect()) if isinstance(command, GetToken)]


def test_a_token_that_nobody_has_renewed_yet_is_not_shown_twice() -> None:
    story = renewing()
    assert story.tell(TokenReceived("jwt", story.wall + 10_000)) == []
    assert GetToken(story.wall + 10_000, fresh=True) in story.passes(10_000)
    (write,) = (c for c in story.tell(TokenReceived("new jwt")) if isinstance(c, Write))
    assert write.envelope.message_type is MessageType.AUTH
    story.passes(10_000)
    assert story.tell(TokenReceived("new jwt")) == []


def test_a_connection_that_is_well_is_not_told_of_a_sign_in() -> None:
    story = renewing()
    story.tell(TokenFailed("Nobody answers."))
    assert (story.status.state, story.status.reason, story.status.kind) == (State.CONNECTED, "", "")
