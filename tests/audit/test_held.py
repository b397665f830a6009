"""A peer's exported log is held against the heads that its receipts left in one's own log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy.orm import Session

from agentnet_desktop.audit.export import export_log
from agentnet_desktop.audit.exported import verify_file
from agentnet_desktop.audit.held import LEEWAY_MS, HeldHead, HeldHeads, held_heads
from agentnet_desktop.audit.items import Item, item_from, line_of
from agentnet_desktop.audit.verify import Report
from agentnet_desktop.crypto import chain
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.store import audit_log, log_retention
from agentnet_desktop.store.search_terms import Term, TermField
from relay.wire.envelope import b64encode

from .conftest import NOW, Talk, signed_end, source
from .test_compare import cut

HOUR = 3_600_000


def export(talk: Talk, folder: Path, *, at: int, redact: bool = False, only: str = "") -> Path:
    """Bob's log, as Bob exports it at a time."""
    path, bob = folder / "bob.jsonl", talk.bob
    terms = (Term(TermField.TYPE, only),) if only else ()
    export_log(bob.db, path, source(bob, at), terms=terms, redact=redact)
    return path


def judged(talk: Talk, path: Path) -> Report:
    """What Alice finds in Bob's file."""
    alice = talk.alice
    with alice.db.snapshot() as state:
        held = held_heads(state, "bob", alice.identity.public)
        return verify_file(path, keys={"bob": [talk.bob.identity.public]}, held=held)


def held_by_alice(talk: Talk, peer: str) -> HeldHeads:
    """What Alice holds of a peer, for those who check no file with it."""
    with talk.alice.db.snapshot() as state:
        return held_heads(state, peer, talk.alice.identity.public)


def rewrite(talk: Talk, path: Path, left_out: int) -> None:
    """Leaves an entry out and makes the chain after it anew, with the last line signed by Bob himself."""
    header, *lines, _end = path.read_text().splitlines()
    items = [item_from(json.loads(line)) for line in lines]
    previous, made = chain.GENESIS, []
    for place, item in enumerate([*items[: left_out - 1], *items[left_out:]], 1):
        body = {**(item.body or {}), "seq": place}
        head = chain.entry_hash(previous, jcs(body))
        steps = tuple(replace(step, seq=place) for step in item.steps)
        made.append(replace(item, seq=place, body=body, previous_hash=previous, entry_hash=head, steps=steps))
        previous = head
    end = signed_end(talk.bob.identity, json.loads(header), made)
    shown = [json.dumps(_text(line_of(item))) for item in made]
    path.write_text("\n".join([header, *shown, json.dumps(end)]) + "\n")


def _text(line: dict[str, object]) -> dict[str, object]:
    return {name: b64encode(data) if isinstance(data, bytes) else data for name, data in line.items()}


def test_an_honest_export_is_complete_up_to_the_newest_head_that_one_holds(
    talk: Talk, tmp_path: Path
) -> None:
    for redact, only in ((False, ""), (True, ""), (False, "handshake")):
        report = judged(talk, export(talk, tmp_path, at=NOW + HOUR, redact=redact, only=only))
        assert report.problems == ()
        assert (report.held_to, report.anchored_to, report.last) == (11, 14, 14)


def test_without_anything_held_a_file_verifies_as_before(talk: Talk, tmp_path: Path) -> None:
    report = verify_file(export(talk, tmp_path, at=NOW + HOUR))
    assert (report.intact, report.held_to) == (True, 0)


def test_an_export_made_before_the_newest_receipts_is_not_accused(talk: Talk, tmp_path: Path) -> None:
    path = export(talk, tmp_path, at=talk.bob.time)
    for number in range(3):
        talk.say(talk.alice, talk.bob, {"note": f"later {number}"})
    report = judged(talk, path)
    assert report.problems == ()
    assert report.held_to == 11


@pytest.mark.parametrize("left_out", range(3, 12))
def test_a_rewritten_export_is_found_by_the_order_of_ones_own_log(
    talk: Talk, tmp_path: Path, left_out: int
) -> None:
    """Whatever time the file names: the receipts of 3 and 7 came before what 11 holds was said."""
    path = export(talk, tmp_path, at=NOW)
    rewrite(talk, path, left_out)
    found = [problem for problem in judged(talk, path).problems if problem.kind == "HEAD_MISSING"]
    if left_out > 7:  # only the newest head is gone, and an older file would not have it either
        assert found == []
        return
    (problem,) = found
    message = "msg_1" if left_out == 3 else "msg_3"
    assert problem.seq == (1 if left_out == 3 else 4)
    assert f"bob signed its log's state when it received {message}" in problem.sentence
    assert "has what was said after that" in problem.sentence
    assert "it was rewritten, cut off or begun anew" in problem.sentence


