"""Watches the running relay for the window: its metrics every two seconds, and presence from its log.

Asks only the loopback address that the child itself printed, without a proxy. It stores nothing and judges nothing.
"""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, QTimer, QUrl, Signal
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkProxy, QNetworkReply, QNetworkRequest

from agentnet_desktop.ui import text
from agentnet_desktop.ui.hosting.figures import History, NotMetrics, read_metrics
from agentnet_desktop.ui.hosting.guests import Presence
from agentnet_desktop.ui.hosting.relay_process import RelayProcess, RelayState

_EVERY_MS = 2000
_PATIENCE_MS = 4000


class RelayWatch(QObject):
    """The traffic and the guests of one relay."""

    measured = Signal()  # `history` has a new point, or was emptied
    presence_changed = Signal()

    def __init__(self, relay: RelayProcess, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._relay = relay
        self.history = History()
        self.presence = Presence()
        self._net: QNetworkAccessManager | None = None
        self._asked: QNetworkReply | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self.ask)
        relay.state_changed.connect(self._follow)
        relay.wrote.connect(self._read)
        if relay.state is RelayState.RUNNING:
            self._follow()

    def _follow(self) -> None:
        running = self._relay.state is RelayState.RUNNING
        if running and not self._timer.isActive():
            self._timer.start()
        elif not running:
            self._timer.stop()
            if self._relay.state is RelayState.STOPPED:
                self.history.clear()
                self.presence.clear(text.now_ms())
                self.measured.emit()
                self.presence_changed.emit()

    def _read(self, line: str) -> None:
        if self.presence.read(line, text.now_ms()):
            self.presence_changed.emit()

    def ask(self) -> None:
        """Read the metrics now, unless an answer is still awaited."""
        if self._asked is not None or not self._relay.metrics:
            return
        if self._net is None:
            self._net = QNetworkAccessManager(self)
            self._net.setProxy(QNetworkProxy(QNetworkProxy.ProxyType.NoProxy))
        request = QNetworkRequest(QUrl(f"{self._relay.metrics}/metrics"))
        request.setTransferTimeout(_PATIENCE_MS)
        self._asked = self._net.get(request)
        self._asked.finished.connect(self._answered)

    def _answered(self) -> None:
        reply, self._asked = self._asked, None
        if reply is None:
            return
        page = bytes(reply.readAll().data()).decode("utf-8", "replace")
        failed = reply.error() is not QNetworkReply.NetworkError.NoError
        reply.deleteLater()
        if failed or self._relay.state is not RelayState.RUNNING:
            return  # the next one, or the relay's own end, tells
        try:
            self.history.add(time.monotonic(), read_metrics(page))
        except NotMetrics:
            self.history.clear()
        self.measured.emit()
