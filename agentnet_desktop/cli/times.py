"""Times and spans as a person types them on the command line."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from agentnet_desktop.cli.outcome import Usage

_SPAN = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)
# Well within what messages carry (1970 to 2999), so that an offset or a week more stays within, too.
FIRST_YEAR, LAST_YEAR = 1971, 2998
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def span_ms(text: str) -> int:
    """Reads a span such as `90s`, `30m`, `24h`, `7d` or `2w`, in ms.

    Raises:
        Usage: it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise Usage(f"{text!r} is not a span of time; write 30m, 24h or 7d.")
    return int(found[1]) * _UNITS_MS[found[2]]


def zone_named(name: str | None) -> tuple[str, ZoneInfo]:
    """Returns a zone by its IANA name, the machine's own when none is given.

    Raises:
        Usage: there is no such zone.
    """
    from agentnet_desktop.calendars.zone import local_zone
    from agentnet_desktop.protocol.times import find_zone

    wanted = name or local_zone()
    zone = find_zone(wanted)
    if zone is None:
        raise Usage(f"{wanted!r} is not a known time zone; write Europe/Berlin, for instance.")
    return wanted, zone


def moment(text: str, zone: ZoneInfo, option: str) -> datetime:
    """Reads an ISO 8601 time; one without an offset is meant in `zone`.

    Args:
        text: such as `2026-06-01T15:00`, `2026-06-01 15:00+02:00` or `2026-06-01`.
        zone: for a time without an offset.
        option: named in the error.

    Raises:
        Usage: it is no time, or in a year that not every zone can write.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Usage(
            f"{option} {text!r} is not a time; write 2026-06-01T15:00 or 2026-06-01T15:00+02:00."
        ) from None
    found = found if found.tzinfo is not None else found.replace(tzinfo=zone)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Usage(f"{option} {text!r} is out of reach; write a year from {FIRST_YEAR} to {LAST_YEAR}.")
    return found


def rfc3339(found: datetime) -> str:
    """Writes a time as RFC 3339 with an offset, to the second."""
    return found.isoformat(timespec="seconds")


def seconds(text: str) -> float:
    """Reads a number of seconds, for argparse.

    Raises:
        ValueError: it is none, or below zero.
    """
    value = float(text)
    if not 0 <= value <= 10_000_000:
        raise ValueError("out of range")
    return value
