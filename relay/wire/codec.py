"""Frames to envelopes and back: JSON and msgpack, one envelope or a batch, strictly.

Implements docs/protocol.md sections 2 (formats), 3.3 (batches), 3.4 (sizes) and 4 (envelope). A frame that
cannot be read at all is one error; in a batch every element succeeds or fails alone, in order, and keeps its
own bytes as they came. The fast ways through are in `fast`; what they do not take is read here, value by
value.

This module does not judge what a message means, and does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from relay.wire import control, fast, schema, strict
from relay.wire.envelope import (
    MAX_INTEGER,
    Envelope,
    MessageType,
    b64decode,
    b64encode,
    check_id,
    check_party,
    is_id,
)
from relay.wire.errors import WireError
from relay.wire.fast import Found, read_json, read_msgpack

DEFAULT_MAX_MESSAGE_BYTES: Final = 65_536
MAX_BATCH: Final = 64
"""Most envelopes in one frame."""


class Format(StrEnum):
    """The two ways to write an envelope, named as on the wire."""

    JSON = "json"
    MSGPACK = "msgpack"

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that carries it."""
        return f"agentnet.v1+{self.value}"


_JSON: Final = Format.JSON  # looking a member of an Enum up costs more than the rest of a comparison


class Decoded(msgspec.Struct, frozen=True):
    """One envelope as it came.

    Attributes:
        envelope: Checked, in JSON form.
        raw: The envelope's own bytes, as they came.
        dropped: Unknown top-level fields that were dropped, in order.
    """

    envelope: Envelope
    raw: bytes
    dropped: tuple[str, ...] = ()

    def __repr__(self) -> str:
        size = f"raw={len(self.raw)} bytes"  # an AUTH's hold a token
        return f"Decoded(envelope={self.envelope!r}, {size}, dropped={self.dropped!r})"


class Routed(msgspec.Struct, frozen=True, gc=False):
    """What a relay needs of an envelope, and its bytes untouched.

    Attributes:
        raw: The envelope's own bytes, as they came.
        size: Their number.
    """

    message_id: str
    conversation_id: str
    sender_id: str
    recipient_id: str
    message_type: MessageType
    raw: bytes
    size: int


Routing = Routed | Found
"""Either way, `message_id`, `conversation_id`, `sender_id`, `recipient_id` and `message_type` are there."""


def frame_limit(max_message_bytes: int) -> int:
    """Most bytes a frame may have; over it the connection closes with 1009."""
    return 2 * max_message_bytes


def decode(
    frame: bytes | str, fmt: Format, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
) -> list[Decoded | WireError]:
    """Read a frame.

    Args:
        frame: One WebSocket message.
        fmt: The connection's format.
        max_message_bytes: Most bytes of one envelope, counted in JSON form.

    Returns:
        For each envelope, in order, the envelope or what is wrong with it; one WireError when the frame as a
        whole cannot be read.
    """
    data = _as_bytes(frame)
    if data[:1] in _ALONE:
        read = read_json if fmt is _JSON else read_msgpack
        found = read(data, max_message_bytes)
        if found is not None:
            return [_decoded(found, data)]
    return _each(data, fmt, max_message_bytes, _decoded, _decode_slowly)


def decode_routing(
    frame: bytes | str, fmt: Format, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
) -> list[Routed | WireError]:
    """Read of a frame what a relay routes by, as strictly as `decode`, keeping the bytes untouched.

    Args and Returns: as `decode`.
    """
    data = _as_bytes(frame)
    if data[:1] in _ALONE:
        found = (read_json if fmt is _JSON else read_msgpack)(data, max_message_bytes)
        if found is not None:
            return [_routed(found, data)]
    return decode_routing_left(data, fmt, max_message_bytes=max_message_bytes)


def decode_routing_left(frame: bytes, fmt: Format, *, max_message_bytes: int) -> list[Routed | WireError]:
    """As `decode_routing`, for a frame that `fast` has left as a whole."""
    return _each(frame, fmt, max_message_bytes, _routed, _route_slowly)


def _as_bytes(frame: bytes | str) -> bytes:
    return frame if isinstance(frame, bytes) else frame.encode("utf-8", "surrogatepass")


def encode(envelope: Envelope, fmt: Format) -> bytes:
    """Write one envelope, compactly. A text frame carries the JSON bytes as UTF-8."""
    if fmt is _JSON:
        return msgspec.json.encode(envelope)
    names = control.BYTES_FIELDS.get(envelope.message_type)
    if not names:
        return msgspec.msgpack.encode(envelope)
    content = {
        name: b64decode(item, field=f"content.{name}") if name in names and item is not None else item
        for name, item in envelope.content.items()
    }
    return msgspec.msgpack.encode(msgspec.structs.replace(envelope, content=content))


