"""All pages and the models they share, built together once the frame is on the screen."""

from __future__ import annotations

from PySide6.QtCore import QObject

from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.contacts.view import ContactsPage
from agentnet_desktop.ui.hosting.relay_process import RelayProcess
from agentnet_desktop.ui.hosting.view import RelayPage
from agentnet_desktop.ui.inbox.view import InboxPage
from agentnet_desktop.ui.log.view import LogPage
from agentnet_desktop.ui.meetings.view import MeetingsPage
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxModel
from agentnet_desktop.ui.models.log_model import LogModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel
from agentnet_desktop.ui.models.security_model import SecurityModel
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.security.view import SecurityPage
from agentnet_desktop.ui.settings.view import SettingsPage
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.widgets.parts import Page


class Pages(QObject):
    """The models, and the pages over them."""

    def __init__(
        self, bridge: Bridge, preferences: Preferences, theme: ThemeSwitch, relay: RelayProcess
    ) -> None:
        super().__init__(bridge)
        self.contacts_model = ContactsModel(bridge, self)
        self.meetings_model = MeetingsModel(bridge, self)
        self.inbox_model = InboxModel(bridge, self.contacts_model, self)
        self.log_model = LogModel(bridge, self.contacts_model, self)
        self.security_model = SecurityModel(bridge, self)
        self.inbox = InboxPage(bridge, self.inbox_model, self.contacts_model, self.meetings_model)
        self.meetings = MeetingsPage(bridge, self.meetings_model, self.contacts_model)
        self.log = LogPage(bridge, self.log_model, self.contacts_model)
        self.contacts = ContactsPage(bridge, self.contacts_model)
        self.security = SecurityPage(bridge, self.security_model, self.contacts_model)
        self.relay = RelayPage(bridge, relay, preferences)
        self.settings = SettingsPage(bridge, preferences, theme)
        self.by_name: dict[PageName, Page] = {
            PageName.INBOX: self.inbox,
            PageName.MEETINGS: self.meetings,
            PageName.LOG: self.log,
            PageName.CONTACTS: self.contacts,
            PageName.SECURITY: self.security,
            PageName.RELAY: self.relay,
            PageName.SETTINGS: self.settings,
        }
