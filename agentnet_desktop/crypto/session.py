"""Sessions: the keys of one handshake, and sealing and opening messages under them.

Implements docs/protocol.md sections 7.6 (messages) and 7.8 (delivery receipt). Pure: randomness is passed in, nothing is stored.
Does not choose sessions, assign or check `seq` against what came before (`replay`), or validate the
content as its message type (`protocol.content`).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError as SodiumError

from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from relay.wire.control import EncryptedContent, parse
from relay.wire.envelope import MAX_INTEGER, Envelope, MessageType, agent_key, b64decode, b64encode
from relay.wire.errors import WireError
from relay.wire.strict import MAX_DEPTH, check_value

from .errors import (
    BadSignature,
    CommitmentMismatch,
    ContentInvalid,
    ContentTooLarge,
    DecryptionFailed,
    Misdirected,
)
from .keys import IdentityKey, _Secret, verify, zero
from .padding import pad, unpad

ENCRYPTION_KEY_BYTES: Final = 32
AUTH_KEY_BYTES: Final = 32
IV_BASE_BYTES: Final = 16
NONCE_BYTES: Final = 24
OPENING_BYTES: Final = 32
HEDGE_BYTES: Final = 32
HASH_BYTES: Final = 32
MAX_PLAINTEXT: Final = 45_056  # padded; what fits under the default size limit of 64 KiB in JSON form

_COMMIT: Final = b"agentnet/v1/commit\x00"
_MESSAGE: Final = b"agentnet/v1/message\x00"
_RECEIPT: Final = b"agentnet/v1/receipt\x00"
_SUBSTANCE: Final = b"agentnet/v1/substance\x00"

_PLAINTEXT_FIELDS: Final = {"data", "opening", "seq"}


class SessionKeys(_Secret):
    """The keys that one handshake gave both sides.

    Each property returns a fresh copy of secret bytes: do not keep it.
    """

    __slots__ = ("_secret",)

    def __init__(self, encryption_key: bytes, auth_key: bytes, iv_base: bytes) -> None:
        lengths = (len(encryption_key), len(auth_key), len(iv_base))
        if lengths != (ENCRYPTION_KEY_BYTES, AUTH_KEY_BYTES, IV_BASE_BYTES):
            raise ValueError("session keys have 32, 32 and 16 bytes")
        self._secret = bytearray(encryption_key + auth_key + iv_base)

    @property
    def encryption_key(self) -> bytes:
        """Key of XChaCha20-Poly1305, 32 bytes."""
        return bytes(self._live()[:32])

    @property
    def auth_key(self) -> bytes:
        """Key of the confirmation tag, 32 bytes."""
        return bytes(self._live()[32:64])

    @property
    def iv_base(self) -> bytes:
        """Key that hedges nonces against a bad random source, 16 bytes."""
        return bytes(self._live()[64:])

    def to_bytes(self) -> bytes:
        """All three, 80 bytes, for the encrypted database."""
        return bytes(self._live())

    @classmethod
    def from_bytes(cls, stored: bytes) -> SessionKeys:
        """Read what `to_bytes` gave.

        Raises:
            ValueError: it is not 80 bytes long.
        """
        return cls(bytes(stored[:32]), bytes(stored[32:64]), bytes(stored[64:]))

    def wipe(self) -> None:
        """Overwrite the keys. They can be used no more."""
        zero(self._secret)
        self._secret.clear()

    def _live(self) -> bytearray:
        if not self._secret:
            raise ValueError("the session keys were wiped")
        return self._secret


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message ready to send.

    Attributes:
        envelope: the ENCRYPTED envelope.
        plaintext: what was committed to, unpadded JCS.
        digest: SHA-256(nonce || ciphertext || header), 32 bytes; names this ciphertext in receipts.
    """

    envelope: Envelope
    plaintext: bytes = field(repr=False)
    digest: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """An ENCRYPTED envelope whose signature is good.

    Attributes:
        envelope: as it came.
        content: its content, with decoded bytes.
        header: JCS of the header, as signed.
        digest: SHA-256(nonce || ciphertext || header), 32 bytes; the key of duplicates.
    """

    envelope: Envelope
    content: EncryptedContent
    header: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """What an ENCRYPTED envelope held.

    Attributes:
        content: the content of `originalType`, not yet validated as such.
        seq: its place in the session and direction, from 1.
        plaintext: as committed to, unpadded.
        commitment: SHA-256 over it, 32 bytes.
    """

    content: dict[str, Any] = field(repr=False)
    seq: int
    plaintext: bytes = field(repr=False)
    commitment: bytes


