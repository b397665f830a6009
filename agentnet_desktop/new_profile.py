"""Making a profile: checks what a person gave, makes keys, database and settings, or leaves nothing behind.

A part of the composition root; use it as `compose.create_profile`. It does not connect to the relay: a new agent
enrols at its first connection (docs/protocol.md, section "Relay authentication"). An account is signed in first, before
anything is made.
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
    SignInFailed,
    read_settings,
    write_settings,
)
from agentnet_desktop.protocol.contact_link import BadLink, InviteLink, parse_invite_link
from agentnet_desktop.store.engine import Database
from agentnet_desktop.transport.endpoint import BadEndpoint, Endpoint, parse_endpoint
from agentnet_desktop.transport.firebase import REFRESH_TOKEN, Account, FirebaseAuth, emulator_problem
from agentnet_desktop.transport.tokens import TokenError
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
    account: Account | None = None,
    key_store: str = "keyring",
    passphrase: str | None = None,
    insecure: bool = False,
    kdf: Kdf | None = None,
    seed: bytes | None = None,
    random: Random = os.urandom,
    clock: Clock = system_clock,
) -> ProfileInfo:
    """Makes a profile: identity, database, settings. It enrols at its first connection.

    Connects nowhere, but to sign an account in. When it is cancelled, what was made is taken back first.

    Args:
        root: its folder; made with mode 0700 where there is none.
        agent_id: who it will be.
        relay: the relay's base address or endpoint; may be left out when `invite` is a link.
        invite: a join link, or a bare code.
        auth: `local`, `firebase` or `oidc`.
        token_file: where a token is kept fresh by someone else.
        account: the Firebase account to sign in with; without a password, the agent will ask for a sign-in.
        key_store: `keyring` or `file`.
        passphrase: None for none, which only a keyring allows.
        insecure: allows `ws://` to another machine.
        kdf: explicit Argon2id parameters, for throw-away profiles; None calibrates to this machine.
        seed: the identity's 32-byte seed out of a backup, instead of a new one.
        random: gives that many random bytes.
        clock: ms since the Unix epoch.

    Raises:
        BadProfileInput: an argument is malformed.
        SignInFailed: the account cannot be signed in; says why.
        ProfileError: there is a profile already, or the folder cannot be written.
        VaultError, StoreError: keys or database could not be made. Nothing is left behind.
    """
    plan = _plan(agent_id, relay, invite, _Auth(auth, token_file, account), key_store, insecure)
    if key_store == "file" and not passphrase:
        raise PassphraseNeeded(
            "A vault file needs a passphrase: a key beside what it opens protects nothing."
        )

    def make() -> ProfileInfo:
        return _make(ProfilePaths(root), plan, passphrase, kdf, seed, random, clock)

    if account is not None and account.password:
        _refuse_existing(ProfilePaths(root))
        plan = await _signed_in(plan, account)
    making = asyncio.get_running_loop().run_in_executor(None, make)
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.wait([making])  # a thread cannot be stopped
        if making.exception() is None:
            await asyncio.to_thread(delete_profile, root)
        raise


@dataclass(frozen=True, slots=True)
class _Auth:
    """How the relay will know the agent."""

    mode: str
    token_file: str | None
    account: Account | None


@dataclass(frozen=True, slots=True, repr=False)
class _Plan:
    """A new profile's settings before it has keys, and the secrets it begins with, by name."""

    settings: ProfileSettings
    secrets: dict[str, str]


async def _signed_in(plan: _Plan, account: Account) -> _Plan:
    """Signs the account in, and adds what that gave."""
    try:
        found = await FirebaseAuth(account.api_key, account.emulator).sign_in(account.email, account.password)
    except TokenError as error:
        raise SignInFailed(str(error)) from error
    settings = replace(plan.settings, firebase_project=found.project)
    return _Plan(settings, {**plan.secrets, REFRESH_TOKEN: found.refresh})


