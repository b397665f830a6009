"""The frame: pages, counts, status, keyboard, small sizes; and the pages that no other test visits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import (
    ConnectionChanged,
    ConnectionState,
    ConnectionView,
    ContactChanged,
    OutboxChanged,
    ProposalChanged,
    SecurityRaised,
    SecurityView,
)
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.hosting.relay_process import RelayProcess
from agentnet_desktop.ui.main_window import MainWindow
from agentnet_desktop.ui.meetings.new import NewMeetingDialog
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.pages import Pages
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme import current
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.theme.tokens import DARK
from agentnet_desktop.ui.widgets.confirm import Confirmation
from tests.ui.conftest import DIGITS, contact, proposal, snapshot


@pytest.fixture
def window(bridge: Bridge, theme: ThemeSwitch, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    made = MainWindow(bridge, Preferences(tmp_path), theme)
    qtbot.addWidget(made)
    made.resize(1024, 640)
    made.show()
    made.build_pages(RelayProcess(tmp_path / "relay", bridge))
    bridge.attached.emit(snapshot(contacts=(contact("bob"), contact("eve", "KEY_CHANGED"))))
    made.show_page(PageName.INBOX)
    return made


def _shows(window: MainWindow, page: QWidget) -> bool:
    return window.stack.currentWidget() is page


def pages_of(window: MainWindow) -> Pages:
    assert window.pages is not None
    return window.pages


def test_every_page_opens_by_its_shortcut(window: MainWindow, qtbot: QtBot) -> None:
    pages = pages_of(window)
    with qtbot.waitActive(window):
        window.activateWindow()
    for number, page in enumerate(PageName, start=1):
        qtbot.keyClick(window, getattr(Qt.Key, f"Key_{number}"), Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(partial(_shows, window, pages.by_name[page]))


def test_counts_stand_beside_what_waits(window: MainWindow, bridge: Bridge) -> None:
    assert window.navigation.count(PageName.INBOX) == 1  # the changed key
    bridge.dispatch(SecurityRaised(SecurityView(1, 1, "eve", "KEY_CHANGED", "another key")))
    assert window.navigation.count(PageName.SECURITY) == 1
    window.show_page(PageName.SECURITY)
    assert window.navigation.count(PageName.SECURITY) == 0


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ConnectionState.CONNECTED, "Connected to Home · 12 ms"),
        (ConnectionState.CONNECTING, "Connecting to Home …"),
        (ConnectionState.WAITING, "Not connected · trying again soon"),
        (ConnectionState.STOPPED, "Not connected · needs you"),
        (ConnectionState.OFFLINE, "Offline"),
    ],
)
def test_the_status_bar_tells_the_connection(
    window: MainWindow, bridge: Bridge, state: ConnectionState, words: str
) -> None:
    bridge.dispatch(
        ConnectionChanged(ConnectionView(state, "ws://x", "Home", insecure=True, round_trip_ms=12.3))
    )
    assert window.status._connection.text() == words
    assert window.status._insecure.isVisible()
    bridge.dispatch(OutboxChanged(2))
    assert window.status._queue.text() == "2 queued"


def test_a_long_key_store_is_cut_where_the_status_bar_has_no_room(
    window: MainWindow, bridge: Bridge, qtbot: QtBot
) -> None:
    store = "A key store of the far north " * 2
    bridge.attached.emit(replace(snapshot(), keyring_backend=store))
    busy = ConnectionView(
        ConnectionState.CONNECTED, "ws://x", "R" * 40, insecure=True, degraded=True, round_trip_ms=12.3
    )
    bridge.dispatch(ConnectionChanged(busy))
    bridge.storage_changed.emit("The disk is full.")
    part = window.status._keyring
    qtbot.waitUntil(lambda: part.text().endswith("…"))
    assert part.mapTo(window, part.rect().bottomRight()).x() <= window.width()
    assert store.strip() in part.toolTip()
    bridge.attached.emit(replace(snapshot(), keyring_backend="file"))
    bridge.storage_changed.emit("")
    qtbot.waitUntil(lambda: part.text() == "Vault file")


def test_the_security_page_scrolls_where_a_banner_takes_its_room(
    window: MainWindow, bridge: Bridge, qtbot: QtBot
) -> None:
    window.show_page(PageName.SECURITY)
    window.resize(1024, 560)
    bridge.storage_changed.emit("The disk of this machine is full, and nothing can be written to it. " * 2)
    card = pages_of(window).security.keys

    def whole() -> None:
        assert card.height() >= card.heightForWidth(card.width())

    qtbot.waitUntil(whole)


def test_all_tabs_of_an_entry_are_in_sight_in_a_small_window(window: MainWindow, qtbot: QtBot) -> None:
    window.show_page(PageName.LOG)
    details = pages_of(window).log.details
    details.show()
    tabs = details.tabBar()
    qtbot.waitUntil(lambda: details.width() > 700)
    assert tabs.tabRect(tabs.count() - 1).right() <= tabs.width()
    assert tabs.width() + details.acts.width() <= details.width()


def test_a_long_name_is_cut_in_the_people_of_a_meeting_and_whole_in_its_tooltip(
    window: MainWindow, bridge: Bridge, qtbot: QtBot
) -> None:
    bridge.dispatch(ContactChanged(contact("lon", name="Bartholomew <b> " + "M" * 60)))
    pages_of(window).contacts.meeting_wanted.emit("lon")
    dialog = window.findChild(NewMeetingDialog)
    assert isinstance(dialog, NewMeetingDialog)
    (item,) = dialog.people.findItems("Bartholomew", Qt.MatchFlag.MatchStartsWith)
    with qtbot.waitExposed(dialog):
        dialog.open()
    assert not dialog.people.horizontalScrollBar().isVisible()
    assert "&lt;b&gt;" in item.toolTip()
    assert "lon" in item.toolTip()
    dialog.reject()


def test_closing_is_left_to_who_runs_the_window(window: MainWindow, qtbot: QtBot) -> None:
    with qtbot.waitSignal(window.close_wanted):
        assert not window.close()
    assert window.isVisible()


def test_a_link_from_outside_is_only_asked_about(window: MainWindow) -> None:
    window.take_link("agentnet://contact/bob?relay=x")
    from agentnet_desktop.ui.contacts.add import AddContactDialog

    dialog = window.findChild(AddContactDialog)
    assert isinstance(dialog, AddContactDialog)
    assert not dialog.add.isEnabled()
    assert dialog.notice.text()
    dialog.reject()


def test_a_proposal_opens_no_dialog_while_the_window_is_hidden(window: MainWindow, bridge: Bridge) -> None:
    window.hide()
    bridge.dispatch(ProposalChanged(proposal(), arrived=True))
    assert window.dialog is None
    assert window.navigation.count(PageName.INBOX) == 2


def test_the_safety_number_stands_in_twelve_groups_and_as_a_code(window: MainWindow) -> None:
    window.show_page(PageName.CONTACTS)
    pages_of(window).contacts.show_contact("bob")
    number = pages_of(window).contacts.detail.number
    assert "".join(label.text() for label in number.groups) == DIGITS
    assert number._code.isVisible()


def test_what_can_be_done_with_a_contact_depends_on_its_state(window: MainWindow, bridge: Bridge) -> None:
    window.show_page(PageName.CONTACTS)
    page = pages_of(window).contacts
    page.show_contact("eve")
    detail = page.detail
    assert detail.accept_key.isVisible()
    assert detail.refuse_key.isVisible()
    assert not detail.meeting.isVisible()
    bridge.dispatch(ContactChanged(contact("eve", "APPROVED")))
    assert not detail.accept_key.isVisible()
    assert detail.verify.isVisible()
    assert detail.meeting.isVisible()


def test_a_destructive_act_asks_and_closing_means_no(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.show_page(PageName.CONTACTS)
    detail = pages_of(window).contacts.detail
    done: list[str] = []
    monkeypatch.setattr(detail, "_send", lambda name, _make: done.append(name))
    for answer in ("escape", "no", "yes"):
        qtbot.mouseClick(detail.remove, Qt.MouseButton.LeftButton)
        asking = window.findChild(Confirmation)
        assert isinstance(asking, Confirmation)
        if answer == "escape":
            qtbot.keyClick(asking, Qt.Key.Key_Escape)
        else:
            qtbot.mouseClick(asking.yes if answer == "yes" else asking.no, Qt.MouseButton.LeftButton)
        asking.deleteLater()
        qtbot.waitUntil(lambda: window.findChild(Confirmation) is None)
    assert done == ["remove contact"]


def test_the_theme_is_switched_in_the_settings(window: MainWindow, theme: ThemeSwitch) -> None:
    page = pages_of(window).settings
    page.theme.setCurrentIndex(page.theme.findData("dark"))
    assert current.colours() is DARK
    page.theme.setCurrentIndex(page.theme.findData("light"))


@pytest.mark.parametrize("page", list(PageName))
def test_nothing_sticks_out_of_a_small_window(window: MainWindow, qtbot: QtBot, page: PageName) -> None:
    window.show_page(page)
    shown = pages_of(window).by_name[page]
    qtbot.waitExposed(window)

    def inside() -> None:
        assert shown.minimumSizeHint().width() <= window.stack.width()
        for widget in shown.findChildren(QAbstractButton):
            if widget.isVisible() and widget.text():
                right = widget.mapTo(window, widget.rect().bottomRight()).x()
                assert right <= window.width(), widget.text()
                assert widget.width() >= widget.minimumSizeHint().width(), widget.text()

    qtbot.waitUntil(inside)
    if page is PageName.CONTACTS:
        pages_of(window).contacts.show_contact("eve")
        qtbot.waitUntil(inside)


@pytest.mark.parametrize("page", list(PageName))
def test_every_control_has_a_name_for_a_screen_reader(window: MainWindow, page: PageName) -> None:
    window.show_page(page)
    nameless: list[QWidget] = [
        widget
        for kind in (QComboBox, QLineEdit, QPlainTextEdit, QAbstractButton)
        for widget in pages_of(window).by_name[page].findChildren(kind)
        if widget.isVisible()
        and not widget.objectName().startswith("qt_")
        and not widget.accessibleName()
        and not (isinstance(widget, QAbstractButton) and widget.text())
        and type(widget).__module__.startswith("agentnet")
    ]
    assert nameless == []
