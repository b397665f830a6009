"""`agentnet policy`: what contacts may learn without asking the person."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome

if TYPE_CHECKING:
    from agentnet_desktop.agent.schedule_views import PolicyView

_LEVELS = ("deny", "ask", "coarse", "slots", "busy")
_LEVEL_HELP = (
    "deny · ask each time · coarse (half-days) · slots (exact free times) · busy (what is taken, too); "
    "other types than AVAILABILITY know only deny, ask and answer, which is any of the last three"
)


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the group."""
    words = "what contacts may learn without asking you"
    group = commands.add_parser("policy", help=words, description=words.capitalize() + ".", parents=[common])
    group.set_defaults(run=_show)
    actions = group.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("show", help="show it, for everybody (*) and for each contact", parents=[common])
    words = "set it for one contact, or for everybody without a rule of their own"
    made = actions.add_parser("set", help=words, description=words.capitalize() + ".", parents=[common])
    made.add_argument("agent_id", metavar="CONTACT", help="the contact, or * for everybody")
    made.add_argument(
        "query_type",
        metavar="QUERYTYPE",
        help="AVAILABILITY, LOCATION_PREFERENCE, MEETING_TYPE_PREFERENCE or CUSTOM",
    )
    made.add_argument("level", choices=_LEVELS, metavar="LEVEL", help=_LEVEL_HELP)
    made.set_defaults(run=_set)


def _line(view: PolicyView) -> str:
    from agentnet_desktop.cli.output import shown

    mark = "" if view.chosen else "  (not set)"
    return f"{shown(view.peer, 64):<24}  {view.query_type:<24}  {view.level}{mark}"


async def _show(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    async with access.reader(args) as holder:
        for view in await holder.agent.policy():
            out.row(view, _line(view))
    return outcome.DONE


async def _set(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    async with access.commander(args) as desk:
        view = await desk.agent.set_policy(args.agent_id, args.query_type, args.level)
    Output(as_json=args.json).row(view, _line(view))
    return outcome.DONE
