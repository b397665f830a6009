"""docs/protocol.md section 8 (sealed contents)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.protocol.content import (
    Alternative,
    AvailabilityParameters,
    ConfirmationContent,
    Content,
    Location,
    ProposalContent,
    ProposalDetails,
    QueryContent,
    QueryType,
    RejectionContent,
    RejectionReason,
    ResponseContent,
    ResponseError,
    ResponseErrorCode,
    availability,
    availability_data,
    build_content,
    custom_name,
    parse_content,
)
from agentnet_desktop.protocol.proposal import ProposalState
from relay.wire.control import ErrorContent
from relay.wire.envelope import MessageType
from relay.wire.errors import ErrorCode, WireError
from relay.wire.strict import parse_json

# The document's own examples, and one with all that the profile adds.
DOCUMENT: dict[str, dict[str, Any]] = {
    "QUERY": {
        "requestId": "req_123",
        "queryType": "AVAILABILITY",
        "parameters": {
            "startDate": "2023-06-01T00:00:00Z",
            "endDate": "2023-06-07T23:59:59Z",
            "timeZone": "America/New_York",
        },
    },
    "RESPONSE": {
        "requestId": "req_123",
        "data": {"availableTimes": ["2023-06-01T14:00:00Z", "2023-06-02T15:00:00Z"]},
        "error": None,
    },
    "PROPOSAL": {
        "proposalId": "prop_123",
        "details": {
            "title": "Coffee Meeting",
            "description": "Discuss project collaboration",
            "startTime": "2023-06-01T15:00:00Z",
            "endTime": "2023-06-01T16:00:00Z",
            "location": {
                "name": "Blue Bottle Coffee",
                "address": "123 Main St, Anytown",
                "locationType": "COFFEE_SHOP",
                "coordinates": {"latitude": 37.7749, "longitude": -122.4194},
            },
            "meetingType": "COFFEE",
            "participants": ["agent_alice", "agent_bob"],
            "status": "PENDING",
            "expiresAt": 1622635200000,
        },
    },
    "CONFIRMATION": {"proposalId": "prop_123", "status": "ACCEPTED", "calendarEventId": "evt_456"},
    "REJECTION": {
        "proposalId": "prop_123",
        "reason": "SCHEDULE_CONFLICT",
        "details": "User has another meeting at that time",
    },
    "DISCONNECT": {"reason": "done"},
    "ERROR": {
        "errorCode": "MESSAGE_ERROR",
        "message": "Failed to deliver message",
        "details": {"originalMessageId": "msg_1234567890"},
        "recoverable": True,
        "retryAfter": 5000,
    },
}

COUNTER: dict[str, Any] = {
    "proposalId": "prop_123",
    "details": {
        "title": "Coffee Meeting",
        "startTime": "2023-06-01T17:00:00+02:00",
        "endTime": "2023-06-01T18:00:00+02:00",
        "timeZone": "Europe/Berlin",
        "localStart": "2023-06-01T17:00:00",
        "status": "MODIFIED",
        "revision": 2,
        "alternatives": [
            {"startTime": "2023-06-02T15:00:00Z", "endTime": "2023-06-02T16:00:00Z"},
            {
                "startTime": "2023-06-03T15:00:00Z",
                "endTime": "2023-06-03T16:00:00Z",
                "location": {"name": "Office"},
            },
        ],
    },
}

REQUIRED = {
    "QUERY": ("requestId", "queryType", "parameters"),
    "RESPONSE": ("requestId", "data", "error"),
    "PROPOSAL": ("proposalId", "details"),
    "CONFIRMATION": ("proposalId", "status"),
    "REJECTION": ("proposalId", "reason"),
    "DISCONNECT": (),
    "ERROR": ("errorCode", "message", "recoverable", "retryAfter"),
}
DETAILS_REQUIRED = ("title", "startTime", "endTime", "status")


def complaint(kind: str, content: dict[str, Any]) -> str:
    """What is wrong with a content of that type; "" if nothing."""
    try:
        parse_content(MessageType(kind), content)
    except WireError as error:
        return str(error)
    return ""


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the value at a dotted path replaced; numbers are places in lists."""
    whole = copy.deepcopy(base)
    *parents, last = path.split(".")
    inner: Any = whole
    for name in parents:
        inner = inner[int(name) if name.isdigit() else name]
    inner[last] = value
    return whole