@pytest.mark.parametrize("left_out", range(1, 13))
def test_a_rewritten_export_is_found_by_the_receipts_that_it_still_shows(
    talk: Talk, tmp_path: Path, left_out: int
) -> None:
    """On another machine too: 4, 8 and 12 are receipts for 3, 7 and 11."""
    path = export(talk, tmp_path, at=NOW)
    assert verify_file(path).intact
    rewrite(talk, path, left_out)
    found = [problem.seq for problem in verify_file(path).problems if problem.kind == "OWN_RECEIPT"]
    assert found == [place - 1 for place in (4, 8, 12) if left_out < place]


def test_an_export_that_was_cut_off_is_found_by_the_time_that_it_names(talk: Talk, tmp_path: Path) -> None:
    cut(talk.bob, 11)
    report = judged(talk, export(talk, tmp_path, at=NOW + HOUR))
    (problem,) = report.problems
    assert (problem.kind, problem.seq) == ("HEAD_MISSING", 8)
    assert "when it received msg_5 (entry 12 of the log here)" in problem.sentence
    assert "says that it was written after that" in problem.sentence


def test_an_export_as_old_as_the_clocks_may_differ_is_not_accused(talk: Talk, tmp_path: Path) -> None:
    cut(talk.bob, 11)
    came = talk.alice.db.read_sync(lambda s: audit_log.entries_from(s, 12))[0].time
    for at, intact in ((came + LEEWAY_MS, True), (came + LEEWAY_MS + 1, False)):
        assert judged(talk, export(talk, tmp_path, at=at)).intact is intact


def entry(seq: int, head: bytes, message_id: str = "") -> Item:
    """An entry of a file; a stub unless it tells of a message that came in."""
    body = {"direction": "in", "messageId": message_id} if message_id else None
    return Item(seq, bytes(32), head, body)


def test_receipts_that_came_in_another_order_accuse_nobody() -> None:
    """Both messages were sent before either receipt came: which head is older cannot be told."""
    first, second = HeldHead(b"1" * 32, "msg_a", 12, 9, b""), HeldHead(b"2" * 32, "msg_b", 10, 9, b"")
    held = HeldHeads("bob", {h.head: h for h in (first, second)}, {"msg_a": 5, "msg_b": 6})
    held.feed(entry(1, first.head))
    assert held.missing(bytes(32), 0) is None


def test_a_message_in_the_file_dates_it_though_its_head_is_not_held(talk: Talk, tmp_path: Path) -> None:
    talk.say(talk.alice, talk.bob, {"note": "no receipt came"}, receipt=False)
    path = export(talk, tmp_path, at=NOW)
    rewrite(talk, path, 11)  # of which the newest head is
    (problem,) = (found for found in judged(talk, path).problems if found.kind == "HEAD_MISSING")
    assert problem.seq == 8
    assert "received msg_5" in problem.sentence


def test_heads_under_another_key_are_about_another_log(talk: Talk, tmp_path: Path) -> None:
    alice = talk.alice
    with alice.db.snapshot() as state:
        held = held_heads(state, "bob", alice.identity.public)
        assert len(held.heads) == 3
        assert held.missing(talk.bob.identity.public, NOW + HOUR) is not None
        assert held.missing(alice.identity.public, NOW + HOUR) is None


def test_only_receipts_that_verified_are_held(talk: Talk) -> None:
    alice = talk.alice

    def doubt(session: Session) -> None:
        session.connection().exec_driver_sql("UPDATE log_entry SET verified = 'bad' WHERE seq = 4")

    alice.db.write_sync(doubt)
    held = held_by_alice(talk, "BOB")
    assert [head.entry for head in held.heads.values()] == [8, 12]
    alice.db.write_sync(lambda s: log_retention.forget_before(s, NOW + 9_000, NOW))
    left = held_by_alice(talk, "bob")
    assert [head.entry for head in left.heads.values()] == [12]


def test_heads_of_others_are_not_this_peers(talk: Talk) -> None:
    assert held_by_alice(talk, "carol").heads == {}
