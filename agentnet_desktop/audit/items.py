"""One entry of the log as it is checked and exported: what is hashed, what is disclosed, and its JSON line.

Implements docs/protocol.md, *Log exports*. An entry that a filter left out is a stub: its place, its hash, and
the hash of its body. What is not disclosed of an entry is simply absent. This module neither checks nor writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import replace

from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from agentnet_desktop.store.log_records import LogContent, LogEntry, Step, hashed_body, step_hash
from relay.wire.envelope import b64decode
from relay.wire.errors import WireError

# The members of a line that the entry's hash covers; `state` in the hashed body is the line's `firstState`.
BODY_FIELDS = (
    "seq",
    "time",
    "direction",
    "peer",
    "conversationId",
    "messageId",
    "messageType",
    "encrypted",
    "verified",
    "sentTime",
    "size",
    "wireFormat",
    "wireHash",
    "plaintextHash",
    "detailsHash",
)
STEPS_HASH = "stepsHash"  # covered too, where it is there

VERSION = 2  # of exports; the end of the first one's signed neither its first line nor the delivery steps
Place = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # also a size, or a time in ms
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Time = Annotated[int, msgspec.Meta(ge=-(2**53) + 1, le=2**53 - 1)]  # a clock may be anywhere
_PROOFS = ("HANDSHAKE", "ACK")  # hold keys and receipts, and nothing that a person wrote


class NotAnExport(ValueError):
    """A line or file is no export of this program's. Its text is a sentence for a person."""


class Mark(msgspec.Struct, frozen=True):
    """What the chain needs of one delivery step: after which entry it was made, its order, its hash."""

    after: int
    place: int
    step_hash: bytes


