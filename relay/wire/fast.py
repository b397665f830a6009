"""The fast ways to read an envelope: what nearly all traffic looks like, taken in one typed decode.

Implements nothing of its own: docs/protocol.md sections 2 and 4 hold here as in `codec`, which reads value by
value whatever this module does not take. A reader here returns None rather than judge: then the slow way
reads the same bytes and names what is wrong, if anything is.

Why one typed decode is strict enough, though msgspec lets a second key win and skips unknown ones:

- JSON: every member of an object has one colon outside strings. When the bytes hold exactly as many colons as
  the members found, no member was skipped or overwritten, and no string holds a colon. Then there is nothing
  but what is typed, and all of that is ASCII.
- msgpack: encoding what was found gives the shortest form. When that is as long as the bytes, no member was
  skipped or overwritten.

This module reads ENCRYPTED, ACK and HEARTBEAT, without unknown fields.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.wire.control import AckStatus
from relay.wire.envelope import (
    ID_FORM,
    MAX_INTEGER,
    Envelope,
    MessageType,
    Priority,
    is_id,
    is_party,
)

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Time = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Text24 = Annotated[str, Meta(min_length=32, max_length=32)]  # 24 bytes in b64
Text32 = Annotated[str, Meta(min_length=44, max_length=44)]
Text64 = Annotated[str, Meta(min_length=88, max_length=88)]
Sealable = Literal["QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "REJECTION", "DISCONNECT", "ERROR"]
TextTag = Annotated[str, Meta(min_length=24)]  # 16 bytes and more
Bytes24 = Annotated[bytes, Meta(min_length=24, max_length=24)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
BytesTag = Annotated[bytes, Meta(min_length=16)]

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LAST_OF_ONE: Final = frozenset("AQgw")  # last character before "==": four unused bits are zero
_LAST_OF_TWO: Final = frozenset("AEIMQUYcgkosw048")  # last character before "=": two are
_ENVELOPE_MEMBERS: Final = 8 + 3  # and those of metadata
_ENCRYPTED_MEMBERS: Final = _ENVELOPE_MEMBERS + 6
_ACK_MEMBERS: Final = _ENVELOPE_MEMBERS + 2
_HEARTBEAT_MEMBERS: Final = _ENVELOPE_MEMBERS + 1


class Metadata(msgspec.Struct, rename="camel", gc=False):
    """`metadata` without unknown fields."""

    priority: Priority
    encrypted: bool
    requires_response: bool


class _Common(msgspec.Struct, rename="camel", tag_field="messageType", gc=False):
    message_id: Id
    conversation_id: Id
    sender_id: Id
    recipient_id: Id
    timestamp: Time
    metadata: Metadata


class EncryptedText(msgspec.Struct, rename="camel", gc=False):
    """ENCRYPTED content in JSON."""

    encrypted_data: TextTag
    nonce: Text24
    signature: Text64
    original_type: Sealable
    session_id: Id
    commitment: Text32


class EncryptedBytes(msgspec.Struct, rename="camel", gc=False):
    """ENCRYPTED content in msgpack."""

    encrypted_data: BytesTag
    nonce: Bytes24
    signature: Bytes64
    original_type: Sealable
    session_id: Id
    commitment: Bytes32


class AckText(msgspec.Struct, rename="camel", gc=False):
    """ACK content in JSON."""

    message_id: Id
    status: AckStatus
    log_head: Text32 | UnsetType = UNSET
    signature: Text64 | UnsetType = UNSET
    tag: Text32 | UnsetType = UNSET


class AckBytes(msgspec.Struct, rename="camel", gc=False):
    """ACK content in msgpack."""

    message_id: Id
    status: AckStatus
    log_head: Bytes32 | UnsetType = UNSET
    signature: Bytes64 | UnsetType = UNSET
    tag: Bytes32 | UnsetType = UNSET


class Heartbeat(msgspec.Struct, rename="camel", gc=False):
    """HEARTBEAT content."""

    timestamp: Time


class JsonEncrypted(_Common, tag="ENCRYPTED", gc=False):
    """ENCRYPTED in JSON."""

    content: EncryptedText


class JsonAck(_Common, tag="ACK", gc=False):
    """ACK in JSON."""

    content: AckText


class MsgpackEncrypted(_Common, tag="ENCRYPTED", gc=False):
    """ENCRYPTED in msgpack."""

    content: EncryptedBytes


class MsgpackAck(_Common, tag="ACK", gc=False):
    """ACK in msgpack."""

    content: AckBytes


class AnyHeartbeat(_Common, tag="HEARTBEAT", gc=False):
    """HEARTBEAT in either format."""

    content: Heartbeat


Found = JsonEncrypted | JsonAck | MsgpackEncrypted | MsgpackAck | AnyHeartbeat

TYPES: Final[dict[type[Found], MessageType]] = {
    JsonEncrypted: MessageType.ENCRYPTED,
    MsgpackEncrypted: MessageType.ENCRYPTED,
    JsonAck: MessageType.ACK,
    MsgpackAck: MessageType.ACK,
    AnyHeartbeat: MessageType.HEARTBEAT,
}

_from_json = msgspec.json.Decoder(JsonEncrypted | JsonAck | AnyHeartbeat).decode
_from_msgpack = msgspec.msgpack.Decoder(MsgpackEncrypted | MsgpackAck | AnyHeartbeat).decode
_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode

# Agents and conversations come again and again; message ids do not, and would only push these out.
_known_party = lru_cache(maxsize=8192)(is_party)
_known_id = lru_cache(maxsize=8192)(is_id)

_fits_id = ID_FORM.fullmatch

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


def read_json(raw: bytes, max_message_bytes: int) -> JsonEncrypted | JsonAck | AnyHeartbeat | None:
    """Read one envelope in JSON, or leave it to the slow way.

    Args:
        raw: The envelope's bytes.
        max_message_bytes: Most bytes it may have.
    """
    if len(raw) > max_message_bytes:
        return None
    found: JsonEncrypted | JsonAck | AnyHeartbeat
    try:
        found = _from_json(raw)
    except _UNREADABLE:
        return None
    content = found.content
    if type(content) is EncryptedText:
        good = raw.count(b":") == _ENCRYPTED_MEMBERS and _known_id(content.session_id) and _canonical(content)
    elif type(content) is AckText:
        members = _ACK_MEMBERS
        for text, pad in ((content.log_head, 1), (content.signature, 2), (content.tag, 1)):
            if text is not UNSET:
                members += 1
                if not _canonical_text(text, pad):
                    return None
        good = raw.count(b":") == members and _complete(content)
    else:
        good = raw.count(b":") == _HEARTBEAT_MEMBERS
    return found if good and _well_named(found) else None


def read_msgpack(raw: bytes, max_message_bytes: int) -> MsgpackEncrypted | MsgpackAck | AnyHeartbeat | None:
    """Read one envelope in msgpack, or leave it to the slow way.

    Args:
        raw: The envelope's bytes.
        max_message_bytes: Most bytes it may have in JSON form.
    """
    found: MsgpackEncrypted | MsgpackAck | AnyHeartbeat
    try:
        found = _from_msgpack(raw)
    except _UNREADABLE:
        return None
    if len(_to_msgpack(found)) != len(raw) or not _well_named(found):
        return None
    content = found.content
    if type(content) is EncryptedBytes:
        if not _known_id(content.session_id):
            return None
    elif type(content) is AckBytes and not _complete(content):
        return None
    # A byte of msgpack becomes at most six of JSON; only where that might be too much is it worth counting.
    if len(raw) * 6 > max_message_bytes and len(_to_json(found)) > max_message_bytes:
        return None
    return found


def to_envelope(found: Found) -> Envelope:
    """The envelope in JSON form."""
    metadata = found.metadata
    return Envelope(
        message_id=found.message_id,
        conversation_id=found.conversation_id,
        sender_id=found.sender_id,
        recipient_id=found.recipient_id,
        message_type=TYPES[type(found)],
        content=msgspec.to_builtins(found.content),
        timestamp=found.timestamp,
        metadata={
            "priority": metadata.priority.value,
            "encrypted": metadata.encrypted,
            "requiresResponse": metadata.requires_response,
        },
    )


def _well_named(found: Found) -> bool:
    return (
        _known_party(found.sender_id)
        and _known_party(found.recipient_id)
        and _known_id(found.conversation_id)
        and _fits_id(found.message_id) is not None
    )


def _complete(content: AckText | AckBytes) -> bool:
    if content.status is AckStatus.DELIVERED:
        complete = content.log_head is not UNSET and content.signature is not UNSET
    else:
        complete = content.status is not AckStatus.CONFIRMED or content.tag is not UNSET
    return complete and is_id(content.message_id)


def _canonical(content: EncryptedText) -> bool:
    """Whether all four are canonical b64: only the alphabet, whole groups, and unused bits zero."""
    data = content.encrypted_data
    if data[-1] != "=":
        pad, ends = 3, len(data) % 4 == 0
    elif data[-2] != "=":
        pad, ends = 4, len(data) % 4 == 0 and data[-2] in _LAST_OF_TWO
    else:
        pad, ends = 5, len(data) % 4 == 0 and data[-3] in _LAST_OF_ONE
    # Outside the alphabet there is only the padding, which ends the data, the signature and the commitment.
    body = f"{data}{content.nonce}{content.signature}{content.commitment}".encode()
    return (
        ends
        and body.translate(None, _ALPHABET) == b"====="[:pad]
        and content.signature[-2:] == "=="
        and content.signature[-3] in _LAST_OF_ONE
        and content.commitment[-1] == "="
        and content.commitment[-2] in _LAST_OF_TWO
    )


def _canonical_text(text: str, pad: int) -> bool:
    last = _LAST_OF_ONE if pad == 2 else _LAST_OF_TWO
    return (
        text.encode().translate(None, _ALPHABET) == text[-pad:].encode() == b"=="[:pad]
        and text[-pad - 1] in last
    )
