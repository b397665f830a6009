"""The log: chained, append-only, with states beside the chain; nothing of a failed job remains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from msgspec.structs import replace
from sqlalchemy.orm import Session

from agentnet_desktop.crypto import chain
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.store import audit_log, log_search
from agentnet_desktop.store.audit_log import Anchor, LogEntry, NewEntry, Pin, SecurityEvent
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.log_records import details_hash, entry_hash, hashed_body, joined_hash, step_hash
from agentnet_desktop.store.search_terms import Term, TermField

Make = Callable[..., NewEntry]
PLAINTEXT = b'{"data":{"title":"Dentist"},"opening":"AA==","seq":1}'


def append(db: Database, *entries: NewEntry) -> list[LogEntry]:
    """Appends entries in one transaction."""
    return db.write_sync(lambda session: audit_log.append_many(session, entries))


def places(db: Database, *terms: Term) -> list[int]:
    """The places of the entries that fit."""
    return [entry.seq for entry in db.read_sync(lambda s: log_search.page(s, terms))]


def test_each_entry_is_hashed_with_the_one_before_it(db: Database, entry: Make) -> None:
    stored = append(db, entry(), entry(summary="second"))
    stored += append(db, entry(summary="third"))
    assert [e.seq for e in stored] == [1, 2, 3]
    assert stored[0].previous_hash == chain.GENESIS
    for before, after in pairwise(stored):
        assert after.previous_hash == before.entry_hash
    for e in stored:
        assert e.entry_hash == chain.entry_hash(e.previous_hash, jcs(hashed_body(e))) == entry_hash(e)
    head = db.read_sync(audit_log.head)
    assert (head.seq, head.entry_hash) == (3, stored[2].entry_hash)
    assert db.read_sync(lambda s: audit_log.entries_from(s, 2)) == stored[1:]


def test_an_empty_log_has_the_genesis_head(db: Database) -> None:
    assert db.read_sync(audit_log.head) == audit_log.Head(0, chain.GENESIS)
    assert append(db) == []


def test_the_hash_covers_bytes_and_details(db: Database, entry: Make) -> None:
    (stored,) = append(db, entry(wire=b"wire bytes", plaintext=PLAINTEXT, security={"nonce": "x"}))
    content = db.read_sync(lambda s: audit_log.content(s, 1))
    assert content is not None
    assert stored.wire_hash == hashlib.sha256(b"wire bytes").digest()
    assert stored.plaintext_hash == hashlib.sha256(PLAINTEXT).digest()
    assert stored.details_hash == details_hash(content.salt, content.details)
    assert (content.wire, content.plaintext, stored.size) == (b"wire bytes", PLAINTEXT, 10)
    assert content.parsed == audit_log.Details("Bob proposes a meeting", {"title": "Dentist"}, {"nonce": "x"})


@pytest.mark.parametrize("field", [n for n in LogEntry.__struct_fields__ if n not in ("state", "summary")])
def test_every_fixed_field_is_in_the_hash(db: Database, entry: Make, field: str) -> None:
    (stored,) = append(db, entry(wire=b"w", plaintext=PLAINTEXT))
    if field == "entry_hash":
        return
    old = getattr(stored, field)
    if isinstance(old, bytes) or field == "steps_hash":
        new: object = bytes(32)
    elif field == "encrypted":
        new = 0
    else:
        new = old + 1 if isinstance(old, int) else f"{old}x" if old is not None else 7
    assert entry_hash(replace(stored, **{field: new})) != stored.entry_hash


def test_equal_details_have_different_hashes(db: Database, entry: Make) -> None:
    """So nobody can try summaries until one fits an entry whose content was left out."""
    first, second = append(db, entry(), entry())
    assert first.details_hash != second.details_hash


def test_content_without_a_plaintext_is_kept(db: Database, entry: Make) -> None:
    append(db, entry(content={"reason": "key changed"}), entry(plaintext=b"not JSON"))
    for seq, expected in ((1, {"reason": "key changed"}), (2, None)):
        content = db.read_sync(partial(audit_log.content, seq=seq))
        assert content is not None
        assert content.parsed.content == expected


def test_one_job_appends_twice_and_the_chain_holds(db: Database, entry: Make) -> None:
    def job(session: Session) -> tuple[LogEntry, LogEntry]:
        first = audit_log.append(session, entry())
        assert audit_log.head(session).entry_hash == first.entry_hash
        return first, audit_log.append(session, entry())

    first, second = db.write_sync(job)
    assert second.previous_hash == first.entry_hash


def test_a_failed_job_leaves_nothing_in_log_or_index(db: Database, entry: Make) -> None:
    def job(session: Session) -> None:
        audit_log.append(session, entry(summary="lost words"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        db.write_sync(job)
    append(db, entry(summary="kept words"))
    assert places(db, Term(TermField.TEXT, words=("lost",))) == []
    assert places(db, Term(TermField.TEXT, words=("words",))) == [1]


def test_states_change_beside_the_chain_and_are_found(db: Database, entry: Make) -> None:
    (stored,) = append(db, entry(direction="out", state="QUEUED", plaintext=PLAINTEXT))
    for now, state in enumerate(("IN_FLIGHT", "ROUTED", "DELIVERED"), 5):
        changed = db.write_sync(partial(audit_log.set_state, seq=1, state=state, now=now, detail="a detail"))
        assert changed is not None
        assert (changed.state, changed.entry_hash) == (state, stored.entry_hash)
        assert places(db, Term(TermField.STATE, state.lower())) == [1]
        assert places(db, Term(TermField.STATE, "queued")) == []
        assert places(db, Term(TermField.TEXT, words=("dentist",))) == [1], "the words stay searchable"
    steps = db.read_sync(lambda s: audit_log.steps(s, 1))
    assert [(step.time, step.state, step.detail) for step in steps] == [
        (1_000, "QUEUED", ""),
        (5, "IN_FLIGHT", "a detail"),
        (6, "ROUTED", "a detail"),
        (7, "DELIVERED", "a detail"),
    ]


def test_the_next_entry_covers_the_steps_that_were_made_before_it(db: Database, entry: Make) -> None:
    first, second = append(db, entry(state="QUEUED"), entry(state="QUEUED"))
    db.write_sync(partial(audit_log.set_state, seq=1, state="IN_FLIGHT", now=5))
    db.write_sync(partial(audit_log.set_state, seq=2, state="IN_FLIGHT", now=6))
    third, fourth = append(db, entry(), entry())
    assert (first.steps_hash, second.steps_hash, fourth.steps_hash) == (None, None, None)
    steps = [db.read_sync(partial(audit_log.steps, seq=seq))[1] for seq in (1, 2)]
    assert [step.after_seq for step in steps] == [2, 2]
    hashes = [step_hash(step, of.details_hash) for step, of in zip(steps, (first, second), strict=True)]
    assert third.steps_hash == joined_hash(joined_hash(b"", hashes[0]), hashes[1])


def test_steps_that_no_entry_covers_yet_are_covered_after_a_restart(
    open_db: Callable[..., Database], entry: Make
) -> None:
    before = open_db()
    append(before, entry(state="QUEUED"))
    for now in (5, 6):
        before.write_sync(partial(audit_log.set_state, seq=1, state="IN_FLIGHT", now=now))
    expected = before.write_sync(audit_log.open_steps)
    before.close_sync()
    after = open_db()
    assert after.read_sync(audit_log.open_steps) == expected
    (stored,) = append(after, entry())
    assert stored.steps_hash == expected != b""
    assert after.read_sync(audit_log.open_steps) == b""


def test_a_step_of_a_job_that_failed_is_not_covered(db: Database, entry: Make) -> None:
    append(db, entry(state="QUEUED"))

    def job(session: Session) -> None:
        audit_log.set_state(session, 1, "FAILED", 5)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        db.write_sync(job)
    assert append(db, entry())[0].steps_hash is None


def test_parts_of_entries_after_the_logs_end_are_known(db: Database, entry: Make) -> None:
    append(db, entry(), entry())
    db.write_sync(partial(audit_log.set_state, seq=2, state="DELIVERED", now=5))
    assert db.read_sync(partial(audit_log.strays, last=2)) == []
    assert db.read_sync(partial(audit_log.strays, last=1)) == [2]


def test_a_repeated_state_adds_a_step_only_where_asked(db: Database, entry: Make) -> None:
    append(db, entry(direction="out", state="QUEUED"))
    assert db.write_sync(lambda s: audit_log.set_state(s, 1, "QUEUED", 5, "again")) is not None
    assert db.write_sync(lambda s: audit_log.set_state(s, 1, "QUEUED", 6, repeat=False)) is None
    assert db.write_sync(lambda s: audit_log.set_state(s, 99, "QUEUED", 6)) is None
    assert len(db.read_sync(lambda s: audit_log.steps(s, 1))) == 2


def test_entries_are_found_by_message(db: Database, entry: Make) -> None:
    append(db, entry(), entry(message_id="msg_2"), entry())
    assert [e.seq for e in db.read_sync(lambda s: audit_log.by_message(s, "msg_1"))] == [1, 3]
    assert [e.seq for e in db.read_sync(lambda s: audit_log.get_many(s, [3, 2, 9]))] == [2, 3]
    assert db.read_sync(lambda s: audit_log.get(s, 9)) is None


def test_pins_carry_colour_and_comment(db: Database, entry: Make) -> None:
    append(db, entry())
    assert db.write_sync(lambda s: audit_log.pin(s, Pin(1, 5, "red", "look")))
    assert db.write_sync(lambda s: audit_log.pin(s, Pin(1, 6, "blue", "again")))
    assert not db.write_sync(lambda s: audit_log.pin(s, Pin(2, 6)))
    assert db.read_sync(lambda s: audit_log.pins(s, [1, 2])) == {1: Pin(1, 5, "blue", "again")}
    db.write_sync(lambda s: audit_log.unpin(s, 1))
    assert db.read_sync(lambda s: audit_log.pins(s, [1])) == {}


def test_anchors_and_security_events_are_kept(db: Database) -> None:
    anchor = Anchor(3, b"h" * 32, "PEER", "bob", 9, b"s" * 64)
    event = SecurityEvent(3, 9, "bob", "BAD_SIGNATURE", "A message was refused.")
    db.write_sync(lambda s: audit_log.add_anchor(s, anchor))
    db.write_sync(lambda s: audit_log.add_security_event(s, event))
    assert db.read_sync(audit_log.anchors) == [anchor]
    assert db.read_sync(audit_log.security_events) == [event]
    assert db.write_sync(lambda s: audit_log.see_security_events(s, 3, 11)) == 1
    assert db.write_sync(lambda s: audit_log.see_security_events(s, 3, 12)) == 0


def test_a_clock_that_jumps_back_hides_no_entry(db: Database, entry: Make) -> None:
    hour = 3_600_000
    append(db, *(entry(time=t * hour) for t in (5, 6, 1, 7)))
    assert places(db, Term(TermField.AFTER, time=6 * hour)) == [2, 4]
    assert places(db, Term(TermField.BEFORE, time=6 * hour)) == [1, 3]
    assert places(db, Term(TermField.AFTER, time=9 * hour)) == []
    assert places(db, Term(TermField.BEFORE, time=0)) == []
