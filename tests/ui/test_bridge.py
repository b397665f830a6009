"""The way between agent and window: every event has its signal, commands are kept and told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.errors import NotAllowed
from agentnet_desktop.agent.events import (
    AgentSnapshot,
    ConnectionChanged,
    ConnectionState,
    ConnectionView,
    ContactChanged,
    Event,
    LogAppended,
    LogChanged,
    OutboxChanged,
    PermissionAsked,
    ProposalChanged,
    QueryView,
    SecurityRaised,
    SecurityView,
)
from agentnet_desktop.ui.bridge import Bridge
from tests.ui.conftest import contact, proposal, snapshot, until

Run = Callable[[Coroutine[Any, Any, None]], None]
CONNECTION = ConnectionView(ConnectionState.OFFLINE, "ws://127.0.0.1:1")


@pytest.mark.parametrize(
    ("event", "signal"),
    [
        (ConnectionChanged(CONNECTION), "connection_changed"),
        (LogAppended(()), "log_appended"),
        (LogChanged(()), "log_changed"),
        (ProposalChanged(proposal()), "proposal_changed"),
        (ContactChanged(contact("bob")), "contact_changed"),
        (PermissionAsked(QueryView("r", "bob", "CUSTOM", {}, {}, 1)), "permission_changed"),
        (OutboxChanged(3), "outbox_changed"),
        (SecurityRaised(SecurityView(1, 1, "eve", "K", "m")), "security_raised"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_every_event_that_a_view_shows_has_its_signal(
    bridge: Bridge, qtbot: QtBot, event: Event, signal: str
) -> None:
    with qtbot.waitSignal(getattr(bridge, signal)):
        bridge.dispatch(event)


class Telling:
    """An agent's subscription and snapshot, and an event that comes while the snapshot is read."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    async def snapshot(self) -> AgentSnapshot:
        for listener in list(self.listeners):
            listener(OutboxChanged(7))
        return snapshot()

    async def storage_problem(self) -> str:
        return "The disk is full."


def test_no_event_falls_between_snapshot_and_subscription(run: Run, bridge: Bridge) -> None:
    async def scenario() -> None:
        seen: list[object] = []
        bridge.attached.connect(lambda _snapshot: seen.append("attached"))
        bridge.outbox_changed.connect(seen.append)
        bridge.storage_changed.connect(seen.append)
        telling = Telling()
        await bridge.attach(cast(Agent, telling))
        assert seen == ["attached", "The disk is full.", 7]
        assert len(telling.listeners) == 1
        bridge.detach()
        assert telling.listeners == []

    run(scenario())


def test_a_failed_command_is_told_where_it_was_given(run: Run, bridge: Bridge) -> None:
    async def refused() -> None:
        raise NotAllowed("Not while the moon is up.")

    async def scenario() -> None:
        here: list[str] = []
        anywhere: list[str] = []
        bridge.command_failed.connect(anywhere.append)
        await bridge.work(refused, name="x", owner=bridge, failed=here.append)
        await bridge.work(refused, name="x", owner=bridge)
        assert here == anywhere == ["Not while the moon is up."]

    run(scenario())


def test_a_bug_is_logged_and_the_person_learns_only_that_it_failed(
    run: Run, bridge: Bridge, expected_errors: Callable[[str], None]
) -> None:
    expected_errors("task x failed")

    async def broken() -> None:
        raise ZeroDivisionError("a secret")

    async def scenario() -> None:
        told: list[str] = []
        task = bridge.work(broken, name="x", owner=bridge, failed=told.append)
        await asyncio.wait([task])
        assert told == ["Something went wrong here; nothing was changed."]

    run(scenario())


def test_a_result_for_a_widget_that_is_gone_is_dropped(run: Run, bridge: Bridge) -> None:
    async def scenario() -> None:
        owner = QObject()
        came: list[int] = []

        async def answer() -> int:
            return 1

        task = bridge.work(answer, name="x", owner=owner, done=came.append)
        owner.deleteLater()
        await until(lambda: not __import__("shiboken6").isValid(owner), "the owner's end")
        await task
        assert came in ([], [1])  # never an error

    run(scenario())


def test_a_command_without_an_agent_says_so(bridge: Bridge, qtbot: QtBot) -> None:
    told: list[str] = []
    assert bridge.command(lambda agent: agent.outbox(), name="x", owner=bridge, failed=told.append) is None
    assert told == ["The agent is not running yet."]
