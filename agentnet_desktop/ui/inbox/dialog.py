"""The proposal dialog: the same widget as in the inbox, in a window of its own.

It opens with `open()`, one at a time, and never takes the focus from another application. Closing it means
nothing: the proposal goes on waiting in the inbox.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import ProposalView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.proposal import ProposalWidget
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M
from agentnet_desktop.ui.widgets.parts import button, row

_SIZE = QSize(620, 620)


class ProposalDialog(QDialog):
    """Asks for a decision on one proposal."""

    def __init__(
        self, bridge: Bridge, contacts: ContactsModel, meetings: MeetingsModel, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Meeting proposal"))
        self.widget = ProposalWidget(bridge, contacts, meetings)
        self.later_button = button(
            self.tr("Decide later"), kind="flat", name="proposal-later", clicked=self.reject
        )
        self.widget.settled.connect(self._settled)
        foot = row(None, self.later_button)
        foot.setContentsMargins(SPACE_L, 0, SPACE_L, SPACE_M)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.widget, 1)
        layout.addLayout(foot)
        self.resize(_SIZE)

    def ask(self, view: ProposalView) -> None:
        """Show a proposal and open; returns at once."""
        self.widget.show_proposal(view)
        self.widget.setFocus()  # decides nothing, shows no ring, and a screen reader says its title
        self.open()

    def _settled(self) -> None:
        self.later_button.setText(self.tr("Close"))
