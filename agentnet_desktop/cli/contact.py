"""`agentnet contact`: links, contacts, keys and safety numbers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.outcome import Usage
from agentnet_desktop.cli.times import seconds, span_ms

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import ContactView, LinkView

_ON_ONE = {
    "approve": ("approve_contact", "approve an agent that asks for contact, and pin its key"),
    "block": ("block_contact", "block an agent: nothing of it is answered any more"),
    "remove": ("remove_contact", "forget a contact, its key and what waits for it"),
    "accept-key": ("accept_key", "accept the changed key of a contact"),
    "refuse-key": ("refuse_key", "refuse the changed key of a contact, for good"),
}

_ON_HELD = {
    "release": ("release_messages", "sent", "send the messages that were held because its key changed"),
    "drop": ("drop_messages", "given up", "give up the messages that were held because its key changed"),
}


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the group."""
    group = commands.add_parser(
        "contact", help="contacts and contact links", description="Contacts and contact links."
    )
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    link = actions.add_parser("link", help="make a contact link to hand to someone", parents=[common])
    link.add_argument("--expires", default="7d", metavar="TIME", help="its life, such as 24h (default: 7d)")
    link.add_argument("--list", action="store_true", help="show the links made here instead")
    link.add_argument("--withdraw", metavar="TOKEN", help="withdraw a link instead")
    link.set_defaults(run=_link)
    added = actions.add_parser("add", help="add the contact that a link names", parents=[common])
    added.add_argument("link", metavar="LINK", help="agentnet://contact/...")
    added.add_argument("--name", metavar="N", help="how you call the contact")
    added.add_argument(
        "--wait", type=seconds, metavar="S", help="seconds to wait until messages can be sealed"
    )
    added.set_defaults(run=_add)
    listed = actions.add_parser("list", help="show all contacts", parents=[common])
    listed.set_defaults(run=_list)
    for action, (_, words) in _ON_ONE.items():
        one = actions.add_parser(action, help=words, description=words.capitalize() + ".", parents=[common])
        one.add_argument("agent_id", metavar="ID")
        one.set_defaults(run=_on_one)
    for action, (_, _, words) in _ON_HELD.items():
        held = actions.add_parser(action, help=words, description=words.capitalize() + ".", parents=[common])
        held.add_argument("agent_id", metavar="ID")
        held.set_defaults(run=_on_held)
    verify = actions.add_parser("verify", help="print the safety number, or compare it", parents=[common])
    verify.add_argument("agent_id", metavar="ID")
    verify.add_argument(
        "--number", metavar="N", help="what the other side reads out; marks the contact verified"
    )
    verify.set_defaults(run=_verify)


def _line(view: ContactView) -> str:
    from agentnet_desktop.cli.output import shown

    online = {True: "online", False: "offline", None: ""}[view.online]
    changed = f"  new key {view.candidate_fingerprint}" if view.candidate_fingerprint else ""
    name = "" if view.name == view.agent_id else f"  ({shown(view.name, 64)})"
    return f"{shown(view.agent_id, 64)}{name}  {view.state}  {online or '-'}  {view.fingerprint}{changed}"


def _link_line(view: LinkView) -> str:
    from agentnet_desktop.cli.output import shown, when

    state = (
        "withdrawn" if view.withdrawn else f"used by {shown(view.used_by, 64)}" if view.used_by else "open"
    )
    return f"{view.token}  {state}  until {when(view.expires_at)}"


async def _link(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    if args.list and args.withdraw:
        raise Usage("--list and --withdraw contradict each other.")
    if args.list:
        async with access.reader(args) as holder:
            for view in await holder.agent.contact_links():
                out.row(view, _link_line(view))
        return outcome.DONE
    expires = span_ms(args.expires)
    async with access.commander(args) as desk:
        if args.withdraw:
            await desk.agent.withdraw_contact_link(args.withdraw)
            out.row({"token": args.withdraw, "withdrawn": True}, "The link is withdrawn.")
        else:
            made = await desk.agent.create_contact_link(expires)
            out.row(made, made.link)
    return outcome.DONE


async def _add(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    async with access.commander(args) as desk:
        view = await desk.agent.add_contact(args.link, name=args.name)
        if args.wait is None:
            await desk.settle()
            out.row(view, _line(view))
            return outcome.DONE
        ready = await desk.agent.wait_contact(view.agent_id, args.wait)
        out.row(ready or view, _line(ready or view))
        if ready is None:
            out.warn("agentnet contact: No answer yet; the handshake goes on while the agent runs.")
            return outcome.NO_ANSWER
    return outcome.DONE


async def _list(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    async with access.reader(args) as holder:
        for view in await holder.agent.contacts():
            out.row(view, _line(view))
    return outcome.DONE


async def _on_one(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    async with access.commander(args) as desk:
        method = getattr(desk.agent, _ON_ONE[args.action][0])
        view: ContactView = await method(args.agent_id)
        await desk.settle()
    Output(as_json=args.json).row(view, _line(view))
    return outcome.DONE


async def _on_held(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    method, done, _ = _ON_HELD[args.action]
    async with access.commander(args) as desk:
        count: int = await getattr(desk.agent, method)(args.agent_id)
        await desk.settle()
    messages = "1 held message is" if count == 1 else f"{count} held messages are"
    words = f"{messages} {done}." if count else f"Nothing is held for {args.agent_id}."
    Output(as_json=args.json).row({"agentId": args.agent_id, "done": args.action, "messages": count}, words)
    return outcome.DONE


async def _verify(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    if args.number is None:
        async with access.reader(args) as holder:
            number = await holder.agent.safety_number(args.agent_id)
        groups = " ".join(number[at : at + 5] for at in range(0, len(number), 5))
        out.row({"agentId": args.agent_id, "safetyNumber": number}, groups)
        return outcome.DONE
    async with access.commander(args) as desk:
        view = await desk.agent.verify_contact(args.agent_id, args.number)
    out.row(view, _line(view))
    return outcome.DONE
