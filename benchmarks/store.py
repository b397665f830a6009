"""The database: appending, paging and searching a large log, and starting with a full outbox.

Beside it, in the same run and with the same rows: plain sqlite3 of the standard library, without encryption and
hash chain, with an FTS5 table that holds the words only, as one would write it first.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

from agentnet_desktop.audit.export import ExportFormat, Source, export_log
from agentnet_desktop.audit.filter import parse
from agentnet_desktop.crypto.chain import sign_export
from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.store import audit_log, log_search, outbox
from agentnet_desktop.store.audit_log import NewEntry
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.outbox import OutboxRow
from benchmarks.table import Table, percentile

KEY = bytes(range(32))
START = 1_700_000_000_000
BATCH = 200
PEERS = [f"agent{number}" for number in range(50)]
TYPES = ["PROPOSAL", "QUERY", "RESPONSE", "CONFIRMATION", "ACK", "HEARTBEAT", "HANDSHAKE"]
WORDS = ["lunch", "meeting", "dentist", "review", "planning", "berlin", "online", "budget", "call", "team"]
FILTERS = [
    "meeting",
    "meeting with:agent7",
    "meeting with:rarebob",
    '"rare phrase here"',
    "nosuchword",
    "meeting nosuchword",
    "with:rarebob",
    "from:me type:proposal",
    "type:proposal -with:agent3",
    "-type:heartbeat",
    "-with:agent0 -type:ack -state:delivered",
    "state:failed",
    "state:failed meeting",
    "is:failed",
    "is:queued",
    "is:unverified",
    "is:pinned",
    "is:encrypted lunch",
    "-meeting -lunch -dentist",
    "conv:conv_17",
    "conv:conv_17 lunch",
    "plan*",
    "after:2023-11-15",
    "before:2023-11-15",
    "before:2023-11-15 meeting type:query",
    "after:2030-01-01",
]


def entry(number: int, pick: random.Random) -> NewEntry:
    """A row of a lively agent's log, about 1 KB."""
    rare = number % 50_000 == 49_999
    direction = "out" if number % 2 else "in"
    peer = "rarebob" if rare else PEERS[number % 50]
    words = " ".join(pick.choices(WORDS, k=6))
    text = f"rare phrase here {words}" if rare else words
    failed = number % 10_000 == 5_000
    settled = "FAILED" if failed else "DELIVERED" if direction == "out" else "RECEIVED"
    return NewEntry(
        time=START + number * 500,
        direction=direction,
        message_type=TYPES[number % 7],
        state=settled,
        summary=f"{peer}: {text}",
        peer=peer,
        conversation_id=f"conv_{number % 2_000}",
        message_id=f"msg_{number:012}",
        encrypted=number % 7 < 4,
        verified="bad" if number % 25_000 == 1_000 else "good",
        sent_time=START + number * 500,
        wire=pick.randbytes(600),
        wire_format="msgpack",
        plaintext=b'{"data":{"title":"%s","note":"%s"},"opening":"AA==","seq":1}'
        % (text.encode(), words.encode()),
        security={"sessionId": "sess_1"},
    )


def message(number: int) -> OutboxRow:
    """A message that waits."""
    return OutboxRow(
        message_id=f"msg_{number:012}",
        peer=PEERS[number % 50],
        conversation_id=f"conv_{number % 500}",
        message_type="QUERY",
        content={"queryType": "AVAILABILITY", "parameters": {"note": "x" * 200}},
        envelope_metadata={"priority": "NORMAL"},
        timestamp=START,
        created_at=START,
        expires_at=START * 2,
        sealed=b"s" * 900,
        next_attempt_at=START,
    )


def timed(work: Callable[[], object], repeats: int) -> list[float]:
    """How long each of some repetitions takes, in ms."""
    took: list[float] = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        took.append((time.perf_counter() - begin) * 1000)
    return took


