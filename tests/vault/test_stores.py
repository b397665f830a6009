"""The keyring and the vault file: what they keep, and how they refuse."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
import secretstorage
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.backends.SecretService import Keyring as SecretServiceKeyring
from keyring.errors import KeyringError, NoKeyringError

from agentnet_desktop.vault.errors import KeyringFailed, KeyringLocked, NoKeyring, SecretTooLong, VaultCorrupt
from agentnet_desktop.vault.stores import MAX_ENTRY_BYTES, FileStore, KeyringStore
from agentnet_desktop.vault.vault import Vault
from tests.processes import SecretService

# ------------------------------------------------------------------------------- the real keyring


def test_the_real_keyring_keeps_any_bytes(keyring_store: KeyringStore) -> None:
    assert keyring_store.get("k") is None
    keyring_store.set("k", bytes(range(256)))
    assert keyring_store.get("k") == bytes(range(256))
    keyring_store.set("k", b"")
    assert keyring_store.get("k") == b""
    keyring_store.delete("k")
    assert keyring_store.get("k") is None
    keyring_store.delete("k")


def test_two_profiles_do_not_see_each_others_entries(keyring_store: KeyringStore) -> None:
    keyring_store.set("k", b"mine")
    assert KeyringStore(keyring_store._service + "-other").get("k") is None


def test_an_entry_has_at_most_a_kilobyte(keyring_store: KeyringStore) -> None:
    keyring_store.set("k", bytes(MAX_ENTRY_BYTES * 3 // 4))
    with pytest.raises(SecretTooLong):
        keyring_store.set("k", bytes(MAX_ENTRY_BYTES * 3 // 4 + 1))


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Lock the real keyring for a while."""
    with contextlib.closing(secretstorage.dbus_init()) as bus:
        secretstorage.get_default_collection(bus).lock()
    with warnings.catch_warnings():
        # The keyring library leaves its connection to the garbage collector when it finds the keyring locked.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        finally:
            _unlock_again()
            gc.collect()


def _unlock_again() -> None:
    """Unlock without a prompt, as the login does it: through gnome-keyring's own interface."""
    jeepney = importlib.import_module("jeepney")
    blocking = importlib.import_module("jeepney.io.blocking")

    address = jeepney.DBusAddress(
        "/org/freedesktop/secrets",
        bus_name="org.freedesktop.secrets",
        interface="org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface",
    )
    service = jeepney.DBusAddress(
        "/org/freedesktop/secrets",
        bus_name="org.freedesktop.secrets",
        interface="org.freedesktop.Secret.Service",
    )
    with blocking.open_dbus_connection() as bus:
        opened = bus.send_and_get_reply(
            jeepney.new_method_call(service, "OpenSession", "sv", ("plain", ("s", "")))
        )
        session = opened.body[1]
        with contextlib.closing(secretstorage.dbus_init()) as other:
            path = secretstorage.get_default_collection(other).collection_path
        password = b"the password of a keyring that holds nothing of worth"
        secret = (session, b"", password, "text/plain")
        reply = bus.send_and_get_reply(
            jeepney.new_method_call(address, "UnlockWithMasterPassword", "o(oayays)", (path, secret))
        )
        assert not reply.body, reply.body


def test_a_locked_keyring_is_told_and_loses_nothing(keyring_store: KeyringStore) -> None:
    keyring_store.set("k", b"v")
    vault = Vault.create(keyring_store, agent_id="a", profile_id="p", passphrase=None)
    with locked():
        for use in (
            lambda: keyring_store.get("k"),
            lambda: keyring_store.set("k", b"w"),
            lambda: keyring_store.delete("k"),
            lambda: Vault.open(keyring_store, passphrase=None),
            lambda: Vault.create(keyring_store, agent_id="a", profile_id="p", passphrase=None),
            lambda: vault.set_token("oidc", "t"),
        ):
            with pytest.raises(KeyringLocked, match="Unlock it"):
                use()
    assert keyring_store.get("k") == b"v"
    assert Vault.open(keyring_store, passphrase=None).database_key == vault.database_key


# ------------------------------------------------------------------------------- no keyring


@pytest.fixture
def backend() -> Iterator[None]:
    """Puts the configured keyring back."""
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.mark.parametrize("configured", [fail.Keyring, null.Keyring])
def test_no_keyring_is_told_and_the_vault_file_named(configured: type[KeyringBackend], backend: None) -> None:
    keyring.set_keyring(made(configured))
    with pytest.raises(NoKeyring, match="--key-store file"):
        KeyringStore("agentnet-test")


def made(kind: Any) -> KeyringBackend:
    backend: KeyringBackend = kind()
    return backend


