"""The log's records, and what the hash of an entry covers. Data only, without a database.

Shared by the store and by what checks an exported file on another machine. Implements the entry's body of
docs/protocol.md, *Audit log*. Records of which a walk through the log makes a million are Structs: a frozen
dataclass of as many fields takes thirty times as long to make. Without containers in them, the garbage collector
need not look at them (`gc=False`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from agentnet_desktop.crypto import chain
from agentnet_desktop.protocol.canonical import jcs

SALT_BYTES = 16
_STEP = b"agentnet/v1/log-step\x00"


class NewEntry(msgspec.Struct, frozen=True):
    """What happened, before it has a place in the chain. See `events.LogRow` for the fields' meaning."""

    time: int
    direction: str  # "in", "out" or "local"
    message_type: str
    state: str
    summary: str
    peer: str = ""
    conversation_id: str = ""
    message_id: str = ""
    encrypted: bool = False
    verified: str = "none"  # "good", "bad" or "none"
    sent_time: int | None = None
    wire: bytes | None = None  # the envelope's bytes as they crossed, or will cross, the connection
    wire_format: str = ""
    plaintext: bytes | None = None  # byte-exact as committed and signed, unpadded: JCS with a `data` member
    content: Mapping[str, Any] | None = None  # parsed; not stored where the plaintext holds it
    security: Mapping[str, Any] = msgspec.field(default_factory=dict)  # findings: keys, nonce, sizes, drops


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One stored entry without its bytes."""

    seq: int
    time: int
    direction: str
    peer: str
    conversation_id: str
    message_id: str
    message_type: str
    encrypted: int
    verified: str
    first_state: str
    sent_time: int | None
    size: int
    wire_format: str
    wire_hash: bytes | None
    plaintext_hash: bytes | None
    details_hash: bytes
    steps_hash: bytes | None  # of the delivery steps made since the entry before; None: none was
    previous_hash: bytes
    entry_hash: bytes
    state: str
    summary: str


class LogContent(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one entry, as stored."""

    seq: int
    wire: bytes | None
    plaintext: bytes | None
    details: bytes  # JSON object: summary, content (unless the plaintext holds it), security
    salt: bytes  # 16 bytes

    @property
    def parsed(self) -> Details:
        """The details, with the content taken from the plaintext where that holds it."""
        try:
            details = msgspec.json.decode(self.details, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Details("", None, {})  # somebody changed them: verifying the log will say so
        content = details.get("content")
        if content is None and self.plaintext is not None:
            content = plaintext_data(self.plaintext)
        return Details(details.get("summary", ""), content, details.get("security", {}))

    @property
    def raw_content(self) -> msgspec.Raw | None:
        """The content as the JSON text that is stored, not parsed; None where there is none."""
        try:
            kept = _DETAILS.decode(self.details).content
            if not kept and self.plaintext is not None:
                kept = _PLAINTEXT.decode(self.plaintext).data
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return kept or None


class _Details(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw()


class _Plaintext(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()


_DETAILS: Final = msgspec.json.Decoder(_Details)
_PLAINTEXT: Final = msgspec.json.Decoder(_Plaintext)


@dataclass(frozen=True, slots=True)
class Details:
    """What an entry's details say."""

    summary: str
    content: Mapping[str, Any] | None
    security: Mapping[str, Any]


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step in a delivery history. `row_id` gives the order of all steps; 0: the entry itself, not a step."""

    seq: int
    time: int
    state: str
    detail: str = ""
    after_seq: int = 0  # the log's last entry when it was made; the next one covers it
    row_id: int = 0


@dataclass(frozen=True, slots=True)
class Pin:
    """A mark that a person put on an entry."""

    seq: int
    time: int
    colour: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A statement that entry `seq` has `entry_hash`, made where a changed database cannot reach it."""

    seq: int
    entry_hash: bytes
    kind: str  # "SIGNED" (our identity key), "PEER" (a receipt of ours that a peer holds), "KEYRING"
    holder: str  # the peer's agentId; "" for our own
    time: int
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """A security event in plain words; `seq` is its entry in the log."""

    seq: int
    time: int
    peer: str
    kind: str
    message: str
    seen_at: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's end: the last entry's place and hash; (0, GENESIS) of an empty log."""

    seq: int
    entry_hash: bytes


def hashed_body(entry: LogEntry) -> dict[str, Any]:
    """Returns what an entry's hash covers, in JSON form; hashes in hex. `chain.entry_hash` takes its JCS."""
    body: dict[str, Any] = {
        "seq": entry.seq,
        "time": entry.time,
        "direction": entry.direction,
        "peer": entry.peer,
        "conversationId": entry.conversation_id,
        "messageId": entry.message_id,
        "messageType": entry.message_type,
        "encrypted": bool(entry.encrypted),
        "verified": entry.verified,
        "state": entry.first_state,
        "sentTime": entry.sent_time,
        "size": entry.size,
        "wireFormat": entry.wire_format,
        "wireHash": None if entry.wire_hash is None else entry.wire_hash.hex(),
        "plaintextHash": None if entry.plaintext_hash is None else entry.plaintext_hash.hex(),
        "detailsHash": entry.details_hash.hex(),
    }
    if entry.steps_hash is not None:
        body["stepsHash"] = entry.steps_hash.hex()
    return body


def plaintext_data(plaintext: bytes) -> Mapping[str, Any] | None:
    """Returns the content that a signed plaintext holds, or None where it is not one."""
    try:
        value = msgspec.json.decode(plaintext)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    data = value.get("data") if isinstance(value, dict) else None
    return data if isinstance(data, dict) else None


def entry_hash(entry: LogEntry) -> bytes:
    """Returns the hash that an entry's fields and the hash before it give, 32 bytes."""
    return chain.entry_hash(entry.previous_hash, jcs(hashed_body(entry)))


def details_hash(salt: bytes, details: bytes) -> bytes:
    """Returns SHA-256 of an entry's details under their 16-byte salt."""
    return hashlib.sha256(salt + details).digest()


def step_hash(step: Step, details: bytes) -> bytes:
    """Returns the hash of one delivery step, 32 bytes.

    Args:
        step: the step.
        details: the details hash of the step's entry, which nobody can guess to whom the entry is not disclosed.
    """
    said = {"seq": step.seq, "time": step.time, "state": step.state, "detail": step.detail}
    return hashlib.sha256(_STEP + details + hashlib.sha256(jcs(said)).digest()).digest()


def joined_hash(before: bytes, step: bytes) -> bytes:
    """Returns the hash of some steps and one more, from the hash of those (b"" of none) and of this one."""
    return hashlib.sha256(before + step).digest()
