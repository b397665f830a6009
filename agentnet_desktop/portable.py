"""Backup and restore of a profile: identity, pinned contacts, enrolment and settings; never sessions or the log.

Implements docs/protocol.md, "Backup". A part of the composition root. A restored profile is the same agent on
another machine; it starts new handshakes. The file itself is sealed by `vault.backup`.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from agentnet_desktop.compose import Holder, open_profile
from agentnet_desktop.new_profile import INVITE, ProfileInfo, create_profile, delete_profile
from agentnet_desktop.profile import ProfileSettings, write_settings
from agentnet_desktop.store import contacts
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.transport.firebase import Account
from agentnet_desktop.vault.backup import read_backup, write_backup
from agentnet_desktop.vault.errors import BadBackup
from agentnet_desktop.vault.kdf import Kdf

_VERSION = 1
_SETTINGS = ("agent_id", "relay", "relay_name", "auth", "insecure", "tls_pin", "enrolled")
_SIGN_IN = ("token_file", "firebase_key", "firebase_project", "firebase_email", "firebase_emulator")
_CONTACT = ("agent_id", "state", "added_at", "name", "key_source", "approved_at", "verified_at")


async def back_up(holder: Holder, out: Path, *, passphrase: str, kdf: Kdf | None = None) -> int:
    """Writes a backup of an open profile.

    Args:
        holder: the profile.
        out: the file; mode 0600.
        passphrase: opens the backup; it may be the profile's.
        kdf: explicit Argon2id parameters, for tests; None calibrates.

    Returns:
        How many contacts it holds.

    Raises:
        VaultError: the file cannot be written.
    """
    known = await holder.database.read(contacts.every)
    pinned = [contact for contact in known if contact.identity_key is not None]
    document = {
        "version": _VERSION,
        "seed": base64.b64encode(holder.vault.identity.export_seed()).decode(),
        "settings": {name: getattr(holder.settings, name) for name in _SETTINGS + _SIGN_IN},
        "invite": None if holder.settings.enrolled else holder.vault.get_token(INVITE),
        "contacts": [_contact_out(contact) for contact in pinned],
    }
    payload = json.dumps(document).encode()
    await asyncio.to_thread(write_backup, out, payload, passphrase, kdf=kdf)
    return len(pinned)


async def restore(
    root: Path,
    source: Path,
    *,
    backup_passphrase: str,
    key_store: str = "keyring",
    passphrase: str | None = None,
    kdf: Kdf | None = None,
) -> ProfileInfo:
    """Makes a profile out of a backup. Who signs in with an account signs in again: no backup holds a sign-in.

    Args:
        root: the new profile's folder.
        source: the backup file.
        backup_passphrase: opens it.
        key_store: where the restored keys go.
        passphrase: of the new profile.
        kdf: explicit Argon2id parameters, for tests; None calibrates.

    Raises:
        VaultError: the backup does not open, or the keys cannot be kept.
        ProfileError: there is a profile in that folder already. Nothing is left behind.
    """
    payload = await asyncio.to_thread(read_backup, source, backup_passphrase)
    seed, settings, invite, people = _read(payload)
    info = await create_profile(
        root,
        agent_id=settings["agent_id"],
        relay=settings["relay"],
        invite=invite,
        **_way_in(settings),
        key_store=key_store,
        passphrase=passphrase,
        insecure=settings["insecure"],
        kdf=kdf,
        seed=seed,
    )
    try:
        await _fill(root, passphrase, settings, people)
    except BaseException:
        await asyncio.to_thread(delete_profile, root)
        raise
    return info


async def _fill(root: Path, passphrase: str | None, settings: dict[str, Any], people: list[Contact]) -> None:
    holder = await open_profile(root, passphrase=passphrase)
    try:
        await holder.database.write(_adder(people))
        write_settings(holder.paths, _merged(holder.settings, settings))
    finally:
        await holder.close()


def _way_in(kept: dict[str, Any]) -> dict[str, Any]:
    """How the agent signed in, for the new profile; a backup that does not tell is of one that signs its own tokens."""
    if kept["token_file"]:
        return {"auth": kept["auth"], "token_file": kept["token_file"]}
    if kept["firebase_key"]:
        email, emulator = kept["firebase_email"], kept["firebase_emulator"]
        return {"auth": kept["auth"], "account": Account(kept["firebase_key"], email, "", emulator)}
    return {}


def _adder(people: list[Contact]) -> Callable[[Session], None]:
    def job(session: Session) -> None:
        for contact in people:
            contacts.add(session, contact)

    return job


def _merged(made: ProfileSettings, kept: dict[str, Any]) -> ProfileSettings:
    names = ("relay_name", "tls_pin", "enrolled", "firebase_project")
    return replace(made, **{name: kept[name] for name in names})


def _contact_out(contact: Contact) -> dict[str, Any]:
    key = contact.identity_key or b""
    return {**{name: getattr(contact, name) for name in _CONTACT}, "key": base64.b64encode(key).decode()}


def _contact_in(found: dict[str, Any]) -> Contact:
    """A contact whose key was changing is restored to its pinned key; the candidate will offer itself again."""
    contact = Contact(
        identity_key=base64.b64decode(found["key"], validate=True), **{n: found[n] for n in _CONTACT}
    )
    return replace(contact, state="APPROVED") if contact.state == "KEY_CHANGED" else contact


def _read(payload: bytes) -> tuple[bytes, dict[str, Any], str | None, list[Contact]]:
    try:
        document = json.loads(payload)
        if document["version"] != _VERSION:
            raise BadBackup(
                "The backup was written by a newer version of this program; restore it with that one."
            )
        seed = base64.b64decode(document["seed"], validate=True)
        settings = {name: document["settings"][name] for name in _SETTINGS}
        settings |= {name: document["settings"].get(name, "") for name in _SIGN_IN}
        people = [_contact_in(found) for found in document["contacts"]]
        return seed, settings, document["invite"], people
    except (ValueError, KeyError, TypeError) as error:
        raise BadBackup("The backup's content is damaged.") from error
