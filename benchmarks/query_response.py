"""QUERY to RESPONSE over loopback: two agents through a relay, three processes in all, beside a bare echo.

A round is what a person waits for: the query is written to the outbox and sealed, crosses the relay, is verified, opened,
logged and answered from working hours, and the answer comes back the same way; each side commits durably to SQLCipher
before it sends or acknowledges. The echo is `websockets.asyncio` sending 1 KiB to itself over loopback, in this process and run.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import websockets.asyncio.client
import websockets.asyncio.server

from benchmarks.table import Table, percentile
from tests.end_to_end.people import LIMIT_S, Person, new_person
from tests.processes import ROOT, Lines, RelayProcess

P50_LIMIT_MS = 10.0
WARM_UP = 20
PARAMETERS = {
    "startDate": "2030-05-06T00:00:00Z",
    "endDate": "2030-05-10T00:00:00Z",
    "timeZone": "Europe/Berlin",
    "durationMinutes": 30,
}


async def echo_rounds(rounds: int) -> list[float]:
    """Round trips, in ms, of 1 KiB through a bare WebSocket echo."""

    async def echo(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    times = []
    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        uri = f"ws://127.0.0.1:{port}"
        async with websockets.asyncio.client.connect(uri, compression=None, proxy=None) as client:
            for number in range(WARM_UP + rounds):
                started = time.perf_counter()
                await client.send(b"x" * 1024)
                await client.recv()
                if number >= WARM_UP:
                    times.append((time.perf_counter() - started) * 1000)
    return times


async def query_rounds(alice: Person, rounds: int) -> list[float]:
    """Round trips, in ms, from the query's command to its answer."""
    times = []
    for number in range(WARM_UP + rounds):
        started = time.perf_counter()
        request = await alice.agent.query("bob", "AVAILABILITY", PARAMETERS)
        answer = await alice.agent.wait_query(request, LIMIT_S)
        if answer is None or answer.error is not None:
            raise RuntimeError(f"round {number} was not answered: {answer}")
        if number >= WARM_UP:
            times.append((time.perf_counter() - started) * 1000)
    return times


@contextlib.contextmanager
def responder(folder: Path, invite: str) -> Iterator[str]:
    """Bob in a process of his own; yields his contact link."""
    command = [sys.executable, "-m", "benchmarks.responder", str(folder), "bob", invite]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Lines(process.stdout).until("^agentnet://contact/.*").group()
    finally:
        process.stdin.close()
        process.wait(LIMIT_S)


async def measure(folder: Path, rounds: int, link: str, invite: str) -> tuple[list[float], list[float]]:
    """Both series in one run: the echo, then the agents."""
    async with new_person(folder / "alice", "alice", invite) as alice:
        await alice.connected()
        await alice.agent.add_contact(link)
        if await alice.agent.wait_contact("bob", LIMIT_S) is None:
            raise RuntimeError("no session came about")
        return await echo_rounds(rounds), await query_rounds(alice, rounds)


def run(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Start the relay and Bob, each a process, and measure from Alice's."""
    relay = RelayProcess(folder / "relay")
    relay.start()
    try:
        with responder(folder / "bob", relay.invite()) as link:
            return asyncio.run(measure(folder, rounds, link, relay.invite_link))
    finally:
        relay.stop()


def main(short: bool) -> int:
    """Measure, print the table; 1 when the bound is broken."""
    rounds = 150 if short else 600
    with tempfile.TemporaryDirectory(prefix="agentnet-bench-") as folder:
        echo, query = run(Path(folder), rounds)
    table = Table(f"QUERY to RESPONSE, {rounds} rounds", ["", "p50 ms", "p95 ms", "p99 ms", "ratio of p50"])
    base = percentile(echo, 50)
    for name, times in (("bare websockets echo, 1 KiB", echo), ("two agents through a relay", query)):
        p50 = percentile(times, 50)
        table.row(name, p50, percentile(times, 95), percentile(times, 99), f"{p50 / base:.1f} x")
    table.bound("p50 of QUERY to RESPONSE, ms", percentile(query, 50), "<=", P50_LIMIT_MS)
    return table.finish()
