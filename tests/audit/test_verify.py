"""Every change to a log is found and named: rows, bytes, order, end, keys, states."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy.orm import Session

from agentnet_desktop.audit.items import Item
from agentnet_desktop.audit.stored import verify_database
from agentnet_desktop.audit.verify import Report, Verifier
from agentnet_desktop.crypto import chain
from agentnet_desktop.crypto.keys import IdentityKey, fingerprint
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import Anchor, NewEntry
from agentnet_desktop.store.engine import Database

from .conftest import Party, Talk, entries, fixed

Change = Callable[[list[Item]], list[Item]]


def verified(party: Party, *, anchors: tuple[Anchor, ...] = ()) -> Report:
    """Verifies a party's database."""
    return verify_database(party.db, own_id=party.name, identity_key=party.identity.public, anchors=anchors)


def of_items(items: list[Item], party: Party, anchors: tuple[Anchor, ...] = ()) -> Report:
    """Verifies entries in memory."""
    verifier = Verifier(party.name, identity_key=party.identity.public, anchors=anchors)
    for item in items:
        verifier.feed(item)
    return verifier.finish()


def run(db: Database, statement: str, *parameters: object) -> None:
    """Changes the database behind the program's back."""

    def job(session: Session) -> None:
        session.connection().exec_driver_sql(statement, parameters)

    db.write_sync(job)


def value(db: Database, statement: str, *parameters: object) -> object:
    """Reads one value."""
    return db.read_sync(lambda s: s.connection().exec_driver_sql(statement, parameters).scalar())


def test_a_good_log_is_intact_and_everything_in_it_is_proved(talk: Talk) -> None:
    for party in (talk.alice, talk.bob):
        report = verified(party)
        assert report.problems == ()
        assert report.intact
        assert (report.signatures, report.commitments, report.receipts) == (6, 6, 3)
        assert (report.first, report.last, report.entries, report.stubs) == (1, 14, 14, 0)
        assert report.anchored_to == 14
        assert report.held_to == (13 if party is talk.alice else 11)
        assert report.undisclosed == 0
        assert report.keys == {
            "alice": (fingerprint(talk.alice.identity.public),),
            "bob": (fingerprint(talk.bob.identity.public),),
        }


def test_an_empty_log_is_intact(db: Database) -> None:
    report = verify_database(db, own_id="alice", identity_key=fixed("key"))
    assert report.intact
    assert (report.entries, report.head) == (0, chain.GENESIS)


