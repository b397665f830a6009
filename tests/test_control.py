"""The local socket: a second process asks the holder, and nobody else can."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop import control
from agentnet_desktop.agent.commands import Commands
from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.errors import AgentError, BadInput, NotFound
from agentnet_desktop.agent.events import (
    AgentSnapshot,
    ConnectionState,
    ConnectionView,
    ContactView,
    Direction,
    Event,
    LogAppended,
    LogRow,
    OutboxChanged,
    ProposalView,
    QueryView,
    Slot,
    Verified,
)
from agentnet_desktop.control import ControlServer, HolderGone, NoHolder, RemoteAgent, UnsafeFolder, methods
from agentnet_desktop.store.errors import DiskFull

PROPOSAL = ProposalView(
    peer="bob", proposal_id="prop_1", revision=1, direction=Direction.OUT, state="PENDING", title="Coffee ☕\u202e",
    description="", start=1, end=2, time_zone="Europe/Berlin", local_start="", location="", address="",
    meeting_type="COFFEE", participants=("alice", "bob"), alternatives=(Slot(3, 4, "here"),), expires_at=None,
    conversation_id="conv_1",
)  # fmt: skip
ROW = LogRow(
    seq=1, time=2, direction=Direction.IN, peer="bob", conversation_id="c", message_id="m", message_type="QUERY",
    encrypted=True, verified=Verified.GOOD, state="RECEIVED", summary="s", size=3,
)  # fmt: skip


class Fake(Commands):
    """An agent that answers from a list and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.fault: Exception | None = None
        self.listeners: list[Callable[[Event], None]] = []
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    async def snapshot(self) -> AgentSnapshot:
        view = ConnectionView(ConnectionState.CONNECTED, "wss://relay", round_trip_ms=1.5)
        return AgentSnapshot("alice", "aa", view, 3, "file", (), (PROPOSAL,), ())

    async def wait_connected(self, timeout_s: float) -> bool:
        return timeout_s > 1

    async def requests(self) -> list[QueryView]:
        assert self.fault is not None
        raise self.fault

    async def contacts(self) -> list[ContactView]:
        return [ContactView("bob", "Bob", "VERIFIED", online=True)]

    async def propose(self, peers: Sequence[str], draft: ProposalDraft) -> list[ProposalView]:
        self.asked.append((list(peers), draft))
        return [PROPOSAL]

    async def proposal(self, ref: str) -> ProposalView:
        raise NotFound(f"There is no proposal {ref}.")

    async def wait_proposal(self, ref: str, timeout_s: float) -> ProposalView | None:
        if timeout_s < 1:
            return None
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return None

    async def accept(self, ref: str, *, alternative: int = 0) -> ProposalView:
        self.asked.append((ref, alternative))
        return PROPOSAL

    def reconnect_now(self) -> None:
        self.asked.append("reconnect")


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[tuple[Fake, ControlServer]]:
    agent = Fake()
    server = ControlServer(agent, path)  # type: ignore[arg-type]  # a stand-in with the same commands
    await server.start()
    try:
        yield agent, server
    finally:
        await server.stop()


@asynccontextmanager
async def remote(path: Path) -> AsyncIterator[RemoteAgent]:
    agent = await RemoteAgent.connect(path)
    try:
        yield agent
    finally:
        await agent.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture(params=["unix socket", "loopback with a token"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(control, "_LOOPBACK", request.param != "unix socket")
    return str(request.param)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800"], ids=["NaN", "infinity", "surrogate"]
)
async def test_what_json_cannot_carry_is_refused_and_not_changed_into_something_else(
    path: Path, value: object
) -> None:
    async with served(path), remote(path) as far:
        with pytest.raises(BadInput, match="no message can carry"):
            await far.query("bob", "CUSTOM", {"name": "x", "a": value})
        assert await far.contacts() == [ContactView("bob", "Bob", "VERIFIED", online=True)]


async def test_views_drafts_and_defaults_cross_unchanged(path: Path, way: str) -> None:
    draft = ProposalDraft(
        "Coffee", "2026-06-01T15:00:00Z", "2026-06-01T16:00:00Z", alternatives=(Slot(1, 2),)
    )
    async with served(path) as (agent, _), remote(path) as far:
        assert await far.contacts() == [ContactView("bob", "Bob", "VERIFIED", online=True)]
        assert await far.propose(["bob"], draft) == [PROPOSAL]
        assert await far.accept("ref") == PROPOSAL
        assert await far.accept("ref", alternative=2) == PROPOSAL
        assert await far.wait_proposal("ref", 0.5) is None
        assert (await far.snapshot()).proposals == (PROPOSAL,)
        assert await far.wait_connected(2)
        assert not await far.wait_connected(1)
        await far.ask_to_reconnect()
        assert agent.asked == [(["bob"], draft), ("ref", 0), ("ref", 2), "reconnect"]


async def test_an_error_of_the_agent_arrives_with_its_kind_and_words(path: Path) -> None:
    async with served(path), remote(path) as far:
        with pytest.raises(NotFound, match=r"There is no proposal x\."):
            await far.proposal("x")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (DiskFull(Path("/disk/agent.db")), "/disk/agent.db"),
        pytest.param(
            ZeroDivisionError("secret"),
            "failed at this (ZeroDivisionError)",
            marks=pytest.mark.expected_errors("ZeroDivisionError"),
        ),
    ],
)
async def test_a_guest_is_answered_whatever_fails_in_the_holder(
    path: Path, fault: Exception, words: str
) -> None:
    async with served(path) as (agent, _), remote(path) as far:
        agent.fault = fault
        with pytest.raises(AgentError) as caught:
            await far.requests()
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_events_arrive_in_order_and_end_with_the_guest(path: Path) -> None:
    got: asyncio.Queue[Event] = asyncio.Queue()
    async with served(path) as (agent, _):
        async with remote(path) as far:
            await far.subscribe(got.put_nowait)
            for listener in agent.listeners:
                listener(OutboxChanged(1))
                listener(LogAppended((ROW,)))
            async with asyncio.timeout(5):
                assert [await got.get(), await got.get()] == [OutboxChanged(1), LogAppended((ROW,))]
            task = asyncio.ensure_future(far.wait_proposal("ref", 60))
            await agent.waiting.wait()
        async with asyncio.timeout(5):
            await agent.cancelled.wait()  # a guest that leaves waits for nothing any more
        assert agent.listeners == []
        with pytest.raises(HolderGone):
            await task