# ------------------------------------------------------------------------------------------- all types


@pytest.mark.parametrize("kind", DOCUMENT)
def test_the_documents_example_is_read_and_nothing_of_it_is_lost(kind: str) -> None:
    built = build_content(parse_content(MessageType(kind), DOCUMENT[kind]))
    for name, item in DOCUMENT[kind].items():
        if isinstance(item, dict):
            assert item.items() <= built[name].items()
        else:
            assert built[name] == item


@pytest.mark.parametrize("kind", DOCUMENT)
def test_what_is_built_survives_being_sealed_and_opened(kind: str) -> None:
    content = parse_content(MessageType(kind), DOCUMENT[kind])
    assert parse_content(MessageType(kind), parse_json(jcs(build_content(content)))) == content


@pytest.mark.parametrize("kind", DOCUMENT)
def test_unknown_fields_are_ignored(kind: str) -> None:
    assert complaint(kind, {**DOCUMENT[kind], "unknown": {"a": [1]}}) == ""


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("PROPOSAL", "details.revision"),
        ("PROPOSAL", "details.participants"),
        ("PROPOSAL", "details.alternatives"),
        ("PROPOSAL", "details.timeZone"),
        ("PROPOSAL", "details.location"),
        ("PROPOSAL", "details.location.locationType"),
        ("CONFIRMATION", "revision"),
        ("CONFIRMATION", "alternative"),
        ("REJECTION", "revision"),
        ("REJECTION", "details"),
        ("DISCONNECT", "reason"),
        ("ERROR", "details"),
    ],
)
def test_an_optional_field_that_is_null_means_what_its_absence_means(kind: str, path: str) -> None:
    given = changed(DOCUMENT[kind], path, None)
    absent = parse_json(jcs(given))
    owner = absent
    *steps, name = path.split(".")
    for step in steps:
        owner = owner[step]
    del owner[name]
    assert parse_content(MessageType(kind), given) == parse_content(MessageType(kind), absent)


def test_a_response_says_the_same_with_null_for_the_details_of_its_error() -> None:
    error = {"code": "INTERNAL_ERROR", "message": "m"}
    found = [
        parse_content(MessageType.RESPONSE, {"requestId": "r", "data": None, "error": error | more})
        for more in ({}, {"details": None})
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in REQUIRED.items() for name in names]
)
def test_each_required_field_is_missed_by_name(kind: str, name: str) -> None:
    content = {key: item for key, item in DOCUMENT[kind].items() if key != name}
    assert complaint(kind, content) == f"content.{name}: is missing"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in DOCUMENT for name in DOCUMENT[kind]])
def test_each_field_of_another_type_is_refused_by_name(kind: str, name: str) -> None:
    assert complaint(kind, {**DOCUMENT[kind], name: 1.5}).startswith(f"content.{name}: expected ")


@pytest.mark.parametrize("kind", ["QUERY", "RESPONSE"])
@pytest.mark.parametrize("value", ["", "a b", "x" * 65])
def test_a_request_id_is_an_id(kind: str, value: str) -> None:
    assert complaint(kind, {**DOCUMENT[kind], "requestId": value}).startswith(
        "content.requestId: is not an id"
    )


@pytest.mark.parametrize("kind", ["PROPOSAL", "CONFIRMATION", "REJECTION"])
@pytest.mark.parametrize("value", ["", "a b", "x" * 65])
def test_a_proposal_id_is_an_id(kind: str, value: str) -> None:
    assert complaint(kind, {**DOCUMENT[kind], "proposalId": value}).startswith(
        "content.proposalId: is not an id"
    )


@pytest.mark.parametrize("kind", sorted(set(MessageType) - set(DOCUMENT)))
def test_other_types_do_not_travel_sealed(kind: str) -> None:
    assert complaint(kind, {}) == "originalType: is not a type that travels sealed"


@pytest.mark.parametrize(
    "content",
    [
        QueryContent(request_id="a b", query_type=QueryType.CUSTOM, parameters={}),
        ResponseContent(request_id="req_1", data=None, error=None),
        ConfirmationContent(proposal_id="prop_1", status=ProposalState.REJECTED),
        RejectionContent(proposal_id="prop_1", reason=RejectionReason.OTHER, revision=0),
        ErrorContent(error_code="?", message="", recoverable=False, retry_after=0),
    ],
)
def test_what_a_peer_would_refuse_is_not_built(content: Content) -> None:
    with pytest.raises(WireError):
        build_content(content)


