"""The decision on a proposal: late arming, closing that means nothing, changes while it is open."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from PySide6.QtCore import Qt, QTime
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QRadioButton, QWidget
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import Direction, ProposalChanged, ProposalView, Slot
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.dialog import ProposalDialog
from agentnet_desktop.ui.inbox.proposal import ARMING_MS, ProposalWidget
from agentnet_desktop.ui.inbox.timeline import Block, conflict_words, conflicts
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel
from agentnet_desktop.ui.widgets.labels import ElidedLabel, Label
from tests.ui.conftest import HOUR, contact, proposal, snapshot


class Sent:
    """The commands that a widget gave, by name, instead of an agent that would carry them out."""

    def __init__(self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []

        def note(_make: object, *, name: str, **_rest: object) -> None:
            self.names.append(name)

        monkeypatch.setattr(bridge, "command", note)


@pytest.fixture
def sent(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(bridge, monkeypatch)


@pytest.fixture
def dialog(bridge: Bridge, qtbot: QtBot) -> ProposalDialog:
    contacts, meetings = ContactsModel(bridge, bridge), MeetingsModel(bridge, bridge)
    bridge.attached.emit(snapshot(contacts=(contact("bob"),)))
    made = ProposalDialog(bridge, contacts, meetings)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(made)
    return made


def armed(widget: ProposalWidget, qtbot: QtBot) -> None:
    qtbot.waitUntil(widget.accept_button.isEnabled, timeout=5000)


def deciding(widget: ProposalWidget) -> list[bool]:
    buttons = (widget.accept_button, widget.suggest_button, widget.decline_button)
    return [button.isEnabled() for button in buttons]


def test_buttons_arm_half_a_second_after_they_show(dialog: ProposalDialog, qtbot: QtBot) -> None:
    before = text.now_ms()
    dialog.ask(proposal())
    assert deciding(dialog.widget) == [False, False, False]
    armed(dialog.widget, qtbot)
    assert deciding(dialog.widget) == [True, True, True]
    assert text.now_ms() - before >= ARMING_MS * 0.9  # Qt's timers may be a twentieth early


def test_a_click_before_arming_decides_nothing(dialog: ProposalDialog, qtbot: QtBot, sent: Sent) -> None:
    dialog.ask(proposal())
    qtbot.mouseClick(dialog.widget.accept_button, Qt.MouseButton.LeftButton)
    assert sent.names == []


def test_a_click_after_arming_accepts(dialog: ProposalDialog, qtbot: QtBot, sent: Sent) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    qtbot.mouseClick(dialog.widget.accept_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(dialog.widget.accept_button, Qt.MouseButton.LeftButton)
    assert sent.names == ["proposal accepted"]


def test_the_first_focus_is_on_nothing_that_decides(dialog: ProposalDialog, qtbot: QtBot, sent: Sent) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    assert dialog.focusWidget() is dialog.widget
    for key in (Qt.Key.Key_Space, Qt.Key.Key_A):
        qtbot.keyClick(dialog.widget, key)
    assert sent.names == []
    assert dialog.isVisible()


@pytest.mark.parametrize("way", ["escape", "enter", "close", "later"])
def test_closing_never_means_yes(dialog: ProposalDialog, qtbot: QtBot, sent: Sent, way: str) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    if way == "escape":
        QTest.keyClick(dialog, Qt.Key.Key_Escape)
    elif way == "enter":
        QTest.keyClick(dialog, Qt.Key.Key_Return)
        dialog.close()
    elif way == "close":
        dialog.close()
    else:
        qtbot.mouseClick(dialog.later_button, Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()
    assert sent.names == []


def test_it_takes_no_focus_from_others(dialog: ProposalDialog) -> None:
    assert dialog.testAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
    dialog.ask(proposal())
    assert dialog.isModal()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "REJECTED", "reason": "OTHER", "note": "I fell ill"}, "called off. I fell ill"),
        ({"state": "EXPIRED"}, "time to answer is over"),
    ],
)
def test_withdrawn_or_expired_while_open_it_says_so_and_closes_its_buttons(
    dialog: ProposalDialog, bridge: Bridge, qtbot: QtBot, change: dict[str, Any], words: str
) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    bridge.dispatch(ProposalChanged(proposal(**change)))
    assert deciding(dialog.widget) == [False, False, False]
    assert not dialog.widget.accept_button.isVisible()
    assert words in dialog.widget.outcome.text()
    assert dialog.later_button.text() == "Close"


def test_past_its_time_the_buttons_close_before_anyone_says_so(dialog: ProposalDialog, qtbot: QtBot) -> None:
    dialog.ask(proposal(expires_at=text.now_ms() + 1200))
    armed(dialog.widget, qtbot)
    qtbot.waitUntil(lambda: not dialog.widget.accept_button.isEnabled(), timeout=5000)
    assert dialog.widget.expiry.text() == "The time to answer is over"


def test_a_new_revision_arms_anew(dialog: ProposalDialog, bridge: Bridge, qtbot: QtBot) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    bridge.dispatch(ProposalChanged(proposal(revision=3, title="Moved"), arrived=True))
    assert deciding(dialog.widget) == [False, False, False]
    assert dialog.widget.title.text() == "Moved"
    assert "look again" in dialog.widget.error.text()
    armed(dialog.widget, qtbot)


def test_another_proposal_changes_nothing_here(dialog: ProposalDialog, bridge: Bridge, qtbot: QtBot) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    bridge.dispatch(ProposalChanged(proposal(2, state="REJECTED")))
    assert deciding(dialog.widget) == [True, True, True]


def test_declining_asks_for_a_reason_first(dialog: ProposalDialog, qtbot: QtBot, sent: Sent) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    qtbot.mouseClick(dialog.widget.decline_button, Qt.MouseButton.LeftButton)
    assert sent.names == []
    panel = dialog.widget.decline_panel
    assert panel.isVisible()
    words = {panel.reason.itemData(row) for row in range(panel.reason.count())}
    assert words == {"SCHEDULE_CONFLICT", "LOCATION_UNSUITABLE", "TIME_UNSUITABLE", "USER_DECLINED", "OTHER"}
    panel.reason.setCurrentIndex(panel.reason.findData("OTHER"))
    assert not panel.send.isEnabled()  # OTHER must be explained
    qtbot.keyClicks(panel.note, "Travelling")
    with qtbot.waitSignal(panel.declined) as said:
        qtbot.mouseClick(panel.send, Qt.MouseButton.LeftButton)
    assert said.args == ["OTHER", "Travelling"]
    assert sent.names == ["proposal declined"]


def test_a_suggestion_needs_a_time_to_come(dialog: ProposalDialog, qtbot: QtBot, sent: Sent) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    qtbot.mouseClick(dialog.widget.suggest_button, Qt.MouseButton.LeftButton)
    panel = dialog.widget.suggest_panel
    panel.end_time.setTime(panel.start_time.time())
    assert not panel.send.isEnabled()
    panel.end_time.setTime(panel.start_time.time().addSecs(1800))
    panel.day.setDate(panel.day.date().addDays(-40))
    assert not panel.send.isEnabled()
    panel.day.setDate(panel.day.date().addDays(60))
    with qtbot.waitSignal(panel.suggested) as said:
        qtbot.mouseClick(panel.send, Qt.MouseButton.LeftButton)
    assert said.args[0].endswith(("+00:00", text.at(text.now_ms()).isoformat()[-6:]))
    assert sent.names == ["proposal suggested"]


def test_a_suggestion_whose_end_is_before_its_start_ends_on_the_next_day(
    dialog: ProposalDialog, qtbot: QtBot
) -> None:
    dialog.ask(proposal())
    armed(dialog.widget, qtbot)
    qtbot.mouseClick(dialog.widget.suggest_button, Qt.MouseButton.LeftButton)
    panel = dialog.widget.suggest_panel
    panel.start_time.setTime(QTime(20, 30))
    panel.end_time.setTime(QTime(21, 0))
    assert not panel.next_day.isVisible()
    panel.start_time.setTime(QTime(23, 30))
    panel.end_time.setTime(QTime(0, 15))
    assert panel.next_day.isVisible()
    with qtbot.waitSignal(panel.suggested) as said:
        qtbot.mouseClick(panel.send, Qt.MouseButton.LeftButton)
    start, end = (datetime.fromisoformat(moment) for moment in said.args)
    assert (start.hour, end - start) == (23, timedelta(minutes=45))


def test_a_meeting_over_midnight_can_be_suggested_on_another_day(
    dialog: ProposalDialog, qtbot: QtBot
) -> None:
    late = text.at(proposal().start).replace(hour=23, minute=0, second=0, microsecond=0)
    begin = int(late.timestamp() * 1000)
    dialog.ask(replace(proposal(), start=begin, end=begin + HOUR))
    armed(dialog.widget, qtbot)
    qtbot.mouseClick(dialog.widget.suggest_button, Qt.MouseButton.LeftButton)
    panel = dialog.widget.suggest_panel
    panel.day.setDate(panel.day.date().addDays(1))
    with qtbot.waitSignal(panel.suggested) as said:
        qtbot.mouseClick(panel.send, Qt.MouseButton.LeftButton)
    start, end = (datetime.fromisoformat(moment) for moment in said.args)
    assert (start - late, end - start) == (timedelta(days=1), timedelta(hours=1))


def test_an_alternative_can_be_chosen(dialog: ProposalDialog, qtbot: QtBot) -> None:
    view = proposal()
    other = Slot(view.start + 24 * HOUR, view.end + 24 * HOUR)
    dialog.ask(replace(view, alternatives=(other,)))
    second = dialog.findChild(QRadioButton, "alternative-1")
    assert isinstance(second, QRadioButton)
    qtbot.mouseClick(
        second, Qt.MouseButton.LeftButton, pos=second.rect().topLeft() + second.rect().center() / 8
    )
    second.click()
    assert dialog.widget.when.chosen() == 1


def test_what_a_peer_wrote_is_plain_visible_and_cut(dialog: ProposalDialog) -> None:
    nasty = "<b>Pay</b>\u202e\x1b" + "x" * 9000
    dialog.ask(
        proposal(title=nasty, description=nasty, location=nasty, time_zone=nasty, time_disagreement=nasty)
    )
    shown = [label.text() for label in dialog.findChildren(Label)]
    shown += [label.text() for label in dialog.findChildren(ElidedLabel)]
    assert any("<b>Pay</b>⟨U+202E⟩␛" in words for words in shown)
    assert not any("\u202e" in words or "\x1b" in words for words in shown)
    assert max(map(len, shown)) <= text.DESCRIPTION_LIMIT
    for label in dialog.findChildren(Label):
        assert label.textFormat() is Qt.TextFormat.PlainText


def test_both_times_are_shown(dialog: ProposalDialog) -> None:
    view = proposal()
    dialog.ask(view)
    shown = " ".join(label.text() for label in dialog.findChildren(Label) if label.isVisible())
    assert text.short_time(text.at(view.start)) in shown
    assert text.short_time(text.at(view.start, text.zone("Asia/Tokyo"))) in shown
    assert "their time, Asia/Tokyo" in shown


def test_a_conflict_is_told_in_words(dialog: ProposalDialog, bridge: Bridge) -> None:
    view = proposal()
    taken = proposal(
        2, title="Dentist", state="ACCEPTED", start=view.start - HOUR // 2, end=view.end - HOUR // 2
    )
    bridge.dispatch(ProposalChanged(taken))
    dialog.ask(view)
    assert "Overlaps “Dentist”" in dialog.widget.when.conflict.text()
    assert "Dentist" in dialog.widget.when.timeline.accessibleName()


def test_touching_is_no_conflict() -> None:
    block = Block(10, 20, "x")
    assert conflicts(0, 10, [block]) == []
    assert conflicts(20, 30, [block]) == []
    assert conflicts(19, 30, [block]) == [block]
    assert "Held for" in conflict_words(0, 15, [Block(10, 20, "x", tentative=True)])


def test_an_own_proposal_can_be_taken_back_but_not_accepted(
    dialog: ProposalDialog, qtbot: QtBot, sent: Sent
) -> None:
    view: ProposalView = proposal(direction=Direction.OUT)
    dialog.ask(view)
    assert not dialog.widget.accept_button.isVisible()
    assert "Waiting for Bob" in dialog.widget.outcome.text()
    qtbot.mouseClick(dialog.widget.undo_button, Qt.MouseButton.LeftButton)
    assert sent.names == ["proposal cancelled"]


def test_every_control_has_a_name_for_a_screen_reader(dialog: ProposalDialog) -> None:
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QDateTimeEdit, QLineEdit

    dialog.ask(proposal())
    nameless: list[QWidget] = [
        widget
        for kind in (QComboBox, QDateTimeEdit, QLineEdit, QAbstractButton)
        for widget in dialog.findChildren(kind)
        if not widget.objectName().startswith("qt_") and not widget.accessibleName()
        and not (isinstance(widget, QAbstractButton) and widget.text())
    ]  # fmt: skip
    assert nameless == []


def test_a_long_name_pushes_nothing_out_of_sight(
    dialog: ProposalDialog, bridge: Bridge, qtbot: QtBot
) -> None:
    bridge.attached.emit(snapshot(contacts=(contact("bob", name="Bartholomew " * 5),)))
    dialog.ask(proposal())
    widget = dialog.widget
    qtbot.waitUntil(lambda: widget.title.width() > 80)
    right = widget.title.mapTo(widget, widget.title.rect().topRight()).x()
    assert right <= widget.width()
    assert widget._badge.mapTo(widget, widget._badge.rect().topRight()).x() <= widget.width()
    assert widget.peer.text().endswith("…")
    assert "Bartholomew" in widget.peer.toolTip()
