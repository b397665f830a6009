"""The sharing policy: what a contact may learn without a person, and the answers themselves.

Implements docs/protocol.md, *Queries*. Until the person sets a policy, an approved contact's AVAILABILITY is
answered as free times within working hours and everything else asks. What is denied reads the same whatever
exists. `queries` stores and sends what this module decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from agentnet_desktop.agent.errors import BadInput, NotFound
from agentnet_desktop.agent.events import Slot
from agentnet_desktop.agent.ports import Availability
from agentnet_desktop.agent.schedule_views import FreeBusyView, PolicyView
from agentnet_desktop.agent.views import slots
from agentnet_desktop.calendars.hours import BadSetting, Span, WorkingHours, merge, working_hours
from agentnet_desktop.calendars.zone import local_zone
from agentnet_desktop.protocol import times
from agentnet_desktop.protocol.content import QueryType, ResponseErrorCode, availability
from agentnet_desktop.protocol.proposal import ProposalState
from agentnet_desktop.store import contacts, proposals, settings
from relay.wire.envelope import agent_key
from relay.wire.errors import WireError

POLICY = "policy"
WORKING_HOURS = "workingHours"
EVERYBODY = "*"
_PREFERENCES = {
    QueryType.LOCATION_PREFERENCE: ("preferences.locations", "locations"),
    QueryType.MEETING_TYPE_PREFERENCE: ("preferences.meetingTypes", "meetingTypes"),
}
_MINUTE_MS = 60_000
_LONGEST_LOOK_MS = 366 * 24 * 60 * _MINUTE_MS


class Level(StrEnum):
    """What a contact may learn by one type of query; for other types than AVAILABILITY the last three are one."""

    DENY = "deny"
    ASK = "ask"
    COARSE = "coarse"
    SLOTS = "slots"
    BUSY = "busy"


def level(session: Session, peer: str, query_type: str) -> Level:
    """Returns the policy for one contact and type: the contact's own, else everybody's, else the default."""
    stored = settings.get(session, POLICY, {})
    for who in (agent_key(peer), EVERYBODY):
        rules = stored.get(who, {}) if isinstance(stored, Mapping) else {}
        word = rules.get(query_type)
        if word in set(Level):
            return Level(word)
    return Level.SLOTS if query_type == QueryType.AVAILABILITY else Level.ASK


def set_level(session: Session, peer: str, query_type: str, word: Level) -> None:
    """Sets the policy for one contact (or `*`) and type."""
    stored = dict(settings.get(session, POLICY, {}))
    who = EVERYBODY if peer == EVERYBODY else agent_key(peer)
    stored[who] = {**stored.get(who, {}), query_type: word.value}
    settings.put(session, POLICY, stored)


def forget(session: Session, peer: str) -> None:
    """Takes away what was set for one contact: it was removed."""
    stored = dict(settings.get(session, POLICY, {}))
    if stored.pop(agent_key(peer), None) is not None:
        settings.put(session, POLICY, stored)


def shown(session: Session, peer: str, query_type: str) -> PolicyView:
    """Returns the policy for one contact (or `*`) and type as faces see it."""
    stored = settings.get(session, POLICY, {})
    own = stored.get(agent_key(peer), {}) if isinstance(stored, Mapping) else {}
    chosen = own.get(query_type) in set(Level)
    return PolicyView(peer, query_type, level(session, peer, query_type).value, chosen=chosen)


def choose(session: Session, peer: str, query_type: str, word: str) -> PolicyView:
    """Sets a policy as a person words it.

    Args:
        session: of the job.
        peer: a contact's agentId, or `*` for everybody without a rule of their own.
        query_type: one of `QueryType`.
        word: one of `Level`.

    Raises:
        NotFound: there is no such contact.
        BadInput: the type or the word is unknown.
    """
    if query_type not in set(QueryType):
        raise BadInput(f"The type of query must be one of {', '.join(QueryType)}.")
    if word not in set(Level):
        raise BadInput(f"What may be learnt must be one of {', '.join(Level)}.")
    if peer != EVERYBODY and contacts.get(session, peer) is None:
        raise NotFound(f"There is no contact {peer}.")
    set_level(session, peer, query_type, Level(word))
    return shown(session, peer, query_type)


def error(code: ResponseErrorCode, message: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the answer part of a RESPONSE that could not be given: data null, error filled."""
    found: dict[str, Any] = {"code": code.value, "message": message}
    if details:
        found["details"] = dict(details)
    return {"data": None, "error": found}


def denied() -> dict[str, Any]:
    """Returns the answer to what the policy or the person denies, without a hint of what exists."""
    return error(ResponseErrorCode.PERMISSION_DENIED, "The agent is not authorized to access the data.")


def unavailable() -> dict[str, Any]:
    """Returns the answer when there is nothing to tell."""
    return error(ResponseErrorCode.UNAVAILABLE_DATA, "The requested data is not available.")


def invalid(fault: WireError) -> dict[str, Any]:
    """Returns the answer to malformed parameters, naming the field."""
    details = {"field": fault.field, "reason": fault.reason}
    return error(ResponseErrorCode.INVALID_PARAMETERS, f"{fault.field} {fault.reason}.", details)


def own_zone(session: Session, calendar: Availability | None) -> str:
    """Returns the person's IANA zone."""
    return source(session, calendar).time_zone