def seal(  # noqa: PLR0913 - the protocol's own field list
    keys: SessionKeys,
    identity: IdentityKey,
    *,
    session_id: str,
    seq: int,
    message_id: str,
    conversation_id: str,
    sender_id: str,
    recipient_id: str,
    original_type: MessageType,
    content: dict[str, Any],
    timestamp: int,
    metadata: dict[str, Any],
    opening: bytes,
    hedge: bytes,
    max_plaintext: int = MAX_PLAINTEXT,
) -> Sealed:
    """Seal one message.

    1. plaintext = JCS of data, opening and seq; its commitment.
    2. header = JCS of all that travels in the clear, with originalType, sessionId and the commitment.
    3. nonce = first 24 bytes of HMAC-SHA256(iv_base, hedge || u64(seq) || SHA-256(header || plaintext)).
    4. ciphertext = XChaCha20-Poly1305 of the padded plaintext, with the header as associated data.
    5. signature over nonce || ciphertext || header.
    6. All of it goes into the ENCRYPTED envelope.

    Args:
        keys: of the session that `session_id` names.
        identity: the sender's.
        session_id: `sess_…`.
        seq: 1 to 2⁵³-1; never used twice in one session and direction.
        message_id: kept when the message is sealed again in another session.
        conversation_id: the session's.
        sender_id: this agent.
        recipient_id: the peer.
        original_type: what `content` is.
        content: JSON form of `original_type`'s content.
        timestamp: ms since the epoch.
        metadata: JSON form; unknown fields are kept and signed.
        opening: 32 random bytes, fresh for every message; they hide the content behind the commitment.
        hedge: 32 random bytes, fresh for every message.
        max_plaintext: most bytes of padded plaintext that fit under the relay's size limit.

    Raises:
        ContentTooLarge: the content does not fit.
        ValueError: an argument of wrong length or range, or content that canonical JSON cannot carry.
    """
    if len(opening) != OPENING_BYTES or len(hedge) != HEDGE_BYTES or not 1 <= seq <= MAX_INTEGER:
        raise ValueError("opening and hedge have 32 bytes, and seq is at least 1")
    plaintext = jcs({"data": content, "opening": b64encode(opening), "seq": seq})  # (1)
    commitment = commitment_of(plaintext)
    padded = pad(plaintext)
    if len(padded) > max_plaintext:
        raise ContentTooLarge("the message is too long to be sent")
    encrypted: dict[str, Any] = {
        "originalType": original_type.value,
        "sessionId": session_id,
        "commitment": b64encode(commitment),
    }
    envelope = Envelope(
        message_id=message_id,
        conversation_id=conversation_id,
        sender_id=sender_id,
        recipient_id=recipient_id,
        message_type=MessageType.ENCRYPTED,
        content=encrypted,
        timestamp=timestamp,
        metadata=metadata,
    )
    header = _header(envelope)  # (2)
    nonce = _nonce(keys, hedge, seq, header, plaintext)  # (3)
    ciphertext = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(  # (4)
        padded, header, nonce, keys.encryption_key
    )
    signed = nonce + ciphertext + header
    signature = identity.sign(_MESSAGE + signed)  # (5)
    encrypted["encryptedData"] = b64encode(ciphertext)  # (6)
    encrypted["nonce"] = b64encode(nonce)
    encrypted["signature"] = b64encode(signature)
    return Sealed(envelope, plaintext, sha256(signed).digest())


def verify_sealed(envelope: Envelope, *, identity_key: bytes, own_id: str) -> Verified:
    """Check an ENCRYPTED envelope's form, signature and addresses.

    1. The content has its fields, in canonical b64.
    2. The signature holds under the sender's pinned key, over the decoded bytes and the recomputed header.
    3. It is for this agent, and not from it.

    Args:
        envelope: of type ENCRYPTED.
        identity_key: the sender's, 32 bytes.
        own_id: this agent's id.

    Raises:
        WireError: step 1.
        BadKey, BadSignature: step 2.
        Misdirected: step 3.
    """
    if envelope.message_type is not MessageType.ENCRYPTED:
        raise WireError("messageType", "is not ENCRYPTED")
    content = parse(EncryptedContent, envelope.content)  # (1)
    header = _header(envelope)
    signed = content.nonce + content.encrypted_data + header
    verify(identity_key, _MESSAGE + signed, content.signature)  # (2)
    own = agent_key(own_id)
    if agent_key(envelope.sender_id) == own:  # (3)
        raise Misdirected("a message of this agent came back to it")
    if agent_key(envelope.recipient_id) != own:
        raise Misdirected("a message for another agent")
    return Verified(envelope, content, header, sha256(signed).digest())


