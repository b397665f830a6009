"""Wrapping one secret with AES-256-GCM.

Implements docs/protocol.md section 13.2 (keys at rest; NIST SP 800-38D). Pure: the nonce is passed in. The additional data bind
a secret to its purpose, its agent and the key derivation's parameters, so that entries cannot be swapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentnet_desktop.protocol.canonical import jcs

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class Unwrappable(Exception):
    """The key or the additional data are not those that wrapped it, or it was changed."""


def aad(purpose: str, agent_id: str, kdf: Mapping[str, Any]) -> bytes:
    """JCS of purpose, agentId and KDF parameters."""
    return jcs({"purpose": purpose, "agentId": agent_id, "kdf": dict(kdf)})


def wrap(key: bytes | bytearray, nonce: bytes, secret: bytes, associated: bytes) -> bytes:
    """Encrypt: nonce || ciphertext || tag, 28 bytes longer than the secret.

    Args:
        key: 32 bytes.
        nonce: 12 random bytes, fresh for every call.
        secret: what is wrapped.
        associated: bytes that `unwrap` must be given again.
    """
    if len(nonce) != NONCE_BYTES:
        raise ValueError("an AES-GCM nonce has 12 bytes")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return nonce + AESGCM(bytes(key)).encrypt(nonce, secret, associated)


def unwrap(key: bytes | bytearray, wrapped: bytes, associated: bytes) -> bytes:
    """Undo `wrap`.

    Raises:
        Unwrappable: see there.
    """
    if len(wrapped) < NONCE_BYTES + TAG_BYTES:
        raise Unwrappable("too short")
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(bytes(key)).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], associated)
    except InvalidTag as error:
        raise Unwrappable("the tag does not hold") from error
