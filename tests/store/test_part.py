"""A part of a job that fails leaves no trace, and the job goes on."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, settings
from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import DiskFull
from agentnet_desktop.store.part import ends_all, part


def note(session: Session, words: str) -> None:
    """Appends an entry to the log, and a setting beside it."""
    audit_log.append(session, NewEntry(3_600_000, "local", "NOTE", "LOCAL", words))
    settings.put(session, words, True)


def fail_apart(session: Session, *words: str) -> None:
    """A part that notes some words and then fails."""
    with part(session):
        for word in words:
            note(session, word)
        raise ValueError("no")


def test_a_part_that_fails_is_undone_alone(db: Database) -> None:
    def job(session: Session) -> None:
        note(session, "before")
        with pytest.raises(ValueError, match="no"):
            fail_apart(session, "wrong", "wrong too")
        with part(session):
            note(session, "inside")
        note(session, "after")

    db.write_sync(job)
    db.write_sync(lambda session: note(session, "later"))
    assert sorted(db.read_sync(settings.every)) == ["after", "before", "inside", "later"]
    entries = db.read_sync(lambda session: audit_log.entries_from(session, 1, 10))
    assert [(entry.seq, entry.summary) for entry in entries] == [
        (1, "before"),
        (2, "inside"),
        (3, "after"),
        (4, "later"),
    ]
    hashes = [entry.entry_hash for entry in entries]
    assert [entry.previous_hash for entry in entries[1:]] == hashes[:-1]


def test_a_part_that_failed_last_leaves_nothing_in_the_index_of_words(db: Database) -> None:
    def job(session: Session) -> None:
        note(session, "before")
        with pytest.raises(ValueError, match="no"):
            fail_apart(session, "wrong")

    db.write_sync(job)
    found = db.read_sync(
        lambda session: session.connection().exec_driver_sql("SELECT rowid FROM log_text").all()
    )
    assert [tuple(row) for row in found] == [(1,)]


def test_a_part_inside_a_part_is_undone_with_it(db: Database) -> None:
    def outer(session: Session) -> None:
        with part(session):
            with part(session):
                note(session, "inner")
            raise ValueError("no")

    def job(session: Session) -> None:
        with pytest.raises(ValueError, match="no"):
            outer(session)
        note(session, "after")

    db.write_sync(job)
    assert list(db.read_sync(settings.every)) == ["after"]


def test_a_fault_of_the_disk_ends_the_whole_job(db: Database) -> None:
    def job(session: Session) -> tuple[bool, bool]:
        return ends_all(session, DiskFull(db.path)), ends_all(session, ValueError("no"))

    assert db.write_sync(job) == (True, False)
