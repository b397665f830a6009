"""What can go wrong in the cryptography, one class for each thing that a caller treats differently.

Implements the refusals of docs/protocol.md section 7 (end-to-end encryption). Every error has a stable `kind`,
the word that a security event carries, and a `reason` in plain words. Neither ever holds a secret or
bytes that a peer chose. Decides nothing: what follows from an error is the agent's business.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class CryptoError(Exception):
    """Base of all that this package raises on purpose.

    Attributes:
        kind: stable word for logs, security events and vectors.
        reason: what was wrong, in plain words.
    """

    kind: ClassVar[str] = "CRYPTO_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def word(self) -> str:
        """The most exact stable word there is: `kind`, and for a handshake its refusal."""
        return self.kind


class BadKey(CryptoError):
    """A public key of wrong length, non-canonical form or small order. Theirs; a security event."""

    kind = "BAD_KEY"


class BadSignature(CryptoError):
    """A signature that does not verify. Theirs, or someone's in between; a security event."""

    kind = "BAD_SIGNATURE"


class Misdirected(CryptoError):
    """A signed message that is not for this agent, or is this agent's own come back."""

    kind = "MISDIRECTED"


class DecryptionFailed(CryptoError):
    """The ciphertext does not open under these keys: another session's, or tampered with and re-signed."""

    kind = "DECRYPTION_FAILED"


class CommitmentMismatch(CryptoError):
    """What was sealed is not what the signed commitment names."""

    kind = "COMMITMENT_MISMATCH"


class ContentInvalid(CryptoError):
    """A message opened, but its plaintext does not have the form of the protocol."""

    kind = "CONTENT_INVALID"


class ContentTooLarge(CryptoError):
    """Ours: content that does not fit into one message under the relay's size limit."""

    kind = "CONTENT_TOO_LARGE"


class SequenceRefused(CryptoError):
    """A `seq` too far ahead of what was received."""

    kind = "SEQUENCE_REFUSED"


class ConfirmationMismatch(CryptoError):
    """The tag of ACK CONFIRMED is not that of this handshake."""

    kind = "CONFIRMATION_MISMATCH"


class ContactProofMismatch(CryptoError):
    """A contact proof that the link's token does not explain."""

    kind = "CONTACT_PROOF_MISMATCH"


class Refusal(StrEnum):
    """Why a well-signed HANDSHAKE was refused."""

    WRONG_TYPE = "WRONG_TYPE"
    WRONG_ROLE = "WRONG_ROLE"  # an answer where an offer was due, or the other way round
    OWN_ID = "OWN_ID"
    WRONG_RECIPIENT = "WRONG_RECIPIENT"
    WRONG_SENDER = "WRONG_SENDER"
    AGENT_ID_MISMATCH = "AGENT_ID_MISMATCH"
    WRONG_CONVERSATION = "WRONG_CONVERSATION"
    WRONG_SESSION = "WRONG_SESSION"
    SUITE = "SUITE"
    PEER_HASH = "PEER_HASH"


class HandshakeRefused(CryptoError):
    """A HANDSHAKE that is refused for another reason than its keys or signature.

    Attributes:
        refusal: which rule it breaks.
    """

    kind = "HANDSHAKE_REFUSED"

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal

    @property
    def word(self) -> str:
        """`HANDSHAKE_REFUSED:` and the refusal."""
        return f"{self.kind}:{self.refusal}"
