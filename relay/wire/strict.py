"""Strict reading of JSON and msgpack values: what ordinary readers let pass is refused, by path.

Implements docs/protocol.md section 2.3 (what is refused). Duplicate keys, NaN and infinities, integral
numbers beyond 2**53 - 1, lone surrogates, invalid UTF-8, nesting over 16; and in msgpack ext types, float32,
keys that are not strings.

This module does not know envelopes: it gives plain values (`dict`, `list`, `str`, `int`, `float`, `bool`,
`None`, and `bytes` from msgpack bin) or raises WireError.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from typing import Any, Final, NoReturn

import msgspec

from relay.wire.envelope import MAX_INTEGER
from relay.wire.errors import WireError

MAX_DEPTH: Final = 16
"""Most objects and arrays open at once, the outermost included."""

_SPACES: Final = frozenset(" \t\r\n")
_FLOAT64: Final = struct.Struct(">d")


class _Refused:
    """Stands in a parsed tree for a value that must be refused, so that its path can be told."""

    __slots__ = ("key", "reason")

    def __init__(self, reason: str, key: str | None = None) -> None:
        self.reason = reason
        self.key = key


def parse_json(text: bytes | str, *, path: str = "") -> Any:
    """Read one JSON text strictly.

    Args:
        text: UTF-8 bytes, or text.
        path: What the value is called in errors; "" for an envelope.

    Returns:
        The value.

    Raises:
        WireError: Naming the field that is refused, or `path` (or "frame") when it is not JSON at all.
    """
    try:
        value = msgspec.json.decode(text)
        if msgspec.json.encode(value) != (text if isinstance(text, bytes) else text.encode()):
            value = _reread(text, path)  # not compact, or a key twice: look closely
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = _reread(text, path)
    check_value(value, path)
    return value


def peek_json(data: bytes, key: str) -> Any:
    """The value under a key of a JSON object that `parse_json` refuses, or None where none can be told."""
    try:
        value = _reread(data, "")
    except WireError:
        return None
    return value.get(key) if isinstance(value, dict) else None


def split_json_array(data: bytes, *, most: int) -> list[bytes]:
    """The elements of a JSON array, each as its own bytes, unread but for their extent.

    Args:
        data: The array.
        most: After so many elements and one more, the rest is left unread: the caller refuses it anyway.

    Raises:
        WireError: Naming "frame", if it is not an array of JSON values and commas.
    """
    try:
        text = data.decode("utf-8")
        at = _after_space(text, 0) + 1
        elements: list[bytes] = []
        while True:
            begin = _after_space(text, at)
            _, end = _READER.raw_decode(text, begin)
            elements.append(text[begin:end].encode())
            at = _after_space(text, end)
            if len(elements) > most:
                return elements
            if text[at] != ",":
                break
            at += 1
        if text[at] != "]" or _after_space(text, at + 1) != len(text):
            raise ValueError
    except RecursionError:
        raise WireError("frame", f"is nested over {MAX_DEPTH} deep") from None
    except (ValueError, IndexError):  # not UTF-8, not JSON, or cut off
        raise WireError("frame", "is not JSON") from None
    return elements


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACES:
        at += 1
    return at


def check_value(value: Any, path: str, *, depth: int = 1) -> None:
    """Refuse what may not stand in a message, wherever it is nested.

    Args:
        value: From a reader of this module.
        path: What the value is called in errors.
        depth: Objects and arrays already open, this one included.

    Raises:
        WireError: Naming the field.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if depth > MAX_DEPTH:
            raise WireError(path or "frame", f"is nested over {MAX_DEPTH} deep")
        if kind is dict:
            for key, item in value.items():
                where = f"{path}.{key}" if path else key
                if not key.isascii():
                    _check_text(key, path or "frame")
                check_value(item, where, depth=depth + 1)
        else:
            for at, item in enumerate(value):
                check_value(item, f"{path}[{at}]", depth=depth + 1)
    elif kind is str:
        if not value.isascii():
            _check_text(value, path or "frame")
    elif kind is int or kind is float:
        _check_number(value, path or "frame")
    elif kind is _Refused:
        where = path if value.key is None else f"{path}.{value.key}" if path else value.key
        raise WireError(where or "frame", value.reason)


def refuse_bytes(value: Any, path: str) -> None:
    """Refuse msgpack bin anywhere in a value.

    Raises:
        WireError: Naming the field.
    """
    if isinstance(value, bytes):
        raise WireError(path or "frame", "is bin where no bytes field is")
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_bytes(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            refuse_bytes(item, f"{path}[{at}]")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WireError(where, "holds a lone surrogate") from None


def _check_number(number: float, where: str) -> None:
    if type(number) is float and not math.isfinite(number):  # an integer may be too long to become a float
        raise WireError(where, "is not a finite number")
    # A float of this size is integral too; between here and 2**53 it may be off by one in other languages.
    if abs(number) > MAX_INTEGER:
        raise WireError(where, "is an integral number beyond 2**53 - 1")


def _reread(text: bytes | str, path: str) -> Any:
    """Read again with the standard library, which can be told to look at every pair and number."""
    where = path or "frame"
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise WireError(where, "is not UTF-8") from None
    try:
        return _READER.decode(decoded)
    except RecursionError:
        raise WireError(where, f"is nested over {MAX_DEPTH} deep") from None
    except ValueError:
        raise WireError(where, "is not JSON") from None


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
    return _Refused("stands twice", key)


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) <= 17 else _Refused("is an integral number beyond 2**53 - 1")


