"""The tray icon with its count, and notifications that tell no details unless allowed."""

from __future__ import annotations

from PySide6.QtCore import QObject, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from agentnet_desktop.ui import text
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxItem, InboxKind, InboxModel
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme import current, icons

_SIDE = 64


def tray_pixmap(count: int) -> QPixmap:
    """Paint the tray's icon with a count; none for zero."""
    colours = current.colours()
    image = QPixmap(_SIDE, _SIDE)
    image.fill(QColor(Qt.GlobalColor.transparent))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    icons.paint_icon(painter, "app", QRectF(0, 0, _SIDE, _SIDE), colours.accent)
    if count:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.bad))
        painter.drawEllipse(QRectF(28, 0, 36, 36))
        font = QFont()
        font.setPixelSize(24)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(colours.on_bad))
        painter.drawText(
            QRectF(28, 0, 36, 36), int(Qt.AlignmentFlag.AlignCenter), str(count) if count < 10 else "9+"
        )
    painter.end()
    return image


def notification(item: InboxItem, contacts: ContactsModel, *, details: bool) -> tuple[str, str]:
    """Give title and words of a notification.

    Args:
        item: What arrived.
        contacts: Who is who.
        details: Whether the person allows names and titles on their screen.
    """
    kinds = {
        InboxKind.PROPOSAL: text.tr("A meeting proposal"),
        InboxKind.CONTACT: text.tr("A contact request"),
        InboxKind.KEY_CHANGE: text.tr("A contact's key changed"),
        InboxKind.PERMISSION: text.tr("A question for your permission"),
        InboxKind.STUCK: text.tr("A message is stuck"),
        InboxKind.HELD: text.tr("Messages wait for your word"),
    }
    if not details:
        return kinds[item.kind], text.tr("Open AgentNet to see it.")
    return kinds[item.kind], f"{contacts.name_of(item.peer)}: {item.title}"


class Tray(QObject):
    """The icon in the system's tray, where there is one."""

    show_wanted = Signal()
    quit_wanted = Signal()
    item_wanted = Signal(str)  # key of an inbox item

    def __init__(
        self, inbox: InboxModel, contacts: ContactsModel, preferences: Preferences, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._inbox = inbox
        self._contacts = contacts
        self._preferences = preferences
        self._told = ""
        self._menu = QMenu()
        self._menu.addAction(self.tr("Open AgentNet"), self.show_wanted.emit)
        self._menu.addAction(self.tr("Quit"), self.quit_wanted.emit)
        self._icon = QSystemTrayIcon(self)
        self._icon.setContextMenu(self._menu)
        self._icon.activated.connect(self._activated)
        self._icon.messageClicked.connect(lambda: self.item_wanted.emit(self._told))
        inbox.arrived.connect(self._arrived)
        for signal in (inbox.rowsInserted, inbox.rowsRemoved, inbox.modelReset):
            signal.connect(self._count)
        self._count()
        if QSystemTrayIcon.isSystemTrayAvailable():
            self._icon.show()

    @property
    def present(self) -> bool:
        """Whether the icon can be seen."""
        return self._icon.isVisible()

    def tell(self, title: str, words: str) -> None:
        """Notify of something that belongs to no item of the inbox."""
        if self._preferences.notify and self.present:
            self._told = ""
            self._icon.showMessage(title, words, QIcon(tray_pixmap(0)))

    def tell_storage(self, problem: str) -> None:
        """Notify that nothing new can be stored; its end is told in the window."""
        if problem:
            self.tell(self.tr("Nothing can be stored"), text.peer_text(problem))

    def hide(self) -> None:
        """Take the icon away, before the program ends."""
        self._icon.hide()

    def _count(self) -> None:
        count = self._inbox.rowCount()
        self._icon.setIcon(QIcon(tray_pixmap(count)))
        waiting = self.tr("{0} waiting for you").format(count)
        self._icon.setToolTip(f"AgentNet · {waiting}" if count else "AgentNet")

    def _arrived(self, item: InboxItem) -> None:
        if self._preferences.notify and self.present:
            self._told = item.key
            title, words = notification(item, self._contacts, details=self._preferences.notify_details)
            self._icon.showMessage(title, words, QIcon(tray_pixmap(0)))

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason is not QSystemTrayIcon.ActivationReason.Context:
            self.show_wanted.emit()
