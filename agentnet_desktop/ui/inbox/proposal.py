"""A proposal and its decision: one widget, in the dialog and on the inbox's right side.

The decision buttons arm 500 ms after the widget shows, and again when a new revision comes, so that a click
meant for something else decides nothing. Withdrawn, answered or expired while open, it says so and closes
its buttons. It decides nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from agentnet_desktop.agent.events import Direction, ProposalChanged, ProposalView
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.answers import DeclinePanel, SuggestPanel
from agentnet_desktop.ui.inbox.changes import ChangesCard, changes
from agentnet_desktop.ui.inbox.outcome import outcome_words
from agentnet_desktop.ui.inbox.timeline import Block
from agentnet_desktop.ui.inbox.when import WhenPanel
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel, agreed_slot, proposal_key
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import Badge, Chip, ElidedLabel, IconLabel, Label
from agentnet_desktop.ui.widgets.parts import Notice, Rule, SnugStack, button, row, scrolled

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent

ARMING_MS = 500


class ProposalWidget(QWidget):
    """One proposal, shown and decided."""

    settled = Signal()  # it no longer waits for this person
    conversation_wanted = Signal(str)  # conversationId: show it in the log

    def __init__(self, bridge: Bridge, contacts: ContactsModel, meetings: MeetingsModel) -> None:
        super().__init__()
        self._bridge = bridge
        self._contacts = contacts
        self._meetings = meetings
        self._view: ProposalView | None = None
        self._by_me = ""
        self._busy = False
        self._armed = False
        self._compared = ""  # the revision that `changes` is about
        self._build_content()
        self._build_footer()
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_M)
        inside.setSpacing(SPACE_M)
        for item in self._content:
            inside.addWidget(item)
        inside.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(scrolled(content), 1)
        layout.addWidget(Rule())
        layout.addWidget(self._footer)
        self._arming = QTimer(self)
        self._arming.setSingleShot(True)
        self._arming.setInterval(ARMING_MS)
        self._arming.timeout.connect(self._arm)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._tick)
        bridge.proposal_changed.connect(self._changed)

    # ------------------------------------------------------------------------------- building

    def _build_content(self) -> None:
        self.title = Label(role="title", wrap=True, selectable=True)
        self._from_words = Label(role="muted")
        self.peer = ElidedLabel(role="strong", snug=True)
        self._badge = Badge()
        self._revision = Chip()
        self._state = Badge()
        origin = QWidget()
        origin.setLayout(row(self._from_words, self.peer, self._badge, self._revision, None, self._state))
        self.warning = Notice()
        self.changes = ChangesCard()
        self.when = WhenPanel(self._my_blocks)
        self.when.alternative_chosen.connect(lambda _number: self._start_arming())
        self._place = Label(wrap=True, selectable=True)
        self._place_row = QWidget()
        place_layout = row(IconLabel("place", "muted", 18), self._place)
        place_layout.setStretch(1, 1)
        self._place_row.setLayout(place_layout)
        self.description = Label(wrap=True, selectable=True)
        self._content = [
            self.title, origin, self.warning, self.changes, Rule(), self.when, self._place_row, self.description
        ]  # fmt: skip

    def _build_footer(self) -> None:
        self.expiry = Label(role="muted")
        self.error = Notice()
        self.accept_button = button(
            self.tr("&Accept"), kind="primary", icon="check", name="proposal-accept", clicked=self._accept
        )
        self.suggest_button = button(
            self.tr("&Suggest another time"), icon="clock", name="proposal-suggest", clicked=self._suggest
        )
        self.decline_button = button(
            self.tr("&Decline …"), kind="danger", icon="close", name="proposal-decline", clicked=self._decline
        )
        self.log_button = button(self.tr("Show in log"), kind="flat", icon="log", clicked=self._show_in_log)
        self.undo_button = button(self.tr("Undo"), icon="undo", name="proposal-undo", clicked=self._cancel)
        self.outcome = Notice()
        decide = QWidget()
        decide.setLayout(row(self.decline_button, None, self.suggest_button, self.accept_button))
        self.suggest_panel = SuggestPanel()
        self.decline_panel = DeclinePanel()
        done = QWidget()
        done_layout = row(self.outcome, self.undo_button)
        done_layout.setStretch(0, 1)
        done.setLayout(done_layout)
        self._decide, self._done = decide, done
        self._stack = SnugStack(decide, self.suggest_panel, self.decline_panel, done)
        self._footer = QWidget()
        layout = QVBoxLayout(self._footer)
        layout.setContentsMargins(SPACE_L, SPACE_S, SPACE_L, SPACE_M)
        layout.setSpacing(SPACE_S)
        self._expiry_icon = IconLabel("hourglass", "muted", 16)
        layout.addLayout(row(self._expiry_icon, self.expiry, None, self.log_button))
        layout.addWidget(self.error)
        layout.addWidget(self._stack)
        self.suggest_panel.left.connect(self._back)
        self.suggest_panel.changed.connect(self.when.show_slot)
        self.suggest_panel.suggested.connect(self._send_suggestion)
        self.decline_panel.left.connect(self._back)
        self.decline_panel.declined.connect(self._send_decline)

    # ------------------------------------------------------------------------------- showing

    @property
    def view(self) -> ProposalView | None:
        """The proposal that is shown."""
        return self._view

    @property
    def waits(self) -> bool:
        """Whether it waits for this person."""
        view = self._view
        return view is not None and view.direction is Direction.IN and view.state == "PENDING"

    def show_proposal(self, view: ProposalView) -> None:
        """Show a proposal; a different one, or another revision, arms anew."""
        known = self._view
        same = known is not None and proposal_key(known) == proposal_key(view)
        fresh = not same or (known is not None and known.revision != view.revision)
        if not same:
            self._by_me = ""
            self.error.show_notice("", Tone.NEUTRAL)
        self._view = view
        if fresh:
            self._stack.show_page(self._decide)
            self._start_arming()
        self._render(view)

    def _render(self, view: ProposalView) -> None:
        self.title.setText(text.peer_text(view.title, text.TITLE_LIMIT))
        self._from_words.setText(self.tr("From") if view.direction is Direction.IN else self.tr("To"))
        self.peer.set_whole(self._contacts.name_of(view.peer))
        self._badge.set_mark(trust.contact_mark(view.peer_state or self._contacts.state_of(view.peer)))
        self._revision.setVisible(view.revision > 1)
        self._revision.set_chip(self.tr("Revision {0}").format(view.revision), Tone.ACCENT)
        self._state.set_mark(trust.proposal_mark(view.state))
        self._state.setVisible(not self.waits)
        changed_key = self._contacts.state_of(view.peer) == "KEY_CHANGED"
        self.warning.show_notice(
            self.tr("Another key speaks for this contact. Settle that first, under Contacts.")
            if changed_key
            else "",
            Tone.BAD,
        )
        self.when.show_when(view, choosing=self.waits)
        place = " · ".join(
            text.peer_text(part, text.TITLE_LIMIT) for part in (view.location, view.address) if part
        )
        self._place.setText(place)
        self._place_row.setVisible(bool(place))
        self.description.setText(text.peer_text(view.description, text.DESCRIPTION_LIMIT, multiline=True))
        self.description.setVisible(bool(view.description))
        self._compare(view)
        self._render_footer(view)
        self.setAccessibleName(self.title.text())

    def _compare(self, view: ProposalView) -> None:
        """Show what a later revision changed."""
        if view.ref == self._compared:
            return
        self._compared = view.ref
        self.changes.hide()
        if view.revision < 2:
            return
        before = f"{view.peer}/{view.proposal_id}/{view.revision - 1}"

        def done(old: ProposalView) -> None:
            if self._compared == view.ref:
                self.changes.show_changes(changes(old, view))

        def failed(_sentence: str) -> None:
            if self._compared == view.ref:
                self.changes.show_unknown()

        self._bridge.command(
            lambda agent: agent.proposal(before),
            name="read the revision before",
            owner=self,
            done=done,
            failed=failed,
        )

    def _render_footer(self, view: ProposalView) -> None:
        words, tone = outcome_words(view, self._contacts.name_of(view.peer), by_me=self._by_me)
        if not self.waits:
            self._stack.show_page(self._done)
        elif self._stack.current() is self._done:
            self._stack.show_page(self._decide)
        self.outcome.show_notice(words, tone)
        withdrawable = view.state == "ACCEPTED" or (
            view.state == "PENDING" and view.direction is Direction.OUT
        )
        self.undo_button.setVisible(withdrawable)
        if view.state == "PENDING":
            self.undo_button.setText(self.tr("Take it back"))
        elif self._by_me == "accepted":
            self.undo_button.setText(self.tr("Undo"))
        else:
            self.undo_button.setText(self.tr("Cancel the meeting"))
        self._update_buttons()
        self._tick()

    def _my_blocks(self, shown: ProposalView) -> Sequence[Block]:
        blocks = []
        for other in self._meetings.views():
            held = other.state == "PENDING" and other.direction is Direction.OUT
            if proposal_key(other) != proposal_key(shown) and (other.state == "ACCEPTED" or held):
                title = text.peer_text(other.title, text.NAME_LIMIT)
                blocks.append(Block(*agreed_slot(other), title, tentative=held))
        return blocks

    # ------------------------------------------------------------------------------- arming and time

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._clock.start()
        self._start_arming()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._clock.stop()
        self._arming.stop()
        self._armed = False
        self._update_buttons()

    def _start_arming(self) -> None:
        self._armed = False
        self._update_buttons()
        if self.isVisible():
            self._arming.start()

    def _arm(self) -> None:
        self._armed = True
        self._update_buttons()

    def _update_buttons(self) -> None:
        ready = self._armed and not self._busy and self.waits and not self._over()
        for made in (self.accept_button, self.suggest_button, self.decline_button):
            made.setEnabled(ready)
        self.undo_button.setEnabled(not self._busy)

    def _over(self) -> bool:
        view = self._view
        return view is not None and view.expires_at is not None and view.expires_at <= text.now_ms()

    def _tick(self) -> None:
        view = self._view
        if view is None or view.expires_at is None or view.state != "PENDING":
            self.expiry.setText("")
            self._expiry_icon.hide()
            return
        self._expiry_icon.show()
        left = view.expires_at - text.now_ms()
        self.expiry.setToolTip(text.exact(view.expires_at))
        if left > 0:
            words = self.tr("Answer within {0}") if self.waits else self.tr("They may answer for another {0}")
            self.expiry.setText(words.format(text.duration(left)))
        else:
            self.expiry.setText(self.tr("The time to answer is over"))
            self._update_buttons()

    # ------------------------------------------------------------------------------- deciding

    def _accept(self) -> None:
        number = self.when.chosen()
        self._send("accepted", lambda agent, ref: agent.accept(ref, alternative=number))

    def _send_decline(self, reason: str, note: str) -> None:
        self._send("declined", lambda agent, ref: agent.decline(ref, reason=reason, note=note))

    def _send_suggestion(self, start: str, end: str) -> None:
        self._send("suggested", lambda agent, ref: agent.counter(ref, start=start, end=end))

    def _cancel(self) -> None:
        self._send("cancelled", lambda agent, ref: agent.cancel(ref))

    def _send(self, act: str, make: Callable[[Agent, str], Coroutine[Any, Any, ProposalView]]) -> None:
        view = self._view
        if view is None or self._busy:
            return
        self._busy = True
        self._update_buttons()
        self.error.show_notice("", Tone.NEUTRAL)
        before = self._by_me
        self._by_me = act

        def done(answered: ProposalView) -> None:
            self._busy = False
            self._take(answered)

        def failed(sentence: str) -> None:
            self._busy = False
            self._by_me = before
            self.error.show_notice(sentence, Tone.BAD)
            self._update_buttons()

        ref = view.ref
        self._bridge.command(
            lambda agent: make(agent, ref), name=f"proposal {act}", owner=self, done=done, failed=failed
        )

    def _take(self, view: ProposalView) -> None:
        """Show a newer state of the shown proposal, and say so when it no longer waits."""
        known = self._view
        if known is None or proposal_key(known) != proposal_key(view) or view.revision < known.revision:
            return
        waited = self.waits
        newer = view.revision > known.revision
        self._view = view
        if newer and self.waits:
            self._by_me = ""
            self._stack.show_page(self._decide)
            self.error.show_notice(
                self.tr("They changed it while it was open. Please look again."), Tone.WARN
            )
            self._start_arming()
        self._render(view)
        if waited and not self.waits:
            self.settled.emit()

    def _changed(self, event: ProposalChanged) -> None:
        self._take(event.view)

    def _suggest(self) -> None:
        if self._view is not None:
            self._stack.show_page(self.suggest_panel)
            self.suggest_panel.start(self._view)

    def _decline(self) -> None:
        self._stack.show_page(self.decline_panel)
        self.decline_panel.start()

    def _back(self) -> None:
        self._stack.show_page(self._decide)
        if self._view is not None:
            self.when.show_when(self._view, choosing=self.waits)
        self.accept_button.setFocus()

    def _show_in_log(self) -> None:
        if self._view is not None:
            self.conversation_wanted.emit(self._view.conversation_id)