async def test_several_requests_wait_side_by_side(path: Path) -> None:
    async with served(path) as (agent, _), remote(path) as far:
        task = asyncio.ensure_future(far.wait_proposal("ref", 60))
        await agent.waiting.wait()
        assert len(await far.contacts()) == 1
        task.cancel()


async def test_a_holder_that_ends_is_told_as_such(path: Path) -> None:
    async with served(path) as (agent, server), remote(path) as far:
        task = asyncio.ensure_future(far.wait_proposal("ref", 60))
        await agent.waiting.wait()
        await server.stop()
        with pytest.raises(HolderGone):
            await task
        with pytest.raises(HolderGone):
            await far.contacts()


async def test_without_a_holder_there_is_nobody_to_ask(path: Path, way: str) -> None:
    with pytest.raises(NoHolder):
        await RemoteAgent.connect(path)
    async with served(path):
        pass
    with pytest.raises(NoHolder):
        await RemoteAgent.connect(path)


@pytest.fixture
def left_behind(path: Path) -> Path:
    path.parent.mkdir(mode=0o755)
    path.write_text("left behind")
    return path


def link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def port_in(path: Path) -> int:
    return int(json.loads(path.read_bytes())["port"])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_socket_left_behind_by_a_crash_is_replaced(left_behind: Path) -> None:
    path = left_behind
    async with served(path), remote(path) as far:
        assert await far.contacts()


async def test_only_the_owner_can_reach_the_socket(left_behind: Path) -> None:
    async with served(left_behind):
        assert (mode(left_behind), mode(left_behind.parent)) == (0o600, 0o700)


async def test_a_folder_that_is_a_link_is_not_trusted(tmp_path: Path) -> None:
    link(tmp_path / "run", tmp_path)
    with pytest.raises(UnsafeFolder):
        await ControlServer(Fake(), tmp_path / "run" / "s").start()  # type: ignore[arg-type]  # a stand-in with the same commands


async def test_on_loopback_the_token_is_asked_for_and_kept_private(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_LOOPBACK", True)
    async with served(path) as (agent, _):
        assert mode(path) == 0o600
        reader, writer = await asyncio.open_connection("127.0.0.1", port_in(path))
        writer.write(b"wrong token\n" + b'{"id": 1, "method": "reconnect_now"}\n')
        assert await reader.read() == b""
        assert agent.asked == []
        writer.close()


async def _raw(path: Path, line: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    async with asyncio.timeout(5):
        answer = await reader.readline()
    writer.close()
    return dict(json.loads(answer)) if answer else {}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"id": 1, "method": "accept", "args": {"ref": 3}}\n', "BadInput"),
        (b'{"id": 1, "method": "accept", "args": {"ref": "x", "more": 3}}\n', "BadInput"),
        (b'{"id": 1, "method": "add_query_handler", "args": {}}\n', "BadInput"),
        (b'{"id": 1, "method": "__init__", "args": {}}\n', "BadInput"),
        (b'{"id": 1, "method": "stop", "args": {}}\n', "BadInput"),
    ],
)
async def test_what_is_no_command_is_refused_by_name(path: Path, line: bytes, kind: str) -> None:
    async with served(path) as (agent, _):
        assert (await _raw(path, line))["error"]["kind"] == kind
        assert agent.asked == []


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b'{"method": 1}\n', b"x" * (5 * 1024 * 1024) + b"\n"]
)
async def test_what_is_no_request_is_hung_up_on(path: Path, line: bytes) -> None:
    async with served(path):
        try:
            assert await _raw(path, line) == {}
        except ConnectionError:
            return


def test_every_command_can_be_asked_for_from_afar() -> None:
    local = {"add_query_handler", "reconnect_now"}
    commands = {name for name in vars(Commands) if not name.startswith("_")} - local
    assert commands <= set(methods())
    for name in commands:
        assert getattr(RemoteAgent, name) is not getattr(Commands, name)


def test_every_kind_of_error_is_known_on_both_sides() -> None:
    def below(kind: type[AgentError]) -> set[str]:
        return {kind.__name__}.union(*(below(each) for each in kind.__subclasses__()))

    assert {"BadInput", "NotFound", "NotAllowed", "NotStarted"} <= set(control._ERRORS)
    assert BadInput.__name__ in below(AgentError)
