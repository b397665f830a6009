"""Safety numbers: 60 digits that two people compare to know that nobody sits between their agents.

Implements docs/protocol.md section 10.3 (safety number). Does not draw the QR code; that holds the same 60 digits.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

ROUNDS: Final = 5200  # as Signal: makes a search for a colliding key this much dearer
_DIGEST_USED: Final = 30  # six groups of 5 bytes
_VERSION: Final = b"\x00\x00"
_DIGITS: Final = 60


def safety_number(id_a: str, key_a: bytes, id_b: str, key_b: bytes) -> str:
    """The number of two identities, the same whichever comes first.

    Args:
        id_a: an agentId, as its owner writes it.
        key_a: its identity key, 32 bytes.
        id_b: the other's agentId.
        key_b: the other's identity key.

    Returns:
        60 digits without spaces.
    """
    return "".join(sorted((_half(id_a, key_a), _half(id_b, key_b))))


def grouped(number: str) -> str:
    """A number in 12 groups of 5 digits, separated by spaces."""
    return " ".join(number[at : at + 5] for at in range(0, len(number), 5))


def same_number(typed: str, number: str) -> bool:
    """Whether what a person typed or scanned, spaces and dashes aside, is that number."""
    digits = "".join(typed.replace("-", " ").split())
    return len(digits) == _DIGITS and hmac.compare_digest(digits.encode(), number.encode())


def _half(agent_id: str, key: bytes) -> str:
    """1. h₀ = 0x0000 || key || agentId. 2. 5200 times SHA-512(h || key). 3. Six groups mod 100,000."""
    digest = _VERSION + key + agent_id.encode()  # (1)
    sha512 = hashlib.sha512
    for _ in range(ROUNDS):  # (2)
        digest = sha512(digest + key).digest()
    groups = (int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, _DIGEST_USED, 5))
    return "".join(f"{group:05d}" for group in groups)  # (3)
