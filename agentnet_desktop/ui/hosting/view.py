"""The page *Relay*: the connection of this agent, and the bundled relay with its invites and log."""

from __future__ import annotations

from PySide6.QtGui import QShowEvent, QTextCursor
from PySide6.QtWidgets import QFormLayout, QPlainTextEdit, QSpinBox, QVBoxLayout, QWidget

from agentnet_desktop.agent.display import visible
from agentnet_desktop.agent.events import AgentSnapshot, ConnectionState, ConnectionView, FiguresView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.contacts.my_link import LinkCard
from agentnet_desktop.ui.health import HealthDialog, figures_line
from agentnet_desktop.ui.hosting.relay_process import RelayProcess, RelayState
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.trust import Mark
from agentnet_desktop.ui.widgets.labels import Badge, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, Page, button, inset, row, scrolled

_LINE_LIMIT = 400


def state_mark(state: RelayState) -> Mark:
    """Give the mark of the bundled relay's state."""
    marks = {
        RelayState.STOPPED: Mark(text.tr("Stopped"), "stop", Tone.NEUTRAL),
        RelayState.STARTING: Mark(text.tr("Starting"), "hourglass", Tone.ACCENT),
        RelayState.RUNNING: Mark(text.tr("Running"), "check-circle", Tone.GOOD),
        RelayState.STOPPING: Mark(text.tr("Stopping"), "hourglass", Tone.WARN),
    }
    return marks[state]


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


class RelayPage(Page):
    """Where a host looks after a relay, and everyone sees which one their agent uses."""

    def __init__(self, bridge: Bridge, relay: RelayProcess, preferences: Preferences) -> None:
        super().__init__(self.tr("Relay"), self.tr("A relay passes messages on. It cannot read them."))
        self._bridge = bridge
        self._relay = relay
        self._preferences = preferences
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, SPACE_S, 0)
        inside.setSpacing(SPACE_M)
        inside.addWidget(self._connection_card())
        inside.addWidget(self._hosting_card())
        inside.addStretch(1)
        self.body.addWidget(scrolled(content), 1)
        relay.state_changed.connect(lambda _state: self._render())
        relay.wrote.connect(self._write)
        relay.failed.connect(self._failed)
        bridge.attached.connect(self._start)
        bridge.connection_changed.connect(self._show_connection)
        self._render()

    def _connection_card(self) -> Card:
        self._connection_state = Badge(connection_mark(ConnectionState.OFFLINE))
        self._connection_facts = QFormLayout()
        self._connection_facts.setHorizontalSpacing(SPACE_L)
        self._url, self._name, self._trip, self._id = (
            Label(role="mono", selectable=True, wrap=True), Label(wrap=True), Label(), Label(role="mono", wrap=True)
        )  # fmt: skip
        for words, label in (
            (self.tr("Address"), self._url),
            (self.tr("Name"), self._name),
            (self.tr("Round trip"), self._trip),
            (self.tr("Connection"), self._id),
        ):
            self._connection_facts.addRow(Label(words, "muted"), label)
        self._figures = Label(role="muted", wrap=True)
        self._connection_facts.addRow(Label(self.tr("Measured"), "muted"), self._figures)
        self._reason = Notice()
        self.reconnect_button = button(
            self.tr("Connect now"), icon="refresh", name="relay-reconnect", clicked=self._reconnect
        )
        self.health_button = button(
            self.tr("Is everything well?"), icon="search", name="relay-health", clicked=self.open_health
        )
        head = row(
            Label(self.tr("Your agent's connection"), "heading"),
            self._connection_state,
            None,
            self.reconnect_button,
            self.health_button,
        )
        return Card(head, self._reason, self._connection_facts)

    def _hosting_card(self) -> Card:
        self._state = Badge()
        self._address = Label(role="mono", selectable=True, wrap=True)
        self.port = QSpinBox()
        self.port.setRange(0, 65535)
        inset(self.port)
        self.port.setValue(self._preferences.relay_port)
        self.port.setSpecialValueText(self.tr("any"))
        self.port.setAccessibleName(self.tr("Port"))
        self.start_button = button(
            self.tr("Start relay"),
            kind="primary",
            icon="power",
            name="relay-start",
            clicked=self._start_relay,
        )
        self.stop_button = button(
            self.tr("Stop relay"), kind="danger", icon="stop", name="relay-stop", clicked=self._stop_relay
        )
        self.invite_button = button(
            self.tr("Invite someone"), icon="link", name="relay-invite", clicked=self._make_invite
        )
        self.invite = LinkCard(
            self.tr("One guest can join your relay with this link. It names the relay, not you.")
        )
        self.invite.hide()
        self.notice = Notice()
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setProperty("code", "true")
        self.log.setMaximumBlockCount(500)
        self.log.setFixedHeight(150)
        self.log.setTabChangesFocus(True)
        self.log.setAccessibleName(self.tr("The relay's log"))
        head = row(Label(self.tr("A relay on this machine"), "heading"), self._state, None)
        self._port_words = Label(self.tr("Port"), "muted")
        acts = row(self._port_words, self.port, self.start_button, self.stop_button, None,
                   self.invite_button)  # fmt: skip
        self._log_title = Label(self.tr("Its log"), "section")
        return Card(head, self._address, acts, self.notice, self.invite, self._log_title, self.log)

    # ------------------------------------------------------------------------------- connection

    def _start(self, snapshot: AgentSnapshot) -> None:
        self._show_connection(snapshot.connection)

    def _show_connection(self, view: ConnectionView) -> None:
        self._connection_state.set_mark(connection_mark(view.state))
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

    # ------------------------------------------------------------------------------- hosting

    def _start_relay(self) -> None:
        self.notice.show_notice("", Tone.NEUTRAL)
        self._preferences.relay_port = self.port.value()
        self._preferences.host_relay = True
        self._relay.start(port=self.port.value(), name=self._preferences.relay_name)

    def _stop_relay(self) -> None:
        self._preferences.host_relay = False
        self._relay.stop()

    def _make_invite(self) -> None:
        self.invite_button.setEnabled(False)
        self._bridge.work(self._invited, name="make an invite link", owner=self)

    async def _invited(self) -> None:
        try:
            link = await self._relay.invite()
        except RuntimeError as error:
            self.notice.show_notice(text.peer_text(str(error)), Tone.BAD)
        else:
            self.invite.show_link(link)
            self.invite.show()
        finally:
            self._render()

    def _render(self) -> None:
        state = self._relay.state
        self._state.set_mark(state_mark(state))
        running = state is RelayState.RUNNING
        self._address.setText(self._relay.address if running else "")
        self._address.setVisible(running)
        self.start_button.setVisible(state in (RelayState.STOPPED, RelayState.STARTING))
        self.start_button.setEnabled(state is RelayState.STOPPED)
        self.stop_button.setVisible(state in (RelayState.RUNNING, RelayState.STOPPING))
        self.stop_button.setEnabled(running)
        for widget in (self._port_words, self.port):
            widget.setVisible(state is RelayState.STOPPED)
        self.invite_button.setVisible(running)
        self.invite_button.setEnabled(running)
        if not running:
            self.invite.hide()
        known = bool(self._relay.lines)
        self.log.setVisible(known)
        self._log_title.setVisible(known)

    def _write(self, line: str) -> None:
        self.log.appendPlainText(visible(line, _LINE_LIMIT))
        self.log.moveCursor(QTextCursor.MoveOperation.End)
        self.log.setVisible(True)
        self._log_title.setVisible(True)

    def _failed(self, sentence: str) -> None:
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)
