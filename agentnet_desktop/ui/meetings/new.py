"""New meeting: people, what, when and where; asks the contacts' agents when they are free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from PySide6.QtCore import QDate, QDateTime, Qt, QTime, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDateEdit,
    QDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QTimeEdit,
    QVBoxLayout,
    QWidget,
)

from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.events import ProposalView, QueryAnswer
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.meetings.free import common_starts, free_slots
from agentnet_desktop.ui.models.contacts_model import ContactsModel, shown_name
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Notice, button, inset, row

_LENGTHS_MIN = (15, 30, 45, 60, 90, 120)
_AGENT_ID = int(Qt.ItemDataRole.UserRole)


class NewMeetingDialog(QDialog):
    """Collects a draft and proposes it."""

    proposed = Signal(object)  # ProposalView of the first person

    def __init__(self, bridge: Bridge, contacts: ContactsModel, parent: QWidget, chosen: str = "") -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("New meeting"))
        self.setMinimumSize(560, 520)
        self._bridge = bridge
        self._contacts = contacts
        self._asked: dict[str, str] = {}  # requestId -> agentId
        self._free: dict[str, list[tuple[int, int]]] = {}
        self._make_fields(chosen)
        self.notice = Notice()
        self.progress = Label(role="muted", wrap=True)
        self.starts = QComboBox()
        self.starts.setObjectName("meeting-starts")
        self.starts.setAccessibleName(self.tr("Times that suit everyone"))
        self.starts.hide()
        self.ask = button(
            self.tr("When are they free?"), icon="question", name="meeting-ask", clicked=self._ask
        )
        self.send = button(
            self.tr("Propose"), kind="primary", icon="send", name="meeting-send", clicked=self._propose
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.tr("New meeting"), "title"))
        layout.addLayout(self._form())
        layout.addLayout(row(self.ask, self.starts, None))
        layout.addWidget(self.progress)
        layout.addWidget(self.notice)
        layout.addStretch(1)
        layout.addLayout(row(None, button(self.tr("Cancel"), clicked=self.reject), self.send))
        self.starts.activated.connect(self._take_start)
        bridge.query_answered.connect(self._answered)
        for signal in (self.title.textChanged, self.people.itemChanged):
            signal.connect(self._update)
        self._update()

    def _make_fields(self, chosen: str) -> None:
        self.people = QListWidget()
        self.people.setAccessibleName(self.tr("People"))
        self.people.setProperty("card", "true")
        for contact in self._contacts.views():
            if contact.state in ("APPROVED", "VERIFIED"):
                item = QListWidgetItem(shown_name(contact))
                item.setData(_AGENT_ID, contact.agent_id)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                marked = contact.agent_id == chosen
                item.setCheckState(Qt.CheckState.Checked if marked else Qt.CheckState.Unchecked)
                self.people.addItem(item)
        self.people.setFixedHeight(112)
        self.people.setSpacing(3)
        self.title = QLineEdit()
        self.title.setObjectName("meeting-title")
        self.title.setMaxLength(text.TITLE_LIMIT)
        self.title.setPlaceholderText(self.tr("What is it about?"))
        self.place = QLineEdit()
        self.place.setObjectName("meeting-place")
        self.place.setMaxLength(text.TITLE_LIMIT)
        self.place.setPlaceholderText(self.tr("Where (optional)"))
        tomorrow = text.at(text.now_ms()) + timedelta(days=1)
        self.day = QDateEdit(QDate(tomorrow.year, tomorrow.month, tomorrow.day))
        self.day.setCalendarPopup(True)
        self.day.setDisplayFormat("ddd d MMM yyyy")
        self.start = QTimeEdit(QTime(10, 0))
        self.start.setDisplayFormat("HH:mm")
        inset(self.start)
        self.length = QComboBox()
        for minutes in _LENGTHS_MIN:
            self.length.addItem(text.duration(minutes * 60_000), minutes)
        self.length.setCurrentIndex(_LENGTHS_MIN.index(60))
        names = {self.title: self.tr("Title"), self.place: self.tr("Place"), self.day: self.tr("Day"),
                 self.start: self.tr("Start"), self.length: self.tr("Length")}  # fmt: skip
        for field, name in names.items():
            field.setAccessibleName(name)

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.setVerticalSpacing(SPACE_S)
        form.addRow(Label(self.tr("People"), "muted"), self.people)
        form.addRow(Label(self.tr("Title"), "muted"), self.title)
        form.addRow(Label(self.tr("When"), "muted"), row(self.day, self.start, self.length, None))
        form.addRow(
            Label("", "muted"), Label(text.tr("Your time, {0}").format(text.local_zone_name()), "small")
        )
        form.addRow(Label(self.tr("Where"), "muted"), self.place)
        return form

    def chosen_people(self) -> list[str]:
        """List the agentIds that are marked."""
        items = [self.people.item(place) for place in range(self.people.count())]
        return [str(item.data(_AGENT_ID)) for item in items if item.checkState() is Qt.CheckState.Checked]

    def _update(self, *_ignored: object) -> None:
        people = bool(self.chosen_people())
        self.ask.setEnabled(people)
        self.send.setEnabled(people and bool(self.title.text().strip()))
        if not self.people.count():
            self.notice.show_notice(self.tr("You need an approved contact first."), Tone.NEUTRAL)

    # ------------------------------------------------------------------------------- asking

    def _ask(self) -> None:
        self._asked.clear()
        self._free.clear()
        self.starts.hide()
        minutes = int(self.length.currentData())
        begin = text.at(QDateTime(self.day.date(), QTime(0, 0)).toMSecsSinceEpoch())
        parameters: Mapping[str, Any] = {
            "startDate": begin.isoformat(),
            "endDate": (begin + timedelta(days=1)).isoformat(),
            "timeZone": text.local_zone_name(),
            "durationMinutes": minutes,
        }
        self.progress.setText(self.tr("Asking …"))
        for person in self.chosen_people():
            self._ask_one(person, parameters)

    def _ask_one(self, person: str, parameters: Mapping[str, Any]) -> None:
        def asked(request_id: str) -> None:
            self._asked[request_id] = person

        self._bridge.command(
            lambda agent: agent.query(person, "AVAILABILITY", parameters),
            name="ask availability",
            owner=self,
            done=asked,
            failed=self._failed,
        )

    def _answered(self, answer: QueryAnswer) -> None:
        person = self._asked.get(answer.request_id)
        if person is None:
            return
        name = self._contacts.name_of(person)
        if answer.error is not None or answer.data is None:
            code = text.peer_text(str((answer.error or {}).get("code", "")), 40)
            self.progress.setText(self.tr("{0} did not say: {1}").format(name, code))
            return
        self._free[person] = free_slots(answer.data)
        self.progress.setText(self.tr("{0} of {1} answered").format(len(self._free), len(self._asked)))
        if len(self._free) == len(self._asked):
            self._offer()

    def _offer(self) -> None:
        minutes = int(self.length.currentData())
        starts = common_starts(list(self._free.values()), minutes * 60_000, after=text.now_ms())
        self.starts.clear()
        for start in starts:
            begin = text.at(start)
            words = text.locale().toString(text.qdate(begin), text.SHORT_DATE)
            self.starts.addItem(f"{words}, {text.short_time(begin)}", start)
        self.starts.setVisible(bool(starts))
        found = self.tr("{0} times suit everyone").format(len(starts))
        self.progress.setText(found if starts else self.tr("No time on that day suits everyone."))
        if starts:
            self._take_start(0)

    def _take_start(self, place: int) -> None:
        begin = text.at(int(self.starts.itemData(place)))
        self.day.setDate(text.qdate(begin))
        self.start.setTime(QTime(begin.hour, begin.minute))

    # ------------------------------------------------------------------------------- proposing

    def draft(self) -> ProposalDraft:
        """Give what the fields say."""
        start = text.at(QDateTime(self.day.date(), self.start.time()).toMSecsSinceEpoch())
        end = start + timedelta(minutes=int(self.length.currentData()))
        return ProposalDraft(
            title=self.title.text().strip(),
            start=start.isoformat(),
            end=end.isoformat(),
            time_zone=text.local_zone_name(),
            location=self.place.text().strip(),
        )

    def _propose(self) -> None:
        self.send.setEnabled(False)
        people, draft = self.chosen_people(), self.draft()
        self._bridge.command(
            lambda agent: agent.propose(people, draft),
            name="propose",
            owner=self,
            done=self._sent,
            failed=self._failed,
        )

    def _sent(self, views: Sequence[ProposalView]) -> None:
        if views:
            self.proposed.emit(views[0])
        self.accept()

    def _failed(self, sentence: str) -> None:
        self.notice.show_notice(sentence, Tone.BAD)
        self._update()
