"""`agentnet log export`, `verify`, `compare`: the log as a file that can be proved."""

from __future__ import annotations

import asyncio
from argparse import SUPPRESS, ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.outcome import Usage

if TYPE_CHECKING:
    from agentnet_desktop.audit.verify import Report
    from agentnet_desktop.compose import Holder


def add(actions: Any, common: ArgumentParser) -> None:
    """Adds the actions to `log`."""
    export = actions.add_parser("export", help="write the log into a file", parents=[common])
    export.add_argument("--out", required=True, metavar="FILE", help="the file; must not be there yet")
    export.add_argument(
        "--format", choices=("jsonl", "har", "csv"), default="jsonl", help="jsonl can be verified"
    )
    export.add_argument(
        "--filter",
        default=SUPPRESS,  # else one that stands before the action would be forgotten
        metavar="EXPR",
        help="what goes in whole; the rest as hashes (jsonl)",
    )
    export.add_argument(
        "--redact", action="store_true", help="leave out what was said; the hashes still verify"
    )
    export.set_defaults(run=_export)
    verify = actions.add_parser(
        "verify", help="check the profile's log, or an exported file", parents=[common]
    )
    verify.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="an exported file (jsonl); needs no profile, but uses what one knows",
    )
    verify.set_defaults(run=_verify)
    compare = actions.add_parser(
        "compare", help="what one of two exported logs has and the other lacks", parents=[common]
    )
    compare.add_argument("first", metavar="A")
    compare.add_argument("second", metavar="B")
    compare.set_defaults(run=_compare)


def need_no_list(args: Namespace, *, but: str = "") -> None:
    """Refuses options of the list of entries before an action that has no use for them.

    Args:
        args: of the command line.
        but: the option that the action takes.

    Raises:
        Usage: there is one.
    """
    given = {"--filter": bool(args.filter), "--follow": args.follow, "--limit": args.limit is not None}
    for option, there in given.items():
        if there and option != but:
            raise Usage(f"{option} is for the list of entries: 'log {args.action}' takes none.")


async def _known_keys(holder: Holder) -> dict[str, list[bytes]]:
    """Returns the pinned keys of all contacts."""
    from agentnet_desktop.store import contacts

    known = await holder.database.read(contacts.every)
    return {contact.agent_id: [contact.identity_key] for contact in known if contact.identity_key is not None}


def _new_file(name: str) -> Path:
    if Path(name).exists():
        raise Usage(f"{name} is there already; an export never replaces a file.")
    return Path(name)


async def _export(args: Namespace) -> int:
    from agentnet_desktop.audit.export import ExportFormat, Source, export_log
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.compose import system_clock
    from agentnet_desktop.crypto.chain import sign_export

    need_no_list(args, but="--filter")
    target = _new_file(args.out)
    async with access.reader(args) as holder:
        identity = holder.vault.identity
        source = Source(
            agent_id=holder.settings.agent_id,
            identity_key=identity.public,
            relay_url=holder.endpoint.url,
            exported_at=system_clock(),
            sign=partial(sign_export, identity),
            filter_text=args.filter,
            keys=await _known_keys(holder),
        )
        terms = holder.agent.log.parse(args.filter).terms
        done = await asyncio.to_thread(
            export_log, holder.database, target, source, file_format=ExportFormat(args.format), terms=terms,
            redact=args.redact,
        )  # fmt: skip
    stubs = f" and {done.stubs} as hashes" if done.stubs else ""
    Output(as_json=args.json).row(
        done, f"{done.entries} entries{stubs} are in {done.path} ({done.size} bytes)."
    )
    return outcome.DONE


async def _verify(args: Namespace) -> int:
    from agentnet_desktop.audit.stored import verify_database

    need_no_list(args)
    if args.file is not None:
        return _told(args, await _verified_file(args, Path(args.file)))
    async with access.reader(args) as holder:
        report = await asyncio.to_thread(
            verify_database,
            holder.database,
            own_id=holder.settings.agent_id,
            identity_key=holder.vault.identity.public,
            keys=await _known_keys(holder),
            anchors=await holder.agent.proof.kept_heads(),
        )
    return _told(args, report)


async def _verified_file(args: Namespace, path: Path) -> Report:
    """Verifies a file with what the profile knows of its exporter; without a profile, by the file alone."""
    from agentnet_desktop.audit.exported import verify_file
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.profile import ProfileError
    from agentnet_desktop.store.errors import StoreError
    from agentnet_desktop.vault.errors import VaultError

    if access.paths(args).settings.exists():
        try:
            async with access.reader(args) as holder:
                return await holder.agent.proof.verify_export(path)
        except (ProfileError, StoreError, VaultError) as error:
            Output.warn(f"Only the file itself is checked, for the profile cannot be opened: {error}")
    return await asyncio.to_thread(verify_file, path)


def _told(args: Namespace, report: Report) -> int:
    """Prints a report; a tampered log has its first bad entry on the first line."""
    from agentnet_desktop.cli.output import Output, plain, shown

    out = Output(as_json=args.json)
    bad = report.first_bad
    proved = (
        f"{report.signatures} authors, {report.commitments} contents, {report.receipts} receipts proved; "
        f"{_completeness(report)}"
    )
    if report.loose_steps:
        proved += f"; {report.loose_steps} delivery steps that no entry here proves"
    words = f"Intact: {report.entries} entries, {proved}."
    if bad is not None:
        words = (
            f"Tampered: entry {bad.seq}: {shown(bad.sentence, 500)} ({len(report.problems)} problems in all)"
        )
    code = outcome.DONE if report.intact else outcome.TAMPERED
    with outcome.kept(code):
        out.row({**plain(report), "intact": report.intact, "firstBad": plain(bad)}, words)
        for agent_id, prints in report.keys.items():
            out.say(f"  key of {shown(agent_id, 64)}: {', '.join(prints)}")
    return code


def _completeness(report: Report) -> str:
    """Says up to where nothing is missing, and by whose word."""
    if not report.anchored_to:
        return "nothing says how far it goes"
    signed = f"complete up to entry {report.anchored_to} by its owner's signature"
    if report.held_to == report.anchored_to:
        return f"complete up to entry {report.held_to} by what the key store or peers hold"
    return (
        f"{signed}, up to entry {report.held_to} by what the key store or peers hold"
        if report.held_to
        else signed
    )


async def _compare(args: Namespace) -> int:
    from agentnet_desktop.audit.compare import compare_files
    from agentnet_desktop.audit.items import NotAnExport
    from agentnet_desktop.cli.output import Output, shown

    need_no_list(args)
    try:
        found = await asyncio.to_thread(compare_files, Path(args.first), Path(args.second))
    except NotAnExport:
        raise
    except ValueError as error:
        raise Usage(str(error)) from error
    out = Output(as_json=args.json)
    with outcome.kept(outcome.DONE):
        for difference in found:
            out.row(
                difference, f"{difference.kind}  entry {difference.seq}  {shown(difference.sentence, 500)}"
            )
        if not found:
            out.say("The two logs tell the same.")
    return outcome.DONE
