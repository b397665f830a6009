"""What a newer revision of a proposal changed: each part as it was and as it is now.

`changes` compares two views and knows no widget; `ChangesCard` shows what it found. It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QGridLayout

from agentnet_desktop.agent.events import ProposalView, Slot
from agentnet_desktop.ui import text
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import SPACE_M, SPACE_XS, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card


@dataclass(frozen=True, slots=True)
class Change:
    """One part that differs: its name, how it was, how it is; "–" where there was or is nothing."""

    what: str
    was: str
    now: str


def changes(old: ProposalView, new: ProposalView) -> list[Change]:
    """List what differs between two revisions, the time first; words of peers are safe to show."""
    both = zip(_parts(old), _parts(new), strict=True)
    return [Change(what, was or "–", now or "–") for (what, was), (_, now) in both if was != now]


def _parts(view: ProposalView) -> list[tuple[str, str]]:
    length = text.duration(view.end - view.start)
    place = " · ".join(part for part in (view.location, view.address) if part)
    return [
        (tr("When"), _slot(Slot(view.start, view.end))),
        (tr("Length"), length),
        (tr("Or"), "; ".join(_slot(slot) for slot in view.alternatives)),
        (tr("Where"), text.peer_text(place)),
        (tr("Title"), text.peer_text(view.title, text.TITLE_LIMIT)),
        (tr("Description"), text.peer_text(view.description)),
        (tr("Kind"), text.peer_text(view.meeting_type, text.NAME_LIMIT)),
        (tr("With"), text.peer_text(", ".join(view.participants))),
        (tr("Answer until"), text.exact(view.expires_at) if view.expires_at else ""),
    ]


def _slot(slot: Slot) -> str:
    begin, end = text.at(slot.start), text.at(slot.end)
    words = f"{text.locale().toString(text.qdate(begin), text.SHORT_DATE)}, {text.span(begin, end)}"
    return f"{words} ({text.peer_text(slot.location, text.NAME_LIMIT)})" if slot.location else words


class ChangesCard(Card):
    """Old beside new, the new one highlighted. Hidden while there is nothing to compare."""

    def __init__(self) -> None:
        super().__init__(margin=SPACE_M)
        self._title = Label(self.tr("What changed"), "section")
        self._nothing = Label(role="muted", wrap=True)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SPACE_M)
        self._grid.setVerticalSpacing(SPACE_XS)
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnStretch(3, 1)
        self.add(self._title, self._nothing, self._grid)
        self.shown: list[Change] = []
        self.hide()

    def show_changes(self, found: list[Change]) -> None:
        """Show what differs from the revision before."""
        self._clear()
        self.shown = found
        self._nothing.setText("" if found else self.tr("Nothing that you can see differs."))
        self._nothing.setVisible(not found)
        for line, change in enumerate(found):
            self._add(line, change)
        told = "; ".join(
            self.tr("{0}: was {1}, is now {2}").format(one.what, one.was, one.now) for one in found
        )
        self.setAccessibleName(f"{self._title.text()}: {told or self._nothing.text()}")
        self.show()

    def show_unknown(self) -> None:
        """Say that there is nothing to compare with."""
        self._clear()
        self._nothing.setText(self.tr("The version before this one is not known here."))
        self._nothing.show()
        self.show()

    def _clear(self) -> None:
        self.shown = []
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()

    def _add(self, line: int, change: Change) -> None:
        was = Label(change.was, "muted", wrap=True, selectable=True)
        struck = QFont(was.font())
        struck.setStrikeOut(True)
        was.setFont(struck)
        now = Label(change.now, wrap=True, selectable=True)
        now.setProperty("tone", Tone.ACCENT.value)
        for column, label in enumerate((Label(change.what, "muted"), was, Label("→", "muted"), now)):
            self._grid.addWidget(label, line, column, Qt.AlignmentFlag.AlignTop)
