"""docs/protocol.md section 2.4: canonical JSON, beside the rfc8785 library and RFC 8785's own examples."""

from __future__ import annotations

import math
from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from relay.wire.strict import parse_json

LARGEST = 2**53 - 1
NUMBERS = st.integers(-LARGEST, LARGEST) | st.floats(-LARGEST, LARGEST)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=6)
        | st.dictionaries(st.sampled_from(["a", "A", "aa", "0", "ü", "€", "\ue000", "\U0001f600"]), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_the_bytes_are_those_of_the_library(value: Any) -> None:
    assert jcs(value) == rfc8785.dumps(value)


@given(VALUES)
def test_what_is_written_is_read_as_it_was_and_written_the_same_again(value: Any) -> None:
    written = jcs(value)
    assert parse_json(written) == value
    assert jcs(parse_json(written)) == written


@given(st.dictionaries(st.text(), st.integers(0, 9), max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_an_object_was_made_does_not_matter(value: dict[str, int], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert jcs(dict(items)) == jcs(value)


def test_every_character_is_written_as_the_library_does() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x10400)]))
    assert jcs(every) == rfc8785.dumps(every)


def test_keys_are_sorted_by_their_utf_16_units() -> None:
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\x80": "Control",
        "\xf6": "Latin Small Letter O With Diaeresis",
    }  # RFC 8785, 3.2.3
    written = jcs(value).decode()
    places = [written.index(said) for said in (
        "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
    )]  # fmt: skip
    assert places == sorted(places)


def test_numbers_are_written_as_ecmascript_does() -> None:
    assert jcs([333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001, 1e-6, 1e-7]) == (
        b"[333333333.3333333,4.5,0.002,1e-27,0.000001,1e-7]"
    )
    assert jcs([1.0, -0.0, 0, -1.5, 1e15]) == b"[1,0,0,-1.5,1000000000000000]"


def test_text_is_escaped_no_more_than_it_must_be() -> None:
    assert jcs('\u20ac$\u000f\nA\'B"\\\\"/\x7f') == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'.encode()


def test_lists_and_tuples_and_words_are_written_alike() -> None:
    class Word(StrEnum):
        YES = "yes"

    class Number(IntEnum):
        ONE = 1

    assert jcs([(1, "yes"), {}]) == jcs(([Number.ONE, Word.YES], {})) == b'[[1,"yes"],{}]'


@pytest.mark.parametrize("number", [LARGEST, -LARGEST, float(LARGEST)])
def test_the_largest_numbers_are_written(number: float) -> None:
    assert jcs({"n": number}) == b'{"n":%d}' % number


@pytest.mark.parametrize("number", [LARGEST + 1, -LARGEST - 1, 1e16, -1e300, math.inf, -math.inf, math.nan])
def test_numbers_that_not_every_language_carries_are_refused(number: float) -> None:
    for value in (number, [number], {"n": number}, {"ü": (number,)}):
        with pytest.raises(NotCanonical):
            jcs(value)


def test_a_number_that_is_too_large_is_called_so() -> None:
    with pytest.raises(NotCanonical, match="a number beyond 2"):
        jcs({"n": 1e300})


def test_a_number_too_long_even_to_be_named_is_refused() -> None:
    with pytest.raises(NotCanonical):
        jcs({"n": 10**5000})


@pytest.mark.parametrize("value", ["\ud800", ["\udc00"], {"\ud800": 1}, {"a": {"b": "\udfff"}}])
def test_lone_surrogates_are_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        jcs(value)


@pytest.mark.parametrize("value", [b"x", {1: 2}, {None: 2}, [object()], {"a": {1, 2}}, 1j])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        jcs(value)


def test_nesting_beyond_all_use_is_refused() -> None:
    for deepest in (0, 0.5):
        value: Any = deepest
        for _ in range(100_000):
            value = [value]
        with pytest.raises(NotCanonical, match="too deep"):
            jcs(value)


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(NotCanonical) as caught:
        jcs({"secret": {1: 2}})
    assert str(caught.value) == "holds what JSON cannot carry"


@pytest.mark.parametrize(
    "value",
    [
        "text",
        True,
        None,
        0,
        2**53 - 1,
        1 - 2**53,
        [],
        {},
        ["x", 1, [None], {"a": False}],
        ("x", (1,)),
        {"b": "x", "a": {"c": 1, "d": ["ü"]}, "e": None},
    ],
)
def test_what_is_plain_is_written_without_the_library(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rfc8785.dumps(value)

    def refused(_: object) -> bytes:
        raise AssertionError("the slow way was taken")

    monkeypatch.setattr(rfc8785, "dumps", refused)
    assert jcs(value) == expected
