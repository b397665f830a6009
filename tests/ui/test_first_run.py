"""The first run and the opening of a profile, with the real relay as the window's own child."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keyring
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from agentnet_desktop import profile as profile_files
from agentnet_desktop.agent.events import ConnectionState
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.compose import Account, open_profile
from agentnet_desktop.ui.hosting.relay_process import RelayProcess, RelayState
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.profiles import Profiles
from agentnet_desktop.ui.session import Session
from agentnet_desktop.ui.single_instance import InstanceServer, hand_over
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.unlock import TroublePage, UnlockPage
from agentnet_desktop.ui.wizard.relay_step import Access, RelayStep
from agentnet_desktop.ui.wizard.steps import IdentityStep
from agentnet_desktop.ui.wizard.wizard import Place, Wizard
from tests.issuer import ACCOUNT, PROJECT, WEB_KEY, Issuer
from tests.processes import RelayProcess as Served
from tests.processes import SecretService
from tests.ui.conftest import until
from tests.ui.test_main_job import profiles

Run = Callable[[Coroutine[Any, Any, None]], None]
WORDS = "a passphrase that lives as long as a test"


async def load() -> Profiles:
    """As the program does, but a locked profile asks for its words."""

    async def opened(root: Path, passphrase: str | None, *, accept_backend: bool = False) -> Any:
        return await open_profile(root, passphrase=passphrase, accept_backend=accept_backend)

    return replace(profiles(), open=opened)


@contextlib.asynccontextmanager
async def window(folder: Path, theme: ThemeSwitch) -> AsyncIterator[Session]:
    """A running session on a profile, ended in order."""
    preferences = Preferences(folder)
    if not preferences.host_relay:
        preferences.relay_port = 0  # any that is free: other tests run relays too
    session = Session(folder, theme, preferences, load)
    tasks = Tasks()
    session.show(minimized=False)
    running = tasks.start(session.run(), name="the window")
    try:
        yield session
    finally:
        session.close()
        await running
        assert session.relay is None or session.relay.state is RelayState.STOPPED
        session.deleteLater()


async def walk_through(session: Session, qtbot: QtBot) -> None:
    """Make a profile by clicks: an id, a passphrase for a vault file, and a relay hosted here."""
    await until(lambda: session.window.findChild(Wizard) is not None, "the wizard")
    wizard = session.window.findChild(Wizard)
    assert isinstance(wizard, Wizard)
    assert not wizard.next.isEnabled()
    qtbot.keyClicks(wizard.identity.agent_id, "alice")
    qtbot.keyClicks(wizard.identity.passphrase, WORDS)
    assert not wizard.next.isEnabled()
    qtbot.keyClicks(wizard.identity.repeated, WORDS)
    wizard.identity.vault_file.setChecked(True)
    for _ in range(3):
        qtbot.mouseClick(wizard.next, Qt.MouseButton.LeftButton)
    await until(lambda: wizard.place() is Place.CONTACT, "the last step")
    await until(lambda: wizard.contact.link.line.text().startswith("agentnet://contact/alice"), "my link")
    qtbot.mouseClick(wizard.next, Qt.MouseButton.LeftButton)


@pytest.fixture
def no_keyring() -> Iterator[None]:
    """A machine on which nothing keeps secrets."""
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.core.load_keyring("keyring.backends.fail.Keyring"))
    yield
    keyring.set_keyring(before)


async def fill_in(session: Session, qtbot: QtBot) -> Wizard:
    """Only an id, then on to the last click that makes the agent."""
    await until(lambda: session.window.findChild(Wizard) is not None, "the wizard")
    wizard = session.window.findChild(Wizard)
    assert isinstance(wizard, Wizard)
    qtbot.keyClicks(wizard.identity.agent_id, "alice")
    for _ in range(3):
        qtbot.mouseClick(wizard.next, Qt.MouseButton.LeftButton)
    return wizard


async def connected(session: Session) -> None:
    snapshot: list[ConnectionState] = []
    session.bridge.connection_changed.connect(lambda view: snapshot.append(view.state))
    agent = session.bridge.agent
    assert agent is not None
    assert await agent.wait_connected(30)


def test_the_wizard_makes_a_profile_that_opens_again_with_its_passphrase(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with window(profile, theme) as session:
            await walk_through(session, qtbot)
            await connected(session)
            assert session.relay is not None
            assert session.relay.state is RelayState.RUNNING
            assert session.bridge.snapshot is not None
            assert session.bridge.snapshot.agent_id == "alice"
        async with window(profile, theme) as session:
            await until(lambda: isinstance(session.window.stack.currentWidget(), UnlockPage), "the question")
            page = session.window.stack.currentWidget()
            assert isinstance(page, UnlockPage)
            qtbot.keyClicks(page.passphrase, "a wrong one")
            qtbot.keyClick(page.passphrase, Qt.Key.Key_Return)
            await until(lambda: page.notice.text(), "the refusal")
            qtbot.keyClicks(page.passphrase, WORDS)
            qtbot.mouseClick(page.unlock, Qt.MouseButton.LeftButton)
            await until(lambda: session.bridge.snapshot is not None, "the agent")
            await connected(session)
            session.window.show_page(PageName.RELAY)
            assert session.window.pages is not None
            relay = session.window.pages.relay
            qtbot.mouseClick(relay.invite_button, Qt.MouseButton.LeftButton)
            await until(lambda: relay.invite.line.text().startswith("agentnet://join"), "an invite")
            qtbot.mouseClick(relay.stop_button, Qt.MouseButton.LeftButton)
            await until(lambda: relay.start_button.isEnabled(), "the relay's end")

    run(scenario())


def test_with_a_keyring_an_id_is_enough(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot, secret_service: SecretService
) -> None:
    assert secret_service.keyring_pid

    async def scenario() -> None:
        async with window(profile, theme) as session:
            wizard = await fill_in(session, qtbot)
            await until(lambda: wizard.place() is Place.CONTACT, "the last step")
            await connected(session)
            assert session.bridge.snapshot is not None
            assert "Secret Service" in session.window.status._keyring.text()
            wizard.accept()
        async with window(profile, theme) as session:
            await until(lambda: session.bridge.snapshot is not None, "the agent, unasked")

    run(scenario())


def test_without_a_keyring_the_wizard_offers_a_file(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot, no_keyring: None
) -> None:
    async def scenario() -> None:
        async with window(profile, theme) as session:
            wizard = await fill_in(session, qtbot)
            await until(lambda: wizard.notice.text(), "what is missing")
            assert wizard.place() is Place.IDENTITY
            assert wizard.identity.vault_file.isChecked()
            assert not wizard.next.isEnabled()
            wizard.reject()

    run(scenario())
    assert not profile_files.ProfilePaths(profile).settings.exists()


def test_leaving_the_wizard_makes_nothing_and_ends(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with window(profile, theme) as session:
            await until(lambda: session.window.findChild(Wizard) is not None, "the wizard")
            wizard = session.window.findChild(Wizard)
            assert isinstance(wizard, Wizard)
            qtbot.keyClick(wizard, Qt.Key.Key_Escape)
            await until(session._closing.is_set, "the end")

    run(scenario())
    assert not profile.exists()


def test_a_profile_that_another_holds_is_told_and_tried_again(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        made = profiles()
        await made.make(
            profile,
            agent_id="alice",
            invite=f"agentnet://join?relay=ws%3A%2F%2F127.0.0.1%3A9&name=x#invite={'A' * 22}",
            key_store="file",
            passphrase=WORDS,
            insecure=False,
        )
        held = await open_profile(profile, passphrase=WORDS)
        async with window(profile, theme) as session:
            await until(lambda: isinstance(session.window.stack.currentWidget(), TroublePage), "the trouble")
            page = session.window.stack.currentWidget()
            assert isinstance(page, TroublePage)
            assert "in use" in page.words.text() or "pid" in page.words.text()
            await held.close()
            qtbot.mouseClick(page.retry, Qt.MouseButton.LeftButton)
            await until(lambda: isinstance(session.window.stack.currentWidget(), UnlockPage), "the question")

    run(scenario())


def test_a_second_launch_hands_over_its_link(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    profile.mkdir()
    assert not hand_over(profile, "agentnet://contact/bob")
    server = InstanceServer(profile)
    assert server.listens
    with qtbot.waitSignal(server.received) as got:
        assert hand_over(profile, "agentnet://contact/bob")
    assert got.args == ["agentnet://contact/bob"]
    with qtbot.waitSignal(server.received) as got:
        assert hand_over(profile, "")
    assert got.args == [""]
    assert not hand_over(profile / "other", "x")
    server.close()
    assert not hand_over(profile, "x")


@pytest.mark.parametrize(
    ("agent_id", "good"), [("alice", True), ("a", False), ("system", False), ("al ice", False)]
)
def test_the_first_step_checks_the_id(qtbot: QtBot, theme: ThemeSwitch, agent_id: str, good: bool) -> None:
    step = IdentityStep()
    qtbot.addWidget(step)
    step.agent_id.setText(agent_id)
    assert step.complete() is good
    assert bool(step.problem.text()) is not good


def test_a_vault_file_needs_a_passphrase(qtbot: QtBot, theme: ThemeSwitch) -> None:
    step = IdentityStep()
    qtbot.addWidget(step)
    step.agent_id.setText("alice")
    step.vault_file.setChecked(True)
    assert not step.complete()
    step.passphrase.setText("short")
    assert not step.complete()
    step.passphrase.setText("long enough words")
    step.repeated.setText("long enough word")
    assert not step.complete()
    step.repeated.setText("long enough words")
    assert step.complete()


def test_the_relay_step_reads_an_invite_link(qtbot: QtBot, theme: ThemeSwitch) -> None:
    step = RelayStep()
    qtbot.addWidget(step)
    assert step.complete()
    step.joined.setChecked(True)
    assert not step.complete()
    step.invite.setText("https://example.org")
    assert not step.complete()
    assert "not a join link" in step.notice.text()
    step.invite.setText(f"agentnet://join?relay=wss%3A%2F%2Frelay.example%3A443&name=Home#invite={'A' * 22}")
    assert step.complete()
    assert "joins Home" in step.notice.text()


def test_a_relay_whose_port_is_taken_says_so(run: Run, tmp_path: Path, theme: ThemeSwitch) -> None:
    async def scenario() -> None:
        first, second = RelayProcess(tmp_path / "one"), RelayProcess(tmp_path / "two")
        first.start(port=0, name="One")
        address = await first.started()
        assert first.pid() > 0
        second.start(port=int(address.rsplit(":", 1)[1]), name="Two")
        with pytest.raises(RuntimeError, match=r"(?i)port|in use|address"):
            await second.started()
        assert second.state is RelayState.STOPPED
        await first.stopped()
        await first.stopped()
        assert first.state is RelayState.STOPPED

    run(scenario())


def test_preferences_are_written_only_into_a_profile_that_exists(profile: Path) -> None:
    preferences = Preferences(profile)
    preferences.notify_details = True
    assert not profile.exists()
    profile.mkdir()
    preferences.save()
    assert Preferences(profile).notify_details is True
    assert not profile_files.ProfilePaths(profile).settings.exists()


# ------------------------------------------------------------------------------- joining


async def join(session: Session, qtbot: QtBot, link: str) -> Wizard:
    """Walk to the relay's step with an id, and paste an invite link."""
    await until(lambda: session.window.findChild(Wizard) is not None, "the wizard")
    wizard = session.window.findChild(Wizard)
    assert isinstance(wizard, Wizard)
    wizard.identity.agent_id.setText("alice")
    wizard.identity.passphrase.setText(WORDS)
    wizard.identity.repeated.setText(WORDS)
    wizard.identity.vault_file.setChecked(True)
    qtbot.mouseClick(wizard.next, Qt.MouseButton.LeftButton)
    wizard.relay.take_invite(link)
    return wizard


