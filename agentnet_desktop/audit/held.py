"""Holds a peer's exported log against the heads that this agent has of it, from the peer's signed receipts.

Implements docs/protocol.md, *Verifying a log*, for a file of somebody whose receipts stand in a log of one's own. A
head that is missing is held against the file only where the file was surely written after it: by the order of one's
own log, or by the time that the file itself names. It does not check the file otherwise, and knows only the heads
whose receipts retention has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from agentnet_desktop.audit.authorship import read_envelope
from agentnet_desktop.audit.items import Item, item_of
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.session import verify_receipt, verify_sealed
from agentnet_desktop.store import audit_log, log_search
from agentnet_desktop.store.log_records import LogEntry
from agentnet_desktop.store.search_terms import Term, TermField
from agentnet_desktop.store.snapshot import Snapshot
from relay.wire.control import AckContent, AckStatus, parse
from relay.wire.envelope import MessageType, agent_key
from relay.wire.errors import WireError

LEEWAY_MS = 60_000  # between the clocks of two machines
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class HeldHead:
    """The head that one receipt signed. `entry` is the receipt's place in one's own log."""

    head: bytes  # 32 bytes
    message_id: str
    entry: int
    time: int  # ms; the later one of the receipt's own time and of when it came
    signature: bytes  # 64 bytes


@dataclass(frozen=True, slots=True)
class Missing:
    """A held head that the file should have. `after`: the last place of the file that is older than it."""

    after: int
    sentence: str


@dataclass
class HeldHeads:
    """What one's own log holds of a peer's; takes the entries that the peer shows, in order."""

    peer: str
    heads: dict[bytes, HeldHead] = field(default_factory=dict)  # those not met yet
    made: dict[str, int] = field(default_factory=dict)  # own messages to the peer: where each first stands
    digests: Callable[[str], list[bytes]] = lambda _message_id: []  # of an own message's ciphertexts
    met_to: int = 0  # the last place of the file whose hash a held head is
    _met: list[tuple[int, int]] = field(default_factory=list)  # place in the own log, place in the file
    _written_after: int = 0  # the place in the own log that is surely older than the file's end

    def feed(self, item: Item) -> None:
        """Takes the next entry of the file."""
        met = self.heads.pop(item.entry_hash, None)
        if met is not None:
            self.met_to = item.seq
            self._met.append((met.entry, item.seq))
            self._written_after = max(self._written_after, self.made.get(met.message_id, 0))
        if item.text("direction") == "in":
            self._written_after = max(self._written_after, self.made.get(item.text("messageId"), 0))

    def missing(self, identity_key: bytes, exported_at: int) -> Missing | None:
        """Returns the first held head that the whole file should have and has not.

        Args:
            identity_key: that the file names, 32 bytes; a receipt under another key is about another log.
            exported_at: when the file says that it was written, in ms.
        """
        for held in sorted(self.heads.values(), key=lambda head: head.entry):
            ordered = held.entry < self._written_after
            if (ordered or exported_at > held.time + LEEWAY_MS) and self._signed(held, identity_key):
                return self._told(held, ordered=ordered)
        return None

    def _signed(self, held: HeldHead, identity_key: bytes) -> bool:
        for digest in self.digests(held.message_id):
            try:
                verify_receipt(identity_key, digest, held.head, held.signature)
            except (CryptoError, ValueError):
                continue
            return True
        return False

    def _told(self, held: HeldHead, *, ordered: bool) -> Missing:
        why = "has what was said after that" if ordered else "says that it was written after that"
        words = (
            f"{self.peer} signed its log's state when it received {held.message_id} (entry {held.entry} of the log "
            f"here). This file {why}, but never had that state: it was rewritten, cut off or begun anew."
        )
        return Missing(max((seq for entry, seq in self._met if entry < held.entry), default=0), words)


@dataclass
class GivenHeads:
    """Checks the heads that the exporter gave out, in the receipts which its own file shows; takes entries in order."""

    _hashes: set[bytes] = field(default_factory=set)  # beginnings: of what came in, and of stubs

    def feed(self, item: Item) -> str:
        """Takes the next entry; returns what is wrong with it, "" for nothing."""
        if item.body is None or item.text("direction") == "in":
            self._hashes.add(item.entry_hash[:8])
        if item.text("direction") != "out" or item.text("messageType") != MessageType.ACK:
            return ""
        receipt = _receipt(item)
        if receipt is None or receipt.head[:8] in self._hashes:
            return ""
        return (
            f"Entry {item.seq} is a receipt for {receipt.message_id}, and signs a state of the log that it never had "
            "before: it was rewritten."
        )


def held_heads(
    state: Snapshot, peer: str, identity_key: bytes, *, progress: Callable[[int], None] = lambda _place: None
) -> HeldHeads:
    """Returns the heads of a peer's log that the receipts in a database hold. Blocks: call it from a thread.

    Args:
        state: of the database of one's own log; it must stay open until the file was walked through.
        peer: whose heads.
        identity_key: one's own, 32 bytes.
        progress: is told 0 with each entry; what it raises ends the work.
    """
    held = HeldHeads(peer, digests=partial(_digests, state, identity_key))
    for entry in _entries_with(state, peer):
        progress(0)
        if entry.direction == "out" and entry.encrypted:
            held.made.setdefault(entry.message_id, entry.seq)
        elif entry.direction == "in" and entry.message_type == MessageType.ACK and entry.verified == "good":
            head = _receipt(_item(state, entry))
            if head is not None and head.message_id in held.made:
                held.heads.setdefault(head.head, head)
    return held


def _entries_with(state: Snapshot, peer: str) -> Iterator[LogEntry]:
    terms, after = (Term(TermField.WITH, agent_key(peer)),), 0
    while found := state.read(partial(log_search.page, terms=terms, after_seq=after, limit=_CHUNK)):
        yield from (entry for entry in found if agent_key(entry.peer) == agent_key(peer))
        after = found[-1].seq


def _receipt(item: Item) -> HeldHead | None:
    """Returns the head in a receipt; None where there is none, or it is not disclosed."""
    envelope = read_envelope(item)
    if envelope is None:
        return None
    try:
        ack = parse(AckContent, envelope.content)
    except WireError:
        return None
    if ack.status != AckStatus.DELIVERED or ack.log_head is None or ack.signature is None:
        return None
    time = max(int((item.body or {})["time"]), envelope.timestamp)
    return HeldHead(ack.log_head, ack.message_id, item.seq, time, ack.signature)


def _digests(state: Snapshot, identity_key: bytes, message_id: str) -> list[bytes]:
    """Returns the digests of the ciphertexts that one's own log has of a message."""
    found = []
    for entry in state.read(partial(audit_log.by_message, message_id=message_id)):
        envelope = (
            read_envelope(_item(state, entry)) if entry.direction == "out" and entry.encrypted else None
        )
        if envelope is None:
            continue
        try:
            sealed = verify_sealed(envelope, identity_key=identity_key, own_id=envelope.recipient_id)
        except (CryptoError, WireError):
            continue
        found.append(sealed.digest)
    return found


def _item(state: Snapshot, entry: LogEntry) -> Item:
    return item_of(entry, state.read(partial(audit_log.content, seq=entry.seq)), raw=True)
