"""Refusals compared over 500 tries of each kind, 10,000 half-open sockets, and others under attack. Only by name.

Reach: all refusals in the same words, the medians of their times within 20 % of each other; with 10,000 sockets
that never finish their request, the relay holds no more than twice its cap for an address, serves others, and
its memory returns to within 10 % of what it was; under each attack of `benchmarks.attackers`, with the relay's
default limits, the p99 latency of others' messages stays within three times what it is without. The relay has one
core, the attackers and the others the other one, where the attackers get what the others leave (SCHED_IDLE). Nobody
may leave their core: the scheduler likes to wake the others beside the relay that has just written to them, and
they then wait for it to sleep, which is no latency of the relay's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from websockets.exceptions import InvalidStatus

from benchmarks.attackers import ATTACKS
from benchmarks.relay_load import resident_kib
from benchmarks.table import Table, percentile
from relay.limits import Limits
from relay.upgrade import ENDPOINT
from tests.processes import ROOT, RelayProcess
from tests.relay.conftest import Client, Net, Person

LONG = True
_UPGRADE = f"GET {ENDPOINT} HTTP/1.1\r\nHost: x\r\n".encode()  # and never its end
PAIRS: Final = 4
RATE: Final = 40
_MALLORIES: Final = [f"mallory-{number}" for number in range(4)]
_SEALED: Final = {
    "encryptedData": "A" * 684,
    "nonce": "A" * 32,
    "signature": "A" * 86 + "==",
    "originalType": "QUERY",
    "sessionId": "sess_1",
    "commitment": "A" * 43 + "=",
}
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


async def others(attack: str, seconds: float, table: Table, core: int) -> tuple[float, float]:
    """Time the others' messages without an attack and under it, with the relay on a core.

    Returns:
        The ratios of p99 and of memory.
    """
    compression = ("--compression",) if attack == "compression bombs" else ()
    with tempfile.TemporaryDirectory() as folder:
        relay = RelayProcess(Path(folder), extra=compression)
        relay.start()
        assert relay.process is not None
        pid, net = relay.process.pid, Net(relay)
        seeds = [person.key.private_bytes_raw() for person in map(net.person, _MALLORIES)]
        stay_on(core, pid)
        pairs = [[await net.join(f"{name}-{pair}") for name in ("alice", "bob")] for pair in range(PAIRS)]
        await exchange(pairs, 1)
        fresh, calm = resident_kib(pid), await exchange(pairs, seconds)
        work = {"attack": attack, "port": relay.port, "url": net.url, "seeds": [seed.hex() for seed in seeds]}
        with attackers(work):
            hot = await exchange(pairs, seconds)
        await exchange(pairs, 2)
        after = resident_kib(pid)
        await net.close()
        relay.stop()
    ratio, memory = percentile(hot, 99) / percentile(calm, 99), after / fresh
    table.row(
        attack,
        *(percentile(each, rank) for rank in (50, 99) for each in (calm, hot)),
        ratio,
        fresh / 1024,
        memory,
    )
    return ratio, memory


@contextlib.contextmanager
def attackers(work: dict[str, Any]) -> Iterator[None]:
    """The attackers at work, on this process' core."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.attackers"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(json.dumps(work) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        yield
        process.stdin.close()


def stay_on(core: int, pid: int) -> None:
    """Keep all threads of a process, and whatever they start, on one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


async def exchange(pairs: list[list[Client]], seconds: float) -> list[float]:
    """Have all pairs exchange messages at a steady rate; gives how long each was on its way, in ms."""
    spent: list[float] = []

    async def one(pair: list[Client], start: float) -> None:
        alice, bob = pair
        for number in range(int(seconds * RATE)):
            due = start + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            started = time.perf_counter()
            await alice.send(alice.envelope("ENCRYPTED", bob.agent_id, _SEALED))
            await bob.until("ENCRYPTED")
            spent.append((time.perf_counter() - started) * 1000)
            await alice.until("ACK")

    start = time.perf_counter()
    shift = 1 / RATE / len(pairs)
    await asyncio.gather(*(one(pair, start + number * shift) for number, pair in enumerate(pairs)))
    return spent


async def under_attack(seconds: float) -> Table:
    """Every attack in turn, each on a relay of its own. This process stays on the last core afterwards."""
    cores = sorted(os.sched_getaffinity(0))
    stay_on(cores[-1], os.getpid())
    columns = ("", "p50 ms", "attacked", "p99 ms", "attacked", "ratio", "MiB", "after / before")
    table = Table(f"Others under attack: {PAIRS} pairs, {RATE} messages a second each", columns)
    found = {attack: await others(attack, seconds, table, cores[0]) for attack in ATTACKS}
    for attack, (ratio, memory) in found.items():
        table.bound(f"{attack}: p99 attacked / calm", ratio, "<=", 3)
        table.bound(f"{attack}: memory after / before", memory, "<=", 1.1)
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
    """Run all three; `short` takes 50 tries, 1,500 sockets, and 2 seconds an attack instead of 10."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(20_000, hard)), hard))
    tables = [
        asyncio.run(refusals(50 if short else 500)).finish(),
        asyncio.run(half_open(1500 if short else 10_000)).finish(),
        asyncio.run(under_attack(2 if short else 10)).finish(),
    ]
    return max(tables)


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
