"""The left navigation: one button a page, with icon, words and a count of what waits there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QSizePolicy, QVBoxLayout, QWidget

from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme import current, icons
from agentnet_desktop.ui.theme.tokens import ICON, SPACE_L, SPACE_M, SPACE_S, SPACE_XS, TYPE_SMALL
from agentnet_desktop.ui.widgets.labels import ElidedLabel, IconLabel, Label
from agentnet_desktop.ui.widgets.parts import column, row

_WIDTH = 196
_ROW_HEIGHT = 36


class PageName(StrEnum):
    """The pages of the window."""

    INBOX = "inbox"
    MEETINGS = "meetings"
    LOG = "log"
    CONTACTS = "contacts"
    SECURITY = "security"
    RELAY = "relay"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class Entry:
    """How a page stands in the navigation."""

    page: PageName
    icon: str
    words: str


def entries() -> list[Entry]:
    """List the pages in their order."""
    return [
        Entry(PageName.INBOX, "inbox", tr("Inbox")),
        Entry(PageName.MEETINGS, "calendar", tr("Meetings")),
        Entry(PageName.LOG, "log", tr("Live log")),
        Entry(PageName.CONTACTS, "contacts", tr("Contacts")),
        Entry(PageName.SECURITY, "shield", tr("Security")),
        Entry(PageName.RELAY, "relay", tr("Relay")),
        Entry(PageName.SETTINGS, "settings", tr("Settings")),
    ]


class NavigationButton(QAbstractButton):
    """One line of the navigation."""

    def __init__(self, entry: Entry, shortcut: str) -> None:
        super().__init__()
        self.entry = entry
        self._count = 0
        self.setText(entry.words)
        self.setCheckable(True)
        self.setShortcut(shortcut)
        self.setToolTip(f"{entry.words} ({shortcut})")
        self.setObjectName(f"nav-{entry.page.value}")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._name()

    def set_count(self, count: int) -> None:
        """Show how many wait; nothing for none."""
        self._count = count
        self._name()
        self.update()

    def count(self) -> int:
        """Give the count that is shown."""
        return self._count

    def _name(self) -> None:
        waiting = tr("%n waiting", self._count).replace("%n", str(self._count))
        self.setAccessibleName(f"{self.entry.words}, {waiting}" if self._count else self.entry.words)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH - 2 * SPACE_S, max(_ROW_HEIGHT, self.fontMetrics().height() + SPACE_L))

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = current.colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.setPen(QColor(colours.accent) if self.hasFocus() else Qt.PenStyle.NoPen)
        ground = colours.accent_tint if self.isChecked() else colours.border if self.underMouse() else None
        painter.setBrush(QColor(ground) if ground else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(frame, 6, 6)
        ink = colours.accent_text if self.isChecked() else colours.text
        middle = (self.height() - ICON) / 2
        mark = colours.accent_text if self.isChecked() else colours.muted
        icons.paint_icon(painter, self.entry.icon, QRectF(SPACE_S + 2, middle, ICON, ICON), mark)
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold if self.isChecked() else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(ink))
        words = QRectF(SPACE_S + ICON + SPACE_M, 0, self.width() - ICON - 64, self.height())
        painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter), self.text())
        if self._count:
            self._paint_count(painter)
        painter.end()

    def _paint_count(self, painter: QPainter) -> None:
        colours = current.colours()
        shown = str(self._count) if self._count < 100 else "99+"
        font = QFont(self.font())
        font.setPixelSize(TYPE_SMALL)
        font.setWeight(QFont.Weight.Bold)
        painter.setFont(font)
        width = max(20, painter.fontMetrics().horizontalAdvance(shown) + SPACE_M)
        pill = QRectF(self.width() - width - SPACE_S, (self.height() - 18) / 2, width, 18)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.accent))
        painter.drawRoundedRect(pill, 9, 9)
        painter.setPen(QColor(colours.on_accent))
        painter.drawText(pill, int(Qt.AlignmentFlag.AlignCenter), shown)


class Navigation(QWidget):
    """The column of pages; arrow keys move between them."""

    chosen = Signal(str)  # PageName

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("sidebar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(_WIDTH)
        self.setAccessibleName(tr("Pages"))
        self._group = QButtonGroup(self)
        self._buttons: dict[PageName, NavigationButton] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_S, SPACE_L, SPACE_S, SPACE_M)
        layout.setSpacing(2)
        brand = row(IconLabel("app", "accent", 24), Label("AgentNet", "heading"), None)
        brand.setContentsMargins(SPACE_S, 0, 0, 0)
        layout.addLayout(brand)
        layout.addSpacing(SPACE_L)
        for number, entry in enumerate(entries(), start=1):
            made = NavigationButton(entry, f"Ctrl+{number}")
            self._group.addButton(made)
            self._buttons[entry.page] = made
            made.clicked.connect(self._clicked)
            layout.addWidget(made)
        layout.addStretch(1)
        self._identity = ElidedLabel("", "strong")
        self._whose = Label("", "small")
        mine = column(self._whose, self._identity, spacing=0)
        mine.setContentsMargins(SPACE_S, SPACE_XS, SPACE_S, 0)
        layout.addLayout(mine)

    def set_identity(self, agent_id: str) -> None:
        """Show whose agent this is."""
        self._whose.setText(tr("Your agent"))
        self._identity.set_whole(agent_id)

    def set_count(self, page: PageName, count: int) -> None:
        """Show how many wait on a page."""
        self._buttons[page].set_count(count)

    def count(self, page: PageName) -> int:
        """Give the count beside a page."""
        return self._buttons[page].count()

    def choose(self, page: PageName) -> None:
        """Mark a page as the one that is shown."""
        self._buttons[page].setChecked(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Down:
            self.focusNextChild()
        elif event.key() == Qt.Key.Key_Up:
            self.focusPreviousChild()
        else:
            super().keyPressEvent(event)

    def _clicked(self) -> None:
        checked = self._group.checkedButton()
        if isinstance(checked, NavigationButton):
            self.chosen.emit(checked.entry.page.value)
