"""What a caller was told is stored survives the death of the process, whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, metrics, settings
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.log_records import entry_hash
from agentnet_desktop.store.opening import check

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("lines", [1, 57, 230])
def test_rows_told_as_stored_survive_sigkill_amid_writes(
    open_db: Callable[..., Database], path: Path, lines: int
) -> None:
    """Each kill falls into the middle of writes: the child never stops by itself."""
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("writing_child.py")), str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert child.stdout is not None
    told: dict[str, int] = {}
    for _ in range(lines):
        parts = child.stdout.readline().split()
        told[parts[0]] = int(parts[1])
    child.send_signal(signal.SIGKILL)
    for line in child.stdout.read().splitlines():
        if len(parts := line.split()) == 2:
            told[parts[0]] = max(told.get(parts[0], 0), int(parts[1]))
    child.stdout.close()
    child.wait()

    db = open_db()
    values = db.read_sync(settings.every)
    counted = db.read_sync(metrics.counters)
    entries = db.read_sync(lambda session: audit_log.entries_from(session, 1, 100_000))
    for lane, number in told.items():
        assert values[f"lane-{lane}"] >= number
    assert values == counted, "a transaction was stored in part"
    assert len(entries) == sum(values.values())
    previous = None
    for stored in entries:
        assert entry_hash(stored) == stored.entry_hash
        assert previous is None or stored.previous_hash == previous
        previous = stored.entry_hash
    assert check(path, bytes(range(32))) == []


def test_what_was_written_is_there_after_closing_and_opening(open_db: Callable[..., Database]) -> None:
    first = open_db()
    first.write_sync(lambda session: settings.put(session, "theme", {"name": "dark"}))
    first.close_sync()
    assert open_db().read_sync(lambda session: settings.get(session, "theme")) == {"name": "dark"}


def test_jobs_queued_before_closing_are_stored(open_db: Callable[..., Database]) -> None:
    first = open_db()

    def job(number: int) -> Callable[[Session], None]:
        return lambda session: settings.put(session, f"s{number}", number)

    futures = [first._the_writer().submit(job(number)) for number in range(50)]
    first.close_sync()
    assert all(future.done() for future in futures)
    assert len(open_db().read_sync(settings.every)) == 50


@pytest.mark.parametrize("keep", [0.31, 0.6, 0.97])
def test_a_half_written_write_ahead_log_loses_only_what_was_not_told(
    open_db: Callable[..., Database], path: Path, tmp_path: Path, keep: float
) -> None:
    """What a power cut leaves of the write-ahead log gives whole transactions, in order, or none."""
    db = open_db()
    for number in range(1, 41):
        db.write_sync(partial(write_one, number=number))
    copy = tmp_path / "copy" / "agent.db"
    copy.parent.mkdir()
    log = path.with_name("agent.db-wal").read_bytes()
    copy.write_bytes(path.read_bytes())
    copy.with_name("agent.db-wal").write_bytes(log[: int(len(log) * keep)])
    after = open_db(at=copy)
    values = after.read_sync(settings.every)
    entries = after.read_sync(lambda session: audit_log.entries_from(session, 1))
    assert [entry.summary for entry in entries] == [str(number) for number in range(1, len(entries) + 1)]
    assert values == ({"number": len(entries)} if entries else {})
    assert keep < 0.5 or len(entries) > 10
    after.close_sync()
    assert check(copy, bytes(range(32))) == []


def write_one(session: Session, number: int) -> None:
    """A setting and a log entry that belong together."""
    settings.put(session, "number", number)
    audit_log.append(session, audit_log.NewEntry(number, "local", "NOTE", "LOCAL", str(number)))
