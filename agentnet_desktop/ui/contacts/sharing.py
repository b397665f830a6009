"""What a contact may learn: one choice for each type of query, read from the agent and set there.

It decides nothing and answers nothing: `agent.policy` says what each choice means. What was not chosen for just
this contact is marked so.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QGridLayout

from agentnet_desktop.agent.schedule_views import PolicyView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import ElidedLabel, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice

_ANSWER = "slots"  # for other types than AVAILABILITY: the last three levels are one


def kinds() -> dict[str, str]:
    """Give the types of query, as a person words them."""
    return {
        "AVAILABILITY": tr("Free times"),
        "LOCATION_PREFERENCE": tr("Preferred places"),
        "MEETING_TYPE_PREFERENCE": tr("Kinds of meeting"),
        "CUSTOM": tr("Other questions"),
    }


def levels(query_type: str) -> dict[str, str]:
    """Give what can be chosen for one type of query, the least first, as a person words it."""
    least = {"deny": tr("Nothing"), "ask": tr("Ask me each time")}
    if query_type != "AVAILABILITY":
        return {**least, _ANSWER: tr("Answer")}
    return {
        **least,
        "coarse": tr("Free half-days"),
        "slots": tr("Exact free times"),
        "busy": tr("Also what is taken"),
    }


class Choice(QComboBox):
    """What may be learnt by one type of query; turning the wheel scrolls the page and chooses nothing."""

    def __init__(self, query_type: str, words: str) -> None:
        super().__init__()
        self.setObjectName(f"sharing-{query_type}")
        self.setAccessibleName(words)
        for level, shown in levels(query_type).items():
            self.addItem(shown, level)

    def show_level(self, level: str) -> None:
        """Show what is in force."""
        place = self.findData(level)
        self.setCurrentIndex(place if place >= 0 else self.findData(_ANSWER))

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class SharingCard(Card):
    """What one contact may learn without asking the person."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._peer = ""
        self.choices: dict[str, Choice] = {}
        self.marks: dict[str, ElidedLabel] = {}
        self.notice = Notice()
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACE_L)
        grid.setVerticalSpacing(SPACE_S)
        grid.setColumnStretch(2, 1)
        for place, (query_type, words) in enumerate(kinds().items()):
            choice = Choice(query_type, words)
            choice.activated.connect(lambda _place, asked=query_type: self._choose(asked))
            self.choices[query_type] = choice
            self.marks[query_type] = ElidedLabel(role="small")
            grid.addWidget(Label(words), place, 0)
            grid.addWidget(choice, place, 1)
            grid.addWidget(self.marks[query_type], place, 2, Qt.AlignmentFlag.AlignVCenter)
        self.add(
            Label(self.tr("What this contact may learn"), "section"),
            Label(self.tr("What your agent tells theirs when it asks."), "muted", wrap=True),
            grid,
            self.notice,
        )
        bridge.permission_changed.connect(lambda _event: self.refresh())

    def show_peer(self, peer: str) -> None:
        """Show what one contact may learn; until it is read, nothing can be chosen."""
        if peer != self._peer:
            self._peer = peer
            self.notice.show_notice("", Tone.NEUTRAL)
            self._clear()
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Read it anew, if it is in sight."""
        if self._bridge.agent is None or not self._peer or not self.isVisible():
            return
        self._bridge.command(
            lambda agent: agent.policy(),
            name="read what contacts may learn",
            owner=self,
            done=self._show,
            failed=lambda sentence: self.notice.show_notice(sentence, Tone.BAD),
        )

    def _show(self, rules: Sequence[PolicyView]) -> None:
        for rule in rules:
            if rule.peer == self._peer and rule.query_type in self.choices:
                self._show_rule(rule)

    def _show_rule(self, rule: PolicyView) -> None:
        choice = self.choices[rule.query_type]
        choice.show_level(rule.level)
        choice.setEnabled(True)
        self.marks[rule.query_type].set_whole("" if rule.chosen else self.tr("as for everybody"))

    def _choose(self, query_type: str) -> None:
        peer, level = self._peer, str(self.choices[query_type].currentData())
        self.notice.show_notice("", Tone.NEUTRAL)

        def failed(sentence: str) -> None:
            self.notice.show_notice(sentence, Tone.BAD)
            self.refresh()

        self._bridge.command(
            lambda agent: agent.set_policy(peer, query_type, level),
            name="set what a contact may learn",
            owner=self,
            done=lambda rule: self._show([rule]),
            failed=failed,
        )

    def _clear(self) -> None:
        for query_type, choice in self.choices.items():
            choice.setCurrentIndex(-1)
            choice.setEnabled(False)
            self.marks[query_type].set_whole("")
