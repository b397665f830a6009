"""`agentnet freebusy`: when the person is free, and what is taken."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import timedelta
from typing import Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.times import moment, zone_named

_WEEK = timedelta(days=7)


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "when you are free, and what is taken"
    made = commands.add_parser("freebusy", help=words, description=words.capitalize() + ".", parents=[common])
    made.add_argument("--from", dest="start", metavar="ISO", required=True, help="from when")
    made.add_argument("--to", dest="end", metavar="ISO", help="until when (default: a week after --from)")
    made.add_argument("--tz", metavar="ZONE", help="the zone of the times (default: this machine's)")
    made.set_defaults(run=run)


async def run(args: Namespace) -> int:
    """Prints free stretches and taken ones, by their start."""
    from agentnet_desktop.cli.output import Output, when

    _, zone = zone_named(args.tz)
    start = moment(args.start, zone, "--from")
    end = start + _WEEK if args.end is None else moment(args.end, zone, "--to")
    out = Output(as_json=args.json)
    async with access.reader(args) as holder:
        view = await holder.agent.free_busy(int(start.timestamp() * 1000), int(end.timestamp() * 1000))
    rows = [(slot, "free") for slot in view.free] + [(slot, "busy") for slot in view.busy]
    for slot, state in sorted(rows, key=lambda row: row[0].start):
        out.row(
            {"state": state, "start": slot.start, "end": slot.end, "timeZone": view.time_zone},
            f"{state}  {when(slot.start)}  to  {when(slot.end)}",
        )
    if not rows:
        out.say("Nothing is free and nothing is taken then.")
    return outcome.DONE
