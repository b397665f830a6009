"""SQLite's words become the right sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlcipher3

from agentnet_desktop.store import connect
from agentnet_desktop.store.errors import DiskFault, DiskFull, StoreError


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
