"""What faces are told about time and about sharing it: free and taken, what suits everyone, the sharing policy.

Frozen data, as in `events`; times are milliseconds since the epoch. No logic.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentnet_desktop.agent.events import Slot


@dataclass(frozen=True, slots=True)
class FreeBusyView:
    """When the person is free and what is taken, each sorted and disjoint, and the person's IANA zone."""

    free: tuple[Slot, ...]
    busy: tuple[Slot, ...]
    time_zone: str


@dataclass(frozen=True, slots=True)
class SilentView:
    """Someone who did not say when they are free: the RESPONSE's error, or empty where no answer came in time."""

    peer: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TimesView:
    """What suits everyone.

    Attributes:
        starts: every quarter of an hour at which the meeting can start, ms, in order; at most 1,000.
        best: up to five of them as stretches, the one to propose first.
        silent: who did not say; then the others are empty.
    """

    starts: tuple[int, ...]
    best: tuple[Slot, ...]
    silent: tuple[SilentView, ...]


@dataclass(frozen=True, slots=True)
class PolicyView:
    """What a contact (or `*`, everybody) may learn by one type of query.

    Attributes:
        peer: agentId, or `*`.
        query_type: as in QUERY.
        level: deny, ask, coarse, slots or busy.
        chosen: set for just this peer; else it follows from `*` or from the default.
    """

    peer: str
    query_type: str
    level: str
    chosen: bool
