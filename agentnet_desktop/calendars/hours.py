"""Free time from a person's working hours: the simplest source of availability, and pure.

Working hours are wall-clock times on weekdays in one zone; what they mean as instants follows that zone's
rules, so a day of the summer-time change is an hour shorter or longer where it should be. Implements the
availability of docs/protocol.md, *Queries*. It reads no calendar: a source of real calendars has the same
`free` and stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


class BadSetting(ValueError):
    """A setting about working hours is malformed; the text names the part."""


_HH_MM = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
MONDAY_TO_FRIDAY = (0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of time in milliseconds since the epoch, half-open."""

    start: int
    end: int


def merge(spans: Iterable[Span]) -> list[Span]:
    """Returns the union of `spans` as disjoint, sorted stretches; empty ones are dropped."""
    merged: list[Span] = []
    for span in sorted(spans):
        if span.end <= span.start:
            continue
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def subtract(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """Returns what is in `spans` and in none of `taken`, as disjoint, sorted stretches."""
    holes = merge(taken)
    left: list[Span] = []
    for span in merge(spans):
        start = span.start
        for hole in holes:
            if hole.end <= start or hole.start >= span.end:
                continue
            if hole.start > start:
                left.append(Span(start, hole.start))
            start = max(start, hole.end)
        if start < span.end:
            left.append(Span(start, span.end))
    return left


def _instant(day: date, at: time, zone: ZoneInfo) -> int:
    """Returns the instant of a wall-clock time; one inside the spring gap is taken after the gap."""
    local = datetime.combine(day, at, tzinfo=zone)
    return int(local.astimezone(UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """Monday to Friday, 09:00 to 17:00, unless told otherwise.

    Attributes:
        time_zone: IANA name.
        opens: wall-clock start of a working day.
        closes: wall-clock end, after `opens` on the same day.
        weekdays: 0 is Monday.
    """

    time_zone: str
    opens: time = time(9)
    closes: time = time(17)
    weekdays: tuple[int, ...] = MONDAY_TO_FRIDAY
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Looks the zone up.

        Raises:
            ZoneInfoNotFoundError: the zone's name is unknown here.
        """
        object.__setattr__(self, "_zone", ZoneInfo(self.time_zone))

    def _days(self, start: int, end: int) -> Iterator[date]:
        day = datetime.fromtimestamp(start / 1000, self._zone).date()
        last = datetime.fromtimestamp(end / 1000, self._zone).date()
        while day <= last:
            if day.weekday() in self.weekdays:
                yield day
            day += timedelta(days=1)

    def hours(self, start: int, end: int) -> list[Span]:
        """Returns the working hours within [start, end), in milliseconds since the epoch."""
        spans = (
            Span(
                max(_instant(day, self.opens, self._zone), start),
                min(_instant(day, self.closes, self._zone), end),
            )
            for day in self._days(start, end)
        )
        return merge(spans)

    def free(self, start: int, end: int, busy: Sequence[Span]) -> list[Span]:
        """Returns the working hours within [start, end) that no stretch of `busy` takes.

        Args:
            start: milliseconds since the epoch.
            end: milliseconds since the epoch.
            busy: stretches that are taken, in any order, overlapping or not.
        """
        return subtract(self.hours(start, end), busy)


def working_hours(setting: object, *, default_zone: str) -> WorkingHours:
    """Builds working hours from the setting `workingHours`.

    Args:
        setting: `{"timeZone", "opens": "HH:MM", "closes": "HH:MM", "weekdays": [0…6]}`, each part
            optional, or None.
        default_zone: IANA zone where the setting names none.

    Raises:
        BadSetting: a part is malformed; it names the part.
    """
    if setting is None:
        return WorkingHours(default_zone)
    if not isinstance(setting, dict):
        raise BadSetting("workingHours: not an object")
    opens = _clock(setting.get("opens", "09:00"), "opens")
    closes = _clock(setting.get("closes", "17:00"), "closes")
    if closes <= opens:
        raise BadSetting("workingHours.closes: not after opens")
    weekdays = setting.get("weekdays", list(MONDAY_TO_FRIDAY))
    if not isinstance(weekdays, list) or not all(type(day) is int and 0 <= day <= 6 for day in weekdays):
        raise BadSetting("workingHours.weekdays: not a list of 0 to 6")
    zone = setting.get("timeZone", default_zone)
    if not isinstance(zone, str):
        raise BadSetting("workingHours.timeZone: not text")
    return WorkingHours(zone, opens, closes, tuple(weekdays))


def _clock(value: object, name: str) -> time:
    match = _HH_MM.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadSetting(f"workingHours.{name}: not HH:MM")
    return time(int(match[1]), int(match[2]))
