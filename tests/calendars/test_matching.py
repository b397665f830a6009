"""Times that suit everyone, and which of them come first."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from agentnet_desktop.calendars.hours import Span
from agentnet_desktop.calendars.matching import best, common, starts

HOUR = 3_600_000
QUARTER = HOUR // 4
DAY = 24 * HOUR
MONDAY = 1_780_272_000_000  # 2026-06-01 00:00 UTC
UTC, BERLIN = ZoneInfo("Etc/UTC"), ZoneInfo("Europe/Berlin")


def test_what_everyone_has_free_is_common() -> None:
    mine = [Span(0, 3 * HOUR), Span(5 * HOUR, 6 * HOUR)]
    yours = [Span(HOUR, 2 * HOUR), Span(2 * HOUR, 4 * HOUR)]
    theirs = [Span(2 * HOUR + 5, 9 * HOUR), Span(0, HOUR)]
    assert common([mine, yours]) == [Span(HOUR, 3 * HOUR)]
    assert common([mine, yours, theirs]) == [Span(2 * HOUR + 5, 3 * HOUR)]


def test_one_alone_has_all_of_their_time_and_nobody_has_none() -> None:
    assert common([[Span(HOUR, 2 * HOUR), Span(0, HOUR)]]) == [Span(0, 2 * HOUR)]
    assert common([]) == []
    assert common([[Span(0, HOUR)], []]) == []


@pytest.mark.parametrize(
    ("free", "after", "expected"),
    [
        (Span(0, HOUR), 0, [0]),
        (Span(0, HOUR + QUARTER), 0, [0, QUARTER]),
        (Span(1, HOUR + 2 * QUARTER), 0, [QUARTER, 2 * QUARTER]),
        (Span(0, HOUR - 1), 0, []),
        (Span(0, 2 * HOUR), 2 * QUARTER + 1, [3 * QUARTER, HOUR]),
    ],
)
def test_a_meeting_starts_on_a_quarter_and_ends_in_time(free: Span, after: int, expected: list[int]) -> None:
    assert starts([free], HOUR, after=after, most=10) == expected


def test_no_more_starts_are_listed_than_asked_for() -> None:
    assert starts([Span(0, 3 * HOUR), Span(DAY, DAY + HOUR)], HOUR, after=0, most=3) == [
        0,
        QUARTER,
        HOUR // 2,
    ]


def test_every_day_is_offered_once_before_any_is_offered_twice() -> None:
    possible = [MONDAY + 9 * HOUR, MONDAY + 10 * HOUR, MONDAY + DAY + 9 * HOUR, MONDAY + DAY + 11 * HOUR]
    assert best(possible, HOUR, zone=UTC, most=3) == [
        Span(MONDAY + 9 * HOUR, MONDAY + 10 * HOUR),
        Span(MONDAY + DAY + 9 * HOUR, MONDAY + DAY + 10 * HOUR),
        Span(MONDAY + 10 * HOUR, MONDAY + 11 * HOUR),
    ]


def test_full_hours_come_before_half_hours_and_those_before_quarters() -> None:
    at = MONDAY + 9 * HOUR
    first = best([at + QUARTER, at + 2 * QUARTER, at + 4 * QUARTER], QUARTER, zone=UTC, most=3)
    assert [span.start - at for span in first] == [4 * QUARTER, 2 * QUARTER, QUARTER]


def test_no_two_offers_overlap() -> None:
    at = MONDAY + 9 * HOUR
    offered = best([at, at + QUARTER, at + HOUR, at + HOUR + QUARTER], HOUR + QUARTER, zone=UTC, most=5)
    assert [span.start - at for span in offered] == [0, HOUR + QUARTER]


def test_days_are_the_zones_days() -> None:
    late = MONDAY + 23 * HOUR  # Tuesday, 01:00 in Berlin
    offered = best([MONDAY + 9 * HOUR, MONDAY + 10 * HOUR, late], HOUR, zone=BERLIN, most=2)
    assert [span.start for span in offered] == [MONDAY + 9 * HOUR, late]
    offered = best([MONDAY + 9 * HOUR, MONDAY + 10 * HOUR, late], HOUR, zone=UTC, most=2)
    assert [span.start for span in offered] == [MONDAY + 9 * HOUR, MONDAY + 10 * HOUR]
