"""The backup file: what a person needs to be the same agent on another machine.

Implements docs/protocol.md section 13.3 (backup). A versioned JSON file, its payload sealed with AES-256-GCM under Argon2id of a
passphrase. What the payload holds (identity, contacts, enrolment, settings; never sessions or the log)
is the caller's business; here it is opaque bytes.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agentnet_desktop.protocol.canonical import jcs

from .errors import BadBackup, KeyringFailed, PassphraseNeeded, VaultCorrupt, WrongPassphrase
from .files import write_private
from .kdf import SALT_BYTES, Kdf, calibrate
from .wrap import NONCE_BYTES, Unwrappable, unwrap, wrap

FORMAT: Final = "agentnet-backup"
VERSION: Final = 1
_HEAD_FIELDS: Final = frozenset({"format", "version", "kdf", "salt"})
_MAX_FILE_BYTES: Final = 64 * 1024 * 1024


def seal_backup(
    payload: bytes, passphrase: str, *, random: Callable[[int], bytes] = os.urandom, kdf: Kdf | None = None
) -> bytes:
    """Seal a payload into the bytes of a backup file.

    Args:
        payload: opaque.
        passphrase: not empty; the backup has its own, which may be the profile's.
        random: gives that many random bytes.
        kdf: None calibrates to this machine.

    Raises:
        PassphraseNeeded: the passphrase is empty.
    """
    if not passphrase:
        raise PassphraseNeeded("A backup needs a passphrase: it holds the identity key.")
    chosen = calibrate() if kdf is None else kdf
    salt = random(SALT_BYTES)
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "kdf": chosen.to_json(),
        "salt": base64.b64encode(salt).decode(),
    }
    sealed = wrap(chosen.derive(passphrase, salt), random(NONCE_BYTES), payload, jcs(head))
    document = {**head, "sealed": base64.b64encode(sealed).decode()}
    return json.dumps(document, indent=1).encode() + b"\n"


def open_backup(data: bytes, passphrase: str) -> bytes:
    """The payload of a backup file's bytes.

    1. It is a backup, and of a version that this program knows.
    2. The passphrase opens it, and nothing was changed.

    Raises:
        BadBackup: step 1.
        WrongPassphrase: step 2.
    """
    head, salt, sealed = _parsed(data)  # (1)
    try:
        kdf = Kdf.from_json(head["kdf"])
    except VaultCorrupt as error:
        raise BadBackup("The backup file is damaged.") from error
    try:  # (2)
        return unwrap(kdf.derive(passphrase, salt), sealed, jcs(head))
    except Unwrappable as error:
        raise WrongPassphrase("The passphrase is wrong, or the backup file was changed.") from error


def write_backup(
    path: Path,
    payload: bytes,
    passphrase: str,
    *,
    random: Callable[[int], bytes] = os.urandom,
    kdf: Kdf | None = None,
) -> None:
    """Write a backup file, mode 0600, whole or not at all.

    Raises:
        PassphraseNeeded: the passphrase is empty.
        KeyringFailed: the file cannot be written.
    """
    data = seal_backup(payload, passphrase, random=random, kdf=kdf)
    try:
        write_private(path, data)
    except OSError as error:
        raise KeyringFailed(f"The backup {path} cannot be written: {error.strerror}.") from error


def read_backup(path: Path, passphrase: str) -> bytes:
    """The payload of a backup file.

    Raises:
        BadBackup: it cannot be read, or is no backup of a known version.
        WrongPassphrase: the passphrase does not open it.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise BadBackup(f"{path} is too large to be a backup.")
        data = path.read_bytes()
    except OSError as error:
        raise BadBackup(f"The backup {path} cannot be read: {error.strerror}.") from error
    return open_backup(data, passphrase)


def _parsed(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    try:
        document = json.loads(data)
        head = {name: document[name] for name in _HEAD_FIELDS}
        salt = base64.b64decode(document["salt"], validate=True)
        sealed = base64.b64decode(document["sealed"], validate=True)
    except (ValueError, TypeError, KeyError) as error:
        raise BadBackup("The file is not a backup of this program, or is damaged.") from error
    if head["format"] != FORMAT:
        raise BadBackup("The file is not a backup of this program.")
    if head["version"] != VERSION:
        raise BadBackup(
            "The backup was written by a newer version of this program; restore it with that one."
        )
    if len(salt) != SALT_BYTES:
        raise BadBackup("The backup file is damaged.")
    return head, salt, sealed
