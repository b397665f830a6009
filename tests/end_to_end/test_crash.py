"""The crash show with ten kills; `benchmarks/crash.py` performs it with every stage and 1,000 messages."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.crash_show import RELAY, Kill, Show

SEED = 20_261
KILLS = (
    Kill("alice", "QUERY/uncommitted"),
    Kill("bob", "PROPOSAL/committed"),
    Kill("alice", "PROPOSAL/written"),
    Kill("bob", "ROUTED/received"),
    Kill(RELAY),
    Kill("alice", "DELIVERED/uncommitted"),  # received and opened, not stored
    Kill("bob", "DELIVERED/committed", 1),  # stored, not acknowledged
    Kill("alice", "CONFIRMATION/committed"),
    Kill("bob", "HANDSHAKE_RESPONSE/committed"),
    Kill("alice"),
)
ITEMS = 12


def test_ten_kills_lose_nothing_and_show_nothing_twice(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    show = Show(tmp_path, SEED)
    with show.running():
        show.perform(KILLS, ITEMS, tell=print)
    assert show.examine() == []
    assert sum(show.hit.values()) == len(KILLS)
