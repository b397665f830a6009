"""The question before the window closes while guests are connected, and the recipe for a relay without the window.

The relay is the window's child and ends with it. Closing the question means: do not quit.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QPlainTextEdit, QVBoxLayout, QWidget

from agentnet_desktop.ui import text
from agentnet_desktop.ui.hosting.relay_process import RelayProcess, relay_command
from agentnet_desktop.ui.hosting.service import recipe
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL
from agentnet_desktop.ui.widgets.labels import IconLabel, Label, paragraph
from agentnet_desktop.ui.widgets.parts import button, column, row

_COPIED_MS = 2000
_NAMED = 5


def service_recipe(relay: RelayProcess, *, port: int, name: str) -> str:
    """Give the lines that make a user service of this relay, with its data and settings."""
    program, arguments = relay_command(
        "serve", "--port", str(port), "--name", name, "--data-dir", str(relay.data_dir.absolute())
    )
    return recipe([program, *arguments], Path.home() / ".config" / "systemd" / "user")


class KeepRunning(QDialog):
    """Asks what becomes of the relay. `quit_wanted` and `tray_wanted` come only from their buttons."""

    quit_wanted = Signal()
    tray_wanted = Signal()
    service_wanted = Signal()

    def __init__(self, parent: QWidget, guests: tuple[str, ...], *, tray: bool) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Guests are connected to your relay"))
        shown = ", ".join(text.peer_text(name, text.NAME_LIMIT) for name in guests[:_NAMED])
        if len(guests) > _NAMED:
            shown = self.tr("{0} and {1} more").format(shown, len(guests) - _NAMED)
        words = self.tr(
            "Connected: {0}. The relay ends with this window. Nothing is lost: what they send waits with them until "
            "it is back."
        )
        title = Label(self.windowTitle(), "heading")
        head = row(
            IconLabel("relay", "accent_text", 24),
            column(title, paragraph(words.format(shown))),
            spacing=SPACE_M,
        )
        head.setAlignment(Qt.AlignmentFlag.AlignTop)
        head.setStretch(1, 1)
        self.tray = button(
            self.tr("Keep in the tray"), kind="primary", name="keep-tray", clicked=self._to_tray
        )
        self.tray.setVisible(tray)
        self.service = button(self.tr("As a service …"), name="keep-service", clicked=self._to_service)
        self.service.setVisible(sys.platform.startswith("linux"))
        self.quit = button(self.tr("Quit"), kind="danger", name="keep-quit", clicked=self._quit)
        self.stay = button(self.tr("Cancel"), name="keep-cancel", clicked=self.reject)
        self.stay.setDefault(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(head)
        layout.addLayout(row(None, self.stay, self.service, self.tray, self.quit))

    def _to_tray(self) -> None:
        self.accept()
        self.tray_wanted.emit()

    def _to_service(self) -> None:
        self.accept()
        self.service_wanted.emit()

    def _quit(self) -> None:
        self.accept()
        self.quit_wanted.emit()


class ServiceDialog(QDialog):
    """Shows the recipe, to be copied. It runs nothing; `stop_wanted` comes only from its button."""

    stop_wanted = Signal()

    def __init__(self, parent: QWidget, lines: str) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("A relay without this window"))
        self.setMinimumSize(620, 460)
        words = self.tr(
            "Stop the relay here, then paste these lines into a terminal: systemd runs the same relay, with the same "
            "guests and the same links, from now on and after a restart of this machine."
        )
        self.lines = QPlainTextEdit(lines)
        self.lines.setReadOnly(True)
        self.lines.setProperty("code", "true")
        self.lines.setTabChangesFocus(True)
        self.lines.setAccessibleName(self.tr("Lines for a terminal"))
        self.copy = button(self.tr("Copy"), icon="copy", name="service-copy", clicked=self._copy)
        self.stop = button(self.tr("Stop the relay here"), kind="danger", icon="stop", name="service-stop",
                           clicked=self._stop)  # fmt: skip
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        layout.addWidget(paragraph(words))
        layout.addWidget(self.lines, 1)
        close = button(self.tr("Close"), kind="primary", name="service-close", clicked=self.accept)
        layout.addLayout(row(self.copy, self.stop, None, close))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.lines.toPlainText())
        self.copy.setText(self.tr("Copied"))
        QTimer.singleShot(_COPIED_MS, self.copy, lambda: self.copy.setText(self.tr("Copy")))

    def _stop(self) -> None:
        self.stop.setEnabled(False)
        self.stop_wanted.emit()
