"""The handshake: both sides end with the same keys, or the one that notices says why not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.crypto.errors import (
    BadKey,
    BadSignature,
    ConfirmationMismatch,
    ContactProofMismatch,
    HandshakeRefused,
    Refusal,
)
from agentnet_desktop.crypto.handshake import (
    SUITE,
    check_confirmation,
    check_contact_proof,
    check_initiation,
    check_response,
    confirmation_tag,
    contact_proof,
    derive,
    envelope_hash,
    hkdf,
    initiator_wins,
    transcript_salt,
)
from agentnet_desktop.protocol.canonical import jcs
from relay.wire.codec import json_form
from relay.wire.envelope import Envelope, MessageType, b64encode
from relay.wire.errors import WireError
from tests.crypto.people import ALICE, BOB, CAROL, NOW, ephemeral, identity, initiation, pair, response

ASKED = initiation()
ANSWERED = response(ASKED)


def altered(
    envelope: Envelope, signer: str, *, content: dict[str, Any] | None = None, **fields: Any
) -> Envelope:
    """Change an envelope and sign it again, as its sender could. A content field of None is left out."""
    parts = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    merged = {**envelope.content, **(content or {})}
    kept = {name: value for name, value in merged.items() if value is not None and name != "signature"}
    unsigned = Envelope(**{**parts, **fields, "content": kept})
    signature = identity(signer).sign(b"agentnet/v1/handshake\0" + jcs(json_form(unsigned)))
    return Envelope(**{**parts, **fields, "content": {**kept, "signature": b64encode(signature)}})


def refusal(refused: pytest.ExceptionInfo[HandshakeRefused]) -> Refusal:
    return refused.value.refusal


# ------------------------------------------------------------------------------- the way there


def test_both_sides_derive_the_same_keys_and_confirm_them() -> None:
    done = pair()
    keys = done.keys
    assert keys[ALICE].to_bytes() == keys[BOB].to_bytes()
    check_confirmation(keys[BOB], done.response, confirmation_tag(keys[ALICE], done.response))


def test_the_initiation_has_the_fields_of_the_protocol() -> None:
    content = ASKED.content
    assert content == {
        "agentId": ALICE,
        "publicKey": b64encode(ephemeral(ALICE + "sess_1").public),
        "identityKey": b64encode(identity(ALICE).public),
        "sessionId": "sess_1",
        "suite": [SUITE],
        "signature": content["signature"],
    }
    assert ASKED.metadata == {"priority": "HIGH", "encrypted": False, "requiresResponse": True}
    assert ASKED.message_type is MessageType.HANDSHAKE
    unsigned = {**json_form(ASKED), "content": {k: v for k, v in content.items() if k != "signature"}}
    signed = b"agentnet/v1/handshake\0" + jcs(unsigned)
    assert base64.b64decode(content["signature"]) == identity(ALICE).sign(signed)


def test_the_response_echoes_the_session_chooses_a_suite_and_names_the_initiation() -> None:
    content = ANSWERED.content
    assert content["sessionId"] == "sess_1"
    assert content["suite"] == SUITE
    assert base64.b64decode(content["peerHash"]) == hashlib.sha256(jcs(json_form(ASKED))).digest()
    assert (ANSWERED.sender_id, ANSWERED.recipient_id, ANSWERED.conversation_id) == (BOB, ALICE, "conv_1")
    assert ANSWERED.metadata["requiresResponse"] is False


def test_a_checked_offer_carries_what_the_peer_said() -> None:
    offer = check_initiation(initiation(proof=b"p" * 32), own_id=BOB)
    assert offer.agent_id == ALICE
    assert offer.identity_key == identity(ALICE).public
    assert offer.public_key == ephemeral(ALICE + "sess_1").public
    assert (offer.session_id, offer.suites, offer.contact_proof) == ("sess_1", (SUITE,), b"p" * 32)
    choice = check_response(ANSWERED, initiation=ASKED, own_id=ALICE)
    assert (choice.suites, choice.contact_proof, choice.recipient_id) == ((SUITE,), None, ALICE)


def test_the_keys_follow_hkdf_over_the_whole_transcript() -> None:
    done = pair()
    transcript = jcs(json_form(done.initiation)) + jcs(json_form(done.response))
    salt = hashlib.sha256(b"agentnet/v1/transcript\0" + transcript).digest()
    assert transcript_salt(done.initiation, done.response) == salt
    shared = ephemeral(ALICE + "sess_1").exchange(ephemeral(BOB + "sess_1").public)
    extracted = hmac.new(salt, shared, hashlib.sha256).digest()

    def expand(info: bytes) -> bytes:
        return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()

    keys = done.keys[ALICE]
    assert keys.encryption_key == expand(b"encryption")
    assert keys.auth_key == expand(b"authentication")
    assert keys.iv_base == expand(b"iv")[:16]


def test_hkdf_is_rfc_5869s() -> None:
    okm = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_the_confirmation_tag_is_hmac_over_the_response() -> None:
    done = pair()
    message = b"agentnet/v1/confirm\0" + envelope_hash(done.response)
    expected = hmac.new(done.keys[BOB].auth_key, message, hashlib.sha256).digest()
    assert confirmation_tag(done.keys[ALICE], done.response) == expected


@pytest.mark.parametrize("tag", [b"", bytes(31), bytes(32), bytes(33)])
def test_another_tag_does_not_confirm(tag: bytes) -> None:
    done = pair()
    with pytest.raises(ConfirmationMismatch):
        check_confirmation(done.keys[BOB], done.response, tag)


def test_a_tag_of_another_handshake_does_not_confirm() -> None:
    one, other = pair(), pair(session_id="sess_2")
    with pytest.raises(ConfirmationMismatch):
        check_confirmation(one.keys[BOB], one.response, confirmation_tag(other.keys[ALICE], other.response))
    with pytest.raises(ConfirmationMismatch):
        check_confirmation(one.keys[BOB], one.response, confirmation_tag(one.keys[ALICE], other.response))


def test_one_changed_byte_of_the_transcript_changes_every_key() -> None:
    done = pair()
    mine = ephemeral(ALICE + "sess_1").private
    theirs = ephemeral(BOB + "sess_1").public
    later = altered(ASKED, ALICE, timestamp=NOW + 1)
    other = derive(mine, theirs, initiation=later, response=ANSWERED)
    keys = done.keys[ALICE]
    assert other.encryption_key != keys.encryption_key
    assert other.auth_key != keys.auth_key
    assert other.iv_base != keys.iv_base


def test_a_responders_ids_are_its_own_spelling() -> None:
    asked = initiation(recipient=BOB.upper())
    offer = check_initiation(asked, own_id=BOB)
    assert offer.recipient_id == BOB


# ------------------------------------------------------------------------------- what is refused


def test_a_handshake_signed_by_another_key_is_refused() -> None:
    forged = altered(ASKED, CAROL)
    with pytest.raises(BadSignature):
        check_initiation(forged, own_id=BOB)
    with pytest.raises(BadSignature):
        check_response(altered(ANSWERED, CAROL), initiation=ASKED, own_id=ALICE)


def test_a_message_of_another_type_is_refused() -> None:
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_initiation(altered(ASKED, ALICE, message_type=MessageType.QUERY), own_id=BOB),
        lambda: check_response(
            altered(ANSWERED, BOB, message_type=MessageType.QUERY), initiation=ASKED, own_id=ALICE
        ),
    )
    for check in checks:
        with pytest.raises(HandshakeRefused) as refused:
            check()
        assert refusal(refused) is Refusal.WRONG_TYPE


@pytest.mark.parametrize("field", ["agentId", "publicKey", "identityKey", "sessionId", "suite", "signature"])
def test_a_missing_field_is_named(field: str) -> None:
    parts = {name: getattr(ASKED, name) for name in ASKED.__struct_fields__}
    content = {name: value for name, value in ASKED.content.items() if name != field}
    with pytest.raises(WireError, match=f"content.{field}"):
        check_initiation(Envelope(**{**parts, "content": content}), own_id=BOB)


def test_a_key_is_judged_before_the_signature() -> None:
    for field in ("identityKey", "publicKey"):
        forged = altered(ASKED, CAROL, content={field: b64encode((1).to_bytes(32, "little"))})
        with pytest.raises(BadKey):
            check_initiation(forged, own_id=BOB)


def test_keys_of_low_order_are_refused_though_well_signed() -> None:
    one = (1).to_bytes(32, "little")
    for field in ("identityKey", "publicKey"):
        for key in (bytes(32), one):
            with pytest.raises(BadKey):
                check_initiation(altered(ASKED, ALICE, content={field: b64encode(key)}), own_id=BOB)
            with pytest.raises(BadKey):
                check_response(
                    altered(ANSWERED, BOB, content={field: b64encode(key)}), initiation=ASKED, own_id=ALICE
                )


INITIATION_REFUSALS: list[tuple[dict[str, Any], str, Refusal]] = [
    ({"content": {"agentId": CAROL}}, BOB, Refusal.AGENT_ID_MISMATCH),
    ({"content": {"agentId": ALICE.upper()}}, BOB, Refusal.AGENT_ID_MISMATCH),
    ({}, ALICE, Refusal.OWN_ID),
    ({}, ALICE.upper(), Refusal.OWN_ID),
    ({"recipient_id": CAROL}, BOB, Refusal.WRONG_RECIPIENT),
    ({"metadata": {**ASKED.metadata, "requiresResponse": False}}, BOB, Refusal.WRONG_ROLE),
    ({"content": {"peerHash": b64encode(bytes(32))}}, BOB, Refusal.WRONG_ROLE),
    ({"content": {"suite": SUITE}}, BOB, Refusal.WRONG_ROLE),
    ({"content": {"suite": ["X25519-HKDF-SHA256-NULL-ED25519"]}}, BOB, Refusal.SUITE),
]


@pytest.mark.parametrize(("change", "own_id", "why"), INITIATION_REFUSALS)
def test_an_initiation_that_breaks_a_rule_is_refused(
    change: dict[str, Any], own_id: str, why: Refusal
) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        check_initiation(altered(ASKED, ALICE, **change), own_id=own_id)
    assert refusal(refused) is why


def test_unknown_suites_beside_a_known_one_are_passed_over() -> None:
    asked = altered(ASKED, ALICE, content={"suite": ["NEWER-SUITE", SUITE]})
    answered = response(asked)
    assert answered.content["suite"] == SUITE
    check_response(answered, initiation=asked, own_id=ALICE)


RESPONSE_REFUSALS: list[tuple[dict[str, Any], Refusal]] = [
    ({"content": {"agentId": CAROL}}, Refusal.AGENT_ID_MISMATCH),
    ({"recipient_id": CAROL}, Refusal.WRONG_RECIPIENT),
    ({"metadata": {**ANSWERED.metadata, "requiresResponse": True}}, Refusal.WRONG_ROLE),
    ({"content": {"peerHash": None}}, Refusal.WRONG_ROLE),
    ({"content": {"suite": [SUITE]}}, Refusal.WRONG_ROLE),
    ({"sender_id": CAROL, "content": {"agentId": CAROL}}, Refusal.WRONG_SENDER),
    ({"sender_id": ALICE, "content": {"agentId": ALICE}}, Refusal.OWN_ID),
    ({"conversation_id": "conv_2"}, Refusal.WRONG_CONVERSATION),
    ({"content": {"sessionId": "sess_2"}}, Refusal.WRONG_SESSION),
    ({"content": {"peerHash": b64encode(bytes(32))}}, Refusal.PEER_HASH),
    ({"content": {"suite": "X25519-HKDF-SHA256-NULL-ED25519"}}, Refusal.SUITE),
]


@pytest.mark.parametrize(("change", "why"), RESPONSE_REFUSALS)
def test_a_response_that_breaks_a_rule_is_refused(change: dict[str, Any], why: Refusal) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        check_response(altered(ANSWERED, BOB, **change), initiation=ASKED, own_id=ALICE)
    assert refusal(refused) is why


# ------------------------------------------------------------------------------- both at once


@given(st.text("abAB._-19", min_size=2, max_size=8), st.text("abAB._-19", min_size=2, max_size=8))
def test_of_two_crossing_handshakes_exactly_one_survives(one: str, other: str) -> None:
    if one.lower() == other.lower():
        assert not initiator_wins(one, other)
    else:
        assert initiator_wins(one, other) is not initiator_wins(other, one)
        assert initiator_wins(one, other) is (one.lower().encode() < other.lower().encode())


# ------------------------------------------------------------------------------- contact proofs

TOKEN = b"t" * 32
PROOF = contact_proof(TOKEN, identity_key=identity(ALICE).public, agent_id=ALICE, recipient_id=BOB)


def test_a_contact_proof_is_hmac_over_key_and_pair() -> None:
    message = b"agentnet/v1/contact\0" + identity(ALICE).public + ALICE.encode() + b"\0" + BOB.encode()
    assert hmac.new(TOKEN, message, hashlib.sha256).digest() == PROOF


def test_a_contact_proof_is_accepted_in_either_role() -> None:
    check_contact_proof(check_initiation(initiation(proof=PROOF), own_id=BOB), TOKEN)
    back = contact_proof(TOKEN, identity_key=identity(BOB).public, agent_id=BOB, recipient_id=ALICE)
    answered = response(ASKED, proof=back)
    check_contact_proof(check_response(answered, initiation=ASKED, own_id=ALICE), TOKEN)


@pytest.mark.parametrize("proof", [None, bytes(32)])
def test_a_missing_or_invented_proof_is_refused(proof: bytes | None) -> None:
    with pytest.raises(ContactProofMismatch):
        check_contact_proof(check_initiation(initiation(proof=proof), own_id=BOB), TOKEN)


def test_a_proof_for_another_token_key_or_pair_is_refused() -> None:
    offer = check_initiation(initiation(proof=PROOF), own_id=BOB)
    with pytest.raises(ContactProofMismatch):
        check_contact_proof(offer, b"u" * 32)
    stolen = check_initiation(initiation(CAROL, proof=PROOF), own_id=BOB)
    with pytest.raises(ContactProofMismatch):
        check_contact_proof(stolen, TOKEN)
    moved = check_initiation(initiation(recipient=CAROL, proof=PROOF), own_id=CAROL)
    with pytest.raises(ContactProofMismatch):
        check_contact_proof(moved, TOKEN)
