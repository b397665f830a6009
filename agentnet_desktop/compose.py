"""The composition root: builds vault, database, client and agent of one profile, and wires them in one place.

Implements no protocol of its own. It makes a profile (`create_profile`), opens it for work (`open_profile`, which
makes this process the profile's one holder) or for looking (`open_reader`). It decides nothing that an agent decides,
and knows no Qt: the window and the command line both begin here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.errors import NotAllowed
from agentnet_desktop.agent.events import ConnectionChanged, ConnectionState, ConnectionView, Event
from agentnet_desktop.agent.ports import Client, HeadNotKept, KeptHead, OnFrame, OnSent, OnState
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.control import ControlServer
from agentnet_desktop.new_profile import (
    INVITE,
    BadProfileInput,
    Clock,
    ProfileInfo,
    Random,
    create_profile,
    delete_profile,
    secret_store,
    system_clock,
)
from agentnet_desktop.pace import Pace
from agentnet_desktop.profile import (
    ProfileError,
    ProfileInUse,
    ProfileLock,
    ProfilePaths,
    ProfileSettings,
    default_profile,
    read_settings,
    write_settings,
)
from agentnet_desktop.sign_in import token_source
from agentnet_desktop.store.engine import Database
from agentnet_desktop.transport.client import RelayClient
from agentnet_desktop.transport.endpoint import parse_endpoint
from agentnet_desktop.transport.firebase import Account, FirebaseTokens
from agentnet_desktop.transport.tokens import TokenError
from agentnet_desktop.vault.errors import VaultError
from agentnet_desktop.vault.vault import Vault

__all__ = [
    "Account",
    "BadProfileInput",
    "Holder",
    "ProfileError",
    "ProfileInUse",
    "ProfileInfo",
    "ProfilePaths",
    "create_profile",
    "default_profile",
    "delete_profile",
    "needs_passphrase",
    "open_profile",
    "open_reader",
    "open_vault",
    "system_clock",
]

Passphrase = str | Callable[[], str] | None

PATIENCE_S = 15.0
FIRST_WORD_S = 10.0
_REFUSALS = frozenset({"AUTHENTICATION_FAILED", "SIGN_IN_ENDED"})
_SETTLED = frozenset({ConnectionState.CONNECTED, ConnectionState.WAITING, ConnectionState.STOPPED})
_LOOK_AGAIN_S = 0.1
LOG_HEAD = "log-head"


def open_vault(
    paths: ProfilePaths, settings: ProfileSettings, passphrase: Passphrase, *, accept_backend: bool = False
) -> Vault:
    """Unlocks a profile's vault. Blocks.

    Args:
        paths: the profile.
        settings: its settings.
        passphrase: the words, or who is asked for them; asked only when the vault has a passphrase.
        accept_backend: the person was told that another key store is in use than the recorded one, and wants it.

    Raises:
        VaultError: it stays locked; the text says why.
    """
    store = secret_store(paths, settings)
    words: str | None = None
    same_store = accept_backend or not settings.backend or store.name == settings.backend
    if same_store and Vault.needs_passphrase(store):
        words = passphrase() if callable(passphrase) else passphrase
    return Vault.open(
        store,
        passphrase=words,
        expected_backend=None if accept_backend else settings.backend or None,
        accept_backend=accept_backend,
    )


def needs_passphrase(paths: ProfilePaths) -> bool:
    """Tells whether opening a profile takes a passphrase. Blocks.

    Raises:
        ProfileError, VaultError: it cannot be told, or another key store is in use than the recorded one.
    """
    settings = read_settings(paths)
    store = secret_store(paths, settings)
    same_store = not settings.backend or store.name == settings.backend
    return same_store and Vault.needs_passphrase(store)


class VaultHeadKeeper:
    """Keeps the log's newest head in the vault, wrapped like a token. Asks it in a thread: a keyring may be slow."""

    def __init__(self, vault: Vault) -> None:
        """Keeps the unlocked vault."""
        self._vault = vault

    async def save(self, head: KeptHead) -> None:
        """Replaces the kept head; see `agent.ports.HeadKeeper`."""
        value = f"{head.seq}.{head.entry_hash.hex()}.{head.signature.hex()}"
        try:
            await asyncio.to_thread(self._vault.set_token, LOG_HEAD, value)
        except VaultError as error:
            raise HeadNotKept(str(error)) from error
        except OSError as error:
            raise HeadNotKept(f"The vault file cannot be written: {error.strerror}.") from error

    async def load(self) -> KeptHead | None:
        """Returns the kept head; see `agent.ports.HeadKeeper`."""
        try:
            value = await asyncio.to_thread(self._vault.get_token, LOG_HEAD)
            if value is None:
                return None
            seq, entry_hash, signature = value.split(".")
            return KeptHead(int(seq), bytes.fromhex(entry_hash), bytes.fromhex(signature))
        except VaultError as error:
            raise HeadNotKept(str(error)) from error
        except ValueError as error:
            raise HeadNotKept("The key store's entry for the log's head is damaged.") from error