def _constant(_: str) -> Any:
    return _Refused("is not a finite number")


_READER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_constant=_constant, strict=True
)


# ------------------------------------------------------------------------------------------- msgpack


def parse_msgpack(data: bytes, *, path: str = "") -> Any:
    """Read one msgpack value strictly.

    Args:
        data: The whole value and nothing after it.
        path: What the value is called in errors; "" for an envelope.

    Returns:
        The value; bin stays `bytes`.

    Raises:
        WireError: Naming the field that is refused, or `path` (or "frame") when it is not msgpack at all.
    """
    reader = MsgpackReader(data)
    value = reader.value(path, 1)
    if reader.at != len(data):
        raise WireError(path or "frame", "has bytes after its end")
    return value


class MsgpackReader:
    """A cursor over msgpack bytes. `at` is the offset of the next value."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def value(self, path: str, depth: int) -> Any:
        """Read the next value; `depth` is what it would be if it is a map or array."""
        lead = self._unsigned(1, path)
        if lead <= 0x7F:
            return lead
        if lead >= 0xE0:
            return lead - 0x100
        if lead <= 0x8F:
            return self._map(lead & 0x0F, path, depth)
        if lead <= 0x9F:
            return self._array(lead & 0x0F, path, depth)
        if lead <= 0xBF:
            return self._text(lead & 0x1F, path)
        return self._tagged(lead, path, depth)

    def _tagged(self, lead: int, path: str, depth: int) -> Any:
        where = path or "frame"
        match lead:
            case 0xC0:
                return None
            case 0xC2 | 0xC3:
                return lead == 0xC3
            case 0xC4 | 0xC5 | 0xC6:
                return self._take(self._unsigned(1 << lead - 0xC4, path), path)
            case 0xCA:
                raise WireError(where, "is a float32")
            case 0xCB:
                return self._float(path)
            case 0xCC | 0xCD | 0xCE | 0xCF:
                return self._bounded(self._unsigned(1 << lead - 0xCC, path), where)
            case 0xD0 | 0xD1 | 0xD2 | 0xD3:
                taken = self._take(1 << lead - 0xD0, path)
                return self._bounded(int.from_bytes(taken, "big", signed=True), where)
            case 0xD9 | 0xDA | 0xDB:
                return self._text(self._unsigned(1 << lead - 0xD9, path), path)
            case 0xDC | 0xDD:
                return self._array(self._unsigned(2 << lead - 0xDC, path), path, depth)
            case 0xDE | 0xDF:
                return self._map(self._unsigned(2 << lead - 0xDE, path), path, depth)
            case 0xC1:  # the one lead byte that means nothing
                self._broken(path)
        raise WireError(where, "is a msgpack ext type")

    def _map(self, size: int, path: str, depth: int) -> dict[str, Any]:
        self._enter(path, depth)
        found: dict[str, Any] = {}
        for _ in range(size):
            key = self._key(path)
            where = f"{path}.{key}" if path else key
            if key in found:
                raise WireError(where, "stands twice")
            found[key] = self.value(where, depth + 1)
        return found

    def _key(self, path: str) -> str:
        lead = self._unsigned(1, path)
        if 0xA0 <= lead <= 0xBF:
            return self._text(lead & 0x1F, path)
        if 0xD9 <= lead <= 0xDB:
            return self._text(self._unsigned(1 << lead - 0xD9, path), path)
        raise WireError(path or "frame", "has a key that is not a string")

    def _array(self, size: int, path: str, depth: int) -> list[Any]:
        self._enter(path, depth)
        return [self.value(f"{path}[{at}]", depth + 1) for at in range(size)]

    def _enter(self, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise WireError(path or "frame", f"is nested over {MAX_DEPTH} deep")

    def _text(self, size: int, path: str) -> str:
        try:
            return self._take(size, path).decode("utf-8")
        except UnicodeDecodeError:
            raise WireError(path or "frame", "is not UTF-8") from None

    def _float(self, path: str) -> float:
        (number,) = _FLOAT64.unpack(self._take(8, path))
        _check_number(number, path or "frame")
        return float(number)

    def _bounded(self, number: int, where: str) -> int:
        _check_number(number, where)
        return number

    def _unsigned(self, size: int, path: str) -> int:
        return int.from_bytes(self._take(size, path), "big")

    def _take(self, size: int, path: str) -> bytes:
        end = self.at + size
        if end > len(self._data):
            self._broken(path)
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def _broken(self, path: str) -> NoReturn:
        raise WireError(path or "frame", "is not msgpack")
