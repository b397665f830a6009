"""`agentnet proposals`: what waits for a person, and the answers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.times import moment, rfc3339, zone_named

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import ProposalView

_REASONS = ("SCHEDULE_CONFLICT", "LOCATION_UNSUITABLE", "TIME_UNSUITABLE", "USER_DECLINED", "OTHER")


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the group."""
    words = "proposals, and the answers to them"
    group = commands.add_parser(
        "proposals", help=words, description=words.capitalize() + ".", parents=[common]
    )
    group.set_defaults(run=_list)
    actions = group.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="show what waits for an answer, then the rest", parents=[common])
    show = _on_one(actions, common, "show", _show, "show one proposal whole")
    del show
    accept = _on_one(actions, common, "accept", _accept, "accept a proposal")
    accept.add_argument("--alternative", type=int, default=0, metavar="N", help="0: the main slot (default)")
    decline = _on_one(actions, common, "decline", _decline, "decline a proposal")
    decline.add_argument("--reason", choices=_REASONS, default="USER_DECLINED", help="the protocol's word")
    decline.add_argument("--note", default="", metavar="T", help="a word to the other side")
    counter = _on_one(actions, common, "counter", _counter, "suggest another time")
    counter.add_argument("--start", required=True, metavar="ISO")
    counter.add_argument("--end", required=True, metavar="ISO")
    counter.add_argument("--tz", metavar="ZONE", help="the zone of the times (default: this machine's)")
    cancel = _on_one(
        actions, common, "cancel", _cancel, "withdraw or cancel, before or after it was accepted"
    )
    cancel.add_argument("--note", default="", metavar="T", help="a word to the other side")


def _on_one(actions: Any, common: ArgumentParser, name: str, run: Any, words: str) -> ArgumentParser:
    made: ArgumentParser = actions.add_parser(
        name, help=words, description=words.capitalize() + ".", parents=[common]
    )
    made.add_argument(
        "ref", metavar="ID", help="peer/proposalId/revision, or the proposalId when it names only one"
    )
    made.set_defaults(run=run)
    return made


def _print(args: Namespace, view: ProposalView, words: str = "") -> None:
    from agentnet_desktop.cli.output import Output, plain
    from agentnet_desktop.cli.propose import line

    data = {**plain(view), "ref": view.ref}
    Output(as_json=args.json).row(data, f"{view.state}  {line(view)}{words}")


async def _list(args: Namespace) -> int:
    async with access.reader(args) as holder:
        views = await holder.agent.proposals()
    for view in sorted(views, key=lambda view: view.state != "PENDING"):
        _print(args, view)
    return outcome.DONE


async def _show(args: Namespace) -> int:
    async with access.reader(args) as holder:
        view = await holder.agent.proposal(args.ref)
    _print(args, view, _details(view))
    return outcome.DONE


def _details(view: ProposalView) -> str:
    from agentnet_desktop.cli.output import shown, when

    facts = [
        ("from" if view.direction.value == "in" else "to", f"{shown(view.peer, 64)} ({view.peer_state})"),
        ("about", shown(view.description, 2000)),
        ("address", shown(view.address)),
        ("kind", shown(view.meeting_type, 64)),
        ("their time", shown(f"{view.local_start} {view.time_zone}".strip(), 100)),
        ("note", view.time_disagreement),
        ("with", shown(", ".join(view.participants))),
        ("answer until", when(view.expires_at) if view.expires_at else ""),
        ("reason", shown(f"{view.reason} {view.note}".strip())),
    ]
    facts += [
        (
            f"alternative {number}",
            f"{when(slot.start)} to {when(slot.end)} {shown(slot.location, 80)}".rstrip(),
        )
        for number, slot in enumerate(view.alternatives, 1)
    ]
    return "".join(f"\n  {name:14} {value}" for name, value in facts if value)


async def _accept(args: Namespace) -> int:
    async with access.commander(args) as desk:
        view = await desk.agent.accept(args.ref, alternative=args.alternative)
        await desk.settle()
    _print(args, view)
    return outcome.DONE


async def _decline(args: Namespace) -> int:
    async with access.commander(args) as desk:
        view = await desk.agent.decline(args.ref, reason=args.reason, note=args.note)
        await desk.settle()
    _print(args, view)
    return outcome.DONE


async def _counter(args: Namespace) -> int:
    _, zone = zone_named(args.tz)
    start = rfc3339(moment(args.start, zone, "--start"))
    end = rfc3339(moment(args.end, zone, "--end"))
    async with access.commander(args) as desk:
        view = await desk.agent.counter(args.ref, start=start, end=end)
        await desk.settle()
    _print(args, view)
    return outcome.DONE


async def _cancel(args: Namespace) -> int:
    async with access.commander(args) as desk:
        view = await desk.agent.cancel(args.ref, args.note)
        await desk.settle()
    _print(args, view)
    return outcome.DONE
