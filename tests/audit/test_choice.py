"""What goes into an export is asked of the entries themselves, and the file names nobody whom it does not show."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from agentnet_desktop.audit.choice import choose
from agentnet_desktop.audit.exported import read_header
from agentnet_desktop.audit.filter import parse
from agentnet_desktop.store import audit_log, log_search
from agentnet_desktop.store.audit_log import NewEntry, Pin

from .conftest import NOW, Party, Talk, fixed
from .test_export import export
from .test_verify import run

EXPRESSIONS = [
    "", "with:bob", "-with:bob", "type:query from:me", "to:me -type:ack", "secret", '"secret answer"', "-secret",
    "question 1", "quest*", "state:delivered", "is:pinned", "-is:pinned type:ack", "is:encrypted", "is:queued",
    "after:2026-03-01T12:00:05", "before:2026-03-01T12:00:05", "conv:conv_1 answer", "with:carol", "asks", "hidden",
]  # fmt: skip


@pytest.fixture
def alice(talk: Talk) -> Party:
    """Alice with a pinned entry, and a note about Carol, with a content of its own."""
    note = NewEntry(
        NOW, "local", "NOTE", "LOCAL", "Carol", "Carol", content={"words": ["hidden", {"a": "deep"}]}
    )
    talk.alice.append_entry(note)
    talk.alice.db.write_sync(lambda s: audit_log.pin(s, Pin(4, NOW)))
    return talk.alice


def found(party: Party, expr: str) -> list[int]:
    """The places that an export by this filter shows."""
    with party.db.snapshot() as state:
        choice = choose(state, parse(expr, now_ms=NOW).terms)
        return [place for place in range(1, 16) if choice.lets_through(place)]


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_an_export_shows_what_the_log_shows_for_a_filter(alice: Party, expr: str) -> None:
    terms = parse(expr, now_ms=NOW).terms
    shown = alice.db.read_sync(partial(log_search.page, terms=terms))
    assert found(alice, expr) == [entry.seq for entry in shown]


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_words_taken_out_of_the_index_change_nothing_in_an_export(alice: Party, expr: str) -> None:
    before = found(alice, expr)
    run(alice.db, "DELETE FROM log_text WHERE rowid IN (3, 4, 5)")
    run(alice.db, "DELETE FROM log_value")
    assert found(alice, expr) == before


@pytest.mark.parametrize(
    ("expr", "redact", "named"),
    [
        ("", False, {"bob", "carol"}),
        ("", True, {"bob", "carol"}),
        ("with:bob", False, {"bob"}),
        ("type:note", True, {"carol"}),
        ("nosuchword", False, set()),
    ],
)
def test_a_file_names_keys_only_of_peers_that_it_shows(
    alice: Party, tmp_path: Path, expr: str, redact: bool, named: set[str]
) -> None:
    keys = {name: [fixed(name)] for name in ("bob", "carol", "dave", "erin")}
    made = export(alice, tmp_path / "log.jsonl", expr=expr, redact=redact, keys=keys)
    assert set(read_header(made.path).keys) == named
    assert b"dave" not in made.path.read_bytes()


def test_a_walk_can_be_stopped(alice: Party) -> None:
    def stop(_place: int) -> None:
        raise InterruptedError

    with alice.db.snapshot() as state, pytest.raises(InterruptedError):
        choose(state, parse("with:bob").terms, stop)
