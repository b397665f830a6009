"""Safety numbers: the same on both sides, different for anyone in between."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from agentnet_desktop.crypto.safety_number import grouped, safety_number, same_number
from tests.crypto.people import ALICE, BOB, identity

A, B, M = identity("alice").public, identity("bob").public, identity("mallory").public
NUMBER = safety_number(ALICE, A, BOB, B)


def half(agent_id: str, key: bytes) -> str:
    """The definition once more, in other words."""
    h = b"\0\0" + key + agent_id.encode()
    for _ in range(5200):
        h = hashlib.sha512(h + key).digest()
    return "".join(str(int(h[i : i + 5].hex(), 16) % 10**5).rjust(5, "0") for i in (0, 5, 10, 15, 20, 25))


def test_the_number_follows_its_definition() -> None:
    assert "".join(sorted([half(ALICE, A), half(BOB, B)])) == NUMBER
    assert len(NUMBER) == 60
    assert NUMBER.isdecimal()


def test_both_sides_see_the_same_number() -> None:
    assert safety_number(BOB, B, ALICE, A) == NUMBER


def test_someone_in_between_gives_the_two_sides_different_numbers() -> None:
    assert safety_number(ALICE, A, BOB, M) != NUMBER
    assert safety_number(ALICE, M, BOB, B) != safety_number(ALICE, A, BOB, M)
    assert safety_number("agent_other", A, BOB, B) != NUMBER
    assert safety_number(ALICE, B, BOB, A) != NUMBER


def test_the_number_is_shown_in_twelve_groups_of_five() -> None:
    groups = grouped(NUMBER).split(" ")
    assert [len(group) for group in groups] == [5] * 12
    assert "".join(groups) == NUMBER


def test_what_a_person_types_is_compared_without_its_spaces() -> None:
    assert same_number(grouped(NUMBER), NUMBER)
    assert same_number(f" {NUMBER[:30]}-{NUMBER[30:]}\n", NUMBER)
    for typed in ("", NUMBER[:59], NUMBER + "0", NUMBER[:-1] + str((int(NUMBER[-1]) + 1) % 10), "٣" * 60):
        assert not same_number(typed, NUMBER)


@settings(max_examples=5)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_any_two_keys_have_a_number_of_60_digits(a: bytes, b: bytes) -> None:
    number = safety_number(ALICE, a, BOB, b)
    assert len(number) == 60 and number.isdecimal()
    assert number == safety_number(BOB, b, ALICE, a)


def test_nothing_is_the_same_number_as_nothing() -> None:
    assert not same_number("", "")
