"""Identity keys (Ed25519) and ephemeral keys (X25519), and what makes a stranger's key acceptable.

Implements docs/protocol.md section 7.1 (keys; RFC 8032, RFC 7748). The primitives are libsodium's, through PyNaCl.
Does not store keys, and makes none from its own randomness: seeds are passed in.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NoReturn

from nacl import bindings
from nacl.exceptions import BadSignatureError
from nacl.exceptions import RuntimeError as SodiumError

from .errors import BadKey, BadSignature

KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

# RFC 8032, section 5.1: the field's prime and the order of the base point.
_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_Y_MASK: Final = 2**255 - 1

# The y coordinates of the eight points of small order: 1 (order 1), -1 (2), 0 (4) and two pairs of order 8.
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _ORDER_8_Y, _P - _ORDER_8_Y})

# Any scalar will do: X25519 clamps it to a multiple of 8, which every point of low order turns into zero.
_PROBE: Final = bytes(KEY_BYTES)
_ZERO: Final = bytes(KEY_BYTES)


def zero(secret: bytearray) -> None:
    """Overwrite a secret in place. Copies that Python or a library made are out of reach."""
    secret[:] = bytes(len(secret))


class _Secret:
    """Holds secret bytes that never show in `repr`, and can neither be pickled nor copied by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} does not leave memory")


class IdentityKey(_Secret):
    """An agent's long-lived Ed25519 key pair.

    Attributes:
        public: 32 bytes, free to show.
    """

    __slots__ = ("_secret", "public")

    def __init__(self, secret: bytes, public: bytes) -> None:
        self._secret = bytearray(secret)
        self.public = public

    @classmethod
    def from_seed(cls, seed: bytes) -> IdentityKey:
        """Make the pair of a 32-byte seed (RFC 8032, section 5.1.5).

        Raises:
            ValueError: the seed is not 32 bytes long.
        """
        if len(seed) != SEED_BYTES:
            raise ValueError("an identity seed has 32 bytes")
        public, secret = bindings.crypto_sign_seed_keypair(bytes(seed))
        return cls(secret, public)

    def sign(self, message: bytes) -> bytes:
        """Sign; the signature has 64 bytes.

        Raises:
            ValueError: the key was wiped.
        """
        if not self._secret:
            raise ValueError("the identity key was wiped")
        return bindings.crypto_sign(message, bytes(self._secret))[:SIGNATURE_BYTES]

    def export_seed(self) -> bytes:
        """The 32-byte seed, for the vault and the backup file only."""
        if not self._secret:
            raise ValueError("the identity key was wiped")
        return bytes(self._secret[:SEED_BYTES])

    def wipe(self) -> None:
        """Overwrite the private half. The pair can sign no more."""
        zero(self._secret)
        self._secret.clear()


class EphemeralKey(_Secret):
    """The X25519 key pair of one handshake.

    Attributes:
        public: 32 bytes, sent in HANDSHAKE `publicKey`.
    """

    __slots__ = ("_secret", "public")

    def __init__(self, secret: bytes, public: bytes) -> None:
        self._secret = bytearray(secret)
        self.public = public

    @classmethod
    def from_seed(cls, seed: bytes) -> EphemeralKey:
        """Make the pair of 32 random bytes, which are the private key (RFC 7748, section 5).

        Raises:
            ValueError: the seed is not 32 bytes long.
        """
        if len(seed) != SEED_BYTES:
            raise ValueError("an ephemeral seed has 32 bytes")
        seed = bytes(seed)
        return cls(seed, bindings.crypto_scalarmult_base(seed))

    @property
    def private(self) -> bytes:
        """The private half, for the encrypted database while the handshake is pending."""
        if not self._secret:
            raise ValueError("the ephemeral key was wiped")
        return bytes(self._secret)

    def exchange(self, their_public: bytes) -> bytes:
        """X25519 with their 32-byte public key.

        Raises:
            BadKey: wrong length, or low order (the shared secret would be all zero).
        """
        return shared_secret(self.private, their_public)

    def wipe(self) -> None:
        """Overwrite the private half."""
        zero(self._secret)
        self._secret.clear()


def shared_secret(private: bytes, their_public: bytes) -> bytes:
    """X25519 of a 32-byte private and a 32-byte public key; 32 bytes.

    Raises:
        BadKey: wrong length, or low order (the shared secret would be all zero).
    """
    if len(their_public) != KEY_BYTES:
        raise BadKey("an X25519 public key has 32 bytes")
    try:
        shared = bindings.crypto_scalarmult(private, their_public)
    except SodiumError as error:
        raise BadKey("an X25519 public key of low order") from error
    if hmac.compare_digest(shared, _ZERO):
        raise BadKey("an X25519 public key of low order")
    return shared


def check_ephemeral(public: bytes) -> None:
    """Refuse an X25519 public key of wrong length or low order.

    Raises:
        BadKey: see above.
    """
    shared_secret(_PROBE, public)


def check_identity(public: bytes) -> None:
    """Refuse an Ed25519 public key of wrong length, non-canonical form or small order.

    Raises:
        BadKey: see above.
    """
    if len(public) != KEY_BYTES:
        raise BadKey("an Ed25519 public key has 32 bytes")
    flaw = _flaw(public)
    if flaw:
        raise BadKey(f"an Ed25519 public key {flaw}")


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Verify an Ed25519 signature, strictly (RFC 8032, section 5.1.7, and more).

    1. The key is 32 bytes, canonical, not of small order.
    2. The signature is 64 bytes: R canonical and not of small order, S < L.
    3. The equation holds, without the cofactor.

    Libraries differ in how much of 1 and 2 they check, so it is checked here; OpenSSL lets forgeries
    under keys of small order pass.

    Raises:
        BadKey: step 1.
        BadSignature: step 2 or 3.
    """
    check_identity(public)  # (1)
    if len(signature) != SIGNATURE_BYTES:  # (2)
        raise BadSignature("a signature has 64 bytes")
    flaw = _flaw(signature[:KEY_BYTES])
    if flaw:
        raise BadSignature(f"a signature's R {flaw}")
    if int.from_bytes(signature[KEY_BYTES:], "little") >= _L:
        raise BadSignature("a signature's S is not reduced")
    try:  # (3)
        bindings.crypto_sign_open(signature + message, public)
    except BadSignatureError as error:
        raise BadSignature("the signature does not verify") from error


def fingerprint(public: bytes) -> str:
    """SHA-256 of a public key as 16 groups of 4 hex digits, for people."""
    digest = hashlib.sha256(public).hexdigest()
    return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))


def _flaw(point: bytes) -> str:
    """What is wrong with an encoded point; empty when nothing is."""
    # The sign of x may be ignored: where x = 0, y is 1 or -1, which is of small order with either sign.
    y = int.from_bytes(point, "little") & _Y_MASK
    if y >= _P:
        return "is not in canonical form"
    if y in _SMALL_ORDER_Y:
        return "is of small order"
    return ""
