"""The contacts, by name, kept current by events."""

from __future__ import annotations

from PySide6.QtCore import QObject

from agentnet_desktop.agent.events import AgentSnapshot, ContactChanged, ContactView
from agentnet_desktop.ui import trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.views import ViewsModel
from agentnet_desktop.ui.text import NAME_LIMIT, peer_text


def shown_name(contact: ContactView) -> str:
    """Give the name by which a contact is shown."""
    return peer_text(contact.name or contact.agent_id, NAME_LIMIT)


class ContactsModel(ViewsModel[ContactView]):
    """All contacts the agent knows, asking and blocked ones too."""

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(
            key=lambda contact: contact.agent_id.lower(),
            order=lambda contact: (contact.state == "BLOCKED", shown_name(contact).casefold()),
            words=lambda contact: f"{shown_name(contact)}, {trust.contact_mark(contact.state).word}",
            parent=parent,
        )
        bridge.attached.connect(self._start)
        bridge.contact_changed.connect(self._change)

    def name_of(self, agent_id: str) -> str:
        """Give the shown name of an agent, contact or not."""
        contact = self.find(agent_id.lower())
        return peer_text(agent_id, NAME_LIMIT) if contact is None else shown_name(contact)

    def state_of(self, agent_id: str) -> str:
        """Give the trust state of an agent; UNKNOWN when it is no contact."""
        contact = self.find(agent_id.lower())
        return "UNKNOWN" if contact is None else contact.state

    def _start(self, snapshot: AgentSnapshot) -> None:
        self.replace_all(snapshot.contacts)

    def _change(self, event: ContactChanged) -> None:
        if event.removed:
            self.drop(event.view.agent_id.lower())
        else:
            self.put(event.view)
