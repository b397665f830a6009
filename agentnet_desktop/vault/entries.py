"""The entries of a vault, by generation: making, reading and deleting them.

Implements docs/protocol.md section 13.2 (keys at rest). A generation is all secrets wrapped under one key; the names of its entries
carry its suffix, so that a new one is written beside the old. Which one is in force, the record says; when
to replace it, the vault decides.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from .errors import BackendChanged, PassphraseNeeded, VaultCorrupt, VaultMissing, WrongPassphrase
from .kdf import KEY_BYTES, SALT_BYTES, Kdf, calibrate
from .record import Record
from .stores import SecretStore
from .wrap import NONCE_BYTES, Unwrappable, unwrap, wrap

RECORD: Final = "vault"
IDENTITY: Final = "identity"
DATABASE: Final = "database"
TOKEN: Final = "token:"
NO_KDF: Final = {"name": "none"}
_GENERATION_BYTES: Final = 6
_CHECK: Final = "check"
_WRAPPING_KEY: Final = "wrapping-key"

Random = Callable[[int], bytes]


def entry_name(purpose: str, generation: str) -> str:
    """The store's name of one secret of one generation."""
    return f"{purpose}@{generation}"


def check_passphrase_fits(store: SecretStore, passphrase: str | None) -> None:
    """Refuse an empty passphrase, and none where the store alone would give the secrets away.

    Raises:
        PassphraseNeeded: see above.
    """
    if passphrase == "":
        raise PassphraseNeeded("An empty passphrase protects nothing; choose another, or none at all.")
    if passphrase is None and store.requires_passphrase:
        raise PassphraseNeeded("A vault file needs a passphrase: without one, the file alone would open it.")


def read_record(store: SecretStore, expected_backend: str | None, accept: bool) -> Record:
    """Read the record, and see that the store is the one that was recorded.

    Raises:
        BackendChanged: it is another, and `accept` is not set.
        VaultMissing: there is no record.
        VaultCorrupt: the record is damaged.
    """
    if expected_backend not in (None, store.name) and not accept:
        raise BackendChanged(_changed(expected_backend, store.name))
    stored = store.get(RECORD)
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


def new_generation(
    store: SecretStore,
    *,
    agent_id: str,
    profile_id: str,
    passphrase: str | None,
    random: Random,
    kdf: Kdf | None,
    announce: Callable[[str], None] = lambda _: None,
) -> tuple[Record, bytearray]:
    """Make a record for new entries, and the key that wraps them.

    Without a passphrase the key is random, and goes to the keyring. Calls `announce` with the new
    generation's suffix before anything is written under it.
    """
    generation = random(_GENERATION_BYTES).hex()
    announce(generation)
    if passphrase is None:
        parameters: dict[str, Any] = dict(NO_KDF)
        key = bytearray(random(KEY_BYTES))
        store.set(entry_name(_WRAPPING_KEY, generation), bytes(key))
    else:
        chosen = calibrate() if kdf is None else kdf
        salt = random(SALT_BYTES)
        parameters = {**chosen.to_json(), "salt": base64.b64encode(salt).decode()}
        key = chosen.derive(passphrase, salt)
    record = Record(
        agent_id=agent_id,
        profile_id=profile_id,
        backend=store.name,
        generation=generation,
        discard="",
        kdf=parameters,
        check="",
    )
    check = wrap(key, random(NONCE_BYTES), b"", record.aad(_CHECK))
    return replace(record, check=base64.b64encode(check).decode()), key


def unlock(store: SecretStore, record: Record, passphrase: str | None) -> bytearray:
    """The key that opens a record's check value, and so the secrets of its generation.

    Raises:
        PassphraseNeeded, WrongPassphrase: the vault has a passphrase, and this is not it.
        VaultCorrupt: the record or the keyring's key is missing or damaged.
    """
    if record.kdf == NO_KDF:
        stored = store.get(entry_name(_WRAPPING_KEY, record.generation))
        if stored is None:
            raise VaultCorrupt(
                "The keyring's key for this profile is gone; restore the profile from a backup."
            )
        key = bytearray(stored)
    elif not passphrase:
        raise PassphraseNeeded("This profile has a passphrase; give it to unlock the keys.")
    else:
        kdf, salt = _stored_kdf(record)
        key = kdf.derive(passphrase, salt)
    try:
        unwrap(key, base64.b64decode(record.check), record.aad(_CHECK))
    except (Unwrappable, ValueError) as error:
        if record.kdf == NO_KDF:
            raise VaultCorrupt(
                "The keyring's key does not fit this profile; restore it from a backup."
            ) from error
        raise WrongPassphrase("The passphrase is wrong.") from error
    return key


def _stored_kdf(record: Record) -> tuple[Kdf, bytes]:
    parameters = dict(record.kdf)
    try:
        salt = base64.b64decode(parameters.pop("salt"), validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise VaultCorrupt("The vault's record is damaged; restore the profile from a backup.") from error
    return Kdf.from_json(parameters), salt


def write_secrets(
    store: SecretStore, record: Record, key: bytearray, secrets: dict[str, bytes], random: Random
) -> None:
    """Wrap and store secrets, by purpose, in the record's generation."""
    for purpose, secret in secrets.items():
        wrapped = wrap(key, random(NONCE_BYTES), secret, record.aad(purpose))
        store.set(entry_name(purpose, record.generation), wrapped)


def read_secret(store: SecretStore, record: Record, key: bytearray, purpose: str) -> bytes:
    """Read and unwrap one secret of the record's generation.

    Raises:
        VaultCorrupt: it is missing or damaged.
    """
    stored = store.get(entry_name(purpose, record.generation))
    if stored is None:
        raise VaultCorrupt(
            f"The {purpose} key is missing from {store.name}; restore the profile from a backup."
        )
    try:
        return unwrap(key, stored, record.aad(purpose))
    except Unwrappable as error:
        raise VaultCorrupt(f"The {purpose} key is damaged; restore the profile from a backup.") from error


def delete_generation(store: SecretStore, tokens: Iterable[str], generation: str) -> None:
    """Delete every entry that a generation may have; `tokens` are the names that the record knows."""
    for purpose in (IDENTITY, DATABASE, _WRAPPING_KEY, *(TOKEN + name for name in tokens)):
        store.delete(entry_name(purpose, generation))
