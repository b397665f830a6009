"""The local socket through which a second process of the same person asks the holder of a profile.

JSON, one object a line. Asked: `{"id", "method", "args"}`; answered: `{"id", "result"}` or `{"id", "error": {"kind",
"message"}}`, in any order; after `subscribe` also `{"event", "data"}`. The methods are those of `agent.commands.Commands`,
so that a command of the command line is written once, against either. Not part of docs/protocol.md: it never leaves this
machine. Who may ask is decided by the file system (a socket of mode 0600 in a folder of mode 0700); on Windows, by a
token in a file that only its owner can read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import inspect
import json
import os
import secrets
import stat
import sys
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agentnet_desktop.agent import errors, events
from agentnet_desktop.agent.commands import Commands
from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.agent.events import AgentSnapshot, Event
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.store.errors import StoreError

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent

LONGEST_LINE = 4 * 1024 * 1024
LONGEST_BACKLOG = 8 * 1024 * 1024
_NOT_REMOTE = frozenset({"add_query_handler", "reconnect_now"})
_LOOPBACK = sys.platform == "win32"

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
Listener = Callable[[Event], None]
SignIn = Callable[[str, str], Awaitable[None]]


class NoHolder(Exception):
    """Nobody listens at this profile's socket."""


class UnsafeFolder(AgentError):
    """The socket's folder is not this person's alone."""


@dataclass(frozen=True, slots=True)
class Method:
    """What a method takes and gives, read off its annotations."""

    parameters: dict[str, Any]
    result: Any


class Request(msgspec.Struct, frozen=True):
    """One line from a guest."""

    id: int
    method: str
    args: dict[str, Any] = {}


class _Account(msgspec.Struct, frozen=True):
    """What `sign_in` takes."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"_Account(email={self.email!r}, ...)"  # the rest is secret


@cache
def methods() -> dict[str, Method]:
    """Returns what can be asked of a holder: every coroutine of `Commands`, and `snapshot`."""
    found: dict[str, Method] = {}
    for name, function in inspect.getmembers(Commands, inspect.iscoroutinefunction):
        if name.startswith("_") or name in _NOT_REMOTE:
            continue
        hints = typing.get_type_hints(function)
        result = hints.pop("return", None)
        found[name] = Method(hints, result)
    found["snapshot"] = Method({}, AgentSnapshot)
    found["wait_connected"] = Method({"timeout_s": float}, bool)
    return found


# ------------------------------------------------------------------------------------------- addresses


def _private_folder(folder: Path) -> None:
    """Makes the socket's folder; refuses one that others could write into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform == "win32":
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UnsafeFolder(f"The folder {folder} belongs to someone else; remove it.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


def _make_private(path: Path) -> None:
    path.chmod(0o600)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _listen(path: Path, accept: Accept) -> tuple[asyncio.Server, bytes | None]:
    """Listens; returns also the token that a guest must show first, where the file system cannot keep others out."""
    _private_folder(path.parent)
    if not _LOOPBACK and sys.platform != "win32":
        _remove(path)  # left behind by a crash: the lock says that nobody else holds the profile
        server = await asyncio.start_unix_server(accept, path, limit=LONGEST_LINE)
        _make_private(path)
        return server, None
    from agentnet_desktop.vault.files import write_private

    token = secrets.token_urlsafe(32)
    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=LONGEST_LINE)
    port = server.sockets[0].getsockname()[1]
    write_private(path, json.dumps({"port": port, "token": token}).encode())
    return server, token.encode()


def _read_place(path: Path) -> Any:
    return json.loads(path.read_bytes())


async def _open(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        if not _LOOPBACK and sys.platform != "win32":
            return await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
        place = _read_place(path)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(place["port"]), limit=LONGEST_LINE)
        writer.write(str(place["token"]).encode() + b"\n")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoHolder(f"Nobody answers at {path}.") from error
    return reader, writer


# ---------------------------------------------------------------------------------------------- server


