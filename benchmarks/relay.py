"""The relay beside the routers that one would take instead: messages a CPU second, latency, memory.

All get the same bytes from the same load in the same run: 1.1 KB ENCRYPTED envelopes, each to one receiver and
acknowledged to its sender as each router does it (ACK ROUTED, an event, PUBACK, `+OK`).

Each router fills its core, so what counts is messages a second of the router's processor time: on a quiet
machine that is its rate, and on a busy one it still compares. Reach, by medians at 50 pairs: as the desktop
speaks (msgpack, the same content) three times Socket.IO, twice Node's `ws` and 1.2 times Mosquitto; three times
a plain `websockets.asyncio` router with the same JSON bytes; a p99 latency no worse than theirs when all carry
half of what the slowest can; 8 KiB a connection, 180 MiB for 18,000; and a cost a message that stays within
1.5 times from 10 to 10,000 connections. NATS stands beside without a bound: it shows what a compiled router takes
that reads no more than a line of each message.

Where the machine's cores are taken away now and then, for ms each time, p99 is mostly that; p90 stands beside it.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.relay_load import raise_file_limit, resident_kib
from benchmarks.relay_routers import (
    MOSQUITTO,
    OURS,
    OURS_MSGPACK,
    PLAIN,
    SOCKETIO,
    TUNED,
    WINDOW,
    WS,
    Agents,
    Kind,
    agents,
    kinds,
    load,
    running,
)
from benchmarks.table import Table

PAIRS = 50
"""How many pairs the reach is for."""
REACH = {
    SOCKETIO: (OURS_MSGPACK, 3.0),
    WS: (OURS_MSGPACK, 2.0),
    MOSQUITTO: (OURS_MSGPACK, 1.2),
    PLAIN: (OURS, 3.0),
}
KIB_A_CONNECTION = 8.0
MANY, MIB_FOR_MANY = 18_000, 180.0
BUSY_PAIRS = 5
FLAT = 1.5
_FILES_BESIDE = 200
_SHARES = ("p50", "p90", "p99")


@dataclass(frozen=True)
class Size:
    """How much is measured: seconds a run, medians of so many runs, at these numbers of pairs."""

    runs: int
    seconds: float
    pairs: tuple[int, ...]
    connections: int  # idle ones, for the memory of each router
    most: int  # connections, for the cost a message


FULL = Size(runs=5, seconds=3.0, pairs=(1, PAIRS, 500), connections=2000, most=10_000)
SHORT = Size(runs=3, seconds=1.0, pairs=(PAIRS,), connections=1000, most=2000)


def throughput(size: Size, routers: dict[str, Kind], people: Agents, pairs: int) -> tuple[Table, float]:
    """Measure routed messages, all routers in turns, so that a busy machine slows all alike.

    Returns:
        The table, and the messages a second of the slowest of those whose latency is compared.
    """
    rates: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[float]] = defaultdict(list)
    for _ in range(size.runs):
        for name, kind in routers.items():
            with running(kind, people) as at:
                found = load(kind, at, people, pairs=pairs, seconds=size.seconds)
            rates[name].append(found["per_second"])
            costs[name].append(found["cpu_us"])
    rate = {name: statistics.median(each) for name, each in rates.items()}
    cpu = {name: statistics.median(each) for name, each in costs.items()}
    table = Table(
        f"Routed messages: {pairs} pairs, window {WINDOW}, 1.1 KB ENCRYPTED, median of {size.runs}",
        ["router", "messages/s", "CPU µs/message", "messages a CPU second", "ours JSON ×", "ours msgpack ×"],
    )
    for name, cost in cpu.items():
        table.row(name, rate[name], cost, 1e6 / cost, cost / cpu[OURS], cost / cpu[OURS_MSGPACK])
    if pairs == PAIRS:
        for name, (ours, reach) in REACH.items():
            if name in cpu:
                table.bound(f"{ours}: × {name}", cpu[name] / cpu[ours], ">=", reach)
            else:
                table.unjudged(f"{ours}: × {name}")
    return table, min(rate[name] for name in compared(routers))


def compared(routers: dict[str, Kind]) -> list[str]:
    """The routers whose latency and memory are compared: all but the plain ones."""
    return [name for name in routers if name not in (PLAIN, TUNED)]


def latency(
    size: Size, routers: dict[str, Kind], missing: list[str], people: Agents, pairs: int, rate: float
) -> Table:
    """Time each message from when it was due to its receiver, all routers at one rate."""
    late: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in compared(routers)}
    for _ in range(size.runs):
        for name, of_router in late.items():
            with running(routers[name], people) as at:
                found = load(routers[name], at, people, pairs=pairs, seconds=size.seconds, rate=rate)
            for share in _SHARES:
                of_router[share].append(found[f"{share}_us"])
    table = Table(
        f"Latency: {pairs} pairs, {rate:,.0f} messages/s in all, median of {size.runs}",
        ["router", *(f"{share} µs" for share in _SHARES)],
    )
    for name, of_router in late.items():
        table.row(name, *(statistics.median(of_router[share]) for share in _SHARES))
    worst = {name: statistics.median(of_router["p99"]) for name, of_router in late.items()}
    if pairs == PAIRS:
        for name in (SOCKETIO, WS, MOSQUITTO):
            if name in missing:
                table.unjudged(f"{OURS_MSGPACK}: p99 / {name}")
            else:
                table.bound(f"{OURS_MSGPACK}: p99 / {name}", worst[OURS_MSGPACK] / worst[name], "<=", 1.0)
    return table


def memory(size: Size, routers: dict[str, Kind], people: Agents, *, many: bool) -> Table:
    """Measure the memory that idle, authenticated connections take, without TLS."""
    table = Table(
        "Memory of idle connections",
        ["router", "connections", "MiB before", "MiB with", "KiB a connection"],
    )

    def held(name: str, count: int) -> tuple[float, float]:
        with running(routers[name], people) as at:
            before = resident_kib(at[0])
            after = load(routers[name], at, people, idle=count)["kib"]
        table.row(name, f"{count:,}", before / 1024, after / 1024, (after - before) / count)
        return after / 1024, (after - before) / count

    each = {name: held(name, size.connections)[1] for name in compared(routers)}
    table.bound(f"{OURS}: KiB a connection", each[OURS], "<=", KIB_A_CONNECTION)
    if many and raise_file_limit(MANY + _FILES_BESIDE):
        table.bound(f"{OURS}: MiB with {MANY:,}", held(OURS, MANY)[0], "<=", MIB_FOR_MANY)
    elif many:
        table.unjudged(f"{OURS}: MiB with {MANY:,} (too few files may be open)")
    return table


def flatness(size: Size, people: Agents) -> Table:
    """Measure what a message costs when few are connected, and when many more are, who say nothing."""
    steps = [count for count in (10, 100, 1000, 10_000) if count <= size.most]
    table = Table(
        f"Cost a message by connections: {BUSY_PAIRS} pairs busy, the others idle, median of {size.runs}",
        ["connections", "CPU µs/message"],
    )
    costs: dict[int, list[float]] = defaultdict(list)
    kind = Kind("ours")
    for _ in range(size.runs):
        for count in steps:
            with running(kind, people) as at:
                idle = count - 2 * BUSY_PAIRS
                found = load(kind, at, people, pairs=BUSY_PAIRS, idle=idle, seconds=size.seconds)
            costs[count].append(found["cpu_us"])
    cost = {count: statistics.median(each) for count, each in costs.items()}
    for count in steps:
        table.row(f"{count:,}", cost[count])
    table.bound(f"{OURS}: dearest / cheapest", max(cost.values()) / min(cost.values()), "<=", FLAT)
    return table


def main(short: bool) -> int:
    """Run the benchmark.

    Args:
        short: three runs of 1 s instead of five of 3 s, only with 50 pairs, and fewer idle connections.

    Returns:
        0 when the reach is met, as far as this machine has the routers to judge it.
    """
    size = SHORT if short else FULL
    missing: list[str] = []
    routers = kinds(missing)
    raise_file_limit(size.most + _FILES_BESIDE)
    status = 0
    with agents(size.most if short else MANY) as people:
        for pairs in size.pairs:
            chosen = {name: routers[name] for name in (routers if pairs == PAIRS else compared(routers))}
            table, slowest = throughput(size, chosen, people, pairs)
            status |= table.finish()
            status |= latency(size, chosen, missing, people, pairs, slowest / 2).finish()
        status |= memory(size, routers, people, many=not short).finish()
        status |= flatness(size, people).finish()
    return status


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
