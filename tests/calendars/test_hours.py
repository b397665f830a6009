"""Working hours: what they mean as instants, on the days when clocks change too."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.calendars.hours import BadSetting, Span, WorkingHours, merge, subtract, working_hours
from agentnet_desktop.calendars.zone import local_zone

HOUR = 3_600_000
spans = st.lists(st.builds(Span, st.integers(0, 60), st.integers(0, 60)), max_size=8)


def at(text: str) -> int:
    """Milliseconds of an RFC 3339 time."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def points(found: list[Span]) -> set[int]:
    """The whole numbers that spans cover."""
    return {x for span in found for x in range(span.start, span.end)}


def test_a_week_has_five_working_days() -> None:
    hours = WorkingHours("Europe/Berlin")
    week = hours.hours(at("2026-06-01T00:00:00+02:00"), at("2026-06-08T00:00:00+02:00"))
    assert len(week) == 5
    assert week[0] == Span(at("2026-06-01T09:00:00+02:00"), at("2026-06-01T17:00:00+02:00"))
    assert sum(span.end - span.start for span in week) == 40 * HOUR


def test_the_range_cuts_the_days_at_its_ends() -> None:
    hours = WorkingHours("UTC")
    assert hours.hours(at("2026-06-01T10:00:00Z"), at("2026-06-01T11:00:00Z")) == [
        Span(at("2026-06-01T10:00:00Z"), at("2026-06-01T11:00:00Z"))
    ]
    assert hours.hours(at("2026-06-06T00:00:00Z"), at("2026-06-08T00:00:00Z")) == []


@pytest.mark.parametrize(
    ("day", "before", "after"),
    [("2026-03-29", "+01:00", "+02:00"), ("2026-10-25", "+02:00", "+01:00")],
)
def test_hours_over_a_change_of_the_clocks_follow_the_wall(day: str, before: str, after: str) -> None:
    hours = WorkingHours("Europe/Berlin", weekdays=(6,))
    span = hours.hours(at(f"{day}T00:00:00{before}"), at(f"{day}T23:00:00{after}"))
    assert span == [Span(at(f"{day}T09:00:00{after}"), at(f"{day}T17:00:00{after}"))]


def test_a_night_shift_over_the_change_is_an_hour_shorter_or_longer() -> None:
    night = working_hours(
        {"opens": "00:00", "closes": "06:00", "weekdays": [6]}, default_zone="Europe/Berlin"
    )
    (spring,) = night.hours(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"))
    (autumn,) = night.hours(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"))
    assert (spring.end - spring.start, autumn.end - autumn.start) == (5 * HOUR, 7 * HOUR)


def test_what_is_taken_is_not_free() -> None:
    hours = WorkingHours("UTC")
    start, end = at("2026-06-01T00:00:00Z"), at("2026-06-02T00:00:00Z")
    taken = [Span(at("2026-06-01T12:00:00Z"), at("2026-06-01T13:00:00Z"))]
    free = hours.free(start, end, taken)
    assert [span.end - span.start for span in free] == [3 * HOUR, 4 * HOUR]


@given(spans, spans)
def test_subtracting_leaves_exactly_the_rest(left: list[Span], right: list[Span]) -> None:
    found = subtract(left, right)
    assert points(found) == points(left) - points(right)
    assert found == merge(found)


@given(spans)
def test_merging_keeps_what_is_covered_and_makes_it_disjoint(some: list[Span]) -> None:
    found = merge(some)
    assert points(found) == points(some)
    assert all(one.end < other.start for one, other in pairwise(found))


def test_settings_say_what_is_malformed() -> None:
    assert working_hours(None, default_zone="UTC") == WorkingHours("UTC")
    assert working_hours({"timeZone": "Asia/Tokyo"}, default_zone="UTC").time_zone == "Asia/Tokyo"
    for setting, part in (
        ([], "workingHours"),
        ({"opens": "nine"}, "opens"),
        ({"closes": 17.5}, "closes"),
        ({"closes": "08:00"}, "closes"),
        ({"weekdays": [7]}, "weekdays"),
        ({"weekdays": [True]}, "weekdays"),
        ({"timeZone": 5}, "timeZone"),
    ):
        with pytest.raises(BadSetting, match=part):
            working_hours(setting, default_zone="UTC")
    with pytest.raises(ZoneInfoNotFoundError):
        working_hours({"timeZone": "Mars/Olympus"}, default_zone="UTC")


def test_the_machines_zone_is_found_or_utc(tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    assert local_zone({"TZ": "Europe/Berlin"}, link) == "Europe/Berlin"
    assert local_zone({"TZ": ":America/New_York"}, link) == "America/New_York"
    assert local_zone({"TZ": "nonsense"}, link) == "UTC"
    target = tmp_path / "zoneinfo" / "Asia" / "Tokyo"
    target.parent.mkdir(parents=True)
    target.touch()
    link.symlink_to(target)
    assert local_zone({}, link) == "Asia/Tokyo"