class Holder:
    """An open profile: vault, database and agent, wired. Made by `open_profile` or `open_reader`."""

    def __init__(
        self,
        paths: ProfilePaths,
        settings: ProfileSettings,
        vault: Vault,
        database: Database,
        lock: ProfileLock | None,
        *,
        invite: str | None,
        clock: Clock,
        random: Random,
    ) -> None:
        """Wires the agent; touches no network."""
        self.paths = paths
        self.settings = settings
        self.vault = vault
        self.database = database
        self._lock = lock
        self._clock = clock
        self._random = random
        self._tasks = Tasks()
        self._enrolment: asyncio.Task[None] | None = None
        self._control: ControlServer | None = None
        self._started = False
        self.endpoint = parse_endpoint(settings.relay, insecure=settings.insecure)
        self._tokens = token_source(
            settings,
            vault,
            audience=self.endpoint.origin,
            random=random,
            invite=invite,
            on_enrolled=None if settings.enrolled else self._enrolled,
        )
        self.agent = Agent(
            agent_id=settings.agent_id,
            identity=vault.identity,
            db=database,
            client_factory=self._client,
            relay_url=self.endpoint.base,
            clock=clock,
            random=random,
            keyring_backend=vault.backend,
            head_keeper=VaultHeadKeeper(vault),
        )

    def _client(self, *, on_frame: OnFrame, on_state: OnState, on_sent: OnSent) -> Client:
        return RelayClient(
            endpoint=self.settings.relay,
            agent_id=self.settings.agent_id,
            tokens=self._tokens,
            clock=self._clock,
            random=self._random,
            on_frame=on_frame,
            on_state=on_state,
            on_sent=on_sent,
            tls_pin=self.settings.tls_pin or None,
            insecure=self.settings.insecure,
        )

    def _enrolled(self) -> None:
        """The relay knows this agent now: remember that, and forget the invite."""
        self.settings = replace(self.settings, enrolled=True)
        self._enrolment = self._tasks.start(asyncio.to_thread(self._keep_enrolment), name="keep enrolment")

    def _keep_enrolment(self) -> None:
        write_settings(self.paths, self.settings)
        self.vault.set_token(INVITE, None)

    @property
    def account(self) -> str | None:
        """The e-mail address that signs in to Firebase; None where no account does."""
        return self.settings.firebase_email if isinstance(self._tokens, FirebaseTokens) else None

    async def sign_in(self, email: str, password: str) -> None:
        """Signs in to Firebase anew, remembers whose account it is, and connects.

        Args:
            email: of the account; "" for the one that signed in last.
            password: is used once and kept nowhere.

        Raises:
            NotAllowed: this agent has no account, or the sign-in failed; what was kept stays.
        """
        if not isinstance(self._tokens, FirebaseTokens):
            raise NotAllowed("This agent signs in by itself: it has no account that could sign in.")
        email = email or self.settings.firebase_email
        try:
            found = await self._tokens.sign_in(email, password)
            self.settings = replace(self.settings, firebase_email=email, firebase_project=found.project)
            await asyncio.to_thread(write_settings, self.paths, self.settings)
        except (TokenError, ProfileError) as error:
            raise NotAllowed(str(error)) from error
        self.agent.reconnect_now()

    async def start(self) -> None:
        """Starts the agent, and the local socket through which other processes ask it."""
        self._started = True
        await self.agent.start()
        if self._lock is not None:
            self._control = ControlServer(self.agent, self.paths.socket, sign_in=self.sign_in)
            await self._control.start()

    async def refusal(self, limit_s: float = FIRST_WORD_S) -> str:
        """Waits for the relay's first word to the agent, which has been started.

        Returns:
            Why the relay refuses it; "" when it does not, when nobody answers, or when the time is up.
        """
        told: asyncio.Future[ConnectionView] = asyncio.get_running_loop().create_future()

        def look(view: ConnectionView) -> None:
            if view.state in _SETTLED and not told.done():
                told.set_result(view)

        def hear(event: Event) -> None:
            if isinstance(event, ConnectionChanged):
                look(event.view)

        unsubscribe = self.agent.subscribe(hear)
        look(self.agent.connection)
        try:
            async with asyncio.timeout(limit_s):
                view = await told
        except TimeoutError:
            return ""
        finally:
            unsubscribe()
        return view.reason if view.kind in _REFUSALS else ""

    async def stop(self) -> None:
        """Stops the agent in order; its log can still be read. Safe to call twice."""
        if self._control is not None:
            await self._control.stop()
            self._control = None
        if self._started:
            self._started = False
            await self.agent.stop()
        if self._enrolment is not None:
            await asyncio.wait([self._enrolment])

    async def close(self) -> None:
        """Stops the agent, closes the database, wipes the keys, frees the profile. Safe to call twice."""
        await self.stop()
        await self.database.close()
        self.vault.lock()
        if self._lock is not None:
            self._lock.release()


