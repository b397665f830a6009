"""Times as the contents write them: RFC 3339 instants, wall-clock times, and IANA zone names.

Implements docs/protocol.md section 8.1 (times). Instants are held as ms since the Unix epoch, UTC.

This module reads no clock. Zones are looked up in the machine's tz database, or the bundled one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from relay.wire.errors import WireError

_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_WALL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_ZONE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+\-]*(/[A-Za-z0-9][A-Za-z0-9_+\-]*)*")
_LONGEST_ZONE: Final = 64
EARLIEST_MS: Final = 0
"""1970-01-01T00:00:00Z: before it, and after `LATEST_MS`, clocks and zones of some systems give up."""
LATEST_MS: Final = 32_503_679_999_999
"""2999-12-31T23:59:59.999Z."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def parse_instant(text: str, field: str) -> int:
    """Read an RFC 3339 time with an offset.

    Args:
        text: As in `2023-06-01T15:00:00Z` or `2023-06-01T17:00:00+02:00`; fractions below a ms are cut off.
        field: Path to name in the error.

    Returns:
        ms since the Unix epoch.

    Raises:
        WireError: If it is not one, names no real time, or lies outside the years 1970 to 2999 in UTC.
    """
    if _INSTANT.fullmatch(text) is None:
        raise WireError(field, "is not an RFC 3339 time with an offset")
    try:
        ms = _instant(text)
    except ValueError:
        raise WireError(field, "names no real time") from None
    if not EARLIEST_MS <= ms <= LATEST_MS:
        raise WireError(field, "is not in the years 1970 to 2999")
    return ms


def kept_instant(text: str) -> int:
    """The ms of an RFC 3339 time that was checked when it was stored, brought into the years 1970 to 2999."""
    return min(max(_instant(text), EARLIEST_MS), LATEST_MS)


def _instant(text: str) -> int:
    return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MILLISECOND


def format_instant(ms: int) -> str:
    """Write an instant in UTC: `2023-06-01T15:00:00Z`, with `.sss` only where it is not a full second."""
    moment = _EPOCH + ms * _MILLISECOND
    precision = "milliseconds" if ms % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def check_wall_time(text: str, field: str) -> datetime:
    """Read a wall-clock time, `YYYY-MM-DDTHH:MM:SS`, which has no offset.

    Raises:
        WireError: If it is not one, or names no real time.
    """
    if _WALL.fullmatch(text) is None:
        raise WireError(field, "is not YYYY-MM-DDTHH:MM:SS")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise WireError(field, "names no real time") from None


def check_zone_name(text: str, field: str) -> None:
    """Raise WireError unless the text has the form of an IANA zone name; it need not be known here."""
    if len(text) > _LONGEST_ZONE or _ZONE.fullmatch(text) is None:
        raise WireError(field, "is not the name of a time zone")


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of that name, or None where the tz database has none; `ZoneInfo` never leaves its folders."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown; a directory, or too long; a path, or not a zone
        return None


def wall_time(ms: int, zone: ZoneInfo) -> str:
    """The wall-clock time of an instant in a zone, `YYYY-MM-DDTHH:MM:SS`."""
    moment = (_EPOCH + ms * _MILLISECOND).astimezone(zone)
    return moment.replace(tzinfo=None, microsecond=0).isoformat()


def disagreement(start_time: str, time_zone: str | None, local_start: str | None) -> str | None:
    """Compare an instant with the wall-clock time that was meant, under this machine's tz database.

    Args:
        start_time: RFC 3339, already checked.
        time_zone: IANA name, or None.
        local_start: `YYYY-MM-DDTHH:MM:SS`, or None.

    Returns:
        None while they agree, or nothing can be compared; otherwise the wall-clock time that the instant has
        in that zone here, or "" when the zone is not known here.
    """
    if time_zone is None or local_start is None:
        return None
    zone = find_zone(time_zone)
    if zone is None:
        return ""
    here = wall_time(kept_instant(start_time), zone)
    return None if here == local_start else here