def encode_batch(envelopes: Sequence[Envelope], fmt: Format) -> bytes:
    """Write 1 to 64 envelopes as one frame; a single one stands alone."""
    return join_batch([encode(envelope, fmt) for envelope in envelopes], fmt)


def join_batch(raws: Sequence[bytes], fmt: Format) -> bytes:
    """Join 1 to 64 envelopes that are already written; a single one stands alone.

    Raises:
        ValueError: For none or more than 64.
    """
    if not 1 <= len(raws) <= MAX_BATCH:
        raise ValueError(f"a frame holds 1 to {MAX_BATCH} envelopes, not {len(raws)}")
    if len(raws) == 1:
        return b"".join(raws)
    if fmt is _JSON:
        return b"[" + b",".join(raws) + b"]"
    head = bytes((0x90 | len(raws),)) if len(raws) < 16 else b"\xdc" + len(raws).to_bytes(2, "big")
    return head + b"".join(raws)


def json_form(envelope: Envelope) -> dict[str, Any]:
    """The eight fields under their wire names; what JCS and the log take."""
    return {
        "messageId": envelope.message_id,
        "conversationId": envelope.conversation_id,
        "senderId": envelope.sender_id,
        "recipientId": envelope.recipient_id,
        "messageType": envelope.message_type.value,
        "content": envelope.content,
        "timestamp": envelope.timestamp,
        "metadata": envelope.metadata,
    }


def transcode(raw: bytes, source: Format, target: Format) -> bytes:
    """Write an envelope's bytes in another format; unknown top-level fields are dropped.

    Raises:
        WireError: If the bytes do not fit the protocol.
    """
    return raw if source is target else encode(read_again(raw, source), target)


def read_again(raw: bytes, fmt: Format) -> Envelope:
    """The whole envelope in bytes of which `decode_routing` has taken the routing.

    Raises:
        WireError: If the bytes do not fit the protocol; those that were routed do.
    """
    read = read_json if fmt is _JSON else read_msgpack
    found = read(raw, MAX_INTEGER)
    return _decode_slowly(raw, fmt, MAX_INTEGER).envelope if found is None else fast.to_envelope(found)


# ------------------------------------------------------------------------------------------- elements

_T = TypeVar("_T")


def _each(
    data: bytes,
    fmt: Format,
    limit: int,
    quick: Callable[[Found, bytes], _T],
    slow: Callable[[bytes, Format, int], _T],
) -> list[_T | WireError]:
    """Split a frame, which `fast` has left as a whole, and read each element alone: quickly where that can be."""
    try:
        elements = _split(data, fmt)
    except WireError as error:
        return [_bare(error)]
    read = read_json if fmt is _JSON else read_msgpack
    outcomes: list[_T | WireError] = []
    for raw in elements:
        found = None if raw is data and raw[:1] in _ALONE else read(raw, limit)
        if found is not None:
            outcomes.append(quick(found, raw))
            continue
        try:
            outcomes.append(slow(raw, fmt, limit))
        except WireError as error:
            outcomes.append(_bare(error))
    return outcomes


