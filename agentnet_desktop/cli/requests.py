"""`agentnet requests`: queries of contacts that wait for the person's permission."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from agentnet_desktop.cli import access, outcome


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the group."""
    words = "queries that wait for your permission"
    group = commands.add_parser(
        "requests", help=words, description=words.capitalize() + ".", parents=[common]
    )
    group.set_defaults(run=_list)
    actions = group.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser(
        "list", help="show them, each with the very answer that would be sent", parents=[common]
    )
    for action, words in (("allow", "send the shown answer"), ("deny", "answer that it is denied")):
        made = actions.add_parser(action, help=words, description=words.capitalize() + ".", parents=[common])
        made.add_argument("request_id", metavar="ID")
        made.add_argument(
            "--always", action="store_true", help="from now on, for this contact and kind of query"
        )
        made.set_defaults(run=_decide)


async def _list(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output, plain, shown, when

    out = Output(as_json=args.json)
    async with access.reader(args) as holder:
        for view in await holder.agent.requests():
            answer = json.dumps(plain(view.answer), ensure_ascii=False)
            asked = json.dumps(plain(view.parameters), ensure_ascii=False)
            out.row(
                view,
                f"{shown(view.request_id, 64)}  {shown(view.peer, 64)}  {view.query_type}  {when(view.received_at)}"
                f"\n  asks          {shown(asked, 500)}\n  would be told {shown(answer, 2000)}",
            )
    return outcome.DONE


async def _decide(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    async with access.commander(args) as desk:
        decide = desk.agent.allow_request if args.action == "allow" else desk.agent.deny_request
        await decide(args.request_id, always=args.always)
        await desk.settle()
    done = "allowed" if args.action == "allow" else "denied"
    Output(as_json=args.json).row(
        {"requestId": args.request_id, "decision": done}, f"{args.request_id} is {done}."
    )
    return outcome.DONE
