"""A file is taken for nobody else's, for no more than its owner signed, and breaks nothing whatever is in it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.audit.exported import verify_file
from agentnet_desktop.audit.items import NotAnExport, item_from
from agentnet_desktop.audit.verify import Report
from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.store import audit_log
from relay.wire.envelope import b64encode

from .conftest import Talk, fixed, signed_end
from .test_export import export, lines_of, rewrite

Lines = list[dict[str, Any]]
KINDS: dict[str, dict[str, Any]] = {
    "whole": {},
    "redacted": {"redact": True},
    "filtered": {"expr": "type:query from:me"},
}


@pytest.fixture(params=KINDS)
def lines(talk: Talk, tmp_path: Path, request: pytest.FixtureRequest) -> Lines:
    """Alice's exported log, once in each form."""
    talk.alice.db.write_sync(lambda s: audit_log.set_state(s, 13, "RECEIVED", 5, "an open step"))
    made = export(talk.alice, tmp_path / "made.jsonl", **KINDS[request.param])
    return lines_of(made.path)


def judged(folder: Path, lines: Lines) -> Report:
    """What a stranger finds in these lines."""
    rewrite(folder / "file.jsonl", lines)
    return verify_file(folder / "file.jsonl")


def kinds(report: Report) -> set[str]:
    return {problem.kind for problem in report.problems}


def whole(lines: Lines) -> list[int]:
    """Where the entries stand that are no stubs."""
    return [place for place, line in enumerate(lines) if "firstState" in line]


def test_an_honest_file_is_intact_in_every_form(tmp_path: Path, lines: Lines) -> None:
    report = judged(tmp_path, lines)
    assert report.problems == ()
    assert report.loose_steps >= 1


# ---------------------------------------------------------------------------------- whose log it is


def test_a_file_under_another_agents_name_is_found_at_the_first_entry_that_knows_better(
    tmp_path: Path, lines: Lines
) -> None:
    """Even one that the impostor signed: whose messages they are stands in their signed bytes."""
    key = IdentityKey.from_seed(fixed("mallory"))
    lines[0]["agentId"] = "mallory"
    assert "OWNER" in kinds(judged(tmp_path, lines))
    lines[0]["identityKey"] = b64encode(key.public)
    lines[-1] = signed_end(key, lines[0], [item_from(line) for line in lines[1:-1]])
    report = judged(tmp_path, lines)
    bad = report.first_bad
    assert bad is not None
    assert (bad.seq, bad.kind) == (lines[whole(lines)[0]]["seq"], "OWNER")
    assert "it is a message of alice, and this is said to be the log of mallory" in bad.sentence


def test_a_file_cut_off_and_signed_by_a_strangers_key_is_found(tmp_path: Path, lines: Lines) -> None:
    key = IdentityKey.from_seed(fixed("stranger"))
    lines[0]["identityKey"] = b64encode(key.public)
    kept = lines[1:9]
    lines = [lines[0], *kept, signed_end(key, lines[0], [item_from(line) for line in kept])]
    report = judged(tmp_path, lines)
    assert "IDENTITY" in kinds(report)
    assert "TRUNCATED" not in kinds(report)
    assert len(report.keys["alice"]) == 1


def test_a_file_whose_end_nobody_signed_is_not_intact(tmp_path: Path, lines: Lines) -> None:
    lines[-1]["signature"] = None
    (problem,) = judged(tmp_path, lines).problems
    assert (problem.seq, problem.kind) == (14, "UNSIGNED")
    assert "nobody says that it is a log of alice" in problem.sentence


@pytest.mark.parametrize(
    ("name", "value"), [("exportedAt", 1), ("filter", "with:carol"), ("keys", {"bob": []}), ("more", 1)]
)
def test_a_changed_first_line_is_found(tmp_path: Path, lines: Lines, name: str, value: object) -> None:
    lines[0][name] = value
    assert kinds(judged(tmp_path, lines)) == {"SIGNATURE"}


# ------------------------------------------------------------------------------- delivery histories


def late(line: dict[str, Any]) -> None:
    """A step after the last entry, which no entry covers."""
    step = {"time": 1, "state": "FAILED", "detail": "REFUSED_BY_PEER", "after": 14, "place": 999}
    line["steps"].append(step)
    line["state"] = "FAILED"


def without_history(line: dict[str, Any]) -> None:
    line |= {"steps": [], "state": "FAILED"}


def another_end(line: dict[str, Any]) -> None:
    line["state"] = line["steps"][-1]["state"] = "EXPIRED"


def refused(line: dict[str, Any]) -> None:
    """What once kept the author's signature from being looked at."""
    line["state"] = line["steps"][-1]["state"] = "REFUSED"


def another_history(line: dict[str, Any]) -> None:
    step = {"time": 1, "state": "FAILED", "detail": "", "after": line["seq"], "place": 1}
    line |= {"steps": [line["steps"][0], step], "state": "FAILED"}


