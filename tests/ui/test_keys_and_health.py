"""Passphrase, backup, restore, another keyring, changed keys and the doctor, with real profiles and files."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import ContactChanged, ContactView, FiguresView, OutboxView
from agentnet_desktop.care import Care
from agentnet_desktop.compose import Holder, create_profile, open_profile
from agentnet_desktop.profile import ProfilePaths, read_settings, write_settings
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.health import HealthDialog, check_name, figures_facts, figures_line
from agentnet_desktop.ui.inbox.keys import HeldPanel, KeyChangePanel
from agentnet_desktop.ui.inbox.view import InboxPage
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxKind, InboxModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel
from agentnet_desktop.ui.settings.identity import BackupDialog, IdentityCard, PassphraseDialog
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.unlock import BackendPage, UnlockPage
from agentnet_desktop.ui.wizard.wizard import Wizard
from agentnet_desktop.vault.errors import WrongPassphrase
from agentnet_desktop.vault.kdf import Kdf
from tests.ui.conftest import DIGITS, FINGERPRINT, contact, snapshot, until
from tests.ui.test_first_run import window

Run = Callable[[Coroutine[Any, Any, None]], None]
WORDS = "a passphrase that lives as long as a test"
OTHER = "another passphrase, just as short-lived"


async def made(profile: Path) -> Holder:
    """A profile with a vault file, open."""
    await create_profile(
        profile,
        agent_id="alice",
        relay="ws://127.0.0.1:9",
        key_store="file",
        passphrase=WORDS,
        kdf=Kdf.weak(),
    )
    return await open_profile(profile, passphrase=WORDS)


async def card_of(holder: Holder, bridge: Bridge, qtbot: QtBot) -> IdentityCard:
    """The settings' card over an open profile."""
    card = IdentityCard(bridge)
    qtbot.addWidget(card)
    card.show()
    assert not card.passphrase_button.isEnabled()
    await bridge.attach(holder.agent, Care(holder, kdf=Kdf.weak()))
    assert card.passphrase_button.isEnabled()
    return card


def click(qtbot: QtBot, where: Any) -> None:
    assert where.isEnabled()
    qtbot.mouseClick(where, Qt.MouseButton.LeftButton)


