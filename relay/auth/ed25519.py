"""Which Ed25519 keys and signatures are refused before any library sees them (RFC 8032, section 5.1).

OpenSSL, and so PyJWT, accepts signatures under keys of small order, which anyone can forge. So keys and the
signature's R are refused when they are of small order or not in canonical form, and S when it is not below
the group's order. Whether a signature is right is not decided here.
"""

from __future__ import annotations

KEY_LENGTH = 32
SIGNATURE_LENGTH = 64

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT = 1 << 255
# The y coordinates of the eight points whose order divides 8 (each x has two signs).
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _P - 1,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)


def is_sound_point(encoded: bytes) -> bool:
    """Whether 32 bytes may stand for a public key or for R: canonical, and not of small order."""
    if len(encoded) != KEY_LENGTH:
        return False
    y = int.from_bytes(encoded, "little") & ~_SIGN_BIT
    return y < _P and y not in _SMALL_ORDER_Y


def is_sound_signature(signature: bytes) -> bool:
    """Whether 64 bytes may be a signature at all: R a sound point, S below the group's order."""
    if len(signature) != SIGNATURE_LENGTH:
        return False
    return is_sound_point(signature[:32]) and int.from_bytes(signature[32:], "little") < _ORDER