class Item(msgspec.Struct, frozen=True):
    """One entry, whole or in part. `body` None: a stub, of which only `body_hash` and `hidden_steps` are known."""

    seq: int
    previous_hash: bytes
    entry_hash: bytes
    body: Mapping[str, Any] | None = None
    body_hash: bytes | None = None
    state: str = ""  # as it now stands, beside the chain
    summary: str | None = None
    content: Any = None
    wire: bytes | None = None
    plaintext: bytes | None = None
    details: bytes | None = None
    salt: bytes | None = None
    steps: tuple[Step, ...] = ()  # the entry itself first
    hidden_steps: tuple[Mark, ...] = ()
    redacted: bool = False  # content was left out on purpose

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Its delivery steps as the chain covers them."""
        if self.body is None:
            return self.hidden_steps
        if len(self.steps) < 2:
            return ()
        details = bytes.fromhex(self.text("detailsHash"))
        return tuple(Mark(s.after_seq, s.row_id, step_hash(s, details)) for s in self.steps[1:])

    def text(self, name: str) -> str:
        """Returns a text of the body; "" of a stub."""
        value = "" if self.body is None else self.body.get(name)
        return value if isinstance(value, str) else ""


class _MarkLine(msgspec.Struct):
    """A delivery step of a stub."""

    after: Place
    place: Place
    hash: Hash


class _StubLine(msgspec.Struct, rename="camel"):
    """The line of a stub."""

    stub: Literal[True]
    seq: Place
    body_hash: Hash
    previous_hash: Hash
    hash: Hash
    steps: list[_MarkLine] = []


class _StepLine(msgspec.Struct):
    """A delivery step of an entry, the entry itself first."""

    time: _Time
    state: str
    detail: str
    after: Place
    place: Place


class _EntryLine(msgspec.Struct, rename="camel"):
    """The line of an entry."""

    seq: Place
    time: _Time
    direction: Literal["in", "out", "local"]
    peer: str
    conversation_id: str
    message_id: str
    message_type: str
    encrypted: bool
    verified: Literal["good", "bad", "none"]
    sent_time: _Time | None
    size: Place
    wire_format: str
    wire_hash: Hash | None
    plaintext_hash: Hash | None
    details_hash: Hash
    first_state: str
    state: str
    previous_hash: Hash
    hash: Hash
    steps: list[_StepLine]
    summary: str | None = None
    content: Any = None
    steps_hash: Hash | msgspec.UnsetType = msgspec.UNSET
    wire: str | None = None
    plaintext: str | None = None
    details: str | None = None
    salt: str | None = None
    redacted: bool = False


def item_of(
    entry: LogEntry, content: LogContent | None, steps: tuple[Step, ...] = (), *, raw: bool = False
) -> Item:
    """Returns a stored entry with all that is stored of it.

    Args:
        entry: the entry.
        content: its bytes; None: retention deleted them.
        steps: its delivery history.
        raw: leaves the content as JSON text (`msgspec.Raw`), for those who only write it out.
    """
    shown: Any = None
    if content is not None:
        shown = content.raw_content if raw else content.parsed.content
    return Item(
        seq=entry.seq,
        previous_hash=entry.previous_hash,
        entry_hash=entry.entry_hash,
        body=hashed_body(entry),
        state=entry.state,
        summary=entry.summary,
        content=shown,
        wire=None if content is None else content.wire,
        plaintext=None if content is None else content.plaintext,
        details=None if content is None else content.details,
        salt=None if content is None else content.salt,
        steps=steps,
    )


def stub_line(item: Item, body_hash: bytes) -> dict[str, Any]:
    """Returns the line of an entry that a filter left out; the chain stays whole over it."""
    line: dict[str, Any] = {
        "stub": True,
        "seq": item.seq,
        "bodyHash": body_hash.hex(),
        "previousHash": item.previous_hash.hex(),
        "hash": item.entry_hash.hex(),
    }
    if marks := item.marks:
        line["steps"] = [{"after": m.after, "place": m.place, "hash": m.step_hash.hex()} for m in marks]
    return line


def redacted(item: Item) -> Item:
    """Returns an entry without summary, content and clear bytes.

    What an encrypted message looked like on the wire stays: it reveals nothing, and proves who signed it.
    """
    body = item.body or {}
    keeps_wire = body.get("encrypted") or body.get("messageType") in _PROOFS
    return replace(
        item,
        summary=None,
        content=None,
        wire=item.wire if keeps_wire else None,
        plaintext=None,
        details=None,
        salt=None,
        redacted=True,
    )


def line_of(item: Item) -> dict[str, Any]:
    """Returns an entry's line for msgspec's JSON encoder."""
    body = item.body or {}
    line = {
        **body,
        "state": item.state,
        "firstState": body.get("state", ""),
        "summary": item.summary,
        "content": item.content,
        "previousHash": item.previous_hash.hex(),
        "hash": item.entry_hash.hex(),
        "steps": [
            {"time": s.time, "state": s.state, "detail": s.detail, "after": s.after_seq, "place": s.row_id}
            for s in item.steps
        ],
    }
    if item.redacted:
        line["redacted"] = True
    # The encoder writes bytes as canonical b64 with padding, which is what `item_from` reads.
    disclosed = {"plaintext": item.plaintext, "details": item.details, "salt": item.salt, "wire": item.wire}
    line.update({name: data for name, data in disclosed.items() if data is not None})
    return line


def item_from(line: Mapping[str, Any]) -> Item:
    """Reads a line of an export back.

    Raises:
        NotAnExport: the line has not the form that `line_of` and `stub_line` give.
    """
    try:
        if "stub" in line:
            return _stub_from(msgspec.convert(line, _StubLine))
        said = msgspec.convert(line, _EntryLine)
        body = {name: line[name] for name in BODY_FIELDS} | {"state": said.first_state}
        if STEPS_HASH in line:
            body[STEPS_HASH] = line[STEPS_HASH]
        jcs(body)
        return Item(
            said.seq,
            bytes.fromhex(said.previous_hash),
            bytes.fromhex(said.hash),
            body=body,
            state=said.state,
            summary=said.summary,
            content=said.content,
            wire=_bytes(said.wire, "wire"),
            plaintext=_bytes(said.plaintext, "plaintext"),
            details=_bytes(said.details, "details"),
            salt=_bytes(said.salt, "salt"),
            steps=tuple(Step(said.seq, s.time, s.state, s.detail, s.after, s.place) for s in said.steps),
            redacted=said.redacted,
        )
    except msgspec.ValidationError as error:
        raise NotAnExport(f"A line of the file is not an entry of a log: {error}.") from error
    except (NotCanonical, WireError) as error:
        raise NotAnExport(f"A line of the file is not an entry of a log: {type(error).__name__}.") from error


def _stub_from(said: _StubLine) -> Item:
    return Item(
        said.seq,
        bytes.fromhex(said.previous_hash),
        bytes.fromhex(said.hash),
        body_hash=bytes.fromhex(said.body_hash),
        hidden_steps=tuple(Mark(m.after, m.place, bytes.fromhex(m.hash)) for m in said.steps),
    )


def _bytes(text: str | None, name: str) -> bytes | None:
    return None if text is None else b64decode(text, field=name)
