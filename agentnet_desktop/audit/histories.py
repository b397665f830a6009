"""Checks that delivery histories are the ones that the chain covers: each entry covers the steps made before it.

Implements docs/protocol.md, *Audit log* (`stepsHash`). Entries come in order; a step belongs to an earlier entry than
the one that covers it, so what is not covered yet is kept. Steps after the last entry are covered by nothing yet,
and those that a stub covers cannot be checked: these are counted, and hold by the signature over a file's end alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from agentnet_desktop.audit.items import STEPS_HASH, Item
from agentnet_desktop.store.log_records import joined_hash

Named = tuple[int, str]  # the place where it shows, and a sentence
_PLACES = Struct(">qq")


@dataclass
class Histories:
    """Checks the delivery steps of entries that are fed in order, from the log's first one on."""

    loose: int = 0  # steps that no whole entry covers
    first_loose: int = 0  # the first entry that has such a step; 0: none has
    _open: dict[int, list[tuple[int, bytes, int]]] = field(default_factory=dict)  # by the entry before them

    def feed(self, item: Item) -> list[Named]:
        """Takes the next entry and returns what is wrong with the steps that it covers or has."""
        steps = sorted(self._open.pop(item.seq - 1, ()))
        found: list[Named] = []
        if item.body is not None:
            hashed = b""
            for _, step, _ in steps:
                hashed = joined_hash(hashed, step)
            if hashed.hex() != (item.body.get(STEPS_HASH) or ""):
                found.append(_differs(item.seq, sorted({entry for _, _, entry in steps})))
        else:
            self._note_loose(steps)
        for mark in item.marks:
            if mark.after < item.seq:
                found.append((item.seq, f"Entry {item.seq} has a delivery step from before it was made."))
            self._open.setdefault(mark.after, []).append((mark.place, mark.step_hash, item.seq))
        return found

    def finish(self, last: int) -> list[Named]:
        """Returns what is wrong with the steps that no entry covered; those after the last one may be open."""
        late = [(after, entry) for after, steps in sorted(self._open.items()) for _, _, entry in steps]
        self._note_loose(self._open.get(last, ()))
        self._open.clear()
        return [
            (last + 1, f"Entry {entry} has a delivery step from after entry {after}, which is not there.")
            for after, entry in late
            if after > last
        ]

    def _note_loose(self, steps: Sequence[tuple[int, bytes, int]]) -> None:
        self.loose += len(steps)
        for _, _, entry in steps:
            self.first_loose = min(self.first_loose or entry, entry)


@dataclass
class ShownSteps:
    """The hash over all delivery steps in a file, which the signature over its end covers. Takes entries in order."""

    _hash: Any = field(default_factory=hashlib.sha256)

    def feed(self, item: Item) -> None:
        """Takes the next entry."""
        for mark in item.marks:
            self._hash.update(_PLACES.pack(mark.after, mark.place) + mark.step_hash)

    @property
    def digest(self) -> bytes:
        """The hash of what was taken, 32 bytes."""
        found: bytes = self._hash.digest()
        return found


def _differs(covered_by: int, entries: list[int]) -> Named:
    if not entries:
        return covered_by, f"A delivery step that was made before entry {covered_by} is missing."
    words = f"entry {entries[0]}" if len(entries) == 1 else f"entries {', '.join(map(str, entries))}"
    return covered_by, (
        f"The delivery history of {words} is not the one that entry {covered_by} covers: "
        "a step was changed, added or removed."
    )