async def open_profile(
    root: Path,
    *,
    passphrase: Passphrase = None,
    brief: bool = False,
    accept_backend: bool = False,
    clock: Clock = system_clock,
    random: Random = os.urandom,
) -> Holder:
    """Opens a profile for work, as its one holder. The agent is wired but not started: see `Holder.start`.

    A profile that a single command holds is waited for, up to `PATIENCE_S`.

    Args:
        root: the profile's folder.
        passphrase: the words, or who is asked for them (in a thread) when they are needed.
        brief: this is such a single command; it does not wait for others, for it can ask them.
        accept_backend: the person wants the key store that is in use now, and it is recorded from here on.
        clock: ms since the Unix epoch.
        random: gives that many random bytes.

    Raises:
        ProfileInUse: another process holds it; names its pid.
        ProfileError, VaultError, StoreError: it cannot be opened; one sentence for a person.
    """
    paths = ProfilePaths(root)
    deadline = time.monotonic() + PATIENCE_S
    read_settings(paths)
    while True:
        try:
            lock = ProfileLock(paths, brief=brief)
        except ProfileInUse as error:
            if brief or not error.brief or time.monotonic() > deadline:
                raise
            await asyncio.sleep(_LOOK_AGAIN_S)
        else:
            return await _open(paths, passphrase, clock, random, lock, accept_backend=accept_backend)


async def open_reader(
    root: Path,
    *,
    passphrase: Passphrase = None,
    clock: Clock = system_clock,
    random: Random = os.urandom,
) -> Holder:
    """Opens a profile for looking only, beside a holder or without one: the database is read-only.

    The agent of the result answers what only reads, and must not be started.

    Raises:
        ProfileError, VaultError, StoreError: as `open_profile`, but never ProfileInUse.
    """
    return await _open(ProfilePaths(root), passphrase, clock, random, None)


async def _open(
    paths: ProfilePaths,
    passphrase: Passphrase,
    clock: Clock,
    random: Random,
    lock: ProfileLock | None,
    *,
    accept_backend: bool = False,
) -> Holder:
    """Unlocks vault and database, in a thread; without a lock, for looking only."""

    def unlock() -> tuple[ProfileSettings, Vault, Database, str | None]:
        vault: Vault | None = None
        try:
            settings = read_settings(paths)
            vault = open_vault(paths, settings, passphrase, accept_backend=accept_backend)
            if accept_backend and settings.backend != vault.backend:
                settings = replace(settings, backend=vault.backend)
                write_settings(paths, settings)
            invite = None if settings.enrolled else vault.get_token(INVITE)
            key = vault.database_key
            looks = lock is None
            database = Database.open(
                paths.database,
                key,
                now_ms=clock,
                read_only=looks,
                expected=True,
                on_group=None if looks else Pace(sys.setswitchinterval).ran,
            )
        except BaseException:
            if vault is not None:
                vault.lock()
            if lock is not None:
                lock.release()
            raise
        return settings, vault, database, invite

    settings, vault, database, invite = await asyncio.to_thread(unlock)
    return Holder(paths, settings, vault, database, lock, invite=invite, clock=clock, random=random)
