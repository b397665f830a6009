"""One entry of the log as it is checked and exported: what is hashed, what is disclosed, and its JSON line.

Implements docs/protocol.md, *Log exports*. An entry that a filter left out is a stub: its place, its hash, and
the hash of its body. What is not disclosed of an entry is simply absent. This module neither checks nor writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentnet_desktop.protocol.canonical import jcs
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

_PROOFS = ("HANDSHAKE", "ACK")  # hold keys and receipts, and nothing that a person wrote


class NotAnExport(ValueError):
    """A line or file is no export of this program's. Its text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the chain needs of one delivery step: after which entry it was made, its order, its hash."""

    after: int
    place: int
    step_hash: bytes


@dataclass(frozen=True, slots=True)
class Item:
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


def line_of(item: Item, *, redact: bool = False) -> dict[str, Any]:
    """Returns an entry's line for msgspec's JSON encoder, whole, or with `redact` without summary, content and clear bytes.

    What an encrypted message looked like on the wire stays: it reveals nothing, and proves who signed it.
    """
    line = dict(item.body or {})
    line["firstState"] = line.get("state", "")
    line["state"] = item.state
    line["summary"] = None if redact else item.summary
    line["content"] = None if redact else item.content
    line["previousHash"] = item.previous_hash.hex()
    line["hash"] = item.entry_hash.hex()
    line["steps"] = [
        {"time": s.time, "state": s.state, "detail": s.detail, "after": s.after_seq, "place": s.row_id}
        for s in item.steps
    ]
    # The encoder writes bytes as canonical b64 with padding, which is what `item_from` reads.
    disclosed = {"plaintext": item.plaintext, "details": item.details, "salt": item.salt, "wire": item.wire}
    if redact:
        line["redacted"] = True
        keeps_wire = line.get("encrypted") or line.get("messageType") in _PROOFS
        disclosed = {"wire": item.wire if keeps_wire else None}
    line.update({name: data for name, data in disclosed.items() if data is not None})
    return line


def item_from(line: Mapping[str, Any]) -> Item:
    """Reads a line of an export back.

    Raises:
        NotAnExport: the line has not the form that `line_of` and `stub_line` give.
    """
    try:
        seq = line["seq"]
        if not isinstance(seq, int) or isinstance(seq, bool):
            raise NotAnExport("A line of the file has no place in the log (seq).")
        hashes = bytes.fromhex(line["previousHash"]), bytes.fromhex(line["hash"])
        if line.get("stub"):
            marks = tuple(
                Mark(int(m["after"]), int(m["place"]), bytes.fromhex(m["hash"]))
                for m in line.get("steps", ())
            )
            return Item(seq, *hashes, body_hash=bytes.fromhex(line["bodyHash"]), hidden_steps=marks)
        body = {name: line[name] for name in BODY_FIELDS} | {"state": line["firstState"]}
        if STEPS_HASH in line:
            body[STEPS_HASH] = line[STEPS_HASH]
        jcs(body)
        return Item(
            seq,
            *hashes,
            body=body,
            state=str(line["state"]),
            summary=line.get("summary"),
            content=line.get("content"),
            wire=_bytes(line, "wire"),
            plaintext=_bytes(line, "plaintext"),
            details=_bytes(line, "details"),
            salt=_bytes(line, "salt"),
            steps=tuple(_step(seq, s) for s in line.get("steps", ())),
            redacted=bool(line.get("redacted")),
        )
    except (KeyError, TypeError, ValueError, WireError) as error:
        if isinstance(error, NotAnExport):
            raise
        raise NotAnExport(f"A line of the file is not an entry of a log: {type(error).__name__}.") from error


def _step(seq: int, said: Mapping[str, Any]) -> Step:
    found = Step(seq, said["time"], said["state"], said["detail"], said["after"], said["place"])
    if not all(type(number) is int for number in (found.time, found.after_seq, found.row_id)):
        raise NotAnExport("A delivery step of the file has no time or place.")
    jcs({"state": found.state, "detail": found.detail})
    return found


def _bytes(line: Mapping[str, Any], name: str) -> bytes | None:
    value = line.get(name)
    return None if value is None else b64decode(value, field=name)
