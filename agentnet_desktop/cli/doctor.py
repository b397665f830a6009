"""`agentnet doctor`: walks the ways in which an agent can be unwell, and says what to do.

Checks profile, keyring, database, disk, then what only a connection shows: relay, token, clock. Changes nothing; it
connects only when nobody else holds the profile, and then only for as long as it looks.
"""

from __future__ import annotations

import asyncio
import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import ConnectionView
    from agentnet_desktop.compose import Holder
    from agentnet_desktop.profile import ProfilePaths, ProfileSettings

CONNECT_S = 10.0
_LEEWAY_MS = 60_000  # what a relay forgives in a token's times
_LITTLE_ROOM = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and its result. `state`: `ok`, `warning`, `failed`, or `skipped` when an earlier one failed."""

    check: str
    state: str
    message: str


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "check keyring, database, disk, relay, token and clock"
    made = commands.add_parser("doctor", help=words, description=words.capitalize() + ".", parents=[common])
    made.set_defaults(run=run)


async def run(args: Namespace) -> int:
    """Prints one line a check; 1 when one failed."""
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    failed = False

    def tell(finding: Finding) -> None:
        nonlocal failed
        failed = failed or finding.state == "failed"
        out.row(finding, f"{finding.state:8} {finding.check:9} {finding.message}")

    await _examine(args, tell)
    return outcome.ERROR if failed else outcome.DONE


async def _examine(args: Namespace, tell: Callable[[Finding], None]) -> None:
    from agentnet_desktop.profile import ProfileError, holder_pid, is_held, read_settings

    place = access.paths(args)
    try:
        settings = read_settings(place)
    except ProfileError as error:
        tell(Finding("profile", "failed", str(error)))
        return
    held = is_held(place)
    who = f"; process {holder_pid(place)} holds it" if held else ""
    tell(Finding("profile", "ok", f"{settings.agent_id} in {place.root}{who}."))
    if not await _locally(args, settings, tell):
        return
    tell(_disk(place))
    view = await (_held_connection(args) if held else _own_connection(args, tell))
    if view is not None:
        for finding in connection_findings(view):
            tell(finding)


async def _locally(args: Namespace, settings: ProfileSettings, tell: Callable[[Finding], None]) -> bool:
    """Checks keyring and database beside a holder; False when one failed."""
    from agentnet_desktop.compose import open_vault
    from agentnet_desktop.store.engine import Database
    from agentnet_desktop.store.errors import StoreError
    from agentnet_desktop.store.opening import check
    from agentnet_desktop.vault.errors import VaultError

    place = access.paths(args)
    try:
        vault = await asyncio.to_thread(open_vault, place, settings, await access.passphrase(args))
    except VaultError as error:
        tell(Finding("keyring", "failed", str(error)))
        tell(Finding("database", "skipped", "It cannot be opened without the keys."))
        return False
    tell(
        Finding(
            "keyring",
            "ok",
            f"The keys are in {vault.backend}{' with a passphrase' if vault.has_passphrase else ''}.",
        )
    )
    try:
        key = vault.database_key
        await asyncio.to_thread(
            lambda: Database.open(place.database, key, now_ms=lambda: 0, read_only=True).close_sync()
        )
        damage = await asyncio.to_thread(check, place.database, key)
    except StoreError as error:
        tell(Finding("database", "failed", str(error)))
        return False
    finally:
        vault.lock()
    if damage:
        tell(Finding("database", "failed", f"Pages are damaged: {damage[0]} ({len(damage)} findings)."))
        return False
    size = place.database.stat().st_size
    tell(Finding("database", "ok", f"{size / 1_048_576:.1f} MiB, every page reads."))
    return True


def _disk(place: ProfilePaths) -> Finding:
    free = shutil.disk_usage(place.root).free
    state = "warning" if free < _LITTLE_ROOM else "ok"
    return Finding("disk", state, f"{free / 1_048_576:.0f} MiB are free at {place.root}.")


async def _held_connection(args: Namespace) -> ConnectionView:
    async with access.commander(args) as desk:
        snapshot = await desk.agent.snapshot()
    return snapshot.connection


async def _own_connection(args: Namespace, tell: Callable[[Finding], None]) -> ConnectionView | None:
    """Connects once, to see what happens."""
    from agentnet_desktop.agent.errors import AgentError
    from agentnet_desktop.compose import open_profile
    from agentnet_desktop.profile import ProfileError
    from agentnet_desktop.store.errors import StoreError

    try:
        holder = await open_profile(access.paths(args).root, passphrase=await access.passphrase(args))
    except (AgentError, ProfileError, StoreError) as error:
        tell(Finding("relay", "failed", str(error)))
        return None
    try:
        return await _first_word(holder)
    finally:
        await holder.close()


async def _first_word(holder: Holder) -> ConnectionView:
    """Waits until the connection stands or says why not, and for its first round trip."""
    from agentnet_desktop.agent.events import ConnectionChanged, ConnectionState

    loop = asyncio.get_running_loop()
    told: asyncio.Future[ConnectionView] = loop.create_future()

    def hear(event: object) -> None:
        if not isinstance(event, ConnectionChanged) or told.done():
            return
        view = event.view
        settled = view.state in (ConnectionState.WAITING, ConnectionState.STOPPED)
        if settled or view.round_trip_ms is not None:
            told.set_result(view)

    holder.agent.subscribe(hear)
    await holder.start()
    try:
        async with asyncio.timeout(CONNECT_S):
            return await told
    except TimeoutError:
        return (await holder.agent.snapshot()).connection


def connection_findings(view: ConnectionView) -> list[Finding]:
    """Reads relay, token and clock off a connection."""
    from agentnet_desktop.agent.events import ConnectionState
    from agentnet_desktop.cli.output import shown

    found: list[Finding] = []
    up = view.state is ConnectionState.CONNECTED
    refused = "sign-in" in view.reason
    if up:
        trip = f", round trip {view.round_trip_ms:.1f} ms" if view.round_trip_ms is not None else ""
        found.append(
            Finding("relay", "ok", f"Connected to {view.relay_url} ({shown(view.relay_name, 64)}){trip}.")
        )
        found.append(Finding("token", "ok", "The relay accepted it."))
    else:
        words = view.reason or f"No connection to {view.relay_url} came about in {CONNECT_S:.0f} s."
        found.append(Finding("relay", "ok" if refused else "failed", view.relay_url if refused else words))
        found.append(
            Finding(
                "token",
                "failed" if refused else "skipped",
                view.reason if refused else "The relay was not reached.",
            )
        )
    if view.insecure:
        found.append(Finding("transport", "warning", "The way to the relay is not encrypted (ws://)."))
    found.append(_clock(view.clock_skew_ms))
    return found


def _clock(skew_ms: int | None) -> Finding:
    if skew_ms is None:
        return Finding("clock", "skipped", "Only the relay's greeting tells.")
    side = "ahead of" if skew_ms > 0 else "behind"
    words = f"This machine's clock is {abs(skew_ms) / 1000:.1f} s {side} the relay's."
    return Finding("clock", "ok" if abs(skew_ms) <= _LEEWAY_MS else "warning", words)