def _check_auth(auth: _Auth) -> None:
    """Refuses a way to sign in that lacks something, or has too much."""
    if auth.mode == "local" and (auth.token_file or auth.account):
        raise BadProfileInput("A token or an account goes with --auth firebase or oidc, not with local.")
    if auth.mode == "oidc" and (not auth.token_file or auth.account):
        raise BadProfileInput("Signing in with oidc needs a token: name its file with --token-file.")
    if auth.mode == "firebase" and bool(auth.token_file) == bool(auth.account):
        raise BadProfileInput(
            "Signing in with firebase needs one of two: an account (--email), or a token that another program "
            "keeps fresh (--token-file)."
        )
    account = auth.account
    if account is None:
        return
    if not account.api_key.isascii() or not account.api_key.isprintable() or " " in account.api_key:
        raise BadProfileInput(
            "This is no Web API key: it is one word, as the Firebase project's settings show it."
        )
    if not account.api_key:
        raise BadProfileInput("Signing in with Firebase needs the project's Web API key (--firebase-key).")
    if "@" not in account.email:
        raise BadProfileInput(f"{account.email!r} is not an e-mail address.")
    if account.emulator and (problem := emulator_problem(account.emulator)):
        raise BadProfileInput(problem)


def _plan(
    agent_id: str,
    relay: str | None,
    invite: str | None,
    auth: _Auth,
    key_store: str,
    insecure: bool,
) -> _Plan:
    if not is_agent_id(agent_id):
        raise BadProfileInput(
            f"{agent_id!r} cannot be an agent's id: 2 to 64 letters, digits, '.', '_' or '-', beginning with a "
            "letter or digit, and not 'system'."
        )
    _check_auth(auth)
    account = auth.account or Account("", "", "")
    link = _invite_link(invite)
    endpoint = _endpoint(relay, link, insecure)
    code = link.invite if link is not None else invite
    settings = ProfileSettings(
        profile_id="",
        agent_id=agent_id,
        fingerprint="",
        relay=endpoint.base,
        relay_name=link.name if link is not None else "",
        auth=auth.mode,
        token_file=str(Path(auth.token_file).absolute()) if auth.token_file else "",
        firebase_key=account.api_key,
        firebase_email=account.email,
        firebase_emulator=account.emulator,
        key_store=key_store,
        insecure=insecure,
        tls_pin=link.cert.hex() if link is not None and link.cert is not None else "",
    )
    return _Plan(settings, {INVITE: code} if code else {})


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
        _refuse_existing(paths)
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
            for name, secret in plan.secrets.items():
                vault.set_token(name, secret)
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


def _refuse_existing(paths: ProfilePaths) -> None:
    if paths.settings.exists() or paths.database.exists() or paths.vault.exists():
        raise ProfileExists(
            f"There is a profile in {paths.root} already; choose another folder with --profile."
        )


def delete_profile(root: Path) -> None:
    """Takes back a profile that was just made: its keys, database, settings, and its folder when that is empty. Blocks.

    Args:
        root: its folder; nobody may hold the profile.

    Raises:
        ProfileError: there is none, or another process holds it.
        VaultError: the keys cannot be deleted.
    """
    paths = ProfilePaths(root)
    settings = read_settings(paths)
    lock = ProfileLock(paths)
    try:
        _unmake(paths, secret_store(paths, settings))
    finally:
        lock.release()
    if paths.socket.parent.parent == root and paths.socket.parent.is_dir():
        paths.socket.parent.rmdir()
    _remove_folder(paths)


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
    for file in (paths.vault, paths.settings):
        file.unlink(missing_ok=True)


def _remove_folder(paths: ProfilePaths) -> None:
    paths.lock.unlink(missing_ok=True)
    if not any(paths.root.iterdir()):
        paths.root.rmdir()


def secret_store(paths: ProfilePaths, settings: ProfileSettings) -> SecretStore:
    """Returns the store that holds, or will hold, the keys of a profile."""
    if settings.key_store == "file":
        return FileStore(paths.vault)
    return KeyringStore(f"AgentNet {settings.profile_id}")
