"""Durable one-way messages a second between two agents through a relay, beside what the disk can commit at most.

A message counts when it was sealed, routed, opened, stored and logged by its recipient, and the signed receipt is verified
and logged by its sender: each side commits to SQLCipher with full durability before it sends or acknowledges. Three
processes. Beside it, in the same run: plain sqlite3 (WAL, synchronous=FULL) that commits one row of the same size for
each message, alternately into two databases, as two agents that do nothing else would.
"""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.query_response import responder
from benchmarks.table import Table, percentile
from tests.processes import ROOT, Lines, RelayProcess

MESSAGES_A_SECOND = 600.0
WARM_UP = 300
LIMIT_S = 300.0
_NO_LIMITS = {
    "agent_messages_per_second": 1e6,
    "agent_messages_burst": 1e6,
    "agent_bytes_per_second": 1e9,
    "agent_bytes_burst": 1e9,
    "address_messages_per_second": 1e6,
    "address_messages_burst": 1e6,
    "address_bytes_per_second": 1e9,
    "address_bytes_burst": 1e9,
}


def plain_commits(folder: Path, count: int) -> float:
    """Seconds for one durable commit of 1 KiB for each message in each of two plain databases."""
    databases = [sqlite3.connect(folder / f"plain{number}.db", isolation_level=None) for number in range(2)]
    for database in databases:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE message (number INTEGER PRIMARY KEY, body BLOB)")
    started = time.perf_counter()
    for number in range(count):
        for database in databases:
            database.execute("INSERT INTO message VALUES (?, ?)", (number, b"x" * 1024))
    took = time.perf_counter() - started
    for database in databases:
        database.close()
    return took


@contextlib.contextmanager
def sender(folder: Path, invite: str, link: str) -> Iterator[subprocess.Popen[str]]:
    """Alice in a process of her own, acquainted with Bob."""
    command = [sys.executable, "-m", "benchmarks.sender", str(folder), "alice", invite, link, "bob"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        process.wait(LIMIT_S)


def series(process: subprocess.Popen[str], rounds: int, count: int) -> list[tuple[float, float]]:
    """Seconds, and CPU seconds of the sender, of each round of `count` messages."""
    assert process.stdin is not None
    assert process.stdout is not None
    lines = Lines(process.stdout)
    lines.until("^ready$")
    found = []
    for number in range(rounds + 1):
        process.stdin.write(f"{count if number else WARM_UP}\n")
        line = lines.until("^sent .*", LIMIT_S).group()
        lines.seen.remove(line)
        if number:
            seconds, cpu = map(float, line.split()[1:])
            found.append((seconds, cpu))
    return found


def main(short: bool) -> int:
    """Measure, print the table; 1 when the bound is broken."""
    rounds, count = (2, 1000) if short else (5, 3000)
    with tempfile.TemporaryDirectory(prefix="agentnet-bench-") as name:
        folder = Path(name)
        plain = count / plain_commits(folder, count)
        (folder / "relay").mkdir()
        limits = "".join(f"{key} = {value}\n" for key, value in _NO_LIMITS.items())
        (folder / "relay" / "relay.toml").write_text(f"[limits]\n{limits}")
        relay = RelayProcess(folder / "relay", extra=("--config", str(folder / "relay" / "relay.toml")))
        relay.start()
        try:
            with (
                responder(folder / "bob", relay.invite()) as link,
                sender(folder / "alice", relay.invite_link, link) as alice,
            ):
                found = series(alice, rounds, count)
        finally:
            relay.stop()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    rates = [count / seconds for seconds, _ in found]
    middle = percentile(rates, 50)
    table = Table(f"durable one-way messages, {rounds} x {count}", ["", "messages/s", "ratio"])
    table.row("plain sqlite3, two commits a message", plain, "1.00 x")
    table.row("two agents through a relay, median", middle, f"{middle / plain:.2f} x")
    table.row("… best round", max(rates), f"{max(rates) / plain:.2f} x")
    table.row("… worst round", min(rates), f"{min(rates) / plain:.2f} x")
    cpu = (used.ru_utime + used.ru_stime) / (rounds * count + WARM_UP) * 1000
    table.row("CPU of all processes, ms a message", cpu, "")
    table.bound("durable messages/s", middle, ">=", MESSAGES_A_SECOND)
    return table.finish()
