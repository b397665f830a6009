"""Security events in plain words, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from agentnet_desktop.agent.events import SecurityView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.views import ViewsModel
from agentnet_desktop.ui.text import peer_text

_KEPT = 500


class SecurityModel(ViewsModel[SecurityView]):
    """The newest events that the log holds, and those that come."""

    unseen_changed = Signal()

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(
            key=lambda event: str(event.seq),
            order=lambda event: -event.seq,
            words=lambda event: peer_text(event.message),
            parent=parent,
        )
        self._bridge = bridge
        self._unseen = 0
        bridge.attached.connect(self._start)
        bridge.security_raised.connect(self._raised)

    def _start(self, _snapshot: object) -> None:
        if self._bridge.agent is None:
            return
        self._bridge.command(
            lambda agent: agent.log.security(_KEPT), name="read security events", owner=self, done=self._read
        )

    def _read(self, events: Sequence[SecurityView]) -> None:
        known = {event.seq: event for event in (*self.views(), *events)}
        self.replace_all(known.values())

    @property
    def unseen(self) -> int:
        """How many came since the person last looked."""
        return self._unseen

    def mark_seen(self) -> None:
        """Note that the person looks at them."""
        self._unseen = 0
        self.unseen_changed.emit()

    def _raised(self, event: SecurityView) -> None:
        self.put(event)
        self._unseen += 1
        self.unseen_changed.emit()
        while self.rowCount() > _KEPT:
            oldest = self.views()[-1]
            self.drop(str(oldest.seq))
