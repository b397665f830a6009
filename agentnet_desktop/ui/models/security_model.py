"""Security events in plain words, newest first."""

from __future__ import annotations

from PySide6.QtCore import QObject

from agentnet_desktop.agent.events import SecurityView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.views import ViewsModel
from agentnet_desktop.ui.text import peer_text

_KEPT = 500


class SecurityModel(ViewsModel[SecurityView]):
    """What happened since the window opened; the log has all of it."""

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(
            key=lambda event: str(event.seq),
            order=lambda event: -event.seq,
            words=lambda event: peer_text(event.message),
            parent=parent,
        )
        bridge.security_raised.connect(self._raised)

    def _raised(self, event: SecurityView) -> None:
        self.put(event)
        while self.rowCount() > _KEPT:
            oldest = self.views()[-1]
            self.drop(str(oldest.seq))
