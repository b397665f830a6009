"""A minute of everyday use: the relay answers everything, and neither its memory nor its files grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import FLAT, Seen, soak, table

SECONDS = 50.0


async def test_a_minute_of_use_leaves_the_relays_memory_and_files_as_they_were(tmp_path: Path) -> None:
    seen = await soak(tmp_path, SECONDS)
    assert seen.growth() <= FLAT, seen.memory
    assert table(seen, SECONDS).broken == []
    expected = {"messages": 40, "visits": 4, "watches": 2, "renewals": 1, "refusals": 1, "invites": 0.5}
    for what, a_second in expected.items():
        assert seen.done[what] >= a_second * SECONDS * 0.5, seen.done


@pytest.mark.parametrize(("leak", "broken"), [(0, 0), (20, 0), (100, 1)])
def test_memory_that_grows_for_good_breaks_the_bound_and_a_warm_up_does_not(leak: int, broken: int) -> None:
    warming = [(float(at), 20_000 + 1000 * at) for at in range(20)]
    steady = [(float(at), 40_000 + leak * (at - 20)) for at in range(20, 100)]
    assert len(table(Seen(memory=warming + steady), 100).broken) == broken


def test_files_that_stay_open_break_the_bound() -> None:
    seen = Seen(memory=[(0.0, 40_000)] * 10, files_before=20, files_after=30)
    assert len(table(seen, 10).broken) == 1
