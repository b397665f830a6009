"""The load of the relay benchmark: pairs of agents on raw sockets, cheap enough not to be what is measured.

Either each sender keeps a window of messages in flight and sends one more for each acknowledgement, or all
send at a rate, and each message's way to its receiver is timed from the moment it was due. Run as
`python -m benchmarks.relay_load`, with the work as JSON on stdin and the figures as JSON on stdout.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from benchmarks.relay_wires import Wire, make
from benchmarks.table import percentile

_AT_ONCE = 64
"""Connections being opened at a time."""
_PORTS_AN_ADDRESS = 5000
"""Connections that come from one loopback address; after so many comes the next."""
_CONNECT_LIMIT_S = 60.0
_DRAIN_LIMIT_S = 5.0


class Agent(asyncio.Protocol):
    """One connection: counts what comes, refills its window, or times what its peer sent."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.transport: Any = None
        self.count = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self.refills = False
        self.due: deque[float] | None = None  # when each message under way to this agent was due
        self.late: list[tuple[float, float]] = []  # when it was due, and how long after that it was here
        self._rest = b""
        self._all_here: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self.transport = transport
        self.transport.write(self.wire.hello)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it: no connection may be lost under load."""
        del exc
        self.is_lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed before it was let in"))

    def data_received(self, data: bytes) -> None:
        """Count messages and acknowledgements."""
        if self._rest:
            data = self._rest + data
        wire = self.wire
        try:
            used, count = wire.read(data)
        except ConnectionError as problem:
            if not self.ready.done():
                self.ready.set_exception(problem)
            self.transport.close()
            return
        self._rest = data[used:] if used < len(data) else b""
        if wire.reply:
            self.transport.write(wire.reply)
            wire.reply = b""
        if wire.is_ready and not self.ready.done():
            self.ready.set_result(None)
        self.count += count
        if self.refills and count:
            self.transport.write(wire.messages(count))
        elif self.due is not None:
            now = time.perf_counter()
            for _ in range(count):
                due = self.due.popleft()
                self.late.append((due, now - due))
            if self._all_here is not None and not self.due:
                self._all_here.set_result(None)
                self._all_here = None

    async def emptied(self) -> None:
        """Wait until nothing is under way to this agent."""
        if self.due:
            self._all_here = asyncio.get_running_loop().create_future()
            await self._all_here


class Pace:
    """Sends at a rate, in turns over all pairs. Its core is its own: it looks at the clock without pause."""

    def __init__(self, pairs: list[tuple[Agent, Agent]], rate: float, starts: float, ends: float) -> None:
        self.pairs = pairs
        self.gap = 1 / rate
        self.next_at, self.ends = starts, ends
        self.sent = 0
        self.loop = asyncio.get_running_loop()
        self.ended = self.loop.create_future()

    def turn(self) -> None:
        """Send what is due, and come again."""
        now = time.perf_counter()
        while self.next_at <= now:
            if self.next_at >= self.ends:
                self.ended.set_result(None)
                return
            sender, receiver = self.pairs[self.sent % len(self.pairs)]
            assert receiver.due is not None
            receiver.due.append(self.next_at)
            sender.transport.write(sender.wire.messages(1))
            self.sent += 1
            self.next_at += self.gap
        self.loop.call_soon(self.turn)


async def run(work: dict[str, Any]) -> dict[str, Any]:
    """Connect everyone, load the router, and measure.

    Args:
        work: `host`, `port`, `pid`, `wire`, `subprotocol`, `window`, `rate` (0: as fast as it goes),
            `seconds` (0: only connect), `warmup`, `pairs` and `idle`, as `relay_routers.work` makes them.
    """
    opening = Opening(work)
    made = await asyncio.gather(
        *(opening.agent(one) for pair in work["pairs"] for one in pair), *(map(opening.agent, work["idle"]))
    )
    pairs = [(made[2 * n], made[2 * n + 1]) for n in range(len(work["pairs"]))]
    found: dict[str, Any] = {}
    gc.disable()  # its pauses would be measured
    if work["seconds"]:
        found = await (paced(work, pairs) if work["rate"] else saturated(work, pairs))
    else:
        await asyncio.sleep(1)  # what a router frees after connecting, it may free
    lost = sum(agent.is_lost for agent in made)
    return {**found, "lost": lost, "kib": resident_kib(work["pid"])}


async def saturated(work: dict[str, Any], pairs: list[tuple[Agent, Agent]]) -> dict[str, float]:
    """Keep all windows full."""
    for sender, _ in pairs:
        sender.refills = True
        sender.transport.write(sender.wire.messages(work["window"]))
    await asyncio.sleep(work["warmup"])
    before, cpu, started = _counted(pairs), cpu_seconds(work["pid"]), time.perf_counter()
    await asyncio.sleep(work["seconds"])
    after, cpu_after, ended = _counted(pairs), cpu_seconds(work["pid"]), time.perf_counter()
    return {
        "per_second": (after - before) / (ended - started),
        "cpu_us": (cpu_after - cpu) / max(after - before, 1) * 1e6,
    }


def _counted(pairs: list[tuple[Agent, Agent]]) -> int:
    return sum(sender.count for sender, _ in pairs)


async def paced(work: dict[str, Any], pairs: list[tuple[Agent, Agent]]) -> dict[str, float]:
    """Send at the rate, and time each message."""
    for _, receiver in pairs:
        receiver.due = deque()
    starts = time.perf_counter()
    measured = starts + work["warmup"]
    pace = Pace(pairs, work["rate"], starts, measured + work["seconds"])
    pace.turn()
    await pace.ended
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_LIMIT_S):
            for _, receiver in pairs:
                await receiver.emptied()
    late = [took for _, receiver in pairs for due, took in receiver.late if due >= measured]
    return {
        "p50_us": percentile(late, 50) * 1e6,
        "p90_us": percentile(late, 90) * 1e6,
        "p99_us": percentile(late, 99) * 1e6,
        "missing": sum(len(receiver.due or ()) for _, receiver in pairs),
    }


class Opening:
    """Opens connections, some at a time, from as many loopback addresses as the ports need."""

    def __init__(self, work: dict[str, Any]) -> None:
        self.work = work
        self.opened = 0
        self._some = asyncio.Semaphore(_AT_ONCE)

    async def agent(self, agent: dict[str, Any]) -> Agent:
        """Open one connection and wait until it is let in."""
        work = self.work
        async with self._some, asyncio.timeout(_CONNECT_LIMIT_S):
            number, self.opened = self.opened // _PORTS_AN_ADDRESS, self.opened + 1
            local = (f"127.0.0.{number + 1}", 0) if number else None
            wire = make(work["wire"], work["subprotocol"], agent)
            _, made = await asyncio.get_running_loop().create_connection(
                lambda: Agent(wire), work["host"], work["port"], local_addr=local
            )
            await made.ready
            return made


def raise_file_limit(files: int) -> bool:
    """Let this process and those it starts hold so many files open; whether they may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, hard)))
        except (ValueError, OSError):
            return False
    return True


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """The memory that a process has resident, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError("no VmRSS")


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(json.load(sys.stdin)))))
