"""New meeting: people, what, when and where; asks the contacts' agents when they are free."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

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
from agentnet_desktop.agent.events import ProposalView
from agentnet_desktop.agent.schedule_views import SilentView, TimesView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel, shown_name
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Notice, button, inset, row

_LENGTHS_MIN = (15, 30, 45, 60, 90, 120)
_ANSWERS_S = 60.0
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
        self._round = 0
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
                whole = f"{shown_name(contact)} · {text.peer_text(contact.agent_id, text.NAME_LIMIT)}"
                item.setToolTip(text.tooltip(whole))
                item.setData(_AGENT_ID, contact.agent_id)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                marked = contact.agent_id == chosen
                item.setCheckState(Qt.CheckState.Checked if marked else Qt.CheckState.Unchecked)
                self.people.addItem(item)
        self.people.setFixedHeight(112)
        self.people.setSpacing(3)
        self.people.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # long names are cut
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
        self._round += 1
        this = self._round
        self.starts.hide()
        self.progress.setText(self.tr("Asking …"))
        people, minutes = self.chosen_people(), int(self.length.currentData())
        begin = text.at(QDateTime(self.day.date(), QTime(0, 0)).toMSecsSinceEpoch())
        start, end = (int(day.timestamp() * 1000) for day in (begin, begin + timedelta(days=1)))
        zone = text.local_zone_name()
        self._bridge.command(
            lambda agent: agent.suggest_times(
                people, start, end, minutes=minutes, time_zone=zone, timeout_s=_ANSWERS_S
            ),
            name="suggest times",
            owner=self,
            done=lambda found: self._offer(this, found),
            failed=self._not_asked,
        )

    def _not_asked(self, sentence: str) -> None:
        self.progress.setText("")
        self._failed(sentence)

    def _offer(self, number: int, found: TimesView) -> None:
        if number != self._round:
            return  # asked again since
        self.starts.clear()
        for start in found.starts:
            begin = text.at(start)
            words = text.locale().toString(text.qdate(begin), text.SHORT_DATE)
            self.starts.addItem(f"{words}, {text.short_time(begin)}", start)
        self.starts.setVisible(bool(found.starts))
        if found.silent:
            self.progress.setText("\n".join(self._silence(view) for view in found.silent))
        elif found.starts:
            self.progress.setText(self.tr("{0} times suit everyone").format(len(found.starts)))
            self.starts.setCurrentIndex(self.starts.findData(found.best[0].start))
            self._take_start(self.starts.currentIndex())
        else:
            self.progress.setText(self.tr("No time on that day suits everyone."))

    def _silence(self, view: SilentView) -> str:
        name = self._contacts.name_of(view.peer)
        if not view.code:
            return self.tr("{0} has not answered yet; ask again later.").format(name)
        return self.tr("{0} did not say: {1}").format(name, text.peer_text(view.code, 40))

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
