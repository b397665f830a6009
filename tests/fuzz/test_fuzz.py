"""Whatever bytes come: nothing but the declared errors, for 20 s in all. `python3 run.py bench fuzz` takes longer."""

from __future__ import annotations

import pytest

from tests.fuzz.campaign import CORPUS, Escaped, corpus, run
from tests.fuzz.targets import TARGETS

SECONDS = 17 / len(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_the_declared_errors_comes_out(name: str) -> None:
    tally = run(name, TARGETS[name], seed=1, seconds=SECONDS)
    assert len(tally.outcomes) > 3  # it got further than being told that this is not JSON


@pytest.mark.parametrize("name", TARGETS)
def test_the_kept_inputs_reach_both_what_is_taken_and_what_is_refused(name: str) -> None:
    assert len({TARGETS[name](data) for data in corpus(name)}) > 1


def test_no_kept_input_is_large_or_without_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert [path for path in CORPUS.rglob("*") if path.is_file() and path.stat().st_size > 8192] == []


def test_what_escapes_is_told_with_its_seed_and_input() -> None:
    def careless(data: bytes) -> str:
        return str(data.decode("ascii").count("x"))  # bytes over 127 are an undeclared error

    with pytest.raises(Escaped, match=r"seed 7, case \d+.*bytes\.fromhex\('[0-9a-f]+'\)"):
        run("filters", careless, seed=7, seconds=60)


def test_the_same_seed_gives_the_same_cases_again() -> None:
    def cases(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def watch(data: bytes) -> str:
            seen.append(data)
            return str(len(seen) % 7)

        run("wire_json", watch, seed=seed, seconds=0)
        return seen

    assert cases(1) == cases(1)
    assert cases(1) != cases(2)
