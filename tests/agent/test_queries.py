"""Queries and the sharing policy as transcripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agentnet_desktop.agent import policy
from agentnet_desktop.agent.errors import BadInput, NotFound
from agentnet_desktop.agent.events import PermissionAsked, QueryAnswer, Slot
from agentnet_desktop.agent.policy import Level
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.calendars.hours import Span
from agentnet_desktop.store import settings
from tests.agent.conftest import WEEK, Peer, World, draft


async def ask(
    world: World, alice: Peer, kind: str = "AVAILABILITY", parameters: Mapping[str, Any] = WEEK
) -> tuple[str, QueryAnswer | None]:
    """Alice asks Bob; returns the requestId and what is answered by itself."""
    request = await alice.agent.query("bob", kind, parameters)
    await world.settle()
    return request, await alice.agent.wait_query(request, 0)


def code(answer: QueryAnswer | None) -> str | None:
    """The error's code of an answer."""
    assert answer is not None
    return None if answer.error is None else str(answer.error["code"])


async def test_availability_leaves_out_what_is_accepted_or_held(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.db.write(
        lambda session: settings.put(session, policy.WORKING_HOURS, {"timeZone": "Europe/Berlin"})
    )
    await bob.agent.propose(["alice"], draft())
    await world.settle()
    _, answer = await ask(world, alice)
    assert answer is not None and answer.data is not None
    assert answer.data["timeZone"] == "Europe/Berlin"
    assert answer.data["slots"][1:3] == [
        {"start": "2026-06-02T07:00:00Z", "end": "2026-06-02T12:00:00Z"},
        {"start": "2026-06-02T13:00:00Z", "end": "2026-06-02T15:00:00Z"},
    ]
    assert answer.data["availableTimes"] == [slot["start"] for slot in answer.data["slots"]]
    _, long = await ask(world, alice, parameters=WEEK | {"durationMinutes": 180})
    assert long is not None and long.data is not None
    assert {"start": "2026-06-02T13:00:00Z", "end": "2026-06-02T15:00:00Z"} not in long.data["slots"]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        WEEK | {"endDate": "2026-05-01T00:00:00Z"},
        WEEK | {"endDate": "2026-12-01T00:00:00Z"},
        WEEK | {"timeZone": "Mars/Olympus"},
    ],
)
async def test_malformed_parameters_are_refused_before_they_are_sent(
    friends: tuple[Peer, Peer], parameters: dict[str, Any]
) -> None:
    alice, _ = friends
    with pytest.raises(BadInput):
        await alice.agent.query("bob", "AVAILABILITY", parameters)
    with pytest.raises(BadInput):
        await alice.agent.query("bob", "GOSSIP", {})
    with pytest.raises(BadInput):
        await alice.agent.query("bob", "CUSTOM", {})


