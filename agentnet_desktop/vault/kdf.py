"""Argon2id: the slow step between a passphrase and the key that wraps secrets.

Implements docs/protocol.md section 13.2 (keys at rest; RFC 9106, version 1.3). The parameters are calibrated on the machine and
stored beside what they protect. Does not ask for passphrases.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from argon2.low_level import Type, hash_secret_raw

from .errors import VaultCorrupt

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16  # RFC 9106, section 3.1
MIN_MEMORY_KIB: Final = 64 * 1024
TARGET_S: Final = 0.5
_LANES: Final = 4  # RFC 9106, section 4
_MIN_PASSES: Final = 3  # RFC 9106, section 4, second recommended option
_MEMORY_STEPS_KIB: Final = (256 * 1024, 128 * 1024, MIN_MEMORY_KIB)
# Stored parameters beyond these were not written by us; they would only stall the machine.
_MAX_MEMORY_KIB: Final = 4 * 1024 * 1024
_MAX_PASSES: Final = 1000
_MAX_LANES: Final = 64
_NAME: Final = "argon2id"


@dataclass(frozen=True, slots=True)
class Kdf:
    """Parameters of Argon2id.

    Attributes:
        memory_kib: at least 65,536, but for `weak`.
        passes: iterations over the memory.
        lanes: degree of parallelism.
    """

    memory_kib: int
    passes: int
    lanes: int = _LANES

    @classmethod
    def weak(cls) -> Kdf:
        """Parameters that protect nothing and take no time: for tests and throw-away profiles only."""
        return cls(memory_kib=64, passes=1, lanes=1)

    def derive(self, passphrase: str, salt: bytes) -> bytearray:
        """Derive a 32-byte key.

        Args:
            passphrase: taken in Unicode normal form C, so that keyboards agree.
            salt: 16 random bytes.
        """
        secret = unicodedata.normalize("NFC", passphrase).encode()
        key = hash_secret_raw(secret, salt, self.passes, self.memory_kib, self.lanes, KEY_BYTES, Type.ID)
        return bytearray(key)

    def to_json(self) -> dict[str, Any]:
        """The parameters as they are stored, without the salt."""
        return {
            "name": _NAME,
            "version": 19,
            "memoryKiB": self.memory_kib,
            "passes": self.passes,
            "lanes": self.lanes,
        }

    @classmethod
    def from_json(cls, stored: object) -> Kdf:
        """Read what `to_json` gave.

        Raises:
            VaultCorrupt: it is something else, or beyond all reason.
        """
        if not isinstance(stored, dict):
            raise VaultCorrupt("The key derivation parameters are damaged.")
        kdf = cls(
            _bounded(stored.get("memoryKiB"), _MAX_MEMORY_KIB),
            _bounded(stored.get("passes"), _MAX_PASSES),
            _bounded(stored.get("lanes"), _MAX_LANES),
        )
        if kdf.to_json() != stored or kdf.memory_kib < 8 * kdf.lanes:
            raise VaultCorrupt("The key derivation parameters are damaged.")
        return kdf


def calibrate(*, target_s: float = TARGET_S, clock: Callable[[], float] = time.perf_counter) -> Kdf:
    """Choose parameters that take about `target_s` seconds here: most memory first, then passes.

    1. Time one pass over 64 MiB, after a warm-up.
    2. Take the largest memory that three passes fit into; never less than 64 MiB.
    3. Fill the time with passes; never fewer than three.
    """
    probe = Kdf(MIN_MEMORY_KIB, 1)
    salt = bytes(SALT_BYTES)
    probe.derive("", salt)
    began = clock()  # (1)
    probe.derive("", salt)
    one_pass = max(clock() - began, 1e-4)
    memory = next(  # (2)
        (kib for kib in _MEMORY_STEPS_KIB if _MIN_PASSES * one_pass * kib / MIN_MEMORY_KIB <= target_s),
        MIN_MEMORY_KIB,
    )
    passes = round(target_s / (one_pass * memory / MIN_MEMORY_KIB))  # (3)
    return Kdf(memory, min(max(_MIN_PASSES, passes), _MAX_PASSES))


def _bounded(value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise VaultCorrupt("The key derivation parameters are damaged.")
    return value
