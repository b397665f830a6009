"""The live log over a real database: paging, following, pausing, filtering, details."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import LogAppended, LogChanged, LogRow
from agentnet_desktop.agent.log_queries import view
from agentnet_desktop.compose import Holder, create_profile, open_profile
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.log.detail import hex_dump
from agentnet_desktop.ui.log.filter_line import suggestions
from agentnet_desktop.ui.log.view import LogPage
from agentnet_desktop.ui.models import log_model
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.log_model import Column, LogModel
from agentnet_desktop.vault.kdf import Kdf
from tests.ui.conftest import until

Run = Callable[[Coroutine[Any, Any, None]], None]
PLAINTEXT = b'{"data":{"title":"Dentist"},"opening":"AA==","seq":1}'
WORDS = "a passphrase that lives as long as a test"


def entry(number: int, **more: Any) -> NewEntry:
    """A message of Bob's; every tenth a heartbeat."""
    beat = number % 10 == 0
    given: dict[str, Any] = {
        "time": 1_700_000_000_000 + number,
        "direction": "in",
        "message_type": "HEARTBEAT" if beat else "QUERY",
        "state": "RECEIVED",
        "summary": f"number {number}",
        "peer": "bob",
        "conversation_id": "conv_1",
        "message_id": f"msg_{number}",
        "encrypted": not beat,
        "verified": "none" if beat else "good",
        "wire": b'{"a":1}',
        "wire_format": "json",
        "plaintext": PLAINTEXT,
        "security": {"sessionId": "sess_1"},
    }
    return NewEntry(**{**given, **more})


class Log:
    """A page over a profile's real log."""

    def __init__(self, holder: Holder, bridge: Bridge) -> None:
        self.holder = holder
        self.bridge = bridge
        self.contacts = ContactsModel(bridge)
        self.model = LogModel(bridge, self.contacts)
        self.page = LogPage(bridge, self.model, self.contacts)
        self.page.resize(1000, 560)
        self.written = 0

    async def write(self, count: int, *, tell: bool = True, **more: Any) -> list[LogRow]:
        """Append entries, and tell of them as the agent does."""
        first = self.written + 1
        self.written += count
        new = [entry(number, **more) for number in range(first, first + count)]
        stored = await self.holder.database.write(lambda session: audit_log.append_many(session, new))
        rows = tuple(view(one) for one in stored)
        if tell:
            self.bridge.dispatch(LogAppended(rows))
        return list(rows)

    def seqs(self) -> list[int]:
        return [row.seq for place in range(self.model.rowCount()) if (row := self.model.row_at(place))]

    def goes_back_before(self, seq: int) -> bool:
        return self.seqs()[0] < seq or self.model.at_oldest

    async def shows_newest(self) -> None:
        await until(lambda: self.seqs()[-1:] == [self.newest()], f"entry {self.newest()} at the end")

    def newest(self) -> int:
        return self.written if self.written % 10 else self.written - 1


@asynccontextmanager
async def log_of(profile: Path, bridge: Bridge, qtbot: QtBot, count: int, **more: Any) -> AsyncIterator[Log]:
    """A shown page over a new profile's log with so many entries."""
    await create_profile(
        profile,
        agent_id="alice",
        relay="ws://127.0.0.1:9",
        key_store="file",
        passphrase=WORDS,
        kdf=Kdf.weak(),
    )
    holder = await open_profile(profile, passphrase=WORDS)
    log = Log(holder, bridge)
    qtbot.addWidget(log.page)
    log.page.show()
    try:
        await log.write(count, tell=False, **more)
        await bridge.attach(holder.agent)
        await log.shows_newest()
        yield log
    finally:
        log.model.cancel()
        bridge.detach()
        await bridge._tasks.cancel_all()
        await holder.close()


def test_the_model_keeps_qts_rules(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot, qtmodeltester: ModelTester
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 30) as log:
            qtmodeltester.check(log.model)
            await log.write(5)
            await log.shows_newest()
            log.page.show_filter("number")
            await until(lambda: log.model.expression.endswith("number"), "the filter")

    run(scenario())


def test_it_follows_while_at_the_bottom(run: Run, profile: Path, bridge: Bridge, qtbot: QtBot) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 65) as log:
            await log.write(7)
            await log.shows_newest()
            bar = log.page.table.verticalScrollBar()
            await until(lambda: bar.value() == bar.maximum(), "the bottom")
            assert not log.page.new_button.isVisible()
            assert 10 not in log.seqs()  # heartbeats are hidden by default
            log.page.heartbeats_button.click()
            await until(lambda: 10 in log.seqs(), "heartbeats")

    run(scenario())


def test_away_from_the_bottom_it_stays_and_counts(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 65) as log:
            bar = log.page.table.verticalScrollBar()
            await until(lambda: bar.maximum() > 0, "a scroll bar")
            bar.setValue(bar.maximum() // 2)
            before, place = log.seqs(), bar.value()
            await log.write(13)  # one is a hidden heartbeat
            await until(lambda: log.page.new_button.text() == "12 new", "the count of new rows")
            assert log.page.new_button.isVisible()
            assert (log.seqs(), bar.value()) == (before, place)
            log.page.new_button.click()
            await log.shows_newest()
            await until(lambda: not log.page.new_button.isVisible(), "the button's end")

    run(scenario())


def test_pause_holds_the_table_still(run: Run, profile: Path, bridge: Bridge, qtbot: QtBot) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 5) as log:
            log.page.pause_button.click()
            before = log.seqs()
            await log.write(3)
            await until(lambda: log.page.new_button.text() == "3 new", "the count of new rows")
            assert log.seqs() == before
            log.page.pause_button.click()
            await log.shows_newest()

    run(scenario())


