"""What the vault's tests share: weak key derivation, stores that can fail, and profiles in the real keyring."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from agentnet_desktop.vault.errors import KeyringFailed
from agentnet_desktop.vault.stores import FileStore, KeyringStore
from tests.processes import SecretService

_numbers = itertools.count()


class MemoryStore:
    """A store in memory that can be told to fail at the n-th write, as a crash there would."""

    name = "memory"
    requires_passphrase = False

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.writes = 0
        self.fail_at: int | None = None

    def get(self, key: str) -> bytes | None:
        return self.entries.get(key)

    def set(self, key: str, value: bytes) -> None:
        self._write()
        self.entries[key] = value

    def delete(self, key: str) -> None:
        if key in self.entries:
            self._write()
            del self.entries[key]

    def _write(self) -> None:
        self.writes += 1
        if self.writes == self.fail_at:
            raise KeyringFailed("The power went out.")


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def keyring_store(secret_service: SecretService) -> KeyringStore:
    """An empty namespace in a real Secret Service."""
    return KeyringStore(f"agentnet-test-{next(_numbers)}")


@pytest.fixture
def file_store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "vault.json")
