"""Labels that show plain text only, and chips: every text in the window is one of these."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QWidget

from agentnet_desktop.ui.text import tooltip
from agentnet_desktop.ui.theme import current, icons
from agentnet_desktop.ui.theme.tokens import SPACE_XS, Tone
from agentnet_desktop.ui.trust import Mark

_LEAST_CUT = 24  # px: room for a letter and the ellipsis


class Label(QLabel):
    """A label that never interprets markup.

    Args:
        text: What to show.
        role: `title`, `heading`, `strong`, `muted`, `small`, `section`, `error`, `digits`, `mono` or nothing.
        wrap: Break lines.
        selectable: Let the person mark and copy it.
    """

    def __init__(
        self, text: str = "", role: str = "", *, wrap: bool = False, selectable: bool = False
    ) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setWordWrap(wrap)
        if selectable:
            self.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
        if wrap:
            self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
            self.setMinimumWidth(80)
        self.setText(text)


def paragraph(text: str, role: str = "muted", *, width: int = 460) -> Label:
    """Make a wrapped label for a dialog that is no wider than its words.

    Qt asks a wrapped label for its height at its least width; a dialog would be far too high without one.
    """
    made = Label(text, role, wrap=True)
    made.setMinimumWidth(width)
    return made


class ElidedLabel(QLabel):
    """One line of plain text that is cut with an ellipsis where it has no room; whole in the tooltip.

    Args:
        text: What to show.
        role: As of `Label`.
        snug: Be no wider than the text, so that the next widget stands right beside it.
    """

    def __init__(self, text: str = "", role: str = "", *, snug: bool = False) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        across = QSizePolicy.Policy.Maximum if snug else QSizePolicy.Policy.Ignored
        self.setSizePolicy(across, QSizePolicy.Policy.Fixed)
        self._whole = ""
        self.set_whole(text)

    def set_whole(self, text: str) -> None:
        """Show `text`, cut to the width."""
        self._whole = text
        self.setAccessibleName(text)
        self._cut()
        self.updateGeometry()

    def whole(self) -> str:
        """Give the text before it was cut."""
        return self._whole

    def sizeHint(self) -> QSize:
        self.ensurePolished()
        # A pixel more than the text: at broken scales its width is rounded down.
        return QSize(self.fontMetrics().horizontalAdvance(self._whole) + 1, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(min(_LEAST_CUT, self.sizeHint().width()), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._cut()

    def _cut(self) -> None:
        self.ensurePolished()
        shown = self.fontMetrics().elidedText(
            self._whole, Qt.TextElideMode.ElideRight, max(self.width(), _LEAST_CUT)
        )
        self.setText(shown)
        self.setToolTip(tooltip(self._whole) if shown != self._whole else "")


class IconLabel(QWidget):
    """An icon of ours, painted in a colour token of the theme in force."""

    def __init__(self, name: str, token: str = "muted", side: int = 20) -> None:
        super().__init__()
        self._name = name
        self._token = token
        self._side = side
        self.setFixedSize(side, side)

    def set_icon(self, name: str, token: str) -> None:
        """Show another icon."""
        self._name, self._token = name, token
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._side, self._side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        icons.paint_icon(painter, self._name, self.rect(), str(getattr(current.colours(), self._token)))
        painter.end()


_INK = {
    Tone.NEUTRAL: "muted",
    Tone.ACCENT: "accent_text",
    Tone.GOOD: "good",
    Tone.WARN: "warn",
    Tone.BAD: "bad",
}


def ink_token(tone: Tone) -> str:
    """Give the colour token in which `tone` writes."""
    return _INK[tone]


class Chip(QLabel):
    """A small rounded word in a tone."""

    def __init__(self, text: str = "", tone: Tone = Tone.NEUTRAL) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Maximum)
        self.set_chip(text, tone)

    def set_chip(self, text: str, tone: Tone) -> None:
        """Show another word."""
        self.setText(text)
        self.setProperty("tone", tone.value)
        self.style().unpolish(self)
        self.style().polish(self)


class Badge(QFrame):
    """A mark with icon and word in a tone: trust badges and states."""

    def __init__(self, mark: Mark | None = None) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(SPACE_XS + 2, 2, SPACE_XS + 4, 2)
        row.setSpacing(SPACE_XS)
        self._icon = IconLabel("question", side=14)
        self._word = Label(role="small")
        row.addWidget(self._icon)
        row.addWidget(self._word)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Maximum)
        if mark is not None:
            self.set_mark(mark)

    def set_mark(self, mark: Mark) -> None:
        """Show another mark."""
        self._icon.set_icon(mark.icon, ink_token(mark.tone))
        self._word.setText(mark.word)
        self._word.setProperty("ink", mark.tone.value)
        self.setProperty("tone", mark.tone.value)
        self.setToolTip(mark.meaning)
        self.setAccessibleName(mark.word)
        for widget in (self, self._word):
            widget.style().unpolish(widget)
            widget.style().polish(widget)

    def word(self) -> str:
        """Give the word that is shown."""
        return self._word.text()
