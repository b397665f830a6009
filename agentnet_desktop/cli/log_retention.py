"""`agentnet log retention`: how long the log keeps what was said, and what it takes on disk.

The deleting is the agent's work (`agent.retention`); hashes stay in any case, so that the log still verifies.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, log_files, outcome

if TYPE_CHECKING:
    from agentnet_desktop.agent.retention import RetentionRule
    from agentnet_desktop.store.log_retention import DiskUse

_LONGEST_DAYS = 36_500
_LARGEST_MB = 1_048_576  # a terabyte


def add(actions: Any, common: ArgumentParser) -> None:
    """Adds the action to `log`."""
    made = actions.add_parser(
        "retention",
        help="show or set what the log keeps; contents go, hashes stay",
        description="Shows what the log takes on disk and how long it keeps what was said. With an option it sets "
        "that, and deletes what is over the limit. Only contents go; hashes stay, and the log still verifies.",
        parents=[common],
    )
    age = made.add_mutually_exclusive_group()
    age.add_argument("--days", type=_days, metavar="N", help="delete contents that are older than N days")
    age.add_argument("--forever", action="store_true", help="delete nothing because of its age")
    size = made.add_mutually_exclusive_group()
    size.add_argument(
        "--size",
        type=_megabytes,
        metavar="MB",
        help="delete the oldest contents above this size of the database",
    )
    size.add_argument("--no-limit", action="store_true", help="delete nothing because of the size")
    made.set_defaults(run=run)


def _within(text: str, most: int, what: str) -> int:
    value = int(text)
    if not 1 <= value <= most:
        raise ArgumentTypeError(f"{text} is not a number of {what} from 1 to {most}")
    return value


def _days(text: str) -> int:
    return _within(text, _LONGEST_DAYS, "days")


def _megabytes(text: str) -> int:
    return _within(text, _LARGEST_MB, "megabytes")


async def run(args: Namespace) -> int:
    """Shows the rule and what the log takes; sets the rule first when an option says so."""
    log_files.need_no_list(args)
    if args.days or args.forever or args.size or args.no_limit:
        async with access.commander(args) as desk:
            known = await desk.agent.retention()
            days = args.days or (None if args.forever else known.days)
            megabytes = args.size or (None if args.no_limit else known.megabytes)
            rule = await desk.agent.set_retention(days, megabytes)
            use = await desk.agent.wait_retention()
    else:
        async with access.reader(args) as holder:
            rule, use = await holder.agent.retention(), await holder.agent.disk_use()
    _tell(args, rule, use)
    return outcome.DONE


def _tell(args: Namespace, rule: RetentionRule, use: DiskUse) -> None:
    from agentnet_desktop.cli.output import Output, plain

    Output(as_json=args.json).row(
        {**plain(rule), **plain(use)},
        f"The database takes {use.file / 1_048_576:.1f} MB on disk; {use.kept} of {use.entries} log entries have their "
        f"content.\n{rule_words(rule)} Hashes stay in any case.",
    )


def rule_words(rule: RetentionRule) -> str:
    """Says what the log keeps."""
    age = f"for {rule.days} days" if rule.days is not None else "for ever"
    size = f"up to {rule.megabytes} MB in all" if rule.megabytes is not None else "whatever their size"
    return f"Contents are kept {age}, {size}."
