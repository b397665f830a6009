"""Long work as a person sees it: a bar, words, and a button that cancels."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QProgressBar, QWidget

from agentnet_desktop.ui.text import locale
from agentnet_desktop.ui.theme.tokens import SPACE_XS
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import button, column, row

_LOOK_MS = 100


class LongWork(QWidget):
    """Shows how far a task is. Hidden while there is none.

    `tick` may be called on any thread: it only notes the place, and a timer shows it.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._task: asyncio.Task[None] | None = None
        self._place = 0
        self._total = 0
        self._what = ""
        self.words = Label(role="muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(name)
        self.cancel_button = button(self.tr("Cancel"), icon="close", name="work-cancel", clicked=self.cancel)
        layout = row(column(self.words, self.bar, spacing=SPACE_XS), self.cancel_button)
        layout.setStretch(0, 1)
        self.setLayout(layout)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._render)
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether work is under way."""
        return self._task is not None

    def begin(self, task: asyncio.Task[None] | None, what: str, total: int = 0) -> None:
        """Show that a task runs.

        Args:
            task: What *Cancel* cancels; None shows nothing.
            what: What is being done.
            total: The place at which it ends; 0 when nobody knows.
        """
        if task is None:
            return
        self._task, self._place, self._what = task, 0, what
        self.set_total(total)
        self._render()
        self.show()
        self._timer.start()

    def set_total(self, total: int) -> None:
        """Note where the work ends."""
        self._total = total
        self.bar.setRange(0, total)

    def tick(self, place: int) -> None:
        """Note how far it is; on any thread."""
        self._place = place

    def end(self) -> None:
        """Show that the work is done."""
        self._task = None
        self._timer.stop()
        self.hide()

    def cancel(self) -> None:
        """Stop the work."""
        task = self._task
        self.end()
        if task is not None:
            task.cancel()

    def _render(self) -> None:
        words = self._what
        if self._place:
            place = locale().toString(self._place)
            words = (
                f"{words} {place}"
                if not self._total
                else f"{words} {place} / {locale().toString(self._total)}"
            )
        self.words.setText(words)
        self.bar.setValue(min(self._place, self._total))