# ------------------------------------------------------------------------------------------- RESPONSE


def test_a_response_holds_data_or_says_why_not() -> None:
    refusal = {"code": "PERMISSION_DENIED", "message": "Not for you."}
    assert complaint("RESPONSE", {"requestId": "req_1", "data": None, "error": refusal}) == ""
    assert complaint("RESPONSE", {"requestId": "req_1", "data": {}, "error": refusal}) == ""
    assert complaint("RESPONSE", {"requestId": "req_1", "data": None, "error": None}) == (
        "content.data: is null although there is no error"
    )


def test_both_members_of_a_response_are_always_written() -> None:
    error = ResponseError(code=ResponseErrorCode.UNAVAILABLE_DATA.value, message="No such data.")
    assert build_content(ResponseContent(request_id="req_1", data=None, error=error)) == {
        "requestId": "req_1",
        "data": None,
        "error": {"code": "UNAVAILABLE_DATA", "message": "No such data.", "details": {}},
    }
    assert build_content(ResponseContent(request_id="req_1", data={"a": None}, error=None)) == {
        "requestId": "req_1",
        "data": {"a": None},
        "error": None,
    }


def test_the_response_codes_are_those_of_the_document_and_of_the_one_table() -> None:
    assert {*ResponseErrorCode} <= {*ErrorCode}
    assert len(ResponseErrorCode) == 4


def test_a_response_error_is_checked_by_field() -> None:
    base = {"requestId": "req_1", "data": None, "error": {"code": "X", "message": "m", "details": {}}}
    assert complaint("RESPONSE", base) == ""
    assert complaint("RESPONSE", changed(base, "error.code", "no word")).startswith("content.error.code: ")
    assert complaint("RESPONSE", changed(base, "error.details", [])).startswith("content.error.details: ")
    assert complaint("RESPONSE", changed(base, "error", {"code": "X"})) == "content.error.message: is missing"


# ------------------------------------------------------------------------------------------- PROPOSAL


def test_a_counter_proposal_with_all_that_the_profile_adds_is_read() -> None:
    found = parse_content(MessageType.PROPOSAL, COUNTER)
    assert found == ProposalContent(
        proposal_id="prop_123",
        details=ProposalDetails(
            title="Coffee Meeting",
            start_time="2023-06-01T17:00:00+02:00",
            end_time="2023-06-01T18:00:00+02:00",
            time_zone="Europe/Berlin",
            local_start="2023-06-01T17:00:00",
            status=ProposalState.MODIFIED,
            revision=2,
            alternatives=(
                Alternative(start_time="2023-06-02T15:00:00Z", end_time="2023-06-02T16:00:00Z"),
                Alternative(
                    start_time="2023-06-03T15:00:00Z",
                    end_time="2023-06-03T16:00:00Z",
                    location=Location(name="Office"),
                ),
            ),
        ),
    )
    assert COUNTER["details"].items() <= build_content(found)["details"].items()


@pytest.mark.parametrize("name", DETAILS_REQUIRED)
def test_each_required_detail_is_missed_by_name(name: str) -> None:
    content = copy.deepcopy(DOCUMENT["PROPOSAL"])
    del content["details"][name]
    assert complaint("PROPOSAL", content) == f"content.details.{name}: is missing"


