"""The tray and its notifications: a count, and no details unless allowed."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import ContactChanged, ProposalChanged
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxItem, InboxModel
from agentnet_desktop.ui.theme import current
from agentnet_desktop.ui.tray import notification, tray_pixmap
from tests.ui.conftest import contact, proposal


@pytest.fixture
def arrived(bridge: Bridge, qtbot: QtBot) -> tuple[InboxItem, ContactsModel]:
    contacts = ContactsModel(bridge, bridge)
    inbox = InboxModel(bridge, contacts, bridge)
    bridge.dispatch(ContactChanged(contact("bob", name="Bob Keller")))
    with qtbot.waitSignal(inbox.arrived) as came:
        bridge.dispatch(ProposalChanged(proposal(1, title="Dentist\u202e"), arrived=True))
    item = came.args[0]
    assert isinstance(item, InboxItem)
    return item, contacts


def test_a_notification_tells_no_details(arrived: tuple[InboxItem, ContactsModel]) -> None:
    title, words = notification(*arrived, details=False)
    assert "Dentist" not in title + words
    assert "Bob" not in title + words


def test_details_are_told_where_they_are_allowed(arrived: tuple[InboxItem, ContactsModel]) -> None:
    _title, words = notification(*arrived, details=True)
    assert words == "Bob Keller: Dentist⟨U+202E⟩"


def test_the_icon_carries_a_count(bridge: Bridge) -> None:
    corner = (60, 18)
    assert tray_pixmap(0).toImage().pixelColor(*corner).alpha() == 0
    assert tray_pixmap(3).toImage().pixelColor(*corner) == QColor(current.colours().bad)
