"""What has been received in one session and direction: order, gaps, duplicates, and what came late.

Implements docs/protocol.md section 7.9 (duplicates, order, poison). One `ReceiveWindow` a session; it is stored with
the session, in the transaction that stores the message. Does not keep messages (a reorder buffer does,
by `seq`), nor time: the caller decides when a gap was waited for long enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .errors import SequenceRefused

MAX_AHEAD: Final = 1000
_MAX_MISSING: Final = 4000  # given-up seqs remembered; older ones count as duplicates from then on


@dataclass(frozen=True, slots=True)
class InOrder:
    """The next message. `ready` are the seqs to hand on now: this one and buffered ones right behind it."""

    ready: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """A message ahead of its turn, to be buffered. `missing` are the seqs it waits for."""

    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Late:
    """A message whose gap had been given up: hand it on once, marked late."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A `seq` that was received before, or was given up so long ago that it is forgotten."""


@dataclass(frozen=True, slots=True)
class TooFar:
    """A `seq` over 1,000 ahead; `limit` is the highest that would be accepted."""

    limit: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A gap given up: `missing` were not received, `ready` are the buffered seqs to hand on now."""

    missing: tuple[int, ...]
    ready: tuple[int, ...]


Acceptance = InOrder | Gap | Late | Duplicate | TooFar


class ReceiveWindow:
    """Which seqs of one session and direction were received.

    Attributes:
        next: the seq that is handed on next; all before it were handed on or given up.
    """

    __slots__ = ("_ahead", "_missing", "next")

    def __init__(self, next_seq: int = 1, ahead: Iterable[int] = (), missing: Iterable[int] = ()) -> None:
        self.next = next_seq
        self._ahead = set(ahead)
        self._missing = set(missing)

    @property
    def waiting(self) -> bool:
        """Whether buffered messages wait for a gap to fill."""
        return bool(self._ahead)

    def accept(self, seq: int) -> Acceptance:
        """Take one opened message's `seq`, from 1. `Duplicate` and `TooFar` change nothing."""
        if seq < self.next:
            return self._behind(seq)
        if seq in self._ahead:
            return Duplicate()
        if seq - self.next > MAX_AHEAD:
            return TooFar(limit=self.next + MAX_AHEAD)
        if seq == self.next:
            self.next += 1
            return InOrder(ready=(seq, *self._release()))
        self._ahead.add(seq)
        return Gap(missing=tuple(s for s in range(self.next, seq) if s not in self._ahead))

    def check(self, seq: int) -> None:
        """Refuse a `seq` that `accept` would find too far ahead; changes nothing.

        Raises:
            SequenceRefused: it is over 1,000 ahead.
        """
        if seq - self.next > MAX_AHEAD:
            raise SequenceRefused(f"the sequence number is over {MAX_AHEAD} ahead")

    def skip(self) -> Skipped:
        """Give up the first gap, after it was waited for; both fields are empty when nothing waits."""
        if not self._ahead:
            return Skipped(missing=(), ready=())
        missing = tuple(range(self.next, min(self._ahead)))
        self.next = min(self._ahead)
        self._missing.update(missing)
        for seq in sorted(self._missing)[:-_MAX_MISSING]:
            self._missing.discard(seq)
        return Skipped(missing=missing, ready=self._release())

    def to_bytes(self) -> bytes:
        """Serialise, for the session's row."""
        parts = (str(self.next), _ranges(self._ahead), _ranges(self._missing))
        return ";".join(parts).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> ReceiveWindow:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            next_seq, ahead, missing = stored.decode().split(";")
            return cls(int(next_seq), _members(ahead), _members(missing))
        except ValueError as error:
            raise ValueError("the stored receive window is damaged") from error

    def _behind(self, seq: int) -> Late | Duplicate:
        if seq not in self._missing:
            return Duplicate()
        self._missing.discard(seq)
        return Late()

    def _release(self) -> tuple[int, ...]:
        ready = []
        while self.next in self._ahead:
            self._ahead.discard(self.next)
            ready.append(self.next)
            self.next += 1
        return tuple(ready)


def _ranges(seqs: set[int]) -> str:
    """`{3, 4, 5, 9}` as `3-5,9-9`."""
    runs: list[list[int]] = []
    for seq in sorted(seqs):
        if runs and runs[-1][1] == seq - 1:
            runs[-1][1] = seq
        else:
            runs.append([seq, seq])
    return ",".join(f"{first}-{last}" for first, last in runs)


def _members(text: str) -> set[int]:
    seqs: set[int] = set()
    for run in text.split(",") if text else ():
        first, last = run.split("-")
        seqs.update(range(int(first), int(last) + 1))
    return seqs