@pytest.mark.parametrize("name", sorted(set(DOCUMENT["PROPOSAL"]["details"]) - set(DETAILS_REQUIRED)))
def test_the_other_details_are_optional(name: str) -> None:
    content = copy.deepcopy(DOCUMENT["PROPOSAL"])
    del content["details"][name]
    assert complaint("PROPOSAL", content) == ""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("details.title", ""),
        ("details.startTime", "2023-06-01T15:00:00"),
        ("details.endTime", "tomorrow"),
        ("details.endTime", "2023-06-01T17:00:00+02:00"),
        ("details.endTime", "2023-06-01T16:59:59+02:00"),
        ("details.timeZone", "../etc"),
        ("details.localStart", "2023-06-01T17:00:00Z"),
        ("details.status", "MAYBE"),
        ("details.revision", 0),
        ("details.revision", 1.5),
        ("details.revision", 2**53),
        ("details.expiresAt", -1),
        ("details.expiresAt", 32503680000000),
        ("details.meetingType", ""),
        ("details.participants", ["agent_alice"] * 65),
        ("details.alternatives", [COUNTER["details"]["alternatives"][0]] * 5),
        ("details.location", {}),
        ("details.location", {"name": "x", "locationType": "x" * 65}),
        ("details.alternatives", "none"),
    ],
)
def test_a_detail_that_breaks_a_rule_is_refused_by_name(path: str, value: Any) -> None:
    assert complaint("PROPOSAL", changed(COUNTER, path, value)).startswith(f"content.{path}")


def test_a_proposal_may_expire_in_the_last_millisecond_that_is_carried() -> None:
    assert complaint("PROPOSAL", changed(COUNTER, "details.expiresAt", 32503679999999)) == ""


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("details.participants", ["agent_alice", "a"], "details.participants[1]"),
        ("details.participants", ["agent_alice", 1], "details.participants[1]"),
        ("details.alternatives.1.endTime", "2023-06-03T15:00:00Z", "details.alternatives[1].endTime"),
        ("details.alternatives.0.startTime", "soon", "details.alternatives[0].startTime"),
        ("details.alternatives.1.location", {"name": 1}, "details.alternatives[1].location.name"),
        (
            "details.location",
            {"name": "x", "coordinates": {"latitude": 1}},
            "details.location.coordinates.longitude",
        ),
    ],
)
def test_a_fault_inside_a_list_is_refused_by_its_place(path: str, value: Any, field: str) -> None:
    assert complaint("PROPOSAL", changed(COUNTER, path, value)).startswith(f"content.{field}: ")


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("latitude", 90, True),
        ("latitude", -90.0, True),
        ("latitude", 90.1, False),
        ("longitude", -180, True),
        ("longitude", 180.1, False),
        ("longitude", "1", False),
    ],
)
def test_coordinates_stay_on_the_globe(name: str, value: Any, good: bool) -> None:
    said = complaint("PROPOSAL", changed(DOCUMENT["PROPOSAL"], f"details.location.coordinates.{name}", value))
    assert said == "" if good else said.startswith(f"content.details.location.coordinates.{name}: ")


@pytest.mark.parametrize("status", ["ACCEPTED", "REJECTED", "EXPIRED", "MODIFIED"])
def test_a_first_revision_is_pending(status: str) -> None:
    said = complaint("PROPOSAL", changed(DOCUMENT["PROPOSAL"], "details.status", status))
    assert said == "content.details.status: must be PENDING in revision 1"


@pytest.mark.parametrize("status", ["ACCEPTED", "REJECTED", "EXPIRED", "PENDING"])
def test_a_later_revision_is_modified(status: str) -> None:
    said = complaint("PROPOSAL", changed(COUNTER, "details.status", status))
    assert said == "content.details.status: must be MODIFIED in revision 2"


def test_four_alternatives_are_allowed() -> None:
    four = [COUNTER["details"]["alternatives"][0]] * 4
    assert complaint("PROPOSAL", changed(COUNTER, "details.alternatives", four)) == ""


# ------------------------------------------------------------------------------------------- answers


def test_an_answer_without_a_revision_means_the_first_and_the_main_slot() -> None:
    confirmed = parse_content(MessageType.CONFIRMATION, DOCUMENT["CONFIRMATION"])
    assert isinstance(confirmed, ConfirmationContent)
    assert (confirmed.revision, confirmed.alternative, confirmed.calendar_event_id) == (1, 0, "evt_456")
    rejected = parse_content(MessageType.REJECTION, DOCUMENT["REJECTION"])
    assert isinstance(rejected, RejectionContent)
    assert rejected.revision == 1


@pytest.mark.parametrize("kind", ["CONFIRMATION", "REJECTION"])
def test_what_is_built_always_names_the_revision(kind: str) -> None:
    assert build_content(parse_content(MessageType(kind), DOCUMENT[kind]))["revision"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "PENDING"),
        ("status", "REJECTED"),
        ("status", "accepted"),
        ("revision", 0),
        ("alternative", -1),
        ("alternative", 5),
        ("calendarEventId", 1),
    ],
)
def test_a_confirmation_that_breaks_a_rule_is_refused_by_name(name: str, value: Any) -> None:
    assert complaint("CONFIRMATION", {**DOCUMENT["CONFIRMATION"], name: value}).startswith(
        f"content.{name}: "
    )


