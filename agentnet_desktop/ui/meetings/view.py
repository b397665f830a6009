"""The page *Meetings*: every proposal, where it stands, and the way to a new one."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtWidgets import QListView, QSplitter, QStackedWidget

from agentnet_desktop.agent.events import ProposalView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.proposal import ProposalWidget
from agentnet_desktop.ui.meetings.new import NewMeetingDialog
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel, proposal_key
from agentnet_desktop.ui.widgets.list_rows import MeetingRows, list_view
from agentnet_desktop.ui.widgets.parts import Card, EmptyState, Page, button


class MeetingsPage(Page):
    """Proposals of both directions, and their answers."""

    log_wanted = Signal(str)

    def __init__(self, bridge: Bridge, model: MeetingsModel, contacts: ContactsModel) -> None:
        super().__init__(self.tr("Meetings"))
        self._bridge = bridge
        self._contacts = contacts
        self.model = model
        self.new_button = button(
            self.tr("New meeting"), kind="primary", icon="plus", name="meetings-new", clicked=self.open_new
        )
        self.buttons.addWidget(self.new_button)
        self.list: QListView = list_view(model, MeetingRows(contacts), self.tr("Meetings"))
        self.proposal = ProposalWidget(bridge, contacts, model)
        self.proposal.conversation_wanted.connect(lambda conv: self.log_wanted.emit(f"conv:{conv}"))
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.setHandleWidth(1)
        split.addWidget(self.list)
        split.addWidget(self.proposal)
        split.setStretchFactor(1, 1)
        split.setSizes([300, 620])
        empty = EmptyState(
            "calendar",
            self.tr("No meetings yet"),
            self.tr("Propose one: your agent asks theirs when they are free, and both of you decide."),
            button(self.tr("New meeting"), kind="primary", icon="plus", clicked=self.open_new),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(empty)
        self._stack.addWidget(split)
        self.body.addWidget(Card(self._stack, margin=1), 1)
        self.list.selectionModel().currentChanged.connect(self._chosen)
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset):
            signal.connect(self._counted)
        self._counted()

    def open_new(self, person: str = "") -> NewMeetingDialog:
        """Open the dialog for a new meeting.

        Args:
            person: agentId to mark already.
        """
        dialog = NewMeetingDialog(self._bridge, self._contacts, self, person)
        dialog.proposed.connect(self.show_proposal)
        dialog.open()
        return dialog

    def show_proposal(self, view: ProposalView) -> None:
        """Select a proposal."""
        place = self.model.row_of(proposal_key(view))
        if place >= 0:
            self.list.setCurrentIndex(self.model.index(place))

    def _counted(self) -> None:
        self._stack.setCurrentIndex(1 if self.model.rowCount() else 0)
        if self.model.rowCount() and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self.model.index(0))

    def _chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        view = self.model.view_at(now.row()) if now.isValid() else None
        if view is not None:
            self.proposal.show_proposal(view)