def _bare(error: WireError) -> WireError:
    """An error that is handed on as a value, without the way it came: that would keep the message in memory."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def _routed(found: Found, raw: bytes) -> Routed:
    return Routed(
        found.message_id,
        found.conversation_id,
        found.sender_id,
        found.recipient_id,
        found.message_type,
        raw,
        len(raw),
    )


def _decoded(found: Found, raw: bytes) -> Decoded:
    return Decoded(fast.to_envelope(found), raw)


def _route_slowly(raw: bytes, fmt: Format, limit: int) -> Routed:
    envelope = _decode_slowly(raw, fmt, limit).envelope
    return Routed(
        envelope.message_id,
        envelope.conversation_id,
        envelope.sender_id,
        envelope.recipient_id,
        envelope.message_type,
        raw,
        len(raw),
    )


def _split(data: bytes, fmt: Format) -> Sequence[bytes]:
    """The elements of a batch, or the one envelope of the frame."""
    if fmt is _JSON:
        if data.lstrip(_SPACE)[:1] != b"[":
            return [data]
        elements = _split_json(data)
    elif not _is_msgpack_array(data):
        return [data]
    else:
        elements = _split_msgpack(data)
    if not 1 <= len(elements) <= MAX_BATCH:
        raise WireError("frame", f"a batch holds 1 to {MAX_BATCH} envelopes", details={"limit": MAX_BATCH})
    return [bytes(element) for element in elements]


def _split_json(data: bytes) -> Sequence[bytes | msgspec.Raw]:
    try:
        return _JSON_ELEMENTS.decode(data)
    except (msgspec.DecodeError, RecursionError):
        # NaN or a lone surrogate in one element must not take the others with it.
        return strict.split_json_array(data, most=MAX_BATCH)


def _split_msgpack(data: bytes) -> Sequence[msgspec.Raw]:
    try:
        return _MSGPACK_ELEMENTS.decode(data)
    except RecursionError:
        raise WireError("frame", f"is nested over {strict.MAX_DEPTH} deep") from None
    except msgspec.DecodeError:
        raise WireError("frame", "is not msgpack") from None


def _is_msgpack_array(data: bytes) -> bool:
    return data[:1] in _MSGPACK_ARRAYS


def _decode_slowly(raw: bytes, fmt: Format, limit: int) -> Decoded:
    try:
        value = strict.parse_json(raw) if fmt is _JSON else strict.parse_msgpack(raw)
        if not isinstance(value, dict):
            raise WireError("envelope", "is not an object")
        envelope = _envelope(value, fmt)
        _check_size(envelope, raw, fmt, limit)
    except WireError as error:
        error.message_id = _message_id(raw, fmt)
        raise
    return Decoded(envelope, raw, tuple(name for name in value if name not in _FIELDS))


def _message_id(raw: bytes, fmt: Format) -> str | None:
    """The `messageId` of bytes that are refused, where they hold one that can be told apart."""
    try:
        found: object = (_JSON_NAME if fmt is _JSON else _MSGPACK_NAME).decode(raw).message_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = strict.peek_json(raw, "messageId")  # None for msgpack
    return found if isinstance(found, str) and is_id(found) else None


def _envelope(value: dict[str, Any], fmt: Format) -> Envelope:
    """Check the eight fields and the content, by hand, naming what does not fit."""
    if fmt is Format.MSGPACK:
        value = _to_json_form(value)
    try:
        envelope = msgspec.convert(value, Envelope)
    except msgspec.ValidationError as error:
        raise schema.to_wire_error(error, "") from None
    check_id(envelope.message_id, "messageId")
    check_id(envelope.conversation_id, "conversationId")
    check_party(envelope.sender_id, "senderId")
    check_party(envelope.recipient_id, "recipientId")
    if not 0 <= envelope.timestamp <= MAX_INTEGER:
        raise WireError("timestamp", "is out of range")
    schema.from_json_form(fast.Metadata, envelope.metadata, path="metadata")
    control.check(envelope.message_type, envelope.content)
    return envelope


def _to_json_form(value: dict[str, Any]) -> dict[str, Any]:
    """Turn bin into b64 where a bytes field is, and refuse it everywhere else, and text where bin should be."""
    kind, content = value.get("messageType"), value.get("content")
    names: frozenset[str] = frozenset()
    if isinstance(kind, str) and kind in MessageType.__members__:
        names = control.BYTES_FIELDS.get(MessageType(kind), names)
    if isinstance(content, dict):
        written = dict(content)
        for name in names & content.keys():
            if isinstance(content[name], bytes):
                written[name] = b64encode(content[name])
            elif content[name] is not None:
                raise WireError(f"content.{name}", "is not bin")
        value = {**value, "content": written}
    strict.refuse_bytes(value, "")
    return value


def _check_size(envelope: Envelope, raw: bytes, fmt: Format, limit: int) -> None:
    size = len(raw) if fmt is _JSON else len(msgspec.json.encode(envelope))
    if size > limit:
        raise WireError("envelope", f"is larger than {limit} bytes", details={"limit": limit, "size": size})


class _Named(msgspec.Struct, rename="camel"):
    message_id: str


_FIELDS: Final = frozenset(Envelope.__struct_encode_fields__)
_ALONE: Final = (b"{", b"\x88")
"""How a frame begins that holds one envelope: an object, or a map of eight."""
_MSGPACK_ARRAYS: Final = frozenset(bytes((lead,)) for lead in (*range(0x90, 0xA0), 0xDC, 0xDD))
_SPACE: Final = b" \t\r\n"
_JSON_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MSGPACK_ELEMENTS: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_JSON_NAME: Final = msgspec.json.Decoder(_Named)
_MSGPACK_NAME: Final = msgspec.msgpack.Decoder(_Named)
