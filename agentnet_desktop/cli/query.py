"""`agentnet query`: asks a contact's agent, waits for the answer, prints it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.outcome import Usage
from agentnet_desktop.cli.times import moment, rfc3339, seconds, zone_named

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import QueryAnswer

_WEEK = timedelta(days=7)
_TIMES = {"--from": "start", "--to": "end", "--tz": "tz", "--minutes": "minutes"}
_CUSTOM = {"--name": "name", "--params": "params"}
_TYPES = ("AVAILABILITY", "LOCATION_PREFERENCE", "MEETING_TYPE_PREFERENCE", "CUSTOM")


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "ask a contact's agent, wait for the answer, print it"
    made = commands.add_parser("query", help=words, description=words.capitalize() + ".", parents=[common])
    made.add_argument("agent_id", metavar="ID", help="the contact")
    made.add_argument("query_type", choices=_TYPES, metavar="TYPE", help=", ".join(_TYPES))
    made.add_argument("--from", dest="start", metavar="ISO", help="AVAILABILITY: from when (default: now)")
    made.add_argument(
        "--to", dest="end", metavar="ISO", help="AVAILABILITY: until when (default: a week after --from)"
    )
    made.add_argument("--tz", metavar="ZONE", help="the zone of the times (default: this machine's)")
    made.add_argument("--minutes", type=int, metavar="N", help="AVAILABILITY: how long the meeting is")
    made.add_argument("--name", metavar="N", help="CUSTOM: the query's name")
    made.add_argument("--params", metavar="JSON", help="CUSTOM: further parameters, a JSON object")
    made.add_argument(
        "--wait", type=seconds, metavar="S", help="seconds to wait for the answer (default: none)"
    )
    made.set_defaults(run=run)


def parameters(args: Namespace) -> dict[str, Any]:
    """Builds the query's parameters.

    Raises:
        Usage: one is missing, malformed, or belongs to another type.
    """
    for options, kind in ((_TIMES, "AVAILABILITY"), (_CUSTOM, "CUSTOM")):
        for option, name in options.items():
            if getattr(args, name) is not None and args.query_type != kind:
                raise Usage(f"{option} is for {kind}; {args.query_type} takes none.")
    if args.query_type == "AVAILABILITY":
        name, zone = zone_named(args.tz)
        start = datetime.now(zone) if args.start is None else moment(args.start, zone, "--from")
        end = start + _WEEK if args.end is None else moment(args.end, zone, "--to")
        found: dict[str, Any] = {"startDate": rfc3339(start), "endDate": rfc3339(end), "timeZone": name}
        return found if args.minutes is None else {**found, "durationMinutes": args.minutes}
    return _custom(args) if args.query_type == "CUSTOM" else {}


def _custom(args: Namespace) -> dict[str, Any]:
    """Builds the parameters of a CUSTOM query."""
    from agentnet_desktop.protocol.canonical import NotCanonical, jcs

    if args.name is None:
        raise Usage("CUSTOM needs --name.")
    try:
        more = json.loads(args.params) if args.params is not None else {}
    except (ValueError, RecursionError):
        more = None
    if not isinstance(more, dict):
        raise Usage("--params is not a JSON object.")
    found = {**more, "name": args.name}
    try:
        jcs(found)
    except NotCanonical:
        raise Usage(
            "--params holds what no message can carry, such as half a character, a number beyond 2^53 or no number."
        ) from None
    return found


async def run(args: Namespace) -> int:
    """Sends the query; with --wait prints the answer."""
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    asked = parameters(args)
    async with access.commander(args) as desk:
        request_id = await desk.agent.query(args.agent_id, args.query_type, asked)
        if args.wait is None:
            await desk.settle()
            out.row({"requestId": request_id, "peer": args.agent_id}, f"{request_id} is queued.")
            return outcome.DONE
        answer = await desk.agent.wait_query(request_id, args.wait)
    if answer is None:
        out.row(
            {"requestId": request_id, "peer": args.agent_id},
            f"{request_id} is not answered yet; still queued.",
        )
        return outcome.NO_ANSWER
    out.row(answer, _words(answer))
    return _code(answer)


def _code(answer: QueryAnswer) -> int:
    if answer.error is None:
        return outcome.DONE
    code = answer.error.get("code")
    if code == "PERMISSION_DENIED":
        return outcome.REJECTED
    return outcome.NO_ANSWER if code == "TIMEOUT_ERROR" else outcome.FAILED


def _words(answer: QueryAnswer) -> str:
    from agentnet_desktop.cli.output import shown

    peer = shown(answer.peer, 64)
    if answer.error is not None:
        message = shown(str(answer.error.get("message", "")))
        return f"{peer} does not answer: {shown(str(answer.error.get('code', '')), 64)} {message}".rstrip()
    data = dict(answer.data or {})
    slots = data.get("slots")
    if isinstance(slots, list):
        zone = f" ({shown(str(data['timeZone']), 64)})" if data.get("timeZone") else ""
        lines = [f"{peer} is free{zone}:" if slots else f"{peer} is not free then{zone}."]
        lines += [
            f"  {shown(str(slot.get('start')), 40)}  to  {shown(str(slot.get('end')), 40)}"
            for slot in slots
            if isinstance(slot, dict)
        ]
        return "\n".join(lines)
    return f"{peer}: {shown(json.dumps(data, ensure_ascii=False), 2000)}"
