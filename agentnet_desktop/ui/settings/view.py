"""The page *Settings*: appearance, tray, notifications, identity, data, about."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from PySide6.QtCore import qVersion
from PySide6.QtWidgets import QCheckBox, QComboBox, QSystemTrayIcon, QVBoxLayout, QWidget

from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.settings.data import DataCard
from agentnet_desktop.ui.settings.identity import IdentityCard
from agentnet_desktop.ui.theme.current import ThemeChoice, ThemeSwitch
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card, Page, row, scrolled


class SettingsPage(Page):
    """What the person can set."""

    def __init__(self, bridge: Bridge, preferences: Preferences, theme: ThemeSwitch) -> None:
        super().__init__(self.tr("Settings"))
        self._preferences = preferences
        self._theme_switch = theme
        self.identity = IdentityCard(bridge)
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, SPACE_S, 0)
        inside.setSpacing(SPACE_M)
        self.data = DataCard(bridge, preferences.folder)
        for card in (self._general(), self._notifications(), self.identity, self.data, self._about()):
            inside.addWidget(card)
        inside.addStretch(1)
        self.body.addWidget(scrolled(content), 1)

    def _general(self) -> Card:
        self.theme = QComboBox()
        self.theme.setObjectName("settings-theme")
        self.theme.setAccessibleName(self.tr("Theme"))
        for choice, words in (
            (ThemeChoice.SYSTEM, self.tr("As the system")),
            (ThemeChoice.LIGHT, self.tr("Light")),
            (ThemeChoice.DARK, self.tr("Dark")),
        ):
            self.theme.addItem(words, choice.value)
        self.theme.setCurrentIndex(self.theme.findData(self._preferences.theme.value))
        self.theme.currentIndexChanged.connect(self._choose_theme)
        tray = QSystemTrayIcon.isSystemTrayAvailable()
        close = self._switch(
            self.tr("Keep working in the tray when the window is closed"),
            self._preferences.close_to_tray,
            lambda value: setattr(self._preferences, "close_to_tray", value),
        )
        close.setEnabled(tray)
        if not tray:
            close.setToolTip(self.tr("This desktop has no tray"))
        small = self._switch(
            self.tr("Start out of sight: in the tray, or minimised"),
            self._preferences.start_minimized,
            lambda value: setattr(self._preferences, "start_minimized", value),
        )
        line = row(Label(self.tr("Theme")), self.theme, None, spacing=SPACE_L)
        return Card(Label(self.tr("General"), "heading"), line, close, small)

    def _notifications(self) -> Card:
        return Card(
            Label(self.tr("Notifications"), "heading"),
            self._switch(
                self.tr("Tell me when something waits for me"),
                self._preferences.notify,
                lambda value: setattr(self._preferences, "notify", value),
            ),
            self._switch(
                self.tr("Show names and titles in notifications"),
                self._preferences.notify_details,
                lambda value: setattr(self._preferences, "notify_details", value),
            ),
        )

    def _about(self) -> Card:
        words = self.tr("AgentNet Desktop {0} · Qt {1} · MIT licence").format(
            version("agentnet-desktop"), qVersion()
        )
        return Card(Label(self.tr("About"), "heading"), Label(words, "muted", wrap=True))

    def _switch(self, words: str, value: bool, changed: Callable[[bool], None]) -> QCheckBox:
        made = QCheckBox(words)
        made.setChecked(value)
        made.toggled.connect(changed)
        return made

    def _choose_theme(self) -> None:
        choice = ThemeChoice(str(self.theme.currentData()))
        self._preferences.theme = choice
        self._theme_switch.choose(choice)
