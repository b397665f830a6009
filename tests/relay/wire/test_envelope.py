"""docs/protocol.md sections 2.2 (b64), 4.2 (ids) and 4.3 (metadata)."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.wire import envelope
from relay.wire.envelope import (
    MAX_INTEGER,
    Envelope,
    MessageType,
    Priority,
    agent_key,
    b64decode,
    b64encode,
    check_agent_id,
    check_id,
    check_party,
    is_agent_id,
    is_id,
    is_party,
    metadata,
    new_id,
)
from relay.wire.errors import WireError

# ------------------------------------------------------------------------------------------- ids


def test_an_id_is_its_prefix_and_a_ulid() -> None:
    assert new_id("msg_", 0, bytes(10)) == "msg_" + "0" * 26
    assert new_id("msg_", 2**48 - 1, b"\xff" * 10) == "msg_7" + "Z" * 25
    assert new_id("prop_", 1_469_918_176_385, bytes(10)) == "prop_01ARYZ6S410000000000000000"


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_sort_by_time_whatever_the_randomness(now: int, one: bytes, two: bytes) -> None:
    assert new_id("msg_", now, one) < new_id("msg_", now + 1, two)


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_every_id_of_ours_is_one_that_a_receiver_accepts(now: int, random: bytes) -> None:
    assert is_id(new_id("sess_", now, random))


@pytest.mark.parametrize(
    ("now", "random"), [(0, bytes(9)), (0, bytes(11)), (-1, bytes(10)), (2**48, bytes(10))]
)
def test_an_id_is_not_made_of_too_little_randomness_or_a_time_out_of_range(now: int, random: bytes) -> None:
    with pytest.raises(ValueError, match="ULID"):
        new_id("msg_", now, random)


@pytest.mark.parametrize("text", ["a", "A.b_c-d:e", "0" * 64, ":", "system"])
def test_an_id_of_1_to_64_characters_is_accepted(text: str) -> None:
    assert is_id(text)
    check_id(text, "messageId")


@pytest.mark.parametrize("text", ["", "0" * 65, "a b", "ä", "a\n", "a/b", "²"])
def test_what_is_not_an_id_is_refused_by_field(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(WireError, match=r"^conversationId: is not an id"):
        check_id(text, "conversationId")


@pytest.mark.parametrize("text", ["al", "agent_alice", "0.b_c-d", "a" * 64, "systems"])
def test_an_agent_id_of_2_to_64_characters_is_accepted(text: str) -> None:
    assert is_agent_id(text)
    assert is_party(text)
    check_agent_id(text, "senderId")
    check_party(text, "senderId")


@pytest.mark.parametrize("text", ["", "a", "_alice", "-a", ".a", "a" * 65, "a:b", "älice", "alice\n"])
def test_what_is_not_an_agent_id_is_refused_by_field(text: str) -> None:
    assert not is_agent_id(text)
    assert not is_party(text)
    with pytest.raises(WireError, match=r"^senderId: is not an agent id$"):
        check_party(text, "senderId")


@pytest.mark.parametrize("text", ["system", "System", "SYSTEM"])
def test_no_agent_may_be_called_system_in_any_spelling(text: str) -> None:
    assert not is_agent_id(text)
    with pytest.raises(WireError, match=r"^content.agentId: the agent id 'system' is reserved$"):
        check_agent_id(text, "content.agentId")


def test_only_the_exact_word_system_addresses_the_relay() -> None:
    assert is_party("system")
    check_party("system", "recipientId")
    assert not is_party("System")
    with pytest.raises(WireError, match="reserved"):
        check_party("System", "recipientId")


def test_two_spellings_of_one_agent_id_have_one_key() -> None:
    assert agent_key("Agent_Alice") == agent_key("agent_aLICE") == "agent_alice"


# ------------------------------------------------------------------------------------------- metadata


def test_metadata_always_holds_its_three_fields() -> None:
    assert metadata(encrypted=True, requires_response=False) == {
        "priority": "NORMAL",
        "encrypted": True,
        "requiresResponse": False,
    }
    assert metadata(Priority.HIGH, encrypted=False, requires_response=True)["priority"] == "HIGH"


def test_an_envelope_tells_its_priority_and_whether_it_wants_an_answer() -> None:
    made = Envelope(
        message_id="msg_1",
        conversation_id="conv_1",
        sender_id="agent_alice",
        recipient_id="agent_bob",
        message_type=MessageType.QUERY,
        content={},
        timestamp=0,
        metadata=metadata(Priority.LOW, encrypted=True, requires_response=True),
    )
    assert made.priority is Priority.LOW
    assert made.requires_response is True


def test_the_types_that_travel_only_sealed_are_those_of_the_document() -> None:
    assert {
        "QUERY",
        "RESPONSE",
        "PROPOSAL",
        "CONFIRMATION",
        "REJECTION",
    } == envelope.SEALED_ONLY


# ------------------------------------------------------------------------------------------- b64


@given(st.binary())
def test_bytes_survive_base64(data: bytes) -> None:
    assert b64decode(b64encode(data), field="x") == data


@given(st.text(st.sampled_from("AQgw+/=- \n9z"), max_size=12))
def test_a_text_is_taken_only_if_it_is_the_one_that_its_bytes_give(text: str) -> None:
    try:
        data = b64decode(text, field="x")
    except WireError:
        with contextlib.suppress(ValueError):  # not base64 at all
            assert base64.b64encode(base64.b64decode(text, validate=True)).decode() != text
    else:
        assert base64.b64encode(data).decode() == text


@pytest.mark.parametrize(
    "text", ["QS==", "QQ", "QQ=", "QQ===", "Q Q=", "QQ==\n", "QQ==QQ==", "-_==", "ä", "\ud800", "="]
)
def test_base64_that_is_not_canonical_is_refused_by_field(text: str) -> None:
    with pytest.raises(WireError, match=r"^content.nonce: is not canonical base64$"):
        b64decode(text, field="content.nonce")


def test_bytes_of_another_length_are_refused_by_field() -> None:
    assert b64decode("QQ==", field="x", length=1) == b"A"
    with pytest.raises(WireError, match=r"^content.nonce: must be 24 bytes, is 1$"):
        b64decode("QQ==", field="content.nonce", length=24)


@pytest.mark.parametrize("more", [0, 1, 2])
@pytest.mark.parametrize("length", [180, 192, 4096])
def test_long_base64_is_read_as_strictly_as_short(length: int, more: int) -> None:
    data = bytes(at % 251 for at in range(length + more))
    text = b64encode(data)
    assert b64decode(text, field="x") == data
    for at in (0, len(text) // 2, len(text) - 5):
        for foreign in ("=", " ", "-", "\n", "é", ""):
            with pytest.raises(WireError, match="is not canonical base64"):
                b64decode(text[:at] + foreign + text[at + 1 :], field="x")
    for spoilt in (text + "=", text + "\n", text + "AAAA=", text[:-1]):
        with pytest.raises(WireError, match="is not canonical base64"):
            b64decode(spoilt, field="x")


@pytest.mark.parametrize("end", ["QR==", "QUF=", "QUJ="])
def test_unused_bits_at_the_end_of_long_base64_are_zero(end: str) -> None:
    with pytest.raises(WireError, match="is not canonical base64"):
        b64decode("A" * 400 + end, field="x")


def test_an_envelope_shows_what_it_says_but_a_token() -> None:
    parts: dict[str, Any] = {
        "message_id": "msg_1",
        "conversation_id": "system",
        "sender_id": "agent_alice",
        "recipient_id": "system",
        "timestamp": 1,
        "metadata": metadata(encrypted=False, requires_response=False),
    }
    auth = Envelope(message_type=MessageType.AUTH, content={"token": "hush"}, **parts)
    assert "hush" not in repr(auth) and "content=..., timestamp=1" in repr(auth)
    assert "content={'timestamp': 1}" in repr(
        Envelope(message_type=MessageType.HEARTBEAT, content={"timestamp": 1}, **parts)
    )


def test_the_largest_integer_is_what_every_json_number_carries() -> None:
    assert MAX_INTEGER == 9_007_199_254_740_991
