"""The published vectors: every good case comes out byte for byte, every bad one raises the error that it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agentnet_desktop.crypto.chain import GENESIS, body_hash, entry_hash, sign_head, verify_head
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.handshake import (
    build_initiation,
    build_response,
    check_confirmation,
    check_contact_proof,
    check_initiation,
    check_response,
    confirmation_tag,
    contact_proof,
    derive,
    envelope_hash,
    hkdf,
    transcript_salt,
)
from agentnet_desktop.crypto.keys import EphemeralKey, IdentityKey, fingerprint, shared_secret, verify
from agentnet_desktop.crypto.safety_number import grouped, safety_number
from agentnet_desktop.crypto.session import (
    SessionKeys,
    check_commitment,
    commitment_of,
    open_sealed,
    seal,
    sign_receipt,
    substance,
    verify_receipt,
    verify_sealed,
)
from agentnet_desktop.protocol.canonical import jcs
from relay.wire.codec import json_form
from relay.wire.envelope import Envelope, MessageType
from relay.wire.errors import WireError
from tests.crypto.make_vectors import FOLDER, everything

Case = dict[str, Any]


def cases(name: str, sort: str) -> list[Any]:
    found = json.loads((FOLDER / name).read_text(encoding="utf-8"))[sort]
    assert found, f"{name} has {sort} cases"
    return [pytest.param(case, id=case["name"]) for case in found]


def raw(case: Case, *names: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(case[name]) for name in names)


def envelope(form: Case) -> Envelope:
    return msgspec.convert(form, Envelope)


def word_of(call: Callable[[], object]) -> str:
    try:
        call()
    except CryptoError as error:
        return error.word
    except WireError as error:
        return error.code.value
    return "accepted"


def keys_of(case: Case) -> SessionKeys:
    return SessionKeys(*raw(case, "encryptionKey", "authKey", "ivBase"))


@pytest.mark.parametrize("name", sorted(everything()))
def test_the_published_files_are_what_the_generator_makes(name: str) -> None:
    published = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(everything()[name]))


# ------------------------------------------------------------------------------- keys, HKDF


@pytest.mark.parametrize("case", cases("keys.json", "good"))
def test_keys(case: Case) -> None:
    seed, public, message, signature = raw(case, "seed", "publicKey", "message", "signature")
    identity = IdentityKey.from_seed(seed)
    assert (identity.public, identity.sign(message)) == (public, signature)
    assert fingerprint(public) == case["fingerprint"]
    verify(public, message, signature)


@pytest.mark.parametrize("case", cases("keys.json", "bad"))
def test_bad_keys(case: Case) -> None:
    assert word_of(lambda: verify(*raw(case, "publicKey", "message", "signature"))) == case["error"]


@pytest.mark.parametrize("case", cases("hkdf.json", "good"))
def test_hkdf(case: Case) -> None:
    secret, salt, info, output = raw(case, "secret", "salt", "info", "output")
    if "privateKey" in case:
        assert shared_secret(*raw(case, "privateKey", "publicKey")) == secret
    assert hkdf(secret, salt, info, case["length"]) == output


@pytest.mark.parametrize("case", cases("hkdf.json", "bad"))
def test_bad_exchanges(case: Case) -> None:
    assert word_of(lambda: shared_secret(*raw(case, "privateKey", "publicKey"))) == case["error"]


# ------------------------------------------------------------------------------- handshake


@pytest.mark.parametrize("case", cases("handshake.json", "good"))
def test_handshakes(case: Case) -> None:
    asked, answered = envelope(case["initiation"]), envelope(case["response"])
    asker, answerer = case["initiator"], case["responder"]
    mine = EphemeralKey.from_seed(bytes.fromhex(asker["ephemeralSeed"]))
    theirs = EphemeralKey.from_seed(bytes.fromhex(answerer["ephemeralSeed"]))
    rebuilt = build_initiation(
        IdentityKey.from_seed(bytes.fromhex(asker["identitySeed"])),
        mine,
        agent_id=asked.sender_id,
        peer_id=asked.recipient_id,
        conversation_id=asked.conversation_id,
        message_id=asked.message_id,
        session_id=asked.content["sessionId"],
        timestamp=asked.timestamp,
    )
    assert rebuilt == asked
    offer = check_initiation(asked, own_id=asked.recipient_id)
    again = build_response(
        IdentityKey.from_seed(bytes.fromhex(answerer["identitySeed"])),
        theirs,
        offer,
        message_id=answered.message_id,
        timestamp=answered.timestamp,
    )
    assert again == answered
    choice = check_response(answered, initiation=asked, own_id=asked.sender_id)
    assert jcs(json_form(asked)).decode() == case["initiationCanonical"]
    assert jcs(json_form(answered)).decode() == case["responseCanonical"]
    assert envelope_hash(asked).hex() == case["peerHash"]
    assert mine.exchange(choice.public_key).hex() == case["sharedSecret"]
    assert transcript_salt(asked, answered).hex() == case["salt"]
    keys = derive(mine.private, choice.public_key, initiation=asked, response=answered)
    others = derive(theirs.private, offer.public_key, initiation=asked, response=answered)
    assert keys.to_bytes() == others.to_bytes() == keys_of(case).to_bytes()
    assert confirmation_tag(keys, answered).hex() == case["confirmationTag"]
    check_confirmation(others, answered, bytes.fromhex(case["confirmationTag"]))


def test_contact_proofs() -> None:
    case = json.loads((FOLDER / "handshake.json").read_text(encoding="utf-8"))["good"][0]["contactProof"]
    token, key, output = raw(case, "token", "identityKey", "output")
    made = contact_proof(token, identity_key=key, agent_id=case["agentId"], recipient_id=case["recipientId"])
    assert made == output
    check_contact_proof(check_initiation(envelope(case["initiation"]), own_id=case["recipientId"]), token)


@pytest.mark.parametrize("case", cases("handshake.json", "bad"))
def test_bad_handshakes(case: Case) -> None:
    def run() -> None:
        match case["role"]:
            case "initiation":
                check_initiation(envelope(case["envelope"]), own_id=case["ownId"])
            case "response":
                asked = envelope(case["initiation"])
                check_response(envelope(case["envelope"]), initiation=asked, own_id=case["ownId"])
            case "confirmation":
                keys = SessionKeys(bytes(32), bytes.fromhex(case["authKey"]), bytes(16))
                check_confirmation(keys, envelope(case["response"]), bytes.fromhex(case["tag"]))
            case "contactProof":
                offer = check_initiation(envelope(case["envelope"]), own_id=case["ownId"])
                check_contact_proof(offer, bytes.fromhex(case["token"]))

    assert word_of(run) == case["error"]


# ------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("case", cases("message.json", "good"))
def test_messages(case: Case) -> None:
    sent = envelope(case["envelope"])
    identity = IdentityKey.from_seed(bytes.fromhex(case["identitySeed"]))
    opening, hedge = raw(case, "opening", "hedge")
    made = seal(
        keys_of(case),
        identity,
        session_id=sent.content["sessionId"],
        seq=case["seq"],
        message_id=sent.message_id,
        conversation_id=sent.conversation_id,
        sender_id=sent.sender_id,
        recipient_id=sent.recipient_id,
        original_type=MessageType(sent.content["originalType"]),
        content=case["content"],
        timestamp=sent.timestamp,
        metadata=sent.metadata,
        opening=opening,
        hedge=hedge,
    )
    assert made.envelope == sent
    assert made.plaintext.decode() == case["plaintext"]
    assert made.digest.hex() == case["digest"]
    verified = verify_sealed(sent, identity_key=identity.public, own_id=case["ownId"])
    assert verified.header.decode() == case["header"]
    assert verified.content.nonce.hex() == case["nonce"]
    assert verified.content.encrypted_data.hex() == case["ciphertext"]
    assert len(verified.content.encrypted_data) == case["paddedLength"] + 16
    assert verified.content.signature.hex() == case["signature"]
    opened = open_sealed(verified, keys_of(case))
    assert (opened.content, opened.seq) == (case["content"], case["seq"])
    assert opened.commitment.hex() == case["commitment"]
    assert substance(verified, opened).hex() == case["substance"]


@pytest.mark.parametrize("case", cases("message.json", "bad"))
def test_bad_messages(case: Case) -> None:
    keys = SessionKeys(bytes.fromhex(case["encryptionKey"]), bytes(32), bytes(16))

    def run() -> None:
        key = bytes.fromhex(case["identityKey"])
        open_sealed(verify_sealed(envelope(case["envelope"]), identity_key=key, own_id=case["ownId"]), keys)

    assert word_of(run) == case["error"]


@pytest.mark.parametrize("case", cases("commitment.json", "good"))
def test_commitments(case: Case) -> None:
    assert commitment_of(case["plaintext"].encode()).hex() == case["commitment"]
    check_commitment(case["plaintext"].encode(), bytes.fromhex(case["commitment"]))


@pytest.mark.parametrize("case", cases("commitment.json", "bad"))
def test_bad_commitments(case: Case) -> None:
    plaintext = case["plaintext"].encode()
    assert word_of(lambda: check_commitment(plaintext, bytes.fromhex(case["commitment"]))) == case["error"]


@pytest.mark.parametrize("case", cases("receipt.json", "good"))
def test_receipts(case: Case) -> None:
    key, digest, head, signature = raw(case, "identityKey", "digest", "logHead", "signature")
    assert sign_receipt(IdentityKey.from_seed(bytes.fromhex(case["identitySeed"])), digest, head) == signature
    verify_receipt(key, digest, head, signature)


@pytest.mark.parametrize("case", cases("receipt.json", "bad"))
def test_bad_receipts(case: Case) -> None:
    parts = raw(case, "identityKey", "digest", "logHead", "signature")
    assert word_of(lambda: verify_receipt(*parts)) == case["error"]


# ------------------------------------------------------------------------------- safety numbers, the log's chain


def number_of(case: Case) -> str:
    key_a, key_b = raw(case, "identityKeyA", "identityKeyB")
    return safety_number(case["agentIdA"], key_a, case["agentIdB"], key_b)


@pytest.mark.parametrize("case", cases("safety-number.json", "good"))
def test_safety_numbers(case: Case) -> None:
    assert number_of(case) == case["number"]
    assert grouped(case["number"]) == case["shown"]


@pytest.mark.parametrize("case", cases("safety-number.json", "bad"))
def test_safety_numbers_that_must_differ(case: Case) -> None:
    assert number_of(case) != case["number"]


@pytest.mark.parametrize("case", cases("log-chain.json", "good"))
def test_the_chain(case: Case) -> None:
    previous, key, signature = raw(case, "previous", "identityKey", "headSignature")
    body = case["body"].encode()
    assert body_hash(body).hex() == case["bodyHash"]
    head = entry_hash(previous, body)
    assert head.hex() == case["hash"]
    identity = IdentityKey.from_seed(bytes.fromhex(case["identitySeed"]))
    assert sign_head(identity, case["seq"], head) == signature
    verify_head(key, case["seq"], head, signature)
    assert case["seq"] > 1 or previous == GENESIS


@pytest.mark.parametrize("case", cases("log-chain.json", "bad"))
def test_bad_heads(case: Case) -> None:
    key, head, signature = raw(case, "identityKey", "hash", "headSignature")
    assert word_of(lambda: verify_head(key, case["seq"], head, signature)) == case["error"]
