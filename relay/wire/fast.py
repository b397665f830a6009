"""The fast ways to read an envelope: what nearly all traffic looks like, taken in one typed decode.

Implements nothing of its own: docs/protocol.md sections 2 and 4 hold here as in `codec`, which reads value by
value whatever this module does not take. A reader here returns None rather than judge: then the slow way
reads the same bytes and names what is wrong, if anything is.

Why one typed decode is strict enough, though msgspec lets a second key win and skips unknown ones:

- JSON: all bytes that are neither white space nor of base64's alphabet are counted. What was found needs so many:
  the quotes, colons, commas and braces of its members, what its ids hold of `._-:`, and the padding of its base64.
  When the bytes hold exactly as many, there is nothing else in them: no further member, no escape, and nothing
  foreign in base64 but perhaps a space, which is looked for.
- msgpack: encoding what was found gives the shortest form. When that is as long as the bytes, no member was
  skipped or overwritten.

This module reads ENCRYPTED, ACK and HEARTBEAT, without unknown fields.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Final, Literal

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

_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PLAIN_OR_SPACE: Final = _PLAIN + b" \t\r\n"
_ENDS_OF_ONE: Final = frozenset(
    f"{last}==" for last in "AQgw"
)  # one byte in the last group: four unused bits
_ENDS_OF_TWO: Final = frozenset(f"{last}=" for last in "AEIMQUYcgkosw048")  # two bytes: two unused bits
_NEVER: Final = -1
"""A count below what the found members alone need: no bytes have so few."""
# Quotes, colons, commas and braces: of the envelope and its metadata, then of each content.
_ENVELOPE_MARKS: Final = (16 + 10 + 8 + 7 + 2) + (6 + 2 + 3 + 2 + 2)
_ENCRYPTED_MARKS: Final = _ENVELOPE_MARKS + (12 + 12 + 6 + 5 + 2)
_ACK_MARKS: Final = _ENVELOPE_MARKS + (4 + 4 + 2 + 1 + 2)
_OPTIONAL_MARKS: Final = 2 + 2 + 1 + 1
_HEARTBEAT_MARKS: Final = _ENVELOPE_MARKS + (2 + 1 + 2)


class Metadata(msgspec.Struct, rename="camel", gc=False):
    """`metadata` without unknown fields."""

    priority: Priority
    encrypted: bool
    requires_response: bool


class _Common(msgspec.Struct, rename="camel", tag_field="messageType", gc=False):
    message_id: str
    conversation_id: str
    sender_id: str
    recipient_id: str
    timestamp: Time
    metadata: Metadata


class EncryptedText(msgspec.Struct, rename="camel", gc=False):
    """ENCRYPTED content in JSON."""

    encrypted_data: TextTag
    nonce: Text24
    signature: Text64
    original_type: Sealable
    session_id: str
    commitment: Text32


class EncryptedBytes(msgspec.Struct, rename="camel", gc=False):
    """ENCRYPTED content in msgpack."""

    encrypted_data: BytesTag
    nonce: Bytes24
    signature: Bytes64
    original_type: Sealable
    session_id: str
    commitment: Bytes32


class AckText(msgspec.Struct, rename="camel", gc=False):
    """ACK content in JSON."""

    message_id: str
    status: AckStatus
    log_head: Text32 | UnsetType = UNSET
    signature: Text64 | UnsetType = UNSET
    tag: Text32 | UnsetType = UNSET


class AckBytes(msgspec.Struct, rename="camel", gc=False):
    """ACK content in msgpack."""

    message_id: str
    status: AckStatus
    log_head: Bytes32 | UnsetType = UNSET
    signature: Bytes64 | UnsetType = UNSET
    tag: Bytes32 | UnsetType = UNSET


class Heartbeat(msgspec.Struct, rename="camel", gc=False):
    """HEARTBEAT content."""

    timestamp: Time


class JsonEncrypted(_Common, tag="ENCRYPTED", gc=False):
    """ENCRYPTED in JSON."""

    message_type: ClassVar[MessageType] = MessageType.ENCRYPTED
    content: EncryptedText


class JsonAck(_Common, tag="ACK", gc=False):
    """ACK in JSON."""

    message_type: ClassVar[MessageType] = MessageType.ACK
    content: AckText


class MsgpackEncrypted(_Common, tag="ENCRYPTED", gc=False):
    """ENCRYPTED in msgpack."""

    message_type: ClassVar[MessageType] = MessageType.ENCRYPTED
    content: EncryptedBytes


class MsgpackAck(_Common, tag="ACK", gc=False):
    """ACK in msgpack."""

    message_type: ClassVar[MessageType] = MessageType.ACK
    content: AckBytes


class AnyHeartbeat(_Common, tag="HEARTBEAT", gc=False):
    """HEARTBEAT in either format."""

    message_type: ClassVar[MessageType] = MessageType.HEARTBEAT
    content: Heartbeat


Found = JsonEncrypted | JsonAck | MsgpackEncrypted | MsgpackAck | AnyHeartbeat

_from_json = msgspec.json.Decoder(JsonEncrypted | JsonAck | AnyHeartbeat).decode
_from_msgpack = msgspec.msgpack.Decoder(MsgpackEncrypted | MsgpackAck | AnyHeartbeat).decode
_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode

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
    content, message_id = found.content, found.message_id
    inner: str | None
    if type(content) is EncryptedText:
        inner = content.session_id
        marks = _ENCRYPTED_MARKS + _padding(content)
    elif type(content) is AckText:
        if not _complete(content):
            return None
        inner = None
        marks = _ACK_MARKS + _padding_of_ack(content) + _count_marks(content.message_id)
    else:
        inner, marks = None, _HEARTBEAT_MARKS
    marks += _marks_of(found.sender_id, found.recipient_id, found.conversation_id, inner)
    marks += len(message_id.encode().translate(None, _PLAIN))
    if len(raw.translate(None, _PLAIN)) != marks and not _is_spaced(raw, content, marks):
        return None
    return found if _fits_id(message_id) is not None else None


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
    content = found.content
    session = content.session_id if type(content) is EncryptedBytes else None
    if (
        len(_to_msgpack(found)) != len(raw)
        or _marks_of(found.sender_id, found.recipient_id, found.conversation_id, session) < 0
        or _fits_id(found.message_id) is None
        or (type(content) is AckBytes and not _complete(content))
    ):
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
        message_type=found.message_type,
        content=msgspec.to_builtins(found.content),
        timestamp=found.timestamp,
        metadata={
            "priority": metadata.priority.value,
            "encrypted": metadata.encrypted,
            "requiresResponse": metadata.requires_response,
        },
    )


def _complete(content: AckText | AckBytes) -> bool:
    if content.status is AckStatus.DELIVERED:
        complete = content.log_head is not UNSET and content.signature is not UNSET
    else:
        complete = content.status is not AckStatus.CONFIRMED or content.tag is not UNSET
    return complete and is_id(content.message_id)


# Agents, conversations and sessions come again and again; message ids do not, and would only push these out.
@lru_cache(maxsize=8192)
def _marks_of(sender: str, recipient: str, conversation: str, session: str | None) -> int:
    """How many marks these ids hold, or too few where one of them is none."""
    named = is_party(sender) and is_party(recipient) and is_id(conversation)
    if not named or (session is not None and not is_id(session)):
        return _NEVER
    return _count_marks(f"{sender}{recipient}{conversation}{session or ''}")


def _count_marks(text: str) -> int:
    return len(text.encode().translate(None, _PLAIN))


def _is_spaced(raw: bytes, content: EncryptedText | AckText | Heartbeat, marks: int) -> bool:
    """Whether nothing but white space between its members makes the bytes longer."""
    if len(raw.translate(None, _PLAIN_OR_SPACE)) != marks:
        return False
    return not any(isinstance(item, str) and " " in item for item in msgspec.structs.astuple(content))


def _padding(content: EncryptedText) -> int:
    """How many `=` end the four, as canonical b64 does, or too few where it ends otherwise."""
    data = content.encrypted_data
    if (
        len(data) % 4
        or content.signature[-3:] not in _ENDS_OF_ONE
        or content.commitment[-2:] not in _ENDS_OF_TWO
    ):
        return _NEVER
    if data[-1] != "=":
        return 3
    if data[-2:] in _ENDS_OF_TWO:
        return 4
    return 5 if data[-3:] in _ENDS_OF_ONE else _NEVER


def _padding_of_ack(content: AckText) -> int:
    """As `_padding`, with the marks of the members that are there."""
    marks = 0
    for text, pads in ((content.log_head, 1), (content.signature, 2), (content.tag, 1)):
        if text is not UNSET:
            good = text[-pads - 1 :] in (_ENDS_OF_ONE if pads == 2 else _ENDS_OF_TWO)
            marks += _OPTIONAL_MARKS + pads if good else _NEVER
    return marks