def test_the_passphrase_is_changed_by_whoever_knows_the_old_one(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        holder = await made(profile)
        card = await card_of(holder, bridge, qtbot)
        dialog = card.open_passphrase()
        assert isinstance(dialog, PassphraseDialog)
        qtbot.keyClicks(dialog.old, "a wrong one")
        qtbot.keyClicks(dialog.new.first, OTHER)
        assert not dialog.go.isEnabled()
        qtbot.keyClicks(dialog.new.again, OTHER)
        click(qtbot, dialog.go)
        await until(lambda: dialog.notice.text(), "the refusal")
        assert dialog.go.isVisible()
        dialog.old.setText(WORDS)
        click(qtbot, dialog.go)
        await until(lambda: "holds" in dialog.notice.text(), "the change")
        assert dialog.new.text() == ""
        dialog.close()
        bridge.detach()
        await holder.close()
        with pytest.raises(WrongPassphrase):
            await open_profile(profile, passphrase=WORDS)
        await (await open_profile(profile, passphrase=OTHER)).close()

    run(scenario())


def test_a_vault_file_keeps_a_passphrase(run: Run, profile: Path, bridge: Bridge, qtbot: QtBot) -> None:
    async def scenario() -> None:
        holder = await made(profile)
        card = await card_of(holder, bridge, qtbot)
        dialog = card.open_passphrase()
        dialog.old.setText(WORDS)
        assert not dialog.go.isEnabled()  # an empty new one would mean none
        dialog.close()
        bridge.detach()
        await holder.close()

    run(scenario())


def test_a_backup_is_written_and_the_first_run_restores_it(
    run: Run, profile: Path, tmp_path: Path, bridge: Bridge, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    out = tmp_path / "alice.agentnet-backup"

    async def scenario() -> None:
        holder = await made(profile)
        mine = holder.settings.fingerprint
        card = await card_of(holder, bridge, qtbot)
        dialog = card.open_backup()
        assert isinstance(dialog, BackupDialog)
        out.write_text("here already")
        dialog.path.set_path(out)
        qtbot.keyClicks(dialog.new.first, OTHER)
        qtbot.keyClicks(dialog.new.again, OTHER)
        assert not dialog.go.isEnabled()
        assert "already" in dialog.notice.text()
        out.unlink()
        dialog.path.edit.setText(str(out) + "x")
        dialog.path.set_path(out)
        click(qtbot, dialog.go)
        await until(lambda: "0 contacts" in dialog.notice.text(), "the backup")
        dialog.close()
        bridge.detach()
        await holder.close()
        assert out.stat().st_mode & 0o777 == 0o600
        await restore(mine)

    async def restore(mine: str) -> None:
        async with window(tmp_path / "new", theme) as session:
            await until(lambda: session.window.findChild(Wizard) is not None, "the wizard")
            wizard = session.window.findChild(Wizard)
            assert isinstance(wizard, Wizard)
            dialog = wizard.open_restore()
            dialog.source.set_path(out)
            dialog.words.setText("not the right words")
            dialog.vault_file.setChecked(True)
            assert not dialog.go.isEnabled()
            dialog.new.first.setText(WORDS)
            dialog.new.again.setText(WORDS)
            click(qtbot, dialog.go)
            await until(lambda: dialog.notice.text(), "the refusal")
            assert not ProfilePaths(tmp_path / "new").settings.exists()
            dialog.words.setText(OTHER)
            click(qtbot, dialog.go)
            await until(lambda: session.bridge.snapshot is not None, "the agent")
            assert session.bridge.snapshot is not None
            assert session.bridge.snapshot.fingerprint == mine
            await until(lambda: session.window.findChild(Wizard) is None, "the wizard's end")

    run(scenario())


def test_another_keyring_is_told_and_used_only_when_the_person_says_so(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        await (await made(profile)).close()
        paths = ProfilePaths(profile)
        write_settings(paths, replace(read_settings(paths), backend="keyring.backends.kwallet.DBusKeyring"))
        async with window(profile, theme) as session:
            stack = session.window.stack
            await until(lambda: isinstance(stack.currentWidget(), BackendPage), "the question")
            page = stack.currentWidget()
            assert isinstance(page, BackendPage)
            assert "kwallet" in page.words.text()
            click(qtbot, page.retry)
            assert not page.isEnabled()
            await until(page.isEnabled, "the question again")
            assert "kwallet" in read_settings(paths).backend
            click(qtbot, page.accept)
            await until(lambda: isinstance(stack.currentWidget(), UnlockPage), "the passphrase")
            unlock = stack.currentWidget()
            assert isinstance(unlock, UnlockPage)
            qtbot.keyClicks(unlock.passphrase, WORDS)
            click(qtbot, unlock.unlock)
            await until(lambda: session.bridge.snapshot is not None, "the agent")
            assert read_settings(paths).backend == "file"

    run(scenario())


def held(number: int) -> OutboxView:
    return OutboxView(
        f"msg_{number}",
        "eve",
        "conv_1",
        "PROPOSAL",
        "NORMAL",
        "QUEUED",
        "Held.",
        0,
        number,
        None,
        9,
        held=True,
    )


class Inbox:
    """An inbox whose commands are noted instead of carried out."""

    def __init__(self, bridge: Bridge, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bridge = bridge
        self.names: list[str] = []
        monkeypatch.setattr(bridge, "command", self._note)
        contacts, meetings = ContactsModel(bridge, bridge), MeetingsModel(bridge, bridge)
        self.model = InboxModel(bridge, contacts, bridge)
        self.page = InboxPage(bridge, self.model, contacts, meetings)
        qtbot.addWidget(self.page)
        self.page.resize(900, 560)
        self.page.show()

    def _note(self, _make: object, *, name: str, **_rest: object) -> None:
        self.names.append(name)

    def change(self, view: ContactView) -> None:
        self.bridge.dispatch(ContactChanged(view))


@pytest.fixture
def inbox(bridge: Bridge, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    return Inbox(bridge, qtbot, monkeypatch)


def test_a_changed_key_shows_both_keys_and_safety_numbers(inbox: Inbox, qtbot: QtBot) -> None:
    other = DIGITS[::-1]
    changed = contact("eve", "KEY_CHANGED", candidate_fingerprint="ffff 0000", candidate_safety_number=other)
    inbox.bridge.attached.emit(snapshot(contacts=(changed,)))
    panel = inbox.page._key_change
    assert isinstance(panel, KeyChangePanel)
    assert panel.isVisible()
    assert (panel.old.fingerprint.text(), panel.new.fingerprint.text()) == (FINGERPRINT, "ffff 0000")
    assert panel.old.number.text().replace(" ", "").replace("\n", "") == DIGITS
    assert panel.new.number.text().replace(" ", "").replace("\n", "") == other
    qtbot.waitUntil(panel.accept.isEnabled, timeout=5000)
    click(qtbot, panel.accept)
    assert "accept key" in inbox.names


@pytest.mark.parametrize("send", [True, False])
def test_messages_held_since_then_wait_for_the_person(inbox: Inbox, qtbot: QtBot, send: bool) -> None:
    inbox.bridge.attached.emit(snapshot(contacts=(contact("eve", "KEY_CHANGED"),)))
    inbox.model._stuck([held(1), held(2)])
    assert [item.kind for item in inbox.model.views()] == [InboxKind.KEY_CHANGE]
    inbox.change(contact("eve", "APPROVED", held=True))
    inbox.model._stuck([held(1), held(2)])
    (item,) = inbox.model.views()
    assert (item.kind, item.title) == (InboxKind.HELD, "2 held messages")
    panel = inbox.page._held
    assert isinstance(panel, HeldPanel)
    assert panel.isVisible()
    assert panel.messages.text().count("PROPOSAL") == 2
    chosen = panel.release_button if send else panel.drop_button
    qtbot.waitUntil(chosen.isEnabled, timeout=5000)
    click(qtbot, chosen)
    assert ("release messages" if send else "give up messages") in inbox.names
    inbox.model._stuck([])
    assert inbox.model.rowCount() == 0


def test_the_doctor_walks_every_check_in_the_window(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot, theme: ThemeSwitch
) -> None:
    async def scenario() -> None:
        holder = await made(profile)
        card = await card_of(holder, bridge, qtbot)
        dialog = HealthDialog(bridge, card)
        dialog.show()
        await until(lambda: "failed" in dialog.notice.text(), "the end")
        states = {finding.check: finding.state for finding in dialog.findings}
        assert states["profile"] == states["keyring"] == states["database"] == "ok"
        assert states["relay"] == "failed"  # it was never started
        assert states["session"] == states["storing"] == "ok"
        assert all(check_name(check) != check for check in states)  # each is named for a person
        click(qtbot, dialog.again)
        await until(dialog.again.isEnabled, "the second walk")
        assert len(dialog.findings) == len(states)
        dialog.close()
        bridge.detach()
        await bridge._tasks.cancel_all()
        await holder.close()

    run(scenario())


def test_figures_say_what_was_measured_and_nothing_else() -> None:
    nothing = FiguresView(None, None, None, None, None, None, None, None, 0, 0, 0, 0)
    assert [value for _, value in figures_facts(nothing, 0)][:4] == ["–", "–", "–", "–"]
    assert figures_line(nothing) == "0 reconnections since the start"
    now = text.now_ms()
    some = FiguresView(now - 60_000, 40, 90, 3.0, 3, 9, 25, 80, 12, 2, 1, 4)
    values = dict(figures_facts(some, now))
    assert values["Connected"] == "for 1 min"
    month = "in the last 30 days"
    assert values["Connecting took"] == f"40 ms the last time; 95 of 100 below 90 ms, {month}"
    assert values["Round trip"] == f"3 ms usually; 95 of 100 below 9 ms, {month}"
    delivered = "of 12 messages delivered in the last 30 days"
    assert values["A message took"] == f"25 ms usually; 95 of 100 below 80 ms, {delivered}"
    assert values["Connections"] == "2 since the profile was made"
    assert values["Reconnections"] == "1 since the start of this program"
    assert values["Retries"] == f"4, {delivered}"
    assert "a message takes 25 ms, of 12 in 30 days with 4 retries" in figures_line(some)
