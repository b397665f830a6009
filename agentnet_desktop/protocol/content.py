"""Contents that travel sealed: QUERY, RESPONSE, PROPOSAL, CONFIRMATION, REJECTION, DISCONNECT, ERROR.

Implements docs/protocol.md section 8 (sealed contents). `parse_content` checks a content in JSON form
against its schema and rules and gives a frozen Struct; `build_content` goes back, and refuses to build what
`parse_content` would refuse. Unknown fields are ignored here; whoever stores a content stores all of it.

The rules that need more than the one message (which revision is newest, who may answer) are in `proposal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from agentnet_desktop.protocol import times
from agentnet_desktop.protocol.proposal import ProposalState
from relay.wire import control, schema
from relay.wire.control import DisconnectContent, ErrorContent, ErrorWord, Time
from relay.wire.envelope import MAX_INTEGER, MessageType, check_agent_id, check_id
from relay.wire.errors import ErrorCode, WireError

MAX_ALTERNATIVES: Final = 4
MAX_PARTICIPANTS: Final = 64
MAX_RANGE_MS: Final = 62 * 24 * 3_600_000
"""Longest AVAILABILITY range."""

Revision = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Text = Annotated[str, Meta(min_length=1)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class QueryType(StrEnum):
    """`queryType` of a QUERY."""

    AVAILABILITY = "AVAILABILITY"
    LOCATION_PREFERENCE = "LOCATION_PREFERENCE"
    MEETING_TYPE_PREFERENCE = "MEETING_TYPE_PREFERENCE"
    CUSTOM = "CUSTOM"


class ResponseErrorCode(StrEnum):
    """`error.code` of a RESPONSE; a peer may send others."""

    UNAVAILABLE_DATA = "UNAVAILABLE_DATA"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INVALID_PARAMETERS = "INVALID_PARAMETERS"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class RejectionReason(StrEnum):
    """`reason` of a REJECTION."""

    SCHEDULE_CONFLICT = "SCHEDULE_CONFLICT"
    LOCATION_UNSUITABLE = "LOCATION_UNSUITABLE"
    TIME_UNSUITABLE = "TIME_UNSUITABLE"
    USER_DECLINED = "USER_DECLINED"
    OTHER = "OTHER"  # also withdrawal and cancellation; `details` explains


class _Content(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all sealed contents and their parts."""


class QueryContent(_Content, frozen=True):
    """QUERY. `parameters` are judged by `availability` and `custom_name`, whose faults are answers."""

    request_id: str
    query_type: QueryType
    parameters: dict[str, Any]


class ResponseError(_Content, frozen=True):
    """`error` of a RESPONSE."""

    code: ErrorWord
    message: str
    details: dict[str, Any] = {}


class ResponseContent(_Content, frozen=True):
    """RESPONSE: `data` is an object unless `error` is set."""

    request_id: str
    data: dict[str, Any] | None
    error: ResponseError | None


class Coordinates(_Content, frozen=True):
    """Degrees, WGS 84."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]


class Location(_Content, frozen=True):
    """A place."""

    name: str
    address: str | None = None
    location_type: Word | None = None
    coordinates: Coordinates | None = None


class Alternative(_Content, frozen=True):
    """Another slot the proposer can make; without a location, at the main one's."""

    start_time: str
    end_time: str
    location: Location | None = None


class ProposalDetails(_Content, frozen=True):
    """`details` of a PROPOSAL. Times are RFC 3339 with an offset, `expires_at` is ms."""

    title: Text
    start_time: str
    end_time: str
    status: ProposalState  # PENDING or MODIFIED
    revision: Revision = 1
    description: str | None = None
    time_zone: str | None = None  # IANA
    local_start: str | None = None  # YYYY-MM-DDTHH:MM:SS, the wall-clock start meant
    location: Location | None = None
    meeting_type: Word | None = None
    participants: Annotated[tuple[str, ...], Meta(max_length=MAX_PARTICIPANTS)] = ()
    alternatives: Annotated[tuple[Alternative, ...], Meta(max_length=MAX_ALTERNATIVES)] = ()
    expires_at: Time | None = None


class ProposalContent(_Content, frozen=True):
    """PROPOSAL: revision 1 is PENDING, later ones (counter-proposals) are MODIFIED."""

    proposal_id: str
    details: ProposalDetails


class ConfirmationContent(_Content, frozen=True):
    """CONFIRMATION: accepts one slot of one revision; alternative 0 is the main slot."""

    proposal_id: str
    status: ProposalState  # ACCEPTED
    revision: Revision = 1
    alternative: Annotated[int, Meta(ge=0, le=MAX_ALTERNATIVES)] = 0
    calendar_event_id: str | None = None


class RejectionContent(_Content, frozen=True):
    """REJECTION: declines, withdraws or cancels one revision."""

    proposal_id: str
    reason: RejectionReason
    revision: Revision = 1
    details: str | None = None


class AvailabilityParameters(_Content, frozen=True):
    """`parameters` of an AVAILABILITY query. Dates are RFC 3339 with an offset."""

    start_date: str
    end_date: str
    time_zone: str
    duration_minutes: Annotated[int, Meta(ge=1, le=1440)] | None = None


class FreeSlot(_Content, frozen=True):
    """One stretch of time, RFC 3339."""

    start: str
    end: str


class AvailabilityData(_Content, frozen=True):
    """`data` of the answer to an AVAILABILITY query; `busy` where the person shares it."""

    available_times: tuple[str, ...]
    slots: tuple[FreeSlot, ...]
    time_zone: str
    busy: tuple[FreeSlot, ...] = ()


Content = (
    QueryContent
    | ResponseContent
    | ProposalContent
    | ConfirmationContent
    | RejectionContent
    | DisconnectContent
    | ErrorContent
)

