"""The page *Security*: this agent's key, changing session keys, and events with what to do about them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QListView, QStackedWidget, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import AgentSnapshot, SecurityView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.security_model import SecurityModel
from agentnet_desktop.ui.models.views import VIEW
from agentnet_desktop.ui.theme.tokens import SPACE_M, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.list_rows import SecurityRows, list_view
from agentnet_desktop.ui.widgets.parts import Card, EmptyState, Notice, Page, button, column, row


class SecurityPage(Page):
    """What an attentive person looks at now and then."""

    log_wanted = Signal(str)

    def __init__(self, bridge: Bridge, model: SecurityModel) -> None:
        super().__init__(self.tr("Security"))
        self._bridge = bridge
        self.model = model
        self._fingerprint = Label(role="mono", wrap=True, selectable=True)
        self._backend = Label(role="muted", wrap=True)
        self.notice = Notice()
        self.rotate_button = button(
            self.tr("Change session keys now"), icon="refresh", name="security-rotate", clicked=self._rotate
        )
        self.rotate_button.setToolTip(self.tr("Start a new handshake in every live conversation"))
        words = column(
            Label(self.tr("Your agent's key"), "section"), self._fingerprint, self._backend, spacing=SPACE_M
        )
        keys = row(words, self.rotate_button)
        keys.setStretch(0, 1)
        keys.setAlignment(self.rotate_button, Qt.AlignmentFlag.AlignTop)
        self.body.addWidget(Card(keys, self.notice))
        self.list: QListView = list_view(model, SecurityRows(), self.tr("Security events"))
        self.list.activated.connect(self._open)
        self._words = Label(wrap=True, selectable=True)
        self._all = button(
            self.tr("Refused messages in the log"), kind="flat", icon="log", clicked=self._show_refused
        )
        events = QWidget()
        inside = QVBoxLayout(events)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.list)
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
        self._stack.addWidget(events)
        self.body.addLayout(row(Label(self.tr("Events"), "section"), None, self._all))
        self.body.addWidget(Card(self._stack, margin=1), 1)
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset):
            signal.connect(self._counted)
        bridge.attached.connect(self._start)

    def _start(self, snapshot: AgentSnapshot) -> None:
        self._fingerprint.setText(snapshot.fingerprint)
        self._backend.setText(
            self.tr("Its private half lies in: {0}").format(text.key_store(snapshot.keyring_backend))
        )

    def _counted(self) -> None:
        self._stack.setCurrentIndex(1 if self.model.rowCount() else 0)

    def _open(self) -> None:
        view = self.list.currentIndex().data(VIEW)
        if isinstance(view, SecurityView) and view.peer:
            self.log_wanted.emit(f"with:{view.peer}")

    def _show_refused(self) -> None:
        self.log_wanted.emit("is:failed")

    def _rotate(self) -> None:
        self.rotate_button.setEnabled(False)

        def done(count: int) -> None:
            self.rotate_button.setEnabled(True)
            words = self.tr("New handshakes started: {0}.").format(count)
            self.notice.show_notice(
                words if count else self.tr("No conversation is live at this moment."), Tone.GOOD
            )

        def failed(sentence: str) -> None:
            self.rotate_button.setEnabled(True)
            self.notice.show_notice(sentence, Tone.BAD)

        self._bridge.command(
            lambda agent: agent.rotate_keys(), name="rotate keys", owner=self, done=done, failed=failed
        )
