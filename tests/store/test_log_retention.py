"""Content goes by age or size, words and all; hashes stay, and the log says what went."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agentnet_desktop.store import audit_log, log_retention, log_search
from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.search_terms import Term, TermField

Make = Callable[..., NewEntry]
WORD = Term(TermField.TEXT, words=("dentist",))


def fill(db: Database, entry: Make, count: int = 20) -> None:
    """Appends entries, one a second."""
    new = [entry(time=n * 1_000, summary=f"Dentist {n}", wire=os.urandom(2_000)) for n in range(1, count + 1)]
    db.write_sync(partial(audit_log.append_many, entries=new))


def test_old_content_goes_and_the_chain_stays(db: Database, entry: Make) -> None:
    fill(db, entry)
    before = db.read_sync(lambda s: audit_log.entries_from(s, 1))
    said = db.write_sync(lambda s: log_retention.forget_before(s, 11_000, 99_000))
    assert said is not None
    assert (said.seq, said.message_type) == (21, "RETENTION")
    content = db.read_sync(lambda s: audit_log.content(s, 21))
    assert content is not None
    assert content.parsed.content == {"firstSeq": 1, "lastSeq": 10}
    after = db.read_sync(lambda s: audit_log.entries_from(s, 1))
    assert [e.entry_hash for e in after[:20]] == [e.entry_hash for e in before]
    assert [bool(e.summary) for e in after[:20]] == [False] * 10 + [True] * 10
    assert db.read_sync(lambda s: audit_log.content(s, 10)) is None
    assert [e.seq for e in db.read_sync(lambda s: log_search.page(s, (WORD,)))] == list(range(11, 21))
    assert len(db.read_sync(lambda s: log_search.page(s, (Term(TermField.WITH, "bob"),)))) == 20


def test_it_goes_batch_by_batch_to_its_end(db: Database, entry: Make) -> None:
    fill(db, entry)
    batches = 0
    while db.write_sync(lambda s: log_retention.forget_before(s, 15_000, 99_000, limit=5)) is not None:
        batches += 1
    assert batches == 3
    use = db.read_sync(log_retention.disk_use)
    assert (use.entries, use.kept) == (23, 9)


def test_nothing_old_means_nothing_said(db: Database, entry: Make) -> None:
    assert db.write_sync(lambda s: log_retention.forget_before(s, 99_000, 99_000)) is None
    fill(db, entry)
    assert db.write_sync(lambda s: log_retention.forget_before(s, 1_000, 99_000)) is None
    assert db.read_sync(audit_log.head).seq == 20


def test_its_own_entries_do_not_keep_it_going(db: Database, entry: Make) -> None:
    fill(db, entry)
    rounds = 0
    while db.write_sync(lambda s: log_retention.forget_before(s, 10**9, 99_000)) is not None:
        rounds += 1
        assert rounds < 5


def test_a_log_over_its_size_shrinks(db: Database, entry: Make, path: Path) -> None:
    fill(db, entry, 500)
    use = db.read_sync(log_retention.disk_use)
    most = use.file // 2
    while db.write_sync(lambda s: log_retention.forget_over(s, most, 99_000, limit=50)) is not None:
        pass
    after = db.read_sync(log_retention.disk_use)
    assert after.file - after.free <= most
    assert after.kept > 50
    db.write_sync(lambda s: log_retention.give_back_pages(s, 10_000))
    assert db.read_sync(log_retention.disk_use).free < after.free
    db.close_sync()
    assert path.stat().st_size <= most * 1.1
