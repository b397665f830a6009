"""Changed keys in the inbox: whether the new key is theirs, and what becomes of the messages held meanwhile."""

from __future__ import annotations

from agentnet_desktop.agent.events import ContactView
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.requests import RequestPanel
from agentnet_desktop.ui.models.contacts_model import ContactsModel, shown_name
from agentnet_desktop.ui.models.inbox_model import HeldMessages, InboxItem
from agentnet_desktop.ui.theme.tokens import SPACE_S
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card, button, row

_SHOWN = 12


def number_lines(digits: str) -> str:
    """Give a safety number of 60 digits as three lines of four groups."""
    groups = text.groups(digits)
    return "\n".join("  ".join(groups[start : start + 4]) for start in range(0, len(groups), 4))


class KeyCard(Card):
    """One key of a contact: its fingerprint, and the safety number under it."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.fingerprint = Label(role="mono", wrap=True, selectable=True)
        self.number = Label(role="mono", selectable=True)
        self.add(
            Label(title, "section"),
            self.fingerprint,
            SPACE_S,
            Label(self.tr("Safety number under it"), "section"),
            self.number,
            None,
        )

    def show_key(self, fingerprint: str, digits: str) -> None:
        """Show a key."""
        self.fingerprint.setText(fingerprint or "–")
        self.number.setText(number_lines(digits) or "–")


class KeyChangePanel(RequestPanel):
    """Another key speaks for a contact."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(bridge)
        self._agent_id = self._seen = ""  # whose key is decided on, and its fingerprint as shown
        self.old = KeyCard(self.tr("The key you know"))
        self.new = KeyCard(self.tr("The key it shows now"))
        cards = row(self.old, self.new)
        cards.setStretch(0, 1)
        cards.setStretch(1, 1)
        self.content.addLayout(cards)
        self.content.addLayout(
            row(
                button(
                    self.tr("Show this contact in the log"),
                    kind="flat",
                    icon="log",
                    clicked=self._show_in_log,
                ),
                None,
            )
        )
        self.content.addStretch(1)
        self.add_decision(
            button(self.tr("Block contact"), kind="danger", icon="ban", clicked=self._block), left=True
        )
        self.refuse = self.add_decision(
            button(self.tr("Refuse the new key"), name="key-refuse", clicked=self._refuse)
        )
        self.accept = self.add_decision(
            button(self.tr("Accept the new key"), kind="danger", name="key-accept", clicked=self._accept)
        )

    def show_item(self, item: InboxItem) -> None:
        """Show one changed key."""
        if not isinstance(item.view, ContactView):
            return
        if (self._agent_id, self._seen) != (item.view.agent_id, item.view.candidate_fingerprint):
            self._agent_id, self._seen = item.view.agent_id, item.view.candidate_fingerprint
            self.rearm()
        self.title.setText(item.title)
        self.badge.set_mark(trust.contact_mark(item.view.state))
        self.words.setText(
            self.tr(
                "This happens after a new installation, and it also happens when someone poses as {0}. Ask them by "
                "another way, such as a call, and compare the safety number before you accept. Until you decide, "
                "nothing is sent."
            ).format(shown_name(item.view))
        )
        self.old.show_key(item.view.fingerprint, item.view.safety_number)
        self.new.show_key(item.view.candidate_fingerprint, item.view.candidate_safety_number)

    def _accept(self) -> None:
        name, seen = self._agent_id, self._seen
        self.send("accept key", lambda agent: agent.accept_key(name, seen=seen))

    def _refuse(self) -> None:
        name, seen = self._agent_id, self._seen
        self.send("refuse key", lambda agent: agent.refuse_key(name, seen=seen))

    def _block(self) -> None:
        self.send("block contact", lambda agent: agent.block_contact(self._agent_id))

    def _show_in_log(self) -> None:
        self.log_wanted.emit(f"with:{self._agent_id}")


class HeldPanel(RequestPanel):
    """Messages that were written before a contact's key changed: to whoever has the new key, or to nobody."""

    def __init__(self, bridge: Bridge, contacts: ContactsModel) -> None:
        super().__init__(bridge)
        self._contacts = contacts
        self._peer = ""
        self.messages = Label(wrap=True)
        self.content.addWidget(Card(Label(self.tr("Held messages"), "section"), self.messages))
        self.content.addLayout(
            row(
                button(self.tr("Show them in the log"), kind="flat", icon="log", clicked=self._show_in_log),
                None,
            )
        )
        self.content.addStretch(1)
        self.drop_button = self.add_decision(
            button(
                self.tr("Give them up"), kind="danger", icon="trash", name="held-drop", clicked=self._drop
            ),
            left=True,
        )
        self.release_button = self.add_decision(
            button(
                self.tr("Send them now"),
                kind="primary",
                icon="send",
                name="held-release",
                clicked=self._release,
            )
        )

    def show_item(self, item: InboxItem) -> None:
        """Show what is held for one contact."""
        if not isinstance(item.view, HeldMessages):
            return
        if self._peer != item.peer:
            self._peer = item.peer
            self.rearm()
        self.title.setText(item.title)
        self.badge.set_mark(trust.contact_mark(self._contacts.state_of(item.peer)))
        self.words.setText(
            self.tr(
                "They were written to {0} before the key changed. If you send them, whoever has the new key reads "
                "them."
            ).format(self._contacts.name_of(item.peer))
        )
        lines = [
            f"{view.message_type}  ·  {text.exact(view.created_at)}" for view in item.view.messages[:_SHOWN]
        ]
        more = len(item.view.messages) - _SHOWN
        if more > 0:
            lines.append(self.tr("and {0} more").format(more))
        self.messages.setText("\n".join(lines))

    def _release(self) -> None:
        self.send("release messages", lambda agent: agent.release_messages(self._peer))

    def _drop(self) -> None:
        self.send("give up messages", lambda agent: agent.drop_messages(self._peer))

    def _show_in_log(self) -> None:
        self.log_wanted.emit(f"with:{self._peer} is:queued")
