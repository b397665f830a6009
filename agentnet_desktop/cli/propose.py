"""`agentnet propose`: sends proposals, waits for the answers."""

from __future__ import annotations

import asyncio
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.outcome import Usage
from agentnet_desktop.cli.times import moment, rfc3339, seconds, zone_named

if TYPE_CHECKING:
    from agentnet_desktop.agent.drafts import ProposalDraft
    from agentnet_desktop.agent.events import ProposalView
    from agentnet_desktop.cli.output import Output

_LOOK_S = 2.0
_CODES = {"ACCEPTED": outcome.DONE, "REJECTED": outcome.REJECTED, "MODIFIED": outcome.REJECTED}


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "propose a meeting to one contact or several"
    made = commands.add_parser("propose", help=words, description=words.capitalize() + ".", parents=[common])
    made.add_argument("agent_ids", nargs="+", metavar="ID", help="the contacts")
    made.add_argument("--title", required=True, metavar="T", help="what it is about")
    made.add_argument("--start", required=True, metavar="ISO", help="such as 2026-06-01T15:00")
    made.add_argument("--end", required=True, metavar="ISO")
    made.add_argument("--tz", metavar="ZONE", help="the zone of the times (default: this machine's)")
    made.add_argument("--location", default="", metavar="NAME", help="where")
    made.add_argument("--expires", metavar="ISO", help="no answer counts after this")
    made.add_argument(
        "--wait", type=seconds, metavar="S", help="seconds to wait for the answers (default: none)"
    )
    made.set_defaults(run=run)


def draft(args: Namespace) -> ProposalDraft:
    """Builds the draft of what the person typed.

    Raises:
        Usage: a time or a zone is malformed, or the end is not after the start.
    """
    from agentnet_desktop.agent.drafts import ProposalDraft

    name, zone = zone_named(args.tz)
    start, end = moment(args.start, zone, "--start"), moment(args.end, zone, "--end")
    if end <= start:
        raise Usage("--end is not after --start.")
    expires = moment(args.expires, zone, "--expires") if args.expires is not None else None
    return ProposalDraft(
        title=args.title,
        start=rfc3339(start),
        end=rfc3339(end),
        time_zone=name,
        location=args.location,
        expires_at=int(expires.timestamp() * 1000) if expires is not None else None,
    )


async def run(args: Namespace) -> int:
    """Sends; with --wait returns the worst outcome of all recipients."""
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    wanted = draft(args)
    async with access.commander(args) as desk:
        sent = await desk.agent.propose(args.agent_ids, wanted)
        return await outcomes(out, desk, sent, args.wait)


async def outcomes(out: Output, desk: access.Desk, sent: Sequence[ProposalView], wait: float | None) -> int:
    """Waits for the answers to proposals and prints them; returns the worst outcome.

    Args:
        out: where to.
        desk: the agent that sent them.
        sent: one proposal for each recipient.
        wait: seconds; None prints them as queued and returns 0.
    """
    if wait is None:
        await desk.settle()
        with outcome.kept(outcome.DONE):
            for view in sent:
                out.row(view, f"{line(view)}  queued")
        return outcome.DONE
    deadline = time.monotonic() + wait
    results = await asyncio.gather(*(_result(desk, view, deadline) for view in sent))
    worst = max(code for _, code, _ in results)
    with outcome.kept(worst):
        for view, _, words in results:
            out.row({**_data(view), "outcome": words}, f"{line(view)}  {words}")
    return worst


def _data(view: ProposalView) -> dict[str, Any]:
    from agentnet_desktop.cli.output import plain

    data: dict[str, Any] = plain(view)
    data["ref"] = view.ref
    return data


async def _result(desk: access.Desk, view: ProposalView, deadline: float) -> tuple[ProposalView, int, str]:
    """Waits for one recipient; looks now and then whether the message has failed for good."""
    from agentnet_desktop.cli.output import shown

    while True:
        left = max(0.0, deadline - time.monotonic())
        answered = await desk.agent.wait_proposal(view.ref, min(_LOOK_S, left))
        if answered is not None:
            return answered, _code(answered), _words(answered)
        for row in await desk.agent.outbox():
            if row.message_id == view.message_id and row.state == "FAILED":
                return view, outcome.FAILED, f"failed: {shown(row.reason)}"
        if left == 0:
            return view, outcome.NO_ANSWER, "no answer yet; still queued"


def _undelivered(view: ProposalView) -> bool:
    """Tells whether a proposal of ours ended because its message did; one that found no answer has no note."""
    return view.state == "EXPIRED" and bool(view.note)


def _code(view: ProposalView) -> int:
    return outcome.FAILED if _undelivered(view) else _CODES.get(view.state, outcome.NO_ANSWER)


def _words(view: ProposalView) -> str:
    from agentnet_desktop.cli.output import shown, when

    if view.state == "REJECTED":
        note = f": {shown(view.note)}" if view.note else ""
        return f"rejected ({shown(view.reason, 64)}){note}"
    if view.state == "MODIFIED":
        return f"another time is suggested: see 'agentnet proposals show {view.peer}/{view.proposal_id}'"
    if _undelivered(view):
        return f"failed: {shown(view.note)}"
    if view.state == "EXPIRED":
        return f"expired without an answer at {when(view.expires_at)}"
    return view.state.lower()


def line(view: ProposalView) -> str:
    """Returns a proposal as one line for people."""
    from agentnet_desktop.cli.output import shown, when

    arrow = "<-" if view.direction.value == "in" else "->"
    place = f"  at {shown(view.location, 80)}" if view.location else ""
    return f"{view.ref} {arrow} {shown(view.title, 80)}  {when(view.start)} to {when(view.end)}{place}"