class PlaintextKeyring(KeyringBackend):
    """Stands for keyrings.alt's, which keeps secrets in the clear."""

    priority = 100

    def get_password(self, service: str, username: str) -> str | None:
        raise AssertionError("never asked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("never asked")


def test_a_keyring_that_is_not_known_to_encrypt_is_never_used(backend: None) -> None:
    keyring.set_keyring(made(PlaintextKeyring))
    with pytest.raises(NoKeyring):
        KeyringStore("agentnet-test")


def test_of_several_keyrings_the_best_trusted_one_is_taken(
    backend: None, secret_service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [made(PlaintextKeyring), made(SecretServiceKeyring)]
    monkeypatch.setattr("keyring.backend.get_all_keyring", lambda: there)  # the real one looks only once
    keyring.set_keyring(made(chainer.ChainerBackend))
    assert KeyringStore("agentnet-test").name == "keyring.backends.SecretService.Keyring"


def test_of_several_keyrings_none_trusted_is_none(backend: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.backend.get_all_keyring", lambda: [made(PlaintextKeyring)])
    keyring.set_keyring(made(chainer.ChainerBackend))
    with pytest.raises(NoKeyring):
        KeyringStore("agentnet-test")


class BrokenKeyring(KeyringBackend):
    """Answers everything with one error or value."""

    priority = 1

    outcome: Exception | str = ""

    def get_password(self, service: str, username: str) -> str | None:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def set_password(self, service: str, username: str, password: str) -> None:
        self.get_password(service, username)


def broken(outcome: Exception | str) -> KeyringBackend:
    backend = made(BrokenKeyring)
    assert isinstance(backend, BrokenKeyring)
    backend.outcome = outcome
    return backend


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (NoKeyringError("x"), NoKeyring),
        (KeyringError("x"), KeyringFailed),
        ("not base64!", VaultCorrupt),
        ("Q", VaultCorrupt),
    ],
)
def test_what_goes_wrong_in_a_keyring_is_put_into_words(
    outcome: Exception | str, told: type[Exception]
) -> None:
    with pytest.raises(told):
        KeyringStore("s", backend=broken(outcome)).get("k")


def test_a_keyring_that_refuses_to_write_is_told() -> None:
    with pytest.raises(KeyringFailed):
        KeyringStore("s", backend=broken(KeyringError("x"))).set("k", b"v")


# ------------------------------------------------------------------------------- the vault file


def test_a_vault_file_keeps_any_bytes(file_store: FileStore) -> None:
    assert file_store.get("k") is None
    file_store.set("k", bytes(range(256)))
    file_store.set("l", b"2")
    assert FileStore(file_store._path).get("k") == bytes(range(256))
    file_store.delete("k")
    file_store.delete("k")
    assert file_store.get("k") is None
    assert file_store.get("l") == b"2"


def test_a_vault_file_is_for_its_owner_only(file_store: FileStore) -> None:
    file_store.set("k", b"v")
    assert stat.S_IMODE(file_store._path.stat().st_mode) == 0o600
    file_store._path.chmod(0o644)
    file_store.set("k", b"w")
    assert stat.S_IMODE(file_store._path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "entries": {}}',
        b'{"version": 1}',
        b'{"version": 1, "entries": []}',
        b"\xff",
    ],
)
def test_a_damaged_vault_file_is_told_and_left_alone(file_store: FileStore, content: bytes) -> None:
    file_store._path.write_bytes(content)
    uses: tuple[Callable[[], object], ...] = (
        lambda: file_store.get("k"),
        lambda: file_store.set("k", b"v"),
        lambda: file_store.delete("k"),
    )
    for use in uses:
        with pytest.raises(VaultCorrupt):
            use()
    assert file_store._path.read_bytes() == content


@pytest.mark.parametrize("entry", [7, None, ["AA=="], "A", "A===", "@@@@"])
def test_a_damaged_entry_of_a_vault_file_is_named(file_store: FileStore, entry: object) -> None:
    file_store._path.write_text(json.dumps({"version": 1, "entries": {"k": entry}}))
    if entry is None:
        assert file_store.get("k") is None
        return
    with pytest.raises(VaultCorrupt, match="'k'"):
        file_store.get("k")


def test_a_vault_file_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyringFailed, match="cannot be written: no such file"):
        FileStore(tmp_path / "missing" / "vault.json").set("k", b"v")
    (tmp_path / "folder").mkdir()
    with pytest.raises(KeyringFailed, match="cannot be read: is a directory"):
        FileStore(tmp_path / "folder").get("k")


def test_a_crash_while_writing_leaves_the_old_file(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_store.set("k", b"old")

    def no_power(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_power)
        with pytest.raises(KeyringFailed, match="input/output error"):
            file_store.set("k", b"new")
    assert file_store.get("k") == b"old"
    assert [path.name for path in file_store._path.parent.iterdir()] == ["vault.json"]
