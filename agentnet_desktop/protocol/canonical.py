"""Canonical JSON (RFC 8785, JCS): one value, one sequence of bytes.

Implements docs/protocol.md section 2.4. All that is signed, hashed or sealed goes through `jcs`. Where
msgspec's sorted encoding provably gives the same bytes it is used; everything else goes to the rfc8785
library. The two differ in the order of keys outside ASCII (JCS sorts by UTF-16 units), in how floats are
written, and in the escapes of control characters.

This module does not read JSON (`relay.wire.strict` does).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import rfc8785

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class NotCanonical(ValueError):
    """The value holds what JCS cannot carry; the message says what."""


def jcs(value: Any) -> bytes:
    """Write a value in JSON form canonically.

    Args:
        value: Objects as dicts with string keys, arrays as lists or tuples, strings, numbers, booleans, None.

    Returns:
        The canonical bytes, UTF-8.

    Raises:
        NotCanonical: For NaN, infinities, integral numbers beyond 2**53 - 1, lone surrogates, keys that are
            not strings, and anything that is not JSON.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, TypeError) as error:
        raise NotCanonical(str(error)) from None
