"""Sealing and opening: the bytes of each step, and what is refused at each."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import pickle
from collections.abc import Callable
from typing import Any

import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.crypto import session
from agentnet_desktop.crypto.errors import (
    BadSignature,
    CommitmentMismatch,
    ContentInvalid,
    ContentTooLarge,
    CryptoError,
    DecryptionFailed,
    Misdirected,
)
from agentnet_desktop.crypto.keys import zero
from agentnet_desktop.crypto.padding import pad
from agentnet_desktop.crypto.session import (
    MAX_PLAINTEXT,
    Opened,
    Sealed,
    SessionKeys,
    commitment_of,
    open_sealed,
    sign_receipt,
    substance,
    verify_receipt,
    verify_sealed,
)
from agentnet_desktop.protocol.canonical import jcs
from relay.wire.envelope import Envelope, MessageType, b64decode, b64encode
from relay.wire.errors import WireError
from tests.crypto.people import ALICE, BOB, CAROL, QUERY, Pair, identity, pair, sealed

PAIR = pair()
SEALED = sealed(PAIR)
KEYS = PAIR.keys[BOB]


def received(envelope: Envelope, keys: SessionKeys = KEYS) -> Opened:
    verified = verify_sealed(envelope, identity_key=identity(ALICE).public, own_id=BOB)
    return open_sealed(verified, keys)


def changed(envelope: Envelope, *, content: dict[str, Any] | None = None, **fields: Any) -> Envelope:
    parts = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    return Envelope(**{**parts, **fields, "content": {**envelope.content, **(content or {})}})


def resigned(plaintext: bytes, *, padded: bytes | None = None, commitment: bytes | None = None) -> Envelope:
    """What a peer could send who holds all keys and follows none of the rules: signed, sealed, and wrong."""
    content = {
        **SEALED.envelope.content,
        "commitment": b64encode(commitment_of(plaintext) if commitment is None else commitment),
    }
    envelope = changed(SEALED.envelope, content=content)
    header = jcs(
        {
            **{name: content[name] for name in ("originalType", "sessionId", "commitment")},
            "messageId": envelope.message_id,
            "conversationId": envelope.conversation_id,
            "senderId": envelope.sender_id,
            "recipientId": envelope.recipient_id,
            "timestamp": envelope.timestamp,
            "metadata": envelope.metadata,
        }
    )
    nonce = bytes(24)
    ciphertext = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        pad(plaintext) if padded is None else padded, header, nonce, KEYS.encryption_key
    )
    signature = identity(ALICE).sign(b"agentnet/v1/message\0" + nonce + ciphertext + header)
    return changed(
        envelope,
        content={
            "encryptedData": b64encode(ciphertext),
            "nonce": b64encode(nonce),
            "signature": b64encode(signature),
        },
    )


# ------------------------------------------------------------------------------- the way there and back


def test_a_sealed_message_opens() -> None:
    opened = received(SEALED.envelope)
    assert opened.content == QUERY
    assert opened.seq == 1
    assert opened.plaintext == SEALED.plaintext
    assert opened.commitment == commitment_of(SEALED.plaintext)


def test_every_step_gives_the_bytes_of_the_protocol() -> None:
    opening, hedge = b"o" * 32, b"h" * 32
    plaintext = jcs({"data": QUERY, "opening": base64.b64encode(opening).decode(), "seq": 1})  # (1)
    commitment = hashlib.sha256(b"agentnet/v1/commit\0" + plaintext).digest()
    header = jcs(  # (2)
        {
            "messageId": "msg_3",
            "conversationId": "conv_1",
            "senderId": ALICE,
            "recipientId": BOB,
            "originalType": "QUERY",
            "sessionId": "sess_1",
            "commitment": base64.b64encode(commitment).decode(),
            "timestamp": SEALED.envelope.timestamp,
            "metadata": {"encrypted": True, "priority": "NORMAL", "requiresResponse": True},
        }
    )
    material = hedge + (1).to_bytes(8, "big") + hashlib.sha256(header + plaintext).digest()  # (3)
    nonce = hmac.new(KEYS.iv_base, material, hashlib.sha256).digest()[:24]
    padded = plaintext + b"\x80" + bytes(256 - len(plaintext) - 1)
    ciphertext = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(  # (4)
        padded, header, nonce, KEYS.encryption_key
    )
    signature = identity(ALICE).sign(b"agentnet/v1/message\0" + nonce + ciphertext + header)  # (5)
    assert SEALED.plaintext == plaintext
    assert SEALED.digest == hashlib.sha256(nonce + ciphertext + header).digest()
    assert SEALED.envelope.content == {  # (6)
        "encryptedData": base64.b64encode(ciphertext).decode(),
        "nonce": base64.b64encode(nonce).decode(),
        "signature": base64.b64encode(signature).decode(),
        "originalType": "QUERY",
        "sessionId": "sess_1",
        "commitment": base64.b64encode(commitment).decode(),
    }
    assert SEALED.envelope.message_type is MessageType.ENCRYPTED
    verified = verify_sealed(SEALED.envelope, identity_key=identity(ALICE).public, own_id=BOB)
    assert (verified.header, verified.digest) == (header, SEALED.digest)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    content=st.dictionaries(st.text(max_size=8), json_values, max_size=5),
    seq=st.integers(1, 2**53 - 1),
    extra=st.dictionaries(st.text(min_size=1, max_size=8).map("x-".__add__), json_values, max_size=2),
)
def test_any_content_seq_and_metadata_come_back_as_they_went(
    content: dict[str, Any], seq: int, extra: dict[str, Any]
) -> None:
    message = sealed(PAIR, content=content, seq=seq, extra=extra)
    opened = received(message.envelope)
    assert (opened.content, opened.seq) == (content, seq)
    assert message.envelope.metadata.items() >= extra.items()


def test_unknown_metadata_are_signed() -> None:
    message = sealed(PAIR, extra={"x-trace": "1"})
    received(message.envelope)
    with pytest.raises(BadSignature):
        received(changed(message.envelope, metadata={**message.envelope.metadata, "x-trace": "2"}))


def test_the_nonce_depends_on_hedge_seq_header_and_content() -> None:
    others = [
        sealed(PAIR, hedge=b"g" * 32),
        sealed(PAIR, seq=2),
        sealed(PAIR, message_id="msg_4"),
        sealed(PAIR, content={"a": 1}),
        SEALED,
    ]
    assert len({each.envelope.content["nonce"] for each in others}) == 5


def test_even_a_broken_random_source_repeats_no_nonce_for_another_message() -> None:
    assert (
        sealed(PAIR, opening=bytes(32), hedge=bytes(32), seq=1).envelope.content["nonce"]
        != sealed(PAIR, opening=bytes(32), hedge=bytes(32), seq=2).envelope.content["nonce"]
    )


def test_length_tells_only_a_step() -> None:
    lengths = {
        len(sealed(PAIR, content={"t": "x" * n}).envelope.content["encryptedData"]) for n in range(150)
    }
    assert len(lengths) == 1


@pytest.mark.parametrize("wrong", [{"opening": bytes(31)}, {"hedge": bytes(33)}, {"seq": 0}, {"seq": 2**53}])
def test_wrong_arguments_are_a_bug(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        sealed(PAIR, **wrong)


def test_the_last_number_of_all_can_be_sent() -> None:
    assert received(sealed(PAIR, seq=2**53 - 1).envelope).seq == 2**53 - 1


def test_the_largest_message_fits_and_the_next_is_refused() -> None:
    room = 45_055 - len(jcs({"data": {"t": ""}, "opening": b64encode(bytes(32)), "seq": 1}))
    largest = sealed(PAIR, content={"t": "x" * room})
    assert len(b64decode(largest.envelope.content["encryptedData"], field="f")) == 45_056 + 16
    assert received(largest.envelope).content == {"t": "x" * room}
    with pytest.raises(ContentTooLarge):
        sealed(PAIR, content={"t": "x" * (room + 1)})
    sealed(PAIR, content={"t": "x" * (room + 1)}, max_plaintext=49_152)
    with pytest.raises(ContentTooLarge):
        sealed(PAIR, content={"t": "x" * 256}, max_plaintext=256)


# ------------------------------------------------------------------------------- what is refused


def test_another_senders_key_does_not_verify() -> None:
    with pytest.raises(BadSignature):
        verify_sealed(SEALED.envelope, identity_key=identity(CAROL).public, own_id=BOB)


def test_a_message_for_another_agent_or_of_this_one_is_refused() -> None:
    with pytest.raises(Misdirected, match="for another agent"):
        verify_sealed(SEALED.envelope, identity_key=identity(ALICE).public, own_id=CAROL)
    with pytest.raises(Misdirected, match="came back"):
        verify_sealed(SEALED.envelope, identity_key=identity(ALICE).public, own_id=ALICE.upper())


def test_a_message_that_is_not_sealed_is_refused() -> None:
    with pytest.raises(WireError, match="messageType"):
        received(changed(SEALED.envelope, message_type=MessageType.QUERY))


@pytest.mark.parametrize(
    "field", ["encryptedData", "nonce", "signature", "originalType", "sessionId", "commitment"]
)
def test_a_missing_field_is_named(field: str) -> None:
    content = {name: value for name, value in SEALED.envelope.content.items() if name != field}
    parts = {name: getattr(SEALED.envelope, name) for name in SEALED.envelope.__struct_fields__}
    with pytest.raises(WireError, match=f"content.{field}"):
        received(Envelope(**{**parts, "content": content}))


def test_an_ids_case_does_not_matter_to_whom_a_message_is_for() -> None:
    verify_sealed(SEALED.envelope, identity_key=identity(ALICE).public, own_id=BOB.upper())


def test_a_ciphertext_of_another_session_does_not_open() -> None:
    with pytest.raises(DecryptionFailed):
        received(SEALED.envelope, pair(session_id="sess_2").keys[BOB])


def test_a_commitment_to_something_else_is_noticed() -> None:
    other = commitment_of(b"something else")
    with pytest.raises(CommitmentMismatch):
        received(resigned(SEALED.plaintext, commitment=other))


GOOD = {"data": {}, "opening": b64encode(bytes(32)), "seq": 1}


@pytest.mark.parametrize(
    ("plaintext", "why"),
    [
        (b"", "canonical JSON"),
        (b"{", "canonical JSON"),
        (b"\xff", "canonical JSON"),
        (jcs({**GOOD, "data": {"x": "@"}}).replace(b"@", b"\xff"), "canonical JSON"),
        (jcs({**GOOD, "data": {"x": "@"}}).replace(b'"@"', b"[" * 15 + b"]" * 15), "canonical JSON"),
        (b"[" * 5000 + b"]" * 5000, "canonical JSON"),
        (b'{"data":' + b'{"a":' * 16 + b"1" + b"}" * 16 + b"}", "canonical JSON"),
        (json.dumps(GOOD).encode(), "canonical JSON"),
        (jcs(GOOD) + b" ", "canonical JSON"),
        (jcs(GOOD).replace(b'"seq":1', b'"seq":1.0'), "canonical JSON"),
        (jcs(GOOD).replace(b'"seq":1', b'"seq":1,"seq":1'), "canonical JSON"),
        (jcs(GOOD).replace(b'"seq":1', b'"seq":9007199254740992'), "canonical JSON"),
        (b"[]", "exactly"),
        (jcs({**GOOD, "extra": 1}), "exactly"),
        (jcs({"data": {}, "seq": 1}), "exactly"),
        (jcs({**GOOD, "data": []}), "data is not an object"),
        (jcs({**GOOD, "data": None}), "data is not an object"),
        (jcs({**GOOD, "seq": 0}), "seq"),
        (jcs({**GOOD, "seq": -1}), "seq"),
        (jcs({**GOOD, "seq": True}), "seq"),
        (jcs({**GOOD, "seq": "1"}), "seq"),
        (jcs({**GOOD, "seq": 1.5}), "seq"),
        (jcs({**GOOD, "opening": b64encode(bytes(31))}), "opening"),
        (jcs({**GOOD, "opening": "@"}), "opening"),
        (jcs({**GOOD, "opening": "ä"}), "opening"),
        (jcs({**GOOD, "opening": 7}), "opening"),
    ],
)
def test_a_plaintext_of_another_form_is_refused(plaintext: bytes, why: str) -> None:
    with pytest.raises(ContentInvalid, match=why):
        received(resigned(plaintext))


def test_a_wide_plaintext_is_not_taken_for_a_deep_one() -> None:
    wide = {"slots": [{"start": n} for n in range(30)], "deep": [[[[[[[[[[[[["x"]]]]]]]]]]]]]}
    assert received(resigned(jcs({**GOOD, "data": wide}))).content == wide


def test_a_plaintext_with_other_padding_is_refused() -> None:
    with pytest.raises(ContentInvalid, match="padding"):
        received(resigned(SEALED.plaintext, padded=SEALED.plaintext))
    assert received(resigned(SEALED.plaintext)).content == QUERY


@given(st.binary(max_size=300))
def test_no_plaintext_raises_anything_but_the_declared_errors(plaintext: bytes) -> None:
    with pytest.raises(CryptoError):
        received(resigned(plaintext))


# ------------------------------------------------------------------------------- the same message again


def test_a_copy_sealed_again_in_another_session_is_the_same_message() -> None:
    other = pair(session_id="sess_2")
    again = sealed(other, seq=5, hedge=b"g" * 32, opening=b"p" * 32)

    def said(message: Sealed, between: Pair) -> bytes:
        verified = verify_sealed(message.envelope, identity_key=identity(ALICE).public, own_id=BOB)
        return substance(verified, open_sealed(verified, between.keys[BOB]))

    assert again.digest != SEALED.digest
    assert said(again, other) == said(SEALED, PAIR)
    for different in (
        sealed(other, content={**QUERY, "requestId": "req_124"}),
        sealed(other, extra={"x": 1}),
        sealed(other, message_id="msg_4"),
    ):
        assert said(different, other) != said(SEALED, PAIR)


# ------------------------------------------------------------------------------- receipts


def test_a_receipt_binds_message_and_log() -> None:
    head = b"l" * 32
    signature = sign_receipt(identity(BOB), SEALED.digest, head)
    assert signature == identity(BOB).sign(b"agentnet/v1/receipt\0" + SEALED.digest + head)
    verify_receipt(identity(BOB).public, SEALED.digest, head, signature)
    for key, digest, log_head in (
        (identity(ALICE).public, SEALED.digest, head),
        (identity(BOB).public, bytes(32), head),
        (identity(BOB).public, SEALED.digest, bytes(32)),
    ):
        with pytest.raises(BadSignature):
            verify_receipt(key, digest, log_head, signature)


def test_a_receipts_two_hashes_cannot_be_cut_elsewhere() -> None:
    head = b"l" * 32
    both = SEALED.digest + head
    signature = sign_receipt(identity(BOB), SEALED.digest, head)
    for digest, log_head in ((both[:31], both[31:]), (both[:33], both[33:]), (both, b""), (both[:32], b"")):
        with pytest.raises(BadSignature, match="two hashes of 32 bytes"):
            verify_receipt(identity(BOB).public, digest, log_head, signature)
    with pytest.raises(BadSignature, match="two hashes of 32 bytes"):
        verify_receipt(identity(BOB).public, both[:31], head, signature)


# ------------------------------------------------------------------------------- the keys themselves


def test_session_keys_are_stored_and_read_back() -> None:
    stored = KEYS.to_bytes()
    assert len(stored) == 80
    again = SessionKeys.from_bytes(stored)
    assert again.to_bytes() == stored
    assert stored == KEYS.encryption_key + KEYS.auth_key + KEYS.iv_base


@pytest.mark.parametrize("length", [0, 79, 81])
def test_session_keys_of_another_length_are_a_bug(length: int) -> None:
    with pytest.raises(ValueError, match="32, 32 and 16"):
        SessionKeys.from_bytes(bytes(length))


def test_session_keys_show_nothing_and_do_not_leave_memory() -> None:
    assert repr(KEYS) == "<SessionKeys>"
    leaves: tuple[Callable[[object], object], ...] = (pickle.dumps, copy.copy)
    for leave in leaves:
        with pytest.raises(TypeError):
            leave(KEYS)


def test_what_was_said_does_not_show_in_a_repr() -> None:
    assert "AVAILABILITY" in SEALED.plaintext.decode()
    assert "parameters" not in repr(SEALED)
    assert "parameters" not in repr(received(SEALED.envelope))


def test_wiped_session_keys_are_overwritten_hold_nothing_and_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = SessionKeys.from_bytes(bytes(range(80)))
    overwritten: list[bytes] = []

    def watched(secret: bytearray) -> None:
        zero(secret)
        overwritten.append(bytes(secret))

    monkeypatch.setattr(session, "zero", watched)
    keys.wipe()
    assert overwritten == [bytes(80)]
    assert not keys._secret
    uses: tuple[Callable[[], object], ...] = (
        lambda: keys.encryption_key,
        lambda: keys.auth_key,
        lambda: keys.iv_base,
        keys.to_bytes,
    )
    for use in uses:
        with pytest.raises(ValueError, match="wiped"):
            use()


def test_the_largest_message_is_the_documents() -> None:
    assert MAX_PLAINTEXT == 45_056


def test_only_an_encrypted_envelope_is_verified_and_the_field_is_named() -> None:
    other = changed(SEALED.envelope, message_type=MessageType.HANDSHAKE)
    with pytest.raises(WireError) as caught:
        verify_sealed(other, identity_key=identity(ALICE).public, own_id=BOB)
    assert (caught.value.field, caught.value.reason) == ("messageType", "is not ENCRYPTED")


def test_what_was_verified_is_the_envelope_as_it_came() -> None:
    found = verify_sealed(SEALED.envelope, identity_key=identity(ALICE).public, own_id=BOB)
    assert found.envelope is SEALED.envelope
