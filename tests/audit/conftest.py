"""An open database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentnet_desktop.store.engine import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    opened = Database.open(tmp_path / "agent.db", bytes(range(32)), now_ms=lambda: 1_000)
    yield opened
    opened.close_sync()
