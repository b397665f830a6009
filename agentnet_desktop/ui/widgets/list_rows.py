"""Lists of two-line rows with an icon, a badge and a note at the right: inbox, contacts, meetings, events."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QAbstractItemModel, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from agentnet_desktop.agent.events import ContactView, ProposalView, SecurityView
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.models.contacts_model import ContactsModel, shown_name
from agentnet_desktop.ui.models.inbox_model import InboxItem, InboxKind
from agentnet_desktop.ui.models.meetings_model import agreed_slot
from agentnet_desktop.ui.models.views import VIEW, AnyIndex
from agentnet_desktop.ui.security.advice import advice
from agentnet_desktop.ui.theme import current, icons
from agentnet_desktop.ui.theme.tokens import ICON, SPACE_L, SPACE_M, SPACE_S, TYPE_SMALL, Tone
from agentnet_desktop.ui.widgets.labels import ink_token

_HEIGHT = 60
_SOON_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class RowLook:
    """What one row shows."""

    icon: str
    token: str
    first: str
    second: str
    second_token: str = "muted"
    note: str = ""
    note_token: str = "muted"


class TwoLineRows(QStyledItemDelegate):
    """Paints two-line rows; subclasses say what is in them."""

    def look(self, view: object) -> RowLook | None:
        """Say what the row of a view shows; None for a view of another kind."""
        raise NotImplementedError

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), _HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        look = self.look(index.data(VIEW))
        if look is None:
            return
        colours = current.colours()
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(colours.selection))
            painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), QColor(colours.accent))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(colours.raised))
        painter.fillRect(rect.left(), rect.bottom(), rect.width(), 1, QColor(colours.border))
        place = QRectF(rect.left() + SPACE_L, rect.center().y() - ICON / 2, ICON, ICON)
        icons.paint_icon(painter, look.icon, place, _colour(look.token))
        inner = rect.adjusted(SPACE_L + ICON + SPACE_M, SPACE_S + 2, -SPACE_M, -SPACE_S - 2)
        self._paint_words(painter, inner, look, option.font)
        painter.restore()

    @staticmethod
    def _paint_words(painter: QPainter, rect: QRect, look: RowLook, font: QFont) -> None:
        upper = QRect(rect.left(), rect.top(), rect.width(), rect.height() // 2)
        lower = QRect(rect.left(), upper.bottom() + 1, rect.width(), rect.height() // 2)
        small = QFont(font)
        small.setPixelSize(max(TYPE_SMALL, font.pixelSize() - 2))
        painter.setFont(small)
        note_width = painter.fontMetrics().horizontalAdvance(look.note) + SPACE_S if look.note else 0
        painter.setPen(QColor(_colour(look.note_token)))
        painter.drawText(lower, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), look.note)
        painter.setPen(QColor(_colour(look.second_token)))
        _draw(painter, lower.adjusted(0, 0, -note_width, 0), look.second)
        bold = QFont(font)
        bold.setWeight(QFont.Weight.DemiBold)
        painter.setFont(bold)
        painter.setPen(QColor(current.colours().text))
        _draw(painter, upper, look.first)


def _draw(painter: QPainter, rect: QRect, words: str) -> None:
    shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, rect.width())
    painter.drawText(rect, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), shown)


def _colour(token: str) -> str:
    return str(getattr(current.colours(), token))


class InboxRows(TwoLineRows):
    """Rows of the inbox: what is asked, by whom, and how long it can wait."""

    def __init__(self, contacts: ContactsModel) -> None:
        super().__init__()
        self._contacts = contacts

    def look(self, view: object) -> RowLook | None:
        if not isinstance(view, InboxItem):
            return None
        kinds = {
            InboxKind.PROPOSAL: ("calendar", "accent_text"),
            InboxKind.CONTACT: ("user-plus", "accent_text"),
            InboxKind.KEY_CHANGE: ("shield-alert", "bad"),
            InboxKind.PERMISSION: ("question", "warn"),
            InboxKind.STUCK: ("alert", "warn"),
            InboxKind.HELD: ("outbox", "warn"),
        }
        icon, token = kinds[view.kind]
        note, note_token = "", "muted"
        if view.deadline is not None:
            left = view.deadline - text.now_ms()
            note = text.duration(left) if left > 0 else text.tr("over")
            note_token = "warn" if left < _SOON_MS else "muted"
        return RowLook(icon, token, view.title, self._contacts.name_of(view.peer), "muted", note, note_token)


class ContactRows(TwoLineRows):
    """Rows of the contacts: name, trust, presence."""

    def look(self, view: object) -> RowLook | None:
        if not isinstance(view, ContactView):
            return None
        mark = trust.contact_mark(view.state)
        token = ink_token(mark.tone)
        presence = {True: text.tr("online"), False: text.tr("offline"), None: ""}[view.online]
        note_token = "good" if view.online else "muted"
        return RowLook(mark.icon, token, shown_name(view), mark.word, token, presence, note_token)


class MeetingRows(TwoLineRows):
    """Rows of the meetings: title, when and with whom, and where it stands."""

    def __init__(self, contacts: ContactsModel) -> None:
        super().__init__()
        self._contacts = contacts

    def look(self, view: object) -> RowLook | None:
        if not isinstance(view, ProposalView):
            return None
        mark = trust.proposal_mark(view.state)
        start, end = (text.at(moment) for moment in agreed_slot(view))
        day = text.locale().toString(text.qdate(start), text.SHORT_DATE)
        words = f"{day}, {text.span(start, end)} · {self._contacts.name_of(view.peer)}"
        token = ink_token(mark.tone)
        return RowLook(mark.icon, token, text.peer_text(view.title, text.TITLE_LIMIT), words, note=mark.word,
                       note_token=token)  # fmt: skip


class SecurityRows(TwoLineRows):
    """Rows of the security events: what happened and when."""

    def look(self, view: object) -> RowLook | None:
        if not isinstance(view, SecurityView):
            return None
        words = advice(view.kind).title
        return RowLook("shield-alert", ink_token(Tone.WARN), words, text.peer_text(view.peer, text.NAME_LIMIT),
                       note=text.relative(view.time, text.now_ms()))  # fmt: skip


def list_view(model: QAbstractItemModel, rows: TwoLineRows, name: str) -> QListView:
    """Make a list over a model.

    Args:
        model: What it shows.
        rows: How a row is painted.
        name: What a screen reader calls the list.
    """
    made = QListView()
    rows.setParent(made)
    made.setModel(model)
    made.setItemDelegate(rows)
    made.setAccessibleName(name)
    made.setMouseTracking(True)
    made.setUniformItemSizes(True)
    made.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    made.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.setMinimumWidth(220)
    return made
