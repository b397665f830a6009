"""Who can reach the relay, by which address and with whose certificate; and a test of that address.

The choice is judged in `plan.py` and by the relay's own `check`; the test is `reach.probe`, on a thread.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtNetwork import QNetworkInterface
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QSpinBox, QWidget

from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.hosting import settings_file
from agentnet_desktop.ui.hosting.plan import (
    BadAddress,
    Plan,
    Reach,
    home_address,
    is_local_address,
    merged,
    plan_of,
    public_origin,
)
from agentnet_desktop.ui.hosting.reach import Probe, probe
from agentnet_desktop.ui.hosting.relay_process import RelayFault, RelayProcess, RelayState
from agentnet_desktop.ui.hosting.words import address_fault, probe_verdict, reach_line
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Notice, button, column, inset, row

_CERTIFICATE = "tls-self-signed.pem"
_LONGEST_NAME = 64


def own_certificate(folder: Path) -> bytes:
    """Give the certificate that the relay made itself, DER.

    Raises:
        RelayFault: there is none, or it cannot be read.
    """
    path = folder / _CERTIFICATE
    try:
        return ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise RelayFault(text.tr("The relay has made no certificate yet: start it first.")) from None


class AddressView(QWidget):
    """The tab *Address*."""

    saved = Signal()  # the relay's settings changed
    moved = Signal()  # the own agent has stopped and is to be opened at its new address

    def __init__(self, bridge: Bridge, relay: RelayProcess, preferences: Preferences) -> None:
        super().__init__()
        self._bridge = bridge
        self._relay = relay
        self._preferences = preferences
        self._public = ""
        self.notice, self.verdict = Notice(), Notice()
        self._make_fields()
        self.save = button(self.tr("Save"), kind="primary", name="relay-save", clicked=self._save)
        self.check = button(
            self.tr("Can it be reached?"), icon="search", name="relay-check", clicked=self._check
        )
        self.follow = button(
            self.tr("Let my own agent use this address"), name="relay-follow", clicked=self._follow
        )
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.setVerticalSpacing(SPACE_M)
        self._address_words = Label(self.tr("Public address"), "muted")
        for words, field in (
            (Label(self.tr("Name"), "muted"), self.name),
            (Label(self.tr("Port"), "muted"), self.port),
            (Label(self.tr("Open to"), "muted"), self.reach),
            (Label(""), self.line),
            (self._address_words, self.address),
            (Label(""), self.self_signed),
        ):
            form.addRow(words, field)
        self.setLayout(
            column(
                form,
                self.problem,
                row(self.save, self.check, self.follow, None),
                self.notice,
                self.verdict,
                spacing=SPACE_M,
            )
        )
        relay.state_changed.connect(lambda _state: self._render())
        bridge.attached.connect(lambda _snapshot: self._render())
        self.load()

    def _make_fields(self) -> None:
        self.name = QLineEdit()
        self.name.setMaxLength(_LONGEST_NAME)
        self.name.setObjectName("relay-name")
        self.name.setAccessibleName(self.tr("The relay's name, as guests see it"))
        self.port = QSpinBox()
        self.port.setRange(0, 65535)
        inset(self.port)
        self.port.setSpecialValueText(self.tr("any"))
        self.port.setAccessibleName(self.tr("Port"))
        self.port.setMaximumWidth(120)
        self.reach = QComboBox()
        self.reach.setObjectName("relay-reach")
        self.reach.setAccessibleName(self.tr("Who can reach the relay"))
        for choice, words in (
            (Reach.MACHINE, self.tr("This machine only")),
            (Reach.NETWORK, self.tr("My home network, without a certificate authority")),
            (Reach.PROXY, self.tr("The internet, through a proxy with a certificate")),
        ):
            self.reach.addItem(words, choice.value)
        self.line = Label("", "small", wrap=True)
        self.address = QLineEdit()
        self.address.setObjectName("relay-address")
        self.address.setAccessibleName(self.tr("Public address"))
        self.self_signed = QCheckBox(
            self.tr("Encrypt with a certificate made here; invite links carry its pin")
        )
        self.self_signed.setObjectName("relay-self-signed")
        self.problem = Notice()
        self.name.textChanged.connect(self._render)
        self.port.valueChanged.connect(self._render)
        self.reach.currentIndexChanged.connect(self._choose)
        self.address.textChanged.connect(self._render)
        self.self_signed.toggled.connect(self._render)

    # ------------------------------------------------------------------------------- the plan

    def plan(self) -> Plan:
        """Give what is chosen at this moment."""
        return Plan(
            port=self.port.value(),
            name=self.name.text().strip(),
            reach=Reach(str(self.reach.currentData())),
            address=self.address.text(),
            self_signed=self.self_signed.isChecked(),
        )

    def public(self) -> str:
        """Give the address that links name, as saved; "" where it is this machine only, or not known."""
        return self._public

    def load(self) -> None:
        """Show what stands in the relay's settings."""
        try:
            known = plan_of(settings_file.read(self._relay.data_dir))
        except settings_file.SettingsFault as error:
            self.notice.show_notice(text.peer_text(str(error)), Tone.BAD)
            known = plan_of({})
        self._public = known.address
        self.name.setText(self._preferences.relay_name)
        self.port.setValue(self._preferences.relay_port)
        self.self_signed.setChecked(known.self_signed)
        self.address.setText(known.address)
        self.reach.setCurrentIndex(self.reach.findData(known.reach.value))
        self._render()

    def _choose(self) -> None:
        if self.plan().reach is Reach.NETWORK and not self.address.text():
            here = [address.toString() for address in QNetworkInterface.allAddresses()]
            self.address.setText(home_address(here))
        self._render()

    def _problem(self, plan: Plan) -> str:
        if not plan.name:
            return self.tr("Give the relay a name; guests see it.")
        try:
            public_origin(plan)
        except BadAddress as error:
            return address_fault(error.fault)
        return ""

    def _render(self) -> None:
        plan = self.plan()
        public = plan.reach is not Reach.MACHINE
        wrong = self._problem(plan)
        self.line.setText(reach_line(plan.reach))
        self.address.setVisible(public)
        self._address_words.setVisible(public)
        self.self_signed.setVisible(plan.reach is Reach.NETWORK)
        self.address.setPlaceholderText("relay.example.org" if plan.reach is Reach.PROXY else "192.168.1.10")
        self.problem.show_notice(wrong or self._warning(plan), Tone.WARN)
        stopped = self._relay.state is RelayState.STOPPED
        self.save.setText(self.tr("Save") if stopped else self.tr("Save and restart the relay"))
        self.save.setEnabled(not wrong and self._relay.state in (RelayState.STOPPED, RelayState.RUNNING))
        self.check.setVisible(public)
        self.check.setEnabled(not wrong and self._relay.state is RelayState.RUNNING)
        running = self._relay.state is RelayState.RUNNING
        self.follow.setVisible(running and bool(self._public) and bool(self._own_local_relay()))

    def _warning(self, plan: Plan) -> str:
        if plan.reach is not Reach.MACHINE and (own := self._own_local_relay()):
            if plan.reach is Reach.NETWORK and plan.self_signed:
                words = self.tr(
                    "Your own agent uses {0}, which is not encrypted: it connects again once you let it use this address."
                )
            else:
                words = self.tr(
                    "Your own agent is at {0}, and its contact links name that: guests cannot use them until you let it "
                    "use this address."
                )
            return words.format(own)
        if plan.reach is Reach.NETWORK and not plan.self_signed:
            return self.tr(
                "Messages stay sealed, but who talks to whom can be seen on the network, and guests must allow ws://."
            )
        return ""

    def _own_local_relay(self) -> str:
        """Give the address of the own agent's relay where it means this machine; "" otherwise."""
        snapshot = self._bridge.snapshot
        url = snapshot.connection.relay_url if snapshot is not None else ""
        return text.peer_text(url, text.TITLE_LIMIT) if is_local_address(url) else ""

    # ------------------------------------------------------------------------------- saving

    def _save(self) -> None:
        plan = self.plan()
        self.save.setEnabled(False)
        self.verdict.show_notice("", Tone.NEUTRAL)
        self._bridge.work(
            lambda: self._write(plan),
            name="write the relay's settings",
            owner=self,
            done=lambda _none: self._written(plan),
            failed=self._failed,
        )

    async def _write(self, plan: Plan) -> None:
        document: dict[str, Any] = settings_file.read(self._relay.data_dir)
        await self._relay.write_settings(merged(document, plan))
        self._preferences.relay_port = plan.port
        self._preferences.relay_name = plan.name
        self._public = public_origin(plan)
        if self._relay.state is RelayState.RUNNING:
            await self._relay.stopped()
            self._relay.start(port=plan.port, name=plan.name)
            await self._relay.started()

    def _written(self, plan: Plan) -> None:
        self._render()
        told = self.tr("Saved. Links that you make from now on name {0}.").format(public_origin(plan))
        words = told if plan.reach is not Reach.MACHINE else self.tr("Saved.")
        self.notice.show_notice(words, Tone.GOOD)
        self.saved.emit()

    def _failed(self, sentence: str) -> None:
        self._render()
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)

    # ------------------------------------------------------------------------------- the own agent

    def _follow(self) -> None:
        keeper, snapshot = self._bridge.keeper, self._bridge.snapshot
        if keeper is None or snapshot is None:
            return
        plain = not self._public.startswith("wss://")

        async def follow() -> None:
            link = await self._relay.invite("--agent-id", snapshot.agent_id)
            await keeper.move(link, insecure=plain)

        self.follow.setEnabled(False)
        self._bridge.work(
            follow,
            name="move to the public address",
            owner=self,
            done=lambda _none: self._followed(),
            failed=self._not_followed,
        )

    def _followed(self) -> None:
        self.follow.setEnabled(True)
        self.moved.emit()

    def _not_followed(self, sentence: str) -> None:
        self.follow.setEnabled(True)
        self._failed(sentence)

    # ------------------------------------------------------------------------------- the test

    def _check(self) -> None:
        plan = self.plan()
        origin = public_origin(plan)
        self.check.setEnabled(False)
        self.verdict.show_notice(self.tr("Trying {0} …").format(origin), Tone.NEUTRAL)
        self._bridge.work(
            lambda: self._probe(plan, origin),
            name="try the public address",
            owner=self,
            done=lambda found: self._tell(found, origin, plan),
            failed=self._not_tried,
        )

    async def _probe(self, plan: Plan, origin: str) -> Probe:
        pinned = None
        if plan.reach is Reach.NETWORK and plan.self_signed:
            pinned = await asyncio.to_thread(own_certificate, self._relay.data_dir)
        return await asyncio.to_thread(probe, origin, pinned)

    def _tell(self, found: Probe, origin: str, plan: Plan) -> None:
        self._render()
        self.verdict.show_notice(*probe_verdict(found, origin, plan))

    def _not_tried(self, sentence: str) -> None:
        self._render()
        self.verdict.show_notice(text.peer_text(sentence), Tone.BAD)
