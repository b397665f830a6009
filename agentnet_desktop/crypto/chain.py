"""The hash chain of the audit log.

Implements docs/protocol.md section 13.1 (audit log): what an entry's hash covers, and what a signed head says. An entry's
hash covers the hash before it and, through a hash of its own, its body; so an export may leave a body out
and still be checked. What a body is, and where entries live, is the store's business.
"""

from __future__ import annotations

import hashlib
from typing import Final

from .keys import IdentityKey, verify

HASH_BYTES: Final = 32
_ENTRY: Final = b"agentnet/v1/log-entry\x00"
_HEAD: Final = b"agentnet/v1/log-head\x00"

# The hash before the first entry: no entry can have it.
GENESIS: Final = hashlib.sha256(b"agentnet/v1/log-genesis\x00").digest()


def body_hash(body: bytes) -> bytes:
    """SHA-256 of an entry's canonical body (JCS of its fields); 32 bytes."""
    return hashlib.sha256(body).digest()


def link(previous: bytes, body_digest: bytes) -> bytes:
    """An entry's hash from the hash before it and its `body_hash`, 32 bytes each.

    Raises:
        ValueError: either is not 32 bytes long.
    """
    if len(previous) != HASH_BYTES or len(body_digest) != HASH_BYTES:
        raise ValueError("a chain hash has 32 bytes")
    return hashlib.sha256(_ENTRY + previous + body_digest).digest()


def entry_hash(previous: bytes, body: bytes) -> bytes:
    """SHA-256(`"agentnet/v1/log-entry" || 0x00 || previous || SHA-256(body)`); 32 bytes.

    Args:
        previous: hash of the entry before, 32 bytes; GENESIS for the first.
        body: JCS of the entry's hashed fields.

    Raises:
        ValueError: `previous` is not 32 bytes long.
    """
    return link(previous, body_hash(body))


def sign_head(identity: IdentityKey, seq: int, head: bytes) -> bytes:
    """Sign that entry `seq` (1 to 2⁶⁴-1; 0 for an empty log) has the hash `head`; 64 bytes.

    Raises:
        ValueError: `head` is not 32 bytes long.
    """
    return identity.sign(_head(seq, head))


def verify_head(identity_key: bytes, seq: int, head: bytes, signature: bytes) -> None:
    """Check what `sign_head` signed.

    Raises:
        BadKey, BadSignature: it does not verify.
        ValueError: `head` is not 32 bytes long.
    """
    verify(identity_key, _head(seq, head), signature)


def _head(seq: int, head: bytes) -> bytes:
    if len(head) != HASH_BYTES:
        raise ValueError("a chain hash has 32 bytes")
    return _HEAD + seq.to_bytes(8, "big") + head
