"""Spoils real messages: bytes turned, cut, doubled and spliced, and values swapped within what JSON or msgpack hold.

Every choice comes from the `random.Random` that is passed in, so that a seed gives the same bytes again.
"""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

LONGEST = 200_000
"""No case grows beyond this many bytes: over twice the size limit there is nothing new."""

WORDS: tuple[bytes, ...] = (
    b'"\\ud800"', b"NaN", b"-Infinity", b"1e999", b"9007199254740993", b"1" * 400, b"-0.0", b"1e400", b"\xff", b"\x00",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"[" * 40, b"{" * 3, b"]", b"}", b",", b":", b'"', b"\\", b"\\u0000", b" ", b"\n",
    b"\xc1", b"\xca\x00\x00\x00\x00", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 40, b"\xd4\x00\x00", b"\xcf" + b"\xff" * 8, b"\x80", b"\x90",
    b"system", b"SYSTEM", b"=", b"==", b"%00", b"%", b"&", b"#", b"?", b"-", b'is:"', b"after:", b"\xe2\x80\xae", b"*",
)  # fmt: skip
"""What parsers trip over."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**53 - 1, 2**53, -(2**53), 2**63, 0.5, -0.0, 1e300, "", " ", "x", "x" * 65, "system",
    "System", "a" * 5000, "\x00", "\u202e", "\U0001f600", "agent_bob", "agent_alice", "AGENT_ALICE", "msg_1", "QUERY", "HANDSHAKE",
    "ENCRYPTED", "ACK", "DELIVERED", "CONFIRMED", "2023-06-01T00:00:00Z", "2023-02-30T00:00:00Z", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00", "2016-12-31T23:59:60Z", "Europe/Berlin", "../etc/localtime", "America", [], {}, [[]], [None], {"": 0},
    {"x": {"y": []}}, ["x"] * 70, base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes(64)).decode(),
    base64.b64encode(bytes([1, *bytes(31)])).decode(), base64.b64encode(b"\xff" * 32).decode(), base64.b64encode(bytes(24)).decode(),
    "QQ==", "QR==", "QQ", "Q", "QQ==\n", "-_-_",
)  # fmt: skip
"""What checks trip over, at any place of a message."""


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Spoil one input a little, in one to four ways.

    Args:
        rng: Where all choices come from.
        data: The input.
        others: Inputs to splice from.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = (_within(rng, data, others) if rng.random() < 0.6 else None) or _bytes(rng, data, others)
    return data[:LONGEST]


def _bytes(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.choice((0, 1, 1, 2, 4, 16, 64)))
    match rng.randrange(8):
        case 0 if data:
            at = rng.randrange(len(data))
            return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
        case 1:
            return data[:at] + rng.choice(WORDS) + data[to:]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + data[to:]
        case 4:
            return data[:at] + data[at:to] * rng.choice((2, 2, 3, 70)) + data[to:]
        case 5:
            other = rng.choice(others)
            cut = rng.randrange(len(other) + 1)
            return data[:at] + other[cut : cut + rng.choice((1, 8, 64, 4096))] + data[to:]
        case 6:
            return data[:at] + rng.randbytes(to - at) + data[to:]
        case _:
            return data[:at] + bytes((rng.randrange(256),)) + data[at:]


def _within(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes | None:
    """Change a value inside, where the bytes can be read as JSON or msgpack; else None."""
    for read, write in _FORMATS:
        try:
            value = read(data)
            if not isinstance(value, dict | list):
                continue
            donor = _read(rng.choice(others), read)
            return write(_edited(rng, value, donor))
        except (ValueError, TypeError, RecursionError, OverflowError, msgspec.MsgspecError):
            continue
    return None


def _read(data: bytes, read: Callable[[bytes], Any]) -> Any:
    try:
        return read(data)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _edited(rng: random.Random, value: Any, donor: Any) -> Any:
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    match rng.randrange(7):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(("x", "", "messageId", "data", "peerHash", "contactProof", "\ud800", "é"))] = (
                holder[key]
            )
        case 2 if isinstance(donor, dict | list) and (found := list(_places(donor))):
            other, there = rng.choice(found)
            holder[key] = copy.deepcopy(other[there])
        case 3:
            holder[key] = _near(rng, holder[key])
        case 4:
            return [copy.deepcopy(value) for _ in range(rng.choice((1, 2, 3, 64, 65)))]
        case _:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def _near(rng: random.Random, value: Any) -> Any:
    """A value of the same type, a little off."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice((-1, 1, 1000, 2**53, -(2**53)))
    if isinstance(value, str) and value:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice(("", "A", "=", "é", "\u200b", value)) + value[at + rng.randrange(2) :]
    if isinstance(value, bytes):
        return value[:-1] if rng.random() < 0.5 else value + b"\x00"
    return [value]


def _places(value: Any, depth: int = 0) -> Any:
    """Every (object or array, key or index) within a value."""
    if depth > 20:
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield value, key
        yield from _places(item, depth + 1)


def _to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


_FORMATS: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
    (json.loads, _to_json),
    (msgspec.msgpack.decode, msgspec.msgpack.encode),
)
