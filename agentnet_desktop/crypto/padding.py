"""Padding, so that a sealed message's length tells little about what it says.

Implements docs/protocol.md section 7.6 (padding; ISO/IEC 7816-4). Runs inside the encryption: what is taken off was authenticated.
"""

from __future__ import annotations

from typing import Final

from .errors import ContentInvalid

_STEPS: Final = (256, 512, 1024, 2048, 4096)
_UNIT: Final = 4096  # beyond the steps
_MARK: Final = b"\x80"


def pad(plaintext: bytes) -> bytes:
    """ISO/IEC 7816-4: 0x80, then zeros up to the next of 256 … 4096, then multiples of 4096 bytes."""
    return (plaintext + _MARK).ljust(_padded_length(len(plaintext)), b"\x00")


def unpad(padded: bytes) -> bytes:
    """Undo `pad`.

    Raises:
        ContentInvalid: the padding is missing or not of the length that the content calls for.
    """
    plaintext, mark, zeros = padded.rpartition(_MARK)
    if not mark or zeros.strip(b"\x00") or len(padded) != _padded_length(len(plaintext)):
        raise ContentInvalid("the padding is not that of the protocol")
    return plaintext


def longest(room: int) -> int:
    """The longest padded length of at most `room` bytes; 0 where not even the first step fits."""
    return max(0, room // _UNIT * _UNIT, *(step for step in _STEPS if step <= room))


def _padded_length(length: int) -> int:
    for step in _STEPS:
        if length < step:
            return step
    return (length // _UNIT + 1) * _UNIT
