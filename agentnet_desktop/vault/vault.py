"""The vault: an agent's identity key, database key and tokens, wrapped and kept in a secret store.

Implements docs/protocol.md, "Keys at rest". Each secret is its own entry, wrapped with AES-256-GCM under a key from the
person's passphrase, or under a random key in the keyring when there is none. It never makes a new identity
where one is missing, and never writes a secret in the clear. All calls block: run them in a thread.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from agentnet_desktop.crypto.keys import SEED_BYTES, IdentityKey, zero

from .errors import (
    BackendChanged,
    PassphraseNeeded,
    VaultCorrupt,
    VaultExists,
    VaultLocked,
    VaultMissing,
    WrongPassphrase,
)
from .kdf import KEY_BYTES, SALT_BYTES, Kdf, calibrate
from .record import Record
from .stores import SecretStore
from .wrap import NONCE_BYTES, Unwrappable, unwrap, wrap

DATABASE_KEY_BYTES: Final = 32
_GENERATION_BYTES: Final = 6
_RECORD: Final = "vault"
_IDENTITY: Final = "identity"
_DATABASE: Final = "database"
_CHECK: Final = "check"
_WRAPPING_KEY: Final = "wrapping-key"
_NO_KDF: Final = {"name": "none"}

Random = Callable[[int], bytes]


class Vault:
    """An unlocked vault. Made by `create` or `open`; `lock` ends it."""

    def __init__(
        self, store: SecretStore, record: Record, key: bytearray, secrets: dict[str, bytes], random: Random
    ) -> None:
        self._store = store
        self._record = record
        self._key = key
        self._identity: IdentityKey | None = IdentityKey.from_seed(secrets[_IDENTITY])
        self._database_key = bytearray(secrets[_DATABASE])
        self._random = random

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

        Args:
            passphrase: None keeps a random wrapping key in the keyring instead.
            random: gives that many random bytes.
            kdf: None calibrates to this machine (takes about a second).
            seed: the 32-byte identity seed of a backup, instead of a new one.

        Raises:
            VaultExists: there is a vault in this store already; nothing is changed.
            PassphraseNeeded: the store requires one.
            VaultError: the store refused.
        """
        if store.get(_RECORD) is not None:
            raise VaultExists("There are keys for this profile already; choose another profile, or open this one.")
        _check_passphrase_fits(store, passphrase)
        secrets = {
            _IDENTITY: random(SEED_BYTES) if seed is None else seed,
            _DATABASE: random(DATABASE_KEY_BYTES),
        }
        record, key = _new_generation(
            store, agent_id=agent_id, profile_id=profile_id, passphrase=passphrase, random=random, kdf=kdf
        )
        _write_secrets(store, record, key, secrets, random)
        store.set(_RECORD, record.to_bytes())
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
            passphrase: ignored when the vault has none.
            expected_backend: the store's name that the profile recorded, if it did.
            accept_backend: the person was told of another backend, and wants it.

        Raises:
            BackendChanged: step 1.
            VaultMissing: there is no vault here; none is made.
            PassphraseNeeded, WrongPassphrase: step 2.
            VaultCorrupt: an entry is missing or damaged.
            VaultError: the store refused.
        """
        record = _read_record(store, expected_backend, accept_backend)  # (1)
        key = _unlock(store, record, passphrase)  # (2)
        secrets = {purpose: _read_secret(store, record, key, purpose) for purpose in (_IDENTITY, _DATABASE)}  # (3)
        if record.backend != store.name:
            record = replace(record, backend=store.name)
            store.set(_RECORD, record.to_bytes())
        vault = cls(store, record, key, secrets, random)
        vault._delete_retired()  # (4)
        return vault

    @staticmethod
    def needs_passphrase(store: SecretStore) -> bool:
        """Whether opening the vault in this store takes a passphrase.

        Raises:
            VaultMissing: there is none.
            VaultError: the store refused.
        """
        return _read_record(store, None, True).kdf != _NO_KDF

    @staticmethod
    def exists(store: SecretStore) -> bool:
        """Whether there is a vault in this store."""
        return store.get(_RECORD) is not None

    @staticmethod
    def delete(store: SecretStore) -> None:
        """Remove a vault and all its entries, for good. For throw-away profiles, and when a person asks."""
        record = _read_record(store, None, True)
        store.delete(_RECORD)
        for generation in filter(None, (record.generation, record.retired)):
            _delete_generation(store, record, generation)

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
        return self._record.kdf != _NO_KDF

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
        purpose = f"token:{name}"
        key = self._live(self._key)
        if self._store.get(_entry(purpose, self._record.generation)) is None:
            return None
        return _read_secret(self._store, self._record, key, purpose).decode()

    def set_token(self, name: str, value: str | None) -> None:
        """Store a token, replace it, or with None delete it.

        The name is recorded before the entry is written, so that no entry is ever forgotten.

        Raises:
            SecretTooLong: it does not fit into a keyring entry.
            VaultError: the store refused.
        """
        purpose = f"token:{name}"
        key = self._live(self._key)
        if value is None:
            self._store.delete(_entry(purpose, self._record.generation))
            return
        if name not in self._record.tokens:
            self._replace_record(tokens=(*self._record.tokens, name))
        _write_secrets(self._store, self._record, key, {purpose: value.encode()}, self._random)

    def check_passphrase(self, passphrase: str) -> None:
        """Check a passphrase that a person typed again, as for unlocking the screen. Takes as long as unlocking.

        Raises:
            WrongPassphrase: it is another, or there is none.
        """
        self._live(self._key)
        if not self.has_passphrase:
            raise WrongPassphrase("This profile has no passphrase.")
        zero(_unlock(self._store, self._record, passphrase))

    def change_passphrase(self, new: str | None, *, kdf: Kdf | None = None) -> None:
        """Wrap every secret anew. A crash at any point leaves the old passphrase or the new one valid.

        1. Write all secrets under a new generation's names.
        2. Read them back.
        3. Replace the record: from here on the new passphrase holds.
        4. Delete the old generation; `open` does it if a crash prevents it here.

        Args:
            new: None for none, where the store allows it.
            kdf: None calibrates anew.

        Raises:
            PassphraseNeeded: the store requires one.
            VaultError: the store refused; the old passphrase still holds.
        """
        old_key = self._live(self._key)
        _check_passphrase_fits(self._store, new)
        secrets = {_IDENTITY: self.identity.export_seed(), _DATABASE: self.database_key}
        for name in self._record.tokens:
            token = self.get_token(name)
            if token is not None:
                secrets[f"token:{name}"] = token.encode()
        fresh, key = _new_generation(
            self._store, agent_id=self.agent_id, profile_id=self._record.profile_id, passphrase=new,
            random=self._random, kdf=kdf,
        )
        _write_secrets(self._store, fresh, key, secrets, self._random)  # (1)
        for purpose, secret in secrets.items():  # (2)
            if _read_secret(self._store, fresh, key, purpose) != secret:
                raise VaultCorrupt("The keyring did not keep what it was given; the old passphrase still holds.")
        tokens = tuple(purpose.removeprefix("token:") for purpose in secrets if purpose.startswith("token:"))
        fresh = replace(fresh, tokens=tokens, retired=self._record.generation)
        self._store.set(_RECORD, fresh.to_bytes())  # (3)
        retired_tokens = self._record.tokens
        self._record, self._key = fresh, key
        zero(old_key)
        self._delete_retired(retired_tokens)  # (4)

    def lock(self) -> None:
        """Wipe the secrets from memory, as far as Python allows. The vault can be used no more."""
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
        self._store.set(_RECORD, record.to_bytes())
        self._record = record

    def _delete_retired(self, tokens: tuple[str, ...] = ()) -> None:
        if not self._record.retired:
            return
        everything = replace(self._record, tokens=tuple({*self._record.tokens, *tokens}))
        _delete_generation(self._store, everything, self._record.retired)
        self._replace_record(retired="")


def _entry(purpose: str, generation: str) -> str:
    return f"{purpose}@{generation}"


def _check_passphrase_fits(store: SecretStore, passphrase: str | None) -> None:
    if passphrase == "":
        raise PassphraseNeeded("An empty passphrase protects nothing; choose another, or none at all.")
    if passphrase is None and store.requires_passphrase:
        raise PassphraseNeeded("A vault file needs a passphrase: without one, the file alone would open it.")


def _read_record(store: SecretStore, expected_backend: str | None, accept: bool) -> Record:
    if expected_backend not in (None, store.name) and not accept:
        raise BackendChanged(_changed(expected_backend, store.name))
    stored = store.get(_RECORD)
    if stored is None:
        raise VaultMissing(
            f"The keys of this profile are not in {store.name}. Unlock or bring back the keyring that holds them, or "
            "restore the profile from a backup."
        )
    record = Record.from_bytes(stored)
    if record.backend != store.name and not accept:
        raise BackendChanged(_changed(record.backend, store.name))
    return record


def _changed(recorded: str | None, found: str) -> str:
    return (
        f"This profile's keys were put into {recorded}, but the keyring here is {found}. Start the former again, or "
        "confirm the change."
    )


def _new_generation(
    store: SecretStore,
    *,
    agent_id: str,
    profile_id: str,
    passphrase: str | None,
    random: Random,
    kdf: Kdf | None,
) -> tuple[Record, bytearray]:
    """A record for new entries, and the key that wraps them. Without a passphrase the key goes to the keyring."""
    generation = random(_GENERATION_BYTES).hex()
    if passphrase is None:
        parameters: dict[str, Any] = dict(_NO_KDF)
        key = bytearray(random(KEY_BYTES))
        store.set(_entry(_WRAPPING_KEY, generation), bytes(key))
    else:
        chosen = calibrate() if kdf is None else kdf
        salt = random(SALT_BYTES)
        parameters = {**chosen.to_json(), "salt": base64.b64encode(salt).decode()}
        key = chosen.derive(passphrase, salt)
    record = Record(
        agent_id=agent_id, profile_id=profile_id, backend=store.name, generation=generation, retired="",
        kdf=parameters, check="",
    )
    check = wrap(key, random(NONCE_BYTES), b"", record.aad(_CHECK))
    return replace(record, check=base64.b64encode(check).decode()), key


def _unlock(store: SecretStore, record: Record, passphrase: str | None) -> bytearray:
    """The key that opens a record's check value."""
    if record.kdf == _NO_KDF:
        stored = store.get(_entry(_WRAPPING_KEY, record.generation))
        if stored is None:
            raise VaultCorrupt("The keyring's key for this profile is gone; restore the profile from a backup.")
        key = bytearray(stored)
    elif not passphrase:
        raise PassphraseNeeded("This profile has a passphrase; give it to unlock the keys.")
    else:
        kdf, salt = _stored_kdf(record)
        key = kdf.derive(passphrase, salt)
    try:
        unwrap(key, base64.b64decode(record.check), record.aad(_CHECK))
    except (Unwrappable, ValueError) as error:
        if record.kdf == _NO_KDF:
            raise VaultCorrupt("The keyring's key does not fit this profile; restore it from a backup.") from error
        raise WrongPassphrase("The passphrase is wrong.") from error
    return key


