"""The vault's record reads back, and refuses what it did not write."""

from __future__ import annotations

import json

import pytest

from agentnet_desktop.vault.errors import VaultCorrupt, WrongPassphrase
from agentnet_desktop.vault.kdf import Kdf
from agentnet_desktop.vault.record import Record
from agentnet_desktop.vault.vault import Vault
from tests.vault.conftest import MemoryStore

RECORD = Record("alice", "p1", "memory", "00ff", "", {"name": "none"}, "AA==", ("oidc",))
FIELDS = json.loads(RECORD.to_bytes())


def test_a_record_reads_back() -> None:
    assert Record.from_bytes(RECORD.to_bytes()) == RECORD


@pytest.mark.parametrize(
    "change",
    [
        b"",
        b"[]",
        b"\xff",
        {**FIELDS, "extra": 1},
        {name: FIELDS[name] for name in FIELDS if name != "version"},
        {name: FIELDS[name] for name in FIELDS if name != "tokens"},
        {name: FIELDS[name] for name in FIELDS if name != "check"},
        {**FIELDS, "tokens": 3},
        {**FIELDS, "kdf": []},
        {**FIELDS, "generation": 7},
        {**FIELDS, "agent_id": None},
    ],
)
def test_a_damaged_record_is_told(change: bytes | dict[str, object]) -> None:
    data = change if isinstance(change, bytes) else json.dumps(change).encode()
    with pytest.raises(VaultCorrupt, match="record is damaged"):
        Record.from_bytes(data)


def test_a_newer_record_is_told() -> None:
    with pytest.raises(VaultCorrupt, match="newer version"):
        Record.from_bytes(json.dumps({**FIELDS, "version": 2}).encode())


def rewritten(store: MemoryStore, **changes: object) -> None:
    fields = json.loads(store.entries["vault"])
    store.entries["vault"] = json.dumps({**fields, **changes}).encode()


@pytest.mark.parametrize("salt", [None, 3, "A", "@@@@"])
def test_a_damaged_salt_is_told(salt: object) -> None:
    store = MemoryStore()
    Vault.create(store, agent_id="a", profile_id="p", passphrase="x", kdf=Kdf.weak())
    kdf = {**Kdf.weak().to_json(), "salt": salt}
    if salt is None:
        del kdf["salt"]
    rewritten(store, kdf=kdf)
    with pytest.raises(VaultCorrupt, match="record is damaged"):
        Vault.open(store, passphrase="x")


def test_changed_parameters_do_not_open(memory_store: MemoryStore) -> None:
    vault = Vault.create(memory_store, agent_id="a", profile_id="p", passphrase="x", kdf=Kdf.weak())
    rewritten(memory_store, kdf={**vault._record.kdf, "passes": 2})
    with pytest.raises(WrongPassphrase):
        Vault.open(memory_store, passphrase="x")


def test_a_damaged_check_does_not_open(memory_store: MemoryStore) -> None:
    Vault.create(memory_store, agent_id="a", profile_id="p", passphrase="x", kdf=Kdf.weak())
    rewritten(memory_store, check="A")
    with pytest.raises(WrongPassphrase):
        Vault.open(memory_store, passphrase="x")
