"""Saved filters and history of the live log: a menu beside the filter line.

They are kept by the agent in its encrypted database, because they name people.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QLineEdit, QMenu, QPushButton, QVBoxLayout, QWidget

from agentnet_desktop.agent.log_queries import MOST_HISTORY, Filters
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import button, row

_SHOWN = 60


class SavedFilters(QWidget):
    """A button with a menu of saved filters, the last ones used, *Save* and *Forget*."""

    chosen = Signal(str)  # expression

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._expression = ""
        self.filters = Filters()
        self._early: list[Callable[[Filters], Filters]] | None = []
        self.button: QPushButton = button(self.tr("Filters"), icon="chevron-down", name="log-filters")
        self.menu = QMenu(self.button)
        self.button.setMenu(self.menu)
        self.menu.aboutToShow.connect(self._fill)
        self.setLayout(row(self.button))
        bridge.attached.connect(lambda _snapshot: self._load())

    def used(self, expression: str) -> None:
        """Note an expression that the log now shows; "" is not remembered."""
        self._expression = expression
        if not expression:
            return

        def remembered(filters: Filters) -> Filters:
            history = (expression, *(known for known in filters.history if known != expression))
            return Filters(filters.saved, history[:MOST_HISTORY])

        self._change(remembered)

    def save(self, name: str) -> None:
        """Save the expression in force under a name."""
        expression = self._expression
        if name and expression:
            self._change(lambda filters: Filters({**filters.saved, name: expression}, filters.history))

    def forget(self, name: str) -> None:
        """Forget a saved filter."""
        self._change(
            lambda filters: Filters(
                {known: expr for known, expr in filters.saved.items() if known != name}, filters.history
            )
        )

    def _load(self) -> None:
        self._early = []
        self._bridge.command(
            lambda agent: agent.log.filters(), name="read saved filters", owner=self, done=self._loaded
        )

    def _loaded(self, filters: Filters) -> None:
        early, self._early = self._early, None
        self.filters = filters
        for change in early or ():
            self._change(change)

    def _change(self, change: Callable[[Filters], Filters]) -> None:
        """Change what is kept; what comes before it was read waits, so that it never replaces it."""
        before, self.filters = self.filters, change(self.filters)
        if self._early is not None:
            self._early.append(change)
        elif self.filters != before and self._bridge.agent is not None:
            kept = self.filters
            self._bridge.command(lambda agent: agent.log.keep_filters(kept), name="keep filters", owner=self)

    def _fill(self) -> None:
        menu = self.menu
        menu.clear()
        for name, expression in self.filters.saved.items():
            act = menu.addAction(_words(name), partial(self.chosen.emit, expression))
            act.setToolTip(text.tooltip(_words(expression)))
        if self.filters.history:
            menu.addSection(self.tr("Used last"))
            for expression in self.filters.history:
                menu.addAction(_words(expression), partial(self.chosen.emit, expression))
        menu.addSeparator()
        save = menu.addAction(self.tr("Save this filter …"), self.ask_name)
        save.setEnabled(bool(self._expression))
        forget = menu.addMenu(self.tr("Forget a saved filter"))
        forget.setEnabled(bool(self.filters.saved))
        for name in self.filters.saved:
            forget.addAction(_words(name), partial(self.forget, name))

    def ask_name(self) -> NameDialog:
        """Ask under which name the filter is saved."""
        dialog = NameDialog(self._expression, self)
        dialog.named.connect(self.save)
        dialog.open()
        return dialog


def _words(expression: str) -> str:
    return text.peer_text(expression, _SHOWN).replace("&", "&&")


class NameDialog(QDialog):
    """Asks for the name of a filter."""

    named = Signal(str)

    def __init__(self, expression: str, parent: QWidget) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Save this filter"))
        self.setMinimumWidth(420)
        self.name = QLineEdit()
        self.name.setObjectName("filter-name")
        self.name.setMaxLength(text.NAME_LIMIT)
        self.name.setPlaceholderText(self.tr("Its name"))
        self.name.setAccessibleName(self.tr("Its name"))
        self.save = button(self.tr("Save"), kind="primary", name="filter-save", clicked=self._save)
        self.save.setEnabled(False)
        self.name.textChanged.connect(lambda words: self.save.setEnabled(bool(words.strip())))
        self.name.returnPressed.connect(self._save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        layout.addWidget(Label(_words(expression), "mono", wrap=True))
        layout.addWidget(self.name)
        layout.addLayout(row(None, button(self.tr("Cancel"), clicked=self.reject), self.save))

    def _save(self) -> None:
        if self.name.text().strip():
            self.named.emit(self.name.text().strip())
            self.accept()
