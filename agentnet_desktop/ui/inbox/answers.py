"""The panels for a decline with its reason, and for suggesting another time."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import QDate, QDateTime, QTime, Signal
from PySide6.QtWidgets import QComboBox, QDateEdit, QLineEdit, QTimeEdit, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import ProposalView
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.models.meetings_model import agreed_slot
from agentnet_desktop.ui.theme.tokens import SPACE_S
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import button, inset, row

_NOTE_LIMIT = 500


class DeclinePanel(QWidget):
    """A reason of the protocol's list, and a note if the person likes."""

    declined = Signal(str, str)  # reason, note
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.reason = QComboBox()
        self.reason.setObjectName("decline-reason")
        self.reason.setAccessibleName(self.tr("Reason"))
        for word, sentence in trust.rejection_reasons():
            self.reason.addItem(sentence, word)
        self.note = QLineEdit()
        self.note.setObjectName("decline-note")
        self.note.setMaxLength(_NOTE_LIMIT)
        self.note.setPlaceholderText(self.tr("A note to them, if you like"))
        self.note.setAccessibleName(self.tr("Note to the other side"))
        self.send = button(
            self.tr("Decline"), kind="danger", icon="close", name="decline-send", clicked=self._send
        )
        back = button(self.tr("Back"), kind="flat", name="decline-back", clicked=self.left.emit)
        fields = row(self.reason, self.note)
        fields.setStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_S)
        layout.addWidget(Label(self.tr("Decline, and say why"), "strong"))
        layout.addLayout(fields)
        layout.addLayout(row(None, back, self.send))
        self.reason.currentIndexChanged.connect(self._update)
        self.note.textChanged.connect(self._update)

    def start(self) -> None:
        """Begin anew."""
        self.reason.setCurrentIndex(0)
        self.note.clear()
        self.reason.setFocus()

    def _update(self) -> None:
        needs_note = self.reason.currentData() == "OTHER" and not self.note.text().strip()
        self.send.setEnabled(not needs_note)

    def _send(self) -> None:
        self.declined.emit(str(self.reason.currentData()), self.note.text().strip())


class SuggestPanel(QWidget):
    """Another day and time, in the person's own zone."""

    suggested = Signal(str, str)  # start and end, RFC 3339 with an offset
    changed = Signal(object, object)  # start and end in ms: to show on the timeline
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.day = QDateEdit()
        self.day.setCalendarPopup(True)
        self.day.setObjectName("suggest-day")
        self.day.setAccessibleName(self.tr("Day"))
        self.start_time, self.end_time = QTimeEdit(), QTimeEdit()
        self.start_time.setObjectName("suggest-start")
        self.end_time.setObjectName("suggest-end")
        self.start_time.setAccessibleName(self.tr("From"))
        self.end_time.setAccessibleName(self.tr("To"))
        for edit in (self.start_time, self.end_time):
            edit.setDisplayFormat("HH:mm")
            inset(edit)
        self.day.setDisplayFormat("ddd d MMM yyyy")
        self._error = Label(role="error", wrap=True)
        self._error.hide()
        self.send = button(
            self.tr("Suggest this time"), kind="primary", icon="send", name="suggest-send", clicked=self._send
        )
        back = button(self.tr("Back"), kind="flat", name="suggest-back", clicked=self.left.emit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_S)
        zone = self.tr("Suggest another time ({0})").format(text.local_zone_name())
        layout.addWidget(Label(zone, "strong"))
        self.next_day = Label(self.tr("the next day"))
        layout.addLayout(row(self.day, self.start_time, Label("–"), self.end_time, self.next_day, None))
        layout.addWidget(self._error)
        layout.addLayout(row(None, back, self.send))
        for signal in (self.day.dateChanged, self.start_time.timeChanged, self.end_time.timeChanged):
            signal.connect(self._update)

    def start(self, view: ProposalView) -> None:
        """Begin with the proposed time."""
        begin, finish = (text.at(moment) for moment in agreed_slot(view))
        self.day.setDate(QDate(begin.year, begin.month, begin.day))
        self.start_time.setTime(QTime(begin.hour, begin.minute))
        self.end_time.setTime(QTime(finish.hour, finish.minute))
        self.start_time.setFocus()
        self._update()

    def slot(self) -> tuple[datetime, datetime]:
        """Give start and end that are entered, with this machine's offset on their days.

        An end before the start is of the next day: it is a meeting over midnight.
        """
        day, begin, finish = self.day.date(), self.start_time.time(), self.end_time.time()
        last_day = day.addDays(1) if finish < begin else day
        return _moment(day, begin), _moment(last_day, finish)

    def _update(self) -> None:
        begin, finish = self.slot()
        self.next_day.setVisible(finish.date() > begin.date())
        problem = ""
        if finish <= begin:
            problem = self.tr("The end must come after the start.")
        elif begin.timestamp() * 1000 <= text.now_ms():
            problem = self.tr("That time has passed.")
        self._error.setText(problem)
        self._error.setVisible(bool(problem))
        self.send.setEnabled(not problem)
        if finish > begin:
            self.changed.emit(int(begin.timestamp() * 1000), int(finish.timestamp() * 1000))

    def _send(self) -> None:
        begin, finish = self.slot()
        self.suggested.emit(begin.isoformat(), finish.isoformat())


def _moment(day: QDate, time: QTime) -> datetime:
    return text.at(QDateTime(day, time).toMSecsSinceEpoch())
