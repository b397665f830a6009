"""A painted day: what is in it already, the slot that is asked for, and conflicts in words too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from agentnet_desktop.ui import text
from agentnet_desktop.ui.theme import current
from agentnet_desktop.ui.theme.tokens import SPACE_S, SPACE_XS, TYPE_SMALL

_FIRST_HOUR, _LAST_HOUR = 7, 20
_HEIGHT = 76
_HEAD = 20


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the person's day that is taken, or only held."""

    start: int
    end: int
    title: str
    tentative: bool = False


def conflicts(start: int, end: int, blocks: Sequence[Block]) -> list[Block]:
    """List the blocks that overlap `[start, end)`, in ms; merely touching is none."""
    return [block for block in blocks if block.start < end and start < block.end]


def conflict_words(start: int, end: int, blocks: Sequence[Block]) -> str:
    """Say in one sentence what overlaps the slot."""
    found = conflicts(start, end, blocks)
    if not found:
        return text.tr("Nothing you have arranged here overlaps.")
    first = found[0]
    when = text.span(text.at(first.start), text.at(first.end))
    sentence = text.tr("Held for “{0}”, {1}.") if first.tentative else text.tr("Overlaps “{0}”, {1}.")
    more = "" if len(found) == 1 else " " + text.tr("And {0} more.").format(len(found) - 1)
    return sentence.format(first.title, when) + more


class DayTimeline(QWidget):
    """One day from morning to evening in the person's zone; grows when something lies outside."""

    def __init__(self) -> None:
        super().__init__()
        self._start = self._end = 0
        self._blocks: list[Block] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_day(self, start: int, end: int, blocks: Sequence[Block]) -> None:
        """Show the day of a slot.

        Args:
            start: Of the slot, ms.
            end: Of the slot, ms.
            blocks: What the person has; those of other days are left out.
        """
        self._start, self._end = start, end
        first, last = self._day()
        self._blocks = [block for block in blocks if block.start < _ms(last) and _ms(first) < block.end]
        words = text.span(text.at(start), text.at(end))
        self.setAccessibleName(
            text.tr("Your day: {0}. {1}").format(words, conflict_words(start, end, self._blocks))
        )
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, _HEIGHT)

    def _day(self) -> tuple[datetime, datetime]:
        start = text.at(self._start)
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        end = min(text.at(self._end), midnight + timedelta(days=1))
        last_hour = max(_LAST_HOUR, (end - midnight).total_seconds() / 3600)
        first = midnight + timedelta(hours=min(_FIRST_HOUR, start.hour))
        return first, midnight + timedelta(hours=int(-(-last_hour // 1)))

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._end:
            return
        colours = current.colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        first, last = self._day()
        lane = QRectF(0.5, _HEAD + 0.5, self.width() - 1, self.height() - _HEAD - 1)
        painter.setPen(QColor(colours.border))
        painter.setBrush(QColor(colours.raised))
        painter.drawRoundedRect(lane, 6, 6)
        self._paint_hours(painter, lane, first, last)
        for block in self._blocks:
            self._paint_block(painter, lane, block, first, last)
        self._paint_slot(painter, lane, first, last)
        painter.end()

    def _x(self, lane: QRectF, moment: int, first: datetime, last: datetime) -> float:
        share = (moment - _ms(first)) / (_ms(last) - _ms(first))
        return lane.left() + lane.width() * min(max(share, 0.0), 1.0)

    def _paint_hours(self, painter: QPainter, lane: QRectF, first: datetime, last: datetime) -> None:
        colours = current.colours()
        font = QFont(self.font())
        font.setPixelSize(TYPE_SMALL)
        painter.setFont(font)
        count = max(1, round((last - first).total_seconds() / 3600))
        widest = painter.fontMetrics().horizontalAdvance("00:00 ") + SPACE_S
        step = next((s for s in (1, 2, 3, 4, 6) if lane.width() / count * s >= widest), 8)
        for hour in range(count + 1):
            x = lane.left() + lane.width() * hour / count
            if 0 < hour < count:
                painter.setPen(QColor(colours.border))
                painter.drawLine(int(x), int(lane.top()) + 1, int(x), int(lane.bottom()) - 1)
            if hour % step == 0 and hour < count:
                painter.setPen(QColor(colours.muted))
                words = text.short_time(first + timedelta(hours=hour))
                place = QRectF(x, 0, widest, _HEAD - SPACE_XS)
                painter.drawText(
                    place, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), words
                )

    def _paint_block(
        self, painter: QPainter, lane: QRectF, block: Block, first: datetime, last: datetime
    ) -> None:
        colours = current.colours()
        left, right = self._x(lane, block.start, first, last), self._x(lane, block.end, first, last)
        place = QRectF(left + 1, lane.top() + 5, max(right - left - 2, 3), lane.height() - 10)
        pen = QPen(QColor(colours.border_strong))
        if block.tentative:
            pen.setStyle(Qt.PenStyle.DashLine)
            painter.setBrush(QBrush(QColor(colours.border_strong), Qt.BrushStyle.BDiagPattern))
        else:
            painter.setBrush(QColor(colours.border))
        painter.setPen(pen)
        painter.drawRoundedRect(place, 4, 4)
        _words(painter, place, block.title, colours.text)

    def _paint_slot(self, painter: QPainter, lane: QRectF, first: datetime, last: datetime) -> None:
        colours = current.colours()
        clash = bool(conflicts(self._start, self._end, self._blocks))
        edge = colours.bad if clash else colours.accent
        left, right = self._x(lane, self._start, first, last), self._x(lane, self._end, first, last)
        place = QRectF(left + 1, lane.top() + 2, max(right - left - 2, 4), lane.height() - 4)
        painter.setPen(QPen(QColor(edge), 2))
        fill = QColor(colours.bad_tint if clash else colours.accent_tint)
        fill.setAlpha(200 if clash else 255)
        painter.setBrush(fill)
        painter.drawRoundedRect(place, 5, 5)
        _words(painter, place, text.short_time(text.at(self._start)), colours.text)


def _words(painter: QPainter, place: QRectF, words: str, colour: str) -> None:
    inner = place.adjusted(SPACE_XS + 2, 0, -SPACE_XS, 0)
    shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(inner.width()))
    if shown == words or len(shown) > 4:
        painter.setPen(QColor(colour))
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), shown)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
