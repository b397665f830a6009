"""The question before a destructive act. Only such an act asks in a modal; closing it never means yes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL
from agentnet_desktop.ui.widgets.labels import IconLabel, Label
from agentnet_desktop.ui.widgets.parts import button, column, row


class Confirmation(QDialog):
    """Opens with `open()`; `accepted` comes only from its button.

    Args:
        parent: Above which window.
        title: The question.
        words: What would happen.
        act: The verb on the button.
    """

    def __init__(self, parent: QWidget, title: str, words: str, act: str) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.yes = button(act, kind="danger", name="confirm-yes", clicked=self.accept)
        self.no = button(self.tr("Cancel"), name="confirm-no", clicked=self.reject)
        self.no.setDefault(True)
        sentence = Label(words, "muted", wrap=True)
        sentence.setMinimumWidth(320)
        head = row(IconLabel("alert", "warn", 24), column(Label(title, "heading"), sentence), spacing=SPACE_M)
        head.setAlignment(Qt.AlignmentFlag.AlignTop)
        head.setStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(head)
        layout.addLayout(row(None, self.no, self.yes))
