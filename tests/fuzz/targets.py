"""What is fuzzed: each target takes any bytes and lets out nothing but the errors that its module declares.

A target returns a word for how the input fared, such as `content.nonce is missing`: an input that fares as none did
before is kept and spoilt further. Where two ways lead to one answer, the target compares them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from nacl import bindings

from agentnet_desktop.audit import filter as log_filter
from agentnet_desktop.crypto import handshake
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.padding import pad
from agentnet_desktop.crypto.session import (
    SessionKeys,
    commitment_of,
    open_sealed,
    substance,
    verify_sealed,
)
from agentnet_desktop.protocol import contact_link, content
from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from relay.wire import codec, strict
from relay.wire.codec import Decoded, Format, Routed, decode, decode_routing, encode, json_form, transcode
from relay.wire.control import SEALABLE
from relay.wire.envelope import Envelope, MessageType, b64encode
from relay.wire.errors import WireError
from tests.crypto.people import ALICE, BOB, identity, pair, sealed

Target = Callable[[bytes], str]

_PAIR = pair()
_KEYS: SessionKeys = _PAIR.keys[BOB]
_NOW = 1_772_366_400_000
_ZONE = ZoneInfo("Europe/Berlin")


def _word(error: Exception) -> str:
    """How an input was refused, without what stood in it."""
    if isinstance(error, WireError):
        return re.sub(r"\d+|'.*'", "", f"{error.field[:24]} {error.reason[:24]}")
    if isinstance(error, CryptoError):
        return f"{error.word} {error.reason[:40]}"
    return re.sub(r"\d+|'.*'", "", str(error))[:40]


# ------------------------------------------------------------------------------------------- the wire


def wire_json(data: bytes) -> str:
    """`codec` reads any bytes as JSON; its two readers agree, and what was read survives writing."""
    return _wire(data, Format.JSON)


def wire_msgpack(data: bytes) -> str:
    """As `wire_json`, for msgpack."""
    return _wire(data, Format.MSGPACK)


def _wire(data: bytes, fmt: Format) -> str:
    whole, routed = decode(data, fmt), decode_routing(data, fmt)
    assert 1 <= len(whole) == len(routed) <= 64
    words = []
    for one, other in zip(whole, routed, strict=True):
        if isinstance(one, WireError):
            assert isinstance(other, WireError)
            assert _told(one) == _told(other)
            words.append(_word(one))
        else:
            assert isinstance(other, Routed)
            words.append(_survives(one, other, fmt))
    return " | ".join(sorted(set(words)))[:120]


def _told(error: WireError) -> tuple[Any, ...]:
    return error.code, error.field, error.reason, error.message_id, error.details


def _survives(one: Decoded, other: Routed, fmt: Format) -> str:
    envelope = one.envelope
    assert codec._decode_slowly(one.raw, fmt, codec.DEFAULT_MAX_MESSAGE_BYTES).envelope == envelope
    assert (other.message_id, other.conversation_id) == (envelope.message_id, envelope.conversation_id)
    assert (other.sender_id, other.recipient_id) == (envelope.sender_id, envelope.recipient_id)
    assert (other.message_type, other.raw, other.size) == (envelope.message_type, one.raw, len(one.raw))
    for written in Format:
        (again,) = decode(encode(envelope, written), written, max_message_bytes=2**30)
        assert isinstance(again, Decoded)
        assert json_form(again.envelope) == json_form(envelope)
    there = Format.MSGPACK if fmt is Format.JSON else Format.JSON
    (crossed,) = decode(transcode(one.raw, fmt, there), there, max_message_bytes=2**30)
    assert isinstance(crossed, Decoded)
    assert json_form(crossed.envelope) == json_form(envelope)
    return f"{envelope.message_type} with {len(one.dropped)} dropped"


def canonical(data: bytes) -> str:
    """What reads strictly as JSON has one canonical form, which reads as the same value."""
    try:
        value = strict.parse_json(data)
        text = jcs(value)
    except (WireError, NotCanonical) as error:
        return _word(error)
    assert jcs(strict.parse_json(text)) == text
    return type(value).__name__


# ------------------------------------------------------------------------------------------- sealed things


def shake_hands(data: bytes) -> str:
    """A HANDSHAKE as it came, taken as an initiation and as a response."""
    return _each(data, lambda envelope: f"{_initiation(envelope)} / {_response(envelope)}")


def shake_hands_signed(data: bytes) -> str:
    """As `shake_hands`, but signed well: a malicious peer can sign whatever it likes."""

    def check(envelope: Envelope) -> str:
        form = json_form(envelope)
        form["content"] = {key: value for key, value in form["content"].items() if key != "signature"}
        words = []
        for name, checked in ((ALICE, _initiation), (BOB, _response)):
            form["content"]["identityKey"] = b64encode(identity(name).public)
            signature = identity(name).sign(b"agentnet/v1/handshake\0" + jcs(form))
            signed = {**envelope.content, **form["content"], "signature": b64encode(signature)}
            words.append(checked(_with(envelope, signed)))
        return " / ".join(words)

    return _each(data, check)


def _with(envelope: Envelope, changed: dict[str, Any]) -> Envelope:
    return Envelope(
        message_id=envelope.message_id,
        conversation_id=envelope.conversation_id,
        sender_id=envelope.sender_id,
        recipient_id=envelope.recipient_id,
        message_type=envelope.message_type,
        content=changed,
        timestamp=envelope.timestamp,
        metadata=envelope.metadata,
    )


def _each(data: bytes, check: Callable[[Envelope], str]) -> str:
    words = []
    for found in decode(data, Format.JSON)[:3]:
        if isinstance(found, WireError):
            words.append("unread")
            continue
        try:
            words.append(check(found.envelope))
        except (WireError, CryptoError, NotCanonical) as error:
            words.append(_word(error))
    return " | ".join(words)


def _initiation(envelope: Envelope) -> str:
    try:
        offer = handshake.check_initiation(envelope, own_id=BOB)
        handshake.derive(bytes([7] * 32), offer.public_key, initiation=envelope, response=_PAIR.response)
        handshake.check_contact_proof(offer, bytes(32))
    except (WireError, CryptoError) as error:
        return _word(error)
    return "taken"


def _response(envelope: Envelope) -> str:
    try:
        offer = handshake.check_response(envelope, initiation=_PAIR.initiation, own_id=ALICE)
        handshake.derive(bytes([7] * 32), offer.public_key, initiation=_PAIR.initiation, response=envelope)
    except (WireError, CryptoError) as error:
        return _word(error)
    return "taken"


def sealed_messages(data: bytes) -> str:
    """An ENCRYPTED envelope as it came."""
    return _each(data, _opened)


def _opened(envelope: Envelope) -> str:
    verified = verify_sealed(envelope, identity_key=identity(ALICE).public, own_id=BOB)
    opened = open_sealed(verified, _KEYS)
    substance(verified, opened)
    return "opened"


def sealed_plaintexts(data: bytes) -> str:
    """Any bytes, sealed well by a peer that breaks the rules inside: first as plaintext, then as padded plaintext."""
    words = []
    for padded, plaintext in ((pad(data), data), (data, data.rstrip(b"\x00")[:-1])):
        try:
            words.append(_opened(_sealed(padded, plaintext)))
        except (CryptoError, WireError) as error:
            words.append(_word(error))
    return " / ".join(words)


_HEADER_OF = sealed(_PAIR).envelope


def _sealed(padded: bytes, plaintext: bytes) -> Envelope:
    """Seal bytes that `seal` would not, by the steps of docs/protocol.md 7.6."""
    outside = {
        "originalType": "QUERY",
        "sessionId": _PAIR.session_id,
        "commitment": b64encode(commitment_of(plaintext)),
    }
    shown = {
        key: value for key, value in json_form(_HEADER_OF).items() if key not in {"messageType", "content"}
    }
    header = jcs({**shown, **outside})
    nonce = bytes(24)
    ciphertext = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        padded, header, nonce, _KEYS.encryption_key
    )
    signature = identity(ALICE).sign(b"agentnet/v1/message\0" + nonce + ciphertext + header)
    inside = {
        "encryptedData": b64encode(ciphertext),
        "nonce": b64encode(nonce),
        "signature": b64encode(signature),
    }
    return _with(_HEADER_OF, {**outside, **inside})


def contents(data: bytes) -> str:
    """The content of each type that travels sealed; what is taken can be built again."""
    try:
        value = strict.parse_json(data)
    except WireError:
        return "unread"
    if not isinstance(value, dict):
        return "no object"
    words = []
    for kind in sorted(SEALABLE):
        try:
            found = content.parse_content(MessageType(kind), value)
            again = content.parse_content(MessageType(kind), content.build_content(found))
            assert again == found
            words.append(f"{kind} taken")
        except WireError as error:
            words.append(_word(error))
    for check in (content.availability, content.availability_data, content.custom_name):
        for part in (value, value.get("parameters"), value.get("data")):
            if isinstance(part, dict):
                try:
                    check(part)
                except WireError as error:
                    words.append(_word(error))
    return " | ".join(sorted(set(words)))[:200]


# ------------------------------------------------------------------------------------------- what people paste


def links(data: bytes) -> str:
    """A contact link and a join link; what is taken is written as it was read, or reads as the same."""
    text = data.decode("utf-8", "replace")
    words = []
    for parse in (contact_link.parse_contact_link, contact_link.parse_invite_link):
        try:
            found = parse(text)
            assert parse(found.format()) == found
            words.append("taken")
        except contact_link.BadLink as error:
            words.append(_word(error))
    return " / ".join(words)


def filters(data: bytes) -> str:
    """A filter of the log."""
    try:
        found = log_filter.parse(data.decode("utf-8", "replace"), now_ms=_NOW, zone=_ZONE, own_id=ALICE)
    except log_filter.FilterError as error:
        return _word(error)
    return " ".join(sorted({term.field for term in found.terms}))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        wire_json,
        wire_msgpack,
        canonical,
        shake_hands,
        shake_hands_signed,
        sealed_messages,
        sealed_plaintexts,
        contents,
        links,
        filters,
    )
}
