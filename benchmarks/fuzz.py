"""Five minutes of spoilt input for codec, handshake, sealed messages, contents, links and filters. Only by name.

Not a measurement: it fails when anything but a declared error comes out, and says how to see it again. The seed is the
day's, or that of AGENTNET_FUZZ_SEED; the suite does the same for 20 s with a fixed one. See tests/fuzz.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from benchmarks.table import Table
from tests.fuzz.campaign import Escaped, Tally, run
from tests.fuzz.targets import TARGETS

LONG = True
PROCESSES = 2


def main(short: bool) -> int:
    """Fuzz each target for its share of the time; returns 1 when something escaped."""
    seed = int(os.environ.get("AGENTNET_FUZZ_SEED") or time.time() // 86_400)
    seconds = (20 if short else 300) * PROCESSES / len(TARGETS)
    table = Table(
        f"Fuzzing with seed {seed}, {seconds:.0f} s a target", ("", "cases", "cases/s", "ways to fare")
    )
    escaped = []
    with ProcessPoolExecutor(PROCESSES) as pool:
        for name, told in zip(
            TARGETS, pool.map(_campaign, [(name, seed, seconds) for name in TARGETS]), strict=True
        ):
            if isinstance(told, str):
                escaped.append(told)
                table.row(name, "escaped", "", "")
            else:
                table.row(name, told.cases, told.cases / seconds, len(told.outcomes))
    print("\n".join(escaped))
    table.bound("inputs that raised what is not declared", len(escaped), "<=", 0)
    return table.finish()


def _campaign(task: tuple[str, int, float]) -> Tally | str:
    name, seed, seconds = task
    try:
        return run(name, TARGETS[name], seed=seed, seconds=seconds)
    except Escaped as problem:
        return str(problem)


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
