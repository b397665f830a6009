"""A relay that ends while two agents talk: what was made is delivered, and both are back by themselves in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.end_to_end.people import LIMIT_S, Person
from tests.processes import RelayProcess

QUESTION = {
    "startDate": "2030-05-06T00:00:00Z",
    "endDate": "2030-05-10T00:00:00Z",
    "timeZone": "Europe/Berlin",
    "durationMinutes": 30,
}
BACK_S = 5.0


@pytest.mark.parametrize("end", [RelayProcess.stop, RelayProcess.kill])
async def test_agents_come_back_by_themselves_and_every_question_is_answered_once(
    friends: tuple[Person, Person], relay: RelayProcess, end: Callable[[RelayProcess], int | None]
) -> None:
    alice, bob = friends
    before = len(alice.told), len(bob.told)
    asked = [await alice.agent.query(bob.id, "AVAILABILITY", QUESTION) for _ in range(5)]
    ending = asyncio.create_task(asyncio.to_thread(end, relay))
    while not ending.done() and len(asked) < 40:
        asked.append(await alice.agent.query(bob.id, "AVAILABILITY", QUESTION))
    await asyncio.gather(ending, alice.disconnected(since=before[0]), bob.disconnected(since=before[1]))
    asked.append(await alice.agent.query(bob.id, "AVAILABILITY", QUESTION))
    since = len(alice.told), len(bob.told)
    await asyncio.to_thread(relay.start)
    up = time.monotonic()
    await asyncio.gather(alice.connected(since=since[0]), bob.connected(since=since[1]))
    assert time.monotonic() - up < BACK_S
    answers = [await alice.agent.wait_query(request, LIMIT_S) for request in asked]
    assert all(answer is not None and answer.error is None for answer in answers)
    rows = await bob.log("type:QUERY")
    assert len({row.message_id for row in rows}) == len(rows) == len(asked)
