"""The main job through the window: a real relay process, a real peer, and a mouse that clicks.

Alice's window runs on qasync with her real profile; Bob is a second real agent with his own keys and database.
Everything that the person does is a click or a key in a widget.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from agentnet_desktop import compose, portable, profile
from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.events import Direction, ProposalView
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.care import Care
from agentnet_desktop.store import proposals
from agentnet_desktop.store.errors import StoreError
from agentnet_desktop.store.proposals import StoredProposal
from agentnet_desktop.ui import text
from agentnet_desktop.ui.contacts.add import AddContactDialog
from agentnet_desktop.ui.inbox.dialog import ProposalDialog
from agentnet_desktop.ui.main_window import MainWindow
from agentnet_desktop.ui.meetings.new import NewMeetingDialog
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.pages import Pages
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.profiles import Profiles
from agentnet_desktop.ui.session import Session
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.vault.errors import (
    BackendChanged,
    NoKeyring,
    PassphraseNeeded,
    VaultError,
    WrongPassphrase,
)
from agentnet_desktop.vault.kdf import Kdf
from tests.processes import RelayProcess
from tests.ui.conftest import HOUR, until

Run = Callable[[Coroutine[Any, Any, None]], None]
WORDS = "a passphrase that lives as long as a test"
TITLE = "Zebra crossing review"


def profiles() -> Profiles:
    """What the program hands to its session, with keys that cost no time."""

    def make(root: Path, **given: Any) -> Awaitable[object]:
        return compose.create_profile(root, kdf=Kdf.weak(), **given)

    async def opened(root: Path, passphrase: str | None, *, accept_backend: bool = False) -> compose.Holder:
        return await compose.open_profile(root, passphrase=passphrase or WORDS, accept_backend=accept_backend)

    def restored(root: Path, source: Path, **given: Any) -> Awaitable[object]:
        return portable.restore(root, source, kdf=Kdf.weak(), **given)

    return Profiles(
        exists=lambda root: profile.ProfilePaths(root).settings.exists(),
        make=make,
        account=compose.Account,
        remove=compose.delete_profile,
        open=opened,
        restore=restored,
        keeper=lambda holder: Care(holder, kdf=Kdf.weak()),
        errors=(profile.ProfileError, VaultError, StoreError),
        locked=(PassphraseNeeded, WrongPassphrase),
        no_keyring=(NoKeyring,),
        at_relay=(profile.SignInFailed, compose.BadProfileInput),
        backend_changed=(BackendChanged,),
    )


async def load() -> Profiles:
    return profiles()


class World:
    """Alice's window, and Bob."""

    def __init__(self, root: Path, relay: RelayProcess, theme: ThemeSwitch, qtbot: QtBot) -> None:
        self.root = root
        self.relay = relay
        self.qtbot = qtbot
        self.session = Session(root / "alice", theme, Preferences(root / "alice"), load)
        self.bob: compose.Holder

    @property
    def window(self) -> MainWindow:
        return self.session.window

    @property
    def pages(self) -> Pages:
        assert self.window.pages is not None
        return self.window.pages

    def click(self, where: QWidget) -> None:
        assert where.isVisible()
        assert where.isEnabled()
        self.qtbot.mouseClick(where, Qt.MouseButton.LeftButton)

    def button(self, where: QWidget, name: str) -> QPushButton:
        found = where.findChild(QPushButton, name)
        assert isinstance(found, QPushButton)
        return found

    async def make(self, name: str, invite: str) -> None:
        await compose.create_profile(
            self.root / name,
            agent_id=name,
            invite=invite,
            key_store="file",
            passphrase=WORDS,
            kdf=Kdf.weak(),
        )

    async def become_contacts(self) -> None:
        """Alice pastes Bob's link and says yes."""
        link = await self.bob.agent.create_contact_link()
        self.window.show_page(PageName.CONTACTS)
        self.click(self.pages.contacts.add_button)
        dialog = self.window.findChild(AddContactDialog)
        assert isinstance(dialog, AddContactDialog)
        assert not dialog.add.isEnabled()
        self.qtbot.keyClicks(dialog.link, link.link)
        assert dialog.who.text() == "bob"
        self.click(dialog.add)
        await until(lambda: self.pages.contacts_model.state_of("bob") == "VERIFIED", "the contact")
        agent = self.session.bridge.agent
        assert agent is not None
        assert await agent.wait_contact("bob", 30) is not None

    async def proposed_by_bob(self, **more: Any) -> ProposalView:
        start = text.now_ms() // HOUR * HOUR + 48 * HOUR
        given: dict[str, Any] = {
            "title": TITLE,
            "start": text.at(start).isoformat(),
            "end": text.at(start + HOUR).isoformat(),
            "location": "Room 4",
            **more,
        }
        (sent,) = await self.bob.agent.propose(["alice"], ProposalDraft(**given))
        return sent

    async def asked(self) -> ProposalDialog:
        """Wait for the dialog and its arming."""
        await until(lambda: self.window.dialog is not None, "the dialog")
        dialog = self.window.dialog
        assert dialog is not None
        await until(dialog.widget.accept_button.isEnabled, "the buttons' arming")
        return dialog

    async def bob_hears(self, sent: ProposalView) -> ProposalView:
        heard = await self.bob.agent.wait_proposal(sent.ref, 30)
        assert heard is not None
        return heard


