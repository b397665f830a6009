"""`agentnet meet`: the whole negotiation: asks who is free, finds what suits everyone, proposes it, waits."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome, propose
from agentnet_desktop.cli.times import moment, seconds, zone_named

if TYPE_CHECKING:
    from agentnet_desktop.agent.drafts import ProposalDraft
    from agentnet_desktop.agent.schedule_views import SilentView, TimesView
    from agentnet_desktop.cli.output import Output

_ANSWERS_S = 30.0  # agents answer by themselves, or their people have to be asked


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "find a time that suits everyone, and propose it"
    made = commands.add_parser("meet", help=words, description=words.capitalize() + ".", parents=[common])
    made.add_argument("agent_ids", nargs="+", metavar="ID", help="the contacts")
    made.add_argument("--minutes", type=int, required=True, metavar="N", help="how long the meeting is")
    made.add_argument("--from", dest="start", metavar="ISO", required=True, help="not before")
    made.add_argument("--to", dest="end", metavar="ISO", required=True, help="over by then")
    made.add_argument("--tz", metavar="ZONE", help="the zone of the times (default: this machine's)")
    made.add_argument("--title", default="Meeting", metavar="T", help="what it is about")
    made.add_argument("--location", default="", metavar="NAME", help="where")
    made.add_argument(
        "--wait",
        type=seconds,
        metavar="S",
        help=f"seconds to wait for what people decide (default: none); agents have {_ANSWERS_S:.0f} to say when "
        "they are free, or this if it is more",
    )
    made.set_defaults(run=run)


async def run(args: Namespace) -> int:
    """Asks, chooses, proposes; with --wait returns the worst outcome of all recipients."""
    from agentnet_desktop.cli.output import Output

    name, zone = zone_named(args.tz)
    start, end = moment(args.start, zone, "--from"), moment(args.end, zone, "--to")
    out = Output(as_json=args.json)
    async with access.commander(args) as desk:
        found = await desk.agent.suggest_times(
            args.agent_ids,
            int(start.timestamp() * 1000),
            int(end.timestamp() * 1000),
            minutes=args.minutes,
            time_zone=name,
            timeout_s=max(_ANSWERS_S, args.wait or 0),
        )
        if not found.best:
            return _nothing(out, found)
        sent = await desk.agent.propose(args.agent_ids, _draft(args, name, found))
        return await propose.outcomes(out, desk, sent, args.wait)


def _draft(args: Namespace, zone: str, found: TimesView) -> ProposalDraft:
    from agentnet_desktop.agent.drafts import ProposalDraft

    first, *others = found.best
    return ProposalDraft(
        title=args.title,
        start=_written(first.start),
        end=_written(first.end),
        time_zone=zone,
        location=args.location,
        alternatives=tuple(others) if len(args.agent_ids) == 1 else (),
    )


def _written(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def _nothing(out: Output, found: TimesView) -> int:
    """Says why nothing was proposed."""
    if found.silent:
        worst = max(_code(view) for view in found.silent)
        with outcome.kept(worst):
            for view in found.silent:
                out.row(view, _silence(view))
        return worst
    out.row({"starts": [], "best": []}, "No time in that stretch suits everyone. Nothing was proposed.")
    return outcome.REJECTED


def _silence(view: SilentView) -> str:
    from agentnet_desktop.cli.output import shown

    why = (
        f"{shown(view.code, 64)} {shown(view.message)}".strip()
        or "no answer in time; the query is still queued"
    )
    return f"{shown(view.peer, 64)} did not say: {why}. Nothing was proposed."


def _code(view: SilentView) -> int:
    if view.code == "PERMISSION_DENIED":
        return outcome.REJECTED
    return outcome.NO_ANSWER if view.code in ("", "TIMEOUT_ERROR") else outcome.FAILED
