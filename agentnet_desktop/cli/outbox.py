"""`agentnet outbox`: what is on its way, why it waits, until when."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import OutboxView


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the group."""
    words = "messages that are not delivered: why they wait, and until when"
    group = commands.add_parser("outbox", help=words, description=words.capitalize() + ".", parents=[common])
    group.set_defaults(run=_list)
    actions = group.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="show them", parents=[common])
    for action, words in (("cancel", "give a message up"), ("retry", "try a message again at once")):
        made = actions.add_parser(action, help=words, description=words.capitalize() + ".", parents=[common])
        made.add_argument("message_id", metavar="MSGID")
        made.set_defaults(run=_act)


def _line(view: OutboxView) -> str:
    from agentnet_desktop.cli.output import shown, when

    again = f"  next try {when(view.next_attempt_at)}" if view.next_attempt_at else ""
    return (
        f"{view.message_id}  {shown(view.peer, 64)}  {view.message_type}  {view.state}  {view.attempts} tries"
        f"{again}  until {when(view.expires_at)}  {shown(view.reason)}".rstrip()
    )


async def _list(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    async with access.reader(args) as holder:
        for view in await holder.agent.outbox():
            out.row(view, _line(view))
    return outcome.DONE


async def _act(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    async with access.commander(args) as desk:
        if args.action == "cancel":
            await desk.agent.cancel_message(args.message_id)
        else:
            await desk.agent.retry_message(args.message_id)
            await desk.settle()
    done = "given up" if args.action == "cancel" else "tried again"
    Output(as_json=args.json).row(
        {"messageId": args.message_id, "done": args.action}, f"{args.message_id} is {done}."
    )
    return outcome.DONE