@pytest.mark.parametrize("reason", RejectionReason)
def test_every_reason_of_the_document_is_read(reason: RejectionReason) -> None:
    assert complaint("REJECTION", {**DOCUMENT["REJECTION"], "reason": reason.value}) == ""


@pytest.mark.parametrize(("name", "value"), [("reason", "BORED"), ("revision", 0), ("details", {})])
def test_a_rejection_that_breaks_a_rule_is_refused_by_name(name: str, value: Any) -> None:
    assert complaint("REJECTION", {**DOCUMENT["REJECTION"], name: value}).startswith(f"content.{name}: ")


# ------------------------------------------------------------------------------------------- QUERY


def parameters(**changes: Any) -> dict[str, Any]:
    return {**DOCUMENT["QUERY"]["parameters"], **changes}


def test_the_query_types_are_those_of_the_document() -> None:
    assert [*QueryType] == ["AVAILABILITY", "LOCATION_PREFERENCE", "MEETING_TYPE_PREFERENCE", "CUSTOM"]
    assert complaint("QUERY", {**DOCUMENT["QUERY"], "queryType": "GOSSIP"}).startswith("content.queryType: ")


def test_the_parameters_of_a_query_are_judged_apart_so_that_a_fault_is_an_answer() -> None:
    assert complaint("QUERY", {**DOCUMENT["QUERY"], "parameters": {"anything": 1}}) == ""


def test_availability_is_asked_of_a_range_in_a_zone() -> None:
    assert availability(parameters(durationMinutes=30, extra=1)) == AvailabilityParameters(
        start_date="2023-06-01T00:00:00Z",
        end_date="2023-06-07T23:59:59Z",
        time_zone="America/New_York",
        duration_minutes=30,
    )
    assert availability(parameters()).duration_minutes is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"endDate": "2023-05-31T23:59:59Z"}, "content.parameters.endDate: is before startDate"),
        (
            {"endDate": "2023-08-02T00:00:01Z"},
            "content.parameters.endDate: is more than 62 days after startDate",
        ),
        ({"timeZone": "Mars/Base"}, "content.parameters.timeZone: is not a known time zone"),
        ({"timeZone": "../../etc"}, "content.parameters.timeZone: is not a known time zone"),
        ({"startDate": "2023-06-01"}, "content.parameters.startDate: is not an RFC 3339 time with an offset"),
        ({"endDate": "2023-06-31T00:00:00Z"}, "content.parameters.endDate: names no real time"),
        (
            {"startDate": "0001-01-01T00:00:00+14:00", "endDate": "0001-01-01T10:00:00Z"},
            "content.parameters.endDate: is not in the years 1970 to 2999",
        ),
        (
            {"startDate": "2999-12-30T00:00:00Z", "endDate": "3000-01-01T00:00:00Z"},
            "content.parameters.endDate: is not in the years 1970 to 2999",
        ),
        ({"durationMinutes": 0}, "content.parameters.durationMinutes: expected 'int' >= 1"),
        ({"durationMinutes": 1441}, "content.parameters.durationMinutes: expected 'int' <= 1440"),
        ({"timeZone": None}, "content.parameters.timeZone: expected 'str', got 'null'"),
    ],
)
def test_parameters_that_break_a_rule_are_answered_invalid(change: dict[str, Any], said: str) -> None:
    with pytest.raises(WireError) as caught:
        availability(parameters(**change))
    assert str(caught.value) == said
    assert caught.value.code is ErrorCode.INVALID_PARAMETERS


def test_a_range_of_none_to_62_days_is_answered() -> None:
    for end in ("2023-06-01T00:00:00Z", "2023-08-02T00:00:00Z"):
        assert availability(parameters(endDate=end)).end_date == end


@pytest.mark.parametrize("name", ["a", "x" * 64])
def test_a_custom_query_names_its_handler(name: str) -> None:
    assert custom_name({"name": name, "more": 1}) == name


