"""Which entries an export shows, and of which peers: asked of the entries themselves.

The index that searches use stands beside the chain, and whoever has the database's key can take words out of it. What
goes into a file that proves something must not depend on it. So a filter is held against each entry, in a walk of its
own before the file is written, for the file's first line names keys only of peers that the file shows.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from agentnet_desktop.audit.filter import Filter, matches
from agentnet_desktop.audit.items import Item
from agentnet_desktop.audit.stored import database_parts
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.search_terms import Term, TermField
from agentnet_desktop.store.snapshot import Snapshot
from relay.wire.envelope import agent_key


@dataclass(frozen=True, slots=True)
class Choice:
    """What a filter lets through."""

    lets_through: Callable[[int], bool]  # to be asked of each place, in the log's order
    peers: Callable[[], frozenset[str]]  # of the entries that are shown, in lower case; may look for them


class _Row(NamedTuple):
    """An entry as `filter.matches` looks at it."""

    time: int
    direction: str
    peer: str
    conversation_id: str
    message_type: str
    encrypted: bool
    verified: str
    state: str
    summary: str


def choose(
    state: Snapshot, terms: Sequence[Term], progress: Callable[[int], None] = lambda _place: None
) -> Choice:
    """Holds a filter against all entries. Blocks.

    Args:
        state: of the database.
        terms: of the filter; none lets everything through.
        progress: is told a place from time to time; what it raises ends the walk.
    """
    if not terms:
        return Choice(lambda _seq: True, lambda: frozenset(map(agent_key, state.read(audit_log.peers))))
    wanted, places, peers = Filter(tuple(terms)), array("q"), set()
    pinned = state.read(audit_log.pinned)
    reads_content = any(term.field is TermField.TEXT for term in terms)
    for part in database_parts(state, raw=True):
        progress(part[-1].seq)
        for item in part:
            row = _row(item)
            content = _content(item) if reads_content else None
            if matches(wanted, row, content=content, pinned=item.seq in pinned):
                places.append(item.seq)
                peers.add(agent_key(row.peer))
    return Choice(_in_order(places), lambda: frozenset(peers))


def _row(item: Item) -> _Row:
    body = item.body or {}
    return _Row(
        body["time"],
        body["direction"],
        body["peer"],
        body["conversationId"],
        body["messageType"],
        body["encrypted"],
        body["verified"],
        item.state,
        item.summary or "",
    )


def _content(item: Item) -> dict[str, Any] | None:
    if not isinstance(item.content, msgspec.Raw):
        return None
    content = msgspec.json.decode(item.content)
    return content if isinstance(content, dict) else None


def _in_order(places: array[int]) -> Callable[[int], bool]:
    at = 0

    def asked(seq: int) -> bool:
        nonlocal at
        while at < len(places) and places[at] < seq:
            at += 1
        return at < len(places) and places[at] == seq

    return asked
