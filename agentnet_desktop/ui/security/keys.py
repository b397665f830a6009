"""Own key, and the keys of the live conversations: their age, when new ones come, and *Rotate now*."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QHeaderView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import AgentSnapshot, SessionKeysView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, row

_REFRESH_MS = 60_000


def keys_words(keys: Sequence[SessionKeysView], now: int) -> str:
    """Say how old the keys of the live conversations are, and when the next are due."""
    if not keys:
        return text.tr("No conversation is live. Keys are agreed on when one begins.")
    oldest = min(view.since for view in keys)
    soonest = min(view.rotates_at for view in keys)
    count = (
        text.tr("1 conversation is live.")
        if len(keys) == 1
        else text.tr("{0} conversations are live.").format(len(keys))
    )
    age = text.tr("Their oldest keys are from {0}; new ones come {1} at the latest.")
    return f"{count} {age.format(text.relative(oldest, now), text.relative(soonest, now))}"


class KeysCard(Card):
    """The keys of this agent."""

    def __init__(self, bridge: Bridge, contacts: ContactsModel) -> None:
        super().__init__()
        self.fingerprint = Label(role="mono", wrap=True, selectable=True)
        self._backend = Label(role="muted", wrap=True)
        self.sessions = Label(wrap=True)
        self.rotate_button = button(
            self.tr("Rotate now"), icon="refresh", name="security-rotate", clicked=self._rotate
        )
        self.rotate_button.setToolTip(self.tr("Start a new handshake in every live conversation"))
        self.each_button = button(
            self.tr("Each conversation"), kind="flat", name="security-sessions", clicked=self.open_sessions
        )
        self.notice = Notice()
        self.add(
            Label(self.tr("Your agent's key"), "section"),
            self.fingerprint,
            self._backend,
            SPACE_S,
            Label(self.tr("Keys of the conversations"), "section"),
            self.sessions,
            row(self.rotate_button, self.each_button, None),
            self.notice,
            None,
        )
        self._bridge = bridge
        self._contacts = contacts
        self._keys: list[SessionKeysView] = []
        self._show_keys([])
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        bridge.attached.connect(self._start)
        bridge.contact_changed.connect(lambda _event: self._refresh_if_seen())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._timer.start()
        self.refresh()

    def _start(self, snapshot: AgentSnapshot) -> None:
        self.fingerprint.setText(snapshot.fingerprint)
        self._backend.setText(
            self.tr("Its private half lies in: {0}").format(text.key_store(snapshot.keyring_backend))
        )
        self._refresh_if_seen()

    def _refresh_if_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Read the age of the keys anew."""
        if self._bridge.agent is not None:
            self._bridge.command(
                lambda agent: agent.session_keys(),
                name="read the age of keys",
                owner=self,
                done=self._show_keys,
            )

    def _show_keys(self, keys: list[SessionKeysView]) -> None:
        self._keys = keys
        self.sessions.setText(keys_words(keys, text.now_ms()))
        self.each_button.setVisible(bool(keys))

    def open_sessions(self) -> SessionsDialog:
        """Show the keys of each conversation."""
        dialog = SessionsDialog(self._keys, self._contacts, self)
        dialog.open()
        return dialog

    def _rotate(self) -> None:
        self.rotate_button.setEnabled(False)

        def done(count: int) -> None:
            self.rotate_button.setEnabled(True)
            words = self.tr("New handshakes started: {0}. The old keys open what is on its way for a day.")
            self.notice.show_notice(
                words.format(count) if count else self.tr("No conversation is live at this moment."),
                Tone.GOOD,
            )
            self.refresh()

        def failed(sentence: str) -> None:
            self.rotate_button.setEnabled(True)
            self.notice.show_notice(sentence, Tone.BAD)

        self._bridge.command(
            lambda agent: agent.rotate_keys(), name="rotate keys", owner=self, done=done, failed=failed
        )


class SessionsDialog(QDialog):
    """The keys of each live conversation, the ones that are renewed soonest first."""

    def __init__(self, keys: Sequence[SessionKeysView], contacts: ContactsModel, parent: QWidget) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Keys of the conversations"))
        self.resize(720, 380)
        self.table = QTreeWidget()
        self.table.setRootIsDecorated(False)
        self.table.setAccessibleName(self.windowTitle())
        self.table.setHeaderLabels(
            [
                self.tr("With"),
                self.tr("Conversation"),
                self.tr("Since"),
                self.tr("Messages"),
                self.tr("New keys"),
            ]
        )
        for view in keys:
            self.table.addTopLevelItem(self._line(view, contacts))
        header = self.table.header()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        layout.addWidget(
            Label(
                self.tr("New keys come after 30 days, or after 1,000 messages, or when you rotate them."),
                "muted",
                wrap=True,
            )
        )
        layout.addWidget(self.table, 1)
        layout.addLayout(row(None, button(self.tr("Close"), name="sessions-close", clicked=self.accept)))

    def _line(self, view: SessionKeysView, contacts: ContactsModel) -> QTreeWidgetItem:
        now = text.now_ms()
        made = QTreeWidgetItem(
            [
                contacts.name_of(view.peer),
                text.peer_text(view.conversation_id, text.NAME_LIMIT),
                text.relative(view.since, now),
                f"{view.messages} / {view.rotates_after}",
                text.relative(view.rotates_at, now),
            ]
        )
        made.setToolTip(2, text.exact(view.since))
        made.setToolTip(4, text.exact(view.rotates_at))
        return made
