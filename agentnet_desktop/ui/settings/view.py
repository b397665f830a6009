"""The page *Settings*: appearance, tray, notifications, identity, data, about."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from PySide6.QtCore import QUrl, qVersion
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QSystemTrayIcon, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import AgentSnapshot
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme.current import ThemeChoice, ThemeSwitch
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card, Page, button, row, scrolled


class SettingsPage(Page):
    """What the person can set."""

    def __init__(self, bridge: Bridge, preferences: Preferences, theme: ThemeSwitch) -> None:
        super().__init__(self.tr("Settings"))
        self._preferences = preferences
        self._theme_switch = theme
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, SPACE_S, 0)
        inside.setSpacing(SPACE_M)
        for card in (self._general(), self._notifications(), self._identity(), self._data(), self._about()):
            inside.addWidget(card)
        inside.addStretch(1)
        self.body.addWidget(scrolled(content), 1)
        bridge.attached.connect(self._start)

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

    def _identity(self) -> Card:
        self._agent_id = Label("–", "strong", selectable=True)
        self._fingerprint = Label("–", "mono", wrap=True, selectable=True)
        self._backend = Label("–", wrap=True)
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.addRow(Label(self.tr("Agent"), "muted"), self._agent_id)
        form.addRow(Label(self.tr("Fingerprint"), "muted"), self._fingerprint)
        form.addRow(Label(self.tr("Keys are kept in"), "muted"), self._backend)
        return Card(Label(self.tr("Identity and keys"), "heading"), form)

    def _data(self) -> Card:
        folder = str(self._preferences.folder)
        where = Label(folder, "mono", wrap=True, selectable=True)
        opened = button(self.tr("Open folder"), icon="folder", clicked=self._open_folder)
        line = row(where, opened)
        line.setStretch(0, 1)
        words = Label(
            self.tr("Keys, messages and the log stay on this machine, encrypted."), "muted", wrap=True
        )
        return Card(Label(self.tr("Data"), "heading"), words, line)

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

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._preferences.folder)))

    def _start(self, snapshot: AgentSnapshot) -> None:
        self._agent_id.setText(text.peer_text(snapshot.agent_id, text.NAME_LIMIT))
        self._fingerprint.setText(snapshot.fingerprint)
        self._backend.setText(text.key_store(snapshot.keyring_backend))
