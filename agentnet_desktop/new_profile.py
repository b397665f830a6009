"""Making a profile: checks what a person gave, makes keys, database and settings, or leaves nothing behind.

A part of the composition root; use it as `compose.create_profile`. It connects nowhere: a new agent enrols at its
first connection (docs/protocol.md, section "Relay authentication").
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agentnet_desktop.crypto.keys import fingerprint
from agentnet_desktop.profile import (
    ProfileError,
    ProfileExists,
    ProfileLock,
    ProfilePaths,
    ProfileSettings,
    ProfileUnwritable,
    write_settings,
)
from agentnet_desktop.protocol.contact_link import BadLink, InviteLink, parse_invite_link
from agentnet_desktop.store.engine import Database
from agentnet_desktop.transport.endpoint import BadEndpoint, Endpoint, parse_endpoint
from agentnet_desktop.vault.errors import PassphraseNeeded
from agentnet_desktop.vault.kdf import Kdf
from agentnet_desktop.vault.stores import FileStore, KeyringStore, SecretStore
from agentnet_desktop.vault.vault import Vault
from relay.wire.envelope import is_agent_id

Clock = Callable[[], int]
Random = Callable[[int], bytes]

INVITE = "invite"  # name of the vault's entry that keeps an invite until the relay has accepted it


def system_clock() -> int:
    """Returns the time in ms since the Unix epoch, UTC."""
    return time.time_ns() // 1_000_000


class BadProfileInput(ProfileError):
    """What a person gave for a new profile is malformed, or contradicts itself."""

    exit_code = 2  # bad usage


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """What a person is told of a profile that was made."""

    root: Path
    agent_id: str
    fingerprint: str
    relay: str
    backend: str


async def create_profile(
    root: Path,
    *,
    agent_id: str,
    relay: str | None = None,
    invite: str | None = None,
    auth: str = "local",
    token_file: str | None = None,
    key_store: str = "keyring",
    passphrase: str | None = None,
    insecure: bool = False,
    kdf: Kdf | None = None,
    seed: bytes | None = None,
    random: Random = os.urandom,
    clock: Clock = system_clock,
) -> ProfileInfo:
    """Makes a profile: identity, database, settings. It enrols at its first connection. Connects nowhere.

    Args:
        root: its folder; made with mode 0700 where there is none.
        agent_id: who it will be.
        relay: the relay's base address or endpoint; may be left out when `invite` is a link.
        invite: a join link, or a bare code.
        auth: `local`, `firebase` or `oidc`.
        token_file: where a token is kept fresh by someone else.
        key_store: `keyring` or `file`.
        passphrase: None for none, which only a keyring allows.
        insecure: allows `ws://` to another machine.
        kdf: explicit Argon2id parameters, for throw-away profiles; None calibrates to this machine.
        seed: the identity's 32-byte seed out of a backup, instead of a new one.
        random: gives that many random bytes.
        clock: ms since the Unix epoch.

    Raises:
        BadProfileInput: an argument is malformed.
        ProfileError: there is a profile already, or the folder cannot be written.
        VaultError, StoreError: keys or database could not be made. Nothing is left behind.
    """
    plan = _plan(agent_id, relay, invite, auth, token_file, key_store, insecure)
    if key_store == "file" and not passphrase:
        raise PassphraseNeeded(
            "A vault file needs a passphrase: a key beside what it opens protects nothing."
        )

    def make() -> ProfileInfo:
        return _make(ProfilePaths(root), plan, passphrase, kdf, seed, random, clock)

    return await asyncio.to_thread(make)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A new profile's settings before it has keys, and its invite."""

    settings: ProfileSettings
    invite: str | None


def _plan(
    agent_id: str,
    relay: str | None,
    invite: str | None,
    auth: str,
    token_file: str | None,
    key_store: str,
    insecure: bool,
) -> _Plan:
    if not is_agent_id(agent_id):
        raise BadProfileInput(
            f"{agent_id!r} cannot be an agent's id: 2 to 64 letters, digits, '.', '_' or '-', beginning with a "
            "letter or digit, and not 'system'."
        )
    if auth != "local" and not token_file:
        raise BadProfileInput(f"Signing in with {auth} needs a token: name its file with --token-file.")
    link = _invite_link(invite)
    endpoint = _endpoint(relay, link, insecure)
    code = link.invite if link is not None else invite
    settings = ProfileSettings(
        profile_id="",
        agent_id=agent_id,
        fingerprint="",
        relay=endpoint.base,
        relay_name=link.name if link is not None else "",
        auth=auth,
        token_file=str(Path(token_file).absolute()) if token_file else "",
        key_store=key_store,
        insecure=insecure,
        tls_pin=link.cert.hex() if link is not None and link.cert is not None else "",
    )
    return _Plan(settings, code)


