"""Keys, integrity and events in the window, over a real agent's database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from sqlalchemy import text as sql

from agentnet_desktop.agent.events import SecurityRaised, SecurityView, SessionKeysView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.security_model import SecurityModel
from agentnet_desktop.ui.security.advice import advice
from agentnet_desktop.ui.security.keys import SessionsDialog, keys_words
from agentnet_desktop.ui.security.view import SecurityPage
from tests.ui.conftest import HOUR, contact, snapshot, until
from tests.ui.test_log_view import log_of

Run = Callable[[Coroutine[Any, Any, None]], None]
DAY = 24 * HOUR
PLAIN = {"encrypted": False, "verified": "none", "direction": "local", "plaintext": None, "wire": None}


def page_of(bridge: Bridge, qtbot: QtBot) -> SecurityPage:
    made = SecurityPage(bridge, SecurityModel(bridge, bridge), ContactsModel(bridge, bridge))
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    return made


def keys(number: int, age_days: int) -> SessionKeysView:
    since = text.now_ms() - age_days * DAY
    return SessionKeysView("bob", f"conv_{number}", since, 12 * number, since + 30 * DAY, 1000)


def test_the_age_of_keys_and_the_next_rotation_are_told() -> None:
    words = keys_words([keys(1, 2), keys(2, 20)], text.now_ms())
    assert words.startswith("2 conversations are live.")
    assert "20 d ago" in words
    assert "in 9 d" in words or "in 10 d" in words
    assert "begins" in keys_words([], text.now_ms())


def test_each_conversation_has_its_line(bridge: Bridge, qtbot: QtBot) -> None:
    page = page_of(bridge, qtbot)
    bridge.attached.emit(snapshot(contacts=(contact("bob"),)))
    page.keys._show_keys([keys(1, 2), keys(2, 20)])
    dialog = page.keys.open_sessions()
    assert isinstance(dialog, SessionsDialog)
    assert dialog.table.topLevelItemCount() == 2
    line = dialog.table.topLevelItem(1)
    assert line is not None
    assert [line.text(column) for column in (0, 1, 3)] == ["Bob", "conv_2", "24 / 1000"]
    dialog.close()


def test_the_log_is_verified_on_request_and_the_first_bad_entry_is_named(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        page = page_of(bridge, qtbot)
        async with log_of(profile, bridge, qtbot, 30, **PLAIN) as log:
            card = page.integrity
            assert "not verified" in card.state.text()
            qtbot.mouseClick(card.verify_button, Qt.MouseButton.LeftButton)
            assert card.work.isVisible()
            await until(lambda: card.notice.text(), "the report")
            assert not card.work.isVisible()
            await until(lambda: "Verified up to entry" in card.state.text(), "how far")
            change = "UPDATE log_entry SET summary = 'invented' WHERE seq = 7"
            await log.holder.database.write(lambda session: session.execute(sql(change)))
            card.verify()
            await until(lambda: "Entry 7" in card.notice.text(), "the bad entry")
            await until(card.show_bad.isVisible, "the way to it")
            with qtbot.waitSignal(page.entry_wanted) as told:
                qtbot.mouseClick(card.show_bad, Qt.MouseButton.LeftButton)
            assert told.args == [7]
            log.page.find_entry(7)
            await until(lambda: (row := log.page.table.chosen()) is not None and row.seq == 7, "the entry")

    run(scenario())


def test_a_verification_can_be_cancelled(run: Run, profile: Path, bridge: Bridge, qtbot: QtBot) -> None:
    async def scenario() -> None:
        page = page_of(bridge, qtbot)
        async with log_of(profile, bridge, qtbot, 500):
            card = page.integrity
            card.verify()
            qtbot.mouseClick(card.work.cancel_button, Qt.MouseButton.LeftButton)
            assert "Stopped" in card.notice.text()
            assert card.verify_button.isEnabled()
            assert "not verified" in card.state.text()

    run(scenario())


def test_an_event_says_what_happened_and_what_to_do(bridge: Bridge, qtbot: QtBot) -> None:
    page = page_of(bridge, qtbot)
    bridge.attached.emit(snapshot(contacts=(contact("eve"),)))
    bridge.dispatch(
        SecurityRaised(SecurityView(9, text.now_ms(), "eve", "KEY_CHANGED", "Eve uses another key."))
    )
    panel = page.event_panel
    assert panel.title.text() == "A contact's key changed"
    assert "Eve" in panel.when.text()
    assert "another way" in panel.act.text()
    with qtbot.waitSignal(page.entry_wanted) as told:
        panel._entry.click()
    assert told.args == [9]


def test_every_kind_of_event_has_advice() -> None:
    general = advice("SOMETHING_NEW")
    assert general.act
    for kind in ("BAD_SIGNATURE", "CLEARTEXT_REFUSED", "HANDSHAKE_REFUSED:COMMITMENT", "DECRYPTION_FAILED"):
        assert advice(kind).title != general.title
