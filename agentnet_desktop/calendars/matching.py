"""Times that suit everyone: what free stretches have in common, and which of it to offer first.

Pure, and knows no calendar and no peer. Times are milliseconds since the epoch. Starts fall on quarters of an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from agentnet_desktop.calendars.hours import Span, merge

STEP_MS = 15 * 60_000


def common(people: Sequence[Sequence[Span]]) -> list[Span]:
    """Returns when everyone is free, disjoint and sorted.

    Args:
        people: for each person their free stretches, in any order; nobody is never free.
    """
    if not people:
        return []
    shared = merge(people[0])
    for other in people[1:]:
        theirs = merge(other)
        shared = merge(
            Span(max(mine.start, span.start), min(mine.end, span.end)) for mine in shared for span in theirs
        )
    return shared


def starts(free: Iterable[Span], length: int, *, after: int, most: int) -> list[int]:
    """Lists the quarters of an hour at which a meeting can start.

    Args:
        free: when everyone is free, disjoint and sorted.
        length: of the meeting, ms.
        after: no start before this moment.
        most: no more than so many.
    """
    found: list[int] = []
    for span in free:
        first = -(-max(span.start, after) // STEP_MS) * STEP_MS
        found += range(first, span.end - length + 1, STEP_MS)
    return found[:most]


def best(possible: Iterable[int], length: int, *, zone: ZoneInfo, most: int) -> list[Span]:
    """Chooses what to offer: one time on each day, soonest first, then a second on each, and so on.

    Within a day full hours come before half hours and those before quarters; no two overlap.

    Args:
        possible: starts, as `starts` lists them.
        length: of the meeting, ms.
        zone: in which days and full hours are meant.
        most: no more than so many.
    """
    days: dict[date, list[tuple[int, int]]] = {}
    for start in possible:
        local = datetime.fromtimestamp(start / 1000, zone)
        days.setdefault(local.date(), []).append((_roundness(local.minute), start))
    ranked: list[tuple[int, int]] = []
    for offered in days.values():
        taken: list[int] = []
        for _, start in sorted(offered):
            if all(abs(start - other) >= length for other in taken):
                ranked.append((len(taken), start))
                taken.append(start)
    return [Span(start, start + length) for _, start in sorted(ranked)[:most]]


def _roundness(minute: int) -> int:
    return 0 if minute == 0 else 1 if minute == 30 else 2