def _invite_link(invite: str | None) -> InviteLink | None:
    if invite is None or "://" not in invite:
        return None
    try:
        return parse_invite_link(invite.strip())
    except BadLink as error:
        raise BadProfileInput(str(error)) from error


def _endpoint(relay: str | None, link: InviteLink | None, insecure: bool) -> Endpoint:
    """Returns the relay's endpoint; address and invite link must not contradict each other."""
    try:
        told = parse_endpoint(relay, insecure=insecure) if relay is not None else None
        linked = parse_endpoint(link.relay, insecure=insecure) if link is not None else None
    except BadEndpoint as error:
        raise BadProfileInput(str(error)) from error
    if told is not None and linked is not None and told.base != linked.base:
        raise BadProfileInput(f"The invite is for {linked.base}, not for {told.base}.")
    found = told or linked
    if found is None:
        raise BadProfileInput("Which relay? Give its address with --relay, or an invite link with --invite.")
    return found


def _make(
    paths: ProfilePaths,
    plan: _Plan,
    passphrase: str | None,
    kdf: Kdf | None,
    seed: bytes | None,
    random: Random,
    clock: Clock,
) -> ProfileInfo:
    """Makes everything in order, the settings last: a profile without them is none."""
    settings = replace(plan.settings, profile_id=random(8).hex())
    made_folder = _make_folder(paths)
    vault: Vault | None = None
    store: SecretStore | None = None
    lock = ProfileLock(paths)
    try:
        if paths.settings.exists() or paths.database.exists() or paths.vault.exists():
            raise ProfileExists(
                f"There is a profile in {paths.root} already; choose another folder with --profile."
            )
        try:
            store = secret_store(paths, settings)
            vault = Vault.create(
                store,
                agent_id=settings.agent_id,
                profile_id=settings.profile_id,
                passphrase=passphrase,
                random=random,
                kdf=kdf,
                seed=seed,
            )
            if plan.invite:
                vault.set_token(INVITE, plan.invite)
            Database.open(paths.database, vault.database_key, now_ms=clock).close_sync()
            settings = replace(
                settings, fingerprint=fingerprint(vault.identity.public), backend=vault.backend
            )
            write_settings(paths, settings)
        except BaseException:
            _unmake(paths, store if vault is not None else None)
            raise
    except BaseException:
        lock.release()
        if made_folder:
            _remove_folder(paths)
        raise
    finally:
        if vault is not None:
            vault.lock()
    lock.release()
    return ProfileInfo(paths.root, settings.agent_id, settings.fingerprint, settings.relay, settings.backend)


def _make_folder(paths: ProfilePaths) -> bool:
    """Makes the profile's folder, readable by its owner only; True when it was not there."""
    if paths.root.is_dir():
        return False
    try:
        paths.root.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise ProfileUnwritable(f"The folder {paths.root} cannot be made: {error.strerror}.") from error
    return True


def _unmake(paths: ProfilePaths, store: SecretStore | None) -> None:
    """Takes back a profile that was made half."""
    if store is not None:
        Vault.delete(store)
    for side in ("", "-wal", "-shm"):
        paths.database.with_name(paths.database.name + side).unlink(missing_ok=True)
    paths.vault.unlink(missing_ok=True)


def _remove_folder(paths: ProfilePaths) -> None:
    paths.lock.unlink(missing_ok=True)
    if not any(paths.root.iterdir()):
        paths.root.rmdir()


def secret_store(paths: ProfilePaths, settings: ProfileSettings) -> SecretStore:
    """Returns the store that holds, or will hold, the keys of a profile."""
    if settings.key_store == "file":
        return FileStore(paths.vault)
    return KeyringStore(f"AgentNet {settings.profile_id}")