_KINDS: Final[Mapping[MessageType, type[Content]]] = {
    MessageType.QUERY: QueryContent,
    MessageType.RESPONSE: ResponseContent,
    MessageType.PROPOSAL: ProposalContent,
    MessageType.CONFIRMATION: ConfirmationContent,
    MessageType.REJECTION: RejectionContent,
    MessageType.DISCONNECT: DisconnectContent,
    MessageType.ERROR: ErrorContent,
}
_TYPES: Final = {kind: message_type for message_type, kind in _KINDS.items()}


def parse_content(message_type: MessageType, content: Mapping[str, Any]) -> Content:
    """Check an opened content against its schema and rules.

    Args:
        message_type: The `originalType` under which it was sealed.
        content: In JSON form, all of it.

    Returns:
        The Struct of that type.

    Raises:
        WireError: Naming the field, as in `content.details.startTime`; or `originalType` for a type that does
            not travel sealed.
    """
    if message_type not in _KINDS:
        raise WireError("originalType", "is not a type that travels sealed")
    found = schema.from_json_form(_KINDS[message_type], content)
    match found:  # DISCONNECT and ERROR make no more rules
        case QueryContent():
            check_id(found.request_id, "content.requestId")
        case ResponseContent():
            check_id(found.request_id, "content.requestId")
            if found.error is None and found.data is None:
                raise WireError("content.data", "is null although there is no error")
        case ProposalContent():
            check_id(found.proposal_id, "content.proposalId")
            _check_details(found.details)
        case ConfirmationContent():
            check_id(found.proposal_id, "content.proposalId")
            if found.status is not ProposalState.ACCEPTED:
                raise WireError("content.status", "must be ACCEPTED")
        case RejectionContent():
            check_id(found.proposal_id, "content.proposalId")
    return found


def build_content(content: Content) -> dict[str, Any]:
    """The JSON form of a content; optional fields that are None are left out.

    Raises:
        WireError: If a peer would refuse it, naming the field.
    """
    built = control.build(content)
    parse_content(_TYPES[type(content)], built)
    return built


def _check_details(details: ProposalDetails) -> None:
    path = "content.details"
    _check_slot(details.start_time, details.end_time, path)
    expected = ProposalState.PENDING if details.revision == 1 else ProposalState.MODIFIED
    if details.status is not expected:
        raise WireError(f"{path}.status", f"must be {expected} in revision {details.revision}")
    if details.time_zone is not None:
        times.check_zone_name(details.time_zone, f"{path}.timeZone")
    if details.local_start is not None:
        times.check_wall_time(details.local_start, f"{path}.localStart")
    if details.expires_at is not None and details.expires_at > times.LATEST_MS:
        raise WireError(f"{path}.expiresAt", "is after the year 2999")
    for at, agent_id in enumerate(details.participants):
        check_agent_id(agent_id, f"{path}.participants[{at}]")
    for at, slot in enumerate(details.alternatives):
        _check_slot(slot.start_time, slot.end_time, f"{path}.alternatives[{at}]")


def _check_slot(start: str, end: str, path: str) -> None:
    began = times.parse_instant(start, f"{path}.startTime")
    if began >= times.parse_instant(end, f"{path}.endTime"):
        raise WireError(f"{path}.endTime", "is not after startTime")


# ------------------------------------------------------------------------------------------- queries


def availability(parameters: Mapping[str, Any]) -> AvailabilityParameters:
    """Check the parameters of an AVAILABILITY query.

    Returns:
        The parameters; the zone is known here and the range is 0 to 62 days.

    Raises:
        WireError: With code INVALID_PARAMETERS, which is what the RESPONSE says, naming the field.
    """
    path = "content.parameters"
    try:
        found = schema.from_json_form(AvailabilityParameters, parameters, path=path)
        length = times.parse_instant(found.end_date, f"{path}.endDate") - times.parse_instant(
            found.start_date, f"{path}.startDate"
        )
        if length < 0:
            raise WireError(f"{path}.endDate", "is before startDate")
        if length > MAX_RANGE_MS:
            raise WireError(f"{path}.endDate", "is more than 62 days after startDate")
        if times.find_zone(found.time_zone) is None:
            raise WireError(f"{path}.timeZone", "is not a known time zone")
    except WireError as error:
        raise _invalid_parameters(error) from None
    return found


def custom_name(parameters: Mapping[str, Any]) -> str:
    """The name under which the application registers a handler for a CUSTOM query.

    Raises:
        WireError: With code INVALID_PARAMETERS, if there is none.
    """
    name = parameters.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 64:
        raise WireError(
            "content.parameters.name", "is not 1 to 64 characters", code=ErrorCode.INVALID_PARAMETERS
        )
    return name


def availability_data(data: Mapping[str, Any]) -> AvailabilityData:
    """Check the answer to an AVAILABILITY query of ours.

    Raises:
        WireError: Naming the field.
    """
    path = "content.data"
    found = schema.from_json_form(AvailabilityData, data, path=path)
    for at, moment in enumerate(found.available_times):
        times.parse_instant(moment, f"{path}.availableTimes[{at}]")
    for name, stretches in (("slots", found.slots), ("busy", found.busy)):
        for at, stretch in enumerate(stretches):
            began = times.parse_instant(stretch.start, f"{path}.{name}[{at}].start")
            if began >= times.parse_instant(stretch.end, f"{path}.{name}[{at}].end"):
                raise WireError(f"{path}.{name}[{at}].end", "is not after start")
    times.check_zone_name(found.time_zone, f"{path}.timeZone")
    return found


def _invalid_parameters(error: WireError) -> WireError:
    return WireError(error.field, error.reason, code=ErrorCode.INVALID_PARAMETERS)
