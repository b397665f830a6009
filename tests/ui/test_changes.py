"""What a counter-proposal changed: compared part by part, and shown where the person decides."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import Slot
from agentnet_desktop.ui import text
from agentnet_desktop.ui.inbox.changes import ChangesCard, changes
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.widgets.labels import Label
from tests.ui import test_main_job
from tests.ui.conftest import HOUR, proposal, until
from tests.ui.test_main_job import Scene

Run = Callable[[Coroutine[Any, Any, None]], None]
scene = test_main_job.scene


def test_equal_revisions_differ_in_nothing() -> None:
    view = proposal()
    assert changes(view, replace(view, revision=2, state="ACCEPTED")) == []


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"location": "Room 5"}, ["Where"]),
        ({"address": "2 Hill Road"}, ["Where"]),
        ({"title": "Other"}, ["Title"]),
        ({"description": "New words"}, ["Description"]),
        ({"meeting_type": "LUNCH"}, ["Kind"]),
        ({"participants": ("alice", "bob", "carol")}, ["With"]),
        ({"expires_at": None}, ["Answer until"]),
        ({"alternatives": (Slot(HOUR, 2 * HOUR, "Café"),)}, ["Or"]),
    ],
)
def test_each_part_that_differs_is_named(more: dict[str, Any], what: list[str]) -> None:
    view = proposal()
    assert [change.what for change in changes(view, replace(view, **more))] == what


def test_another_time_is_told_as_it_was_and_as_it_is() -> None:
    view = proposal()
    (change,) = changes(view, replace(view, start=view.start + HOUR, end=view.end + HOUR))
    assert change.what == "When"
    assert text.short_time(text.at(view.start)) in change.was
    assert text.short_time(text.at(view.end + HOUR)) in change.now
    longer = changes(view, replace(view, end=view.end + HOUR))
    assert [(one.what, one.was, one.now) for one in longer][1] == ("Length", "1 h", "2 h")


def test_what_a_peer_wrote_stays_visible_in_the_comparison() -> None:
    view = proposal()
    (change,) = changes(view, replace(view, title="a\u202eb"))
    assert change.now == "a⟨U+202E⟩b"


def test_old_and_new_are_told_apart_without_colour(theme: ThemeSwitch, qtbot: QtBot) -> None:
    card = ChangesCard()
    qtbot.addWidget(card)
    view = proposal()
    card.show_changes(changes(view, replace(view, location="")))
    labels = [label for label in card.findChildren(Label) if not label.isHidden()]
    assert [label.text() for label in labels if label.font().strikeOut()] == ["Room 4"]
    assert card.accessibleName() == "What changed: Where: was Room 4, is now –"
    card.show_changes([])
    assert "Nothing that you can see differs." in card.accessibleName()


def test_a_counter_proposal_shows_what_it_changed(run: Run, scene: Scene) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            sent = await all_.proposed_by_bob()
            dialog = await all_.asked()
            assert not dialog.widget.changes.isVisible()
            all_.click(dialog.widget.suggest_button)
            panel = dialog.widget.suggest_panel
            panel.day.setDate(panel.day.date().addDays(1))
            all_.click(panel.send)
            await all_.bob_hears(sent)
            mine = await all_.bob.agent.proposal(f"alice/{sent.proposal_id}")
            later = mine.start + 3 * HOUR
            await all_.bob.agent.counter(
                mine.ref,
                start=text.at(later).isoformat(),
                end=text.at(later + HOUR).isoformat(),
                location="Room 9",
            )
            widget = dialog.widget
            await until(lambda: widget.waits and widget.changes.isVisible(), "what changed")
            assert [change.what for change in widget.changes.shown] == ["When", "Where"]
            assert (widget.changes.shown[1].was, widget.changes.shown[1].now) == ("Room 4", "Room 9")
            all_.qtbot.keyClick(dialog, Qt.Key.Key_Escape)

    run(scenario())
