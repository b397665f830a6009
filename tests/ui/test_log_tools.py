"""The live log's tools over a real database: export, opening, comparing, saved filters, pins, copying."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.log_queries import MOST_HISTORY, Filters, kept_filters
from agentnet_desktop.audit.compare import Difference
from agentnet_desktop.audit.export import ExportFormat
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.log.saved import SavedFilters
from tests.ui.conftest import until
from tests.ui.test_log_view import Log, log_of

Run = Callable[[Coroutine[Any, Any, None]], None]


def click(qtbot: QtBot, where: Any) -> None:
    assert where.isEnabled()
    qtbot.mouseClick(where, Qt.MouseButton.LeftButton)


async def export(log: Log, qtbot: QtBot, out: Path, kind: ExportFormat, *, redact: bool = False) -> str:
    """Export what is shown by clicks; gives what the dialog says."""
    dialog = log.page.open_export()
    dialog.format.setCurrentIndex(dialog.format.findData(kind.value))
    dialog.redact.setChecked(redact)
    dialog.path.set_path(out)
    click(qtbot, dialog.go)
    await until(lambda: dialog.notice.text(), "the export's end")
    words = dialog.notice.text()
    assert not dialog.work.isVisible()
    dialog.close()
    return words


@pytest.mark.parametrize("kind", list(ExportFormat))
def test_what_is_shown_is_exported_in_each_format(
    run: Run, profile: Path, tmp_path: Path, bridge: Bridge, qtbot: QtBot, kind: ExportFormat
) -> None:
    out = tmp_path / "log.out"

    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 25) as log:
            await log.write(2, message_type="PROPOSAL")
            log.page.show_filter("type:PROPOSAL")
            await until(lambda: log.seqs() == [26, 27], "the filter")
            words = await export(log, qtbot, out, kind)
            assert words.startswith("2 entries are in")
            assert ("25 more are in it as hashes" in words) == (kind is ExportFormat.JSONL)

    run(scenario())
    assert b"Dentist" in out.read_bytes()


def test_a_redacted_export_says_nothing(
    run: Run, profile: Path, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    out = tmp_path / "log.jsonl"

    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 5) as log:
            await export(log, qtbot, out, ExportFormat.JSONL, redact=True)

    run(scenario())
    assert b"Dentist" not in out.read_bytes()
    assert b"number 3" not in out.read_bytes()


def test_an_export_never_replaces_a_file_unasked_and_can_be_cancelled(
    run: Run, profile: Path, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    there, out = tmp_path / "there.csv", tmp_path / "out.jsonl"
    there.write_text("mine")

    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 1200) as log:
            dialog = log.page.open_export()
            dialog.path.set_path(there)
            assert not dialog.go.isEnabled()
            assert "already" in dialog.notice.text()
            dialog.path.set_path(tmp_path / "no" / "folder.csv")
            assert "no such folder" in dialog.notice.text()
            dialog.path.set_path(out)
            click(qtbot, dialog.go)
            click(qtbot, dialog.work.cancel_button)
            assert "Stopped" in dialog.notice.text()
            assert dialog.go.isEnabled()
            dialog.close()

    run(scenario())
    assert there.read_text() == "mine"
    assert not out.exists()


def test_an_exported_file_opens_with_its_entries_and_what_is_wrong_with_it(
    run: Run, profile: Path, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    out = tmp_path / "log.jsonl"

    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 12) as log:
            await export(log, qtbot, out, ExportFormat.JSONL)
            out.write_bytes(out.read_bytes().replace(b"number 4", b"number 5", 1))
            dialog = log.page.open_exported()
            assert not dialog.open_button.isEnabled()
            dialog.path.set_path(tmp_path / "none")
            assert not dialog.open_button.isEnabled()
            dialog.path.set_path(out)
            click(qtbot, dialog.open_button)
            await until(lambda: dialog.notice.text(), "the report")
            assert "alice" in dialog.whose.text()
            model = dialog.table.model()
            assert model.rowCount() == 11  # heartbeats are not shown, and so not exported
            assert "number 5" in model.index(3, 5).data()
            dialog.path.set_path(profile / "profile.json")
            click(qtbot, dialog.open_button)
            await until(lambda: "not JSON" in dialog.notice.text(), "the refusal")
            dialog.close()

    run(scenario())


def test_comparing_names_what_is_wrong_with_the_files(
    run: Run, profile: Path, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    out = tmp_path / "log.jsonl"

    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 3) as log:
            await export(log, qtbot, out, ExportFormat.JSONL)
            dialog = log.page.open_compare()
            dialog.first.set_path(out)
            assert not dialog.go.isEnabled()
            dialog.second.set_path(out)
            click(qtbot, dialog.go)
            await until(lambda: "logs of two parties" in dialog.notice.text(), "the refusal")
            other = tmp_path / "other.jsonl"
            other.write_bytes(out.read_bytes().replace(b'"agentId":"alice"', b'"agentId":"bob"', 1))
            dialog.second.set_path(other)
            click(qtbot, dialog.go)
            await until(lambda: "tell the same" in dialog.notice.text(), "the comparison")
            lacking = Difference("ONLY_IN_FIRST", "msg_1", 4, "bob's log does not have it.")
            dialog._compared([lacking])
            assert dialog.notice.text() == "Differences: 1."
            assert dialog.differences.item(0).text() == lacking.sentence
            dialog.close()

    run(scenario())


def labels(saved: SavedFilters) -> list[str]:
    saved._fill()
    return [act.text() for act in saved.menu.actions() if act.text()]


def test_filters_are_saved_by_name_and_the_last_ones_are_kept(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 5) as log:
            saved = log.page.saved
            log.page.show_filter("with:bob")
            await until(lambda: saved.filters.history == ("with:bob",), "the history")
            dialog = saved.ask_name()
            assert not dialog.save.isEnabled()
            qtbot.keyClicks(dialog.name, "Bob & me")
            click(qtbot, dialog.save)
            log.page.show_filter("is:failed")
            await until(lambda: len(saved.filters.history) == 2, "the second")
            assert labels(saved)[0] == "Bob && me"
            saved.menu.actions()[0].trigger()
            assert log.page.filter_line.expression() == "with:bob"
            for number in range(MOST_HISTORY + 3):
                saved.used(f"number{number}")
            assert len(saved.filters.history) == MOST_HISTORY
            await until(lambda: stored(log) == saved.filters, "what the agent keeps")
            assert stored(log).saved == {"Bob & me": "with:bob"}
            saved.forget("Bob & me")
            assert saved.filters.saved == {}
            await until(lambda: stored(log).saved == {}, "forgetting it")

    run(scenario())


def test_a_filter_used_before_the_kept_ones_were_read_replaces_none_of_them(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 5) as log:
            await log.holder.agent.log.keep_filters(Filters({"mine": "is:pinned"}, ("with:bob",)))
            await bridge.attach(log.holder.agent)
            log.page.saved.used("is:failed")
            expected = Filters({"mine": "is:pinned"}, ("is:failed", "with:bob"))
            await until(lambda: stored(log) == expected, "both")
            assert log.page.saved.filters == expected

    run(scenario())


def stored(log: Log) -> Filters:
    """What the agent keeps."""
    return log.holder.database.read_sync(kept_filters)


def test_an_entry_is_pinned_copied_and_its_conversation_shown(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 5) as log:
            log.page.resize(1000, 600)
            log.page.table.selectRow(2)
            acts = log.page.details.acts
            await until(acts.isVisible, "the detail")
            click(qtbot, acts.pin)
            await until(lambda: acts.pin.text() == "Unpin", "the pin")
            row = log.model.row_at(2)
            assert row is not None
            assert row.pinned
            click(qtbot, acts.copy)
            copied = json.loads(QGuiApplication.clipboard().text())
            assert (copied["seq"], copied["content"]) == (3, {"title": "Dentist"})
            assert copied["plaintext"]
            log.page.show_filter("is:pinned")
            await until(lambda: log.seqs() == [3], "the pinned one")
            click(qtbot, acts.conversation)
            assert log.page.filter_line.expression() == "conv:conv_1"
            await until(lambda: len(log.seqs()) == 5, "the conversation")
            log.page.table.selectRow(2)
            await until(lambda: acts.pin.text() == "Unpin", "the pinned one's detail")
            click(qtbot, acts.pin)
            await until(lambda: acts.pin.text() == "Pin", "the pin's end")

    run(scenario())
