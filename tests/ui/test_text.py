"""Words for the screen: times, durations, sizes, and peers' words that cannot mislead."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from agentnet_desktop.ui import text


def test_a_duration_is_told_in_two_units() -> None:
    assert text.duration(45_000) == "45 s"
    assert text.duration(90 * 60_000) == "1 h 30 min"
    assert text.duration((2 * 24 * 60 + 4 * 60 + 5) * 60_000) == "2 d 4 h"
    assert text.duration(-1) == "0 s"


def test_a_relative_time_says_before_or_after() -> None:
    assert text.relative(1_000, 1_500) == "just now"
    assert text.relative(0, 2 * 3_600_000) == "2 h ago"
    assert text.relative(2 * 3_600_000, 0) == "in 2 h"


def test_a_span_over_midnight_names_the_second_day() -> None:
    zone = ZoneInfo("UTC")
    evening, morning = text.at(82_800_000, zone), text.at(90_000_000, zone)
    assert text.span(evening, evening) == "23:00 – 23:00"
    assert text.span(evening, morning).startswith("23:00 – ")
    assert "2 January 1970" in text.span(evening, morning)


def test_an_unknown_zone_is_none() -> None:
    assert text.zone("Mars/Olympus") is None
    assert text.zone("../etc/passwd") is None
    assert text.zone("Asia/Tokyo") == ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize("moment", [-5, 2**62])
def test_a_moment_beyond_all_calendars_is_bounded(moment: int) -> None:
    assert text.exact(moment, ZoneInfo("UTC"))


def test_right_to_left_words_are_isolated() -> None:
    assert text.peer_text("שלום") == "\u2068שלום\u2069"
    assert text.peer_text("plain") == "plain"


def test_sizes_are_short() -> None:
    assert text.size(0) == ""
    assert text.size(393) == "393 B"
    assert text.size(1536).startswith("1.5")


def test_the_safety_number_has_twelve_groups() -> None:
    assert len(text.groups("1" * 60)) == 12


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, ""), (393, "393 B"), (1536, "1.5 KiB"), (20 * 1024, "20 KiB"), (3 * 1024 * 1024, "3 MiB")],
)
def test_a_size_fits_its_column(count: int, words: str) -> None:
    assert text.size(count) == words


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        ("file", "Vault file"),
        ("keyring.backends.SecretService.Keyring", "System keyring (Secret Service)"),
        ("keyring.backends.kwallet.DBusKeyring", "KDE Wallet"),
        ("keyring.backends.Something.New", "Something"),
        ("test", "test"),
    ],
)
def test_a_key_store_is_named_as_a_person_knows_it(recorded: str, words: str) -> None:
    assert text.key_store(recorded) == words
