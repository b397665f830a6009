"""What answers to AVAILABILITY have in common: a small pure computation on the stretches that peers named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_STEP_MS = 15 * 60_000
_MOST = 96


def _ms(value: object) -> int | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return int(moment.timestamp() * 1000) if moment.tzinfo else None


def free_slots(data: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Read `data.slots` of an AVAILABILITY answer; what is no slot is left out.

    Args:
        data: The answer's data, as a peer sent it.

    Returns:
        Start and end of each, ms, in order.
    """
    found = []
    slots = data.get("slots")
    for slot in slots if isinstance(slots, list) else []:
        if isinstance(slot, Mapping):
            start, end = _ms(slot.get("start")), _ms(slot.get("end"))
            if start is not None and end is not None and start < end:
                found.append((start, end))
    return sorted(found)


def _merged(slots: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(slots):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def common_starts(people: Sequence[Sequence[tuple[int, int]]], length: int, *, after: int) -> list[int]:
    """List starts, every quarter of an hour, at which everyone has `length` free.

    Args:
        people: For each person their free stretches, ms.
        length: Of the meeting, ms.
        after: No start before this moment, ms.

    Returns:
        At most 96 starts, ms, in order.
    """
    if not people:
        return []
    free = [_merged(slots) for slots in people]
    starts: list[int] = []
    for begin, finish in free[0]:
        start = -(-max(begin, after) // _STEP_MS) * _STEP_MS
        while start + length <= finish and len(starts) < _MOST:
            if all(any(low <= start and start + length <= high for low, high in other) for other in free[1:]):
                starts.append(start)
            start += _STEP_MS
    return starts
