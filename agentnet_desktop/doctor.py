"""The doctor: walks the ways in which an agent can be unwell, and says what to do.

Implements the checklist of docs/protocol.md, *Debugging*, for the command line and for the window. Checks profile,
keyring, database, disk, then what only a connection shows: relay, token, clock, and the contacts' session keys. Changes nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from agentnet_desktop.agent.display import visible
from agentnet_desktop.agent.events import ConnectionState, ConnectionView, ContactView, SessionKeysView
from agentnet_desktop.compose import Passphrase, open_vault
from agentnet_desktop.profile import (
    ProfileError,
    ProfilePaths,
    ProfileSettings,
    holder_pid,
    is_held,
    read_settings,
)
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import StoreError
from agentnet_desktop.store.opening import check
from agentnet_desktop.vault.errors import VaultError
from agentnet_desktop.vault.vault import Vault

CONNECT_S = 10.0
_LEEWAY_MS = 60_000  # what a relay forgives in a token's times
_SIGN_IN = frozenset(
    {"AUTHENTICATION_ERROR", "AUTHENTICATION_FAILED", "SIGN_IN_ENDED"}
)  # trouble that is no outage
_LITTLE_ROOM = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and its result. `state`: `ok`, `warning`, `failed`, or `skipped` when an earlier one failed."""

    check: str
    state: str
    message: str


Tell = Callable[[Finding], None]


def profile(paths: ProfilePaths, tell: Tell) -> ProfileSettings | None:
    """Checks the profile's settings; None when they cannot be read."""
    try:
        settings = read_settings(paths)
    except ProfileError as error:
        tell(Finding("profile", "failed", str(error)))
        return None
    who = f"; process {holder_pid(paths)} holds it" if is_held(paths) else ""
    tell(Finding("profile", "ok", f"{settings.agent_id} in {paths.root}{who}."))
    return settings


async def storage(paths: ProfilePaths, settings: ProfileSettings, words: Passphrase, tell: Tell) -> bool:
    """Checks keyring, database and disk beside a holder; False when keyring or database failed.

    Args:
        paths: the profile.
        settings: its settings.
        words: its passphrase, or who is asked for it in a thread.
        tell: gets each finding.
    """
    try:
        vault = await asyncio.to_thread(open_vault, paths, settings, words)
    except VaultError as error:
        tell(Finding("keyring", "failed", str(error)))
        tell(Finding("database", "skipped", "It cannot be opened without the keys."))
        return False
    try:
        key = vault.database_key
        tell(keys(vault))
    finally:
        vault.lock()
    finding = await database(paths, key)
    tell(finding)
    if finding.state == "failed":
        return False
    tell(disk(paths.root))
    return True


def keys(vault: Vault) -> Finding:
    """Says where the keys are."""
    words = " with a passphrase" if vault.has_passphrase else ""
    place = "a vault file" if vault.backend == "file" else vault.backend
    return Finding("keyring", "ok", f"The keys are in {place}{words}.")


async def database(paths: ProfilePaths, key: bytes) -> Finding:
    """Opens the database for reading, and checks every page."""
    try:
        await asyncio.to_thread(
            lambda: Database.open(
                paths.database, key, now_ms=lambda: 0, read_only=True, expected=True
            ).close_sync()
        )
        damage = await asyncio.to_thread(check, paths.database, key)
    except StoreError as error:
        return Finding("database", "failed", str(error))
    if damage:
        return Finding("database", "failed", f"Pages are damaged: {damage[0]} ({len(damage)} findings).")
    size = paths.database.stat().st_size
    return Finding("database", "ok", f"{size / 1_048_576:.1f} MiB, every page reads.")


def storing(problem: str) -> Finding:
    """Says whether the running agent can store what it gets.

    Args:
        problem: as `Agent.storage_problem` has it.
    """
    if problem:
        return Finding("storing", "failed", problem)
    return Finding("storing", "ok", "The agent can store what it sends and receives.")


def disk(folder: Path) -> Finding:
    """Says how much room is left."""
    free = shutil.disk_usage(folder).free
    state = "warning" if free < _LITTLE_ROOM else "ok"
    return Finding("disk", state, f"{free / 1_048_576:.0f} MiB are free at {folder}.")


def connection(view: ConnectionView) -> list[Finding]:
    """Reads relay, token, transport and clock off a connection."""
    found: list[Finding] = []
    refused = view.kind in _SIGN_IN
    if view.state is ConnectionState.CONNECTED:
        trip = f", round trip {view.round_trip_ms:.1f} ms" if view.round_trip_ms is not None else ""
        name = visible(view.relay_name, 64)
        found.append(Finding("relay", "ok", f"Connected to {view.relay_url} ({name}){trip}."))
        found.append(
            Finding("token", "failed", view.reason)
            if refused
            else Finding("token", "ok", "The relay accepted it.")
        )
    else:
        words = view.reason or f"No connection to {view.relay_url} came about in {CONNECT_S:.0f} s."
        found.append(Finding("relay", "ok" if refused else "failed", view.relay_url if refused else words))
        token = view.reason if refused else "The relay was not reached."
        found.append(Finding("token", "failed" if refused else "skipped", token))
    if view.insecure:
        found.append(Finding("transport", "warning", "The way to the relay is not encrypted (ws://)."))
    found.append(_clock(view.clock_skew_ms))
    return found


def sessions(live: Iterable[SessionKeysView], known: Iterable[ContactView]) -> Finding:
    """Says with which contacts keys are agreed on.

    Args:
        live: the keys of all live conversations.
        known: all contacts.
    """
    agreed = {view.peer.lower() for view in live}
    trusted = [view.agent_id for view in known if view.state in ("APPROVED", "VERIFIED")]
    without = [agent_id for agent_id in trusted if agent_id.lower() not in agreed]
    if without:
        words = f"No keys are agreed on yet with {', '.join(without)}: that takes both being online once."
        return Finding("session", "warning", words)
    return Finding("session", "ok", "Keys are agreed on with every approved contact.")


def _clock(skew_ms: int | None) -> Finding:
    if skew_ms is None:
        return Finding("clock", "skipped", "Only the relay's greeting tells.")
    side = "ahead of" if skew_ms > 0 else "behind"
    words = f"This machine's clock is {abs(skew_ms) / 1000:.1f} s {side} the relay's."
    return Finding("clock", "ok" if abs(skew_ms) <= _LEEWAY_MS else "warning", words)
