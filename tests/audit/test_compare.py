"""What both parties exported can be held against each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.audit.compare import Difference, compare_files
from agentnet_desktop.audit.export import export_log
from agentnet_desktop.store.audit_log import NewEntry

from .conftest import Party, Talk, source


def compare(talk: Talk, folder: Path) -> list[Difference]:
    """Exports both logs and compares them."""
    paths = []
    for party in (talk.alice, talk.bob):
        path = folder / f"{party.name}.jsonl"
        export_log(party.db, path, source(party))
        paths.append(path)
    first, second = paths
    return compare_files(first, second)


def cut(party: Party, first: int) -> None:
    """Removes the end of a log, as somebody with the database's key could."""

    def job(session: Session) -> None:
        session.info.clear()
        for table in ("log_entry", "log_content", "log_step", "log_anchor"):
            session.connection().exec_driver_sql(f"DELETE FROM {table} WHERE seq >= {first}")

    party.db.write_sync(job)


def test_two_whole_logs_agree(talk: Talk, tmp_path: Path) -> None:
    assert compare(talk, tmp_path) == []


def test_a_message_that_one_lacks_is_listed(talk: Talk, tmp_path: Path) -> None:
    sent = talk.say(talk.alice, talk.bob, {"note": "did you get this?"}, receipt=False)
    cut(talk.bob, 15)
    (difference,) = compare(talk, tmp_path)
    assert (difference.kind, difference.message_id, difference.seq) == ("ONLY_IN_FIRST", "msg_7", sent.seq)
    assert difference.sentence == "alice sent msg_7 (entry 15, QUEUED); bob's log does not have it."


def test_a_log_cut_off_behind_a_receipt_is_shown_by_the_others_copy(talk: Talk, tmp_path: Path) -> None:
    talk.say(talk.alice, talk.bob, {"note": "received, then denied"})
    cut(talk.bob, 15)
    found = compare(talk, tmp_path)
    assert [(d.kind, d.message_id) for d in found] == [("ONLY_IN_FIRST", "msg_7"), ("HEAD_MISSING", "msg_7")]
    assert "it was rewritten or cut off" in found[1].sentence


def test_another_message_under_the_same_id_is_listed(talk: Talk, tmp_path: Path) -> None:
    talk.count = 100
    talk.say(talk.alice, talk.bob, {"note": "to Bob"}, receipt=False)
    cut(talk.bob, 15)
    talk.count = 100
    own, talk.alice.db = talk.alice.db, talk.bob.db  # what Alice says now stands in Bob's log only
    talk.say(talk.alice, talk.bob, {"note": "another"}, receipt=False)
    talk.alice.db = own
    assert ("DIFFERENT", "msg_101") in [(d.kind, d.message_id) for d in compare(talk, tmp_path)]


def test_messages_with_others_are_not_compared(talk: Talk, tmp_path: Path) -> None:
    note = NewEntry(1, "out", "QUERY", "QUEUED", "to Carol", "carol", message_id="msg_c", encrypted=True)
    talk.alice.append_entry(note)
    assert compare(talk, tmp_path) == []


def test_two_logs_of_one_agent_are_refused(talk: Talk, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    export_log(talk.alice.db, path, source(talk.alice))
    with pytest.raises(ValueError, match="two parties"):
        compare_files(path, path)
