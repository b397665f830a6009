"""A window's parts without an agent, and a loop on which the real agent runs inside Qt."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import (
    AgentSnapshot,
    ConnectionState,
    ConnectionView,
    ContactView,
    Direction,
    ProposalView,
)
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.loop import WindowLoop
from agentnet_desktop.ui.theme.current import ThemeChoice, ThemeSwitch

T = TypeVar("T")
HOUR = 3_600_000
FINGERPRINT = "6f1c 22ab 9e04 77d1 c0aa 5b1e 0932 fe11"
DIGITS = "".join(f"{number * 7919 % 100000:05d}" for number in range(1, 13))


_LIMIT_S = 30.0
_LOOK_S = 0.01


async def until(true: Callable[[], Any], what: str) -> None:
    """Let the loop turn until something is so.

    Args:
        true: Is asked again and again.
        what: Says what never came, when it did not within half a minute.
    """
    for _ in range(int(_LIMIT_S / _LOOK_S)):
        if true():
            return
        await asyncio.sleep(_LOOK_S)
    raise AssertionError(f"never came: {what}")


@pytest.fixture(autouse=True)
def collect_on_this_thread() -> Iterator[None]:
    """Widgets die on this thread, as in the program: see `ui/garbage.py`. No window outlives its test.

    The program ends with its window; here dozens would be polished again with every new sheet.
    """
    gc.disable()
    yield
    for window in QApplication.topLevelWidgets():
        window.deleteLater()
    # Without a running loop Qt keeps what `deleteLater` was called on.
    QCoreApplication.sendPostedEvents(None, int(QEvent.Type.DeferredDelete.value))
    gc.collect()
    gc.enable()


@pytest.fixture
def theme(qapp: QApplication) -> ThemeSwitch:
    """The application's theme, light."""
    known = qapp.findChild(ThemeSwitch)
    switch = known if isinstance(known, ThemeSwitch) else ThemeSwitch(qapp)
    switch.choose(ThemeChoice.LIGHT)
    return switch


@pytest.fixture
def run(qapp: QApplication) -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Runs a coroutine to its end on the window's loop, with Qt's events running."""
    loop = WindowLoop(qapp)
    asyncio.set_event_loop(loop)

    def go(coroutine: Coroutine[Any, Any, T]) -> T:
        return loop.run_until_complete(coroutine)

    with loop:
        yield go
    asyncio.set_event_loop(None)


@pytest.fixture
def bridge(qtbot: QtBot, theme: ThemeSwitch) -> Bridge:
    """A bridge without an agent: tests hand it events."""
    return Bridge(Tasks())


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A folder for a profile that does not exist yet."""
    return tmp_path / "profile"


def contact(agent_id: str, state: str = "VERIFIED", **more: Any) -> ContactView:
    """A contact with a key."""
    given = {"name": agent_id.title(), "fingerprint": FINGERPRINT, "safety_number": DIGITS, **more}
    return ContactView(agent_id=agent_id, state=state, **given)


def proposal(number: int = 1, **more: Any) -> ProposalView:
    """A proposal of Bob's for tomorrow, waiting for this person."""
    start = text.now_ms() // HOUR * HOUR + 24 * HOUR
    given: dict[str, Any] = {
        "peer": "bob",
        "proposal_id": f"prop_{number}",
        "revision": 1,
        "direction": Direction.IN,
        "state": "PENDING",
        "title": f"Meeting {number}",
        "description": "",
        "start": start,
        "end": start + HOUR,
        "time_zone": "Asia/Tokyo",
        "local_start": "",
        "location": "Room 4",
        "address": "",
        "meeting_type": "OTHER",
        "participants": ("alice", "bob"),
        "alternatives": (),
        "expires_at": text.now_ms() + 2 * HOUR,
        "conversation_id": "conv_1",
        "peer_state": "VERIFIED",
        "received_at": text.now_ms(),
    }
    return ProposalView(**{**given, **more})


def snapshot(
    *, contacts: tuple[ContactView, ...] = (), proposals: tuple[ProposalView, ...] = ()
) -> AgentSnapshot:
    """What an agent tells at its start."""
    connection = ConnectionView(
        ConnectionState.CONNECTED, "ws://127.0.0.1:1", "Home relay", round_trip_ms=3.4
    )
    return AgentSnapshot(
        "alice", FINGERPRINT, connection, 0, "SecretService Keyring", contacts, proposals, ()
    )
