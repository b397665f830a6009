"""Two agents behind a bad network: 200 ms late, 20 % of connections cut, half-open ones, messages out of order and twice.

Then the network is gone for two minutes (short: fifteen seconds). In the end both databases are opened: every message
delivered, none shown or acted on twice, each question answered once, both chains verify and agree. Prints how soon both
agents are connected again after the network's return, and what processor time they take while it is gone.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path

from benchmarks.table import Table
from tests.end_to_end.bad_network import Weather
from tests.end_to_end.network_show import NetworkShow

LONG = True
RECONNECTED_S = 2.0
CPU_SHARE = 0.02  # of one core, each agent, while there is no network


def main(short: bool, seed: int | None = None) -> int:
    """Perform, print the table; 1 when anything is wrong in the end or a bound is broken."""
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    print(f"seed {seed}", flush=True)
    items, rounds, seconds = (24, 4, 15.0) if short else (160, 16, 120.0)
    with tempfile.TemporaryDirectory(prefix="agentnet-network-") as folder:
        show = NetworkShow(Path(folder), seed)
        started = time.monotonic()
        with show.running():
            show.storm(Weather(), items, rounds, tell=lambda line: print(line, flush=True))
            stormy = time.monotonic() - started
            outage = show.outage(seconds, items // 4)
            show.close()
        wrong = show.examine()
    for line in wrong:
        print(f"WRONG: {line}", flush=True)
    table = Table(f"A bad network, seed {seed}", ["", "figure"])
    table.row("messages", float(show.messages))
    for fate, count in sorted(show.network.fates.items()):
        table.row(f"connections: {fate}", float(count))
    for whim in ("overtaken", "repeated"):
        table.row(f"frames: {whim}", float(show.network.messages[whim]))
    table.row("seconds in bad weather", stormy)
    table.row("seconds without a network", outage.lasted)
    table.row("CPU seconds of both agents meanwhile", outage.cpu)
    table.bound("things wrong in the end", float(len(wrong)), "<=", 0)
    table.bound("seconds until both are connected again", outage.reconnected, "<=", RECONNECTED_S)
    table.bound("CPU of an agent without a network, cores", outage.cpu / outage.lasted / 2, "<=", CPU_SHARE)
    return table.finish()
