"""Canonical JSON (RFC 8785, JCS): one value, one sequence of bytes.

Implements docs/protocol.md section 2.4. All that is signed, hashed or sealed goes through `jcs`.

Nearly every value we meet holds only objects with ASCII keys, arrays, strings, integers, booleans and null.
For these, msgspec's sorted encoding gives the bytes of RFC 8785: for ASCII, the order of code points is that
of UTF-16 units, and both write the same seven short escapes, the long form for other control characters, and
all else as UTF-8. Everything else (floats, other keys, subclasses) goes to the rfc8785 library.

This module does not read JSON (`relay.wire.strict` does).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import rfc8785

from relay.wire.envelope import MAX_INTEGER

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_TEXT: Final = (str, bool, type(None))


class NotCanonical(ValueError):
    """The value holds what JCS cannot carry; the message says what."""


def jcs(value: Any) -> bytes:
    """Write a value in JSON form canonically.

    Args:
        value: Objects as dicts with string keys, arrays as lists or tuples, strings, numbers, booleans, None.

    Returns:
        The canonical bytes, UTF-8.

    Raises:
        NotCanonical: For NaN, infinities, integral numbers beyond 2**53 - 1 (floats too), lone surrogates,
            keys that are not strings, anything that is not JSON, and nesting beyond all use.
    """
    try:
        if _is_plain(value):
            return _encode(value)
        _check_numbers(value)
        return rfc8785.dumps(value)
    except NotCanonical:
        raise
    except ValueError:  # the library's own, a lone surrogate, an integer too long even to be named
        raise NotCanonical("holds what JSON cannot carry") from None
    except RecursionError:
        raise NotCanonical("nested too deep") from None


def _is_plain(value: Any) -> bool:
    """Whether msgspec writes the value as RFC 8785 does. Exact types only: a subclass may write otherwise."""
    kind = type(value)
    if kind in _TEXT:
        return True
    if kind is int:
        number: int = value
        return -MAX_INTEGER <= number <= MAX_INTEGER
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if type(item) is not str and not _is_plain(item):  # most are text: spares a call each
                return False
        return True
    if kind is not list and kind is not tuple:
        return False
    return all(type(item) is str or _is_plain(item) for item in value)


def _check_numbers(value: Any) -> None:
    """Refuse floats that stand for integers beyond 2**53 - 1, which the library would write."""
    if isinstance(value, float):
        if abs(value) > MAX_INTEGER:
            raise NotCanonical("holds a number beyond 2**53 - 1")
    elif isinstance(value, dict):
        for item in value.values():
            _check_numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item)
