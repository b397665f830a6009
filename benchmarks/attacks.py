"""Refusals compared over 500 tries of each kind, and 10,000 half-open sockets. Only by name.

Reach: all refusals in the same words, the medians of their times within 20 % of each other; with 10,000 sockets
that never finish their request, the relay holds no more than twice its cap for an address, serves others, and a
second such attack leaves its memory within 10 % of what the first one left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from websockets.exceptions import InvalidStatus

from benchmarks.relay_load import resident_kib
from benchmarks.table import Table
from relay.limits import Limits
from relay.upgrade import ENDPOINT
from tests.processes import RelayProcess
from tests.relay.conftest import Client, Net, Person

LONG = True
_UPGRADE = f"GET {ENDPOINT} HTTP/1.1\r\nHost: x\r\n".encode()  # and never its end
_WIDE = (
    *("--limits-address-failures-burst", "100000"),
    *("--limits-address-connections-burst", "100000"),
    *("--authentication-timeout", "600"),
)


async def refusals(tries: int) -> Table:
    """Time refusals of three kinds, in turns."""
    table = Table(f"Refusals: {tries} of each kind", ("kind", "median ms", "p99 ms"))
    with tempfile.TemporaryDirectory() as folder:
        relay = RelayProcess(Path(folder), extra=(*_WIDE, "--refusal-delay", "0.05"))
        relay.start()
        net = Net(relay)
        net.person("alice")
        thief = Person("alice")
        spent: dict[str, list[float]] = {"garbage": [], "wrong key": [], "unknown agent": []}
        texts: set[tuple[int, str, str]] = set()
        for _ in range(tries):
            tokens = ("a.b.c", thief.token(net.url), Person("stranger").token(net.url, "A" * 27))
            for kind, token in zip(spent, tokens, strict=True):
                started = time.perf_counter()
                try:
                    await net.dial("stranger" if kind == "unknown agent" else "alice", token=token)
                    raise AssertionError("a bad token was taken")
                except InvalidStatus as refused:
                    body = json.loads(refused.response.body or b"")
                    texts.add((refused.response.status_code, body["errorCode"], body["message"]))
                spent[kind].append((time.perf_counter() - started) * 1000)
        await net.close()
        relay.stop()
    for kind, each in spent.items():
        table.row(kind, statistics.median(each), statistics.quantiles(each, n=100)[-1])
    medians = [statistics.median(each) for each in spent.values()]
    table.bound("different texts", len(texts), "<=", 1)
    table.bound("slowest kind / fastest kind", max(medians) / min(medians), "<=", 1.2)
    return table


async def half_open(count: int) -> Table:
    """Open sockets that never finish their request, serve others beside them, and let them go."""
    table = Table(f"{count} half-open sockets", ("", "MiB", "held by the relay"))
    with tempfile.TemporaryDirectory() as folder:
        relay = RelayProcess(Path(folder), extra=_WIDE)
        relay.start()
        assert relay.process is not None
        pid, net = relay.process.pid, Net(relay)
        alice = await net.join("alice")
        await alice.settled()
        fresh = resident_kib(pid)
        table.row("fresh", fresh / 1024, sockets(pid))
        await wave(count, relay, alice)  # the first makes the allocator's arenas, which stay
        before = resident_kib(pid)
        table.row("after one attack", before / 1024, sockets(pid))
        held, served = await wave(count, relay, alice)
        after = resident_kib(pid)
        table.row("after another", after / 1024, sockets(pid))
        await net.close()
        relay.stop()
    # Over the cap for an address a connection is refused; over twice that it is cut off without an answer.
    table.bound("files held", held, "<=", 2 * Limits().address_unauthenticated + 50)
    table.bound("ms for another's heartbeat", served, "<=", 100)
    table.bound("memory after the attacks / before any", after / fresh, "<=", 1.1)
    table.bound("memory after another / after one", after / before, "<=", 1.1)
    return table


async def wave(count: int, relay: RelayProcess, alice: Client) -> tuple[int, float]:
    """Attack once; gives the files that the relay held, and the ms that another's heartbeat took meanwhile."""
    assert relay.process is not None
    pid = relay.process.pid
    opened: list[asyncio.StreamWriter] = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            opened.append(writer)
            writer.write(_UPGRADE)
    await alice.settled()
    held = sockets(pid)
    started = time.perf_counter()
    await alice.settled()
    served = (time.perf_counter() - started) * 1000
    for writer in opened:
        writer.transport.abort()
    deadline = time.monotonic() + 30
    while sockets(pid) > 40 and time.monotonic() < deadline:
        await alice.settled()
    return held, served


def sockets(pid: int) -> int:
    """How many files a process holds open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main(short: bool) -> int:
    """Run both; `short` takes 50 tries and 1,500 sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(20_000, hard)), hard))
    first = asyncio.run(refusals(50 if short else 500))
    second = asyncio.run(half_open(1500 if short else 10_000))
    return max(first.finish(), second.finish())


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
