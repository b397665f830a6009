"""Our own icons: SVG of 20 px with a stroke of 1.5 px, coloured from the theme at the moment of painting.

An icon engine renders at whatever size and scale is asked for and reads the current theme each time, so a
live switch of the theme needs no new icons.
"""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from agentnet_desktop.resources import resource
from agentnet_desktop.ui.theme import current


@lru_cache(maxsize=128)
def _source(name: str) -> str:
    return resource(f"icons/{name}.svg").read_text(encoding="utf-8")


@lru_cache(maxsize=512)
def _renderer(name: str, colour: str) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour).encode()))


def paint_icon(painter: QPainter, name: str, rect: QRect | QRectF, colour: str) -> None:
    """Paint an icon into the square in the middle of `rect`.

    Args:
        painter: Where to.
        name: The icon's file name without its ending.
        rect: The place; the icon keeps its proportions.
        colour: `#rrggbb`.
    """
    place = QRectF(rect)
    side = min(place.width(), place.height())
    square = QRectF(0, 0, side, side)
    square.moveCenter(QPointF(place.center()))
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _renderer(name, colour).render(painter, square)
    painter.restore()


class _ThemedEngine(QIconEngine):
    """Paints one SVG in a colour token of the theme in force."""

    def __init__(self, name: str, token: str) -> None:
        super().__init__()
        self._name = name
        self._token = token

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, _state: QIcon.State) -> None:
        colours = current.colours()
        token = "disabled" if mode == QIcon.Mode.Disabled else self._token
        paint_icon(painter, self._name, rect, str(getattr(colours, token)))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        image = QPixmap(size)
        image.fill(QColor(Qt.GlobalColor.transparent))
        painter = QPainter(image)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return image

    def clone(self) -> QIconEngine:
        return _ThemedEngine(self._name, self._token)


def icon(name: str, token: str = "text") -> QIcon:
    """Give a themed icon.

    Args:
        name: The icon's file name without its ending.
        token: The colour token to paint it in.
    """
    return QIcon(_ThemedEngine(name, token))


def icon_names() -> list[str]:
    """List the icons that exist."""
    return sorted(path.stem for path in resource("icons").glob("*.svg"))
