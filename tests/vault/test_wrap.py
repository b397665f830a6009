"""AES-256-GCM wrapping: nothing but the same key and the same purpose gives a secret back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.vault.wrap import Unwrappable, aad, unwrap, wrap

KEY, NONCE = bytes(range(32)), bytes(range(12))


def test_wrapping_is_aes_256_gcm() -> None:
    # NIST's GCM test case 15's neighbour: AES-256, zero key and nonce, empty text: this tag.
    assert wrap(bytes(32), bytes(12), b"", b"").hex() == "00" * 12 + "530f8afbc74536b9a963b4f1c4cb738b"


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_a_wrapped_secret_unwraps(secret: bytes, associated: bytes) -> None:
    wrapped = wrap(KEY, NONCE, secret, associated)
    assert len(wrapped) == len(secret) + 28
    assert unwrap(bytearray(KEY), wrapped, associated) == secret


def test_any_flipped_bit_is_noticed() -> None:
    wrapped = wrap(KEY, NONCE, b"secret", b"aad")
    for at in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(Unwrappable):
            unwrap(KEY, bytes(changed), b"aad")


def test_another_key_or_purpose_is_noticed() -> None:
    wrapped = wrap(KEY, NONCE, b"secret", aad("identity", "alice", {"name": "none"}))
    for associated in (
        aad("database", "alice", {"name": "none"}),
        aad("identity", "bob", {"name": "none"}),
        aad("identity", "alice", {"name": "argon2id"}),
    ):
        with pytest.raises(Unwrappable):
            unwrap(KEY, wrapped, associated)
    with pytest.raises(Unwrappable):
        unwrap(bytes(32), wrapped, aad("identity", "alice", {"name": "none"}))


@pytest.mark.parametrize("length", [0, 12, 27])
def test_what_is_too_short_is_noticed(length: int) -> None:
    with pytest.raises(Unwrappable):
        unwrap(KEY, bytes(length), b"")


def test_a_nonce_of_another_length_is_a_bug() -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        wrap(KEY, bytes(24), b"", b"")


def test_the_additional_data_are_canonical() -> None:
    assert aad("p", "a", {"b": 1, "a": 2}) == b'{"agentId":"a","kdf":{"a":2,"b":1},"purpose":"p"}'