async def test_malformed_parameters_of_a_peer_are_answered_as_such(
    world: World, friends: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = friends
    monkeypatch.setattr("agentnet_desktop.agent.queries.availability", lambda _: None)
    _, answer = await ask(world, alice, parameters={"startDate": "soon"})
    assert code(answer) == "INVALID_PARAMETERS"


async def test_everything_but_availability_asks_and_shows_the_very_answer(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.db.write(lambda session: settings.put(session, "preferences.locations", ["Library", "Park"]))
    request, answer = await ask(world, alice, "LOCATION_PREFERENCE", {})
    assert answer is None
    (shown,) = await bob.agent.requests()
    assert shown.answer["data"] == {"locations": ["Library", "Park"]}
    await bob.agent.allow_request(shown.request_id)
    await world.settle()
    answer = await alice.agent.wait_query(request, 5)
    assert answer is not None and answer.data == {"locations": ["Library", "Park"]}
    asked = [event.closed for event in bob.events if isinstance(event, PermissionAsked)]
    assert asked == [False, True]
    assert await bob.agent.requests() == []


async def test_what_the_person_denies_gives_no_hint(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    request, _ = await ask(world, alice, "MEETING_TYPE_PREFERENCE", {})
    await bob.agent.deny_request(request, always=True)
    await world.settle()
    denied = await alice.agent.wait_query(request, 5)
    assert code(denied) == "PERMISSION_DENIED"
    await bob.db.write(lambda session: settings.put(session, "preferences.meetingTypes", ["COFFEE"]))
    _, again = await ask(world, alice, "MEETING_TYPE_PREFERENCE", {})
    assert denied is not None and again is not None
    assert again.error == denied.error and again.data is None
    with pytest.raises(NotFound):
        await bob.agent.allow_request(request)


async def test_allowing_always_answers_the_next_one_by_itself(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    request, _ = await ask(world, alice, "LOCATION_PREFERENCE", {})
    await bob.agent.allow_request(f"alice/{request}", always=True)
    await world.settle()
    _, answer = await ask(world, alice, "LOCATION_PREFERENCE", {})
    assert code(answer) == "UNAVAILABLE_DATA"


async def test_a_denied_availability_tells_nothing(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    await bob.db.write(lambda session: policy.set_level(session, "*", "AVAILABILITY", Level.DENY))
    _, answer = await ask(world, alice)
    assert code(answer) == "PERMISSION_DENIED"
    await bob.db.write(lambda session: policy.set_level(session, "Alice", "AVAILABILITY", Level.COARSE))
    _, answer = await ask(world, alice)
    assert code(answer) is None


async def test_a_custom_query_goes_to_its_handler(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    bob.agent.add_query_handler("lunch", lambda peer, parameters: {"for": peer, "dish": parameters["dish"]})
    await bob.db.write(lambda session: policy.set_level(session, "alice", "CUSTOM", Level.SLOTS))
    _, answer = await ask(world, alice, "CUSTOM", {"name": "lunch", "dish": "soup"})
    assert answer is not None and answer.data == {"for": "alice", "dish": "soup"}
    _, unknown = await ask(world, alice, "CUSTOM", {"name": "dinner"})
    assert code(unknown) == "UNAVAILABLE_DATA"


async def test_a_custom_query_asks_the_person_by_default(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, bob = friends
    bob.agent.add_query_handler("lunch", lambda *_: {"dish": "soup"})
    request, answer = await ask(world, alice, "CUSTOM", {"name": "lunch"})
    assert answer is None
    (shown,) = await bob.agent.requests()
    assert shown.answer["data"] == {"dish": "soup"}
    await bob.agent.allow_request(request)
    await world.settle()
    assert code(await alice.agent.wait_query(request, 5)) is None


async def test_a_handler_that_fails_is_an_internal_error_without_its_words(
    world: World, friends: tuple[Peer, Peer], expected_errors: Callable[[str], None]
) -> None:
    expected_errors("handler of a CUSTOM query failed")
    alice, bob = friends

    def broken(*_: object) -> None:
        raise RuntimeError("the secret recipe")

    bob.agent.add_query_handler("lunch", broken)
    await bob.db.write(lambda session: policy.set_level(session, "alice", "CUSTOM", Level.SLOTS))
    _, answer = await ask(world, alice, "CUSTOM", {"name": "lunch"})
    assert code(answer) == "INTERNAL_ERROR"
    assert "recipe" not in str(answer)


async def test_a_custom_query_that_a_crash_left_is_answered_after_the_restart(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    bob.agent.add_query_handler("lunch", lambda *_: None)
    await bob.db.write(lambda session: policy.set_level(session, "alice", "CUSTOM", Level.SLOTS))
    bob.agent._ground.start_turn = lambda *_, **__: None  # type: ignore[method-assign]
    request, answer = await ask(world, alice, "CUSTOM", {"name": "lunch"})
    assert answer is None
    await bob.crash()
    await bob.start()
    await world.settle()
    assert code(await alice.agent.wait_query(request, 5)) == "UNAVAILABLE_DATA"


async def test_a_query_unanswered_past_its_time_is_a_timeout_in_the_senders_log(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    request, answer = await ask(world, alice, "LOCATION_PREFERENCE", {})
    assert answer is None
    await world.advance(DAY_MS)
    assert code(await alice.agent.wait_query(request, 5)) == "TIMEOUT_ERROR"
    assert "bob did not answer your query in time" in await alice.summaries()
    await bob.agent.allow_request(request)
    await world.settle()
    assert code(await alice.agent.wait_query(request, 5)) == "UNAVAILABLE_DATA"


async def test_waiting_for_an_unknown_query_says_so(alice: Peer) -> None:
    with pytest.raises(NotFound):
        await alice.agent.wait_query("req_unknown", 1)


async def test_a_person_sets_what_is_shared_for_one_contact_or_for_everybody(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    await bob.db.write(lambda session: settings.put(session, policy.WORKING_HOURS, {"timeZone": "Etc/UTC"}))
    await bob.agent.set_policy("*", "LOCATION_PREFERENCE", "deny")
    made = await bob.agent.set_policy("Alice", "AVAILABILITY", "busy")
    assert (made.level, made.chosen) == ("busy", True)
    await bob.agent.propose(["alice"], draft())
    await world.settle()

    _, answer = await ask(world, alice)

    assert answer is not None and answer.data is not None
    assert answer.data["busy"] == [{"start": "2026-06-02T12:00:00Z", "end": "2026-06-02T13:00:00Z"}]
    assert code((await ask(world, alice, "LOCATION_PREFERENCE", {}))[1]) == "PERMISSION_DENIED"
    assert [(view.peer, view.query_type, view.level, view.chosen) for view in await bob.agent.policy()] == [
        ("*", "AVAILABILITY", "slots", False),
        ("*", "LOCATION_PREFERENCE", "deny", True),
        ("*", "MEETING_TYPE_PREFERENCE", "ask", False),
        ("*", "CUSTOM", "ask", False),
        ("alice", "AVAILABILITY", "busy", True),
        ("alice", "LOCATION_PREFERENCE", "deny", False),
        ("alice", "MEETING_TYPE_PREFERENCE", "ask", False),
        ("alice", "CUSTOM", "ask", False),
    ]


async def test_exact_times_tell_nothing_of_what_is_taken(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    _, answer = await ask(world, alice)
    assert answer is not None and answer.data is not None
    assert set(answer.data) == {"availableTimes", "slots", "timeZone"}


@pytest.mark.parametrize(
    ("who", "kind", "word", "error"),
    [
        ("nobody", "AVAILABILITY", "deny", NotFound),
        ("alice", "SALARY", "deny", BadInput),
        ("alice", "AVAILABILITY", "everything", BadInput),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused_and_changes_nothing(
    friends: tuple[Peer, Peer], who: str, kind: str, word: str, error: type[Exception]
) -> None:
    _, bob = friends
    before = await bob.agent.policy()
    with pytest.raises(error):
        await bob.agent.set_policy(who, kind, word)
    assert await bob.agent.policy() == before


HOUR = 3_600_000
TUESDAY = 1_780_358_400_000  # 2026-06-02 00:00 UTC


async def test_a_person_sees_what_is_free_and_what_is_taken(world: World, friends: tuple[Peer, Peer]) -> None:
    _, bob = friends
    await bob.db.write(lambda session: settings.put(session, policy.WORKING_HOURS, {"timeZone": "Etc/UTC"}))
    await bob.agent.propose(["alice"], draft())
    await world.settle()

    found = await bob.agent.free_busy(TUESDAY, TUESDAY + 12 * HOUR + HOUR // 2)

    assert found.time_zone == "Etc/UTC"
    assert found.free == (Slot(TUESDAY + 9 * HOUR, TUESDAY + 12 * HOUR),)
    assert found.busy == (Slot(TUESDAY + 12 * HOUR, TUESDAY + 12 * HOUR + HOUR // 2),)


@pytest.mark.parametrize("length", [0, -1, 366 * 24 * HOUR + 1])
async def test_a_look_at_no_time_or_at_too_much_is_refused(bob: Peer, length: int) -> None:
    with pytest.raises(BadInput):
        await bob.agent.free_busy(TUESDAY, TUESDAY + length)


def test_coarse_windows_hide_single_meetings() -> None:
    hour = 3_600_000
    day = 1_780_272_000_000  # Monday 2026-06-01 00:00 UTC
    free = [
        Span(day + 9 * hour, day + 10 * hour),
        Span(day + 11 * hour, day + 13 * hour),
        Span(day + 16 * hour, day + 17 * hour),
    ]
    assert policy.coarse(free, "UTC") == [
        Span(day + 9 * hour, day + 12 * hour),
        Span(day + 12 * hour, day + 17 * hour),
    ]
    assert policy.coarse([Span(day + 9 * hour, day + 10 * hour)], "UTC") == []
