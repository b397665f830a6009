"""A field for a file's path with a button that opens the system's chooser, never as a nested loop."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from agentnet_desktop.ui.widgets.parts import button, row


class PathField(QWidget):
    """A path that is typed or chosen.

    Args:
        name: Object name of the edit.
        words: What a screen reader calls it, and the chooser's title.
        saving: The file is to be written.
        pattern: Which files the chooser shows, such as `Exported log (*.jsonl)`.
    """

    changed = Signal()

    def __init__(self, name: str, words: str, *, saving: bool = False, pattern: str = "") -> None:
        super().__init__()
        self._words = words
        self._saving = saving
        self.pattern = pattern
        self._replaceable = ""
        self.edit = QLineEdit()
        self.edit.setObjectName(name)
        self.edit.setAccessibleName(words)
        self.edit.setPlaceholderText(words)
        self.edit.textChanged.connect(lambda _text: self.changed.emit())
        layout = row(self.edit, button(self.tr("Choose …"), icon="folder", clicked=self._choose))
        layout.setStretch(0, 1)
        self.setLayout(layout)

    def path(self) -> Path | None:
        """Give the path; None while there is none."""
        words = self.edit.text().strip()
        return Path(words).expanduser() if words else None

    def set_path(self, path: Path) -> None:
        """Show a path."""
        self.edit.setText(str(path))
        self.edit.setCursorPosition(len(self.edit.text()))

    def problem(self) -> str:
        """Say why the path cannot be used; "" when it can, or there is none yet."""
        path = self.path()
        if path is None:
            return ""
        if not self._saving:
            return "" if path.is_file() else self.tr("There is no such file.")
        if not path.parent.is_dir():
            return self.tr("There is no such folder.")
        if path.exists() and str(path) != self._replaceable:
            return self.tr("There is a file of that name already; choose another.")
        return ""

    def _choose(self) -> None:
        chooser = QFileDialog(self.window(), self._words, self.edit.text())
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        saving = QFileDialog.AcceptMode.AcceptSave
        chooser.setAcceptMode(saving if self._saving else QFileDialog.AcceptMode.AcceptOpen)
        chooser.setFileMode(
            QFileDialog.FileMode.AnyFile if self._saving else QFileDialog.FileMode.ExistingFile
        )
        if self.pattern:
            chooser.setNameFilter(self.pattern)
        chooser.fileSelected.connect(self._chosen)
        chooser.open()

    def _chosen(self, path: str) -> None:
        self._replaceable = path if self._saving else ""  # the chooser has asked
        self.edit.setText(path)
