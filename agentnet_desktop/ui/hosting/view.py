"""The page *Relay*: the connection of this agent, and the bundled relay with all that its host looks after."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.hosting.closing import KeepRunning
from agentnet_desktop.ui.hosting.connection_card import ConnectionCard
from agentnet_desktop.ui.hosting.host_card import HostCard
from agentnet_desktop.ui.hosting.relay_process import RelayProcess, RelayState
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme.tokens import SPACE_M, SPACE_S
from agentnet_desktop.ui.widgets.parts import Page, scrolled


class RelayPage(Page):
    """Where a host looks after a relay, and everyone sees which one their agent uses."""

    def __init__(self, bridge: Bridge, relay: RelayProcess, preferences: Preferences) -> None:
        super().__init__(self.tr("Relay"), self.tr("A relay passes messages on. It cannot read them."))
        self._bridge = bridge
        self._relay = relay
        self.connection = ConnectionCard(bridge)
        self.host = HostCard(bridge, relay, preferences)
        self.health_button = self.connection.health_button
        self.start_button, self.stop_button = self.host.start_button, self.host.stop_button
        self.invite_button, self.invite = self.host.invite_button, self.host.invite
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, SPACE_S, 0)
        inside.setSpacing(SPACE_M)
        inside.addWidget(self.connection)
        inside.addWidget(self.host)
        inside.addStretch(1)
        self.body.addWidget(scrolled(content), 1)

    def guests(self) -> tuple[str, ...]:
        """Give who else is connected to the relay on this machine; nobody when it does not run."""
        if self._relay.state is not RelayState.RUNNING:
            return ()
        own = self._bridge.snapshot.agent_id.lower() if self._bridge.snapshot is not None else ""
        return tuple(name for name in self.host.watch.presence.connected() if name.lower() != own)

    def ask_before_quit(self, *, tray: bool) -> KeepRunning | None:
        """Ask what becomes of the relay, where guests are connected; None where there is nothing to ask.

        Args:
            tray: Whether the window can go on working out of sight.
        """
        guests = self.guests()
        if not guests:
            return None
        if (open_one := self.window().findChild(KeepRunning)) is not None:
            return open_one
        question = KeepRunning(self, guests, tray=tray)
        question.service_wanted.connect(self.host.show_service)
        question.open()
        return question