class ControlServer:
    """The holder's side: takes requests and hands them to the agent."""

    def __init__(self, agent: Agent, path: Path, *, sign_in: SignIn | None = None) -> None:
        """Makes a server that does not listen yet.

        Args:
            agent: who answers.
            path: of the socket.
            sign_in: signs an account in, given its e-mail address and password.
        """
        self._agent = agent
        self._path = path
        self._sign_in = sign_in
        self._tasks = Tasks()
        self._server: asyncio.Server | None = None
        self._token: bytes | None = None

    async def start(self) -> None:
        """Listens.

        Raises:
            UnsafeFolder: others could reach the socket.
        """
        self._server, self._token = await _listen(self._path, self._accept)

    async def stop(self) -> None:
        """Hangs up on everybody and removes the socket."""
        if self._server is None:
            return
        self._server.close()
        _remove(self._path)
        await self._tasks.cancel_all()
        await self._server.wait_closed()
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.start(self._serve(reader, writer), name="control guest")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guest = _Guest(self._agent, writer, self._tasks, self._sign_in)
        try:
            if self._token is not None and not hmac.compare_digest(
                (await reader.readline()).strip(), self._token
            ):
                return
            while line := await reader.readline():
                guest.ask(line)
        except (ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass  # gone, or not one of ours: hung up on below
        finally:
            guest.leave()
            writer.close()


class _Guest:
    """One process that asks: its requests in progress, and its subscription."""

    def __init__(
        self, agent: Agent, writer: asyncio.StreamWriter, tasks: Tasks, sign_in: SignIn | None
    ) -> None:
        self._agent = agent
        self._sign_in = sign_in
        self._writer = writer
        self._tasks = tasks
        self._mine: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None

    def ask(self, line: bytes) -> None:
        """Takes one request. Raises ValueError when it is none."""
        request = msgspec.json.decode(line, type=Request)
        task = self._tasks.start(self._answer(request), name=f"control {request.method}")
        self._mine.add(task)
        task.add_done_callback(self._mine.discard)

    def leave(self) -> None:
        """Ends what the guest still waited for."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        for task in list(self._mine):
            task.cancel()

    async def _answer(self, request: Request) -> None:
        answer: dict[str, Any] = {"id": request.id}
        try:
            answer["result"] = await self._call(request.method, request.args)
        except AgentError as error:
            answer["error"] = {"kind": type(error).__name__, "message": str(error)}
        except msgspec.ValidationError as error:
            answer["error"] = {"kind": "BadInput", "message": f"{request.method}: {error}."}
        except StoreError as error:
            answer["error"] = {"kind": "AgentError", "message": str(error)}
        except Exception as error:
            words = f"The running agent failed at this ({type(error).__name__}); its own log says more."
            answer["error"] = {"kind": "AgentError", "message": words}
            raise
        finally:
            if len(answer) > 1:  # a guest that is gone has cancelled this and hears nothing
                self._send(answer)

    async def _call(self, name: str, given: dict[str, Any]) -> Any:
        if name == "subscribe":
            self._unsubscribe = self._unsubscribe or self._agent.subscribe(self._tell)
            return None
        if name == "reconnect_now":
            self._agent.reconnect_now()
            return None
        if name == "sign_in" and self._sign_in is not None:
            account = msgspec.convert(given, _Account)
            await self._sign_in(account.email, account.password)
            return None
        method = methods().get(name)
        if method is None or not set(given) <= set(method.parameters):
            raise errors.BadInput("The running agent does not know this command; is it of another version?")
        arguments = {key: msgspec.convert(value, method.parameters[key]) for key, value in given.items()}
        return await getattr(self._agent, name)(**arguments)

    def _tell(self, event: Event) -> None:
        self._send({"event": type(event).__name__, "data": event})

    def _send(self, message: dict[str, Any]) -> None:
        """Writes a line; hangs up on a guest that does not read."""
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > LONGEST_BACKLOG:
            self._writer.transport.abort()
            return
        self._writer.write(msgspec.json.encode(message) + b"\n")


# ---------------------------------------------------------------------------------------------- client

_ERRORS: dict[str, type[AgentError]] = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, AgentError) and kind.__init__ is Exception.__init__
}
_EVENTS: dict[str, type[Any]] = {kind.__name__: kind for kind in typing.get_args(events.Event)}


class HolderGone(AgentError):
    """The holder ended before it answered."""


class RemoteAgent(Commands):
    """The agent in another process, with the same awaitable commands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use `connect`."""
        self._reader = reader
        self._writer = writer
        self._count = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listeners: list[Listener] = []
        self._ended = False
        self._tasks = Tasks()
        self._tasks.start(self._read(), name="control reader")

    @classmethod
    async def connect(cls, path: Path) -> RemoteAgent:
        """Connects to a profile's holder.

        Raises:
            NoHolder: there is none.
        """
        return cls(*await _open(path))

    async def close(self) -> None:
        """Hangs up."""
        await self._tasks.cancel_all()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def snapshot(self) -> AgentSnapshot:
        """As `Agent.snapshot`."""
        snapshot: AgentSnapshot = await self._ask("snapshot", {})
        return snapshot

    async def wait_connected(self, timeout_s: float) -> bool:
        """As `Agent.wait_connected`."""
        return bool(await self._ask("wait_connected", {"timeout_s": timeout_s}))

    async def subscribe(self, listener: Listener) -> None:
        """Calls `listener` for every event of the holder from now on, until `close`."""
        self._listeners.append(listener)
        await self._ask("subscribe", {})

    async def ask_to_reconnect(self) -> None:
        """As `Agent.reconnect_now`."""
        await self._ask("reconnect_now", {})

    async def sign_in(self, email: str, password: str) -> None:
        """As `compose.Holder.sign_in`."""
        await self._ask("sign_in", {"email": email, "password": password})

    async def _ask(self, name: str, arguments: dict[str, Any]) -> Any:
        self._count += 1
        number = self._count
        line = _line({"id": number, "method": name, "args": arguments})
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._ended:
            raise HolderGone("The running agent ended before it answered.")
        self._waiting[number] = answer
        self._writer.write(line)
        try:
            result = await answer
        finally:
            self._waiting.pop(number, None)
        method = methods().get(name)
        return result if method is None else msgspec.convert(result, method.result)

    async def _read(self) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                while line := await self._reader.readline():
                    self._take(json.loads(line))
        finally:
            self._ended = True
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(HolderGone("The running agent ended before it answered."))

    def _take(self, message: dict[str, Any]) -> None:
        if "event" in message:
            kind = _EVENTS.get(message["event"])
            if kind is not None:
                event = msgspec.convert(message["data"], kind)
                for listener in self._listeners:
                    listener(event)
            return
        answer = self._waiting.get(message["id"])
        if answer is None or answer.done():
            return
        error = message.get("error")
        if error is None:
            answer.set_result(message.get("result"))
        else:
            answer.set_exception(_ERRORS.get(error["kind"], AgentError)(error["message"]))


def _line(request: dict[str, Any]) -> bytes:
    """Returns a request as it is written; what JSON cannot carry is refused here, not changed into something else."""
    try:
        plain = json.dumps(msgspec.to_builtins(request), allow_nan=False, ensure_ascii=False)
        return plain.encode() + b"\n"
    except (ValueError, TypeError, RecursionError):
        raise errors.BadInput("An argument holds what no message can carry, such as NaN.") from None


def _forward(name: str) -> Callable[..., Awaitable[Any]]:
    """Makes the method of `RemoteAgent` that asks the holder for the one of this name."""
    signature = inspect.signature(getattr(Commands, name))

    async def ask(self: RemoteAgent, *given: Any, **named: Any) -> Any:
        bound = signature.bind(self, *given, **named)
        arguments = dict(bound.arguments)
        arguments.pop("self")
        return await self._ask(name, arguments)

    ask.__name__ = name
    return ask


for _name in methods().keys() - {"snapshot", "wait_connected"}:
    setattr(RemoteAgent, _name, _forward(_name))
