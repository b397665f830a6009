"""The bundled relay on the page: start, stop and invite, and below it tabs for all that a host looks at.

A relay that ended by itself is told with its last words and offered to be started again; nothing here starts it unasked.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent, QTextCursor
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPlainTextEdit, QTabBar

from agentnet_desktop.agent.display import visible
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.contacts.my_link import LinkCard
from agentnet_desktop.ui.hosting.address_view import AddressView
from agentnet_desktop.ui.hosting.closing import ServiceDialog, service_recipe
from agentnet_desktop.ui.hosting.ending import EndKind
from agentnet_desktop.ui.hosting.guests_view import GuestsView
from agentnet_desktop.ui.hosting.keep_view import KeepView
from agentnet_desktop.ui.hosting.plan import pin_of
from agentnet_desktop.ui.hosting.relay_process import RelayProcess, RelayState
from agentnet_desktop.ui.hosting.traffic_view import TrafficView
from agentnet_desktop.ui.hosting.watch import RelayWatch
from agentnet_desktop.ui.preferences import DEFAULT_RELAY_PORT, Preferences
from agentnet_desktop.ui.theme.tokens import SPACE_XS, Tone
from agentnet_desktop.ui.trust import Mark
from agentnet_desktop.ui.widgets.labels import Badge, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, SnugStack, button, row

_LINE_LIMIT = 400
_LOG_LINES = 500
_LOG_HEIGHT = 220
_PIN_GROUP = 4


def state_mark(state: RelayState, *, failed: bool = False) -> Mark:
    """Give the mark of the bundled relay's state.

    Args:
        state: Where the child stands.
        failed: It ended without having been asked to.
    """
    if failed and state is RelayState.STOPPED:
        return Mark(text.tr("Ended by itself"), "fail", Tone.BAD)
    marks = {
        RelayState.STOPPED: Mark(text.tr("Stopped"), "stop", Tone.NEUTRAL),
        RelayState.STARTING: Mark(text.tr("Starting"), "hourglass", Tone.ACCENT),
        RelayState.RUNNING: Mark(text.tr("Running"), "check-circle", Tone.GOOD),
        RelayState.STOPPING: Mark(text.tr("Stopping"), "hourglass", Tone.WARN),
    }
    return marks[state]


class HostCard(Card):
    """The relay on this machine."""

    address_changed = Signal()

    def __init__(self, bridge: Bridge, relay: RelayProcess, preferences: Preferences) -> None:
        super().__init__()
        self._bridge = bridge
        self._relay = relay
        self._preferences = preferences
        self.watch = RelayWatch(relay, self)
        self._make_acts()
        self._make_invite()
        self._make_tabs()
        self._words = Label(
            self.tr(
                "It is a part of this window: it starts and ends with it, and nothing is kept of what it passes on."
            ),
            "muted",
            wrap=True,
        )
        self.add(
            row(Label(self.tr("A relay on this machine"), "heading"), self._state, None, self.service_button,
                self.start_button, self.stop_button),
            self._words, self._address, self.notice, self._invite_line, self.invite, self._pin, SPACE_XS,
            self.tabs, self.stack,
        )  # fmt: skip
        relay.state_changed.connect(lambda _state: self._render())
        relay.wrote.connect(self._write)
        relay.failed.connect(self._failed)
        self.address.saved.connect(self.invite.hide)
        self.address.saved.connect(self._pin.hide)
        self.address.saved.connect(self.address_changed)
        self._render()

    def _make_acts(self) -> None:
        self._state = Badge()
        self._address = Label(role="mono", selectable=True, wrap=True)
        self.start_button = button(
            self.tr("Start relay"), kind="primary", icon="power", name="relay-start", clicked=self.start
        )
        self.stop_button = button(
            self.tr("Stop relay"), kind="danger", icon="stop", name="relay-stop", clicked=self.stop
        )
        self.service_button = button(
            self.tr("Without this window …"), kind="flat", name="relay-service", clicked=self.show_service
        )
        self.notice = Notice()
        self.again_button = button(self.tr("Start again"), name="relay-again", clicked=self.start)
        self.port_button = button(
            self.tr("Choose another port"), name="relay-other-port", clicked=self._other_port
        )
        for made in (self.port_button, self.again_button):
            self.notice.add_action(made)

    def _make_invite(self) -> None:
        self.life = QComboBox()
        self.life.setAccessibleName(self.tr("How long the invite works"))
        for days in (1, 7, 30):
            words = self.tr("for 1 day") if days == 1 else self.tr("for {0} days").format(days)
            self.life.addItem(words, f"{days}d")
        self.invite_button = button(
            self.tr("Invite someone"), icon="link", name="relay-invite", clicked=self._ask_invite
        )
        self._invite_line: QHBoxLayout = row(self.invite_button, self.life, None)
        self.invite = LinkCard(
            self.tr("One guest can join your relay with this link. It names the relay, not you.")
        )
        self.invite.hide()
        self._pin = Label(role="small", wrap=True, selectable=True)
        self._pin.hide()

    def _make_tabs(self) -> None:
        self.traffic = TrafficView(self.watch)
        self.guests = GuestsView(self._bridge, self._relay, self.watch)
        self.address = AddressView(self._bridge, self._relay, self._preferences)
        self.keep = KeepView(self._bridge, self._relay)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setProperty("code", "true")
        self.log.setMaximumBlockCount(_LOG_LINES)
        self.log.setFixedHeight(_LOG_HEIGHT)
        self.log.setTabChangesFocus(True)
        self.log.setAccessibleName(self.tr("The relay's log"))
        self.log.setPlaceholderText(self.tr("The relay has written nothing yet."))
        self._pages = (self.traffic, self.guests, self.address, self.keep, self.log)
        self.stack = SnugStack(*self._pages)
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setAccessibleName(self.tr("The relay's traffic, guests, address, limits and log"))
        for words in (self.tr("Traffic"), self.tr("Guests"), self.tr("Address"), self.tr("Limits and data"),
                      self.tr("Log")):  # fmt: skip
            self.tabs.addTab(words)
        self.tabs.currentChanged.connect(self._show_tab)

    # ------------------------------------------------------------------------------- life

    def start(self) -> None:
        """Start the relay with the saved settings, now and with each window from now on."""
        self.notice.show_notice("", Tone.NEUTRAL)
        self._preferences.host_relay = True
        self._relay.start(port=self._preferences.relay_port, name=self._preferences.relay_name)

    def stop(self) -> None:
        """Stop the relay, and start it no more by itself."""
        self._preferences.host_relay = False
        self._relay.stop()

    def show_service(self) -> ServiceDialog:
        """Show how the relay goes on without the window."""
        # Links need a port that stays: where any free one was wanted, the one in use is kept.
        port = self._preferences.relay_port or urlsplit(self._relay.address).port or DEFAULT_RELAY_PORT
        lines = service_recipe(self._relay, port=port, name=self._preferences.relay_name)
        dialog = ServiceDialog(self, lines)
        dialog.stop.setEnabled(self._relay.state is RelayState.RUNNING)
        dialog.stop_wanted.connect(self.stop)
        dialog.open()
        return dialog

    def _other_port(self) -> None:
        self.tabs.setCurrentIndex(self._pages.index(self.address))
        self.address.port.setFocus()
        self.address.port.selectAll()

    def _failed(self, sentence: str) -> None:
        end = self._relay.ending
        self.port_button.setVisible(end is not None and end.kind is EndKind.PORT_TAKEN)
        self.again_button.setVisible(True)
        self.notice.show_notice(sentence, Tone.BAD)

    # ------------------------------------------------------------------------------- invites

    def _ask_invite(self) -> None:
        self.invite_button.setEnabled(False)
        life = str(self.life.currentData())
        self._bridge.work(
            lambda: self._relay.invite("--expires", life),
            name="make an invite link",
            owner=self,
            done=self._invited,
            failed=self._not_invited,
        )

    def _invited(self, link: str) -> None:
        self.invite.show_link(link)
        self.invite.show()
        pin = pin_of(link)
        groups = " ".join(text.groups(pin, _PIN_GROUP))
        self._pin.setText(self.tr("The pin of the relay's certificate, in the link too: {0}").format(groups))
        self._pin.setVisible(bool(pin))
        self._render()
        if self.guests.isVisible():
            self.guests.load()

    def _not_invited(self, sentence: str) -> None:
        for made in (self.port_button, self.again_button):
            made.hide()
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)
        self._render()

    # ------------------------------------------------------------------------------- what is shown

    def _render(self) -> None:
        state = self._relay.state
        self._state.set_mark(state_mark(state, failed=self._relay.ending is not None))
        running = state is RelayState.RUNNING
        public = self.address.public()
        words = self.tr("{0}  ·  guests use {1}").format(self._relay.address, public)
        self._address.setText(words if public else self._relay.address)
        self._address.setVisible(running)
        self.start_button.setVisible(state in (RelayState.STOPPED, RelayState.STARTING))
        self.start_button.setEnabled(state is RelayState.STOPPED)
        self.stop_button.setVisible(state in (RelayState.RUNNING, RelayState.STOPPING))
        self.stop_button.setEnabled(running)
        for made in (self.invite_button, self.life):
            made.setVisible(running)
            made.setEnabled(running)
        if not running:
            self.invite.hide()
            self._pin.hide()
        if state in (RelayState.STARTING, RelayState.RUNNING):
            self.notice.show_notice("", Tone.NEUTRAL)

    def _write(self, line: str) -> None:
        bar = self.log.verticalScrollBar()
        follows = bar.value() >= bar.maximum() - 1
        self.log.appendPlainText(visible(line, _LINE_LIMIT))
        if follows:
            self.log.moveCursor(QTextCursor.MoveOperation.End)

    def _show_tab(self, index: int) -> None:
        self.stack.show_page(self._pages[index])
        self.look()

    def look(self) -> None:
        """Read anew what the tab in sight shows."""
        if self.guests.isVisible() and self._relay.data_dir.is_dir():
            self.guests.load()
        elif self.keep.isVisible():
            self.keep.load()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()
        self.watch.ask()
