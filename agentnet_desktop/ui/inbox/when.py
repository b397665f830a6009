"""The panel *when*: in my zone first, theirs beside it, with weekday, duration and a painted day."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QRadioButton, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import ProposalView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.inbox.timeline import Block, DayTimeline, conflict_words, conflicts
from agentnet_desktop.ui.theme.tokens import SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import IconLabel, Label
from agentnet_desktop.ui.widgets.parts import Notice, column, row


def slots_of(view: ProposalView) -> list[tuple[int, int]]:
    """List the slots of a proposal: the main one, then its alternatives."""
    return [(view.start, view.end), *((slot.start, slot.end) for slot in view.alternatives)]


class WhenPanel(QWidget):
    """Shows one slot of a proposal; the person may choose another one that the proposer can make."""

    alternative_chosen = Signal(int)

    def __init__(self, blocks: Callable[[ProposalView], Sequence[Block]]) -> None:
        super().__init__()
        self._blocks = blocks
        self._view: ProposalView | None = None
        self._day = Label(role="strong", wrap=True)
        self._span = Label(role="heading")
        self._mine = Label(role="small")
        self._their_day = Label(role="muted", wrap=True)
        self._their_span = Label(role="muted")
        self._theirs = Label(role="small")
        mine = column(self._day, self._span, self._mine, spacing=2)
        theirs = column(self._their_day, self._their_span, self._theirs, spacing=2)
        both = row(mine, theirs, spacing=SPACE_S)
        both.setStretch(0, 3)
        both.setStretch(1, 2)
        self.timeline = DayTimeline()
        self._conflict_icon = IconLabel("check-circle", "good", 16)
        self.conflict = Label(wrap=True)
        clash = row(self._conflict_icon, self.conflict)
        clash.setStretch(1, 1)
        self._disagreement = Notice()
        self._choices = QWidget()
        self._choices_layout = QVBoxLayout(self._choices)
        self._choices_layout.setContentsMargins(0, 0, 0, 0)
        self._choices_layout.setSpacing(0)
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self._choose)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_S)
        layout.addLayout(both)
        layout.addWidget(self._disagreement)
        layout.addWidget(self._choices)
        layout.addWidget(self.timeline)
        layout.addLayout(clash)

    def chosen(self) -> int:
        """Give the number of the slot that is chosen: 0 for the main one."""
        return max(0, self._group.checkedId())

    def show_when(self, view: ProposalView, *, choosing: bool) -> None:
        """Show the times of a proposal.

        Args:
            view: The proposal.
            choosing: Whether the person may still choose among its slots.
        """
        self._view = view
        self._fill_choices(view, choosing)
        self._disagreement.show_notice(text.peer_text(view.time_disagreement), Tone.WARN)
        self.show_slot(*slots_of(view)[self._shown_number(view)])

    def show_slot(self, start: int, end: int) -> None:
        """Show one stretch of time, such as one that the person is about to suggest."""
        if self._view is None:
            return
        begin, finish = text.at(start), text.at(end)
        self._day.setText(text.long_date(begin))
        self._span.setText(f"{text.span(begin, finish)}  ·  {text.duration(end - start)}")
        self._mine.setText(text.tr("your time, {0}").format(text.local_zone_name()))
        self._show_theirs(self._view, start, end)
        blocks = self._blocks(self._view)
        self.timeline.show_day(start, end, blocks)
        clash = bool(conflicts(start, end, blocks))
        self.conflict.setText(text.peer_text(conflict_words(start, end, blocks)))
        self._conflict_icon.set_icon("alert" if clash else "check-circle", "bad" if clash else "good")

    def _show_theirs(self, view: ProposalView, start: int, end: int) -> None:
        zone = text.zone(view.time_zone) if view.time_zone else None
        theirs = [self._their_day, self._their_span, self._theirs]
        begin = text.at(start, zone)
        same = zone is not None and begin.utcoffset() == text.at(start).utcoffset()
        for label in theirs:
            label.setVisible(zone is not None and not same)
        if zone is not None:
            self._their_day.setText(text.locale().toString(text.qdate(begin), text.SHORT_DATE))
            self._their_span.setText(text.span(begin, text.at(end, zone)))
            self._theirs.setText(text.tr("their time, {0}").format(text.peer_text(view.time_zone, 40)))

    def _shown_number(self, view: ProposalView) -> int:
        number = view.chosen_alternative if view.state == "ACCEPTED" else self.chosen()
        return number if 0 <= number <= len(view.alternatives) else 0

    def _fill_choices(self, view: ProposalView, choosing: bool) -> None:
        before = self.chosen()
        for made in self._group.buttons():
            self._group.removeButton(made)
            self._choices_layout.removeWidget(made)
            made.hide()
            made.deleteLater()
        self._choices.setVisible(choosing and bool(view.alternatives))
        if not view.alternatives or not choosing:
            return
        for number, (start, end) in enumerate(slots_of(view)):
            begin = text.at(start)
            words = f"{text.long_date(begin)}, {text.span(begin, text.at(end))}"
            made = QRadioButton(words)
            made.setObjectName(f"alternative-{number}")
            made.setChecked(number == (before if before <= len(view.alternatives) else 0))
            self._group.addButton(made, number)
            self._choices_layout.addWidget(made)

    def _choose(self, number: int) -> None:
        if self._view is not None:
            self.show_slot(*slots_of(self._view)[number])
            self.alternative_chosen.emit(number)
