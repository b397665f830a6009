"""SQLite's words become the right sentence, and show no values."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlcipher3
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from agentnet_desktop.store import connect
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import DiskFault, DiskFull, StoreError


def test_a_statement_that_fails_shows_none_of_its_values(db: Database) -> None:
    statement = text("INSERT INTO setting (name, value) VALUES (:name, :value)")

    def job(session: Session) -> None:
        for _ in range(2):
            session.execute(statement, {"name": "a", "value": "hush"})

    with pytest.raises(IntegrityError) as caught:
        db.write_sync(job)
    assert "INSERT INTO setting" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "room", "kind"),
    [
        ("database or disk is full", True, DiskFull),
        ("disk I/O error", True, DiskFault),
        ("disk I/O error", False, DiskFull),
    ],
)
def test_a_disk_that_fails_is_told_apart_from_a_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, room: bool, kind: type[StoreError]
) -> None:
    if not room:
        monkeypatch.setattr(connect, "_is_full", lambda _path: True)
    assert type(connect.fault(tmp_path / "agent.db", sqlcipher3.OperationalError(words))) is kind


def test_a_fault_of_the_database_is_told_from_a_mistake() -> None:
    full = sqlcipher3.OperationalError("database or disk is full")
    assert connect.is_fault(full)
    assert connect.is_fault(OperationalError("INSERT", None, full))
    assert connect.is_fault(DiskFull(Path("x")))
    assert not connect.is_fault(sqlcipher3.OperationalError("no such table: x"))
    assert not connect.is_fault(LookupError("ours"))