def source(session: Session, calendar: Availability | None) -> Availability:
    """Returns the source of free time: the calendar, else working hours from the settings."""
    if calendar is not None:
        return calendar
    try:
        return working_hours(settings.get(session, WORKING_HOURS), default_zone=local_zone())
    except (BadSetting, KeyError):
        return WorkingHours(local_zone())


def busy(session: Session) -> list[Span]:
    """Returns what accepted meetings and our own open proposals take or hold."""
    taken: list[Span] = []
    for meeting in proposals.in_state(session, ProposalState.ACCEPTED):
        slot = slots(meeting)[meeting.chosen_alternative]
        taken.append(Span(slot.start, slot.end))
    for held in proposals.in_state(session, ProposalState.PENDING):
        if held.direction == "out":
            taken.extend(Span(slot.start, slot.end) for slot in slots(held))
    return taken


def answer(
    session: Session,
    calendar: Availability | None,
    query_type: str,
    parameters: Mapping[str, Any],
    how: Level,
) -> dict[str, Any]:
    """Returns the answer part of a RESPONSE: `data` and `error`.

    Args:
        session: of the job.
        calendar: source of free time, or None for working hours.
        query_type: not CUSTOM, which handlers answer.
        parameters: as the peer sent them.
        how: COARSE tells whole half-days, BUSY also what is taken, anything else exact free times.
    """
    if query_type == QueryType.AVAILABILITY:
        return _availability(session, calendar, parameters, how)
    name, key = _PREFERENCES[QueryType(query_type)]
    ranked = settings.get(session, name)
    if not isinstance(ranked, list) or not ranked:
        return unavailable()
    return {"data": {key: ranked}, "error": None}


def _availability(
    session: Session, calendar: Availability | None, parameters: Mapping[str, Any], how: Level
) -> dict[str, Any]:
    try:
        asked = availability(parameters)
    except WireError as fault:
        return invalid(fault)
    start = times.parse_instant(asked.start_date, "startDate")
    end = times.parse_instant(asked.end_date, "endDate")
    where = source(session, calendar)
    taken = busy(session)
    free = where.free(start, end, taken)
    if how is Level.COARSE:
        free = coarse(free, where.time_zone)
    least = (asked.duration_minutes or 1) * _MINUTE_MS
    found = _written(span for span in free if span.end - span.start >= least)
    data: dict[str, Any] = {
        "availableTimes": [slot["start"] for slot in found],
        "slots": found,
        "timeZone": where.time_zone,
    }
    if how is Level.BUSY:
        data["busy"] = _written(within(taken, start, end))
    return {"data": data, "error": None}


def _written(spans: Iterable[Span]) -> list[dict[str, str]]:
    return [
        {"start": times.format_instant(span.start), "end": times.format_instant(span.end)} for span in spans
    ]


def within(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """Returns the union of `spans` inside [start, end), in milliseconds, disjoint and sorted."""
    return merge(Span(max(span.start, start), min(span.end, end)) for span in spans)


def free_busy(session: Session, calendar: Availability | None, start: int, end: int) -> FreeBusyView:
    """Returns when the person is free and what is taken within [start, end).

    Args:
        session: of the job.
        calendar: source of free time, or None for working hours.
        start: milliseconds since the epoch.
        end: milliseconds since the epoch, after `start` by at most 366 days.

    Raises:
        BadInput: the stretch is empty or too long.
    """
    if not start < end:
        raise BadInput("The end is not after the start.")
    if end - start > _LONGEST_LOOK_MS:
        raise BadInput("A look at one's own time covers at most 366 days.")
    where = source(session, calendar)
    taken = within(busy(session), start, end)
    return FreeBusyView(
        free=tuple(Slot(span.start, span.end) for span in where.free(start, end, taken)),
        busy=tuple(Slot(span.start, span.end) for span in taken),
        time_zone=where.time_zone,
    )


def coarse(free: list[Span], time_zone: str) -> list[Span]:
    """Returns the half-days (00–12, 12–24 in the person's zone) that are free for at least two hours.

    What is told is the part of the half-day from its first free time to its last, on full hours, so that
    single meetings in between do not show.
    """
    zone = ZoneInfo(time_zone)
    halves: dict[tuple[str, bool], list[Span]] = {}
    for span in free:
        for piece in _split(span, zone):
            day = times.wall_time(piece.start, zone)
            halves.setdefault((day[:10], day[11:13] >= "12"), []).append(piece)
    hour = 60 * _MINUTE_MS
    told: list[Span] = []
    for pieces in halves.values():
        if sum(piece.end - piece.start for piece in pieces) >= 2 * hour:
            first, last = min(p.start for p in pieces), max(p.end for p in pieces)
            told.append(Span(-(-first // hour) * hour, last // hour * hour))
    return sorted(told)


def _split(span: Span, zone: ZoneInfo) -> list[Span]:
    """Cuts a stretch at noons and midnights of a zone, to the minute."""
    step = 15 * _MINUTE_MS
    pieces: list[Span] = []
    start = span.start
    at = span.start - span.start % step + step
    while at < span.end:
        if times.wall_time(at, zone)[11:16] in ("00:00", "12:00"):
            pieces.append(Span(start, at))
            start = at
        at += step
    pieces.append(Span(start, span.end))
    return pieces
