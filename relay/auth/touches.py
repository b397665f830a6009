"""Whether a SQLite database may have been written to, told by the times of its files alone.

Asking the database costs a thread and some tenths of a millisecond, which is much for something that hardly ever
has news; looking at two files costs a few microseconds, and never waits for anybody.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

GRAIN_S: Final = 2.0
"""The coarsest steps in which a file system tells times. A change may not show in the times of a file that has
changed within so many seconds before."""
_Mark = tuple[int, int] | None
"""A file's time in ns and size in bytes, or None where it cannot be seen."""


class Touches:
    """Looks at a database in WAL mode, again and again."""

    def __init__(self, path: Path) -> None:
        """Build it; nothing is looked at yet.

        Args:
            path: the database's file.
        """
        self._paths = (path, path.with_name(f"{path.name}-wal"))
        self._marks: list[_Mark] | None = None

    def may_be_new(self, wall: float) -> bool:
        """Look whether something may have been written since the last look; at the first, it may.

        Args:
            wall: seconds since the Unix epoch, on the clock that files are stamped by.
        """
        if sys.platform == "win32":  # a file's times are not kept up while it is open there
            return True
        marks = [_mark(path) for path in self._paths]
        is_same, self._marks = marks == self._marks, marks
        if marks[0] is None or not is_same:
            return True
        return max(mark[0] for mark in marks if mark) / 1e9 > wall - GRAIN_S


def _mark(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
