"""The filter language: what it reads, how it refuses, and that the database finds what `matches` says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from agentnet_desktop.agent.events import Direction, LogRow, Verified
from agentnet_desktop.audit.filter import IS_VALUES, Filter, FilterError, matches, parse
from agentnet_desktop.store import audit_log, log_search
from agentnet_desktop.store.audit_log import NewEntry, Pin
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.search_terms import Term, TermField, searchable, words

NOW = 1_772_366_400_000  # 2026-03-01T12:00:00Z


def one(expr: str, **options: Any) -> Term:
    """Reads an expression of a single term."""
    (term,) = parse(expr, now_ms=NOW, **options).terms
    return term


@pytest.mark.parametrize(
    ("expr", "term"),
    [
        ("from:Bob", Term(TermField.FROM, "bob")),
        ("-with:bob*", Term(TermField.WITH, "bob", negated=True, prefix=True)),
        ("TYPE:proposal", Term(TermField.TYPE, "proposal")),
        ("conv:conv_1:x", Term(TermField.CONVERSATION, "conv_1:x")),
        ("is:Failed", Term(TermField.IS, "failed")),
        ("lunch", Term(TermField.TEXT, "lunch", words=("lunch",))),
        ('-"Team Lunch"', Term(TermField.TEXT, "Team Lunch", negated=True, words=("team", "lunch"))),
        ("lun*", Term(TermField.TEXT, "lun*", prefix=True, words=("lun",))),
        ("10:30", Term(TermField.TEXT, "10:30", words=("10", "30"))),
        ('state:"IN_FLIGHT"', Term(TermField.STATE, "in_flight")),
    ],
)
def test_each_form_is_read(expr: str, term: Term) -> None:
    assert one(expr) == term


def test_terms_are_joined_by_and() -> None:
    assert [term.field for term in parse("from:bob lunch  -is:failed ").terms] == ["from", "text", "is"]
    assert parse("   ").terms == ()


@pytest.mark.parametrize(
    ("expr", "time"),
    [
        ("after:2026-03-01", 1_772_323_200_000),
        ("after:2026-03-01T14:30", 1_772_375_400_000),
        ("after:2026-03-01T14:30+02:00", 1_772_368_200_000),
        ("after:2026-03-01T14:30Z", 1_772_375_400_000),
        ("before:today", 1_772_323_200_000),
        ("before:yesterday", 1_772_236_800_000),
        ("after:now", NOW),
        ("after:2h", NOW - 7_200_000),
        ("after:7d", NOW - 604_800_000),
    ],
)
def test_each_form_of_time_is_read(expr: str, time: int) -> None:
    assert one(expr, zone=UTC).time == time


def test_dates_are_the_persons_own() -> None:
    assert one("after:2026-03-01", zone=ZoneInfo("Europe/Berlin")).time == 1_772_323_200_000 - 3_600_000


def test_the_own_id_is_me() -> None:
    assert one("from:ALICE", own_id="alice") == one("from:me")
    assert one("with:alice", own_id="alice").value == "alice"


@pytest.mark.parametrize(
    ("expr", "position", "words_of_it"),
    [
        ("from:bob nope:x", 9, "There is no field nope:"),
        ("lunch from:", 11, "needs a value"),
        ("from:*", 5, "needs a value"),
        ('a "never closed', 2, "never closed"),
        ('conv:"x', 5, "never closed"),
        ("is:odd", 3, "takes one of failed"),
        ("after:soon", 6, "no time"),
        ("after:9999999-01-01", 6, "no time"),
        ("lunch !!", 6, "no letter or digit"),
        ("-", 0, "no letter or digit"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_position(expr: str, position: int, words_of_it: str) -> None:
    with pytest.raises(FilterError, match=words_of_it) as caught:
        parse(expr, now_ms=NOW)
    assert caught.value.position == position
    assert str(position + 1) in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(expr: str) -> None:
    position = None
    try:
        parse(expr, now_ms=NOW)
    except FilterError as error:
        position = error.position
    assert position is None or 0 <= position <= len(expr)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Café—Déjà vu, STRASSE straße", ["cafe", "deja", "vu", "strasse", "strasse"]),
        ("東京で会議", ["東", "京", "て", "会", "議"]),
        ("ﬁne ４２ x²", ["fine", "42", "x2"]),
        ("a" * 100, ["a" * 64]),
        ("¡…!", []),
    ],
)
def test_words_ignore_case_accents_and_width(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text(st.characters(codec="ascii"), max_size=200))
def test_plain_text_gives_the_same_words_on_the_short_way(text: str) -> None:
    longer = words(f"{text} é")
    assert longer[:-1] == words(text)
    assert longer[-1] == "e"


def test_texts_of_different_fields_make_no_phrase() -> None:
    assert searchable("Team lunch", {"a": ["x", {"b": "y z"}], "n": 5}) == "team lunch . x . y z"


# --- the database finds what `matches` says ---

PEERS = ["Bob", "bob.two", "carol", "system", ""]
WORDS = ["lunch", "Team", "Café", "x-ray", "東京", "42"]
STATES = ["QUEUED", "IN_FLIGHT", "ROUTED", "DELIVERED", "FAILED", "EXPIRED", "RECEIVED", "REFUSED", "LOCAL"]
TYPES = ["PROPOSAL", "QUERY", "HEARTBEAT"]
CONVERSATIONS = ["conv_1", "conv_2", "CONV_1", "c:d.e-f", ""]
HOUR = 3_600_000
texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
entries = st.builds(
    NewEntry,
    time=st.integers(0, 6 * HOUR),
    direction=st.sampled_from(["in", "out", "local"]),
    message_type=st.sampled_from(TYPES),
    state=st.sampled_from(STATES),
    summary=texts,
    peer=st.sampled_from(PEERS),
    conversation_id=st.sampled_from(CONVERSATIONS),
    message_id=st.just("m"),
    encrypted=st.booleans(),
    verified=st.sampled_from(["good", "bad", "none"]),
    content=st.one_of(st.none(), st.fixed_dictionaries({"note": texts, "list": st.lists(texts, max_size=2)})),
)
star = st.sampled_from(["", "*"])
times = st.integers(0, 6 * HOUR).map(lambda ms: f"1970-01-01T{ms // HOUR:02}:{ms // 60_000 % 60:02}Z")
terms = st.one_of(
    st.tuples(
        st.sampled_from(["from", "to", "with"]),
        st.sampled_from(["bob", "BOB.two", "car", "system", "me"]),
        star,
    ),
    st.tuples(st.just("type"), st.sampled_from(["proposal", "Query", "h", "nothing"]), star),
    st.tuples(st.just("conv"), st.sampled_from(["conv_1", "conv", "c:d.e-f", "zzz"]), star),
    st.tuples(st.just("state"), st.sampled_from([*STATES, "in", "nothing", "open"]), star),
    st.tuples(st.just("is"), st.sampled_from(IS_VALUES), st.just("")),
    st.tuples(st.sampled_from(["after", "before"]), times, st.just("")),
).map(lambda parts: f"{parts[0]}:{parts[1]}{parts[2]}")
free = st.tuples(st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join), star).map(
    lambda parts: f'"{parts[0]}"{parts[1]}'
)
exprs = st.lists(st.tuples(st.sampled_from(["", "-"]), st.one_of(terms, free)).map("".join), max_size=4).map(
    " ".join
)
changes = st.lists(st.tuples(st.integers(1, 12), st.sampled_from(STATES)), max_size=4)


def empty(session: Session) -> None:
    """Deletes the log of the example before."""
    session.info.clear()
    for table in ("log_entry", "log_content", "log_step", "log_span", "log_value", "log_pin", "log_text"):
        session.connection().exec_driver_sql(f"DELETE FROM {table}")


def found(db: Database, wanted: Filter, **options: Any) -> list[int]:
    """Asks the database for a page and returns its places."""
    return [e.seq for e in db.read_sync(partial(log_search.page, terms=wanted.terms, **options))]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(entries, max_size=12),
    later=changes,
    marks=st.sets(st.integers(1, 12), max_size=3),
    wanted=st.lists(exprs, min_size=4, max_size=8),
)
@example(rows=[NewEntry(0, "local", "QUERY", "LOCAL", "")], later=[], marks=set(), wanted=["-with:bob"])
def test_the_database_finds_what_matches_says(
    db: Database, rows: list[NewEntry], later: list[tuple[int, str]], marks: set[int], wanted: list[str]
) -> None:
    db.write_sync(empty)
    contents = {place: row.content for place, row in enumerate(rows, 1)}
    db.write_sync(lambda session: audit_log.append_many(session, rows))

    def change(session: Session) -> None:
        for seq, state in later:
            audit_log.set_state(session, seq, state, 5)
        for seq in marks:
            audit_log.pin(session, Pin(seq, 5))

    db.write_sync(change)
    stored = db.read_sync(lambda session: audit_log.entries_from(session, 1))
    for expr in wanted:
        filter_ = parse(expr, now_ms=NOW)
        expected = [
            e.seq for e in stored if matches(filter_, e, content=contents[e.seq], pinned=e.seq in marks)
        ]
        assert found(db, filter_) == expected, expr
        assert found(db, filter_, limit=2) == expected[-2:], expr
        assert found(db, filter_, before_seq=6, limit=3) == [seq for seq in expected if seq < 6][-3:], expr
        assert found(db, filter_, after_seq=4, limit=3) == [seq for seq in expected if seq > 4][:3], expr
        assert db.read_sync(partial(log_search.count, terms=filter_.terms)) == len(expected), expr


ROW = LogRow(
    seq=1, time=NOW, direction=Direction.IN, peer="Bob", conversation_id="conv_1", message_id="msg_1",
    message_type="PROPOSAL", encrypted=True, verified=Verified.GOOD, state="RECEIVED", summary="Team lunch", size=9,
)  # fmt: skip
ALICES = replace(ROW, direction=Direction.OUT, state="QUEUED", encrypted=False)
UNSIGNED = replace(ROW, verified=Verified.BAD, state="FAILED", encrypted=False)


@pytest.mark.parametrize(
    ("expr", "fitting"),
    [
        ("from:bob", [ROW, UNSIGNED]),
        ("from:me", [ALICES]),
        ("to:bob", [ALICES]),
        ("to:me", [ROW, UNSIGNED]),
        ("with:b*", [ROW, ALICES, UNSIGNED]),
        ("with:bo", []),
        ("type:proposal", [ROW, ALICES, UNSIGNED]),
        ("conv:conv_2", []),
        ("state:queued", [ALICES]),
        ("is:failed", [UNSIGNED]),
        ("is:queued", [ALICES]),
        ("is:encrypted", [ROW]),
        ("is:pinned", []),
        ("is:unverified", [UNSIGNED]),
        ("-is:unverified", [ROW, ALICES]),
        ("after:2026-03-01T12:00", [ROW, ALICES, UNSIGNED]),
        ("before:2026-03-01T12:00", []),
        ('"team lun"*', [ROW, ALICES, UNSIGNED]),
        ('"lunch team"', []),
        ("cake", [ROW]),
    ],
)
def test_each_field_is_matched(expr: str, fitting: list[LogRow]) -> None:
    wanted = parse(expr, now_ms=NOW)
    contents: list[tuple[LogRow, dict[str, Any] | None]] = [
        (ROW, {"note": "with cake"}),
        (ALICES, None),
        (UNSIGNED, {}),
    ]
    assert [row for row, content in contents if matches(wanted, row, content=content)] == fitting


def test_a_pin_is_matched() -> None:
    assert matches(parse("is:pinned", now_ms=NOW), ROW, pinned=True)
