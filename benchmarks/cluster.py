"""Two relays joined by NATS beside one relay: what a message costs that has to cross.

The same pairs, messages and limits in the same run, in turns: all at one relay; all at one relay that has NATS
configured, which must cost no more; senders at one relay and receivers at another. What counts is processor time a
message, of both relays together, without NATS itself: they share this machine with NATS and the load. A message that
crosses is read by both relays, and answered over NATS, through a client in Python; the bound is there to notice when
that grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks.relay_load import Agent, Opening, cpu_seconds, resident_kib
from benchmarks.relay_routers import MSGPACK, ROOT, WINDOW, Agents, agents, envelope
from benchmarks.table import Table

PAIRS = 50
ALONE, JOINED, ACROSS = "one relay", "one relay, NATS configured", "two relays"
LOCAL_DEARER = 1.2
"""How much dearer a message that stays may be where NATS is configured."""
DEARER = 8.0
"""How much dearer a message that crosses may be, for both relays together."""
IDLE = 1000
KIB_MORE = 8.0
"""How much more memory an idle connection may take where NATS is configured."""
_WARM_UP_S = 0.5
_READY_LIMIT_S = 10.0


@contextlib.contextmanager
def nats_server() -> Iterator[str]:
    """Run a NATS server on a free port; gives its address."""
    program = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("the Debian package nats-server must be installed")
    command = [program, "-a", "127.0.0.1", "-p", "-1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        port = next(line for line in process.stderr if "client connections on" in line).rpartition(":")[2]
        yield f"nats://127.0.0.1:{int(port)}"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextlib.contextmanager
def relay(people: Agents, *options: str) -> Iterator[tuple[int, str]]:
    """Run a relay; gives its process id and address."""
    people.let_in()
    command = [sys.executable, "-m", "relay", "serve", "--port", "0", "--drain", "0"]
    command += ["--data-dir", str(people.folder), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = next(line for line in process.stdout if line.startswith("listening on ")).split()[-1]
        yield process.pid, url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_READY_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def opening(url: str) -> Opening:
    """Opens connections to a relay."""
    port = int(url.rpartition(":")[2])
    return Opening({"host": "127.0.0.1", "port": port, "wire": "ours", "subprotocol": MSGPACK})


async def connected(people: Agents, url: str, pairs: list[tuple[str, str]]) -> list[Agent]:
    """Connect agents to a relay; each is to send to its peer, or "" for nobody."""
    at = opening(url)

    def one(name: str, peer: str) -> dict[str, Any]:
        body = envelope(name, peer, MSGPACK).decode("latin-1") if peer else ""
        return {"name": name, "peer": peer, "headers": people.headers(name, url), "body": body}

    return list(await asyncio.gather(*(at.agent(one(*pair)) for pair in pairs)))


async def routed(
    people: Agents, senders_at: tuple[int, str], receivers_at: tuple[int, str], seconds: float
) -> tuple[float, float]:
    """Keep the windows of all pairs full.

    Returns:
        Messages a second, and µs of processor time a message, of both relays.
    """
    names = list(people.keys)
    pairs = list(zip(names[: 2 * PAIRS : 2], names[1 : 2 * PAIRS : 2], strict=True))
    receivers = await connected(people, receivers_at[1], [(receiver, "") for _, receiver in pairs])
    senders = await connected(people, senders_at[1], pairs)
    await asyncio.sleep(_WARM_UP_S)  # NATS must know who listens
    pids = {senders_at[0], receivers_at[0]}
    for sender in senders:
        sender.refills = True
        sender.transport.write(sender.wire.messages(WINDOW))
    await asyncio.sleep(_WARM_UP_S)
    before, cpu, started = sum(s.count for s in senders), sum(map(cpu_seconds, pids)), time.perf_counter()
    await asyncio.sleep(seconds)
    count, took = sum(s.count for s in senders) - before, time.perf_counter() - started
    cost = (sum(map(cpu_seconds, pids)) - cpu) / max(count, 1) * 1e6
    arrived = sum(receiver.count for receiver in receivers)
    for agent in [*senders, *receivers]:
        agent.refills = False
        agent.transport.abort()
    if arrived < count:
        raise RuntimeError(f"{count} messages were acknowledged, and {arrived} arrived")
    return count / took, cost


async def idle(people: Agents, at: tuple[int, str]) -> float:
    """The KiB that each of many idle connections takes."""
    before = resident_kib(at[0])
    made = await connected(people, at[1], [(name, "") for name in list(people.keys)[:IDLE]])
    await asyncio.sleep(1)
    after = resident_kib(at[0])
    for agent in made:
        agent.transport.abort()
    return (after - before) / IDLE


def main(short: bool) -> int:
    """Run the benchmark.

    Args:
        short: three runs of 1 s, instead of five of 3 s.

    Returns:
        0 when the bounds are kept.
    """
    import uvloop

    runs, seconds = (3, 1.0) if short else (5, 3.0)
    rates: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, float] = {}
    gc.disable()  # its pauses would be measured
    with (
        agents(IDLE) as people,
        nats_server() as nats,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        contextlib.ExitStack() as stack,
    ):
        alone = stack.enter_context(relay(people))
        first, second = (stack.enter_context(relay(people, "--nats", nats)) for _ in "ab")
        for name, at in ((ALONE, alone), (JOINED, first)):
            memory[name] = runner.run(idle(people, at))
        for _ in range(runs):
            for name, sends, takes in (
                (ALONE, alone, alone),
                (JOINED, first, first),
                (ACROSS, first, second),
            ):
                rate, cost = runner.run(routed(people, sends, takes, seconds))
                rates[name].append(rate)
                costs[name].append(cost)
    table = Table(
        f"Routed messages across relays: {PAIRS} pairs, window {WINDOW}, 1.1 KB, msgpack, median of {runs}",
        ["", "messages/s", "CPU µs/message", "× one relay", "KiB a connection"],
    )
    cost_of = {name: statistics.median(each) for name, each in costs.items()}
    for name, cost in cost_of.items():
        kib = memory.get(name, "")
        table.row(name, statistics.median(rates[name]), cost, cost / cost_of[ALONE], kib)
    table.bound(f"{JOINED}: CPU / {ALONE}", cost_of[JOINED] / cost_of[ALONE], "<=", LOCAL_DEARER)
    table.bound(f"{ACROSS}: CPU / {ALONE}", cost_of[ACROSS] / cost_of[ALONE], "<=", DEARER)
    table.bound(f"{JOINED}: KiB more a connection", memory[JOINED] - memory[ALONE], "<=", KIB_MORE)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
