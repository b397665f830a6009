"""The first run: collects the choices, has the profile made, and offers the first contact.

It makes nothing itself. `FirstRun` does, and the wizard shows what it says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QDialog, QProgressBar, QStackedWidget, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import ConnectionState, ConnectionView, ContactView, LinkView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.contacts.add import AddContactDialog
from agentnet_desktop.ui.contacts.my_link import LinkCard
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Chip, Label
from agentnet_desktop.ui.widgets.parts import Notice, Rule, button, row
from agentnet_desktop.ui.wizard.relay_step import Access, AccountChoice, RelayStep
from agentnet_desktop.ui.wizard.restore import Restore, RestoreDialog
from agentnet_desktop.ui.wizard.steps import CalendarStep, IdentityStep, Step


@dataclass(frozen=True, slots=True)
class FirstRunChoices:
    """What the person chose."""

    agent_id: str
    passphrase: str | None = field(repr=False)
    vault_file: bool
    invite: str | None = field(repr=False)  # None: host a relay here
    insecure: bool
    account: AccountChoice | None = None  # who signs in to Firebase
    token_file: Path | None = None  # where another program keeps a token fresh


class FirstRunFailed(Exception):
    """The profile could not be made. The text is a sentence for the person.

    Attributes:
        needs_file: There is no keyring here; a vault file with a passphrase would do.
        at_relay: What was said about the relay, or the sign-in, will not do.
    """

    def __init__(self, sentence: str, *, needs_file: bool = False, at_relay: bool = False) -> None:
        super().__init__(sentence)
        self.needs_file = needs_file
        self.at_relay = at_relay


FirstRun = Callable[[FirstRunChoices], Awaitable[None]]


_SIZE = QSize(640, 560)


class Place(IntEnum):
    """The steps in their order."""

    IDENTITY = 0
    RELAY = 1
    CALENDAR = 2
    CONTACT = 3


class ContactStep(Step):
    """My link, and the way to add theirs."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(
            self.tr("Your first contact"),
            self.tr("Give someone your link, or paste theirs. You can do this later, under Contacts."),
        )
        self._bridge = bridge
        self.link = LinkCard(self.tr("Your link, for one person"))
        self.notice = Notice()
        self.connection = Notice()
        self.add = button(self.tr("Paste their link"), icon="user-plus", name="wizard-add", clicked=self._add)
        self.body.addWidget(self.link)
        self.body.addWidget(self.connection)
        self.body.addWidget(self.notice)
        self.body.addLayout(row(self.add, None))
        self.body.addStretch(1)
        bridge.connection_changed.connect(self._show_connection)
        bridge.contact_changed.connect(lambda event: self._told(event.view))

    def start(self) -> None:
        """Make the link, now that there is an agent."""
        if self._bridge.agent is not None:
            self._show_connection(self._bridge.agent.connection)

        def made(link: LinkView) -> None:
            self.link.show_link(link.link, link.expires_at)

        self._bridge.command(
            lambda agent: agent.create_contact_link(),
            name="make the first contact link",
            owner=self,
            done=made,
            failed=lambda sentence: self.notice.show_notice(sentence, Tone.BAD),
        )

    def _show_connection(self, view: ConnectionView) -> None:
        up = view.state is ConnectionState.CONNECTED
        words = "" if up or not view.reason else text.peer_text(view.reason)
        again = self.tr("Your agent goes on trying, and what you write waits for it.")
        self.connection.show_notice(f"{words} {again}" if words else "", Tone.WARN)

    def _add(self) -> None:
        AddContactDialog(self._bridge, self).open()

    def _told(self, contact: ContactView) -> None:
        if contact.state in ("APPROVED", "VERIFIED"):
            self.notice.show_notice(self.tr("You have a contact. You are ready."), Tone.GOOD)


