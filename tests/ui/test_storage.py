"""A disk that is full under the running window, and what the log keeps: the real agent, the real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.retention import RetentionRule
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.compose import create_profile
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.store.errors import DiskFull
from agentnet_desktop.ui import text
from agentnet_desktop.ui.health import HealthDialog
from agentnet_desktop.ui.log.export import ExportDialog
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.pages import Pages
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.session import Session
from agentnet_desktop.ui.settings.data import DataCard, rule_words, tightens
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.unlock import TroublePage
from agentnet_desktop.ui.widgets.confirm import Confirmation
from agentnet_desktop.vault.kdf import Kdf
from tests.agent import test_disk
from tests.agent.test_disk import FewPages, SmallDisk
from tests.ui.conftest import until
from tests.ui.test_main_job import WORDS, load

Run = Callable[[Coroutine[Any, Any, None]], None]
disk = test_disk.disk


async def make(folder: Path) -> None:
    await create_profile(
        folder, agent_id="alice", relay="ws://127.0.0.1:9", key_store="file", passphrase=WORDS, kdf=Kdf.weak()
    )


class Opened:
    """A window on a profile whose relay is not there; ended in order."""

    def __init__(self, folder: Path, theme: ThemeSwitch) -> None:
        self.session = Session(folder, theme, Preferences(folder), load)
        self.session.show(minimized=False)
        self._tasks = Tasks()
        self._running = self._tasks.start(self.session.run(), name="the window")

    async def __aenter__(self) -> Session:
        return self.session

    async def __aexit__(self, *_: object) -> None:
        self.session.close()
        await self._running
        self.session.deleteLater()


def pages(session: Session) -> Pages:
    assert session.window.pages is not None
    return session.window.pages


async def agent_of(session: Session) -> Agent:
    await until(lambda: session.bridge.snapshot is not None, "the agent")
    agent = session.bridge.agent
    assert agent is not None
    return agent


async def fill_up(session: Session, disk: SmallDisk) -> None:
    """Fills the disk, and what room the database still has within its own files."""
    agent = await agent_of(session)
    holder = cast(Any, session.holder)
    if isinstance(disk, FewPages):
        disk.peer = cast(Any, SimpleNamespace(db=holder.database))
    disk.fill()
    for _ in range(2000):
        try:
            await agent.create_contact_link()
        except DiskFull:
            return
    raise AssertionError("the disk never was full")


async def state_of_storing(session: Session) -> str:
    """What the doctor of the window finds of storing."""
    health = HealthDialog(session.bridge, session.window)
    await until(lambda: any(one.check == "storing" for one in health.findings), "the check")
    health.close()
    return {one.check: one.state for one in health.findings}["storing"]


def test_a_full_disk_is_told_in_the_window_and_its_end_too(
    run: Run, disk: SmallDisk, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        await make(disk.folder / "alice")
        async with Opened(disk.folder / "alice", theme) as session:
            window = session.window
            await agent_of(session)
            assert not window.status._storage.isVisible()
            for _ in range(200):  # something small may find room, and the banner goes again
                await fill_up(session, disk)
                await asyncio.sleep(0)
                if window.storage_notice.isVisible():
                    break
            else:
                raise AssertionError("the banner never came")
            assert "is full" in window.storage_notice.text()
            assert "sent again" in window.storage_notice.text()
            qtbot.mouseClick(window.status._storage, Qt.MouseButton.LeftButton)
            assert window.stack.currentWidget() is pages(session).security
            assert "is full" in pages(session).security.storage.text()
            for _ in range(20):  # something small may have found room since
                await fill_up(session, disk)
                if await state_of_storing(session) == "failed":
                    break
            else:
                raise AssertionError("the doctor never said that nothing can be stored")

            disk.free()
            await (await agent_of(session)).create_contact_link()
            await until(lambda: not window.storage_notice.isVisible(), "the end of the banner")
            assert "takes data again" in window.notice.text()
            assert not window.status._storage.isVisible()
            assert not pages(session).security.storage.isVisible()

    run(scenario())


def test_a_command_on_a_full_disk_says_that_the_disk_is_full(
    run: Run, disk: SmallDisk, theme: ThemeSwitch
) -> None:
    async def scenario() -> None:
        await make(disk.folder / "alice")
        async with Opened(disk.folder / "alice", theme) as session:
            await fill_up(session, disk)
            session.bridge.command(
                lambda agent: agent.create_contact_link(), name="make a link", owner=session.window
            )
            await until(lambda: "is full" in session.window.notice.text(), "the sentence")
            disk.free()

    run(scenario())


def test_a_window_opened_on_a_full_disk_says_so_and_opens_once_there_is_room(
    run: Run, disk: SmallDisk, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    if isinstance(disk, FewPages):
        return  # a limit on pages ends with its connection: an opening is not touched by it

    async def scenario() -> None:
        await make(disk.folder / "alice")
        disk.fill()
        async with Opened(disk.folder / "alice", theme) as session:
            stack = session.window.stack
            await until(lambda: isinstance(stack.currentWidget(), TroublePage), "the trouble")
            trouble = stack.currentWidget()
            assert isinstance(trouble, TroublePage)
            told = trouble.words.text()
            assert any(words in told for words in ("is full", "cannot be")), told
            disk.free()
            qtbot.mouseClick(trouble.retry, Qt.MouseButton.LeftButton)
            await agent_of(session)

    run(scenario())


# ------------------------------------------------------------------------------------------- retention


def old_entries(holder: Any, count: int) -> None:
    one = NewEntry(text.now_ms() - 200 * DAY_MS, "local", "NOTE", "LOCAL", "", content={"text": "said"})
    holder.database.write_sync(lambda session: audit_log.append_many(session, [one] * count))


async def data_card(session: Session) -> DataCard:
    await agent_of(session)
    old_entries(session.holder, 20)
    session.window.show_page(PageName.SETTINGS)
    card = pages(session).settings.data
    await until(lambda: "on disk" in card.use.text(), "what the log takes")
    return card


def test_contents_go_only_after_the_person_confirmed(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        await make(profile)
        async with Opened(profile, theme) as session:
            card, agent = await data_card(session), await agent_of(session)
            assert not card.apply_button.isEnabled()
            card.age.setCurrentIndex(1)
            card.days.setValue(100)
            for answer in ("no", "yes"):
                qtbot.mouseClick(card.apply_button, Qt.MouseButton.LeftButton)
                asking = session.window.findChild(Confirmation)
                assert isinstance(asking, Confirmation)
                assert await agent.retention() == RetentionRule()
                qtbot.mouseClick(asking.yes if answer == "yes" else asking.no, Qt.MouseButton.LeftButton)
                await until(lambda: session.window.findChild(Confirmation) is None, "its end")
            await until(card.notice.isVisible, "the outcome")
            assert await agent.retention() == RetentionRule(100, None)
            use = await agent.wait_retention()
            assert use.kept < 20
            await until(lambda: f"{use.kept} of {use.entries}" in card.use.text(), "what is left")

    run(scenario())


def test_to_keep_more_is_not_asked_about(run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot) -> None:
    async def scenario() -> None:
        await make(profile)
        async with Opened(profile, theme) as session:
            agent = await agent_of(session)
            await agent.set_retention(300, 400)
            card = await data_card(session)
            await until(lambda: card.wanted() == RetentionRule(300, 400), "the rule")
            card.age.setCurrentIndex(0)
            qtbot.mouseClick(card.apply_button, Qt.MouseButton.LeftButton)
            assert session.window.findChild(Confirmation) is None
            await until(card.notice.isVisible, "the outcome")
            assert await agent.retention() == RetentionRule(None, 400)
            assert not card.apply_button.isEnabled()

    run(scenario())


def test_the_log_is_exported_from_the_settings_too(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        await make(profile)
        async with Opened(profile, theme) as session:
            card = await data_card(session)
            qtbot.mouseClick(card.export_button, Qt.MouseButton.LeftButton)
            assert session.window.findChild(ExportDialog) is not None

    run(scenario())


@pytest.mark.parametrize(
    ("old", "new", "deletes"),
    [
        ((None, None), (None, None), False),
        ((None, None), (30, None), True),
        ((30, None), (None, None), False),
        ((30, None), (31, None), False),
        ((30, None), (29, None), True),
        ((30, 100), (90, 99), True),
        ((30, 100), (90, None), False),
    ],
)
def test_only_what_deletes_more_is_asked_about(
    old: tuple[int | None, int | None], new: tuple[int | None, int | None], deletes: bool
) -> None:
    assert tightens(RetentionRule(*old), RetentionRule(*new)) == deletes


def test_a_rule_is_told_in_words() -> None:
    assert rule_words(RetentionRule()) == "Nothing is deleted."
    both = rule_words(RetentionRule(30, 200))
    assert "older than 30 days" in both
    assert "larger than 200 MB" in both
