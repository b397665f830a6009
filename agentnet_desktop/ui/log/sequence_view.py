"""The sequence of a conversation, painted: a lane for this agent, the relay and the peer, an arrow for each message.

A click or the arrow keys choose a step; the page shows its entry. What is drawn is `sequence`'s work.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QToolTip

from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.log.sequence import Diagram, Reach, Step
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme import current, icons
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, SPACE_XS, TYPE_SMALL

_LOCK = 12
_TIP = 8.0
_LEAST_ROW = 44


def reach_words(reach: Reach) -> str:
    """Say how far a message came."""
    words = {
        Reach.NOTE: tr("happened here"),
        Reach.WAITS: tr("waits"),
        Reach.RELAY: tr("on its way"),
        Reach.WHOLE: tr("arrived"),
        Reach.LOST: tr("given up or refused"),
    }
    return words[reach]


def step_words(shown: Diagram, step: Step) -> str:
    """Say one step in a sentence, for tooltips and screen readers."""
    way = (
        shown.lanes[step.start]
        if step.start == step.end
        else tr("{0} to {1}").format(shown.lanes[step.start], shown.lanes[step.end])
    )
    when = text.precise_time(text.at(step.time))
    return f"{when}  {way}: {step.kind}, {step.words} ({reach_words(step.reach)})"


class SequenceView(QAbstractScrollArea):
    """Paints the steps that are in sight; the names of the lanes stay at the top."""

    step_chosen = Signal(int)  # seq of the entry

    def __init__(self) -> None:
        super().__init__()
        self._shown = Diagram(("", ""), ())
        self._current = -1
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(tr("Sequence of the conversation"))

    # ------------------------------------------------------------------------------- showing

    @property
    def shown(self) -> Diagram:
        """What is shown."""
        return self._shown

    def show_diagram(self, shown: Diagram, seq: int) -> None:
        """Show a diagram with one entry marked, which is brought into sight when it is another one."""
        before = self.current_seq()
        self._shown = shown
        places = [step.seq for step in shown.steps]
        self._current = places.index(seq) if seq in places else -1
        self._fit()
        if seq != before:
            self._bring_into_sight()
        self._describe()
        self.viewport().update()

    def current_seq(self) -> int:
        """Give the entry that is marked; 0 for none."""
        return self._shown.steps[self._current].seq if self._current >= 0 else 0

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self._head() + self._row())

    def _row(self) -> int:
        return max(_LEAST_ROW, 2 * self.fontMetrics().height() + SPACE_M)

    def _head(self) -> int:
        return self.fontMetrics().height() + SPACE_L

    def _fit(self) -> None:
        bar = self.verticalScrollBar()
        inside = self.viewport().height() - self._head()
        bar.setRange(0, max(0, len(self._shown.steps) * self._row() - inside))
        bar.setPageStep(max(1, inside))
        bar.setSingleStep(self._row())

    def _bring_into_sight(self) -> None:
        if self._current < 0:
            return
        bar, top = self.verticalScrollBar(), self._current * self._row()
        room = self.viewport().height() - self._head() - self._row()
        bar.setValue(min(max(bar.value(), top - max(0, room)), top))

    def _describe(self) -> None:
        step = self._shown.steps[self._current] if self._current >= 0 else None
        self.setAccessibleDescription("" if step is None else step_words(self._shown, step))

    # ------------------------------------------------------------------------------- events

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        place = self._place_at(event.position().y())
        if place >= 0 and event.button() is Qt.MouseButton.LeftButton:
            self._choose(place)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        last = len(self._shown.steps) - 1
        ways = {
            Qt.Key.Key_Down: self._current + 1,
            Qt.Key.Key_Up: max(0, self._current - 1),
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }
        wanted = ways.get(Qt.Key(event.key()))
        if wanted is None or last < 0:
            super().keyPressEvent(event)
        else:
            self._choose(min(wanted, last))

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            place = self._place_at(event.pos().y())
            words = step_words(self._shown, self._shown.steps[place]) if place >= 0 else ""
            QToolTip.showText(event.globalPos(), text.tooltip(words), self.viewport())
            return True
        return super().viewportEvent(event)

    def _place_at(self, y: float) -> int:
        if y < self._head():
            return -1
        place = int(y - self._head() + self.verticalScrollBar().value()) // self._row()
        return place if place < len(self._shown.steps) else -1

    def _choose(self, place: int) -> None:
        if place == self._current:
            return
        self._current = place
        self._bring_into_sight()
        self._describe()
        self.viewport().update()
        self.step_chosen.emit(self._shown.steps[place].seq)

    # ------------------------------------------------------------------------------- painting

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = current.colours()
        area = self.viewport().rect()
        painter.fillRect(area, QColor(colours.surface))
        row, head, offset = self._row(), self._head(), self.verticalScrollBar().value()
        if self._current >= 0:
            self._paint_ground(painter, QRect(0, head + self._current * row - offset, area.width(), row))
        for lane in range(len(self._shown.lanes)):
            x = self._x(lane)
            painter.setPen(QPen(QColor(colours.border_strong), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, head), QPointF(x, area.height()))
        first = offset // row
        last = min(len(self._shown.steps), (offset + area.height() - head) // row + 1)
        painter.save()
        painter.setClipRect(0, head, area.width(), area.height() - head)
        for place in range(first, last):
            self._paint_step(painter, place, QRect(0, head + place * row - offset, area.width(), row))
        painter.restore()
        self._paint_head(painter, QRect(0, 0, area.width(), head))
        painter.end()

    def _x(self, lane: int) -> float:
        left = self.fontMetrics().horizontalAdvance("00:00:00.000") + SPACE_L
        wide = (self.viewport().width() - left) / max(1, len(self._shown.lanes))
        return left + (lane + 0.5) * wide

    def _paint_head(self, painter: QPainter, rect: QRect) -> None:
        colours = current.colours()
        painter.setPen(QColor(colours.border))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(colours.text))
        wide = self._x(1) - self._x(0) if len(self._shown.lanes) > 1 else rect.width()
        for lane, name in enumerate(self._shown.lanes):
            place = QRectF(self._x(lane) - wide / 2 + SPACE_S, 0, wide - 2 * SPACE_S, rect.height())
            _words(painter, place, name)

    def _paint_step(self, painter: QPainter, place: int, rect: QRect) -> None:
        colours = current.colours()
        step = self._shown.steps[place]
        ground = colours.selection if place == self._current else colours.surface
        small = QFont(self.font())
        small.setPixelSize(max(TYPE_SMALL, self.font().pixelSize() - 2))
        painter.setFont(small)
        painter.setPen(QColor(colours.muted))
        edge = rect.adjusted(SPACE_S, 0, 0, -SPACE_XS)
        when = text.precise_time(text.at(step.time))
        painter.drawText(edge, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom), when)
        if step.start == step.end:
            self._paint_note(painter, step, rect)
        else:
            self._paint_arrow(painter, step, rect, ground)

    def _paint_ground(self, painter: QPainter, rect: QRect) -> None:
        colours = current.colours()
        painter.fillRect(rect, QColor(colours.selection))
        if self.hasFocus():
            painter.fillRect(QRect(0, rect.top(), 3, rect.height()), QColor(colours.accent))

    def _paint_note(self, painter: QPainter, step: Step, rect: QRect) -> None:
        colours = current.colours()
        left = self._x(step.start)
        box = QRectF(left - SPACE_M, rect.top() + 6, rect.width() - left - SPACE_S, rect.height() - 12)
        words = painter.fontMetrics().elidedText(
            f"{step.kind}  {step.words}", Qt.TextElideMode.ElideRight, int(box.width() - 2 * SPACE_S)
        )
        box.setWidth(painter.fontMetrics().horizontalAdvance(words) + 2 * SPACE_S)
        painter.setPen(QColor(colours.border_strong))
        painter.setBrush(QColor(colours.raised))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor(colours.muted))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), words)

    def _paint_arrow(self, painter: QPainter, step: Step, rect: QRect, ground: str) -> None:
        colours = current.colours()
        start, end = self._x(step.start), self._x(step.end)
        y = rect.bottom() - SPACE_S
        lost, pending = step.reach is Reach.LOST, step.reach in (Reach.WAITS, Reach.RELAY)
        ink = (
            colours.bad if lost else colours.muted if pending else colours.tone(trust.type_tone(step.kind))[0]
        )
        painter.setPen(QPen(QColor(ink), 1.5, Qt.PenStyle.DashLine if pending else Qt.PenStyle.SolidLine))
        painter.drawLine(QPointF(start, y), QPointF(end, y))
        _paint_end(painter, end, y, 1 if end > start else -1, ink, lost=lost)
        over = QRectF(
            min(start, end) + SPACE_M, rect.top(), abs(end - start) - 2 * SPACE_M, y - rect.top() - 3
        )
        lock = _LOCK + SPACE_XS if step.encrypted else 0
        metrics = painter.fontMetrics()
        words = metrics.elidedText(
            f"{step.kind}  {step.words}", Qt.TextElideMode.ElideRight, int(over.width() - lock)
        )
        wide = metrics.horizontalAdvance(words) + lock
        left = over.center().x() - wide / 2
        behind = QRectF(
            left - SPACE_XS, over.bottom() - metrics.height(), wide + 2 * SPACE_XS, metrics.height()
        )
        painter.fillRect(behind, QColor(ground))  # the lanes do not strike the words through
        if step.encrypted:
            middle = over.bottom() - metrics.height() / 2
            icons.paint_icon(painter, "lock", QRectF(left, middle - _LOCK / 2, _LOCK, _LOCK), colours.good)
        painter.setPen(QColor(colours.text))
        place = QRectF(left + lock, over.top(), over.right() - left, over.height())
        painter.drawText(place, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom), words)


def _paint_end(painter: QPainter, x: float, y: float, way: int, ink: str, *, lost: bool) -> None:
    """Paint the arrow's head, or the cross of a message that did not arrive."""
    back = x - way * _TIP
    if lost:
        painter.drawLine(QPointF(back, y - _TIP / 2), QPointF(x, y + _TIP / 2))
        painter.drawLine(QPointF(back, y + _TIP / 2), QPointF(x, y - _TIP / 2))
        return
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(ink))
    painter.drawPolygon(QPolygonF([QPointF(x, y), QPointF(back, y - _TIP / 2), QPointF(back, y + _TIP / 2)]))


def _words(painter: QPainter, place: QRectF, words: str) -> None:
    shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(place.width()))
    painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), shown)
