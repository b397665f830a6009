"""The page *Security*: this agent's keys, the log's integrity, and events with what to do about them."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtWidgets import QListView, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import SecurityView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.security_model import SecurityModel
from agentnet_desktop.ui.models.views import VIEW
from agentnet_desktop.ui.security.advice import advice
from agentnet_desktop.ui.security.integrity import IntegrityCard
from agentnet_desktop.ui.security.keys import KeysCard
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.list_rows import SecurityRows, list_view
from agentnet_desktop.ui.widgets.parts import Card, EmptyState, Notice, Page, button, row, scrolled

_EVENTS_HEIGHT = 240  # px: where the window has less, the page scrolls


class EventPanel(QWidget):
    """One security event: what happened, when, and what to do."""

    log_wanted = Signal(str)  # filter expression
    entry_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._view: SecurityView | None = None
        self.title = Label(role="heading", wrap=True)
        self.when = Label(role="muted", wrap=True)
        self.words = Label(wrap=True, selectable=True)
        self.act = Label(wrap=True, selectable=True)
        self._entry = button(
            self.tr("Show the entry"), kind="flat", icon="log", name="event-entry", clicked=self._show_entry
        )
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        inside.setSpacing(SPACE_M)
        for widget in (self.title, self.when, self.words, Label(self.tr("What to do"), "section"), self.act):
            inside.addWidget(widget)
        inside.addLayout(row(self._entry, None))
        inside.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolled(content))

    def show_event(self, view: SecurityView, name: str) -> None:
        """Show an event.

        Args:
            view: The event.
            name: Who is behind it, as shown.
        """
        self._view = view
        told = advice(view.kind)
        self.title.setText(told.title)
        self.when.setText(f"{name}  ·  {text.exact(view.time)}" if view.peer else text.exact(view.time))
        self.words.setText(text.peer_text(view.message))
        self.act.setText(told.act)

    def _show_entry(self) -> None:
        if self._view is not None:
            self.entry_wanted.emit(self._view.seq)


class SecurityPage(Page):
    """What an attentive person looks at now and then."""

    log_wanted = Signal(str)
    entry_wanted = Signal(int)

    def __init__(self, bridge: Bridge, model: SecurityModel, contacts: ContactsModel) -> None:
        super().__init__(self.tr("Security"))
        self.model = model
        self._contacts = contacts
        self.keys = KeysCard(bridge, contacts)
        self.integrity = IntegrityCard(bridge)
        self.integrity.entry_wanted.connect(self.entry_wanted)
        self.storage = Notice()
        cards = row(self.keys, self.integrity, spacing=SPACE_M)
        cards.setStretch(0, 1)
        cards.setStretch(1, 1)
        self.list: QListView = list_view(model, SecurityRows(), self.tr("Security events"))
        self.list.selectionModel().currentChanged.connect(self._chosen)
        self.event_panel = EventPanel()
        self.event_panel.entry_wanted.connect(self.entry_wanted)
        self._all = button(
            self.tr("Refused messages in the log"), kind="flat", icon="log", clicked=self._show_refused
        )
        split = QSplitter()
        split.setChildrenCollapsible(False)
        split.setHandleWidth(1)
        split.addWidget(self.list)
        split.addWidget(self.event_panel)
        split.setSizes([420, 420])
        self._stack = QStackedWidget()
        self._stack.addWidget(
            EmptyState(
                "shield-check",
                self.tr("Nothing suspicious"),
                self.tr(
                    "Bad signatures, changed keys and messages that should have been encrypted are refused, and "
                    "told here with what to do."
                ),
            )
        )
        self._stack.addWidget(split)
        events = Card(self._stack, margin=1)
        events.setMinimumHeight(_EVENTS_HEIGHT)
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, SPACE_S, 0)
        inside.setSpacing(SPACE_M)
        inside.addWidget(self.storage)
        inside.addLayout(cards)
        inside.addLayout(row(Label(self.tr("Events"), "section"), None, self._all))
        inside.addWidget(events, 1)
        self.body.addWidget(scrolled(content), 1)
        bridge.storage_changed.connect(
            lambda problem: self.storage.show_notice(text.storage_words(problem), Tone.BAD)
        )
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset):
            signal.connect(self._counted)

    def _counted(self) -> None:
        self._stack.setCurrentIndex(1 if self.model.rowCount() else 0)
        if self.model.rowCount() and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self.model.index(0))

    def _chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        view = now.data(VIEW) if now.isValid() else None
        if isinstance(view, SecurityView):
            self.event_panel.show_event(view, self._contacts.name_of(view.peer))

    def _show_refused(self) -> None:
        self.log_wanted.emit("is:failed")
