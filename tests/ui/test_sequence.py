"""The sequence of a conversation: lanes, how far each message came, and a click that shows its entry."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import Direction, LogRow, Verified
from agentnet_desktop.ui import text
from agentnet_desktop.ui.log.sequence import ME, RELAY, Reach, diagram, mermaid, svg
from agentnet_desktop.ui.log.sequence_view import SequenceView
from agentnet_desktop.ui.theme.current import ThemeSwitch
from tests.ui import test_main_job
from tests.ui.conftest import until
from tests.ui.test_main_job import TITLE, Scene

Run = Callable[[Coroutine[Any, Any, None]], None]
scene = test_main_job.scene


def entry(seq: int, direction: Direction = Direction.OUT, state: str = "DELIVERED", **more: Any) -> LogRow:
    given: dict[str, Any] = {
        "seq": seq,
        "time": 1_800_000_000_000 + seq,
        "direction": direction,
        "peer": "bob",
        "conversation_id": "conv_1",
        "message_id": f"msg_{seq}",
        "message_type": "PROPOSAL",
        "encrypted": True,
        "verified": Verified.NONE,
        "state": state,
        "summary": "You proposed lunch",
        "size": 100,
    }
    return LogRow(**{**given, **more})


def drawn(*rows: LogRow) -> Any:
    return diagram(rows, name_of=str.title, me="alice", relay="Home relay")


def test_the_lanes_are_this_agent_the_relay_and_the_peers() -> None:
    shown = drawn(entry(1), entry(2, Direction.IN, "RECEIVED", peer="system"), entry(3, peer="Bob"))
    assert shown.lanes == ("alice", "Home relay", "Bob")
    assert [(step.start, step.end) for step in shown.steps] == [(ME, 2), (RELAY, ME), (ME, 2)]


@pytest.mark.parametrize(
    ("direction", "state", "reach"),
    [
        (Direction.OUT, "DELIVERED", Reach.WHOLE),
        (Direction.OUT, "QUEUED", Reach.WAITS),
        (Direction.OUT, "IN_FLIGHT", Reach.RELAY),
        (Direction.OUT, "ROUTED", Reach.RELAY),
        (Direction.OUT, "FAILED", Reach.LOST),
        (Direction.OUT, "EXPIRED", Reach.LOST),
        (Direction.IN, "RECEIVED", Reach.WHOLE),
        (Direction.IN, "REFUSED", Reach.LOST),
        (Direction.LOCAL, "QUEUED", Reach.NOTE),
    ],
)
def test_each_arrow_tells_how_far_its_message_came(direction: Direction, state: str, reach: Reach) -> None:
    (step,) = drawn(entry(1, direction, state)).steps
    assert step.reach is reach


def test_nothing_that_a_peer_wrote_is_read_as_a_command_of_mermaid() -> None:
    words = mermaid(drawn(entry(1, summary='a\nend; Note over L0: "x" #quot; %%')))
    assert len(words.splitlines()) == 5
    assert words.splitlines()[-1].startswith("    L0->>L2: PROPOSAL#58; a␊end#59; Note over L0#58; #34;x")


def test_the_picture_is_well_formed_and_holds_no_markup_of_a_peer() -> None:
    words = svg(drawn(entry(1, summary="<script>x</script> & more"), entry(2, state="FAILED")))
    root = ET.fromstring(words)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags == {"svg", "rect", "text", "line", "polygon"}
    assert "<script>" not in words


def test_a_tooltip_shows_markup_of_a_peer_as_it_was_written() -> None:
    assert text.tooltip("plain words") == "plain words"
    assert text.tooltip("<b>bold</b> & so") == "<span>&lt;b&gt;bold&lt;/b&gt; &amp; so</span>"


def test_steps_are_chosen_by_click_and_by_arrow_keys(theme: ThemeSwitch, qtbot: QtBot) -> None:
    view = SequenceView()
    qtbot.addWidget(view)
    view.resize(700, 300)
    view.show()
    chosen: list[int] = []
    view.step_chosen.connect(chosen.append)
    view.show_diagram(drawn(*(entry(seq) for seq in range(1, 200))), 150)
    assert view.current_seq() == 150
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Home, Qt.Key.Key_End):
        qtbot.keyClick(view, key)
    assert chosen == [151, 150, 1, 199]
    assert "alice to Bob: PROPOSAL" in view.accessibleDescription()
    view.verticalScrollBar().setValue(0)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(300, view._head() + 5))
    assert chosen[-1] == 1
    qtbot.mouseClick(
        view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(300, 2)
    )  # the names choose nothing
    assert chosen[-1] == 1
    assert not view.grab().isNull()


def test_a_click_in_the_sequence_selects_the_entry(run: Run, scene: Scene, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scene() as all_:
            await all_.proposed_by_bob()
            (await all_.asked()).close()
            all_.window.show_log("type:PROPOSAL")
            log = all_.pages.log
            await until(lambda: log.model.rowCount() == 1, "the filtered row")
            log.table.selectRow(0)
            await until(log.details.isVisible, "the details")
            tab = log.details.sequence
            log.details.setCurrentWidget(tab)
            await until(lambda: len(tab.view.shown.steps) > 1, "the conversation")
            proposal = log.table.chosen()
            assert proposal is not None
            assert tab.view.current_seq() == proposal.seq
            assert tab.view.shown.lanes[ME] == "alice"
            assert any(TITLE in step.words for step in tab.view.shown.steps)
            tab.copy.click()
            assert QGuiApplication.clipboard().text().startswith("sequenceDiagram")
            tab.save_to(tmp_path / "talk.svg")
            await until(lambda: "Saved" in tab.line.text(), "the file")
            assert ET.parse(tmp_path / "talk.svg").getroot() is not None
            tab.save_to(tmp_path / "no" / "talk.svg")
            await until(lambda: "cannot be written" in all_.window.notice.text(), "the refusal")
            other = next(step.seq for step in tab.view.shown.steps if step.seq != proposal.seq)
            tab.view.step_chosen.emit(other)
            await until(lambda: (row := log.table.chosen()) is not None and row.seq == other, "the entry")

    run(scenario())
