"""`agentnet`: the agent without a window. Reads the command line, runs one command, turns errors into sentences.

Each command group has a file beside this one; none is slow to import, for what is slow they import when they run.
No Qt. An error is one sentence on standard error and an exit code (`outcome`); no traceback reaches a person unless
AGENTNET_LOG asks for the log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from agentnet_desktop.cli import outcome
from agentnet_desktop.cli.outcome import Stopped, Unread, Usage

_log = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(outcome.USAGE, f"{self.prog}: {message[:1].upper()}{message[1:]}. See --help.\n")


class _Version(argparse.Action):
    """`--version`: reads the installed version only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"agentnet {version('agentnet-desktop')}\n")
        parser.exit()


def _common() -> argparse.ArgumentParser:
    """The options that every command takes."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = common.add_argument_group("common options")
    group.add_argument(
        "--profile", metavar="DIR", help="the profile's folder (default: the platform's place)"
    )
    group.add_argument(
        "--passphrase-file", metavar="F", help="unlocks a profile with a passphrase: the file's first line"
    )
    group.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    return common


def parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    from agentnet_desktop.cli import (
        contact,
        doctor,
        freebusy,
        init,
        keys,
        log,
        meet,
        outbox,
        policy,
        proposals,
        propose,
        query,
        requests,
        run,
    )

    common = _common()
    top = _Parser(
        prog="agentnet",
        description="An agent that arranges meetings over sealed messages, without a window.",
        epilog="Exit codes: 0 done or queued, 1 error, 2 bad usage, 3 rejected, 4 no answer in time, "
        "5 tampered, 6 failed.",
        parents=[common],
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for group in (init, contact, run, query, propose, meet, proposals, requests, outbox, log, keys):
        group.add(commands, common)
    for group in (policy, freebusy, doctor):
        group.add(commands, common)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    args = argparse.Namespace(profile=None, passphrase_file=None, json=False)
    parser().parse_args(argv, args)
    _set_up_log()
    try:
        _need_text(args)
        return asyncio.run(_run(args))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 (the last line of defence: no traceback reaches a person)
        return _ended(args, _leaf(error))


def _need_text(args: argparse.Namespace) -> None:
    """Refuses words that are not UTF-8, which no message can carry; files may be called as they are."""
    for name in ("title", "location", "note", "name", "params", "filter", "reason", "tz"):
        value = getattr(args, name, None)
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Usage(f"--{name} is not valid UTF-8 text.") from None


def _leaf(error: Exception) -> Exception:
    """Returns the first error out of a group of tasks, which is what a person is told."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _ended(args: argparse.Namespace, error: Exception) -> int:
    """Tells an error, and returns its exit code."""
    match error:
        case Usage():
            return _fail(args, str(error), outcome.USAGE)
        case Stopped():
            return 128 + error.number
        case BrokenPipeError() | Unread():
            # Or the interpreter complains at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return error.code if isinstance(error, Unread) else outcome.ERROR
        case ModuleNotFoundError():  # its own parts may be what is missing, so nothing more is imported
            words = f"{error.name} is not installed: install agentnet-desktop[agent], not only the relay."
            return _fail(args, words, outcome.ERROR)
        case _:
            return _fail(args, _sentence(error), _exit_code(error))


def _fail(args: argparse.Namespace, sentence: str, code: int) -> int:
    sys.stderr.write(f"agentnet {args.command}: {sentence}\n")
    return code


def _sentence(error: Exception) -> str:
    """Returns what a person is told of an error: its own words when it was raised for a person."""
    from agentnet_desktop.agent.errors import AgentError
    from agentnet_desktop.audit.filter import FilterError
    from agentnet_desktop.audit.items import NotAnExport
    from agentnet_desktop.profile import ProfileError
    from agentnet_desktop.store.errors import StoreError
    from agentnet_desktop.transport.endpoint import BadEndpoint
    from agentnet_desktop.vault.errors import VaultError

    if isinstance(
        error, AgentError | ProfileError | StoreError | VaultError | BadEndpoint | FilterError | NotAnExport
    ):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"The system refused: {error.strerror}{where}."
    _log.debug("unexpected error", exc_info=error)
    return f"Something went wrong inside ({type(error).__name__}); run again with AGENTNET_LOG=debug and report it."


def _exit_code(error: Exception) -> int:
    from agentnet_desktop.audit.filter import FilterError

    if isinstance(error, FilterError):
        return outcome.USAGE
    code: int = getattr(error, "exit_code", outcome.ERROR)
    return code


def _set_up_log() -> None:
    """Shows the log only to who asks for it; what happens otherwise is told by the command."""
    level = os.environ.get("AGENTNET_LOG", "").upper()
    if level in ("DEBUG", "INFO", "WARNING", "ERROR"):
        logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    else:
        logging.getLogger().addHandler(logging.NullHandler())


async def _run(args: argparse.Namespace) -> int:
    """Runs the command so that SIGINT and SIGTERM end it in order."""
    task = asyncio.current_task()
    got: list[int] = []

    def stop(number: int) -> None:
        got.append(number)
        if task is not None:
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows' loops take no handlers: there KeyboardInterrupt does it.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop, number)
    try:
        code: int = await args.run(args)
    except asyncio.CancelledError:
        if got:
            raise Stopped(got[0]) from None
        raise
    return code
