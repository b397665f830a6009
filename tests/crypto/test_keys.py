"""Keys: RFC vectors, and every key and signature that must be refused."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Callable

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.crypto import keys
from agentnet_desktop.crypto.errors import BadKey, BadSignature
from agentnet_desktop.crypto.keys import (
    EphemeralKey,
    IdentityKey,
    check_ephemeral,
    check_identity,
    fingerprint,
    shared_secret,
    verify,
    zero,
)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1, test 3.
SEED = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
MESSAGE = bytes.fromhex("af82")
SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


def little(number: int) -> bytes:
    return number.to_bytes(32, "little")


# All encodings of points of small order, canonical or not, with either sign of x: the eight points, y + p where it
# still fits 255 bits, and x = 0 with its sign set.
ORDER_8 = [int.from_bytes(bytes.fromhex(h), "little") for h in (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)]  # fmt: skip
SMALL = [little(y | sign << 255) for y in (0, 1, P - 1, *ORDER_8) for sign in (0, 1)]
NON_CANONICAL = [little(y | sign << 255) for y in range(P, 2**255) for sign in (0, 1)]


def scalar(seed: bytes) -> int:
    digest = hashlib.sha512(seed).digest()
    return int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254


def challenge(point: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L


# ------------------------------------------------------------------------------- Ed25519


def test_signing_is_ed25519() -> None:
    identity = IdentityKey.from_seed(SEED)
    assert identity.public == PUBLIC
    assert identity.sign(MESSAGE) == SIGNATURE
    assert identity.export_seed() == SEED
    verify(PUBLIC, MESSAGE, SIGNATURE)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_what_was_signed_verifies(seed: bytes, message: bytes) -> None:
    identity = IdentityKey.from_seed(seed)
    verify(identity.public, message, identity.sign(message))


def test_any_flipped_bit_of_a_signature_or_message_is_refused() -> None:
    for at in range(512):
        changed = bytearray(SIGNATURE)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(BadSignature):
            verify(PUBLIC, MESSAGE, bytes(changed))
    with pytest.raises(BadSignature, match="does not verify"):
        verify(PUBLIC, b"\xae\x82", SIGNATURE)
    with pytest.raises(BadSignature, match="does not verify"):
        verify(IdentityKey.from_seed(bytes(32)).public, MESSAGE, SIGNATURE)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadSignature, match="64 bytes"):
        verify(PUBLIC, MESSAGE, (SIGNATURE + bytes(8))[:length])


def test_a_signature_whose_s_is_not_reduced_is_refused() -> None:
    s = int.from_bytes(SIGNATURE[32:], "little")
    for malleable in (s + L, s + 2 * L):
        with pytest.raises(BadSignature, match="S is not reduced"):
            verify(PUBLIC, MESSAGE, SIGNATURE[:32] + little(malleable))
    with pytest.raises(BadSignature, match="S is not reduced"):
        verify(PUBLIC, MESSAGE, SIGNATURE[:32] + little(L))
    with pytest.raises(BadSignature, match="does not verify"):
        verify(PUBLIC, MESSAGE, SIGNATURE[:32] + little(L - 1))


@pytest.mark.parametrize("point", SMALL)
def test_a_signature_whose_r_is_of_small_order_is_refused(point: bytes) -> None:
    """Its owner could make one that also holds for other messages."""
    s = challenge(point, PUBLIC, MESSAGE) * scalar(SEED) % L
    with pytest.raises(BadSignature, match="R is of small order"):
        verify(PUBLIC, MESSAGE, point + little(s))


@pytest.mark.parametrize("point", NON_CANONICAL)
def test_a_signature_whose_r_is_not_canonical_is_refused(point: bytes) -> None:
    with pytest.raises(BadSignature, match="R is not in canonical form"):
        verify(PUBLIC, MESSAGE, point + SIGNATURE[32:])


@pytest.mark.parametrize("public", SMALL)
def test_an_identity_key_of_small_order_is_refused(public: bytes) -> None:
    with pytest.raises(BadKey, match="small order"):
        check_identity(public)
    with pytest.raises(BadKey, match="small order"):
        verify(public, MESSAGE, little(1) + bytes(32))


@pytest.mark.parametrize("public", NON_CANONICAL)
def test_an_identity_key_in_non_canonical_form_is_refused(public: bytes) -> None:
    with pytest.raises(BadKey, match="canonical"):
        check_identity(public)
    with pytest.raises(BadKey, match="canonical"):
        verify(public, MESSAGE, SIGNATURE)


def test_the_largest_canonical_y_passes_the_form() -> None:
    check_identity(little(P - 2))
    check_identity(little(2))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_identity_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadKey, match="32 bytes"):
        check_identity(bytes(length))


def test_a_forgery_that_openssl_accepts_is_refused() -> None:
    """Under the key of order 1, R = identity and S = 0 hold for every message in OpenSSL."""
    public, forged = little(1), little(1) + bytes(32)
    Ed25519PublicKey.from_public_bytes(public).verify(forged, b"pay Mallory")
    with pytest.raises(BadKey):
        verify(public, b"pay Mallory", forged)


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    no_point = next(little(y) for y in range(2, 100) if not _is_point(little(y)))
    check_identity(no_point)
    with pytest.raises(BadSignature):
        verify(no_point, MESSAGE, SIGNATURE)


def _is_point(encoded: bytes) -> bool:
    # x² = (y² - 1) / (d y² + 1) must be a square.
    y = int.from_bytes(encoded, "little")
    d = -121665 * pow(121666, -1, P) % P
    x2 = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
    return pow(x2, (P - 1) // 2, P) in (0, 1)


def test_a_seed_has_32_bytes() -> None:
    for make in (IdentityKey.from_seed, EphemeralKey.from_seed):
        with pytest.raises(ValueError, match="32 bytes"):
            make(bytes(31))


# ------------------------------------------------------------------------------- X25519


def test_the_exchange_is_x25519() -> None:
    # RFC 7748, section 6.1: Bob's side.
    bob = EphemeralKey.from_seed(
        bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    )
    assert bob.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    alices = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    assert bob.exchange(alices).hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


# u coordinates of low order, and their non-canonical forms (RFC 7748 implementations must cope with them).
LOW_ORDER = [
    little(0),
    little(1),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    little(P - 1),
    little(P),
    little(P + 1),
]


@pytest.mark.parametrize("public", LOW_ORDER + [p[:31] + bytes([p[31] | 0x80]) for p in LOW_ORDER])
def test_an_ephemeral_key_of_low_order_is_refused(public: bytes) -> None:
    with pytest.raises(BadKey, match="low order"):
        check_ephemeral(public)
    with pytest.raises(BadKey, match="low order"):
        EphemeralKey.from_seed(b"x" * 32).exchange(public)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_ephemeral_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadKey, match="32 bytes"):
        check_ephemeral(bytes(length))


def test_an_all_zero_secret_is_refused_even_if_the_library_lets_it_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nacl.bindings, "crypto_scalarmult", lambda *_: bytes(32))
    with pytest.raises(BadKey, match="low order"):
        shared_secret(b"x" * 32, b"y" * 32)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_both_sides_share_a_secret(a: bytes, b: bytes) -> None:
    one, other = EphemeralKey.from_seed(a), EphemeralKey.from_seed(b)
    check_ephemeral(one.public)
    assert one.exchange(other.public) == other.exchange(one.public)
    assert one.private == a


# ------------------------------------------------------------------------------- secrecy


@pytest.mark.parametrize("kind", [IdentityKey, EphemeralKey])
def test_a_wiped_key_is_overwritten_holds_nothing_and_refuses(
    kind: type[IdentityKey] | type[EphemeralKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = kind.from_seed(SEED)
    held = key._secret
    overwritten: list[bytes] = []

    def watched(secret: bytearray) -> None:
        zero(secret)
        overwritten.append(bytes(secret))

    monkeypatch.setattr(keys, "zero", watched)
    key.wipe()
    assert overwritten in ([bytes(32)], [bytes(64)])
    assert not held
    uses: tuple[Callable[[], object], ...] = (
        (lambda: key.sign(b""), lambda: key.export_seed())
        if isinstance(key, IdentityKey)
        else (lambda: key.private, lambda: key.exchange(PUBLIC))
    )
    for use in uses:
        with pytest.raises(ValueError, match="wiped"):
            use()


def test_zeroing_overwrites_in_place() -> None:
    secret = bytearray(b"secret")
    view = memoryview(secret)
    zero(secret)
    assert bytes(view) == bytes(6)


@pytest.mark.parametrize("kind", [IdentityKey, EphemeralKey])
def test_a_key_shows_nothing_and_does_not_leave_memory(kind: type[IdentityKey] | type[EphemeralKey]) -> None:
    key = kind.from_seed(SEED)
    assert repr(key) == str(key) == f"<{kind.__name__}>"
    leaves: tuple[Callable[[object], object], ...] = (pickle.dumps, copy.copy, copy.deepcopy)
    for leave in leaves:
        with pytest.raises(TypeError, match="does not leave memory"):
            leave(key)


def test_a_fingerprint_is_sha_256_in_groups() -> None:
    shown = fingerprint(PUBLIC)
    assert len(shown.split(" ")) == 16
    assert shown.replace(" ", "") == hashlib.sha256(PUBLIC).hexdigest()


def test_the_figures_are_the_rfcs() -> None:
    assert (keys._P, keys._L) == (P, L)
