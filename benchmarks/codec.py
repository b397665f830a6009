"""What decoding and validating one envelope cost beside the standard library's json with jsonschema.

One ENCRYPTED envelope whose ciphertext has 1 KiB, in both formats: as an agent reads it, as a relay reads it to route
it, and as it is written. The peer reads the same JSON bytes with `json.loads` and checks them against a JSON Schema of
the same form, which finds neither duplicate keys nor base64 that is not canonical. Last, canonical JSON beside the
rfc8785 library. Bounds: decoding ≥ 10 x the peer, routing ≥ 12 x, canonical JSON ≥ 3 x.
"""

from __future__ import annotations

import json
import sys
import timeit
from collections.abc import Callable
from typing import Any

import jsonschema
import rfc8785

from agentnet_desktop.protocol.canonical import jcs
from benchmarks.table import Table
from relay.wire.codec import Decoded, Format, decode, decode_routing, encode, encode_batch, json_form
from relay.wire.envelope import Envelope, MessageType, b64encode, metadata

_CIPHERTEXT_BYTES = 1024
_BATCH = 64
_ID = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"}
_AGENT = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{1,63}$"}


def _b64(length: int | None = None) -> dict[str, Any]:
    size = {} if length is None else {"minLength": length, "maxLength": length}
    return {"type": "string", "pattern": "^[A-Za-z0-9+/]*={0,2}$", **size}


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": [
        "messageId",
        "conversationId",
        "senderId",
        "recipientId",
        "messageType",
        "content",
        "timestamp",
        "metadata",
    ],
    "properties": {
        "messageId": _ID,
        "conversationId": _ID,
        "senderId": _AGENT,
        "recipientId": _AGENT,
        "messageType": {"enum": [kind.value for kind in MessageType]},
        "content": {
            "type": "object",
            "required": [
                "encryptedData",
                "nonce",
                "signature",
                "originalType",
                "sessionId",
                "commitment",
            ],
            "properties": {
                "encryptedData": _b64(),
                "nonce": _b64(32),
                "signature": _b64(88),
                "commitment": _b64(44),
                "sessionId": _ID,
                "originalType": {"type": "string"},
            },
        },
        "timestamp": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
        "metadata": {
            "type": "object",
            "required": ["priority", "encrypted", "requiresResponse"],
            "properties": {
                "priority": {"enum": ["HIGH", "NORMAL", "LOW"]},
                "encrypted": {"type": "boolean"},
                "requiresResponse": {"type": "boolean"},
            },
        },
    },
}


def main(short: bool) -> int:
    """Measure, print the table, and return 0 when the bounds are kept."""
    number, repeats = (2_000, 3) if short else (10_000, 7)

    def micros(call: Callable[[], object], each: int = 1) -> float:
        count = max(1, number // each)
        return min(timeit.repeat(call, number=count, repeat=repeats)) / count / each * 1e6

    envelope = _envelope()
    text, data = encode(envelope, Format.JSON), encode(envelope, Format.MSGPACK)
    (found,) = decode(data, Format.MSGPACK)
    if not isinstance(found, Decoded) or found.envelope != envelope:
        raise RuntimeError("the envelope did not come back as it went")
    validate = jsonschema.Draft202012Validator(_SCHEMA).validate
    peer = micros(lambda: validate(json.loads(text)))
    table = Table(
        f"One ENCRYPTED envelope of {len(text)} bytes of JSON, {len(data)} of msgpack",
        ("", "µs", "envelopes/s", "x json + jsonschema"),
    )

    def row(name: str, value: float, beside: float = peer) -> float:
        table.row(name, value, 1e6 / value, beside / value)
        return beside / value

    row("json.loads + jsonschema", peer)
    row("json.loads alone, nothing checked", micros(lambda: json.loads(text)))
    decoding = min(
        row("decode, JSON", micros(lambda: decode(text, Format.JSON))),
        row("decode, msgpack", micros(lambda: decode(data, Format.MSGPACK))),
    )
    spaced = json.dumps(json_form(envelope), indent=1).encode()
    row("decode, JSON with spaces", micros(lambda: decode(spaced, Format.JSON)))
    unusual = json.dumps({**json_form(envelope), "extra": 1}).encode()
    row("decode, JSON, the slow way", micros(lambda: decode(unusual, Format.JSON)))
    routing = min(
        row("decode_routing, JSON", micros(lambda: decode_routing(text, Format.JSON))),
        row("decode_routing, msgpack", micros(lambda: decode_routing(data, Format.MSGPACK))),
    )
    batch = encode_batch([envelope] * _BATCH, Format.MSGPACK)
    row(
        f"decode_routing, msgpack, in a batch of {_BATCH}",
        micros(lambda: decode_routing(batch, Format.MSGPACK), _BATCH),
    )
    dumps = micros(lambda: json.dumps(json_form(envelope)))
    row("json.dumps", dumps, dumps)
    row("encode, JSON (beside json.dumps)", micros(lambda: encode(envelope, Format.JSON)), dumps)
    row("encode, msgpack (beside json.dumps)", micros(lambda: encode(envelope, Format.MSGPACK)), dumps)
    form = json_form(envelope)
    library = micros(lambda: rfc8785.dumps(form))
    row("rfc8785", library, library)
    canonical = row("jcs (beside rfc8785)", micros(lambda: jcs(form)), library)
    table.bound("decoding, times json + jsonschema", decoding, ">=", 10)
    table.bound("routing, times json + jsonschema", routing, ">=", 12)
    table.bound("canonical JSON, times rfc8785", canonical, ">=", 3)
    return table.finish()


def _envelope() -> Envelope:
    return Envelope(
        message_id="msg_01ARYZ6S41TSV4RRFFQ69G5FAV",
        conversation_id="conv_01ARYZ6S41TSV4RRFFQ69G5FAV",
        sender_id="agent_alice",
        recipient_id="agent_bob",
        message_type=MessageType.ENCRYPTED,
        content={
            "encryptedData": b64encode(bytes(range(256)) * (_CIPHERTEXT_BYTES // 256) + bytes(16)),
            "nonce": b64encode(bytes(range(24))),
            "signature": b64encode(bytes(range(64))),
            "originalType": "QUERY",
            "sessionId": "sess_01ARYZ6S41TSV4RRFFQ69G5FAV",
            "commitment": b64encode(bytes(range(32))),
        },
        timestamp=1_622_548_800_000,
        metadata=metadata(encrypted=True, requires_response=True),
    )


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
