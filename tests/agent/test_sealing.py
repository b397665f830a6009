"""Sealing under the limit that the relay announced: what fits, what does not, and what becomes of either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.agent.sealing import most_plaintext, obstacle
from agentnet_desktop.crypto.errors import ContentTooLarge
from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.crypto.session import MAX_PLAINTEXT, SessionKeys, seal
from relay.wire.codec import Format, encode
from relay.wire.envelope import MAX_INTEGER, MessageType, Priority, metadata
from tests.agent.conftest import Peer, World, draft
from tests.simulator import Verdict, only

TOO_LONG = "It is too long to be sent."
LONGEST_ID = "a" * 64


async def titles(peer: Peer) -> list[str]:
    """Returns the titles of the proposals that were shown, in order."""
    return [(await peer.agent.proposal(ref)).title for ref in peer.arrivals()]


async def announce(world: World, limit: int, *peers: Peer) -> None:
    """The relay comes back with another limit."""
    world.relay.go_down()
    await world.settle()
    world.relay.max_message_bytes = limit
    world.relay.come_back()
    await world.settle()


def largest(limit: int, content: dict[str, str]) -> int:
    """The bytes in JSON form of a message sealed with the longest ids."""
    sealed = seal(
        SessionKeys(bytes(32), bytes(32), bytes(16)),
        IdentityKey.from_seed(bytes(32)),
        session_id=LONGEST_ID,
        seq=MAX_INTEGER,
        message_id=LONGEST_ID,
        conversation_id=LONGEST_ID,
        sender_id=LONGEST_ID,
        recipient_id=LONGEST_ID,
        original_type=MessageType.CONFIRMATION,
        content=content,
        timestamp=MAX_INTEGER,
        metadata=metadata(Priority.NORMAL, encrypted=True, requires_response=False),
        opening=bytes(32),
        hedge=bytes(32),
        max_plaintext=most_plaintext(limit),
    )
    return len(encode(sealed.envelope, Format.JSON))


def test_the_default_limit_leaves_room_for_the_plaintext_of_the_document() -> None:
    assert most_plaintext(65_536) == MAX_PLAINTEXT


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        (0, 0),
        (1024, 0),
        (1380, 0),
        (1388, 256),
        (2000, 512),
        (8192, 4096),
        (16_384, 8192),
        (1 << 20, 782_336),
    ],
)
def test_the_longest_plaintext_is_a_step_that_fits(limit: int, most: int) -> None:
    assert most_plaintext(limit) == most


@given(st.integers(1388, 200_000), st.integers(0, 150_000))
def test_what_is_not_too_large_fits_under_the_limit_whatever_its_ids(limit: int, length: int) -> None:
    content = {"text": "x" * length}
    if obstacle(content, limit) is not None:
        return
    assert largest(limit, content) <= limit


@given(st.integers(1388, 20_000), st.text(max_size=20), st.integers(1, 2000))
def test_whatever_the_text_what_is_not_too_large_can_be_sealed(limit: int, text: str, times: int) -> None:
    content = {"text": text * times}
    if obstacle(content, limit) is None:
        assert largest(limit, content) <= limit


def test_what_is_too_large_is_refused_by_the_core_too() -> None:
    with pytest.raises(ContentTooLarge):
        largest(8192, {"text": "x" * 4096})


async def test_a_relay_that_takes_less_is_heeded_and_the_next_message_has_no_gap(world: World) -> None:
    world.relay.max_message_bytes = 8192
    alice, bob = await world.add("alice"), await world.add("bob")
    await world.befriend(alice, bob)
    with pytest.raises(BadInput, match="too long to be sent"):
        await alice.agent.propose(["bob"], draft(description="x" * 5_000))
    await alice.agent.propose(["bob"], draft("Short", description="x" * 2_000))
    await world.settle()
    assert await titles(bob) == ["Short"]
    assert not [entry for entry in await alice.log() if entry.state == "SEALED"]
    await world.advance(60_000)
    assert "1 message of alice did not arrive in time" not in await bob.summaries()


async def test_a_relay_that_takes_more_is_used(world: World) -> None:
    world.relay.max_message_bytes = 131_072
    alice, bob = await world.add("alice"), await world.add("bob")
    await world.befriend(alice, bob)
    await alice.agent.propose(["bob"], draft("Long", description="x" * 60_000))
    await world.settle()
    assert await titles(bob) == ["Long"]


async def test_what_was_sealed_for_a_relay_that_took_more_fails_in_words_and_goes_by_hand_when_it_fits_again(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.faults.append(only(Verdict.DROP, sender="alice", message_type="PROPOSAL"))
    await alice.agent.propose(["bob"], draft("Long", description="x" * 5_000))
    await world.settle()
    await announce(world, 8192)
    (failed,) = await alice.agent.outbox()
    assert (failed.state, failed.reason) == ("FAILED", TOO_LONG)
    assert len(world.relay.sent("alice", MessageType.ENCRYPTED)) == 1  # never put to this relay
    await alice.agent.propose(["bob"], draft("Short"))
    await world.advance(31_000)
    assert await titles(bob) == ["Short"]
    await announce(world, 65_536)
    await alice.agent.retry_message(failed.message_id)
    await world.settle()
    assert await titles(bob) == ["Short", "Long"]
    first, _, last = world.relay.sent("alice", MessageType.ENCRYPTED)
    assert first == last


async def test_what_was_queued_offline_waits_and_meets_the_limit_of_the_relay_that_comes(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, bob = friends
    world.relay.go_down()
    await world.settle()
    await alice.agent.propose(["bob"], draft("Long", description="x" * 5_000))
    await alice.agent.propose(["bob"], draft("Short"))
    await world.settle()
    assert [view.state for view in await alice.agent.outbox()] == ["QUEUED", "QUEUED"]
    await announce(world, 8192)
    assert await titles(bob) == ["Short"]
    assert [view.reason for view in await alice.agent.outbox()] == [TOO_LONG]
