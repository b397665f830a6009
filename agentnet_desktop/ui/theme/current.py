"""The theme in force: which colours are painted now, and the switch between light and dark while running.

Painting code asks `colours()`. One `ThemeSwitch` belongs to the application; it follows the system or the
person's choice and tells whoever paints by hand that the colours changed.
"""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QFont, QFontDatabase, QFontInfo
from PySide6.QtWidgets import QApplication

from agentnet_desktop.resources import resource
from agentnet_desktop.ui.theme import style, tokens
from agentnet_desktop.ui.theme.tokens import DARK, LIGHT, Colours

_LARGE_SYSTEM_FONT = 15  # px; from here on our sizes grow with the person's system font


class ThemeChoice(StrEnum):
    """What the person chose in the settings."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class _InForce:
    """Holds the colours that are painted at this moment."""

    colours: Colours = LIGHT


def colours() -> Colours:
    """Give the colours in force."""
    return _InForce.colours


class ThemeSwitch(QObject):
    """Applies a theme to the application and switches it live."""

    changed = Signal()

    def __init__(self, application: QApplication, choice: ThemeChoice = ThemeChoice.SYSTEM) -> None:
        super().__init__(application)
        self._application = application
        self._choice = choice
        self._system_pixels = QFontInfo(application.font()).pixelSize()
        self._mono = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
        application.setStyle("Fusion")
        font = QFont(application.font())
        font.setPixelSize(round(tokens.TYPE_BODY * self.scale))
        application.setFont(font)
        application.styleHints().colorSchemeChanged.connect(self._follow_system)
        self._apply()

    @property
    def choice(self) -> ThemeChoice:
        """What the person chose."""
        return self._choice

    @property
    def scale(self) -> float:
        """Factor on our type sizes: more than 1 for people with a large system font."""
        return max(1.0, self._system_pixels / _LARGE_SYSTEM_FONT)

    def choose(self, choice: ThemeChoice) -> None:
        """Switch to `choice` at once."""
        self._choice = choice
        if self._wanted() is not _InForce.colours:
            self._apply()

    @Slot()
    def _follow_system(self) -> None:
        if self._choice is ThemeChoice.SYSTEM:
            self._apply()

    def _wanted(self) -> Colours:
        if self._choice is ThemeChoice.SYSTEM:
            dark = self._application.styleHints().colorScheme() == Qt.ColorScheme.Dark
            return DARK if dark else LIGHT
        return DARK if self._choice is ThemeChoice.DARK else LIGHT

    def _apply(self) -> None:
        _InForce.colours = self._wanted()
        self._application.setPalette(style.palette(_InForce.colours))
        arrow = resource("icons/field-arrow.svg").as_posix()
        tick = resource(f"icons/field-tick-{_InForce.colours.name}.svg").as_posix()
        self._application.setStyleSheet(
            style.sheet(_InForce.colours, scale=self.scale, mono=self._mono, arrow=arrow, tick=tick)
        )
        self.changed.emit()
