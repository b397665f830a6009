"""How a command reaches its agent: the read-only database, the process that holds the profile, or an agent of its own.

Reading commands open the database beside whoever holds the profile. All others ask the holder through its local
socket; when nobody holds the profile, the command does, and connects for as long as it needs.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentnet_desktop.cli.outcome import Usage
from agentnet_desktop.profile import ProfileInUse, ProfilePaths, default_profile, read_settings

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent
    from agentnet_desktop.compose import Holder
    from agentnet_desktop.control import RemoteAgent

ENVIRONMENT = "AGENTNET_PASSPHRASE_FILE"
SETTLE_S = 5.0
_HOLDER_STARTS_S = 10.0
_LONGEST_PASSPHRASE = 4096


def paths(args: Namespace) -> ProfilePaths:
    """Returns the profile that a command is about."""
    return ProfilePaths(Path(args.profile).absolute() if args.profile else default_profile())


def read_passphrase(file: str, what: str = "passphrase") -> str:
    """Reads a passphrase file: its first line.

    Args:
        file: its name.
        what: what it holds, for the sentence.

    Raises:
        PassphraseNeeded: it cannot be read, or is empty.
    """
    from agentnet_desktop.vault.errors import PassphraseNeeded

    try:
        with Path(file).open("rb") as stream:
            line = stream.readline(_LONGEST_PASSPHRASE).decode().rstrip("\r\n")
    except OSError as error:
        raise PassphraseNeeded(f"The {what} file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PassphraseNeeded(f"The {what} file {file} does not hold text.") from error
    if not line:
        raise PassphraseNeeded(f"The {what} file {file} is empty.")
    return line


def passphrase_file(args: Namespace) -> str | None:
    """Returns the passphrase file that the person named, by option or by environment."""
    named: str | None = getattr(args, "passphrase_file", None)
    return named or os.environ.get(ENVIRONMENT) or None


def email() -> str:
    """Asks at the terminal whose account signs in; standard output stays free.

    Raises:
        Usage: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise Usage("Whose account? Give its e-mail address with --email.")
    sys.stderr.write("E-mail address of the account: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def password(file: str | None, email: str) -> str:
    """Returns an account's password, out of a file or typed at the terminal; never off the command line.

    Raises:
        Usage: there is neither a file nor a terminal.
    """
    if file is not None:
        return read_passphrase(file, "password")
    if not sys.stdin.isatty():
        raise Usage("Which password? Name its file with --password-file, or call from a terminal.")
    return typed(f"Password of {email}: ")


def typed(prompt: str) -> str:
    """Asks at the terminal, without showing what is typed. Ctrl-C ends the program here, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return getpass.getpass(prompt)
    finally:
        signal.signal(signal.SIGINT, before)


async def passphrase(args: Namespace) -> str | Callable[[], str]:
    """Returns a profile's passphrase: typed at the terminal when there is one and it is needed, else out of a file."""
    from agentnet_desktop.compose import needs_passphrase
    from agentnet_desktop.vault.errors import PassphraseNeeded

    file = passphrase_file(args)
    if file is not None:
        return lambda: read_passphrase(file)
    if sys.stdin.isatty() and await asyncio.to_thread(needs_passphrase, paths(args)):
        return typed("Passphrase: ")

    def refuse() -> str:
        raise PassphraseNeeded(
            f"This profile has a passphrase: name a file with --passphrase-file or {ENVIRONMENT}, "
            "or call from a terminal."
        )

    return refuse


@asynccontextmanager
async def reader(args: Namespace) -> AsyncIterator[Holder]:
    """Opens the profile for looking only."""
    from agentnet_desktop.compose import open_reader

    holder = await open_reader(paths(args).root, passphrase=await passphrase(args))
    try:
        yield holder
    finally:
        await holder.close()


@dataclass(frozen=True)
class Desk:
    """An agent that takes commands.

    Attributes:
        agent: who takes them, here or in another process.
        own: the profile that this command holds itself; None beside a holder.
    """

    agent: Agent | RemoteAgent
    own: Holder | None

    async def settle(self, limit_s: float = SETTLE_S) -> None:
        """Gives an agent of our own the time to send what it has, when the relay is there.

        Beside a holder there is nothing to do: it goes on working.
        """
        if self.own is not None:
            await _settle(self.own, limit_s)


async def _settle(holder: Holder, limit_s: float) -> None:
    from agentnet_desktop.agent.events import ConnectionChanged, ConnectionState, OutboxChanged

    news = asyncio.Event()
    hopeless = (ConnectionState.WAITING, ConnectionState.STOPPED)

    def hear(event: object) -> None:
        if isinstance(event, ConnectionChanged | OutboxChanged):
            news.set()

    unsubscribe = holder.agent.subscribe(hear)
    try:
        async with asyncio.timeout(limit_s):
            while holder.agent.connection.state not in hopeless and await _unsent(holder):
                await news.wait()
                news.clear()
    except TimeoutError:
        return
    finally:
        unsubscribe()


async def _unsent(holder: Holder) -> bool:
    return any(row.state in ("QUEUED", "IN_FLIGHT") for row in await holder.agent.outbox())


@asynccontextmanager
async def commander(args: Namespace) -> AsyncIterator[Desk]:
    """Opens the way to an agent that takes commands: the holder's, else one of our own."""
    from agentnet_desktop.control import RemoteAgent

    place = paths(args)
    read_settings(place)
    remote = await _holder_of(place)
    if remote is None:
        own = await _hold(args, place)
        if isinstance(own, RemoteAgent):
            remote = own
        else:
            try:
                await own.start()
                yield Desk(own.agent, own)
            finally:
                await own.close()
            return
    try:
        yield Desk(remote, None)
    finally:
        await remote.close()


async def _holder_of(place: ProfilePaths) -> RemoteAgent | None:
    from agentnet_desktop.control import NoHolder, RemoteAgent

    try:
        return await RemoteAgent.connect(place.socket)
    except NoHolder:
        return None


async def _hold(args: Namespace, place: ProfilePaths) -> Holder | RemoteAgent:
    """Holds the profile; a holder that is just starting or ending is waited for."""
    from agentnet_desktop.compose import open_profile

    deadline = time.monotonic() + _HOLDER_STARTS_S
    while True:
        try:
            return await open_profile(place.root, passphrase=await passphrase(args), brief=True)
        except ProfileInUse:
            if time.monotonic() > deadline:
                raise
        remote = await _holder_of(place)
        if remote is not None:
            return remote
        await asyncio.sleep(0.1)


async def listen(place: ProfilePaths, wake: Callable[[], None]) -> RemoteAgent | None:
    """Has the holder's events call `wake`; None when nobody holds the profile."""
    remote = await _holder_of(place)
    if remote is not None:
        await remote.subscribe(lambda _event: wake())
    return remote
