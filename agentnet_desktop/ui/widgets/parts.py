"""Buttons, cards, page headers, empty states, notices and QR codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QEvent, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from agentnet_desktop.ui.theme import current, icons
from agentnet_desktop.ui.theme.tokens import RADIUS, SPACE_L, SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import IconLabel, Label, ink_token


def button(
    text: str, *, kind: str = "", icon: str = "", name: str = "", clicked: Callable[[], object] | None = None
) -> QPushButton:
    """Make a push button.

    Args:
        text: Its words; may carry a mnemonic.
        kind: `primary`, `danger`, `flat` or nothing.
        icon: Name of an icon of ours.
        name: Object name, by which tests and the style find it.
        clicked: What to call.
    """
    made = QPushButton(text)
    made.setProperty("kind", kind)
    made.setAutoDefault(False)
    made.setObjectName(name)
    if icon:
        tokens = {"primary": "on_accent", "danger": "bad", "flat": "accent_text"}
        made.setIcon(icons.icon(icon, tokens.get(kind, "text")))
        made.setIconSize(QSize(22, 16))  # the icon is square: the rest is air between it and the words
    if clicked is not None:

        def on_click(_checked: bool = False) -> None:
            clicked()

        made.clicked.connect(on_click)
    return made


def row(*items: QWidget | QLayout | int | None, spacing: int = SPACE_S) -> QHBoxLayout:
    """Lay widgets side by side; None is a stretch, a number a fixed space."""
    made = QHBoxLayout()
    return _fill(made, items, spacing)


def column(*items: QWidget | QLayout | int | None, spacing: int = SPACE_S) -> QVBoxLayout:
    """Lay widgets below each other; None is a stretch, a number a fixed space."""
    made = QVBoxLayout()
    return _fill(made, items, spacing)


_L = TypeVar("_L", bound=QBoxLayout)


def _fill(layout: _L, items: tuple[QWidget | QLayout | int | None, ...], spacing: int) -> _L:
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    _add_all(layout, items)
    return layout


class Card(QFrame):
    """A white sheet with a border and a vertical layout."""

    def __init__(self, *items: QWidget | QLayout | int | None, margin: int = SPACE_L) -> None:
        super().__init__()
        self.setProperty("card", "true")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(margin, margin, margin, margin)
        self.body.setSpacing(SPACE_S)
        self.add(*items)

    def add(self, *items: QWidget | QLayout | int | None) -> None:
        """Add widgets and layouts below what is there; None is a stretch, a number a fixed space."""
        _add_all(self.body, items)


def _add_all(layout: QBoxLayout, items: tuple[QWidget | QLayout | int | None, ...]) -> None:
    for item in items:
        if item is None:
            layout.addStretch(1)
        elif isinstance(item, int):
            layout.addSpacing(item)
        elif isinstance(item, QLayout):
            layout.addLayout(item)
        else:
            layout.addWidget(item)


def inset(edit: QAbstractSpinBox) -> None:
    """Move the text of a spin box off its rounded edge; the style sheet's padding does not reach it."""
    edit.lineEdit().setTextMargins(SPACE_S - 2, 0, 0, 0)


class Rule(QFrame):
    """A hairline."""

    def __init__(self, *, vertical: bool = False) -> None:
        super().__init__()
        self.setProperty("rule", "true")
        if vertical:
            self.setFixedWidth(1)
        else:
            self.setFixedHeight(1)


