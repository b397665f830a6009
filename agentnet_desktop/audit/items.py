"""One entry of the log as it is checked and exported: what is hashed, what is disclosed, and its JSON line.

Implements docs/protocol.md, *Log exports*. An entry that a filter left out is a stub: its place, its hash, and
the hash of its body. What is not disclosed of an entry is simply absent. This module neither checks nor writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.store.log_records import LogContent, LogEntry, Step, hashed_body
from relay.wire.envelope import b64decode, b64encode
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


class NotAnExport(ValueError):
    """A line or file is no export of this program's. Its text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry, whole or in part. `body` None: a stub, of which only `body_hash` is known."""

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
    steps: tuple[Step, ...] = ()
    redacted: bool = False  # content was left out on purpose

    def text(self, name: str) -> str:
        """Returns a text of the body; "" of a stub."""
        value = "" if self.body is None else self.body.get(name)
        return value if isinstance(value, str) else ""


def item_of(entry: LogEntry, content: LogContent | None, steps: tuple[Step, ...] = ()) -> Item:
    """Returns a stored entry with all that is stored of it; `content` None: retention deleted it."""
    return Item(
        seq=entry.seq,
        previous_hash=entry.previous_hash,
        entry_hash=entry.entry_hash,
        body=hashed_body(entry),
        state=entry.state,
        summary=entry.summary,
        content=None if content is None else content.parsed.content,
        wire=None if content is None else content.wire,
        plaintext=None if content is None else content.plaintext,
        details=None if content is None else content.details,
        salt=None if content is None else content.salt,
        steps=steps,
    )


def stub_line(item: Item, body_hash: bytes) -> dict[str, Any]:
    """Returns the line of an entry that a filter left out; the chain stays whole over it."""
    return {
        "stub": True,
        "seq": item.seq,
        "bodyHash": body_hash.hex(),
        "previousHash": item.previous_hash.hex(),
        "hash": item.entry_hash.hex(),
    }


def line_of(item: Item, *, redact: bool = False) -> dict[str, Any]:
    """Returns an entry's line, whole, or with `redact` without summary, content and clear bytes.

    What an encrypted message looked like on the wire stays: it reveals nothing, and proves who signed it.
    """
    body = dict(item.body or {})
    first_state = body.pop("state", "")
    line = body | {
        "firstState": first_state,
        "state": item.state,
        "summary": item.summary,
        "content": item.content,
    }
    line |= {"previousHash": item.previous_hash.hex(), "hash": item.entry_hash.hex()}
    line["steps"] = [{"time": s.time, "state": s.state, "detail": s.detail} for s in item.steps]
    disclosed = {"plaintext": item.plaintext, "details": item.details, "salt": item.salt}
    keeps_wire = not redact or body.get("encrypted") or body.get("messageType") in ("HANDSHAKE", "ACK")
    if redact:
        line |= {"summary": None, "content": None, "redacted": True}
        line["steps"] = [{"time": s.time, "state": s.state, "detail": ""} for s in item.steps]
        disclosed = {}
    disclosed["wire"] = item.wire if keeps_wire else None
    return line | {name: b64encode(data) for name, data in disclosed.items() if data is not None}


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
            return Item(seq, *hashes, body_hash=bytes.fromhex(line["bodyHash"]))
        body = {name: line[name] for name in BODY_FIELDS} | {"state": line["firstState"]}
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
            steps=tuple(Step(seq, s["time"], s["state"], s["detail"]) for s in line.get("steps", ())),
            redacted=bool(line.get("redacted")),
        )
    except (KeyError, TypeError, ValueError, WireError) as error:
        if isinstance(error, NotAnExport):
            raise
        raise NotAnExport(f"A line of the file is not an entry of a log: {type(error).__name__}.") from error


def _bytes(line: Mapping[str, Any], name: str) -> bytes | None:
    value = line.get(name)
    return None if value is None else b64decode(value, field=name)
