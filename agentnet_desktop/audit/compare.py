"""Compares what two parties exported: which messages one has and the other lacks, and whose log was rewritten.

Implements docs/protocol.md, *Comparing two logs*. Messages are matched by messageId and by the sender's
signature over them, which both sides hold byte for byte. Receipts carry the recipient's log head: each must be
in the log that the recipient shows. Each file should be verified first; this module does not do it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agentnet_desktop.audit.authorship import read_envelope
from agentnet_desktop.audit.exported import read_header, read_lines
from agentnet_desktop.audit.items import Item
from relay.wire.control import AckContent, parse
from relay.wire.envelope import MessageType, agent_key
from relay.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two logs differ."""

    kind: str  # ONLY_IN_FIRST, ONLY_IN_SECOND, DIFFERENT, HEAD_MISSING
    message_id: str
    seq: int  # in the log that has it
    sentence: str


@dataclass
class _Side:
    """What is kept of one file."""

    agent_id: str
    sent: dict[str, tuple[int, set[str]]] = field(default_factory=dict)  # by message id: place, signatures
    received: dict[str, tuple[int, set[str]]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    heads: dict[bytes, tuple[int, str]] = field(
        default_factory=dict
    )  # that the other signed: place, message id
    hashes: set[bytes] = field(default_factory=set)


def compare_files(
    first: Path, second: Path, progress: Callable[[int], None] | None = None
) -> list[Difference]:
    """Compares two JSONL exports.

    Args:
        first: one party's.
        second: the other's.
        progress: is told the place of each entry; what it raises ends the walk.

    Returns:
        The differences, those of the first file before those of the second, each in its log's order.

    Raises:
        NotAnExport: a file is no export.
        ValueError: both are of the same agent.
        OSError: one cannot be read.
    """
    names = [read_header(path).agent_id for path in (first, second)]
    if agent_key(names[0]) == agent_key(names[1]):
        raise ValueError(f"Both files are logs of {names[0]}; compare logs of two parties.")
    a = _read(first, names[0], names[1], progress)
    b = _read(second, names[1], names[0], progress)
    return [
        *_messages(a, b, "ONLY_IN_FIRST"),
        *_heads(a, b),
        *_messages(b, a, "ONLY_IN_SECOND"),
        *_heads(b, a),
    ]


def _read(path: Path, own: str, other: str, progress: Callable[[int], None] | None) -> _Side:
    side = _Side(own)
    for part in read_lines(path):
        if not isinstance(part, Item):
            continue
        side.hashes.add(part.entry_hash)
        if progress is not None:
            progress(part.seq)
        if agent_key(part.text("peer")) == agent_key(other) and part.wire is not None:
            _note(side, part)
    return side


def _note(side: _Side, item: Item) -> None:
    envelope = read_envelope(item)
    if envelope is None or item.text("state") == "REFUSED":
        return
    outgoing = item.text("direction") == "out"
    if envelope.message_type is MessageType.ENCRYPTED:
        messages = side.sent if outgoing else side.received
        _, signatures = messages.setdefault(envelope.message_id, (item.seq, set()))
        signatures.add(str(envelope.content.get("signature")))
        side.states[envelope.message_id] = item.state
    elif envelope.message_type is MessageType.ACK and not outgoing:
        try:
            content = parse(AckContent, envelope.content)
        except WireError:
            return
        if content.log_head is not None and item.text("verified") == "good":
            side.heads[content.log_head] = (item.seq, content.message_id)


def _messages(one: _Side, other: _Side, kind: str) -> Iterator[Difference]:
    for ours, theirs, verb in ((one.sent, other.received, "sent"), (one.received, other.sent, "received")):
        for message_id, (seq, signatures) in sorted(ours.items(), key=lambda pair: pair[1][0]):
            match = theirs.get(message_id)
            if match is None:
                words = (
                    f"{one.agent_id} {verb} {message_id} (entry {seq}, {one.states[message_id]}); "
                    f"{other.agent_id}'s log does not have it."
                )
                yield Difference(kind, message_id, seq, words)
            elif verb == "sent" and not signatures & match[1]:
                words = f"{message_id} is not the same in both logs (entries {seq} and {match[0]})."
                yield Difference("DIFFERENT", message_id, seq, words)


def _heads(one: _Side, other: _Side) -> Iterator[Difference]:
    for head, (seq, message_id) in one.heads.items():
        if head not in other.hashes:
            words = (
                f"{other.agent_id} signed its log's state when it received {message_id} ({one.agent_id}'s entry "
                f"{seq}); the log that it shows never had that state: it was rewritten or cut off."
            )
            yield Difference("HEAD_MISSING", message_id, seq, words)
