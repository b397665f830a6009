"""`agentnet query`: the parameters that its options stand for."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from agentnet_desktop.cli import query


def asked(*words: str) -> dict[str, Any]:
    parser = ArgumentParser()
    query.add(parser.add_subparsers(), ArgumentParser(add_help=False))
    return query.parameters(parser.parse_args(["query", "bob", *words]))


def test_availability_without_times_asks_for_the_week_from_now() -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    found = asked("AVAILABILITY", "--tz", "Europe/Berlin")

    start, end = (datetime.fromisoformat(found[name]) for name in ("startDate", "endDate"))
    assert before <= start <= datetime.now(UTC)
    assert end - start == timedelta(days=7)
    assert found["timeZone"] == "Europe/Berlin"


def test_a_start_without_an_end_means_a_week() -> None:
    found = asked("AVAILABILITY", "--from", "2026-06-01T09:00", "--tz", "Etc/UTC", "--minutes", "30")

    assert found == {
        "startDate": "2026-06-01T09:00:00+00:00",
        "endDate": "2026-06-08T09:00:00+00:00",
        "timeZone": "Etc/UTC",
        "durationMinutes": 30,
    }


def test_preferences_take_no_parameters() -> None:
    assert asked("LOCATION_PREFERENCE") == {}


def test_a_custom_query_carries_its_name_beside_its_parameters() -> None:
    assert asked("CUSTOM", "--name", "lunch", "--params", '{"diet": "vegan"}') == {
        "name": "lunch",
        "diet": "vegan",
    }