def test_the_window_of_rows_moves_over_a_long_log(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        count = log_model.WINDOW_ROWS + 1500
        async with log_of(profile, bridge, qtbot, count) as log:
            assert log.model.rowCount() == log_model.PAGE_ROWS
            bar = log.page.table.verticalScrollBar()
            while not log.model.at_oldest:
                known = log.seqs()[0]
                bar.setValue(0)
                log.model.load_older()
                await until(partial(log.goes_back_before, known), "older rows")
                assert log.model.rowCount() <= log_model.WINDOW_ROWS
                assert log.seqs() == sorted(set(log.seqs()))
            assert log.seqs()[0] == 1
            assert not log.model.at_newest
            bar.setValue(bar.maximum())
            log.model.load_newer()
            await until(lambda: log.model.at_newest or log.seqs()[0] > 1, "newer rows")
            QTest.keyClick(log.page.table, Qt.Key.Key_Home)
            await until(lambda: log.seqs()[0] == 1, "the oldest row")
            QTest.keyClick(log.page.table, Qt.Key.Key_End)
            await log.shows_newest()

    run(scenario())


def test_the_filter_line_filters_and_says_what_is_wrong(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 30) as log:
            await log.write(1, peer="carol", message_type="PROPOSAL")
            line = log.page.filter_line
            qtbot.keyClicks(line.edit, "type:PROPOSAL with:carol")
            qtbot.keyClick(line.edit, Qt.Key.Key_Return)
            await until(lambda: log.seqs() == [31], "the one row")
            qtbot.keyClicks(line.edit, " after:nonsense")
            qtbot.keyClick(line.edit, Qt.Key.Key_Return)
            await until(lambda: line.error(), "what is wrong")
            assert "at character" in line.error()
            assert log.seqs() == [31]
            qtbot.keyClick(line.edit, Qt.Key.Key_Escape)
            await until(lambda: len(log.seqs()) > 1, "all rows")
            assert line.error() == ""

    run(scenario())


def test_rows_that_a_filter_hides_are_not_counted_as_new(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 5) as log:
            log.page.show_filter("with:carol")
            await until(lambda: log.seqs() == [], "no rows")
            await log.write(3)
            await log.write(1, peer="carol")
            await until(lambda: log.seqs() == [9], "Carol's row")

    run(scenario())


def test_a_filter_that_is_replaced_is_cancelled(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 5) as log:
            log.model.set_filter("number")
            first = log.model._task
            log.model.set_filter("with:nobody")
            assert first is not None
            await asyncio.wait([first])
            assert first.cancelled()
            await until(lambda: log.seqs() == [], "the second filter's rows")

    run(scenario())


def test_the_detail_shows_what_was_signed_and_what_crossed(
    run: Run, profile: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 4) as log:
            log.page.table.selectRow(1)
            await until(log.page.details.isVisible, "the details")
            details = log.page.details
            assert '"title": "Dentist"' in details.decrypted.code.toPlainText()
            details.decrypted._exact.click()
            assert details.decrypted.code.toPlainText() == PLAINTEXT.decode()
            assert '"a": 1' in details.wire.code.toPlainText()
            assert [details.tabText(place) for place in range(details.count())] == [
                "Summary", "Decrypted", "On the wire", "Security", "Delivery", "Sequence"
            ]  # fmt: skip

    run(scenario())


def test_a_changed_state_changes_its_row(run: Run, profile: Path, bridge: Bridge, qtbot: QtBot) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 3) as log:
            row = log.model.row_at(0)
            assert row is not None
            from dataclasses import replace

            bridge.dispatch(LogChanged((replace(row, state="DELIVERED"), replace(row, seq=999))))
            assert log.model.data(log.model.index(0, Column.STATE)) == "delivered"

    run(scenario())


def test_times_switch_to_utc(run: Run, profile: Path, bridge: Bridge, qtbot: QtBot) -> None:
    async def scenario() -> None:
        async with log_of(profile, bridge, qtbot, 3) as log:
            log.page.utc_button.click()
            assert log.model.data(log.model.index(0, Column.TIME)) == "22:13:20.001"

    run(scenario())


def test_suggestions_complete_the_word_being_typed() -> None:
    assert "type:" in suggestions("t", [])
    assert suggestions("-with:", ["bob"]) == ["-with:bob"]
    assert "is:failed" in suggestions("is:", [])
    assert suggestions("nonsense:", []) == []


def test_a_hex_dump_shows_offsets_and_letters() -> None:
    assert hex_dump(b"AgentNet \x00\xff") == (
        "000000  41 67 65 6e 74 4e 65 74 20 00 ff                 AgentNet .."
    )