def words_in_the_beginning(line: dict[str, Any]) -> None:
    line["steps"][0]["detail"] = "read by the person"


def another_beginning(line: dict[str, Any]) -> None:
    line["steps"][0]["time"] += 1


FORGERIES = [
    late, without_history, another_end, refused, another_history, words_in_the_beginning, another_beginning
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_delivery_that_was_changed_is_found_in_every_form_of_export(
    tmp_path: Path, lines: Lines, forge: Callable[[dict[str, Any]], None]
) -> None:
    """Also where no whole entry covers it: the owner's signature over the end does."""
    for place in whole(lines):
        forged = copy.deepcopy(lines)
        forge(forged[place])
        assert kinds(judged(tmp_path, forged)) & {"HISTORY", "STATE"}, place


def test_a_delivery_that_only_the_owner_vouches_for_is_counted(talk: Talk, tmp_path: Path) -> None:
    assert verify_file(export(talk.alice, tmp_path / "whole.jsonl").path).loose_steps == 0
    filtered = verify_file(export(talk.alice, tmp_path / "part.jsonl", expr="type:query from:me").path)
    assert (filtered.intact, filtered.loose_steps) == (True, 3)


def test_a_step_that_was_added_behind_a_stub_names_the_entry(tmp_path: Path, talk: Talk) -> None:
    lines = lines_of(export(talk.alice, tmp_path / "part.jsonl", expr="type:query from:me").path)
    (first, *_) = whole(lines)
    lines[first]["steps"][1]["detail"] = "x"
    (problem,) = judged(tmp_path, lines).problems
    assert (problem.seq, problem.kind) == (lines[first]["seq"], "HISTORY")


def test_an_author_is_checked_whatever_state_a_message_came_to(talk: Talk, tmp_path: Path) -> None:
    """The owner can add a step, and sign it; the signature of a message is looked at all the same."""
    talk.bob.identity = IdentityKey.from_seed(fixed("mallory"))
    sent = talk.say(talk.bob, talk.alice, {"note": "not Bob"})
    place = next(e.seq for e in talk.alice.db.read_sync(lambda s: audit_log.by_message(s, sent.message_id)))
    talk.alice.db.write_sync(lambda s: audit_log.set_state(s, place, "REFUSED", 5))
    assert "SIGNATURE" in kinds(verify_file(export(talk.alice, tmp_path / "log.jsonl").path))


# ----------------------------------------------------------------------------------- spoilt files


def test_an_export_of_the_older_form_is_refused_in_words(tmp_path: Path, lines: Lines) -> None:
    lines[0]["agentnetLog"] = 1
    with pytest.raises(NotAnExport, match=r"older form.*exported again"):
        judged(tmp_path, lines)


VALUES = [None, True, 0, -1, 2**70, 1.5, "", "x", "\ud800", "00" * 32, [], {}, [1], {"a": 1}, {"stub": True}]


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each member within."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inner:
        yield (*before, name)
        yield from places(member, (*before, name))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_changed_in_a_file_is_found_in_words_and_breaks_nothing(
    tmp_path: Path, lines: Lines, seed: int
) -> None:
    pick = random.Random(seed)
    for _ in range(60):
        spoilt = copy.deepcopy(lines)
        line = pick.randrange(len(spoilt))
        *way, name = pick.choice(list(places(spoilt[line])))
        holder: Any = spoilt[line]
        for step in way:
            holder = holder[step]
        value = pick.choice(VALUES)
        if (value, type(value)) == (holder[name], type(holder[name])) or name == "redacted":
            continue
        holder[name] = value
        try:
            report = judged(tmp_path, spoilt)
        except NotAnExport:
            assert line == 0  # all else is told in its place
            continue
        assert not report.intact, (spoilt[line], name, value)
        assert report.first_bad is not None
        assert report.first_bad.sentence


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("time", "yesterday"),
        ("size", None),
        ("encrypted", 1),
        ("direction", "up"),
        ("seq", True),
        ("summary", 5),
    ],
)
def test_an_entry_with_fields_of_another_kind_is_named(
    tmp_path: Path, lines: Lines, member: str, value: object
) -> None:
    place = whole(lines)[-1]
    before = lines[place]["seq"] - 1
    lines[place][member] = value
    bad = judged(tmp_path, lines).first_bad
    assert bad is not None
    assert (bad.seq, bad.kind) == (before + 1, "UNREADABLE")
    assert bad.sentence.startswith(f"After entry {before}: A line of the file is not an entry of a log")


def test_a_line_nested_without_end_is_told(tmp_path: Path, lines: Lines) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines[:3]) + "[" * 100_000 + "]" * 100_000 + "\n"
    (tmp_path / "deep.jsonl").write_text(text)
    bad = verify_file(tmp_path / "deep.jsonl").first_bad
    assert bad is not None
    assert (bad.seq, bad.kind) == (3, "UNREADABLE")
