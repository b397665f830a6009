"""An hour of everyday use, with the relay's memory over time, which must stay flat. Only by name.

Agents talk, come and go, redeem invites and are revoked, bring fresh tokens, watch each other and are refused, at
a modest rate and with the relay's own limits, but for connections and refusals from the one address that there is.

Flat: after a warm-up (the first fifth: caches fill, the allocator makes its arenas), the median memory of the last
third is at most 1.05 times that of the first. An hour so finds what leaks 30 bytes a message or 300 a connection;
a minute only what leaks much more. At the end everybody leaves, and the relay holds no more files than before.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.relay_load import resident_kib
from benchmarks.soak_people import Town
from benchmarks.table import Table
from tests.processes import RelayProcess

LONG = True
RUN_LIMIT_S = 4500.0

FLAT = 1.05
_WARM_UP = 0.2
_PAIRS = 10
_SAMPLES = 240
_SHOWN = 12
_LEAVE_LIMIT_S, _LOOKS = 10.0, 200
_FILES_AFTER = 4  # its database has opened its log meanwhile
_WIDE = (
    *("--limits-address-connections-per-minute", "6000"),
    *("--limits-address-failures-per-minute", "6000"),
    *("--refusal-delay", "0.05"),
)


@dataclass
class Seen:
    """What a soak has seen: the relay's memory by time, the files it held, and what was done."""

    memory: list[tuple[float, int]] = field(default_factory=list)  # s since the start, KiB
    files_before: int = 0
    files_after: int = 0
    done: dict[str, int] = field(default_factory=dict)

    def growth(self) -> float:
        """Median memory of the last third by that of the first, after the warm-up."""
        kept = [kib for _, kib in self.memory[int(len(self.memory) * _WARM_UP) :]]
        third = max(1, len(kept) // 3)
        return statistics.median(kept[-third:]) / statistics.median(kept[:third])


async def soak(folder: Path, seconds: float) -> Seen:
    """Use a relay for so long.

    Args:
        folder: an empty one, for its data.
        seconds: how long; its start and its end come on top.
    """
    relay = RelayProcess(folder, extra=_WIDE)
    relay.start()
    assert relay.process is not None
    try:
        return await _used(relay, relay.process.pid, seconds)
    finally:
        relay.stop()


async def _used(relay: RelayProcess, pid: int, seconds: float) -> Seen:
    seen = Seen(files_before=_files(pid))
    town = Town(relay, _PAIRS)
    rates: dict[Callable[[], Awaitable[None]], float] = {
        town.talk: 40,
        town.visit: 4,
        town.watch: 2,
        town.renew: 1,
        town.be_refused: 1,
        town.invite: 0.5,
    }
    try:
        async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as stack:
            await town.settle(stack)
            for each in town.staying:
                group.create_task(each.listen())
            started = time.monotonic()

            async def look() -> None:
                seen.memory.append((time.monotonic() - started, resident_kib(pid)))

            rates[look] = _SAMPLES / seconds
            async with asyncio.TaskGroup() as busy:
                for work, rate in rates.items():
                    busy.create_task(_keep_up(work, 1 / rate, started + seconds))
    finally:
        town.registry.close()
    seen.done = dict(town.done)
    seen.files_after = await _settled_files(pid, seen.files_before + _FILES_AFTER)
    return seen


async def _keep_up(work: Callable[[], Awaitable[None]], every: float, until: float) -> None:
    """Do something at a rate, one after another; what was late is caught up with."""
    due = time.monotonic()
    while due < until:
        await asyncio.sleep(due - time.monotonic())
        await work()
        due += every
        if time.monotonic() >= until:
            return


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _settled_files(pid: int, most: int) -> int:
    """How many files the relay holds once those who left are forgotten, or when it takes too long."""
    for _ in range(_LOOKS):
        if _files(pid) <= most:
            break
        await asyncio.sleep(_LEAVE_LIMIT_S / _LOOKS)  # the files of another process announce nothing
    return _files(pid)


def table(seen: Seen, seconds: float) -> Table:
    """Memory over time, and the bounds."""
    done = ", ".join(f"{count:,} {what}" for what, count in sorted(seen.done.items()))
    made = Table(f"Soak: {seconds:,.0f} s; {done}", ["at, s", "relay, MiB"])
    step = max(1, len(seen.memory) // _SHOWN)
    for at in range(0, len(seen.memory), step):
        part = seen.memory[at : at + step]
        made.row(f"{part[0][0]:,.0f}", statistics.median(kib for _, kib in part) / 1024)
    made.bound("memory: last third / first third", seen.growth(), "<=", FLAT)
    made.bound(
        "files the relay holds more than before", seen.files_after - seen.files_before, "<=", _FILES_AFTER
    )
    return made


def main(short: bool) -> int:
    """Soak for an hour; `short`: for a minute."""
    seconds = 60.0 if short else 3600.0
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(soak(Path(folder), seconds))
    return table(seen, seconds).finish()


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
