"""The log as faces read it: pages, filters, details, pins; searches can be cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.agent.events import DeliveryStep, Direction, LogRow, Verified
from agentnet_desktop.agent.log_queries import LogQueries
from agentnet_desktop.audit.export import Source
from agentnet_desktop.audit.filter import FilterError
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import NewEntry, SecurityEvent
from agentnet_desktop.store.engine import Database

PLAINTEXT = b'{"data":{"title":"Dentist"},"opening":"AA==","seq":1}'


def entry(number: int) -> NewEntry:
    """An entry of Bob's or to Carol."""
    odd = number % 2 == 1
    return NewEntry(
        time=1_000 + number,
        direction="in" if odd else "out",
        message_type="QUERY",
        state="RECEIVED" if odd else "QUEUED",
        summary=f"number {number}",
        peer="bob" if odd else "carol",
        conversation_id="conv_1",
        message_id=f"msg_{number}",
        encrypted=True,
        verified="good" if odd else "none",
        wire=b"wire",
        wire_format="msgpack",
        plaintext=PLAINTEXT,
        security={"sessionId": "sess_1"},
    )


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogQueries]:
    """A log of ten entries."""
    db = Database.open(tmp_path / "agent.db", bytes(32), now_ms=lambda: 5_000)
    await db.write(lambda s: audit_log.append_many(s, [entry(n) for n in range(1, 11)]))
    yield LogQueries(db, clock=lambda: 5_000, own_id="alice")
    await db.close()


def places(rows: list[LogRow]) -> list[int]:
    """The rows' places."""
    return [row.seq for row in rows]


async def test_pages_run_in_the_logs_order(log: LogQueries) -> None:
    assert places(await log.page()) == list(range(1, 11))
    assert places(await log.page(limit=3)) == [8, 9, 10]
    assert places(await log.page(before_seq=8, limit=3)) == [5, 6, 7]
    assert places(await log.page(after_seq=4, limit=3)) == [5, 6, 7]
    assert await log.head() == 10


async def test_a_filter_narrows_pages_and_count(log: LogQueries) -> None:
    assert places(await log.page("from:bob", before_seq=7)) == [1, 3, 5]
    assert places(await log.page("from:alice -with:bob dentist", after_seq=4, limit=2)) == [6, 8]
    assert await log.count("is:queued") == 5
    assert await log.count() == 10
    assert places(await log.conversation("conv_1", limit=2)) == [9, 10]
    with pytest.raises(FilterError, match="character 6"):
        await log.page("from:")


async def test_a_row_says_what_was_stored(log: LogQueries) -> None:
    (row,) = await log.rows([1])
    assert row == LogRow(
        1,
        1_001,
        Direction.IN,
        "bob",
        "conv_1",
        "msg_1",
        "QUERY",
        True,
        Verified.GOOD,
        "RECEIVED",
        "number 1",
        4,
    )
    assert places(await log.by_message("msg_7")) == [7]


async def test_a_detail_holds_everything(log: LogQueries) -> None:
    detail = await log.detail(1)
    assert detail is not None
    assert (detail.content, detail.plaintext, detail.wire) == ({"title": "Dentist"}, PLAINTEXT, b"wire")
    assert detail.security["sessionId"] == "sess_1"
    assert len(detail.security["wireHash"]) == len(detail.security["plaintextHash"]) == 64
    assert detail.delivery == (DeliveryStep(1_001, "RECEIVED"),)
    second = await log.detail(2)
    assert second is not None
    assert second.previous_hash == detail.entry_hash
    assert await log.detail(99) is None


async def test_pins_are_shown_and_found(log: LogQueries) -> None:
    row = await log.pin(3, colour="red", comment="odd")
    assert row is not None
    assert row.pinned
    assert [(r.seq, r.pinned) for r in await log.page("is:pinned")] == [(3, True)]
    assert (await log.pins([3]))[3].comment == "odd"
    unpinned = await log.unpin(3)
    assert unpinned is not None
    assert not unpinned.pinned
    assert await log.page("is:pinned") == []
    assert await log.pin(99) is None


async def test_security_events_are_listed(log: LogQueries, tmp_path: Path) -> None:
    event = SecurityEvent(3, 9, "bob", "BAD_SIGNATURE", "Refused.")

    def add(session: Session) -> None:
        audit_log.add_security_event(session, event)

    await log._db.write(add)
    (view,) = await log.security()
    assert (view.seq, view.kind, view.message) == (3, "BAD_SIGNATURE", "Refused.")


async def test_a_cancelled_search_leaves_the_next_one_to_work(log: LogQueries) -> None:
    task = asyncio.ensure_future(log.count("number"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    log.interrupt()
    assert await log.count("number") == 10


async def test_a_log_is_verified_and_exported_from_here(log: LogQueries, tmp_path: Path) -> None:
    key = bytes(range(32))
    seen: list[int] = []
    report = await log.verify(identity_key=key, progress=seen.append)
    assert report.entries == 10
    assert seen == list(range(1, 11))
    source = Source("alice", key, "wss://relay", 5_000, lambda *_end: bytes(64), filter_text="from:bob")
    made = await log.export(tmp_path / "log.jsonl", source, redact=True)
    assert (made.entries, made.stubs) == (5, 5)
    assert "Dentist" not in made.path.read_text()
    with pytest.raises(FilterError):
        await log.export(tmp_path / "x", replace(source, filter_text="from:"))
    assert (await log.disk_use()).entries == 10


async def test_a_cancelled_verification_stops(log: LogQueries) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    go_on = threading.Event()
    seen: list[int] = []

    def progress(place: int) -> None:
        seen.append(place)
        loop.call_soon_threadsafe(started.set)
        go_on.wait(10)

    task = asyncio.ensure_future(log.verify(identity_key=bytes(32), progress=progress))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert await log.count() == 10
    assert seen == [1]
