"""Walks through the log that a profile's database holds, in one unchanging state of it, and verifies it.

Implements docs/protocol.md, *Verifying a log*, for a database. Entries, their bytes, their delivery states and the
statements about them are all of one moment, whatever the agent beside does meanwhile. What is right is `verify`'s to
say.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain

from sqlalchemy.orm import Session

from agentnet_desktop.audit.items import Item, item_of
from agentnet_desktop.audit.security_events import SecurityEvents
from agentnet_desktop.audit.verify import Report, Verifier
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.log_records import Anchor, SecurityEvent
from agentnet_desktop.store.snapshot import Snapshot

CHUNK = 200  # what is read stays in the processor's cache


def database_items(state: Snapshot) -> Iterator[Item]:
    """Returns all entries with all that is stored of them, in order; reads some hundred at a time."""
    return chain.from_iterable(database_parts(state))


def database_parts(state: Snapshot, *, raw: bool = False) -> Iterator[list[Item]]:
    """Likewise in parts as they are read, none of them empty: what is done once a part costs an entry little.

    Args:
        state: of the database.
        raw: leaves contents as JSON text, which is cheaper.
    """

    def chunk(session: Session, start: int) -> list[Item]:
        entries = audit_log.entries_from(session, start, CHUNK)
        if not entries:
            return []
        contents = audit_log.contents_of(session, entries[0].seq, entries[-1].seq)
        histories = audit_log.histories(session, entries)
        return [
            item_of(entry, contents.get(entry.seq), steps, raw=raw)
            for entry, steps in zip(entries, histories, strict=True)
        ]

    upcoming = state.read_soon(partial(chunk, start=1))
    while found := upcoming.result():
        upcoming = state.read_soon(partial(chunk, start=found[-1].seq + 1))
        yield found


def database_anchors(state: Snapshot) -> Iterator[Anchor]:
    """Returns the statements that a database holds about its log, by place, some hundred at a time."""
    after = 0
    while found := state.read(partial(audit_log.anchors_after, seq=after, limit=CHUNK)):
        yield from found
        after = found[-1].seq


def database_events(state: Snapshot) -> Iterator[SecurityEvent]:
    """Returns the security events that a database shows, by place, some hundred at a time."""
    after: int | None = None
    while found := state.read(partial(audit_log.security_events_after, seq=after, limit=CHUNK)):
        yield from found
        after = found[-1].seq


def verify_database(
    db: Database,
    *,
    own_id: str,
    identity_key: bytes,
    keys: Mapping[str, Iterable[bytes]] | None = None,
    anchors: Iterable[Anchor] = (),
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Verifies a profile's log against itself, its stored anchors and those that the caller brings.

    Blocks, for seconds on a large log: call it from a thread. An agent may go on working beside it: what it does
    after the call has begun is neither seen nor held up.

    Args:
        db: the open database.
        own_id: whose it is.
        identity_key: the owner's, 32 bytes.
        keys: identity keys known otherwise, by agentId, such as the pinned ones.
        anchors: further statements, such as the keyring's; made before this call.
        progress: is told the place of each entry.
    """
    brought = sorted(anchors, key=_place_of)
    with db.snapshot() as state:
        known = heapq.merge(database_anchors(state), brought, key=_place_of)
        verifier = Verifier(own_id, identity_key=identity_key, keys=keys, anchors=known)
        events = SecurityEvents(database_events(state))
        last = 0
        for item in database_items(state):
            verifier.feed(item)
            _complain(verifier, events.feed(item))
            last = item.seq
            if progress is not None:
                progress(item.seq)
        _complain(verifier, events.finish())
        for stray in state.read(partial(audit_log.strays, last=last)):
            words = f"There are parts of an entry {stray}, but the log has the entries 1 to {last}."
            verifier.complain(stray, "STRAY", words)
        return verifier.finish()


def _complain(verifier: Verifier, found: Iterable[tuple[int, str]]) -> None:
    for seq, words in found:
        verifier.complain(seq, "EVENT", words)


def _place_of(anchor: Anchor) -> int:
    return anchor.seq