def to_the_end(wizard: Wizard, qtbot: QtBot) -> None:
    for _ in range(2):
        qtbot.mouseClick(wizard.next, Qt.MouseButton.LeftButton)


@pytest.fixture
def firebase_relay(tmp_path: Path, issuer: Issuer) -> Iterator[Served]:
    options = (
        "--auth",
        "firebase",
        "--firebase-project",
        PROJECT,
        "--firebase-keys-url",
        issuer.url + "/keys",
    )
    served = Served(tmp_path / "served", extra=options)
    served.start()
    yield served
    served.stop()


def at_emulator(session_load: Any, issuer: Issuer) -> Any:
    """As the program does, but accounts are the issuer's."""

    async def loaded() -> Profiles:
        found: Profiles = await session_load()
        return replace(found, account=lambda **given: Account(emulator=issuer.url, **given))

    return loaded


def test_an_account_signs_in_by_the_wizard_and_again_when_the_sign_in_ended(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot, firebase_relay: Served, issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(globals(), "load", at_emulator(load, issuer))

    async def scenario() -> None:
        async with window(profile, theme) as session:
            wizard = await join(session, qtbot, firebase_relay.invite_link)
            fields = wizard.relay.fields
            fields.choose(Access.ACCOUNT)
            assert not wizard.next.isEnabled()
            for edit, words in (
                (fields.email, ACCOUNT[0]),
                (fields.password, "wrong"),
                (fields.api_key, WEB_KEY),
            ):
                edit.setText(words)
            to_the_end(wizard, qtbot)
            await until(lambda: wizard.notice.text(), "the refusal")
            assert "password is wrong" in wizard.notice.text()
            assert wizard.place() is Place.RELAY
            assert fields.email.text() == ACCOUNT[0]
            assert not profile_files.ProfilePaths(profile).settings.exists()
            fields.password.setText(ACCOUNT[1])
            issuer.life_s = 4
            to_the_end(wizard, qtbot)
            await until(lambda: wizard.place() is Place.CONTACT, "the last step")
            await connected(session)
            assert fields.password.text() == ""
            wizard.accept()
            banner = session.window.sign_in
            assert banner.isHidden()
            issuer.ended = "TOKEN_EXPIRED"
            await until(lambda: not banner.isHidden(), "the banner")
            issuer.ended, issuer.life_s = "", 3600
            dialog = banner.open()
            assert dialog.email.text() == ACCOUNT[0]
            dialog.password.setText("wrong")
            qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
            await until(lambda: "wrong" in dialog.notice.text(), "the refusal")
            dialog.password.setText(ACCOUNT[1])
            qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
            await connected(session)
            await until(banner.isHidden, "the banner's end")

    run(scenario())


def test_an_invite_that_the_relay_refuses_leaves_nothing_and_stays_on_the_page(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot, relay_process: Served
) -> None:
    used = relay_process.invite_link.partition("invite=")[0] + "invite=" + "A" * 22

    async def scenario() -> None:
        async with window(profile, theme) as session:
            wizard = await join(session, qtbot, used)
            to_the_end(wizard, qtbot)
            await until(lambda: wizard.notice.text(), "the refusal")
            assert "new invite" in wizard.notice.text()
            assert wizard.place() is Place.RELAY
            assert wizard.relay.invite.text() == used
            assert not profile_files.ProfilePaths(profile).settings.exists()
            qtbot.mouseClick(wizard.back, Qt.MouseButton.LeftButton)
            assert wizard.identity.passphrase.text() == WORDS
            qtbot.mouseClick(wizard.next, Qt.MouseButton.LeftButton)
            wizard.relay.take_invite(relay_process.invite())
            to_the_end(wizard, qtbot)
            await until(lambda: wizard.place() is Place.CONTACT, "the last step")
            await connected(session)
            wizard.accept()

    run(scenario())


def test_a_relay_that_cannot_be_reached_is_told_and_the_agent_is_made(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with window(profile, theme) as session:
            link = f"agentnet://join?relay=ws%3A%2F%2F127.0.0.1%3A9&name=x#invite={'A' * 22}"
            wizard = await join(session, qtbot, link)
            to_the_end(wizard, qtbot)
            await until(lambda: wizard.place() is Place.CONTACT, "the last step")
            await until(lambda: "nothing listens" in wizard.contact.connection.text(), "what is wrong")
            wizard.accept()

    run(scenario())


def test_a_first_run_that_is_left_after_a_failure_leaves_no_folder(
    run: Run, profile: Path, theme: ThemeSwitch, qtbot: QtBot, no_keyring: None
) -> None:
    async def scenario() -> None:
        async with window(profile, theme) as session:
            wizard = await fill_in(session, qtbot)
            await until(lambda: wizard.notice.text(), "what is missing")
            wizard.reject()

    run(scenario())
    assert not profile.exists()


def test_a_link_without_encryption_needs_a_yes(qtbot: QtBot, theme: ThemeSwitch) -> None:
    step = RelayStep()
    qtbot.addWidget(step)
    step.take_invite(f"agentnet://join?relay=ws%3A%2F%2Frelay.example%3A80&name=x#invite={'A' * 22}")
    assert not step.complete()
    assert "not encrypted" in step.notice.text()
    assert not step.insecure.isHidden()
    step.insecure.setChecked(True)
    assert step.complete()
    step.take_invite(f"agentnet://join?relay=ws%3A%2F%2F127.0.0.1%3A80&name=x#invite={'A' * 22}")
    assert step.complete()
    assert step.insecure.isHidden()


def test_what_an_account_or_a_token_file_lacks_holds_the_step(
    qtbot: QtBot, theme: ThemeSwitch, tmp_path: Path
) -> None:
    step = RelayStep()
    qtbot.addWidget(step)
    step.take_invite(f"agentnet://join?relay=wss%3A%2F%2Frelay.example%3A443&name=x#invite={'A' * 22}")
    step.fields.choose(Access.ACCOUNT)
    step.fields.email.setText("alice")
    step.fields.password.setText("p")
    step.fields.api_key.setText("k")
    assert not step.complete()
    assert "@" in step.notice.text()
    step.fields.email.setText("alice@example.org")
    assert step.complete()
    step.fields.choose(Access.TOKEN_FILE)
    assert not step.complete()
    step.fields.token_file.set_path(tmp_path / "token")
    assert not step.complete()
    assert "no such file" in step.notice.text()
    (tmp_path / "token").write_text("x")
    step.fields.token_file.set_path(tmp_path)
    step.fields.token_file.set_path(tmp_path / "token")
    assert step.complete()
