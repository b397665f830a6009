"""The audit log's hash chain: what one entry's hash depends on, and what a signed head says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.crypto.chain import (
    GENESIS,
    body_hash,
    entry_hash,
    link,
    sign_export,
    sign_head,
    verify_export,
    verify_head,
)
from agentnet_desktop.crypto.errors import BadSignature
from tests.crypto.people import identity

ALICE = identity("alice")


def chain(bodies: list[bytes]) -> list[bytes]:
    hashes = [GENESIS]
    for body in bodies:
        hashes.append(entry_hash(hashes[-1], body))
    return hashes


def test_an_entrys_hash_is_defined_byte_for_byte() -> None:
    assert hashlib.sha256(b"agentnet/v1/log-genesis\0").digest() == GENESIS
    expected = hashlib.sha256(b"agentnet/v1/log-entry\0" + GENESIS + hashlib.sha256(b"{}").digest()).digest()
    assert entry_hash(GENESIS, b"{}") == expected


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=8), st.data())
def test_a_changed_removed_or_swapped_entry_changes_the_head(
    bodies: list[bytes], data: st.DataObject
) -> None:
    head = chain(bodies)[-1]
    at = data.draw(st.integers(0, len(bodies) - 1))
    assert chain([*bodies[:at], bodies[at] + b"x", *bodies[at + 1 :]])[-1] != head
    assert chain([*bodies[:at], *bodies[at + 1 :]])[-1] != head
    swapped = data.draw(st.permutations(bodies))
    assert (chain(swapped)[-1] == head) is (swapped == bodies)


def test_a_body_can_be_left_out_and_the_chain_still_be_checked() -> None:
    assert link(GENESIS, body_hash(b"secret")) == entry_hash(GENESIS, b"secret")


def test_a_head_is_signed_with_its_place() -> None:
    signature = sign_head(ALICE, 7, GENESIS)
    verify_head(ALICE.public, 7, GENESIS, signature)
    assert signature == ALICE.sign(b"agentnet/v1/log-head\0" + (7).to_bytes(8, "big") + GENESIS)
    for seq, head in ((8, GENESIS), (7, bytes(32))):
        with pytest.raises(BadSignature):
            verify_head(ALICE.public, seq, head, signature)


def test_an_export_is_signed_with_its_end_its_delivery_steps_and_its_first_line() -> None:
    steps, header = b"s" * 32, b"h" * 32
    signature = sign_export(ALICE, 7, GENESIS, steps, header)
    verify_export(ALICE.public, 7, GENESIS, steps, header, signature)
    said = b"agentnet/v1/log-export\0" + (7).to_bytes(8, "big") + GENESIS + steps + header
    assert signature == ALICE.sign(said)
    others = ((8, GENESIS, steps, header), (7, steps, steps, header), (7, GENESIS, header, header))
    for seq, head, *rest in (*others, (7, GENESIS, steps, steps)):
        with pytest.raises(BadSignature):
            verify_export(ALICE.public, seq, head, rest[0], rest[1], signature)


def test_hashes_of_another_length_are_a_bug() -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: entry_hash(bytes(31), b""),
        lambda: link(bytes(33), bytes(32)),
        lambda: link(bytes(32), bytes(31)),
    )
    for call in calls:
        with pytest.raises(ValueError, match="32 bytes"):
            call()
    with pytest.raises(ValueError, match="32 bytes"):
        sign_head(ALICE, 1, bytes(31))
    with pytest.raises(ValueError, match="32 bytes"):
        verify_head(ALICE.public, 1, bytes(31), bytes(64))
    for lengths in ((31, 32, 32), (32, 33, 32), (32, 32, 31)):
        head, steps, header = map(bytes, lengths)
        with pytest.raises(ValueError, match="32 bytes"):
            sign_export(ALICE, 1, head, steps, header)
        with pytest.raises(ValueError, match="32 bytes"):
            verify_export(ALICE.public, 1, head, steps, header, bytes(64))