class ScrollColumn(QScrollArea):
    """Scrolls a column of widgets up and down, never sideways.

    Qt guesses the height of wrapped labels from their least width, which leaves a scroll bar over nothing; here the
    column is exactly as high as its labels are at the width that they have.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self._content = content
        content.setObjectName("scrolled")
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        content.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        layout = self._content.layout()
        if layout is not None:
            width = self.viewport().width()
            height = (
                layout.heightForWidth(width) if layout.hasHeightForWidth() else layout.sizeHint().height()
            )
            self._content.setMinimumHeight(max(1, height))


def scrolled(content: QWidget) -> ScrollColumn:
    """Put a widget with a layout into a scroll area."""
    return ScrollColumn(content)


class Page(QWidget):
    """A page of the window: title, one muted line, actions on the right, and a body below."""

    def __init__(self, title: str, line: str = "") -> None:
        super().__init__()
        self._title = Label(title, "title")
        self.line = Label(line, "muted", wrap=True)
        self.line.setVisible(bool(line))
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(SPACE_S)
        words = column(self._title, self.line, spacing=2)
        head = QHBoxLayout()
        head.addLayout(words, 1)
        head.addLayout(self.buttons)
        self.body = QVBoxLayout()
        self.body.setSpacing(SPACE_M)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        outer.setSpacing(SPACE_L)
        outer.addLayout(head)
        outer.addLayout(self.body, 1)
        self.setAccessibleName(title)


class EmptyState(QWidget):
    """What stands where there is nothing yet: an icon, a sentence, and what to do next."""

    def __init__(self, icon: str, title: str, text: str, *actions: QWidget) -> None:
        super().__init__()
        self._title = Label(title, "heading")
        self._title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._text = Label(text, "muted", wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._text.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self._text.setMaximumWidth(420)
        self._text.setMinimumWidth(240)
        layout = column(
            None,
            row(None, IconLabel(icon, "muted", 40), None),
            SPACE_S,
            self._title,
            row(None, self._text, None),
            SPACE_S,
            row(None, *actions, None),
            None,
            spacing=SPACE_S,
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        outer.addLayout(layout)


class SnugStack(QWidget):
    """Shows one of several widgets, and is as high as that one; a QStackedWidget is as high as its highest."""

    def __init__(self, *pages: QWidget) -> None:
        super().__init__()
        layout = column(*pages, spacing=0)
        self.setLayout(layout)
        self._pages = pages
        self._current = pages[0]
        self.show_page(pages[0])

    def current(self) -> QWidget:
        """Give the widget that is shown."""
        return self._current

    def show_page(self, page: QWidget) -> None:
        """Show one of the widgets."""
        self._current = page
        for other in self._pages:
            other.setVisible(other is page)


class Notice(QFrame):
    """A line or two in a tone, with an icon and an optional act: results, warnings, errors."""

    def __init__(self, text: str = "", tone: Tone = Tone.NEUTRAL) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._icon = IconLabel("info", side=18)
        self.label = Label(text, wrap=True)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(SPACE_M, SPACE_S, SPACE_M, SPACE_S)
        self._layout.setSpacing(SPACE_S)
        self._layout.addWidget(self._icon)
        self._layout.addWidget(self.label, 1)
        self.show_notice(text, tone)
        self.setVisible(bool(text))

    def widen(self, width: int = 400) -> None:
        """Give the words a least width, in a dialog whose height follows from it."""
        self.label.setMinimumWidth(width)

    def add_action(self, widget: QWidget) -> None:
        """Put a button at the end of the line."""
        self._layout.addWidget(widget)

    def show_notice(self, text: str, tone: Tone) -> None:
        """Show `text`; an empty one hides the notice."""
        icons_by_tone = {Tone.GOOD: "check-circle", Tone.WARN: "alert", Tone.BAD: "fail"}
        self._icon.set_icon(icons_by_tone.get(tone, "info"), ink_token(tone))
        self.label.setText(text)
        self.setProperty("tone", tone.value)
        self.setAccessibleName(text)
        self.style().unpolish(self)
        self.style().polish(self)
        self.setVisible(bool(text))

    def text(self) -> str:
        """Give the text that is shown."""
        return self.label.text()


class QrCode(QWidget):
    """A QR code, always dark on white, so that every camera reads it in either theme."""

    def __init__(self, text: str = "", side: int = 176) -> None:
        super().__init__()
        self._matrix: tuple[tuple[int, ...], ...] = ()
        self.setFixedSize(side, side)
        self.set_text(text)

    def set_text(self, text: str) -> None:
        """Show the code of `text`; nothing for an empty one."""
        if text:
            import segno

            made = segno.make(text, error="m", micro=False)
            self._matrix = tuple(tuple(int(cell) for cell in line) for line in made.matrix)
        else:
            self._matrix = ()
        self.setAccessibleName(self.tr("QR code"))
        self.setVisible(bool(text))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._matrix:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(current.colours().border))
        painter.setBrush(QColor("#ffffff"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#10131a"))
        count = len(self._matrix)
        ratio = self.devicePixelRatioF()
        cell = max(1, int((self.width() - 2 * SPACE_M) * ratio / count)) / ratio  # whole device pixels
        edge = (self.width() - cell * count) / 2
        for y, line in enumerate(self._matrix):
            for x, dark in enumerate(line):
                if dark:
                    painter.drawRect(QRectF(edge + x * cell, edge + y * cell, cell, cell))
        painter.end()
