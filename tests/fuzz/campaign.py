"""Runs a target over spoilt inputs for a while; what it lets out is told with the seed and the input.

The same seed gives the same cases in the same order on every machine; only how many fit into the time differs.
Inputs that fare as none did before join the pool that is spoilt further, so that a campaign works its way inward.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutations import mutate
from tests.fuzz.targets import Target

CORPUS = Path(__file__).parent / "corpus"
_POOL = 3000


class Escaped(AssertionError):
    """Something other than a declared error came out of a target; the message says how to see it again."""


@dataclass
class Tally:
    """How a campaign went.

    Attributes:
        cases: How many inputs were tried.
        outcomes: How often each way to fare was met.
    """

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def corpus(name: str) -> list[bytes]:
    """The kept inputs of a target, in order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def run(name: str, target: Target, *, seed: int, seconds: float, at_least: int = 100) -> Tally:
    """Try kept inputs, then spoilt ones.

    Args:
        name: The target's, which is also its folder in the corpus.
        target: Takes bytes, returns a word, and raises nothing.
        seed: Of all choices.
        seconds: How long.
        at_least: Cases that are tried however long they take.

    Raises:
        Escaped: The target raised.
    """
    rng = random.Random(f"{seed} {name}")
    tally, pool = Tally(), corpus(name)
    for data in pool:
        _try(name, target, data, seed, tally)
    until = time.monotonic() + seconds
    while tally.cases < at_least or time.monotonic() < until:
        data = mutate(rng, rng.choice(pool), pool)
        word = _try(name, target, data, seed, tally)
        if tally.outcomes[word] == 1 and len(pool) < _POOL:
            pool.append(data)
    return tally


def _try(name: str, target: Target, data: bytes, seed: int, tally: Tally) -> str:
    tally.cases += 1
    try:
        word = target(data)
    except Exception as problem:
        raise Escaped(
            f"{name} let {problem!r} out: seed {seed}, case {tally.cases}. To keep the input, write it to "
            f"tests/fuzz/corpus/{name}: bytes.fromhex({data.hex()!r})"
        ) from problem
    tally.outcomes[word] += 1
    return word
