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
_EXPORT: Final = b"agentnet/v1/log-export\x00"

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


def sign_export(identity: IdentityKey, seq: int, head: bytes, steps: bytes, header: bytes) -> bytes:
    """Sign all that an exported file says beside its entries; 64 bytes.

    Args:
        identity: of the log's owner.
        seq: the last entry; 0 for an empty log.
        head: its hash, 32 bytes.
        steps: hash over all delivery steps in the file, 32 bytes.
        header: SHA-256 of the canonical first line, 32 bytes.

    Raises:
        ValueError: a hash is not 32 bytes long.
    """
    return identity.sign(_export(seq, head, steps, header))


def verify_export(
    identity_key: bytes, seq: int, head: bytes, steps: bytes, header: bytes, signature: bytes
) -> None:
    """Check what `sign_export` signed.

    Raises:
        BadKey, BadSignature: it does not verify.
        ValueError: a hash is not 32 bytes long.
    """
    verify(identity_key, _export(seq, head, steps, header), signature)


def _export(seq: int, head: bytes, steps: bytes, header: bytes) -> bytes:
    if any(len(one) != HASH_BYTES for one in (head, steps, header)):
        raise ValueError("a chain hash has 32 bytes")
    return _EXPORT + seq.to_bytes(8, "big") + head + steps + header
