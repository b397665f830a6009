"""What the person set for the window itself: theme, tray, notifications, the bundled relay.

Kept as `window.ini` in the profile's folder, beside nothing secret. It is written only once the profile exists,
so that looking at the first-run wizard leaves nothing behind.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QObject, QSettings, Signal

from agentnet_desktop.ui.theme.current import ThemeChoice

DEFAULT_RELAY_PORT = 8765
DEFAULT_RELAY_NAME = "My relay"


class Preferences(QObject):
    """Typed settings of the window; `changed` names the one that changed."""

    changed = Signal(str)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._unsaved: dict[str, object] = {}
        self._file = QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat)

    @property
    def folder(self) -> Path:
        """The profile's folder."""
        return self._folder

    def save(self) -> None:
        """Write what was set before the profile existed."""
        if self._folder.is_dir():
            for name, value in self._unsaved.items():
                self._file.setValue(name, value)
            self._unsaved.clear()
            self._file.sync()

    def _get(self, name: str, default: str) -> str:
        value = self._unsaved.get(name, self._file.value(name, default))
        return str(value)

    def _set(self, name: str, value: str) -> None:
        if self._get(name, "") != value:
            self._unsaved[name] = value
            self.save()
            self.changed.emit(name)

    def _flag(self, name: str, default: bool) -> bool:
        return self._get(name, "true" if default else "false") == "true"

    def _set_flag(self, name: str, value: bool) -> None:
        self._set(name, "true" if value else "false")

    @property
    def theme(self) -> ThemeChoice:
        """System, light or dark."""
        value = self._get("theme", ThemeChoice.SYSTEM.value)
        return ThemeChoice(value) if value in {choice.value for choice in ThemeChoice} else ThemeChoice.SYSTEM

    @theme.setter
    def theme(self, choice: ThemeChoice) -> None:
        self._set("theme", choice.value)

    @property
    def close_to_tray(self) -> bool:
        """Whether closing the window leaves the agent at work."""
        return self._flag("close_to_tray", False)

    @close_to_tray.setter
    def close_to_tray(self, value: bool) -> None:
        self._set_flag("close_to_tray", value)

    @property
    def start_minimized(self) -> bool:
        """Whether the window starts out of sight."""
        return self._flag("start_minimized", False)

    @start_minimized.setter
    def start_minimized(self, value: bool) -> None:
        self._set_flag("start_minimized", value)

    @property
    def notify(self) -> bool:
        """Whether new matters are told by a notification."""
        return self._flag("notify", True)

    @notify.setter
    def notify(self, value: bool) -> None:
        self._set_flag("notify", value)

    @property
    def notify_details(self) -> bool:
        """Whether a notification may name people and titles."""
        return self._flag("notify_details", False)

    @notify_details.setter
    def notify_details(self, value: bool) -> None:
        self._set_flag("notify_details", value)

    @property
    def host_relay(self) -> bool:
        """Whether the bundled relay starts with the window."""
        return self._flag("host_relay", False)

    @host_relay.setter
    def host_relay(self, value: bool) -> None:
        self._set_flag("host_relay", value)

    @property
    def relay_port(self) -> int:
        """The bundled relay's port, 0 for any that is free."""
        value = self._get("relay_port", str(DEFAULT_RELAY_PORT))
        return int(value) if value.isdigit() and int(value) < 65536 else DEFAULT_RELAY_PORT

    @relay_port.setter
    def relay_port(self, value: int) -> None:
        self._set("relay_port", str(value))

    @property
    def relay_name(self) -> str:
        """The bundled relay's name, as guests see it."""
        return self._get("relay_name", DEFAULT_RELAY_NAME)

    @relay_name.setter
    def relay_name(self, value: str) -> None:
        self._set("relay_name", value)

    @property
    def geometry(self) -> QByteArray:
        """Where the window was."""
        return QByteArray.fromBase64(QByteArray(self._get("geometry", "").encode()))

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._set("geometry", bytes(value.toBase64().data()).decode())
