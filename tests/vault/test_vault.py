"""The vault over a real keyring, a vault file, and a store that fails wherever it can."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest

from agentnet_desktop.crypto.keys import zero
from agentnet_desktop.vault.errors import (
    BackendChanged,
    KeyringFailed,
    PassphraseNeeded,
    SecretTooLong,
    VaultCorrupt,
    VaultError,
    VaultExists,
    VaultLocked,
    VaultMissing,
    WrongPassphrase,
)
from agentnet_desktop.vault.kdf import Kdf
from agentnet_desktop.vault.record import Record
from agentnet_desktop.vault.stores import FileStore, KeyringStore, SecretStore
from agentnet_desktop.vault.vault import Vault
from tests.vault.conftest import MemoryStore

WEAK = Kdf.weak()


def create(store: SecretStore, passphrase: str | None = "horse") -> Vault:
    return Vault.create(store, agent_id="alice", profile_id="p1", passphrase=passphrase, kdf=WEAK)


def secrets(vault: Vault) -> tuple[bytes, bytes, str | None]:
    return vault.identity.export_seed(), vault.database_key, vault.get_token("oidc")


# ------------------------------------------------------------------------------- the real keyring


def test_keys_survive_in_the_real_keyring_under_a_passphrase(keyring_store: KeyringStore) -> None:
    made = create(keyring_store)
    made.set_token("oidc", "refresh-me")
    again = Vault.open(keyring_store, passphrase="horse")
    assert secrets(again) == secrets(made)
    assert again.agent_id == "alice"
    assert again.has_passphrase
    assert Vault.needs_passphrase(keyring_store)
    assert again.backend == "keyring.backends.SecretService.Keyring"


def test_keys_survive_in_the_real_keyring_without_a_passphrase(keyring_store: KeyringStore) -> None:
    made = create(keyring_store, None)
    again = Vault.open(keyring_store, passphrase=None)
    assert secrets(again) == secrets(made)
    assert not again.has_passphrase
    assert not Vault.needs_passphrase(keyring_store)


def test_a_passphrase_can_be_set_changed_and_removed_in_the_real_keyring(keyring_store: KeyringStore) -> None:
    vault = create(keyring_store, None)
    vault.set_token("oidc", "t")
    before = secrets(vault)
    for old, new in ((None, "one"), ("one", "two"), ("two", None)):
        vault = Vault.open(keyring_store, passphrase=old)
        vault.change_passphrase(new, kdf=WEAK)
        assert secrets(vault) == before
        assert secrets(Vault.open(keyring_store, passphrase=new)) == before


def test_a_deleted_vault_leaves_nothing_in_the_real_keyring(keyring_store: KeyringStore) -> None:
    import contextlib

    import secretstorage

    def mine() -> int:
        with contextlib.closing(secretstorage.dbus_init()) as bus:
            found = secretstorage.search_items(bus, {"service": keyring_store._service})
            return sum(1 for _ in found)

    vault = create(keyring_store, None)
    vault.set_token("oidc", "t")
    assert mine() == 5
    Vault.delete(keyring_store)
    assert mine() == 0
    assert not Vault.exists(keyring_store)


# ------------------------------------------------------------------------------- the vault file


def test_keys_survive_in_a_vault_file(file_store: FileStore) -> None:
    made = create(file_store)
    again = Vault.open(FileStore(file_store._path), passphrase="horse")
    assert secrets(again) == secrets(made)


def test_a_vault_file_demands_a_passphrase(file_store: FileStore) -> None:
    with pytest.raises(PassphraseNeeded, match="vault file needs a passphrase"):
        create(file_store, None)
    assert not file_store._path.exists()
    vault = create(file_store)
    before = file_store._path.read_bytes()
    with pytest.raises(PassphraseNeeded):
        vault.change_passphrase(None)
    assert file_store._path.read_bytes() == before


def test_no_secret_stands_in_the_vault_file(file_store: FileStore) -> None:
    import base64

    vault = create(file_store)
    vault.set_token("oidc", "refresh-me")
    text = file_store._path.read_bytes()
    for secret in (vault.identity.export_seed(), vault.database_key, b"refresh-me", b"horse"):
        assert secret not in text
        assert base64.b64encode(secret)[:-4] not in text


# ------------------------------------------------------------------------------- opening


def test_a_new_vault_has_fresh_keys(memory_store: MemoryStore) -> None:
    other = MemoryStore()
    assert secrets(create(memory_store))[:2] != secrets(create(other))[:2]


def test_a_backups_seed_makes_the_same_identity(memory_store: MemoryStore) -> None:
    vault = Vault.create(
        memory_store, agent_id="alice", profile_id="p1", passphrase=None, kdf=WEAK, seed=b"s" * 32
    )
    assert vault.identity.export_seed() == b"s" * 32


def test_a_vault_is_never_made_over_another(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    with pytest.raises(VaultExists):
        create(memory_store)
    assert secrets(Vault.open(memory_store, passphrase="horse")) == secrets(vault)


@pytest.mark.parametrize("passphrase", ["horse", None])
def test_a_vault_that_cannot_be_made_whole_leaves_no_entry_behind(passphrase: str | None) -> None:
    whole = MemoryStore()
    create(whole, passphrase)
    for number in range(1, whole.writes + 1):
        store = MemoryStore()
        store.fail_at = number
        with pytest.raises(KeyringFailed, match="power"):
            create(store, passphrase)
        assert store.entries == {}


def test_a_missing_vault_is_told_and_not_replaced(memory_store: MemoryStore) -> None:
    with pytest.raises(VaultMissing, match="restore the profile from a backup"):
        Vault.open(memory_store, passphrase=None)
    with pytest.raises(VaultMissing):
        Vault.needs_passphrase(memory_store)
    assert memory_store.entries == {}


def test_a_wrong_passphrase_is_told(memory_store: MemoryStore) -> None:
    create(memory_store)
    with pytest.raises(WrongPassphrase):
        Vault.open(memory_store, passphrase="house")


@pytest.mark.parametrize("passphrase", [None, ""])
def test_a_needed_passphrase_is_asked_for(memory_store: MemoryStore, passphrase: str | None) -> None:
    create(memory_store)
    with pytest.raises(PassphraseNeeded):
        Vault.open(memory_store, passphrase=passphrase)


def test_an_empty_passphrase_is_refused(memory_store: MemoryStore) -> None:
    with pytest.raises(PassphraseNeeded, match="empty"):
        create(memory_store, "")


def test_a_passphrase_is_the_same_in_every_unicode_form(memory_store: MemoryStore) -> None:
    create(memory_store, "stra\u0301ße")
    Vault.open(memory_store, passphrase="str\u00e1ße")


def test_another_backend_is_told_and_stops(memory_store: MemoryStore) -> None:
    create(memory_store)
    before = dict(memory_store.entries)
    memory_store.name = "another"
    with pytest.raises(BackendChanged, match=r"memory.*another"):
        Vault.open(memory_store, passphrase="horse")
    with pytest.raises(BackendChanged, match=r"memory.*another"):
        Vault.open(memory_store, passphrase="horse", expected_backend="memory")
    assert memory_store.entries == before


def test_an_expected_backend_is_told_even_before_the_entries_are_looked_for(
    memory_store: MemoryStore,
) -> None:
    with pytest.raises(BackendChanged, match=r"gone.*memory"):
        Vault.open(memory_store, passphrase=None, expected_backend="gone")


def test_another_backend_can_be_accepted_by_the_person(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    memory_store.name = "another"
    again = Vault.open(memory_store, passphrase="horse", expected_backend="memory", accept_backend=True)
    assert secrets(again) == secrets(vault)
    Vault.open(memory_store, passphrase="horse", expected_backend="another")


# ------------------------------------------------------------------------------- damage


def names(store: MemoryStore, purpose: str) -> str:
    return next(name for name in store.entries if name.startswith(purpose))


@pytest.mark.parametrize("purpose", ["identity", "database"])
@pytest.mark.parametrize("damage", [lambda _: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b[:28]])
def test_a_damaged_entry_is_named(
    memory_store: MemoryStore, purpose: str, damage: Callable[[bytes], bytes]
) -> None:
    create(memory_store)
    name = names(memory_store, purpose)
    memory_store.entries[name] = damage(memory_store.entries[name])
    with pytest.raises(VaultCorrupt, match=f"{purpose} key is damaged"):
        Vault.open(memory_store, passphrase="horse")


def test_a_missing_entry_is_named(memory_store: MemoryStore) -> None:
    create(memory_store)
    del memory_store.entries[names(memory_store, "identity")]
    with pytest.raises(VaultCorrupt, match="identity key is missing"):
        Vault.open(memory_store, passphrase="horse")


def test_entries_cannot_be_swapped(memory_store: MemoryStore) -> None:
    create(memory_store)
    identity, database = names(memory_store, "identity"), names(memory_store, "database")
    entries = memory_store.entries
    entries[identity], entries[database] = entries[database], entries[identity]
    with pytest.raises(VaultCorrupt):
        Vault.open(memory_store, passphrase="horse")


def test_an_entry_is_bound_to_its_agent(memory_store: MemoryStore) -> None:
    create(memory_store, None)
    memory_store.entries["vault"] = memory_store.entries["vault"].replace(b"alice", b"mally")
    with pytest.raises(VaultCorrupt):
        Vault.open(memory_store, passphrase=None)


def test_a_missing_or_foreign_wrapping_key_is_told(memory_store: MemoryStore) -> None:
    create(memory_store, None)
    name = names(memory_store, "wrapping-key")
    memory_store.entries[name] = bytes(32)
    with pytest.raises(VaultCorrupt, match="does not fit"):
        Vault.open(memory_store, passphrase=None)
    memory_store.entries[name] = bytes(3)
    with pytest.raises(VaultCorrupt, match="does not fit"):
        Vault.open(memory_store, passphrase=None)
    del memory_store.entries[name]
    with pytest.raises(VaultCorrupt, match="is gone"):
        Vault.open(memory_store, passphrase=None)


def test_a_damaged_token_is_told(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    vault.set_token("oidc", "t")
    memory_store.entries[names(memory_store, "token:oidc")] = bytes(40)
    with pytest.raises(VaultCorrupt, match="token:oidc"):
        vault.get_token("oidc")


# ------------------------------------------------------------------------------- tokens


def test_tokens_are_replaced_and_deleted(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    assert vault.get_token("oidc") is None
    vault.set_token("oidc", None)
    vault.set_token("oidc", "one")
    vault.set_token("oidc", "two")
    assert vault.get_token("oidc") == "two"
    vault.set_token("oidc", None)
    assert vault.get_token("oidc") is None
    assert not [name for name in memory_store.entries if name.startswith("token")]


def test_a_deleted_token_does_not_come_back_with_a_new_passphrase(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    vault.set_token("oidc", "one")
    vault.set_token("oidc", None)
    vault.change_passphrase("new", kdf=WEAK)
    assert vault.get_token("oidc") is None
    assert Record.from_bytes(memory_store.entries["vault"]).tokens == ()


def test_a_token_too_long_for_a_keyring_entry_is_refused(keyring_store: KeyringStore) -> None:
    vault = create(keyring_store)
    vault.set_token("oidc", "t" * 700)
    with pytest.raises(SecretTooLong):
        vault.set_token("oidc", "t" * 800)
    assert vault.get_token("oidc") == "t" * 700


# ------------------------------------------------------------------------------- passphrase change


def test_a_passphrase_can_be_checked_without_opening_again(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    vault.check_passphrase("horse")
    with pytest.raises(WrongPassphrase):
        vault.check_passphrase("house")
    without = create(MemoryStore(), None)
    with pytest.raises(WrongPassphrase):
        without.check_passphrase("horse")


def test_the_old_passphrase_is_worth_nothing_after_a_change(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    vault.set_token("oidc", "t")
    old = set(memory_store.entries) - {"vault"}
    vault.change_passphrase("new", kdf=WEAK)
    with pytest.raises(WrongPassphrase):
        Vault.open(memory_store, passphrase="horse")
    assert not old & set(memory_store.entries)
    assert len(memory_store.entries) == 4


@pytest.mark.parametrize(("old", "new"), [("horse", "new"), (None, "new"), ("horse", None)])
def test_a_crash_at_any_write_of_a_passphrase_change_loses_no_key(old: str | None, new: str | None) -> None:
    outcomes = set()
    for fail_at in range(1, 40):
        store = MemoryStore()
        vault = create(store, old)
        vault.set_token("oidc", "t")
        before = secrets(vault)
        store.fail_at = store.writes + fail_at
        try:
            vault.change_passphrase(new, kdf=WEAK)
        except KeyringFailed:
            interrupted = True
        else:
            interrupted = False
        store.fail_at = None
        opened = []
        for passphrase in (old, new):
            try:
                opened.append(Vault.open(store, passphrase=passphrase))
            except (WrongPassphrase, PassphraseNeeded):
                continue
        # An ignored passphrase opens a vault that has none; else exactly one of the two holds.
        assert opened and all(secrets(each) == before for each in opened)
        assert len(store.entries) == (4 if opened[0].has_passphrase else 5), "nothing is left over"
        outcomes.add((interrupted, opened[0].has_passphrase))
        if not interrupted:
            break
    else:
        pytest.fail("the change never got through")
    assert (True, old is not None) in outcomes, "some crash left the old state"
    assert (True, new is not None) in outcomes, "some crash left the new state"


def test_a_change_overwrites_the_old_wrapping_key(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    old = vault._key
    vault.change_passphrase("new", kdf=WEAK)
    assert old == bytearray(32)


def test_a_failed_change_can_be_tried_again_at_once(memory_store: MemoryStore) -> None:
    vault = create(memory_store)
    before = secrets(vault)
    memory_store.fail_at = memory_store.writes + 3  # one new entry is there already
    with pytest.raises(KeyringFailed):
        vault.change_passphrase("new", kdf=WEAK)
    assert secrets(vault) == before
    vault.change_passphrase("new", kdf=WEAK)
    assert secrets(Vault.open(memory_store, passphrase="new")) == before
    assert len(memory_store.entries) == 3


class ForgetfulStore(MemoryStore):
    """Says yes to everything, and once `forgets` is set keeps no database key."""

    forgets = False

    def set(self, key: str, value: bytes) -> None:
        if not (self.forgets and key.startswith("database")):
            super().set(key, value)


def test_a_keyring_that_forgets_what_it_was_given_does_not_cost_the_keys() -> None:
    store = ForgetfulStore()
    vault = create(store)
    before = secrets(vault)
    store.forgets = True
    with pytest.raises(VaultCorrupt):
        vault.change_passphrase("new", kdf=WEAK)
    assert secrets(Vault.open(store, passphrase="horse")) == before


# ------------------------------------------------------------------------------- locking, secrecy


def test_a_locked_vault_overwrites_its_secrets_and_gives_nothing(
    memory_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = create(memory_store)
    identity = vault.identity
    database_key, key = vault._database_key, vault._key
    overwritten: list[bytes] = []

    def watched(secret: bytearray) -> None:
        zero(secret)
        overwritten.append(bytes(secret))

    monkeypatch.setattr("agentnet_desktop.vault.vault.zero", watched)
    vault.lock()
    assert overwritten == [bytes(32)] * 2
    assert not database_key and not key and not identity._secret
    for use in (
        lambda: vault.identity,
        lambda: vault.database_key,
        lambda: vault.get_token("oidc"),
        lambda: vault.set_token("oidc", "t"),
        lambda: vault.check_passphrase("horse"),
        lambda: vault.change_passphrase("new", kdf=WEAK),
    ):
        with pytest.raises(VaultLocked):
            use()
    vault.lock()


def test_no_secret_shows_in_repr_logs_or_errors(
    memory_store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vault = create(memory_store)
    vault.set_token("oidc", "refresh-me")
    shown = [repr(vault), str(vault), repr(vault.identity)]
    attempts: tuple[Callable[[], object], ...] = (
        lambda: Vault.open(memory_store, passphrase="battery"),
        lambda: create(memory_store, "staple"),
    )
    for attempt in attempts:
        with pytest.raises(VaultError) as caught:
            attempt()
        shown += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    shown.append(caplog.text)
    everything = "\n".join(shown)
    for secret in (vault.identity.export_seed(), vault.database_key):
        assert secret.hex() not in everything
        assert repr(secret)[2:-1] not in everything
    assert not re.search("horse|battery|staple|refresh-me", everything)
