"""Finding a time that suits everyone, as transcripts."""

from __future__ import annotations

import asyncio

import pytest

from agentnet_desktop.agent import policy
from agentnet_desktop.agent.errors import BadInput, NotFound
from agentnet_desktop.agent.events import Slot
from agentnet_desktop.agent.schedule_views import TimesView
from agentnet_desktop.store import settings
from tests.agent.conftest import Peer, World, draft

HOUR = 3_600_000
TUESDAY = 1_780_358_400_000  # 2026-06-02 00:00 UTC


@pytest.fixture
async def office(friends: tuple[Peer, Peer]) -> tuple[Peer, Peer]:
    """Alice works 8 to 12 and Bob 10 to 14, UTC."""
    alice, bob = friends
    await _works(alice, "08:00", "12:00")
    await _works(bob, "10:00", "14:00")
    return friends


async def _works(peer: Peer, opens: str, closes: str) -> None:
    hours = {"timeZone": "Etc/UTC", "opens": opens, "closes": closes}
    await peer.db.write(lambda session: settings.put(session, policy.WORKING_HOURS, hours))


async def suggested(
    world: World, alice: Peer, *, start: int = TUESDAY, minutes: int = 60, wait: float = 5
) -> TimesView:
    """What Alice's agent finds on that Tuesday."""
    found = asyncio.ensure_future(
        alice.agent.suggest_times(
            ["bob"], start, TUESDAY + 24 * HOUR, minutes=minutes, time_zone="Etc/UTC", timeout_s=wait
        )
    )
    await world.settle()
    return await found


async def test_what_suits_both_is_found_and_the_full_hours_come_first(
    world: World, office: tuple[Peer, Peer]
) -> None:
    found = await suggested(world, office[0])
    assert [(at - TUESDAY) / HOUR for at in found.starts] == [10, 10.25, 10.5, 10.75, 11]
    assert [(slot.start - TUESDAY) / HOUR for slot in found.best] == [10, 11]
    assert found.best[0] == Slot(TUESDAY + 10 * HOUR, TUESDAY + 11 * HOUR)


async def test_what_is_taken_on_either_side_is_left_out(world: World, office: tuple[Peer, Peer]) -> None:
    alice, bob = office
    await bob.agent.propose(["alice"], draft(start="2026-06-02T10:00:00Z", end="2026-06-02T11:00:00Z"))
    await world.settle()
    assert [(at - TUESDAY) / HOUR for at in (await suggested(world, alice)).starts] == [11]
    await alice.agent.propose(["bob"], draft(start="2026-06-02T11:00:00Z", end="2026-06-02T12:00:00Z"))
    await world.settle()
    assert (await suggested(world, alice)).starts == ()


async def test_the_past_is_not_offered(world: World, office: tuple[Peer, Peer]) -> None:
    await world.advance(TUESDAY + 10 * HOUR + HOUR // 2 + 1 - world.clock.now)
    found = await suggested(world, office[0])
    assert [(at - TUESDAY) / HOUR for at in found.starts] == [10.75, 11]


async def test_who_does_not_say_is_named_and_nothing_is_offered(
    world: World, office: tuple[Peer, Peer]
) -> None:
    alice, bob = office
    await bob.agent.set_policy("*", "AVAILABILITY", "ask")
    found = await suggested(world, alice, wait=0)
    assert [(view.peer, view.code) for view in found.silent] == [("bob", "")]
    await bob.agent.set_policy("*", "AVAILABILITY", "deny")
    found = await suggested(world, alice)
    assert [(view.peer, view.code) for view in found.silent] == [("bob", "PERMISSION_DENIED")]
    assert (found.starts, found.best) == ((), ())


async def test_what_makes_no_sense_is_refused_and_nobody_is_asked(
    world: World, office: tuple[Peer, Peer]
) -> None:
    alice, _ = office
    ask = alice.agent.suggest_times
    end = TUESDAY + 24 * HOUR
    with pytest.raises(BadInput, match="time zone"):
        await ask(["bob"], TUESDAY, end, minutes=60, time_zone="Mars/Base", timeout_s=0)
    with pytest.raises(BadInput, match="at least one"):
        await ask([], TUESDAY, end, minutes=60, time_zone="Etc/UTC", timeout_s=0)
    with pytest.raises(BadInput, match="not after the start"):
        await ask(["bob"], end, TUESDAY, minutes=60, time_zone="Etc/UTC", timeout_s=0)
    with pytest.raises(BadInput, match="62 days"):
        await ask(["bob"], TUESDAY, TUESDAY + 63 * 24 * HOUR, minutes=60, time_zone="Etc/UTC", timeout_s=0)
    with pytest.raises(BadInput, match="durationMinutes"):
        await ask(["bob"], TUESDAY, end, minutes=0, time_zone="Etc/UTC", timeout_s=0)
    with pytest.raises(NotFound):
        await ask(["nobody"], TUESDAY, end, minutes=60, time_zone="Etc/UTC", timeout_s=0)
    assert await alice.agent.outbox() == []
