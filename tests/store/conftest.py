"""An open database of each test's own, and small makers of what is stored in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.outbox import OutboxRow

KEY = bytes(range(32))
Open = Callable[..., Database]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's database is."""
    return tmp_path / "agent.db"


@pytest.fixture
def open_db(path: Path) -> Iterator[Open]:
    """Opens the test's database, as often as it likes; all are closed at the end."""
    opened: list[Database] = []

    def open_it(key: bytes = KEY, *, at: Path | None = None, read_only: bool = False) -> Database:
        db = Database.open(at or path, key, now_ms=lambda: 1_000, read_only=read_only)
        opened.append(db)
        return db

    yield open_it
    for db in opened:
        db.close_sync()


@pytest.fixture
def db(open_db: Open) -> Database:
    """A fresh database."""
    return open_db()


@pytest.fixture
def entry() -> Callable[..., NewEntry]:
    """Makes an entry of the log."""

    def make(**changes: Any) -> NewEntry:
        values: dict[str, Any] = {
            "time": 1_000,
            "direction": "in",
            "message_type": "PROPOSAL",
            "state": "RECEIVED",
            "summary": "Bob proposes a meeting",
            "peer": "Bob",
            "conversation_id": "conv_1",
            "message_id": "msg_1",
            "encrypted": True,
            "verified": "good",
        }
        return NewEntry(**(values | changes))

    return make


@pytest.fixture
def message() -> Callable[..., OutboxRow]:
    """Makes a message for the outbox."""

    def make(message_id: str, **changes: Any) -> OutboxRow:
        values: dict[str, Any] = {
            "message_id": message_id,
            "peer": "bob",
            "conversation_id": "conv_1",
            "message_type": "QUERY",
            "content": {"queryType": "AVAILABILITY"},
            "envelope_metadata": {"priority": "NORMAL"},
            "timestamp": 1,
            "created_at": 1,
            "expires_at": 1_000_000,
            "next_attempt_at": 0,
        }
        return OutboxRow(**(values | changes))

    return make
