"""docs/protocol.md section 8.1 (times)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.protocol.times import (
    EARLIEST_MS,
    LATEST_MS,
    check_wall_time,
    check_zone_name,
    disagreement,
    find_zone,
    format_instant,
    kept_instant,
    parse_instant,
    wall_time,
)
from relay.wire.errors import WireError


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-06-01T15:00:00Z", 1685631600000),
        ("2023-06-01T17:00:00+02:00", 1685631600000),
        ("2023-06-01T10:30:00-04:30", 1685631600000),
        ("2023-06-01t15:00:00z", 1685631600000),
        ("2023-06-01T15:00:00.25Z", 1685631600250),
        ("2023-06-01T15:00:00.2Z", 1685631600200),
        ("2023-06-01T15:00:00.123456789-00:00", 1685631600123),
        ("1970-01-01T23:59:00+23:59", 0),
        ("2999-12-31T00:00:59.999-23:59", 32503679999999),
    ],
)
def test_an_rfc_3339_time_names_an_instant(text: str, ms: int) -> None:
    assert parse_instant(text, "x") == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-06-01",
        "2023-06-01T15:00:00",
        "2023-06-01 15:00:00Z",
        "2023-06-01T15:00Z",
        "2023-06-01T15:00:00.Z",
        "2023-06-01T15:00:00.1234567890Z",
        "2023-06-01T15:00:00+02",
        "2023-06-01T15:00:00+0200",
        "20230601T150000Z",
        "2023-06-01T15:00:00Z\n",
        "２023-06-01T15:00:00Z",
        "2023-W22-4T15:00:00Z",
    ],
)
def test_what_is_not_an_rfc_3339_time_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(WireError, match=r"^content.x: is not an RFC 3339 time with an offset$"):
        parse_instant(text, "content.x")


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00Z",
        "2023-13-01T00:00:00Z",
        "2023-06-01T24:00:00Z",
        "2023-06-01T23:59:60Z",
        "2023-06-01T23:59:59+24:00",
        "0000-01-01T00:00:00Z",
    ],
)
def test_a_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(WireError, match=r"^content.x: names no real time$"):
        parse_instant(text, "content.x")


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00+00:01",
        "3000-01-01T00:00:00Z",
        "2999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59.999-23:59",
    ],
)
def test_an_instant_that_not_every_zone_and_system_can_write_is_refused(text: str) -> None:
    with pytest.raises(WireError, match=r"^content.x: is not in the years 1970 to 2999$"):
        parse_instant(text, "content.x")


@given(
    st.integers(EARLIEST_MS, LATEST_MS), st.sampled_from(["Etc/GMT-14", "Etc/GMT+12", "Europe/Berlin", "UTC"])
)
def test_an_instant_that_is_taken_has_a_wall_time_in_every_zone(ms: int, name: str) -> None:
    zone = find_zone(name)
    assert zone is not None
    assert len(wall_time(parse_instant(format_instant(ms), "x"), zone)) == 19


def test_an_instant_that_was_stored_before_that_rule_is_brought_within_it() -> None:
    assert kept_instant("0001-01-01T00:00:00+14:00") == EARLIEST_MS
    assert kept_instant("9999-12-31T23:59:59Z") == LATEST_MS
    assert kept_instant("2023-06-01T17:00:00+02:00") == 1685631600000
    assert disagreement("9999-12-31T23:59:59Z", "Asia/Tokyo", "2026-01-01T00:00:00") == "3000-01-01T08:59:59"


@given(st.integers(EARLIEST_MS, LATEST_MS))
def test_an_instant_is_read_as_it_was_written(ms: int) -> None:
    assert parse_instant(format_instant(ms), "x") == ms


def test_an_instant_is_written_in_utc_with_no_more_than_it_needs() -> None:
    assert format_instant(1685631600000) == "2023-06-01T15:00:00Z"
    assert format_instant(1685631600250) == "2023-06-01T15:00:00.250Z"


def test_a_wall_time_has_no_offset() -> None:
    assert check_wall_time("2023-06-01T17:00:00", "x").isoformat() == "2023-06-01T17:00:00"
    for text in ("2023-06-01T17:00:00Z", "2023-06-01T17:00", "2023-06-01", "2023-06-01T17:00:00.5"):
        with pytest.raises(WireError, match=r"^x: is not YYYY-MM-DDTHH:MM:SS$"):
            check_wall_time(text, "x")
    with pytest.raises(WireError, match=r"^x: names no real time$"):
        check_wall_time("2023-02-30T00:00:00", "x")


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Mars/Base", "A" * 64]
)
def test_a_zone_name_has_the_form_of_one_whether_known_or_not(name: str) -> None:
    check_zone_name(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../UTC",
        "Europe//Berlin",
        "Europe/",
        "A" * 65,
        "a b",
        "ü",
        "\ud800",
        "a\0",
        "A" * 70_000,
    ],
)
def test_what_has_no_such_form_is_refused_and_not_found(name: str) -> None:
    with pytest.raises(WireError, match=r"^x: is not the name of a time zone$"):
        check_zone_name(name, "x")
    assert find_zone(name) is None


@pytest.mark.parametrize("name", ["Mars/Base", "Europe", "zone.tab", "tzdata"])
def test_a_zone_that_the_database_lacks_is_not_found(name: str) -> None:
    assert find_zone(name) is None


def test_a_wall_time_is_told_in_its_zone() -> None:
    berlin = find_zone("Europe/Berlin")
    assert berlin is not None
    assert wall_time(1685631600999, berlin) == "2023-06-01T17:00:00"


@pytest.mark.parametrize(
    ("zone", "local", "said"),
    [
        ("Europe/Berlin", "2023-06-01T17:00:00", None),
        ("Europe/Berlin", "2023-06-01T16:00:00", "2023-06-01T17:00:00"),
        ("Mars/Base", "2023-06-01T17:00:00", ""),
        (None, "2023-06-01T17:00:00", None),
        ("Europe/Berlin", None, None),
    ],
)
def test_a_wall_time_that_differs_here_is_told(zone: str | None, local: str | None, said: str | None) -> None:
    assert disagreement("2023-06-01T15:00:00Z", zone, local) == said
