"""The client's connection machine, as transcripts: what happened, and what it then wants done."""

from __future__ import annotations

from typing import Any

import pytest

from agentnet_desktop.transport.connection import Connection, IllegalEvent
from agentnet_desktop.transport.phases import LATE, Phase
from agentnet_desktop.transport.signals import (
    Accepted,
    Closed,
    Command,
    Dial,
    DialFailed,
    Event,
    Finished,
    FromRelay,
    GetToken,
    Hangup,
    Moment,
    NetworkChanged,
    Opened,
    Reconnect,
    Refused,
    Report,
    Start,
    State,
    Stop,
    Tick,
    TokenFailed,
    TokenReceived,
    Write,
)
from relay.wire.codec import Format
from relay.wire.envelope import SYSTEM, Envelope, MessageType, metadata

WALL = 1_700_000_000_000
MIDDLE = bytes([0x80]) + bytes(15)  # draws 0.5: delays are exactly the schedule's


class Story:
    """A machine with a clock that only the story moves."""

    def __init__(self, *, skew: int = 0) -> None:
        self.machine = Connection(
            agent_id="alice", relay_url="wss://relay/x", insecure=False, random=lambda n: MIDDLE[:n]
        )
        self.ticks = 0.0
        self.wall = WALL + skew
        self.server = WALL

    def tell(self, event: Event) -> list[Command]:
        return self.machine.handle(event, Moment(self.ticks, self.wall))

    def passes(self, ms: float, *, asleep: int = 0) -> list[Command]:
        self.ticks += ms
        self.wall += int(ms) + asleep
        self.server += int(ms) + asleep
        return self.tell(Tick())

    @property
    def status(self) -> Any:
        return self.machine.status

    def from_relay(self, kind: MessageType, content: dict[str, Any]) -> list[Command]:
        return self.tell(
            FromRelay(
                Envelope(
                    message_id="msg_1",
                    conversation_id=SYSTEM,
                    sender_id=SYSTEM,
                    recipient_id="alice",
                    message_type=kind,
                    content=content,
                    timestamp=self.server,
                    metadata=metadata(encrypted=False, requires_response=False),
                )
            )
        )

    def greeting(self, **changes: Any) -> dict[str, Any]:
        return {
            "connectionId": "conn_1",
            "agentId": "alice",
            "heartbeatInterval": 30_000,
            "idleTimeout": 90_000,
            "maxMessageBytes": 65_536,
            "tokenExpiresAt": self.server + 3_600_000,
            "serverTime": self.server,
            "relayName": "Home",
        } | changes

    def dials(self) -> None:
        if self.machine.phase is Phase.NEW:
            self.tell(Start())
        self.tell(TokenReceived("jwt", WALL + 1_800_000))

    def connects(self, **changes: Any) -> list[Command]:
        self.dials()
        self.tell(Opened(Format.MSGPACK))
        return self.from_relay(MessageType.CONNECTED, self.greeting(**changes))

    def echo(self, stamp: int | None = None) -> list[Command]:
        return self.from_relay(MessageType.HEARTBEAT, {"timestamp": self.wall if stamp is None else stamp})

    def error(self, code: str, retry_after: int = 0, **details: Any) -> list[Command]:
        content = {"errorCode": code, "message": "no", "recoverable": True, "retryAfter": retry_after}
        return self.from_relay(MessageType.ERROR, content | {"details": details})


def written(commands: list[Command]) -> list[str]:
    return [str(command.envelope.message_type) for command in commands if isinstance(command, Write)]


