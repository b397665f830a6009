"""Padding: sealed lengths come in steps, and only the right padding comes off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.crypto.errors import ContentInvalid
from agentnet_desktop.crypto.padding import longest, pad, unpad


@pytest.mark.parametrize(
    ("length", "padded"),
    [
        (0, 256),
        (255, 256),
        (256, 512),
        (511, 512),
        (512, 1024),
        (1023, 1024),
        (1024, 2048),
        (2047, 2048),
        (2048, 4096),
        (4095, 4096),
        (4096, 8192),
        (8191, 8192),
        (8192, 12288),
        (45_055, 45_056),
        (45_056, 49_152),
    ],
)
def test_lengths_come_in_steps(length: int, padded: int) -> None:
    assert len(pad(b"x" * length)) == padded


@given(st.binary(max_size=9000) | st.integers(0, 600).map(lambda n: b"\x80" + bytes(n)))
def test_padding_comes_off_again(plaintext: bytes) -> None:
    assert unpad(pad(plaintext)) == plaintext


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        bytes(256),
        b"x" * 256,
        b"x\x80" + bytes(253) + b"\x01",
        b"x\x80" + bytes(253),
        b"x\x80" + bytes(255),
        b"x\x80" + bytes(510),
        b"x\x80" + bytes(4094),
        b"x" * 300 + b"\x80",
    ],
)
def test_padding_of_another_form_or_length_is_refused(padded: bytes) -> None:
    with pytest.raises(ContentInvalid, match="padding"):
        unpad(padded)


def test_padding_is_a_mark_and_zeros() -> None:
    assert pad(b"x") == b"x\x80" + bytes(254)
    assert unpad(b"x\x80" + bytes(254)) == b"x"


@pytest.mark.parametrize(
    ("room", "most"),
    [
        *((-16, 0), (0, 0), (255, 0), (256, 256), (511, 256), (512, 512), (2047, 1024), (4095, 2048)),
        *((4096, 4096), (8191, 4096), (8192, 8192), (48_368, 45_056)),
    ],
)
def test_the_longest_padding_that_fits_is_a_step(room: int, most: int) -> None:
    assert longest(room) == most
