"""`agentnet log`: the live log."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, log_files, log_retention, outcome

if TYPE_CHECKING:
    from agentnet_desktop.agent.events import LogRow
    from agentnet_desktop.agent.log_queries import LogQueries
    from agentnet_desktop.cli.output import Output

_POLL_S = 1.0
_PAGE = 500
_NEWEST = 200


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    made = commands.add_parser("log", help="the live log", description="Prints the log.", parents=[common])
    made.add_argument(
        "--filter",
        default="",
        metavar="EXPR",
        help="from: to: with: type: conv: state: is:failed|unverified|encrypted|pinned|queued after: before: and words",
    )
    made.add_argument("--follow", action="store_true", help="go on with what is appended, until stopped")
    made.add_argument("--limit", type=_count, metavar="N", help=f"the newest N entries (default: {_NEWEST})")
    made.set_defaults(run=run)
    actions = made.add_subparsers(dest="action", metavar="ACTION")
    log_files.add(actions, common)
    log_retention.add(actions, common)


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 1_000_000:
        raise ArgumentTypeError(f"{text} is not a number of entries")
    return value


def json_row(row: LogRow, content: Any) -> dict[str, Any]:
    """Returns a log entry as JSON lines have it; `verified` is null where there is nothing to verify."""
    from agentnet_desktop.cli.output import plain

    data: dict[str, Any] = plain(row)
    data["verified"] = {"good": True, "bad": False}.get(row.verified.value)
    data["content"] = plain(content)
    return data


def human_row(row: LogRow) -> str:
    """Returns a log entry as one line; a peer's words are made visible."""
    from agentnet_desktop.cli.output import shown, when

    arrow = {"in": "<-", "out": "->", "local": "--"}[row.direction.value]
    marks = ("sealed " if row.encrypted else "") + {"good": "verified", "bad": "BAD SIGNATURE"}.get(
        row.verified.value, ""
    )
    mark = f" [{marks.strip()}]" if marks.strip() else ""
    peer = shown(row.peer, 64) or "here"
    return f"{row.seq} {when(row.time, seconds=True)} {arrow} {peer} {row.message_type} {row.state}{mark} {shown(row.summary)}"


async def print_row(out: Output, log: LogQueries, row: LogRow, *, hide_heartbeats: bool = False) -> None:
    """Prints one entry; JSON carries its decrypted content."""
    if out.as_json:
        detail = await log.detail(row.seq)
        out.data(json_row(row, detail.content if detail is not None else None))
    elif not (hide_heartbeats and row.message_type == "HEARTBEAT"):
        out.say(human_row(row))


async def run(args: Namespace) -> int:
    """Prints the newest entries that fit, oldest first, and with --follow what comes after them."""
    from agentnet_desktop.cli.output import Output

    out = Output(as_json=args.json)
    async with access.reader(args) as holder:
        log = holder.agent.log
        last = await log.head()
        limit = _NEWEST if args.limit is None else args.limit
        rows = await log.page(args.filter, limit=limit) if limit else []
        for row in rows:
            await print_row(out, log, row)
        if args.follow:
            await _follow(args, out, log, max([last, *(row.seq for row in rows)]))
    return outcome.DONE


async def _follow(args: Namespace, out: Output, log: LogQueries, last: int) -> None:
    """Prints what is appended. The holder's news wake us; without a holder we look once a second."""
    news = asyncio.Event()
    remote = None
    try:
        while True:
            news.clear()
            if remote is None:
                remote = await access.listen(access.paths(args), news.set)
            head = await log.head()
            while rows := await log.page(args.filter, after_seq=last, limit=_PAGE):
                for row in rows:
                    await print_row(out, log, row)
                last = rows[-1].seq
            last = max(last, head)
            try:
                async with asyncio.timeout(_POLL_S):
                    await news.wait()
            except TimeoutError:
                continue
    finally:
        if remote is not None:
            await remote.close()
