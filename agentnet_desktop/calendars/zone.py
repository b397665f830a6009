"""The IANA name of the zone that this machine is set to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MARK = "zoneinfo/"


def local_zone(environment: Mapping[str, str] | None = None, link: Path = Path("/etc/localtime")) -> str:
    """Returns the machine's zone, from `TZ` or the system's link; UTC when neither names one.

    Args:
        environment: where `TZ` is looked up; the process's own if left out.
        link: the file that POSIX systems link to the zone's rules.
    """
    named = (os.environ if environment is None else environment).get("TZ", "").lstrip(":")
    target = os.path.realpath(link) if link.is_symlink() else ""
    for name in (named, target.rpartition(_MARK)[2]):
        if name and _known(name):
            return name
    return "UTC"


def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
