"""How one cell of the log is painted: chips, badges and marks instead of bare words."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from agentnet_desktop.agent.events import Direction, LogRow, Verified
from agentnet_desktop.ui import trust
from agentnet_desktop.ui.models.log_model import Column, LogModel
from agentnet_desktop.ui.models.views import VIEW, AnyIndex
from agentnet_desktop.ui.theme import current, icons
from agentnet_desktop.ui.theme.tokens import SPACE_S, SPACE_XS, TYPE_SMALL, Tone
from agentnet_desktop.ui.widgets.labels import ink_token

ROW_HEIGHT = 30
_MARK = 16


class LogDelegate(QStyledItemDelegate):
    """Paints the table's cells; the words come from the model."""

    def __init__(self, model: LogModel) -> None:
        super().__init__(model)
        self._model = model
        self._mono = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        self._mono.setPixelSize(TYPE_SMALL + 1)

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        row = index.data(VIEW)
        if not isinstance(row, LogRow):
            return
        colours = current.colours()
        rect: QRect = option.rect
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(colours.selection))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(colours.raised))
        painter.fillRect(rect.left(), rect.bottom(), rect.width(), 1, QColor(colours.border))
        inner = rect.adjusted(SPACE_S, 0, -SPACE_S, 0)
        words = str(index.data(Qt.ItemDataRole.DisplayRole) or "")
        painter.setFont(option.font)
        self._paint_cell(painter, inner, Column(index.column()), row, words)
        painter.restore()

    def _paint_cell(self, painter: QPainter, rect: QRect, column: Column, row: LogRow, words: str) -> None:
        match column:
            case Column.TIME:
                painter.setFont(self._mono)
                self._text(painter, rect, words, "muted")
            case Column.DIRECTION:
                names = {Direction.IN: "arrow-in", Direction.OUT: "arrow-out", Direction.LOCAL: "local"}
                tokens = {Direction.IN: "good", Direction.OUT: "accent_text", Direction.LOCAL: "muted"}
                self._icon(painter, rect, names[row.direction], tokens[row.direction])
            case Column.PEER:
                self._peer(painter, rect, row, words)
            case Column.TYPE:
                self._chip(painter, rect, words, trust.type_tone(row.message_type))
            case Column.STATE:
                mark = trust.delivery_mark(row.state)
                token = ink_token(mark.tone)
                self._icon(painter, rect, mark.icon, token)
                self._text(painter, rect.adjusted(_MARK + SPACE_XS, 0, 0, 0), mark.word, token)
            case Column.MARKS:
                self._marks(painter, rect, row)
            case Column.SIZE:
                self._text(painter, rect, words, "muted", right=True)
            case _:
                self._text(painter, rect, words, "text")

    def _peer(self, painter: QPainter, rect: QRect, row: LogRow, words: str) -> None:
        state = self._model.peer_state(row)
        mark = trust.contact_mark(state) if state else None
        name, token = (mark.icon, ink_token(mark.tone)) if mark else ("relay", "muted")
        if row.peer == "":
            name = "user"
        self._icon(painter, rect, name, token)
        self._text(painter, rect.adjusted(_MARK + SPACE_XS + 2, 0, 0, 0), words, "text" if mark else "muted")

    def _marks(self, painter: QPainter, rect: QRect, row: LogRow) -> None:
        if row.direction is Direction.LOCAL:
            return
        lock, lock_token = ("lock", "good") if row.encrypted else ("lock-open", "muted")
        self._icon(painter, rect, lock, lock_token)
        checks = {
            Verified.GOOD: ("check-circle", "good"),
            Verified.BAD: ("shield-alert", "bad"),
        }
        if row.verified in checks:
            name, token = checks[row.verified]
            self._icon(painter, rect.adjusted(_MARK + SPACE_S, 0, 0, 0), name, token)
        if row.pinned:
            self._icon(painter, rect.adjusted(2 * (_MARK + SPACE_S), 0, 0, 0), "pin", "accent_text")

    @staticmethod
    def _icon(painter: QPainter, rect: QRect, name: str, token: str) -> None:
        place = QRectF(rect.left(), rect.center().y() - _MARK / 2 + 0.5, _MARK, _MARK)
        icons.paint_icon(painter, name, place, str(getattr(current.colours(), token)))

    @staticmethod
    def _text(painter: QPainter, rect: QRect, words: str, token: str, *, right: bool = False) -> None:
        painter.setPen(QColor(str(getattr(current.colours(), token))))
        shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, rect.width())
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        painter.drawText(rect, int(side | Qt.AlignmentFlag.AlignVCenter), shown)

    @staticmethod
    def _chip(painter: QPainter, rect: QRect, words: str, tone: Tone) -> None:
        ink, tint = current.colours().tone(tone)
        font = QFont(painter.font())
        font.setPixelSize(TYPE_SMALL - 1)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, rect.width() - SPACE_S)
        width = painter.fontMetrics().horizontalAdvance(shown) + 2 * SPACE_S
        pill = QRectF(rect.left(), rect.center().y() - 9, min(width, rect.width()), 19)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tint))
        painter.drawRoundedRect(pill, 6, 6)
        painter.setPen(QColor(ink))
        painter.drawText(pill, int(Qt.AlignmentFlag.AlignCenter), shown)
