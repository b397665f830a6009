"""What a contact may learn, chosen in its detail: over real agents, a relay process and a mouse."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.schedule_views import PolicyView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.contacts.detail import ContactDetail
from agentnet_desktop.ui.contacts.sharing import Choice, SharingCard
from agentnet_desktop.ui.navigation import PageName
from tests.ui import test_main_job
from tests.ui.conftest import HOUR, contact, until
from tests.ui.test_main_job import Scene, World

Run = Callable[[Coroutine[Any, Any, None]], None]
scene = test_main_job.scene


def pick(choice: Choice, level: str, qtbot: QtBot) -> None:
    """Choose by the keyboard, as a person who tabs to it."""
    choice.setFocus()
    step = 1 if choice.findData(level) > choice.currentIndex() else -1
    while choice.currentData() != level:
        qtbot.keyClick(choice, Qt.Key.Key_Down if step > 0 else Qt.Key.Key_Up)


async def opened(all_: World) -> SharingCard:
    """Show Bob's detail and wait until what he may learn was read."""
    all_.window.show_page(PageName.CONTACTS)
    all_.pages.contacts.show_contact("bob")
    card = all_.pages.contacts.detail.sharing
    await until(lambda: all(choice.isEnabled() for choice in card.choices.values()), "what Bob may learn")
    return card


async def told(all_: World) -> Any:
    """Bob asks when Alice is free."""
    start = text.now_ms() // HOUR * HOUR + HOUR
    asked = {
        "startDate": text.at(start).isoformat(),
        "endDate": text.at(start + 7 * 24 * HOUR).isoformat(),
        "timeZone": "UTC",
    }
    request = await all_.bob.agent.query("alice", "AVAILABILITY", asked)
    return await all_.bob.agent.wait_query(request, 30)


def test_what_is_chosen_is_what_the_contact_learns(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            card = await opened(all_)
            when, mark = card.choices["AVAILABILITY"], card.marks["AVAILABILITY"]
            assert (when.currentData(), mark.whole()) == ("slots", "as for everybody")
            assert card.choices["CUSTOM"].currentData() == "ask"
            assert "busy" not in (await told(all_)).data
            pick(when, "busy", all_.qtbot)
            await until(lambda: not mark.whole(), "the rule of its own")
            assert "busy" in (await told(all_)).data
            pick(when, "deny", all_.qtbot)
            answer = await told(all_)
            for _ in range(20):  # the choice is on its way to the database
                answer = answer if answer.error else await told(all_)
            assert answer.error["code"] == "PERMISSION_DENIED"

    run(scenario())


def test_what_was_set_elsewhere_is_shown_when_the_page_opens(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            card = await opened(all_)
            all_.window.show_page(PageName.INBOX)
            agent = all_.session.bridge.agent
            assert agent is not None
            await agent.set_policy("bob", "AVAILABILITY", "coarse")
            await agent.set_policy("bob", "CUSTOM", "busy")  # for it the last three levels are one
            await opened(all_)
            await until(lambda: card.choices["AVAILABILITY"].currentData() == "coarse", "half-days")
            await until(lambda: card.choices["CUSTOM"].currentText() == "Answer", "an answer")

    run(scenario())


def test_a_choice_that_fails_is_told_and_shown_as_it_was(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            card = await opened(all_)
            agent = all_.session.bridge.agent
            assert agent is not None
            await agent.remove_contact("bob")
            pick(card.choices["AVAILABILITY"], "busy", all_.qtbot)
            await until(card.notice.text, "why")
            assert card.notice.text() == "There is no contact bob."

    run(scenario())


def test_only_an_approved_contact_has_something_to_choose(bridge: Bridge, qtbot: QtBot) -> None:
    detail = ContactDetail(bridge)
    qtbot.addWidget(detail)
    detail.show()
    for state, shown in (("PENDING", False), ("APPROVED", True), ("KEY_CHANGED", False), ("VERIFIED", True)):
        detail.show_contact(contact("bob", state))
        assert detail.sharing.isVisible() is shown, state


def test_nothing_can_be_chosen_before_it_was_read(bridge: Bridge, qtbot: QtBot) -> None:
    card = SharingCard(bridge)
    qtbot.addWidget(card)
    card.show()
    card.show_peer("bob")
    card._show([PolicyView("bob", kind, "ask", chosen=True) for kind in card.choices])
    assert all(choice.isEnabled() for choice in card.choices.values())
    card.show_peer("carol")
    assert not any(choice.isEnabled() or choice.currentText() for choice in card.choices.values())
    card._show([PolicyView("bob", "AVAILABILITY", "busy", chosen=True)])  # read for the one shown before
    assert not card.choices["AVAILABILITY"].isEnabled()


def test_the_wheel_scrolls_and_chooses_nothing(bridge: Bridge, qtbot: QtBot) -> None:
    choice = Choice("AVAILABILITY", "When you are free")
    qtbot.addWidget(choice)
    choice.show_level("ask")
    middle = QPointF(choice.rect().center())
    turned = QWheelEvent(
        middle, choice.mapToGlobal(middle), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
        QGuiApplication.keyboardModifiers(), Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(choice, turned)
    assert choice.currentData() == "ask"
    assert not turned.isAccepted()
