"""The traffic of the last minutes: messages a second above, connections below, each on a scale of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from agentnet_desktop.ui import text
from agentnet_desktop.ui.hosting.figures import Point, ceiling
from agentnet_desktop.ui.theme import current
from agentnet_desktop.ui.theme.tokens import SPACE_S, SPACE_XS, TYPE_SMALL

_HEIGHT = 176
_SPAN_S = 300.0
_LABEL = 16
_SCALE = 44


class TrafficChart(QWidget):
    """Paints points; a screen reader gets the newest in words."""

    def __init__(self) -> None:
        super().__init__()
        self._points: Sequence[Point] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Traffic of the last five minutes"))

    def sizeHint(self) -> QSize:
        return QSize(320, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, _HEIGHT)

    def show_points(self, points: Sequence[Point]) -> None:
        """Show other points, from the oldest to the newest."""
        self._points = tuple(points)
        words = self.tr("Nothing was measured yet.")
        if points:
            words = self.tr("{0} messages a second, {1} connections").format(
                rate_words(points[-1].rate), points[-1].connections
            )
        self.setAccessibleDescription(words)
        self.setToolTip(words)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = current.colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPixelSize(TYPE_SMALL)
        painter.setFont(font)
        half = (self.height() - SPACE_S) / 2
        upper = QRectF(0, 0, self.width(), half)
        lower = QRectF(0, half + SPACE_S, self.width(), half)
        self._lane(
            painter, upper, self.tr("Messages a second"), colours.accent_text, lambda point: point.rate
        )
        self._lane(painter, lower, self.tr("Connections"), colours.good, lambda point: point.connections)
        painter.end()

    def _lane(
        self, painter: QPainter, rect: QRectF, name: str, ink: str, value: Callable[[Point], float]
    ) -> None:
        colours = current.colours()
        top = ceiling(max((value(point) for point in self._points), default=0.0))
        area = rect.adjusted(0, _LABEL, -_SCALE, 0)
        painter.setPen(QColor(colours.muted))
        head = QRectF(rect.left(), rect.top(), rect.width(), _LABEL)
        painter.drawText(head, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), name)
        scale = QRectF(area.right() + SPACE_XS, area.top() - 2, _SCALE - SPACE_XS, area.height() + 4)
        right = Qt.AlignmentFlag.AlignLeft
        painter.drawText(scale, int(right | Qt.AlignmentFlag.AlignTop), rate_words(top))
        painter.drawText(scale, int(right | Qt.AlignmentFlag.AlignBottom), "0")
        painter.setPen(QPen(QColor(colours.border), 1))
        painter.setBrush(QColor(colours.raised))
        painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if len(self._points) > 1:
            self._curve(painter, area.adjusted(1, 3, -1, -1), ink, top, value)

    def _curve(
        self, painter: QPainter, area: QRectF, ink: str, top: float, value: Callable[[Point], float]
    ) -> None:
        newest = self._points[-1].at

        def place(point: Point) -> QPointF:
            x = area.right() - (newest - point.at) / _SPAN_S * area.width()
            return QPointF(x, area.bottom() - value(point) / top * area.height())

        shown = [place(point) for point in self._points if newest - point.at <= _SPAN_S]
        line = QPainterPath(shown[0])
        for corner in shown[1:]:
            line.lineTo(corner)
        below = QPainterPath(line)
        below.lineTo(shown[-1].x(), area.bottom())
        below.lineTo(shown[0].x(), area.bottom())
        below.closeSubpath()
        tint = QColor(ink)
        tint.setAlpha(40)
        painter.fillPath(below, tint)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(ink), 1.5))
        painter.drawPath(line)


def rate_words(rate: float) -> str:
    """Write a number of messages a second: one decimal below ten."""
    number = round(rate, 1)
    whole = number >= 10 or number == int(number)
    return text.locale().toString(round(number)) if whole else text.locale().toString(number, "f", 1)
