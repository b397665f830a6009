"""`agentnet run`: holds the profile, connects, and prints the live log until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.times import seconds

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import ConnectionView, Event, LogRow
    from agentnet_desktop.cli.answering import Answering
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.compose import Holder


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "connect and work until stopped, printing the live log"
    made = commands.add_parser("run", help=words, description=words.capitalize() + ".", parents=[common])
    made.add_argument(
        "--answer",
        choices=("ask", "accept", "decline"),
        default="ask",
        help="how proposals are answered in this run (default: ask, on a terminal; else they stay pending)",
    )
    made.add_argument(
        "--approve-contacts", action="store_true", help="approve who asks for contact, in this run"
    )
    made.add_argument("--for", dest="for_s", type=seconds, metavar="SECONDS", help="stop after this time")
    made.set_defaults(run=run)


async def run(args: Namespace) -> int:
    """Runs until a signal, or the time is up."""
    from agentnet_desktop.cli.answering import Answering, Terminal
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.compose import open_profile

    out = Output(as_json=args.json)
    stopped = _stop_on_signals()
    holder = await open_profile(access.paths(args).root, passphrase=await access.passphrase(args))
    try:
        terminal = Terminal() if args.answer == "ask" and sys.stdin.isatty() else None
        answering = Answering(
            holder.agent,
            rule=args.answer,
            terminal=terminal,
            approve_contacts=args.approve_contacts,
            warn=out.warn,
        )
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(answering.work(), name="answers")]
            live = _LiveLog(holder, out, answering)
            workers.append(group.create_task(live.work(), name="live log"))
            await holder.start()
            await answering.begin()
            await _until(stopped, args.for_s)
            await holder.stop()
            live.finish()
            await workers[1]
            workers[0].cancel()
    finally:
        await holder.close()
    return outcome.DONE


def _stop_on_signals() -> asyncio.Event:
    """SIGINT and SIGTERM end a run in order, from its first moment on."""
    stopped = asyncio.Event()
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
    return stopped


async def _until(stopped: asyncio.Event, for_s: float | None) -> None:
    try:
        async with asyncio.timeout(for_s):
            await stopped.wait()
    except TimeoutError:
        return


class _LiveLog:
    """Prints rows of the log, in order, as they are appended."""

    def __init__(self, holder: Holder, out: Output, answering: Answering) -> None:
        self._holder = holder
        self._out = out
        self._answering = answering
        self._rows: asyncio.Queue[LogRow | None] = asyncio.Queue()
        self._said = ""
        holder.agent.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        from agentnet_desktop.agent.events import ConnectionChanged, LogAppended, StorageChanged

        if isinstance(event, LogAppended):
            for row in event.rows:
                self._rows.put_nowait(row)
        elif isinstance(event, ConnectionChanged):
            self._tell(event.view)
        elif isinstance(event, StorageChanged):
            self._out.warn(f"agentnet run: {event.problem or 'The database can be written again.'}")
        self._answering.hear(event)

    def _tell(self, view: ConnectionView) -> None:
        """Tells a person of the connection on standard error, once per change."""
        from agentnet_desktop.cli.output import shown

        name = f" ({shown(view.relay_name, 64)})" if view.relay_name else ""
        words = view.reason or f"{view.state.lower()}: {view.relay_url}{name}"
        if view.insecure and view.state == "CONNECTED":
            words += " — not encrypted on the way to the relay"
        if words != self._said:
            self._said = words
            self._out.warn(f"agentnet run: {words}")

    async def work(self) -> None:
        """Prints until `finish`."""
        from agentnet_desktop.cli.log import print_row

        while (row := await self._rows.get()) is not None:
            await print_row(self._out, self._holder.agent.log, row, hide_heartbeats=True)

    def finish(self) -> None:
        """Lets `work` end when all is printed."""
        self._rows.put_nowait(None)
