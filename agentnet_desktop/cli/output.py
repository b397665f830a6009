"""What `agentnet` prints: JSON for programs, one object a line, or plain lines for people.

All that a peer wrote is made visible and cut before it reaches a terminal (`agent.display`); JSON carries it whole, for
JSON escapes it already. Nothing else writes to standard output.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from agentnet_desktop.agent.display import visible
from agentnet_desktop.protocol.times import LATEST_MS

WIDE = 200
_FIRST_MS = 2 * 86_400_000  # earlier local times cannot be written on Windows


def camel(name: str) -> str:
    """Returns a Python name as the protocol would write it: `message_id` → `messageId`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def plain(value: object) -> Any:
    """Turns a view into what JSON can hold, with the protocol's spelling of names; bytes become hex."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {camel(field.name): plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def shown(text: str, limit: int = WIDE) -> str:
    """Makes text of unknown origin safe for a terminal, on one line."""
    return visible(text, limit)


def when(ms: int | None, *, seconds: bool = False) -> str:
    """Writes a time in the machine's zone, such as `2026-06-01 15:00 +0200`; `never` for None.

    A clock may say anything: a time that this system cannot write is shown as the nearest that it can.
    """
    if ms is None:
        return "never"
    ms = min(max(ms, _FIRST_MS), LATEST_MS)
    form = "%Y-%m-%d %H:%M:%S %z" if seconds else "%Y-%m-%d %H:%M %z"
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime(form)


class Output:
    """Where a command writes."""

    def __init__(self, *, as_json: bool) -> None:
        """Makes an output.

        Args:
            as_json: one object a line on standard output, and nothing else there.
        """
        self.as_json = as_json

    def row(self, value: object, line: str) -> None:
        """Writes one thing: its view as JSON, or its line for people (already safe)."""
        if self.as_json:
            self.data(plain(value))
        else:
            self.say(line)

    def data(self, value: Mapping[str, Any]) -> None:
        """Writes one JSON object, whatever the form asked for."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    def say(self, line: str) -> None:
        """Writes a line for people; with JSON it says nothing."""
        if not self.as_json:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    @staticmethod
    def warn(line: str) -> None:
        """Writes a line to standard error."""
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