def open_sealed(verified: Verified, keys: SessionKeys) -> Opened:
    """Open a message whose signature is good.

    1. Decrypt, with the header as associated data.
    2. Take the padding off.
    3. Compare with the commitment.
    4. Parse: canonical JSON of exactly data, opening and seq.

    Args:
        verified: from `verify_sealed`.
        keys: of the session that the message names, within its conversation and with its sender.

    Raises:
        DecryptionFailed: step 1.
        ContentInvalid: step 2 or 4.
        CommitmentMismatch: step 3.
    """
    content = verified.content
    try:  # (1)
        padded = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            content.encrypted_data, verified.header, content.nonce, keys.encryption_key
        )
    except SodiumError as error:
        raise DecryptionFailed("the message does not open under this session's keys") from error
    plaintext = unpad(padded)  # (2)
    check_commitment(plaintext, content.commitment)  # (3)
    data, seq = _parse_plaintext(plaintext)  # (4)
    return Opened(data, seq, plaintext, content.commitment)


def commitment_of(plaintext: bytes) -> bytes:
    """SHA-256(`"agentnet/v1/commit" || 0x00 || plaintext`), 32 bytes: what a disclosed plaintext must give."""
    return sha256(_COMMIT + plaintext).digest()


def check_commitment(plaintext: bytes, commitment: bytes) -> None:
    """Check a disclosed plaintext, byte for byte and unpadded, against what was signed.

    Raises:
        CommitmentMismatch: it is another.
    """
    if not hmac.compare_digest(commitment_of(plaintext), commitment):
        raise CommitmentMismatch("the content is not the one that was committed to")


def substance(verified: Verified, opened: Opened) -> bytes:
    """A hash of what a message says, whichever session sealed it; 32 bytes.

    Covers data and header but for `sessionId` and `commitment`. A copy of a known messageId that was sealed
    again is the same message if and only if this is equal. Kept locally, never sent.
    """
    header = msgspec.json.decode(verified.header)
    del header["sessionId"], header["commitment"]
    return sha256(_SUBSTANCE + jcs({"data": opened.content, "header": header})).digest()


def sign_receipt(identity: IdentityKey, digest: bytes, log_head: bytes) -> bytes:
    """Sign that a message is stored: ACK DELIVERED's signature, 64 bytes.

    Args:
        identity: the recipient's.
        digest: the message's SHA-256(nonce || ciphertext || header), 32 bytes.
        log_head: hash of this agent's log after storing, 32 bytes.
    """
    return identity.sign(_receipt(digest, log_head))


def verify_receipt(identity_key: bytes, digest: bytes, log_head: bytes, signature: bytes) -> None:
    """Check a delivery receipt under the recipient's pinned key.

    Raises:
        BadKey, BadSignature: it does not hold.
    """
    verify(identity_key, _receipt(digest, log_head), signature)


def _header(envelope: Envelope) -> bytes:
    """JCS of all that a sealed message shows. b64 was or will be checked to be canonical, so its text will do."""
    content = envelope.content
    return jcs(
        {
            "messageId": envelope.message_id,
            "conversationId": envelope.conversation_id,
            "senderId": envelope.sender_id,
            "recipientId": envelope.recipient_id,
            "originalType": content["originalType"],
            "sessionId": content["sessionId"],
            "commitment": content["commitment"],
            "timestamp": envelope.timestamp,
            "metadata": envelope.metadata,
        }
    )


def _nonce(keys: SessionKeys, hedge: bytes, seq: int, header: bytes, plaintext: bytes) -> bytes:
    material = hedge + seq.to_bytes(8, "big") + sha256(header + plaintext).digest()
    return hmac.digest(keys.iv_base, material, "sha256")[:NONCE_BYTES]


def _parse_plaintext(plaintext: bytes) -> tuple[dict[str, Any], int]:
    try:
        value = msgspec.json.decode(plaintext)
        if plaintext.count(b"{") + plaintext.count(b"[") > MAX_DEPTH:  # else it cannot be nested too deep
            check_value(value, "")
        canonical = jcs(value) == plaintext  # so no key stands twice, and there is one way to write it
    except (msgspec.DecodeError, WireError, NotCanonical, RecursionError, UnicodeError) as error:
        raise ContentInvalid("the plaintext is not canonical JSON") from error
    if not canonical:
        raise ContentInvalid("the plaintext is not canonical JSON")
    if not isinstance(value, dict) or set(value) != _PLAINTEXT_FIELDS:
        raise ContentInvalid("the plaintext has not exactly data, opening and seq")
    data, opening, seq = value["data"], value["opening"], value["seq"]
    if not isinstance(data, dict):
        raise ContentInvalid("data is not an object")
    if type(seq) is not int or seq < 1:
        raise ContentInvalid("seq is not a positive integer")
    try:
        b64decode(opening, field="opening", length=OPENING_BYTES)
    except (WireError, TypeError) as error:
        raise ContentInvalid("opening is not 32 bytes in base64") from error
    return data, seq


def _receipt(digest: bytes, log_head: bytes) -> bytes:
    if len(digest) != HASH_BYTES or len(log_head) != HASH_BYTES:
        raise BadSignature("a receipt covers two hashes of 32 bytes")
    return _RECEIPT + digest + log_head
