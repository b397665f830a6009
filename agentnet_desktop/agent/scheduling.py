"""When several people can meet: asks their agents, looks at one's own time, and says what suits everyone.

Implements what docs/protocol.md, *QUERY and RESPONSE*, offers for it: one AVAILABILITY query to each peer. It
proposes nothing; `calendars.matching` computes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.agent.events import QueryAnswer, Slot
from agentnet_desktop.agent.schedule_views import FreeBusyView, SilentView, TimesView
from agentnet_desktop.calendars import matching
from agentnet_desktop.calendars.hours import Span
from agentnet_desktop.protocol import times
from agentnet_desktop.protocol.content import QueryType, availability_data

_MINUTE_MS = 60_000
_MOST_STARTS = 1_000
_OFFERED = 5  # a PROPOSAL carries a time and at most four alternatives


class Asks(Protocol):
    """The commands of an agent that are needed here."""

    async def query(self, peer: str, query_type: str, parameters: Mapping[str, Any]) -> str:
        """As `Commands.query`."""

    async def wait_query(self, request_id: str, timeout_s: float) -> QueryAnswer | None:
        """As `Commands.wait_query`."""

    async def free_busy(self, start: int, end: int) -> FreeBusyView:
        """As `Commands.free_busy`."""


async def suggest(
    agent: Asks,
    peers: Sequence[str],
    *,
    start: int,
    end: int,
    minutes: int,
    time_zone: str,
    timeout_s: float,
    now: int,
) -> TimesView:
    """Finds the times that suit everyone; see `Commands.suggest_times`."""
    zone = times.find_zone(time_zone)
    if zone is None:
        raise BadInput(f"The time zone {time_zone} is not known.")
    if not peers:
        raise BadInput("Name at least one contact to meet.")
    parameters = {
        "startDate": times.format_instant(start),
        "endDate": times.format_instant(end),
        "timeZone": time_zone,
        "durationMinutes": minutes,
    }
    own = await agent.free_busy(start, end)
    asked = [await agent.query(peer, QueryType.AVAILABILITY, parameters) for peer in peers]
    answers = await asyncio.gather(*(agent.wait_query(request, timeout_s) for request in asked))
    silent = tuple(
        _silent(peer, answer)
        for peer, answer in zip(peers, answers, strict=True)
        if answer is None or answer.data is None
    )
    if silent:
        return TimesView((), (), silent)
    mine = [Span(slot.start, slot.end) for slot in own.free]
    theirs = [_free(answer.data) for answer in answers if answer is not None and answer.data is not None]
    return _shared([mine, *theirs], Span(max(start, now), end), minutes * _MINUTE_MS, zone)


def _shared(people: Sequence[Sequence[Span]], within: Span, length: int, zone: ZoneInfo) -> TimesView:
    free = matching.common([*people, [within]])
    possible = matching.starts(free, length, after=within.start, most=_MOST_STARTS)
    offered = matching.best(possible, length, zone=zone, most=_OFFERED)
    return TimesView(tuple(possible), tuple(Slot(span.start, span.end) for span in offered), ())


def _silent(peer: str, answer: QueryAnswer | None) -> SilentView:
    if answer is None:
        return SilentView(peer, "", "")
    error = answer.error or {}
    return SilentView(peer, str(error.get("code", "")), str(error.get("message", "")))


def _free(data: Mapping[str, Any]) -> list[Span]:
    """Reads `data.slots` of an answer, which was checked when it came."""
    return [
        Span(times.parse_instant(slot.start, "start"), times.parse_instant(slot.end, "end"))
        for slot in availability_data(data).slots
    ]
