"""docs/protocol.md section 5: contents in the clear."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from relay.wire import control
from relay.wire.control import (
    AckContent,
    AckStatus,
    AuthContent,
    ConnectedContent,
    DisconnectContent,
    EncryptedContent,
    ErrorContent,
    HandshakeContent,
    HeartbeatContent,
    PresenceStatus,
    PresenceWatch,
    build,
    check,
    error_envelope,
    parse,
)
from relay.wire.envelope import MessageType, b64encode
from relay.wire.errors import ERRORS, ErrorCode, WireError
from tests.relay.wire.examples import BYTES_FIELDS, CONTENTS

KINDS: dict[str, type[msgspec.Struct]] = {
    "HANDSHAKE": HandshakeContent,
    "ENCRYPTED": EncryptedContent,
    "ACK": AckContent,
    "HEARTBEAT": HeartbeatContent,
    "DISCONNECT": DisconnectContent,
    "ERROR": ErrorContent,
    "AUTH": AuthContent,
    "CONNECTED": ConnectedContent,
    "PRESENCE": PresenceWatch,
}


def complaint(kind: str, content: dict[str, Any]) -> str:
    """What is wrong with a content of that type; "" if nothing."""
    try:
        check(MessageType(kind), content)
    except WireError as error:
        return str(error) if error.code is ErrorCode.INVALID_MESSAGE_FORMAT else error.code
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_content_is_read_and_written_back_as_it_was(kind: str) -> None:
    assert build(parse(KINDS[kind], CONTENTS[kind])) == CONTENTS[kind]
    assert complaint(kind, CONTENTS[kind]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_of_a_content_are_ignored(kind: str) -> None:
    assert complaint(kind, {**CONTENTS[kind], "unknown": {"a": [1]}}) == ""


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in KINDS
        for name in CONTENTS[kind]
        if (kind, name) not in {("DISCONNECT", "reason"), ("ERROR", "details"), ("PRESENCE", "watch")}
    ],
)
def test_each_required_field_is_missed_by_name(kind: str, name: str) -> None:
    content = copy.deepcopy(CONTENTS[kind])
    del content[name]
    assert complaint(kind, content) == f"content.{name}: is missing"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in CONTENTS[kind]])
def test_each_field_of_another_type_is_refused_by_name(kind: str, name: str) -> None:
    assert complaint(kind, {**CONTENTS[kind], name: 1.5}).startswith(f"content.{name}: ")


def test_the_bytes_fields_are_exactly_those_of_the_document() -> None:
    assert {kind.value: names for kind, names in control.BYTES_FIELDS.items()} == {
        kind: frozenset(names) for kind, names in BYTES_FIELDS.items()
    }


@pytest.mark.parametrize(
    ("kind", "name", "length"),
    [
        ("HANDSHAKE", "publicKey", 32),
        ("HANDSHAKE", "identityKey", 32),
        ("HANDSHAKE", "peerHash", 32),
        ("HANDSHAKE", "contactProof", 32),
        ("HANDSHAKE", "signature", 64),
        ("ENCRYPTED", "nonce", 24),
        ("ENCRYPTED", "signature", 64),
        ("ENCRYPTED", "commitment", 32),
        ("ACK", "logHead", 32),
        ("ACK", "signature", 64),
        ("ACK", "tag", 32),
    ],
)
def test_keys_hashes_nonces_and_signatures_have_their_length(kind: str, name: str, length: int) -> None:
    assert complaint(kind, {**CONTENTS[kind], name: b64encode(bytes(length))}) == ""
    for wrong in (length - 1, length + 1):
        assert complaint(kind, {**CONTENTS[kind], name: b64encode(bytes(wrong))}).startswith(
            f"content.{name}: "
        )


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in BYTES_FIELDS.items() for n in names])
def test_base64_that_is_not_canonical_is_refused_by_name(kind: str, name: str) -> None:
    assert complaint(kind, {**CONTENTS[kind], name: "QS=="}) == f"content.{name}: is not canonical base64"


def test_a_ciphertext_shorter_than_its_tag_is_refused() -> None:
    short = {**CONTENTS["ENCRYPTED"], "encryptedData": b64encode(bytes(15))}
    assert complaint("ENCRYPTED", short).startswith("content.encryptedData: ")
    assert complaint("ENCRYPTED", {**short, "encryptedData": b64encode(bytes(16))}) == ""


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("HANDSHAKE", "agentId", "system"),
        ("HANDSHAKE", "sessionId", "a b"),
        ("ENCRYPTED", "sessionId", ""),
        ("ACK", "messageId", "ä"),
        ("AUTH", "agentId", "a"),
        ("AUTH", "token", ""),
        ("CONNECTED", "agentId", "-a"),
        ("CONNECTED", "connectionId", "a" * 65),
        ("CONNECTED", "maxMessageBytes", 0),
        ("CONNECTED", "maxMessageBytes", 2**53),
        ("HEARTBEAT", "timestamp", -1),
        ("HEARTBEAT", "timestamp", 2**53),
        ("ERROR", "errorCode", "lower case"),
        ("ERROR", "errorCode", "CODE\n"),
        ("ERROR", "retryAfter", -1),
        ("HANDSHAKE", "suite", []),
        ("HANDSHAKE", "suite", ""),
        ("HANDSHAKE", "suite", ["a"] * 17),
        ("PRESENCE", "watch", ["agent_bob"] * 1001),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(kind: str, name: str, value: object) -> None:
    assert complaint(kind, {**CONTENTS[kind], name: value}).startswith(f"content.{name}: ")


def test_a_suite_is_a_list_from_the_initiator_and_one_word_from_the_responder() -> None:
    offered = parse(HandshakeContent, {**CONTENTS["HANDSHAKE"], "suite": ["A", "B"]})
    chosen = parse(HandshakeContent, {**CONTENTS["HANDSHAKE"], "suite": "A"})
    assert (offered.suite, chosen.suite) == (("A", "B"), "A")
    assert complaint("HANDSHAKE", {**CONTENTS["HANDSHAKE"], "suite": ["A", 1]}).startswith(
        "content.suite[1]: "
    )


@pytest.mark.parametrize(
    "word", ["HANDSHAKE", "ENCRYPTED", "ACK", "HEARTBEAT", "AUTH", "CONNECTED", "PRESENCE"]
)
def test_a_control_message_does_not_travel_sealed(word: str) -> None:
    content = {**CONTENTS["ENCRYPTED"], "originalType": word}
    assert complaint("ENCRYPTED", content) == "content.originalType: is not a type that travels sealed"


@pytest.mark.parametrize(
    "word", ["QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "REJECTION", "DISCONNECT", "ERROR"]
)
def test_what_agents_say_to_each_other_travels_sealed(word: str) -> None:
    assert complaint("ENCRYPTED", {**CONTENTS["ENCRYPTED"], "originalType": word}) == ""


# ------------------------------------------------------------------------------------------- acks


@pytest.mark.parametrize("status", ["ROUTED", "CLOSED"])
def test_an_ack_of_the_relay_carries_only_the_message_and_the_status(status: str) -> None:
    found = parse(AckContent, {"messageId": "msg_1", "status": status})
    assert found == AckContent(message_id="msg_1", status=AckStatus(status))


@pytest.mark.parametrize("name", ["logHead", "signature"])
def test_a_delivery_receipt_lacks_nothing(name: str) -> None:
    content = dict(CONTENTS["ACK"])
    content[name] = None
    assert complaint("ACK", content) == f"content.{name}: is missing"


def test_a_confirmation_of_a_handshake_carries_its_tag() -> None:
    content = {"messageId": "msg_1", "status": "CONFIRMED"}
    assert complaint("ACK", content) == "content.tag: is missing"
    assert complaint("ACK", {**content, "tag": b64encode(bytes(32))}) == ""


# ------------------------------------------------------------------------------------------- presence


def test_a_presence_either_sets_the_watch_or_tells_of_one_agent() -> None:
    assert parse(PresenceWatch, {"watch": []}).watch == ()
    assert complaint("PRESENCE", {"agentId": "agent_bob", "status": "ONLINE"}) == ""
    assert build(parse(PresenceStatus, {"agentId": "agent_bob", "status": "OFFLINE"})) == {
        "agentId": "agent_bob",
        "status": "OFFLINE",
    }
    assert complaint("PRESENCE", {"agentId": "agent_bob"}) == "content.status: is missing"
    assert complaint("PRESENCE", {"agentId": "system", "status": "ONLINE"}).startswith("content.agentId: ")
    assert complaint("PRESENCE", {}) == "content.agentId: is missing"


def test_each_agent_of_a_watch_is_checked_by_its_place() -> None:
    assert complaint("PRESENCE", {"watch": ["agent_bob", "a"]}) == "content.watch[1]: is not an agent id"
    assert complaint("PRESENCE", {"watch": ["agent_bob", "system"]}).startswith("content.watch[1]: ")


# ------------------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("kind", ["QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "REJECTION"])
def test_types_that_travel_only_sealed_are_not_looked_into(kind: str) -> None:
    assert complaint(kind, {"anything": 1}) == ""


def test_neither_a_token_nor_an_invite_is_shown() -> None:
    found = parse(AuthContent, {"token": "SECRET", "agentId": "agent_alice", "invite": "CODE"})
    shown = repr(found)
    assert (found.token, found.invite) == ("SECRET", "CODE")
    assert "SECRET" not in shown
    assert "CODE" not in shown
    assert "agent_alice" in shown


@pytest.mark.parametrize("code", list(ErrorCode))
def test_an_error_from_the_relay_follows_the_table(code: ErrorCode) -> None:
    made = error_envelope(code, "A sentence.", recipient="agent_alice", message_id="err_1", now_ms=7)
    assert (made.sender_id, made.recipient_id, made.conversation_id) == ("system", "agent_alice", "system")
    assert (made.message_id, made.timestamp, made.message_type) == ("err_1", 7, MessageType.ERROR)
    assert made.metadata == {"priority": "HIGH", "encrypted": False, "requiresResponse": False}
    assert made.content == {
        "errorCode": code.value,
        "message": "A sentence.",
        "details": {},
        "recoverable": ERRORS[code].recoverable,
        "retryAfter": ERRORS[code].retry_after_ms,
    }


def test_the_relay_may_know_a_better_delay_than_the_table() -> None:
    made = error_envelope(
        ErrorCode.RATE_LIMIT_EXCEEDED,
        "Slow down.",
        recipient="agent_alice",
        message_id="err_1",
        now_ms=7,
        details={"originalMessageId": "msg_1"},
        retry_after=0,
    )
    content = parse(ErrorContent, made.content)
    assert (content.retry_after, content.details) == (0, {"originalMessageId": "msg_1"})


@pytest.mark.parametrize("good", ["X", "X" * 64, "A0_9"])
def test_an_error_word_has_up_to_64_characters(good: str) -> None:
    assert parse(ErrorContent, {**CONTENTS["ERROR"], "errorCode": good}).error_code == good


@pytest.mark.parametrize("bad", ["", "x", "_X", "0X", "X" * 65, "X-Y", "aX", "-X", "X\n", " X"])
def test_what_is_no_error_word_is_refused_by_name(bad: str) -> None:
    with pytest.raises(WireError, match=r"^content\.errorCode: does not have the right form$"):
        parse(ErrorContent, {**CONTENTS["ERROR"], "errorCode": bad})


def test_a_suite_has_up_to_64_characters() -> None:
    for suite in ("x" * 64, ["x" * 64] * 16):
        assert parse(HandshakeContent, {**CONTENTS["HANDSHAKE"], "suite": suite}).suite
    for suite in ("x" * 65, "", ["x" * 65], [""], [], ["x"] * 17):
        with pytest.raises(WireError, match=r"^content\.suite"):
            parse(HandshakeContent, {**CONTENTS["HANDSHAKE"], "suite": suite})


def test_a_thousand_agents_can_be_watched_and_no_more() -> None:
    assert len(parse(PresenceWatch, {"watch": ["bob"] * 1000}).watch) == 1000
    with pytest.raises(WireError, match=r"^content\.watch"):
        parse(PresenceWatch, {"watch": ["bob"] * 1001})


def test_the_shortest_token_and_the_smallest_limit_are_read() -> None:
    assert parse(AuthContent, {"token": "t", "agentId": "alice"}).token == "t"
    assert parse(ConnectedContent, {**CONTENTS["CONNECTED"], "maxMessageBytes": 1}).max_message_bytes == 1