COLUMNS = [
    *(("log_entry", column) for column in audit_log.LogEntry.__struct_fields__),
    *(("log_content", column) for column in audit_log.LogContent.__struct_fields__),
    ("log_step", "state"),
    ("log_anchor", "entry_hash"),
    ("log_anchor", "signature"),
]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_every_changed_column_of_every_row_is_found(talk: Talk, table: str, column: str) -> None:
    db = talk.alice.db
    rows = db.read_sync(
        lambda s: s.connection().exec_driver_sql(f"SELECT rowid, {column} FROM {table}").all()
    )
    for row_id, old in rows:
        if table == "log_step" and value(db, "SELECT seq FROM log_step WHERE rowid = ?", row_id) is None:
            continue
        new: object
        if column == "seq":
            new = old + 1_000
        elif isinstance(old, int):
            new = old + 1 if column != "encrypted" else 1 - old
        elif isinstance(old, bytes):
            new = bytes([old[0] ^ 1]) + old[1:]
        elif old is None:
            new = {"sent_time": 5}.get(column, b"x" * 32)
        else:
            new = f"{old}x"
        if table == "log_anchor" and column == "signature" and old is None:
            continue
        run(db, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", new, row_id)
        report = verified(talk.alice)
        assert not report.intact, (row_id, old, new)
        place = row_id + 1_000 if column == "seq" and table != "log_anchor" else row_id
        run(db, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", old, place)
    assert verified(talk.alice).intact


def test_every_deleted_entry_is_named(talk: Talk) -> None:
    items = entries(talk.alice.db)
    for place in range(len(items) - 1):
        report = of_items(items[:place] + items[place + 1 :], talk.alice)
        bad = report.first_bad
        assert bad is not None
        assert (bad.seq, bad.kind) == (place + 1, "MISSING")
        assert f"Entry {place + 1} is missing" in bad.sentence


def renumbered(items: list[Item]) -> list[Item]:
    """What a careful forger does: places and chain are made anew, but the hashes of old entries are kept."""
    return [
        replace(item, seq=place, body={**(item.body or {}), "seq": place})
        for place, item in enumerate(items, 1)
    ]


@pytest.mark.parametrize("place", range(13))
def test_every_swap_is_found_where_it_begins(talk: Talk, place: int) -> None:
    items = entries(talk.alice.db)
    items[place], items[place + 1] = items[place + 1], items[place]
    for forged in (items, renumbered(items)):
        bad = of_items(forged, talk.alice).first_bad
        assert bad is not None
        assert place + 1 <= bad.seq <= place + 2


@pytest.mark.parametrize("place", range(15))
def test_every_insertion_is_found_where_it_is(talk: Talk, place: int) -> None:
    items = entries(talk.alice.db)
    forged = [*items[:place], items[3], *items[place:]]
    for attempt in (forged, renumbered(forged)):
        bad = of_items(attempt, talk.alice).first_bad
        assert bad is not None
        if attempt is not forged:
            assert bad.seq in (place + 1, place + 2) or place in (3, 4)


def test_every_truncation_is_found_by_the_signed_head(talk: Talk) -> None:
    end = talk.alice.db.read_sync(audit_log.anchors)[-1]
    items = entries(talk.alice.db)
    for length in range(len(items)):
        bad = of_items(items[:length], talk.alice, anchors=(end,)).first_bad
        assert bad is not None
        assert bad.seq == length + 1 or bad.kind == "RECEIPT_MISSING"
        report = of_items(items[:length], talk.alice, anchors=(end,))
        assert any(p.kind == "TRUNCATED" and "at least 14 entries" in p.sentence for p in report.problems)


def rebuilt(items: list[Item]) -> list[Item]:
    """A log rewritten whole, by somebody who knows how."""
    previous, made = chain.GENESIS, []
    for place, item in enumerate(items, 1):
        body = {**(item.body or {}), "seq": place}
        entry_hash = chain.entry_hash(previous, jcs(body))
        made.append(replace(item, seq=place, body=body, previous_hash=previous, entry_hash=entry_hash))
        previous = entry_hash
    return made


def test_a_log_rewritten_whole_is_found_by_what_others_hold(talk: Talk) -> None:
    items = entries(talk.alice.db)
    forged = rebuilt(items[:5] + items[6:])
    held = talk.alice.db.read_sync(audit_log.anchors)
    report = of_items(forged, talk.alice, anchors=tuple(held))
    assert any(problem.kind == "REWRITTEN" for problem in report.problems)
    assert "the log was rewritten" in next(p.sentence for p in report.problems if p.kind == "REWRITTEN")


def test_an_old_copy_put_back_is_found_by_the_keyrings_anchor(talk: Talk) -> None:
    end = talk.alice.db.read_sync(audit_log.head)
    later = Anchor(end.seq + 7, b"h" * 32, "KEYRING", "", 0)
    report = verified(talk.alice, anchors=(later,))
    assert [problem.kind for problem in report.problems] == ["TRUNCATED"]
    assert "The keyring says that the log had at least 21 entries" in report.problems[0].sentence


def test_content_that_was_not_signed_is_found(talk: Talk) -> None:
    """A forger with the database's key changes what was said, its hashes, and the chain after it."""
    import hashlib

    items = entries(talk.alice.db)
    place = next(p for p, item in enumerate(items) if item.plaintext is not None)
    plaintext = (items[place].plaintext or b"").replace(b"question 0", b"question 9")
    body = {**(items[place].body or {}), "plaintextHash": hashlib.sha256(plaintext).hexdigest()}
    content = msgspec.json.decode(plaintext)["data"]
    items[place] = replace(items[place], plaintext=plaintext, body=body, content=content)
    (problem,) = of_items(rebuilt(items), talk.alice).problems
    assert (problem.seq, problem.kind) == (place + 1, "COMMITMENT")
    assert "not what was signed" in problem.sentence


def test_a_message_signed_by_another_key_is_found(talk: Talk) -> None:
    mallory = IdentityKey.from_seed(fixed("mallory"))
    talk.bob.identity = mallory
    talk.say(talk.bob, talk.alice, {"note": "not Bob"})
    kinds = {problem.kind for problem in verified(talk.alice).problems}
    assert "SIGNATURE" in kinds


def test_a_delivery_without_its_receipt_is_found(talk: Talk) -> None:
    sent = talk.say(talk.alice, talk.bob, {"note": "lost"}, receipt=False)
    talk.alice.db.write_sync(partial(audit_log.set_state, seq=sent.seq, state="DELIVERED", now=5))
    (problem,) = verified(talk.alice).problems
    assert (problem.seq, problem.kind) == (sent.seq, "RECEIPT_MISSING")


def test_fields_that_disagree_with_the_wire_are_found(talk: Talk) -> None:
    items = entries(talk.alice.db)
    items[4] = replace(items[4], body={**(items[4].body or {}), "peer": "carol"})
    problems = of_items(rebuilt(items), talk.alice).problems
    assert (problems[0].seq, problems[0].kind) == (5, "FIELDS")


def test_deleted_content_is_found_unless_the_log_says_so(talk: Talk) -> None:
    run(talk.alice.db, "DELETE FROM log_content WHERE seq = 5")
    run(talk.alice.db, "UPDATE log_entry SET summary = '' WHERE seq = 5")
    kinds = [problem.kind for problem in verified(talk.alice).problems]
    assert "CONTENT_MISSING" in kinds
    said = NewEntry(1, "local", "RETENTION", "LOCAL", "", content={"firstSeq": 1, "lastSeq": 5})
    talk.alice.db.write_sync(lambda s: audit_log.append(s, said))
    assert "CONTENT_MISSING" not in [problem.kind for problem in verified(talk.alice).problems]


def test_what_was_refused_is_not_held_against_the_log(talk: Talk) -> None:
    entry = NewEntry(
        1,
        "in",
        "ENCRYPTED",
        "REFUSED",
        "refused",
        "bob",
        wire=b"\xffgarbage",
        wire_format="msgpack",
        verified="bad",
    )
    talk.alice.db.write_sync(lambda s: audit_log.append(s, entry))
    assert verified(talk.alice).intact


def test_problems_are_limited_in_number(talk: Talk) -> None:
    run(talk.alice.db, "UPDATE log_entry SET entry_hash = zeroblob(32)")
    for number in range(60):
        entry = NewEntry(1, "local", "NOTE", "LOCAL", str(number))
        talk.alice.db.write_sync(partial(audit_log.append, entry=entry))
    run(talk.alice.db, "UPDATE log_entry SET entry_hash = zeroblob(32)")
    assert len(verified(talk.alice).problems) == 50