@pytest.mark.parametrize("given", [{}, {"name": ""}, {"name": "x" * 65}, {"name": 1}])
def test_a_custom_query_without_a_name_is_answered_invalid(given: dict[str, Any]) -> None:
    with pytest.raises(WireError, match=r"^content.parameters.name: ") as caught:
        custom_name(given)
    assert caught.value.code is ErrorCode.INVALID_PARAMETERS


ANSWER = {
    "availableTimes": ["2023-06-01T14:00:00Z"],
    "slots": [{"start": "2023-06-01T14:00:00Z", "end": "2023-06-01T15:00:00Z"}],
    "timeZone": "America/New_York",
}


BUSY = {"busy": [{"start": "2023-06-01T12:00:00Z", "end": "2023-06-01T14:00:00Z"}]}


def test_an_answer_of_availability_may_tell_what_is_taken() -> None:
    (taken,) = availability_data(ANSWER | BUSY).busy
    assert (taken.start, taken.end) == ("2023-06-01T12:00:00Z", "2023-06-01T14:00:00Z")


def test_an_answer_of_availability_says_the_same_with_null_for_what_is_taken() -> None:
    assert availability_data(ANSWER | {"busy": None}) == availability_data(ANSWER)


def test_an_answer_of_availability_is_read() -> None:
    found = availability_data(ANSWER)
    assert found.busy == ()
    assert found.available_times == ("2023-06-01T14:00:00Z",)
    assert [(slot.start, slot.end) for slot in found.slots] == [
        ("2023-06-01T14:00:00Z", "2023-06-01T15:00:00Z")
    ]


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("availableTimes", ["soon"], "availableTimes[0]"),
        ("slots.0.start", "soon", "slots[0].start"),
        ("slots.0.end", "soon", "slots[0].end"),
        ("slots.0.end", "2023-06-01T14:00:00Z", "slots[0].end"),
        ("busy.0.start", "soon", "busy[0].start"),
        ("busy.0.end", "soon", "busy[0].end"),
        ("busy.0.end", "2023-06-01T12:00:00Z", "busy[0].end"),
        ("timeZone", "a b", "timeZone"),
        ("slots", None, "slots"),
    ],
)
def test_an_answer_of_availability_that_breaks_a_rule_is_refused_by_name(
    path: str, value: Any, field: str
) -> None:
    with pytest.raises(WireError) as caught:
        availability_data(changed(ANSWER | BUSY, path, value))
    assert caught.value.field == f"content.data.{field}"


def test_at_the_edge_of_each_bound_a_proposal_is_read() -> None:
    edges = copy.deepcopy(DOCUMENT["PROPOSAL"])
    details = edges["details"]
    details.update(title="t", participants=["agent_bob"] * 64, meetingType="x")
    details["location"] = {
        "name": "n",
        "locationType": "x" * 64,
        "coordinates": {"latitude": -90, "longitude": 180},
    }
    assert isinstance(parse_content(MessageType.PROPOSAL, edges), ProposalContent)
    details["location"]["coordinates"] = {"latitude": 90, "longitude": -180}
    assert isinstance(parse_content(MessageType.PROPOSAL, edges), ProposalContent)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meetingType", "x" * 65),
        ("meetingType", ""),
        ("location.locationType", "x" * 65),
        ("location.coordinates.latitude", -90.5),
        ("location.coordinates.latitude", 90.5),
        ("location.coordinates.longitude", -180.5),
        ("location.coordinates.longitude", 180.5),
        ("participants", ["agent_bob"] * 65),
    ],
)
def test_just_beyond_the_edge_it_is_refused_by_name(path: str, value: Any) -> None:
    spoilt = copy.deepcopy(DOCUMENT["PROPOSAL"])
    *parents, last = path.split(".")
    inner = spoilt["details"]
    for name in parents:
        inner = inner[name]
    inner[last] = value
    with pytest.raises(WireError, match=rf"^content\.details\.{path}: "):
        parse_content(MessageType.PROPOSAL, spoilt)


def test_a_range_that_ends_a_moment_before_it_begins_is_refused() -> None:
    asked = {"startDate": "2023-06-01T00:00:00.001Z", "endDate": "2023-06-01T00:00:00Z", "timeZone": "UTC"}
    with pytest.raises(WireError, match="is before startDate"):
        availability(asked)