def _stored_kdf(record: Record) -> tuple[Kdf, bytes]:
    parameters = dict(record.kdf)
    try:
        salt = base64.b64decode(parameters.pop("salt"), validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise VaultCorrupt("The vault's record is damaged; restore the profile from a backup.") from error
    return Kdf.from_json(parameters), salt


def _write_secrets(
    store: SecretStore, record: Record, key: bytearray, secrets: dict[str, bytes], random: Random
) -> None:
    for purpose, secret in secrets.items():
        wrapped = wrap(key, random(NONCE_BYTES), secret, record.aad(purpose))
        store.set(_entry(purpose, record.generation), wrapped)


def _read_secret(store: SecretStore, record: Record, key: bytearray, purpose: str) -> bytes:
    stored = store.get(_entry(purpose, record.generation))
    if stored is None:
        raise VaultCorrupt(f"The {purpose} key is missing from {store.name}; restore the profile from a backup.")
    try:
        return unwrap(key, stored, record.aad(purpose))
    except Unwrappable as error:
        raise VaultCorrupt(f"The {purpose} key is damaged; restore the profile from a backup.") from error


def _delete_generation(store: SecretStore, record: Record, generation: str) -> None:
    for purpose in (_IDENTITY, _DATABASE, _WRAPPING_KEY, *(f"token:{name}" for name in record.tokens)):
        store.delete(_entry(purpose, generation))