class Wizard(QDialog):
    """Four steps with Back and Next; finishes with a running agent, or leaves nothing."""

    completed = Signal()

    def __init__(self, bridge: Bridge, first_run: FirstRun, restore: Restore, parent: QWidget) -> None:
        super().__init__(parent)
        self._restore = restore
        self.setWindowTitle(self.tr("Welcome to AgentNet"))
        self._bridge = bridge
        self._first_run = first_run
        self.made = False
        self.identity, self.relay, self.calendar = IdentityStep(), RelayStep(), CalendarStep()
        self.contact = ContactStep(bridge)
        self.steps: list[Step] = [self.identity, self.relay, self.calendar, self.contact]
        self._stack = QStackedWidget()
        for step in self.steps:
            self._stack.addWidget(step)
            step.changed.connect(self._update)
        names = (self.tr("You"), self.tr("Relay"), self.tr("Calendar"), self.tr("First contact"))
        self._marks = [Chip(f"{number}  {name}") for number, name in enumerate(names, start=1)]
        self.notice = Notice()
        self._progress = QProgressBar()
        self._progress.setRange(0, 0)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Making your keys"))
        self._progress.hide()
        self.back = button(self.tr("Back"), name="wizard-back", clicked=self._back)
        self.next = button(self.tr("Next"), kind="primary", name="wizard-next", clicked=self._next)
        self._foot = Label(role="small")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addLayout(row(*self._marks, None))
        layout.addWidget(Rule())
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.notice)
        layout.addWidget(self._progress)
        layout.addLayout(row(self._foot, None, self.back, self.next))
        self.resize(_SIZE)
        self.identity.restore_wanted.connect(self.open_restore)
        self._update()

    def open_restore(self) -> RestoreDialog:
        """Ask for a backup; a profile that was made out of it ends the wizard."""
        dialog = RestoreDialog(self._bridge, self._restore, self)
        dialog.restored.connect(self._restored)
        dialog.open()
        return dialog

    def _restored(self) -> None:
        self.made = True
        self.completed.emit()
        self.accept()

    def place(self) -> Place:
        """Give the step that is shown."""
        return Place(self._stack.currentIndex())

    def choices(self) -> FirstRunChoices:
        """Give what is filled in so far."""
        joining, fields = self.relay.joined.isChecked(), self.relay.fields
        by_file = joining and fields.access() is Access.TOKEN_FILE
        return FirstRunChoices(
            agent_id=self.identity.agent_id.text(),
            passphrase=self.identity.passphrase.text() or None,
            vault_file=self.identity.vault_file.isChecked(),
            invite=self.relay.invite.text().strip() if joining else None,
            insecure=joining and self.relay.insecure.isChecked(),
            account=fields.account() if joining else None,
            token_file=fields.token_file.path() if by_file else None,
        )

    def reject(self) -> None:
        """Close, unless the agent is being made at this moment."""
        if self._progress.isHidden():
            super().reject()

    def _passphrase_agrees(self) -> bool:
        return self.identity.passphrase.text() == self.identity.repeated.text()

    def _update(self) -> None:
        place = self.place()
        for number, mark in enumerate(self._marks):
            done = number < place
            mark.set_chip(
                mark.text(), Tone.ACCENT if number == place else Tone.GOOD if done else Tone.NEUTRAL
            )
        complete = self.steps[place].complete()
        if place is Place.IDENTITY:
            complete = complete and self._passphrase_agrees()
        busy = not self._progress.isHidden()
        self.next.setEnabled(complete and not busy)
        self.back.setVisible(0 < place < Place.CONTACT)
        self.back.setEnabled(not busy)
        words = {Place.CALENDAR: self.tr("Make my agent"), Place.CONTACT: self.tr("Finish")}
        self.next.setText(words.get(place, self.tr("Next")))

    def _go(self, place: int) -> None:
        self._stack.setCurrentIndex(place)
        self.notice.show_notice("", Tone.NEUTRAL)
        self._update()
        self.next.setFocus() if place == Place.CALENDAR else self.steps[place].setFocus()

    def _back(self) -> None:
        self._go(self.place() - 1)

    def _next(self) -> None:
        if self.place() is Place.CONTACT:
            self.accept()
        elif self.place() is Place.CALENDAR:
            self._bridge.work(self._make, name="make the profile", owner=self)
        else:
            self._go(self.place() + 1)

    async def _make(self) -> None:
        self._progress.show()
        self._update()
        try:
            await self._first_run(self.choices())
        except FirstRunFailed as failure:
            self._progress.hide()
            if failure.needs_file:
                self._go(Place.IDENTITY)
                self.identity.vault_file.setChecked(True)
            elif failure.at_relay:
                self._go(Place.RELAY)
            self._update()
            self.notice.show_notice(text.peer_text(str(failure)), Tone.BAD)
            return
        except BaseException:
            self._progress.hide()
            self._update()
            self.notice.show_notice(
                self.tr("Something went wrong inside; nothing was made. Try again."), Tone.BAD
            )
            raise
        self._progress.hide()
        self.relay.fields.password.clear()
        self.made = True
        self._go(Place.CONTACT)
        self.contact.start()
        self.completed.emit()