class Plain:
    """The same log in plain sqlite3."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE log (seq INTEGER PRIMARY KEY, time INTEGER, direction TEXT, peer TEXT, conversation TEXT,"
            " message TEXT, type TEXT, state TEXT, summary TEXT, wire BLOB, plaintext BLOB);"
            "CREATE INDEX by_peer ON log (peer, seq); CREATE VIRTUAL TABLE words USING fts5(body, content='');"
        )

    def append(self, first: int, entries: list[NewEntry]) -> None:
        """Appends a batch in one transaction."""
        self.connection.execute("BEGIN")
        self.connection.executemany(
            "INSERT INTO log VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    first + place,
                    e.time,
                    e.direction,
                    e.peer,
                    e.conversation_id,
                    e.message_id,
                    e.message_type,
                    e.state,
                    e.summary,
                    e.wire,
                    e.plaintext,
                )
                for place, e in enumerate(entries)
            ],
        )
        self.connection.executemany(
            "INSERT INTO words(rowid, body) VALUES (?, ?)",
            [
                (first + place, f"{e.summary} {(e.plaintext or b'').decode()}")
                for place, e in enumerate(entries)
            ],
        )
        self.connection.execute("COMMIT")

    def page(self, before: int) -> list[object]:
        """A page by place."""
        return self.connection.execute(
            "SELECT seq, time, direction, peer, conversation, message, type, state, summary FROM log "
            "WHERE seq < ? ORDER BY seq DESC LIMIT 200",
            (before,),
        ).fetchall()

    def search(self, word: str, peer: str) -> list[object]:
        """A page of a word and a peer."""
        return self.connection.execute(
            "SELECT log.* FROM words JOIN log ON log.seq = words.rowid WHERE words MATCH ? AND log.peer = ? "
            "ORDER BY words.rowid DESC LIMIT 200",
            (word, peer),
        ).fetchall()


def fill(db: Database, plain: Plain, rows: int) -> tuple[float, float]:
    """Appends all rows to both and returns rows a second of each."""
    pick = random.Random(7)
    ours = theirs = 0.0
    for first in range(0, rows, BATCH):
        entries = [entry(number, pick) for number in range(first, first + BATCH)]
        begin = time.perf_counter()
        db.write_sync(partial(audit_log.append_many, entries=entries))
        middle = time.perf_counter()
        plain.append(first + 1, entries)
        ours += middle - begin
        theirs += time.perf_counter() - middle
    return rows / ours, rows / theirs


def log_table(db: Database, plain: Plain, rows: int) -> Table:
    """Measures appending and paging."""
    table = Table(f"Log of {rows:,} rows", ["", "ours", "plain sqlite3", "ratio"])
    ours, theirs = fill(db, plain, rows)
    table.row(f"append, rows/s in batches of {BATCH}", ours, theirs, ours / theirs)
    pick = random.Random(8)

    def page(session: Session) -> object:
        return log_search.page(session, (), before_seq=pick.randrange(1, rows), limit=200)

    mine = timed(lambda: db.read_sync(page), 200)
    beside = timed(lambda: plain.page(pick.randrange(1, rows)), 200)
    worst = percentile(mine, 95)
    table.row(
        "page of 200 rows by place, p95 ms", worst, percentile(beside, 95), worst / percentile(beside, 95)
    )
    table.bound("append, rows/s", ours, ">=", 5_000)
    table.bound("page, p95 ms", worst, "<=", 5)
    return table


def filter_table(db: Database, plain: Plain, rows: int) -> Table:
    """Measures the first page of each filter, and its count."""
    table = Table(f"First page of 200 of each filter, {rows:,} rows", ["filter", "p50 ms", "p95 ms", "found"])
    every: list[float] = []
    for expr in FILTERS:
        terms = parse(expr, now_ms=START).terms
        found = len(db.read_sync(partial(log_search.page, terms=terms)))
        took = timed(partial(db.read_sync, partial(log_search.page, terms=terms)), 10)
        every += took
        table.row(expr, percentile(took, 50), percentile(took, 95), found)
    beside = percentile(timed(lambda: plain.search("meeting", "rarebob"), 3), 50)
    table.row("plain sqlite3: meeting with:rarebob", beside, beside, "")
    table.bound("any filter's first page, p95 ms", percentile(every, 95), "<=", 50)
    return table


def proof_table(db: Database, folder: Path, rows: int) -> Table:
    """Measures exporting and verifying the whole log, and the memory that it takes."""
    table = Table(f"Export of {rows:,} rows", ["", "rows/s", "MB written", "MB of memory more"])
    identity = IdentityKey.from_seed(KEY)
    sign = partial(sign_export, identity)
    source = Source("agent", identity.public, "wss://relay.example", START, sign)
    plain = folder / "plain.jsonl"
    for file_format in ExportFormat:
        before = resident()
        begin = time.perf_counter()
        made = export_log(db, folder / "export", source, file_format=file_format)
        speed, more = rows / (time.perf_counter() - begin), resident() - before
        table.row(f"{file_format}", speed, made.size / 1e6, more)
        table.bound(f"{file_format}: rows/s", speed, ">=", 20_000)
        table.bound(f"{file_format}: MB of memory more", more, "<=", 50)
    begin = time.perf_counter()
    with plain.open("w") as out:
        for place in range(1, rows + 1, 500):
            for row in db_rows(folder / "plain.db", place):
                out.write(json.dumps(row, default=repr) + "\n")
    table.row(
        "plain sqlite3 and json.dumps", rows / (time.perf_counter() - begin), plain.stat().st_size / 1e6, ""
    )
    return table


def db_rows(path: Path, place: int) -> list[object]:
    """Some rows of the plain log."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT * FROM log WHERE seq >= ? AND seq < ?", (place, place + 500)
        ).fetchall()


def resident() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def outbox_table(folder: Path, rows: int) -> Table:
    """Measures a start with a full outbox: opening, recovering, the first messages to send, the next deadline."""
    path = folder / "outbox.db"
    db = Database.open(path, KEY, now_ms=lambda: START)

    def add(session: Session, first: int) -> None:
        for number in range(first, first + 1_000):
            outbox.add(session, message(number))

    for first in range(0, rows, 1_000):
        db.write_sync(partial(add, first=first))
    db.close_sync()

    def start() -> object:
        opened = Database.open(path, KEY, now_ms=lambda: START)
        opened.write_sync(lambda session: outbox.recover(session, START))
        first = opened.read_sync(lambda session: outbox.due(session, START, 64))
        opened.read_sync(outbox.next_attempt)
        opened.read_sync(outbox.next_expiry)
        opened.read_sync(outbox.count_waiting)
        opened.close_sync()
        return first

    took = timed(start, 5)
    table = Table(f"Outbox of {rows:,} rows", ["", "ms"])
    table.row("start: open, recover, first 64 due, next deadline, count; p50", percentile(took, 50))
    table.bound("start, s", percentile(took, 95) / 1000, "<=", 1.5)
    return table


def main(short: bool) -> int:
    """Runs all of it; `short` with a tenth of the rows. Returns 1 where a bound is broken."""
    rows = 100_000 if short else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = Database.open(folder / "log.db", KEY, now_ms=lambda: START)
        plain = Plain(folder / "plain.db")
        tables = [log_table(db, plain, rows), filter_table(db, plain, rows)]
        plain.connection.close()
        tables.append(proof_table(db, folder, rows))
        db.close_sync()
        tables.append(outbox_table(folder, 100_000))
    return max(table.finish() for table in tables)
