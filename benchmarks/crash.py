"""1,000 messages while one of two agents or their relay is killed (SIGKILL) at every stage and at random moments.

Queries, proposals and their answers between two agents through a relay, three processes. Each stage of
`tests.end_to_end.stages` is hit once at each agent by turns, the rest by hand. In the end both databases are
opened: every message delivered, none shown or acted on twice, each question answered once, both chains verify and agree.
"""

from __future__ import annotations

import random
import secrets
import tempfile
import time
from pathlib import Path

from benchmarks.table import Table
from tests.end_to_end.crash_show import NAMES, RELAY, Kill, Show
from tests.end_to_end.stages import MESSAGES, STAGES

LONG = True
MESSAGES_WANTED = 1000
KILLS_WANTED = 60


def plan(seed: int, short: bool) -> list[Kill]:
    """Every stage once (short: every fourth), and kills from outside, in an order drawn from the seed."""
    draw = random.Random(seed)
    stages = [*STAGES]
    draw.shuffle(stages)
    kills = [
        Kill(draw.choice(NAMES), stage, draw.randrange(3) if stage.split("/")[0] in MESSAGES else 0)
        for stage in stages[:: 4 if short else 1]
    ]
    kills += [Kill(name) for name in (RELAY, RELAY, *NAMES) for _ in range(1 if short else 4)]
    draw.shuffle(kills)
    return kills


def main(short: bool, seed: int | None = None) -> int:
    """Perform, print the table; 1 when anything is wrong in the end."""
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    print(f"seed {seed}", flush=True)
    kills = plan(seed, short)
    items = (MESSAGES_WANTED // 5 if short else MESSAGES_WANTED) // 4
    with tempfile.TemporaryDirectory(prefix="agentnet-crash-") as folder:
        show = Show(Path(folder), seed)
        started = time.monotonic()
        with show.running():
            show.perform(kills, items, tell=lambda line: print(line, flush=True))
        took = time.monotonic() - started
        wrong = show.examine()
    for line in wrong:
        print(f"WRONG: {line}", flush=True)
    table = Table(f"Crashes, seed {seed}", ["", "count"])
    table.row("messages", float(show.messages))
    table.row("kills", float(sum(show.hit.values())))
    table.row("stages hit", float(len(show.hit) - ("by hand" in show.hit)))
    table.row("seconds", took)
    table.bound("things wrong in the end", float(len(wrong)), "<=", 0)
    if not short:
        table.bound("messages", float(show.messages), ">=", MESSAGES_WANTED)
        table.bound("kills", float(sum(show.hit.values())), ">=", KILLS_WANTED)
        table.bound("stages hit", float(len(show.hit) - 1), ">=", len(STAGES))
    return table.finish()