def kinds(commands: list[Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def test_the_way_to_a_connection_is_token_dial_greeting() -> None:
    story = Story()
    assert kinds(story.tell(Start())) == ["GetToken", "Report"]
    (dial,) = story.tell(TokenReceived("jwt"))
    assert dial == Dial("jwt", (Format.MSGPACK, Format.JSON))
    assert story.tell(Opened(Format.MSGPACK)) == []
    assert story.status.state is State.CONNECTING
    commands = story.from_relay(MessageType.CONNECTED, story.greeting())
    assert kinds(commands) == ["Accepted", "Write", "Report"]
    assert written(commands) == ["HEARTBEAT"]
    status = story.status
    assert (status.state, status.relay_name, status.connection_id) == (State.CONNECTED, "Home", "conn_1")
    assert (status.max_message_bytes, status.clock_skew_ms, status.reason) == (65_536, 0, "")


def test_nothing_counts_as_connected_before_the_relay_says_so() -> None:
    story = Story()
    story.dials()
    story.tell(Opened(Format.JSON))
    assert story.echo() == []
    assert story.from_relay(MessageType.ACK, {"messageId": "m", "status": "ROUTED"}) == []
    assert story.status.state is State.CONNECTING


@pytest.mark.parametrize("changes", [{"heartbeatInterval": "soon"}, {"agentId": "mallory"}])
def test_a_greeting_that_cannot_be_read_or_is_for_another_ends_the_attempt(changes: dict[str, Any]) -> None:
    story = Story()
    commands = story.connects(**changes)
    assert kinds(commands) == ["Hangup", "Report"]
    assert (story.status.state, story.status.kind) == (State.WAITING, "PROTOCOL_VIOLATION")


def test_a_relay_that_opens_but_says_nothing_is_left_after_ten_seconds() -> None:
    story = Story()
    story.dials()
    story.tell(Opened(Format.JSON))
    assert story.passes(9_999) == []
    assert Hangup(orderly=False) in story.passes(1)
    assert story.status.state is State.WAITING


def test_a_token_that_does_not_come_is_given_up_after_thirty_seconds() -> None:
    story = Story()
    story.tell(Start())
    assert story.passes(29_999) == []
    story.passes(1)
    assert (story.status.state, story.status.kind) == (State.WAITING, "AUTHENTICATION_ERROR")


def test_why_no_token_came_is_told_and_tried_again_later() -> None:
    story = Story()
    story.tell(Start())
    story.tell(TokenFailed("The token file is gone."))
    assert story.status.reason == "The token file is gone."
    assert story.status.retry_at == WALL + 1_000


def test_reconnecting_starts_at_once_and_then_follows_the_schedule() -> None:
    story, waits = Story(), []
    story.dials()
    assert GetToken(story.wall, fresh=False) in story.tell(DialFailed("nothing listens"))
    for _ in range(11):
        story.tell(TokenReceived("jwt"))
        story.tell(DialFailed("nothing listens"))
        assert story.status.state is State.WAITING
        waits.append(story.status.retry_at - story.wall)
        story.passes(waits[-1])
    assert waits == [1000, 1500, 2250, 3375, 5062, 7594, 11391, 17086, 25629, 30000, 30000]
    assert story.status.reason == "The relay cannot be reached: nothing listens."


def test_a_connection_that_held_is_made_again_at_once_and_the_schedule_starts_anew() -> None:
    story = Story()
    story.connects()
    story.passes(5_000)
    commands = story.tell(Closed(1006))
    assert kinds(commands) == ["GetToken", "Report"]
    assert (story.status.state, story.status.kind) == (State.CONNECTING, "CONNECTION_LOST")
    story.connects()
    assert (story.status.reconnections, story.status.reason) == (1, "")


def test_connections_that_never_hold_are_not_tried_in_a_tight_circle() -> None:
    story, waits = Story(), []
    for _ in range(5):
        story.connects()
        story.tell(Closed(1006))
        waits.append((story.status.retry_at or story.wall) - story.wall)
        story.passes(waits[-1]) if waits[-1] else None
    assert waits == [0, 1000, 1500, 2250, 3375]


@pytest.mark.parametrize("code", [1001, 1009, 4408, 4413, 4429, 4503])
def test_these_closes_are_retried_with_backoff_and_never_at_once(code: int) -> None:
    story = Story()
    story.connects()
    story.passes(6_000)
    story.tell(Closed(code))
    assert story.status.state is State.WAITING
    assert story.status.retry_at == story.wall + 1_000


@pytest.mark.parametrize("code", [1000, 1006, 1011, 3999])
def test_any_other_close_is_a_lost_connection_and_retried_at_once(code: int) -> None:
    story = Story()
    story.connects()
    assert "GetToken" in kinds(story.tell(Closed(code)))


def test_an_expired_sign_in_is_repeated_with_a_fresh_token() -> None:
    story = Story()
    story.connects()
    story.passes(6_000)
    assert GetToken(story.wall, fresh=True) in story.tell(Closed(4401))


@pytest.mark.parametrize(("code", "word"), [(4409, "somewhere else"), (4400, "violation")])
def test_a_replaced_or_faulty_connection_waits_for_a_person(code: int, word: str) -> None:
    story = Story()
    story.connects()
    story.tell(Closed(code))
    assert story.status.state is State.STOPPED
    assert word in story.status.reason
    assert story.machine.deadline is None
    assert story.passes(3_600_000) == []
    assert "GetToken" in kinds(story.tell(Reconnect()))


def test_a_refused_clock_is_corrected_for_the_token_and_for_nothing_else() -> None:
    story = Story(skew=-7_200_000)  # two hours behind
    story.dials()
    commands = story.tell(Refused(401, server_time=WALL))
    assert GetToken(WALL, fresh=True) in commands
    assert story.status.clock_skew_ms == -7_200_000
    story.tell(TokenReceived("jwt"))
    story.tell(Opened(Format.JSON))
    commands = story.from_relay(MessageType.CONNECTED, story.greeting())
    (beat,) = (command for command in commands if isinstance(command, Write))
    assert beat.envelope.timestamp == story.wall == WALL - 7_200_000


def test_a_clock_refused_on_the_live_connection_is_corrected_too() -> None:
    story = Story(skew=5_000_000)
    story.connects()
    story.error("AUTHENTICATION_FAILED", serverTime=story.server)
    assert GetToken(story.server, fresh=True) in story.tell(Closed(4401))


def test_a_sign_in_that_stays_refused_is_retried_ever_more_slowly_and_says_why() -> None:
    story = Story()
    story.dials()
    story.tell(Refused(401))
    story.tell(TokenReceived("jwt"))
    assert story.status.state is State.CONNECTING
    story.tell(Refused(401))
    assert (story.status.state, story.status.kind) == (State.WAITING, "AUTHENTICATION_FAILED")
    assert "invite" in story.status.reason


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_relay_is_given_the_time_it_asks_for(status: int) -> None:
    story = Story()
    story.dials()
    story.tell(Refused(status, retry_after_ms=20_000))
    assert story.status.retry_at == WALL + 20_000
    story.passes(20_000)
    story.tell(TokenReceived("jwt"))
    story.tell(DialFailed("x"))
    assert story.status.retry_at < story.wall + 20_000  # a hint counts once


def test_no_relay_can_ask_for_more_than_five_minutes() -> None:
    story = Story()
    story.dials()
    story.tell(Refused(503, retry_after_ms=10**12))
    assert story.status.retry_at == WALL + 300_000


def test_another_http_answer_says_that_this_is_no_relay() -> None:
    story = Story()
    story.dials()
    story.tell(Refused(404))
    assert (story.status.kind, "HTTP 404" in story.status.reason) == ("NOT_A_RELAY", True)


def test_an_error_before_the_close_sets_the_time_to_wait() -> None:
    story = Story()
    story.connects()
    story.error("RATE_LIMIT_EXCEEDED", 12_000)
    story.tell(Closed(4429))
    assert story.status.retry_at == WALL + 12_000


def test_heartbeats_go_out_at_the_announced_interval_and_measure_the_round_trip() -> None:
    story = Story()
    story.connects(heartbeatInterval=5_000)
    sent = story.wall
    story.ticks += 12.5
    assert kinds(story.echo(sent)) == ["Report"]
    assert story.status.round_trip_ms == 12.5
    assert written(story.passes(4_987)) == []
    assert written(story.passes(0.5)) == ["HEARTBEAT"]


def test_an_echo_of_nothing_sent_here_counts_for_nothing() -> None:
    story = Story()
    story.connects()
    assert story.echo(WALL - 1) == []
    assert story.status.round_trip_ms is None


def test_two_missed_echoes_mean_reconnect() -> None:
    story = Story()
    story.connects()
    assert written(story.passes(30_000)) == ["HEARTBEAT"]  # the first echo is missing
    commands = story.passes(30_000)
    assert kinds(commands) == ["Hangup", "GetToken", "Report"]
    assert story.status.kind == "TIMEOUT_ERROR"


def test_one_missed_echo_is_forgiven_when_the_next_comes() -> None:
    story = Story()
    story.connects()
    for _ in range(4):
        story.passes(30_000)
        story.echo()
    assert story.status.state is State.CONNECTED


def test_a_sleep_is_noticed_and_the_connection_is_tested_at_once() -> None:
    story = Story()
    story.connects()
    story.echo()
    assert written(story.passes(10_000, asleep=3_600_000)) == ["HEARTBEAT"]
    assert "Hangup" in kinds(story.passes(5_000))


def test_a_connection_that_survived_the_sleep_is_kept() -> None:
    story = Story()
    story.connects()
    story.echo()
    story.passes(10_000, asleep=60_000)
    story.echo()
    assert story.passes(5_000) == []
    assert story.status.state is State.CONNECTED


def test_a_sleep_ends_a_wait() -> None:
    story = Story()
    story.dials()
    story.tell(Refused(503, retry_after_ms=300_000))
    assert story.passes(10_000) == []
    assert "GetToken" in kinds(story.passes(10_000, asleep=60_000))


def test_a_person_can_end_a_wait_and_test_a_live_connection() -> None:
    story = Story()
    story.dials()
    story.tell(Refused(503))
    assert "GetToken" in kinds(story.tell(Reconnect()))
    story.connects()
    story.echo()
    story.passes(1_000)
    assert written(story.tell(Reconnect())) == ["HEARTBEAT"]
    assert written(story.tell(Reconnect())) == []


def test_another_network_ends_a_wait_and_tests_a_live_connection() -> None:
    story = Story()
    story.dials()
    story.tell(Refused(503))
    assert "GetToken" in kinds(story.tell(NetworkChanged()))
    story.connects()
    story.echo()
    story.passes(1_000)
    assert written(story.tell(NetworkChanged())) == ["HEARTBEAT"]


def test_what_was_dialled_over_the_old_network_is_given_up() -> None:
    story = Story()
    story.dials()
    assert kinds(story.tell(NetworkChanged()))[:2] == ["Hangup", "GetToken"]
    story.tell(TokenReceived("jwt"))
    story.tell(Opened(Format.MSGPACK))
    assert kinds(story.tell(NetworkChanged()))[:2] == ["Hangup", "GetToken"]


def test_another_network_does_not_take_up_what_a_person_has_to_decide() -> None:
    story = Story()
    story.connects()
    story.tell(Closed(4409))
    assert story.tell(NetworkChanged()) == []
    assert story.status.state is State.STOPPED


def test_the_token_is_renewed_on_the_live_connection_before_it_ends() -> None:
    story = Story()
    story.connects(tokenExpiresAt=story.server + 40_000)
    story.echo()
    assert "GetToken" not in kinds(story.passes(29_999))
    story.echo()
    commands = story.passes(1)
    assert GetToken(story.wall, fresh=True) in commands
    (write,) = (c for c in story.tell(TokenReceived("new jwt", story.wall + 40_000)) if isinstance(c, Write))
    assert write.envelope.message_type is MessageType.AUTH
    assert write.envelope.content == {"token": "new jwt", "agentId": "alice"}
    assert write.shown.content == {"agentId": "alice"}
    assert "new jwt" not in repr(write)
    story.from_relay(MessageType.CONNECTED, story.greeting(tokenExpiresAt=story.server + 1_000_000))
    assert story.status.state is State.CONNECTED
    story.echo()
    assert "GetToken" not in kinds(story.passes(30_000))


def test_a_failed_renewal_is_tried_again_before_the_relay_gives_up() -> None:
    story = Story()
    story.connects(tokenExpiresAt=story.server + 40_000, heartbeatInterval=600_000)
    story.echo()
    story.passes(30_000)
    story.tell(TokenFailed("not now"))
    assert story.status.state is State.CONNECTED
    assert "GetToken" in kinds(story.passes(10_000))
    story.tell(TokenReceived("another jwt"))
    story.error("AUTHENTICATION_ERROR")
    assert GetToken(story.wall + 10_000, fresh=True) in story.passes(10_000)


def test_goodbye_is_disconnect_acknowledgement_and_an_orderly_close() -> None:
    story = Story()
    story.connects()
    assert written(story.tell(Stop())) == ["DISCONNECT"]
    assert story.from_relay(MessageType.ACK, {"messageId": "other", "status": "ROUTED"}) == []
    commands = story.from_relay(MessageType.ACK, {"messageId": "m", "status": "CLOSED"})
    assert commands == [Hangup(orderly=True), Finished()]
    assert story.status.state is State.OFFLINE


def test_a_relay_that_does_not_say_goodbye_is_left_after_three_seconds() -> None:
    story = Story()
    story.connects()
    story.tell(Stop())
    assert story.passes(2_999) == []
    assert story.passes(1) == [Hangup(orderly=False), Finished()]


def test_a_relay_that_closes_first_ends_the_goodbye() -> None:
    story = Story()
    story.connects()
    story.tell(Stop())
    assert story.tell(Closed(1000)) == [Finished()]


@pytest.mark.parametrize("way", ["new", "asking", "dialling", "greeting", "waiting", "halted"])
def test_stopping_works_from_everywhere(way: str) -> None:
    story = Story()
    if way != "new":
        story.tell(Start())
    if way in {"dialling", "greeting", "waiting", "halted"}:
        story.tell(TokenReceived("jwt"))
    if way in {"greeting", "halted"}:
        story.tell(Opened(Format.JSON))
    if way == "waiting":
        story.tell(Refused(503))
    if way == "halted":
        story.tell(Closed(4409))
    commands = story.tell(Stop())
    assert isinstance(commands[-1], Finished)
    assert (Hangup(orderly=False) in commands) == (way in {"dialling", "greeting"})
    assert story.machine.deadline is None
    assert story.tell(Stop()) == []


def test_persistent_trouble_means_json_only_longer_heartbeats_and_a_word_to_the_person() -> None:
    story = Story()
    story.dials()
    dial: Command | None = None
    for _ in range(6):
        story.tell(DialFailed("x"))
        if story.status.state is State.WAITING:
            story.passes(story.status.retry_at - story.wall)
        (dial,) = story.tell(TokenReceived("jwt"))
    assert story.status.degraded
    assert isinstance(dial, Dial)
    assert dial.formats == (Format.JSON,)
    story.tell(Opened(Format.JSON))
    story.from_relay(MessageType.CONNECTED, story.greeting())
    story.echo()
    assert written(story.passes(30_000)) == []
    assert written(story.passes(30_000)) == ["HEARTBEAT"]
    assert not story.status.degraded


def test_an_event_that_cannot_happen_raises_and_changes_nothing() -> None:
    story = Story()
    story.connects()
    before = story.status
    with pytest.raises(IllegalEvent, match="Opened in phase LIVE"):
        story.tell(Opened(Format.JSON))
    assert (story.machine.phase, story.status) == (Phase.LIVE, before)


def test_late_events_mean_nothing() -> None:
    samples: dict[type[Event], Event] = {
        Tick: Tick(),
        Reconnect: Reconnect(),
        NetworkChanged: NetworkChanged(),
        Stop: Stop(),
        TokenReceived: TokenReceived("jwt"),
        TokenFailed: TokenFailed("no"),
    }
    for phase, late in LATE.items():
        for kind in late:
            story = Story()
            story.machine.phase = phase
            assert story.tell(samples[kind]) == []
            assert story.machine.phase is phase


def test_the_relay_acting_up_in_words_changes_nothing() -> None:
    story = Story()
    story.connects()
    for kind in (MessageType.HEARTBEAT, MessageType.CONNECTED, MessageType.ERROR):
        assert story.from_relay(kind, {"nonsense": 1}) == []
    assert Accepted() not in story.from_relay(MessageType.CONNECTED, story.greeting())
    assert not any(isinstance(command, Report) for command in story.tell(Tick()))
