"""The page *Inbox*: what waits on the left, the decision on the right."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, QTimer, Signal
from PySide6.QtWidgets import QListView, QSplitter, QStackedWidget, QWidget

from agentnet_desktop.agent.events import ProposalView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.keys import HeldPanel, KeyChangePanel
from agentnet_desktop.ui.inbox.proposal import ProposalWidget
from agentnet_desktop.ui.inbox.requests import (
    ContactRequestPanel,
    PermissionPanel,
    RequestPanel,
    StuckPanel,
)
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxItem, InboxKind, InboxModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel
from agentnet_desktop.ui.widgets.list_rows import InboxRows, list_view
from agentnet_desktop.ui.widgets.parts import Card, EmptyState, Page

_REFRESH_MS = 30_000  # deadlines in the list are shown in minutes


class InboxPage(Page):
    """Everything that waits for the person."""

    log_wanted = Signal(str)  # filter expression

    def __init__(
        self, bridge: Bridge, model: InboxModel, contacts: ContactsModel, meetings: MeetingsModel
    ) -> None:
        super().__init__(self.tr("Inbox"))
        self.model = model
        self._shown_key = ""
        self.list: QListView = list_view(model, InboxRows(contacts), self.tr("What waits for you"))
        self.proposal = ProposalWidget(bridge, contacts, meetings)
        self._contact = ContactRequestPanel(bridge)
        self._key_change = KeyChangePanel(bridge)
        self._held = HeldPanel(bridge, contacts)
        self._permission = PermissionPanel(bridge, contacts)
        self._stuck = StuckPanel(bridge, contacts)
        self._none = EmptyState(
            "inbox",
            self.tr("Choose something on the left"),
            self.tr("Its details and your choices appear here."),
        )
        self._panels = QStackedWidget()
        for panel in (
            self._none, self.proposal, self._contact, self._key_change, self._held, self._permission,
            self._stuck,
        ):  # fmt: skip
            self._panels.addWidget(panel)
        self._split = QSplitter(Qt.Orientation.Horizontal)
        self._split.setChildrenCollapsible(False)
        self._split.setHandleWidth(1)
        self._split.addWidget(self.list)
        self._split.addWidget(self._panels)
        self._split.setStretchFactor(1, 1)
        self._split.setSizes([280, 640])
        self._empty = EmptyState(
            "check-circle",
            self.tr("Nothing waits for you"),
            self.tr(
                "Proposals, contact requests and questions that need a person come here. Your agent answers the "
                "rest by itself, as far as you allow it."
            ),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self._split)
        self.body.addWidget(Card(self._stack, margin=1), 1)
        self._refresh = QTimer(self)
        self._refresh.setInterval(_REFRESH_MS)
        self._refresh.timeout.connect(self.list.viewport().update)
        self._refresh.start()
        self._connect()
        self._counted()

    def _connect(self) -> None:
        self.list.selectionModel().currentChanged.connect(self._chosen)
        for signal in (self.model.rowsInserted, self.model.rowsRemoved, self.model.modelReset):
            signal.connect(self._counted)
        self.model.dataChanged.connect(self._refreshed)
        self.proposal.conversation_wanted.connect(lambda conv: self.log_wanted.emit(f"conv:{conv}"))
        for panel in (self._stuck, self._key_change, self._held):
            panel.log_wanted.connect(self.log_wanted)

    def show_item(self, key: str) -> None:
        """Select one item."""
        place = self.model.row_of(key)
        if place >= 0:
            self._select(place)

    def _select(self, place: int) -> None:
        index = self.model.index(place)
        self.list.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def _counted(self) -> None:
        count = self.model.rowCount()
        proposal = self.proposal.view
        settled = (
            self._panels.currentWidget() is self.proposal and proposal is not None and not self.proposal.waits
        )
        self._stack.setCurrentWidget(self._split if count or settled else self._empty)
        if self.model.row_of(self._shown_key) >= 0 or settled:
            return
        if count:
            self._select(0)
            self._show(self.model.view_at(0))
        else:
            self._show(None)

    def _chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        # A row that is being removed moves the current index to its neighbour: that is not a choice while
        # the outcome of the removed one is shown.
        item = self.model.view_at(now.row()) if now.isValid() else None
        if item is not None and (self.list.hasFocus() or self.model.row_of(self._shown_key) >= 0):
            self._show(item)

    def _refreshed(self, first: QModelIndex, last: QModelIndex) -> None:
        place = self.model.row_of(self._shown_key)
        if first.row() <= place <= last.row():
            self._show(self.model.view_at(place))

    def _show(self, item: InboxItem | None) -> None:
        panels: dict[InboxKind, QWidget] = {
            InboxKind.PROPOSAL: self.proposal,
            InboxKind.CONTACT: self._contact,
            InboxKind.KEY_CHANGE: self._key_change,
            InboxKind.PERMISSION: self._permission,
            InboxKind.STUCK: self._stuck,
            InboxKind.HELD: self._held,
        }
        self._shown_key = item.key if item else ""
        panel = panels[item.kind] if item else self._none
        if item and isinstance(item.view, ProposalView):
            self.proposal.show_proposal(item.view)
        elif item and isinstance(panel, RequestPanel):
            panel.show_item(item)
        self._panels.setCurrentWidget(panel)
