"""The agent's own connection on the Relay page: address, state, what was measured, and the doctor."""

from __future__ import annotations

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFormLayout

from agentnet_desktop.agent.events import AgentSnapshot, ConnectionState, ConnectionView, FiguresView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.health import HealthDialog, figures_line
from agentnet_desktop.ui.theme.tokens import SPACE_L, Tone
from agentnet_desktop.ui.trust import Mark
from agentnet_desktop.ui.widgets.labels import Badge, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, row


def connection_mark(state: ConnectionState) -> Mark:
    """Give the mark of the agent's connection."""
    marks = {
        ConnectionState.CONNECTED: Mark(text.tr("Connected"), "check-circle", Tone.GOOD),
        ConnectionState.CONNECTING: Mark(text.tr("Connecting"), "hourglass", Tone.ACCENT),
        ConnectionState.WAITING: Mark(text.tr("Waiting to try again"), "alert", Tone.WARN),
        ConnectionState.STOPPED: Mark(text.tr("Needs you"), "fail", Tone.BAD),
        ConnectionState.OFFLINE: Mark(text.tr("Offline"), "ban", Tone.NEUTRAL),
    }
    return marks[state]


class ConnectionCard(Card):
    """Which relay the agent uses, and how that goes."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._state = Badge(connection_mark(ConnectionState.OFFLINE))
        facts = QFormLayout()
        facts.setHorizontalSpacing(SPACE_L)
        self._url, self._name, self._trip, self._id = (
            Label(role="mono", selectable=True, wrap=True), Label(wrap=True), Label(), Label(role="mono", wrap=True)
        )  # fmt: skip
        self._figures = Label(role="muted", wrap=True)
        for words, label in (
            (self.tr("Address"), self._url),
            (self.tr("Name"), self._name),
            (self.tr("Round trip"), self._trip),
            (self.tr("Connection"), self._id),
            (self.tr("Measured"), self._figures),
        ):
            facts.addRow(Label(words, "muted"), label)
        self._reason = Notice()
        self.reconnect_button = button(
            self.tr("Connect now"), icon="refresh", name="relay-reconnect", clicked=self._reconnect
        )
        self.health_button = button(
            self.tr("Is everything well?"), icon="search", name="relay-health", clicked=self.open_health
        )
        title = Label(self.tr("Your agent's connection"), "heading")
        self.add(
            row(title, self._state, None, self.reconnect_button, self.health_button), self._reason, facts
        )
        bridge.attached.connect(self._start)
        bridge.connection_changed.connect(self._show_connection)

    def _start(self, snapshot: AgentSnapshot) -> None:
        self._show_connection(snapshot.connection)

    def _show_connection(self, view: ConnectionView) -> None:
        self._state.set_mark(connection_mark(view.state))
        self._url.setText(text.peer_text(view.relay_url, text.TITLE_LIMIT))
        self._name.setText(text.peer_text(view.relay_name, text.NAME_LIMIT) or "–")
        self._trip.setText("–" if view.round_trip_ms is None else f"{view.round_trip_ms:.1f} ms")
        self._id.setText(text.peer_text(view.connection_id, text.NAME_LIMIT) or "–")
        self.reconnect_button.setVisible(
            view.state not in (ConnectionState.CONNECTED, ConnectionState.CONNECTING)
        )
        tone = Tone.BAD if view.state is ConnectionState.STOPPED else Tone.WARN
        self._reason.show_notice(text.peer_text(view.reason), tone)
        if self.isVisible():
            self._read_figures()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._read_figures()

    def _read_figures(self) -> None:
        if self._bridge.agent is not None:
            self._bridge.command(
                lambda agent: agent.figures(), name="read figures", owner=self, done=self._show_figures
            )

    def _show_figures(self, figures: FiguresView) -> None:
        self._figures.setText(figures_line(figures))

    def open_health(self) -> HealthDialog:
        """Walk the doctor's checks."""
        dialog = HealthDialog(self._bridge, self)
        dialog.open()
        return dialog

    def _reconnect(self) -> None:
        if self._bridge.agent is not None:
            self._bridge.agent.reconnect_now()
