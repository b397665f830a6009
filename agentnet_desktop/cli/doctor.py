"""`agentnet doctor`: prints what the doctor finds.

The checks are in `agentnet_desktop.doctor`. Changes nothing; it connects only when nobody else holds the profile, and
then only for as long as it looks.
"""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import ConnectionView
    from agentnet_desktop.compose import Holder
    from agentnet_desktop.doctor import Finding, Tell


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


async def _examine(args: Namespace, tell: Tell) -> None:
    from agentnet_desktop import doctor
    from agentnet_desktop.profile import is_held

    place = access.paths(args)
    settings = doctor.profile(place, tell)
    if settings is None:
        return
    held = is_held(place)
    if not await doctor.storage(place, settings, await access.passphrase(args), tell):
        return
    view = await (_held_connection(args, tell) if held else _own_connection(args, tell))
    if view is not None:
        for finding in doctor.connection(view):
            tell(finding)


async def _held_connection(args: Namespace, tell: Tell) -> ConnectionView:
    """Asks the holder how it is."""
    from agentnet_desktop.doctor import storing

    async with access.commander(args) as desk:
        tell(storing(await desk.agent.storage_problem()))
        snapshot = await desk.agent.snapshot()
    return snapshot.connection


async def _own_connection(args: Namespace, tell: Tell) -> ConnectionView | None:
    """Connects once, to see what happens."""
    from agentnet_desktop.agent.errors import AgentError
    from agentnet_desktop.compose import open_profile
    from agentnet_desktop.doctor import Finding
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
    from agentnet_desktop.doctor import CONNECT_S

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
