"""The status bar: the connection, what is queued, the key store, and a warning where transport is insecure."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QStatusBar

from agentnet_desktop.agent.events import AgentSnapshot, ConnectionState, ConnectionView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.text import exact, key_store, peer_text, tooltip
from agentnet_desktop.ui.theme import icons
from agentnet_desktop.ui.theme.tokens import Tone
from agentnet_desktop.ui.widgets.labels import ink_token

_RELAY_LIMIT = 28  # the warnings beside it stay in sight in a small window; the tooltip has the address
_LEAST_WIDTH = 72  # px: the icon and a few letters


class YieldingButton(QPushButton):
    """A button whose words are cut with an ellipsis where its neighbours leave no room."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_whole(self, words: str) -> None:
        """Show `words`, cut to the width."""
        self._whole = words
        self.setAccessibleName(words)
        self._cut()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        hint.setWidth(self._around() + self.fontMetrics().horizontalAdvance(self._whole))
        return hint

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        hint.setWidth(min(_LEAST_WIDTH, self.sizeHint().width()))
        return hint

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._cut()

    def _around(self) -> int:
        """Give the width of everything but the words: icon, padding, border."""
        return super().sizeHint().width() - self.fontMetrics().horizontalAdvance(self.text()) + 1

    def _cut(self) -> None:
        room = max(0, self.width() - self._around() + 1)
        self.setText(self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, room))


def _part(icon: str, token: str, name: str, made: QPushButton | None = None) -> QPushButton:
    made = made or QPushButton()
    made.setIcon(icons.icon(icon, token))
    made.setIconSize(QSize(20, 14))
    made.setObjectName(name)
    made.setAutoDefault(False)
    return made


class StatusBar(QStatusBar):
    """A few small buttons; each opens the page that says more."""

    connection_clicked = Signal()
    queue_clicked = Signal()
    keys_clicked = Signal()
    storage_clicked = Signal()

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.setSizeGripEnabled(False)
        self._connection = YieldingButton()
        _part("local", "muted", "status-connection", self._connection)
        self._queue = _part("outbox", "muted", "status-queue")
        self._keyring = YieldingButton()
        _part("key", "muted", "status-keyring", self._keyring)
        self._insecure = _part("lock-open", "warn", "status-insecure")
        self._insecure.setText(self.tr("Insecure transport"))
        self._insecure.setToolTip(
            self.tr("The connection to the relay is not encrypted. Messages stay end-to-end encrypted.")
        )
        self._storage = _part("fail", "bad", "status-storage")
        self._storage.setText(self.tr("Nothing can be stored"))
        self.addWidget(self._connection)
        self.addWidget(self._queue)
        self.addPermanentWidget(self._storage)
        self.addPermanentWidget(self._insecure)
        self.addPermanentWidget(self._keyring)
        self._connection.clicked.connect(self.connection_clicked)
        self._insecure.clicked.connect(self.connection_clicked)
        self._queue.clicked.connect(self.queue_clicked)
        self._keyring.clicked.connect(self.keys_clicked)
        self._storage.clicked.connect(self.storage_clicked)
        self._storage.hide()
        self._insecure.hide()
        self._keyring.hide()
        self.show_connection(None)
        self.show_queued(0)
        bridge.attached.connect(self._start)
        bridge.connection_changed.connect(self.show_connection)
        bridge.outbox_changed.connect(self.show_queued)
        bridge.storage_changed.connect(self.show_storage)

    def show_connection(self, view: ConnectionView | None) -> None:
        """Show where the connection stands; None before there is an agent."""
        words, tone, icon = self._connection_words(view)
        self._connection.set_whole(words)
        self._connection.setIcon(icons.icon(icon, ink_token(tone)))
        self._connection.setAccessibleName(self.tr("Connection: {0}").format(words))
        self._insecure.setVisible(view is not None and view.insecure)
        if view is not None:
            lines = [words, view.relay_url, view.reason]
            if view.retry_at:
                lines.append(self.tr("Next attempt: {0}").format(exact(view.retry_at)))
            self._connection.setToolTip(tooltip("\n".join(peer_text(line) for line in lines if line)))

    def _connection_words(self, view: ConnectionView | None) -> tuple[str, Tone, str]:
        if view is None:
            return self.tr("Starting …"), Tone.NEUTRAL, "hourglass"
        relay = peer_text(view.relay_name or view.relay_url, _RELAY_LIMIT)
        match view.state:
            case ConnectionState.CONNECTED:
                trip = "" if view.round_trip_ms is None else f" · {view.round_trip_ms:.0f} ms"
                if view.degraded:
                    words = self.tr("Connected to {0}{1} · degraded").format(relay, trip)
                    return words, Tone.WARN, "alert"
                return self.tr("Connected to {0}{1}").format(relay, trip), Tone.GOOD, "dot"
            case ConnectionState.CONNECTING:
                return self.tr("Connecting to {0} …").format(relay), Tone.ACCENT, "hourglass"
            case ConnectionState.WAITING:
                return self.tr("Not connected · trying again soon"), Tone.WARN, "alert"
            case ConnectionState.STOPPED:
                return self.tr("Not connected · needs you"), Tone.BAD, "fail"
            case _:
                return self.tr("Offline"), Tone.NEUTRAL, "ban"

    def show_queued(self, queued: int) -> None:
        """Show how many messages wait."""
        words = self.tr("Nothing queued") if not queued else self.tr("{0} queued").format(queued)
        self._queue.setText(words)
        self._queue.setToolTip(self.tr("Messages that are not delivered yet"))

    def show_storage(self, problem: str) -> None:
        """Show that nothing new can be stored, and why; "" when all is well."""
        self._storage.setToolTip(tooltip(peer_text(problem)))
        self._storage.setAccessibleName(f"{self._storage.text()}. {problem}")
        self._storage.setVisible(bool(problem))

    def _start(self, snapshot: AgentSnapshot) -> None:
        store = key_store(snapshot.keyring_backend)
        self._keyring.set_whole(store)
        self._keyring.setToolTip(
            tooltip(self.tr("Where the keys of this profile are kept: {0}").format(store))
        )
        self._keyring.setVisible(bool(snapshot.keyring_backend))
        self.show_connection(snapshot.connection)
        self.show_queued(snapshot.queued)
