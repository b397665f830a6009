"""The page *Contacts*: the list left, one contact right."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtWidgets import QListView, QSplitter, QStackedWidget

from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.contacts.add import AddContactDialog
from agentnet_desktop.ui.contacts.detail import ContactDetail
from agentnet_desktop.ui.contacts.my_link import MyLinkDialog
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.widgets.list_rows import ContactRows, list_view
from agentnet_desktop.ui.widgets.parts import Card, EmptyState, Page, button


class ContactsPage(Page):
    """Everyone the agent knows."""

    log_wanted = Signal(str)
    meeting_wanted = Signal(str)

    def __init__(self, bridge: Bridge, model: ContactsModel) -> None:
        super().__init__(self.tr("Contacts"))
        self._bridge = bridge
        self.model = model
        self._shown = ""
        self.my_link_button = button(
            self.tr("My link"), icon="link", name="contacts-my-link", clicked=self.open_my_link
        )
        self.add_button = button(
            self.tr("Add contact"),
            kind="primary",
            icon="user-plus",
            name="contacts-add",
            clicked=self.open_add,
        )
        self.buttons.addWidget(self.my_link_button)
        self.buttons.addWidget(self.add_button)
        self.list: QListView = list_view(model, ContactRows(), self.tr("Contacts"))
        self.detail = ContactDetail(bridge)
        self.detail.log_wanted.connect(self.log_wanted)
        self.detail.meeting_wanted.connect(self.meeting_wanted)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.setHandleWidth(1)
        split.addWidget(self.list)
        split.addWidget(self.detail)
        split.setStretchFactor(1, 1)
        split.setSizes([280, 640])
        empty = EmptyState(
            "contacts",
            self.tr("No contacts yet"),
            self.tr(
                "Give someone your link, or add theirs. Only contacts that you approve can ask your agent anything."
            ),
            button(self.tr("My link"), icon="link", clicked=self.open_my_link),
            button(self.tr("Add contact"), kind="primary", icon="user-plus", clicked=self.open_add),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(empty)
        self._stack.addWidget(split)
        self.body.addWidget(Card(self._stack, margin=1), 1)
        self.list.selectionModel().currentChanged.connect(self._chosen)
        model.dataChanged.connect(self._refresh)
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset):
            signal.connect(self._counted)
        self._counted()

    def open_my_link(self) -> MyLinkDialog:
        """Open the dialog with my contact link."""
        dialog = MyLinkDialog(self._bridge, self)
        dialog.open()
        return dialog

    def open_add(self, link: str = "") -> AddContactDialog:
        """Open the dialog that adds a contact; a link that came from outside is filled in, never used."""
        dialog = AddContactDialog(self._bridge, self, link)
        dialog.open()
        return dialog

    def show_contact(self, agent_id: str) -> None:
        """Select a contact."""
        place = self.model.row_of(agent_id.lower())
        if place >= 0:
            self.list.setCurrentIndex(self.model.index(place))

    def _counted(self) -> None:
        self._stack.setCurrentIndex(1 if self.model.rowCount() else 0)
        if self.model.rowCount() and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self.model.index(0))
        self._refresh()

    def _chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        view = self.model.view_at(now.row()) if now.isValid() else None
        if view is not None:
            self.detail.show_contact(view)

    def _refresh(self) -> None:
        view = self.model.view_at(self.list.currentIndex().row())
        if view is not None:
            self.detail.show_contact(view)
