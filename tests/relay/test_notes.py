"""What relays say to each other: its form, its subjects, and what is not taken for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from relay.notes import (
    LARGEST_NOTE,
    Beat,
    Bye,
    Gone,
    Hello,
    Here,
    Note,
    Seen,
    Stamp,
    There,
    agent_subject,
    back_number,
    back_subject,
    read,
    subject_agent,
    write,
)
from relay.wire.envelope import MAX_INTEGER

NODE = "0123456789abcdef"
NOTES: list[Note] = [
    Hello(NODE, 1),
    Beat(NODE, 0),
    Beat(NODE, MAX_INTEGER),
    Bye(NODE),
    Here(NODE, "Alice", 1, "conn_1", None),
    Here(NODE, "Alice", 1, "conn_1", ("bob", "c.d_e-f")),
    There(NODE, "alice", "conn_1", (Seen("Bob", 1, "conn_2"),)),
    Gone(NODE, "Alice", 1, "conn_1"),
]


@pytest.mark.parametrize("note", NOTES)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    assert read(write(note)) == note


@pytest.mark.parametrize("note", NOTES)
def test_a_note_that_is_cut_off_or_longer_is_none(note: Note) -> None:
    data = write(note)
    for end in range(len(data)):
        assert read(data[:end]) is None
    assert read(data + b"\x00") is None
    assert read(write([*msgspec.to_builtins(note), 1])) is None


@pytest.mark.parametrize(
    "fields",
    [
        ["Nonsense", NODE],
        ["Beat", "0123456789ABCDEF", 1],
        ["Beat", NODE + "0", 1],
        ["Beat", NODE + "\n", 1],
        ["Beat", NODE, -1],
        ["Beat", NODE, 2**53],
        ["Beat", NODE, 1.5],
        ["Beat", NODE, "1"],
        ["Here", NODE, "system", 1, "conn_1", None],
        ["Here", NODE, "a b", 1, "conn_1", None],
        ["Here", NODE, "alice", 1, "", None],
        ["Here", NODE, "alice", 1, "a b", None],
        ["Here", NODE, "alice", 1, "conn_1", ["Bob"]],
        ["Here", NODE, "alice", 1, "conn_1", ["b"]],
        ["Here", NODE, "alice", 1, "conn_1", ["bob"] * 1001],
        ["Here", NODE, "alice", 1, "conn_1", {}],
        ["There", NODE, "Alice", "conn_1", []],
        ["There", NODE, "alice", "a b", []],
        ["There", NODE, "alice", "conn_1", [["a b", 1, "conn_2"]]],
        ["There", NODE, "alice", "conn_1", [["bob", 1, "a b"]]],
        ["There", NODE, "alice", "conn_1", [["bob", -1, "conn_2"]]],
        ["There", NODE, "alice", "conn_1", [["bob", 1, "conn_2"]] * 1001],
        ["Gone", NODE, "a b", 1, "conn_1"],
        ["Gone", NODE, "alice", 1, "a b"],
        {"Beat": NODE},
        [],
        [[[[[[]]]]]],
    ],
)
def test_what_does_not_fit_is_none(fields: Any) -> None:
    assert read(msgspec.msgpack.encode(fields)) is None


def test_nesting_without_end_is_none() -> None:
    assert read(b"\x91" * 100_000) is None


def test_text_that_is_not_utf8_is_none() -> None:
    assert read(write(["Gone", NODE, "alice", 1, "conn_1"]).replace(b"alice", b"\xff\xfeice")) is None


def test_the_largest_notes_have_room() -> None:
    names = tuple("a" * 58 + f"{number:06}" for number in range(1000))
    seen = tuple(Seen(name, 2**53 - 1, "conn_" + "A" * 26) for name in names)
    assert LARGEST_NOTE == 131_072
    assert len(write(There(NODE, names[0], "c" * 64, seen))) <= LARGEST_NOTE
    assert len(write(Here(NODE, names[0], 2**53 - 1, "c" * 64, names))) <= LARGEST_NOTE


def test_a_stamp_is_greater_when_its_clock_is_and_then_by_its_connection() -> None:
    assert Stamp(2, "a") > Stamp(1, "b")
    assert Stamp(1, "b") > Stamp(1, "a")


@pytest.mark.parametrize("key", ["alice", "a.b", "a..b.", "a-._b", "a.b_c-d.e"])
def test_an_agents_subject_is_one_token_and_leads_back(key: str) -> None:
    subject = agent_subject(key)
    assert subject.count(".") == agent_subject("x").count(".")
    assert subject_agent(subject) == key
    assert not set(subject) & set("*> \r\n")


def test_different_agents_have_different_subjects() -> None:
    keys = ["a.b", "a_b", "a-b", "ab", "a..b"]
    assert len({agent_subject(key) for key in keys}) == len(keys)


@pytest.mark.parametrize("number", [1, 20_000, 10**17])
def test_an_answer_finds_its_number(number: int) -> None:
    assert back_number(back_subject(NODE, number)) == number


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "agentnet.v1.notes",
        back_subject(NODE, "*"),
        back_subject(NODE, ""),
        back_subject(NODE, "1") + "\n",
        back_subject(NODE, "1" * 19),
        back_subject(NODE, "-1"),
        back_subject(NODE, "\u0661"),
        back_subject("*", 1),
        back_subject(NODE[:-1], 1),
        "x" + back_subject(NODE, 1),
    ],
)
def test_an_answer_goes_nowhere_else(subject: str) -> None:
    assert back_number(subject) is None
