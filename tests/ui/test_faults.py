"""Errors that nothing caught are told, and a window that ends leaves nothing open and nothing half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QDialog, QPushButton
from pytestqt.qtbot import QtBot

from agentnet_desktop import compose
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.store.errors import DiskFull
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.faults import Faults
from agentnet_desktop.ui.health import HealthDialog
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.profiles import Profiles
from agentnet_desktop.ui.session import Session
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.unlock import TroublePage
from tests.ui import test_main_job
from tests.ui.conftest import until
from tests.ui.test_main_job import WORDS, Scene

Run = Callable[[Coroutine[Any, Any, None]], None]
scene = test_main_job.scene


def broken() -> None:
    raise ZeroDivisionError("a slot that is wrong")


def test_an_error_in_a_slot_is_traced_and_told(run: Run, bridge: Bridge, qtbot: QtBot) -> None:
    button = QPushButton()
    qtbot.addWidget(button)
    button.clicked.connect(broken)
    told: list[None] = []

    async def scenario() -> None:
        faults = Faults(bridge)
        faults.happened.connect(lambda: told.append(None))
        faults.install(asyncio.get_running_loop())
        button.click()
        faults.remove()
        assert told == [None]

    with qtbot.captureExceptions() as caught:
        run(scenario())
    assert [kind for kind, *_ in caught] == [ZeroDivisionError]


@pytest.mark.expected_errors("Unhandled|broken|Exception in callback")
def test_an_error_in_a_callback_of_the_loop_is_traced_and_told(run: Run, bridge: Bridge) -> None:
    async def scenario() -> None:
        told = asyncio.Event()
        faults = Faults(bridge)
        faults.happened.connect(told.set)
        loop = asyncio.get_running_loop()
        faults.install(loop)
        loop.call_exception_handler({"message": "Exception in callback", "exception": ZeroDivisionError()})
        assert told.is_set()
        faults.remove()

    run(scenario())


def test_a_fault_is_told_above_the_page(profile: Path, theme: ThemeSwitch, run: Run) -> None:
    async def scenario() -> None:
        session = Session(profile, theme, Preferences(profile), _missing)
        session._faults.happened.emit()
        assert "went wrong in the window" in session.window.notice.text()
        session.deleteLater()

    run(scenario())


async def _missing() -> Profiles:
    raise ModuleNotFoundError("No module named 'nacl'", name="nacl")


@pytest.mark.expected_errors("open the profile failed")
def test_a_start_that_cannot_go_on_says_why_in_the_window(
    run: Run, profile: Path, theme: ThemeSwitch
) -> None:
    async def scenario() -> None:
        session = Session(profile, theme, Preferences(profile), _missing)
        session.show(minimized=False)
        tasks = Tasks()
        running = tasks.start(session.run(), name="the window")
        stack = session.window.stack
        await until(lambda: isinstance(stack.currentWidget(), TroublePage), "the sentence")
        trouble = stack.currentWidget()
        assert isinstance(trouble, TroublePage)
        assert trouble.words.text() == "nacl is not installed: install agentnet-desktop[desktop]."
        assert not trouble.retry.isVisible()
        trouble.quit_wanted.emit()
        await running
        session.deleteLater()

    run(scenario())


def test_what_the_database_says_reaches_the_person(run: Run, bridge: Bridge) -> None:
    async def refuse() -> None:
        raise DiskFull(Path("agent.db"))

    async def scenario() -> None:
        told: list[str] = []
        await bridge.work(refuse, name="write", owner=bridge, failed=told.append)
        assert told == [str(DiskFull(Path("agent.db")))]

    run(scenario())


def test_no_dialog_outlives_the_agent(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            await all_.proposed_by_bob(title="First")
            await all_.proposed_by_bob(title="Second")
            await all_.asked()
            await until(lambda: all_.window.navigation.count(PageName.INBOX) == 2, "both")
            HealthDialog(all_.session.bridge, all_.window).open()
            all_.pages.contacts.open_add()
            all_.session.close()
            await until(lambda: all_.session.holder is None, "the end")
            assert [d for d in all_.window.findChildren(QDialog) if d.isVisible()] == []
            assert all_.window.dialog is None

    run(scenario())


def test_a_window_closed_in_the_middle_of_an_answer_leaves_a_whole_one_or_none(
    run: Run, scene: Scene
) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            all_.click(dialog.widget.accept_button)
            all_.session.close()
            await until(lambda: all_.session.holder is None, "the end")
            again = await compose.open_profile(all_.root / "alice", passphrase=WORDS)
            try:
                mine = await again.agent.proposal(f"bob/{sent.proposal_id}")
                answers = await again.agent.log.page("type:CONFIRMATION")
                assert (mine.state, len(answers)) in (("PENDING", 0), ("ACCEPTED", 1))
                assert (await again.agent.proof.verify()).intact
                await again.start()
                if mine.state == "ACCEPTED":
                    assert (await all_.bob_hears(sent)).state == "ACCEPTED"
            finally:
                await again.close()

    run(scenario())


def test_a_filter_that_cannot_be_read_is_told_once_and_not_with_every_new_entry(
    run: Run, scene: Scene
) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            all_.window.show_log("state:")
            line = all_.pages.log.filter_line
            await until(lambda: line._error.isVisible(), "what is wrong with the filter")
            await all_.proposed_by_bob()
            (await all_.asked()).close()
            assert all_.window.notice.text() == ""
            all_.window.show_log("type:PROPOSAL")
            await until(lambda: all_.pages.log_model.rowCount() == 1, "the rows")

    run(scenario())
