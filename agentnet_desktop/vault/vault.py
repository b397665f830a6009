"""The vault: an agent's identity key, database key and tokens, wrapped and kept in a secret store.

Implements docs/protocol.md section 13.2 (keys at rest). Each secret is its own entry, wrapped with AES-256-GCM under a key from the
person's passphrase, or under a random key in the keyring when there is none. It never makes a new identity
where one is missing, and never writes a secret in the clear. All calls block: run them in a thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import replace
from typing import Any, Final

from agentnet_desktop.crypto.keys import SEED_BYTES, IdentityKey, zero

from .entries import (
    DATABASE,
    IDENTITY,
    NO_KDF,
    RECORD,
    TOKEN,
    Random,
    check_passphrase_fits,
    delete_generation,
    entry_name,
    new_generation,
    read_record,
    read_secret,
    unlock,
    write_secrets,
)
from .errors import VaultError, VaultExists, VaultLocked, WrongPassphrase
from .kdf import Kdf
from .record import Record
from .stores import SecretStore

DATABASE_KEY_BYTES: Final = 32


class Vault:
    """An unlocked vault. Made by `create` or `open`; `lock` ends it."""

    def __init__(
        self, store: SecretStore, record: Record, key: bytearray, secrets: dict[str, bytes], random: Random
    ) -> None:
        self._store = store
        self._record = record
        self._key = key
        self._identity: IdentityKey | None = IdentityKey.from_seed(secrets[IDENTITY])
        self._database_key = bytearray(secrets[DATABASE])
        self._random = random
        self._turns = threading.RLock()  # a token may be stored while the passphrase is being changed

    def __repr__(self) -> str:
        return f"<Vault of {self._record.agent_id} in {self.backend}>"

    @classmethod
    def create(
        cls,
        store: SecretStore,
        *,
        agent_id: str,
        profile_id: str,
        passphrase: str | None,
        random: Random = os.urandom,
        kdf: Kdf | None = None,
        seed: bytes | None = None,
    ) -> Vault:
        """Make a new identity and database key, and store them. The record is written last.

        When the store refuses, what was written before is deleted.

        Args:
            store: where the entries go.
            agent_id: whose keys these are.
            profile_id: which profile they belong to.
            passphrase: None keeps a random wrapping key in the keyring instead.
            random: gives that many random bytes.
            kdf: None calibrates to this machine (takes about a second).
            seed: the 32-byte identity seed of a backup, instead of a new one.

        Raises:
            VaultExists: there is a vault in this store already; nothing is changed.
            PassphraseNeeded: the store requires one.
            VaultError: the store refused.
        """
        if store.get(RECORD) is not None:
            raise VaultExists(
                "There are keys for this profile already; choose another profile, or open this one."
            )
        check_passphrase_fits(store, passphrase)
        secrets = {
            IDENTITY: random(SEED_BYTES) if seed is None else seed,
            DATABASE: random(DATABASE_KEY_BYTES),
        }
        begun: list[str] = []
        try:
            record, key = new_generation(
                store,
                agent_id=agent_id,
                profile_id=profile_id,
                passphrase=passphrase,
                random=random,
                kdf=kdf,
                announce=begun.append,
            )
            write_secrets(store, record, key, secrets, random)
            store.set(RECORD, record.to_bytes())
        except BaseException:
            with contextlib.suppress(
                VaultError
            ):  # of a store that refuses this too, the first refusal is told
                for generation in begun:
                    delete_generation(store, (), generation)
            raise
        return cls(store, record, key, secrets, random)

    @classmethod
    def open(
        cls,
        store: SecretStore,
        *,
        passphrase: str | None,
        expected_backend: str | None = None,
        accept_backend: bool = False,
        random: Random = os.urandom,
    ) -> Vault:
        """Unlock a vault.

        1. The store is the one that the profile, and the vault itself, recorded.
        2. The passphrase, or the keyring's key, opens the check value.
        3. Identity and database key unwrap.
        4. What an interrupted passphrase change left behind is deleted.

        Args:
            store: where the entries are.
            passphrase: ignored when the vault has none.
            expected_backend: the store's name that the profile recorded, if it did.
            accept_backend: the person was told of another backend, and wants it.
            random: gives that many random bytes.

        Raises:
            BackendChanged: step 1.
            VaultMissing: there is no vault here; none is made.
            PassphraseNeeded, WrongPassphrase: step 2.
            VaultCorrupt: an entry is missing or damaged.
            VaultError: the store refused.
        """
        record = read_record(store, expected_backend, accept_backend)  # (1)
        key = unlock(store, record, passphrase)  # (2)
        secrets = {
            purpose: read_secret(store, record, key, purpose) for purpose in (IDENTITY, DATABASE)
        }  # (3)
        if record.backend != store.name:
            record = replace(record, backend=store.name)
            store.set(RECORD, record.to_bytes())
        vault = cls(store, record, key, secrets, random)
        vault._discard()  # (4)
        return vault

    @staticmethod
    def needs_passphrase(store: SecretStore) -> bool:
        """Whether opening the vault in this store takes a passphrase.

        Raises:
            VaultMissing: there is none.
            VaultError: the store refused.
        """
        return read_record(store, None, True).kdf != NO_KDF

    @staticmethod
    def exists(store: SecretStore) -> bool:
        """Whether there is a vault in this store."""
        return store.get(RECORD) is not None

    @staticmethod
    def delete(store: SecretStore) -> None:
        """Remove a vault and all its entries, for good. For throw-away profiles, and when a person asks."""
        record = read_record(store, None, True)
        store.delete(RECORD)
        for generation in filter(None, (record.generation, record.discard)):
            delete_generation(store, record.tokens, generation)

    @property
    def agent_id(self) -> str:
        """Whose keys these are."""
        return self._record.agent_id

    @property
    def backend(self) -> str:
        """Name of the store that holds the secrets, to be recorded with the profile and shown."""
        return self._store.name

    @property
    def has_passphrase(self) -> bool:
        """Whether a passphrase is needed to unlock it."""
        return self._record.kdf != NO_KDF

    @property
    def identity(self) -> IdentityKey:
        """The identity key. It is wiped by `lock`."""
        if self._identity is None:
            raise VaultLocked("The vault is locked.")
        return self._identity

    @property
    def database_key(self) -> bytes:
        """The database's raw key, 32 bytes; a copy."""
        return bytes(self._live(self._database_key))

    def get_token(self, name: str) -> str | None:
        """A stored token, such as a refresh token, or None.

        Raises:
            VaultCorrupt: its entry is damaged.
            VaultError: the store refused.
        """
        purpose = TOKEN + name
        with self._turns:
            key = self._live(self._key)
            if self._store.get(entry_name(purpose, self._record.generation)) is None:
                return None
            return read_secret(self._store, self._record, key, purpose).decode()

    def set_token(self, name: str, value: str | None) -> None:
        """Store a token, replace it, or with None delete it.

        The name is recorded before the entry is written, so that no entry is ever forgotten.

        Raises:
            SecretTooLong: it does not fit into a keyring entry.
            VaultError: the store refused.
        """
        purpose = TOKEN + name
        with self._turns:
            key = self._live(self._key)
            if value is None:
                self._store.delete(entry_name(purpose, self._record.generation))
                return
            if name not in self._record.tokens:
                self._replace_record(tokens=(*self._record.tokens, name))
            write_secrets(self._store, self._record, key, {purpose: value.encode()}, self._random)

    def check_passphrase(self, passphrase: str) -> None:
        """Check a passphrase that a person typed again, as for unlocking the screen. Takes as long as unlocking.

        Raises:
            WrongPassphrase: it is another, or there is none.
        """
        self._live(self._key)
        if not self.has_passphrase:
            raise WrongPassphrase("This profile has no passphrase.")
        zero(unlock(self._store, self._record, passphrase))

    def change_passphrase(self, new: str | None, *, kdf: Kdf | None = None) -> None:
        """Wrap every secret anew. A crash at any point leaves the old passphrase or the new one valid.

        1. Note in the record that the new generation is to be discarded, should this end half-way.
        2. Write all secrets under the new generation's names, and read them back.
        3. Replace the record: from here on the new passphrase holds, and the old generation is to be discarded.
        4. Delete the old generation; `open` does it if a crash prevents it here.

        Args:
            new: None for none, where the store allows it.
            kdf: None calibrates anew.

        Raises:
            PassphraseNeeded: the store requires one.
            VaultError: the store refused; the old passphrase still holds, unless only step 4 failed.
        """
        with self._turns:
            self._change_passphrase(new, kdf)

    def _change_passphrase(self, new: str | None, kdf: Kdf | None) -> None:
        """The steps of `change_passphrase`."""
        old_key = self._live(self._key)
        check_passphrase_fits(self._store, new)
        self._discard()
        secrets = self._secrets()
        fresh, key = new_generation(
            self._store,
            agent_id=self.agent_id,
            profile_id=self._record.profile_id,
            passphrase=new,
            random=self._random,
            kdf=kdf,
            announce=lambda generation: self._replace_record(discard=generation),  # (1)
        )
        write_secrets(self._store, fresh, key, secrets, self._random)  # (2)
        for purpose in secrets:
            read_secret(self._store, fresh, key, purpose)
        tokens = tuple(purpose.removeprefix(TOKEN) for purpose in secrets if purpose.startswith(TOKEN))
        fresh = replace(fresh, tokens=tokens, discard=self._record.generation)
        self._store.set(RECORD, fresh.to_bytes())  # (3)
        self._record, self._key = fresh, key
        zero(old_key)
        self._discard()  # (4)

    def lock(self) -> None:
        """Wipe the secrets from memory, as far as Python allows. The vault can be used no more."""
        with self._turns:
            if self._identity is not None:
                self._identity.wipe()
            self._identity = None
            for secret in (self._database_key, self._key):
                zero(secret)
                secret.clear()

    def _live(self, secret: bytearray) -> bytearray:
        if not secret:
            raise VaultLocked("The vault is locked.")
        return secret

    def _replace_record(self, **changes: Any) -> None:
        record = replace(self._record, **changes)
        self._store.set(RECORD, record.to_bytes())
        self._record = record

    def _secrets(self) -> dict[str, bytes]:
        """All secrets by purpose."""
        secrets = {IDENTITY: self.identity.export_seed(), DATABASE: self.database_key}
        for name in self._record.tokens:
            token = self.get_token(name)
            if token is not None:
                secrets[TOKEN + name] = token.encode()
        return secrets

    def _discard(self) -> None:
        """Delete what the record says is to be discarded."""
        if self._record.discard:
            delete_generation(self._store, self._record.tokens, self._record.discard)
            self._replace_record(discard="")
