"""The sharing policy: what a contact may learn without a person, and the answers themselves.

Implements docs/protocol.md, *Queries*. Until the person sets a policy, an approved contact's AVAILABILITY is
answered as free times within working hours and everything else asks. What is denied reads the same whatever
exists. `queries` stores and sends what this module decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from agentnet_desktop.agent.ports import Availability
from agentnet_desktop.agent.views import slots
from agentnet_desktop.calendars.hours import BadSetting, Span, WorkingHours, working_hours
from agentnet_desktop.calendars.zone import local_zone
from agentnet_desktop.protocol import times
from agentnet_desktop.protocol.content import QueryType, ResponseErrorCode, availability
from agentnet_desktop.protocol.proposal import ProposalState
from agentnet_desktop.store import proposals, settings
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


class Level(StrEnum):
    """What a contact may learn by one type of query."""

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
        how: COARSE tells whole half-days, anything else exact free times.
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
    free = where.free(start, end, busy(session))
    if how is Level.COARSE:
        free = coarse(free, where.time_zone)
    least = (asked.duration_minutes or 1) * _MINUTE_MS
    fitting = [span for span in free if span.end - span.start >= least]
    found = [
        {"start": times.format_instant(span.start), "end": times.format_instant(span.end)} for span in fitting
    ]
    data = {
        "availableTimes": [slot["start"] for slot in found],
        "slots": found,
        "timeZone": where.time_zone,
    }
    return {"data": data, "error": None}


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
