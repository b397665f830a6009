"""`agentnet doctor`: prints what the doctor finds, and what was measured with the period that it is of.

The checks are in `agentnet_desktop.doctor`. Changes nothing; it connects only when nobody else holds the profile, and
then only for as long as it looks.
"""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import ConnectionView, FiguresView
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.compose import Holder
    from agentnet_desktop.doctor import Finding, Tell

Seen = tuple["ConnectionView", "Finding", "FiguresView"]


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "check keyring, database, disk, relay, token, clock and session keys"
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

    figures = await _examine(args, tell)
    if figures is not None:
        _print_figures(out, figures)
    return outcome.ERROR if failed else outcome.DONE


def figure_lines(figures: FiguresView) -> list[str]:
    """Returns what was measured as lines for people, each with the time that it is of."""
    from agentnet_desktop.agent.figures import PERIOD_DAYS

    month = f"in the last {PERIOD_DAYS} days"
    messages = f"of {figures.delivered} messages delivered {month}"
    return [
        "connecting took " + _measured(figures.connect_ms, "the last time", figures.connect_p95_ms, month),
        "round trip " + _measured(figures.round_trip_p50_ms, "usually", figures.round_trip_p95_ms, month),
        "a message took " + _measured(figures.latency_p50_ms, "usually", figures.latency_p95_ms, messages),
        f"connections {figures.connections} since the profile was made",
        f"reconnections {figures.reconnections} since the agent started",
        f"retries {figures.retries}, {messages}",
    ]


def _measured(one: int | None, what: str, most: int | None, period: str) -> str:
    """Returns a value, the one below which 95 of 100 lie, and of which time that is."""
    if one is None:
        return "(not measured)"
    return f"{one} ms {what}" + ("" if most is None else f"; 95 of 100 below {most} ms, {period}")


def _print_figures(out: Output, figures: FiguresView) -> None:
    """Prints the figures: a line each for people, one object in JSON."""
    from agentnet_desktop.agent.figures import PERIOD_DAYS
    from agentnet_desktop.cli.output import plain

    lines = figure_lines(figures)
    if out.as_json:
        more = {"message": "; ".join(lines), "periodDays": PERIOD_DAYS, "figures": plain(figures)}
        out.data({"check": "figures", "state": "ok", **more})
    for line in lines:
        out.say(f"{'':8} figures   {line}")


async def _examine(args: Namespace, tell: Tell) -> FiguresView | None:
    """Tells each finding, and returns what was measured; None when the agent could not be asked."""
    from agentnet_desktop import doctor
    from agentnet_desktop.profile import is_held

    place = access.paths(args)
    settings = doctor.profile(place, tell)
    if settings is None:
        return None
    held = is_held(place)
    if not await doctor.storage(place, settings, await access.passphrase(args), tell):
        return None
    seen = await (_held_connection(args, tell) if held else _own_connection(args, tell))
    if seen is None:
        return None
    view, agreed, figures = seen
    for finding in [*doctor.connection(view), agreed]:
        tell(finding)
    return figures


async def _held_connection(args: Namespace, tell: Tell) -> Seen:
    """Asks the holder how it is."""
    from agentnet_desktop.doctor import sessions, storing

    async with access.commander(args) as desk:
        tell(storing(await desk.agent.storage_problem()))
        snapshot = await desk.agent.snapshot()
        agreed = sessions(await desk.agent.session_keys(), await desk.agent.contacts())
        return snapshot.connection, agreed, await desk.agent.figures()


async def _own_connection(args: Namespace, tell: Tell) -> Seen | None:
    """Connects once, to see what happens."""
    from agentnet_desktop.agent.errors import AgentError
    from agentnet_desktop.compose import open_profile
    from agentnet_desktop.doctor import Finding, sessions
    from agentnet_desktop.profile import ProfileError
    from agentnet_desktop.store.errors import StoreError

    try:
        holder = await open_profile(access.paths(args).root, passphrase=await access.passphrase(args))
    except (AgentError, ProfileError, StoreError) as error:
        tell(Finding("relay", "failed", str(error)))
        return None
    try:
        view = await _first_word(holder)
        agreed = sessions(await holder.agent.session_keys(), await holder.agent.contacts())
        return view, agreed, await holder.agent.figures()
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