@contextlib.asynccontextmanager
async def world(root: Path, relay: RelayProcess, theme: ThemeSwitch, qtbot: QtBot) -> AsyncIterator[World]:
    """Both connected to the relay process, and contacts of each other."""
    made = World(root, relay, theme, qtbot)
    await made.make("alice", relay.invite_link)
    await made.make("bob", relay.invite())
    made.bob = await compose.open_profile(root / "bob", passphrase=WORDS)
    await made.bob.start()
    tasks = Tasks()
    made.session.show(minimized=False)
    running = tasks.start(made.session.run(), name="the window")
    try:
        await until(lambda: made.session.bridge.snapshot is not None, "Alice's agent")
        await made.become_contacts()
        yield made
    finally:
        made.session.close()
        await running
        await made.bob.close()
        made.session.deleteLater()


@pytest.fixture
def scene(
    tmp_path: Path, relay_process: RelayProcess, theme: ThemeSwitch, qtbot: QtBot
) -> Callable[[], contextlib.AbstractAsyncContextManager[World]]:
    return lambda: world(tmp_path, relay_process, theme, qtbot)


Scene = Callable[[], contextlib.AbstractAsyncContextManager[World]]


def test_a_proposal_is_accepted_by_a_click(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            assert dialog.widget.title.text() == TITLE
            assert all_.window.navigation.count(PageName.INBOX) == 1
            all_.click(dialog.widget.accept_button)
            heard = await all_.bob_hears(sent)
            assert heard.state == "ACCEPTED"
            await until(lambda: not dialog.widget.waits, "the outcome")
            assert dialog.widget.outcome.text() == "You accepted. bob is told."
            assert all_.window.navigation.count(PageName.INBOX) == 0
            dialog.close()

    run(scenario())


def test_both_logs_hold_every_message_decrypted_and_as_it_went(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            all_.click(dialog.widget.accept_button)
            await all_.bob_hears(sent)
            all_.window.show_log("type:PROPOSAL")
            model = all_.pages.log_model
            await until(lambda: model.rowCount() == 1, "the filtered row")
            all_.pages.log.table.selectRow(0)
            await until(all_.pages.log.details.isVisible, "the details")
            details = all_.pages.log.details
            assert TITLE in details.decrypted.code.toPlainText()
            entry = all_.pages.log.table.chosen()
            agent = all_.session.bridge.agent
            assert entry is not None
            assert agent is not None
            whole = await agent.log.detail(entry.seq)
            assert whole is not None
            assert whole.wire is not None
            assert b"encryptedData" in whole.wire
            assert TITLE.encode() not in whole.wire
            assert f"{len(whole.wire)} bytes, msgpack" in details.wire._line.text()
            theirs = await all_.bob.agent.log.page("type:CONFIRMATION")
            assert [row.direction for row in theirs] == [Direction.IN]
            dialog.close()

    run(scenario())


def test_a_proposal_is_declined_with_a_reason_and_a_note(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            all_.click(dialog.widget.decline_button)
            panel = dialog.widget.decline_panel
            panel.reason.setCurrentIndex(panel.reason.findData("TIME_UNSUITABLE"))
            all_.qtbot.keyClicks(panel.note, "Later in the week?")
            all_.click(panel.send)
            heard = await all_.bob_hears(sent)
            assert (heard.state, heard.reason, heard.note) == (
                "REJECTED",
                "TIME_UNSUITABLE",
                "Later in the week?",
            )
            dialog.close()

    run(scenario())


def test_closing_the_dialog_leaves_the_proposal_waiting(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            all_.qtbot.keyClick(dialog, Qt.Key.Key_Escape)
            await until(lambda: all_.window.dialog is None, "the dialog's end")
            assert (await all_.bob.agent.proposal(sent.ref)).state == "PENDING"
            all_.window.show_page(PageName.INBOX)
            inbox = all_.pages.inbox.proposal
            await until(inbox.accept_button.isEnabled, "the inbox's buttons")
            all_.click(inbox.accept_button)
            assert (await all_.bob_hears(sent)).state == "ACCEPTED"

    run(scenario())


def test_a_withdrawn_proposal_closes_its_own_buttons(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            await all_.bob.agent.cancel(sent.ref, "I fell ill")
            await until(lambda: not dialog.widget.waits, "the withdrawal")
            assert not dialog.widget.accept_button.isEnabled()
            assert "I fell ill" in dialog.widget.outcome.text()
            dialog.close()

    run(scenario())


def test_another_time_is_suggested_and_agreed(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            all_.click(dialog.widget.suggest_button)
            panel = dialog.widget.suggest_panel
            panel.day.setDate(panel.day.date().addDays(1))
            all_.click(panel.send)
            heard = await all_.bob_hears(sent)
            assert heard.state == "MODIFIED"
            newest = await all_.bob.agent.proposal(f"alice/{sent.proposal_id}")
            assert newest.start == sent.start + 24 * HOUR
            await all_.bob.agent.accept(newest.ref)
            await until(lambda: "accepted" in dialog.widget.outcome.text(), "Bob's acceptance")
            dialog.close()

    run(scenario())


def test_a_meeting_is_proposed_from_the_window(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            all_.window.show_page(PageName.MEETINGS)
            all_.click(all_.pages.meetings.new_button)
            dialog = all_.window.findChild(NewMeetingDialog)
            assert isinstance(dialog, NewMeetingDialog)
            assert not dialog.send.isEnabled()
            dialog.people.item(0).setCheckState(Qt.CheckState.Checked)
            all_.qtbot.keyClicks(dialog.title, TITLE)
            while dialog.day.date().dayOfWeek() > 5:
                dialog.day.setDate(dialog.day.date().addDays(1))
            all_.click(dialog.ask)
            await until(lambda: dialog.starts.count() > 0, "Bob's free times")
            draft = dialog.draft()
            all_.click(dialog.send)
            await until(lambda: all_.pages.meetings_model.rowCount() == 1, "the meeting")
            (view,) = all_.pages.meetings_model.views()
            assert (view.title, view.state, view.direction) == (TITLE, "PENDING", Direction.OUT)
            assert text.at(view.start).isoformat() == draft.start
            await until(lambda: len(_incoming(all_.bob)) == 1, "Bob's copy")

    run(scenario())


def _incoming(holder: compose.Holder) -> list[StoredProposal]:
    return holder.database.read_sync(proposals.every)


def test_the_relay_may_die_and_come_back_in_the_middle(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            all_.relay.kill()
            await until(lambda: "Not connected" in all_.window.status._connection.text(), "the loss")
            all_.click(dialog.widget.accept_button)
            await until(lambda: "queued" in all_.window.status._queue.text(), "the queue")
            all_.relay.start()
            assert (await all_.bob_hears(sent)).state == "ACCEPTED"
            await until(lambda: all_.window.status._queue.text() == "Nothing queued", "delivery")
            dialog.close()

    run(scenario())


def test_the_dialogs_come_one_at_a_time(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            await all_.proposed_by_bob(title="First")
            await all_.proposed_by_bob(title="Second")
            await until(lambda: all_.window.navigation.count(PageName.INBOX) == 2, "both")
            dialog = await all_.asked()
            assert dialog.widget.title.text() == "First"
            dialog.close()
            await until(lambda: all_.window.dialog not in (None, dialog), "the next")
            second = all_.window.dialog
            assert second is not None
            assert second.widget.title.text() == "Second"
            second.close()

    run(scenario())
