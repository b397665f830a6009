"""Writes the cryptographic vectors: `python -m tests.crypto.make_vectors`.

Every input is fixed, so that a second run writes the same bytes. Bad cases are made by changing a good one and, where
the change is to reach the check behind the signature, signing it again as a malicious contact could.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentnet_desktop.crypto.chain import GENESIS, body_hash, entry_hash, sign_head
from agentnet_desktop.crypto.handshake import (
    SUITE,
    check_initiation,
    confirmation_tag,
    contact_proof,
    envelope_hash,
    hkdf,
    transcript_salt,
)
from agentnet_desktop.crypto.keys import IdentityKey, fingerprint, shared_secret
from agentnet_desktop.crypto.safety_number import grouped, safety_number
from agentnet_desktop.crypto.session import (
    Sealed,
    commitment_of,
    sign_receipt,
    substance,
    verify_sealed,
)
from agentnet_desktop.crypto.session import open_sealed as opened
from agentnet_desktop.protocol.canonical import jcs
from relay.wire.codec import json_form
from relay.wire.envelope import Envelope, b64encode
from tests.crypto.people import (
    ALICE,
    BOB,
    CAROL,
    Pair,
    ephemeral,
    identity,
    initiation,
    pair,
    response,
    sealed,
)
from tests.crypto.test_handshake import altered
from tests.crypto.test_keys import LOW_ORDER, NON_CANONICAL, SMALL, L, challenge, little, scalar
from tests.crypto.test_session import GOOD, resigned

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "vectors"
Case = dict[str, Any]
TOKEN = bytes(range(32))
NOTE = "Byte strings are lower-case hex unless a field of an envelope holds them, where they are b64. Made with fixed seeds."


def document(about: str, good: list[Case], bad: list[Case]) -> dict[str, Any]:
    return {"about": about, "note": NOTE, "good": good, "bad": bad}


def everything() -> dict[str, dict[str, Any]]:
    """All files by name."""
    return {
        "keys.json": keys(),
        "hkdf.json": key_derivation(),
        "handshake.json": handshake(),
        "message.json": message(),
        "commitment.json": commitment(),
        "receipt.json": receipt(),
        "safety-number.json": safety_numbers(),
        "log-chain.json": chain(),
    }


def keys() -> dict[str, Any]:
    seed, text = bytes(range(32)), b"agentnet"
    alice = identity("alice")
    public = alice.public
    signature = alice.sign(text)
    s = int.from_bytes(signature[32:], "little")
    small = SMALL[2]
    forged = small + little(challenge(small, public, text) * scalar(alice.export_seed()) % L)

    def bad(name: str, key: bytes, sig: bytes, error: str) -> Case:
        return {
            "name": name,
            "publicKey": key.hex(),
            "message": text.hex(),
            "signature": sig.hex(),
            "error": error,
        }

    good = [
        {
            "name": f"Ed25519 with the seed of {who}",
            "seed": key.export_seed().hex(),
            "publicKey": key.public.hex(),
            "message": text.hex(),
            "signature": key.sign(text).hex(),
            "fingerprint": fingerprint(key.public),
        }
        for who, key in (
            ("Alice", alice),
            ("Bob", identity("bob")),
            ("bytes 0 to 31", IdentityKey.from_seed(seed)),
        )
    ]
    cases = [
        bad("a changed signature", public, signature[:-1] + bytes([signature[-1] ^ 1]), "BAD_SIGNATURE"),
        bad("S + L", public, signature[:32] + little(s + L), "BAD_SIGNATURE"),
        bad("R of small order under an honest key", public, forged, "BAD_SIGNATURE"),
        bad("R not canonical", public, NON_CANONICAL[4] + signature[32:], "BAD_SIGNATURE"),
        bad("a signature of 63 bytes", public, signature[:63], "BAD_SIGNATURE"),
        bad("a key of 31 bytes", public[:31], signature, "BAD_KEY"),
        *(
            bad(f"a key of small order ({at})", key, little(1) + bytes(32), "BAD_KEY")
            for at, key in enumerate(SMALL)
        ),
        *(
            bad(f"a key not canonical ({at})", key, signature, "BAD_KEY")
            for at, key in enumerate(NON_CANONICAL)
        ),
    ]
    return document(
        "Ed25519 identity keys and signatures (RFC 8032), and what is refused beyond it", good, cases
    )


def key_derivation() -> dict[str, Any]:
    rfc = {"secret": b"\x0b" * 22, "salt": bytes(range(13)), "info": bytes(range(0xF0, 0xFA))}
    good = [
        {
            "name": "RFC 5869, test case 1",
            **{name: value.hex() for name, value in rfc.items()},
            "length": 42,
            "output": hkdf(rfc["secret"], rfc["salt"], rfc["info"], 42).hex(),
        }
    ]
    done = pair()
    mine, theirs = ephemeral(ALICE + "sess_1"), ephemeral(BOB + "sess_1")
    shared = mine.exchange(theirs.public)
    salt = transcript_salt(done.initiation, done.response)
    for info, length in (("encryption", 32), ("authentication", 32), ("iv", 16)):
        good.append(
            {
                "name": f"session keys: {info}",
                "privateKey": mine.private.hex(),
                "publicKey": theirs.public.hex(),
                "secret": shared.hex(),
                "salt": salt.hex(),
                "info": info.encode().hex(),
                "length": length,
                "output": hkdf(shared, salt, info.encode(), length).hex(),
            }
        )
    assert shared == shared_secret(theirs.private, mine.public)
    bad = [
        {
            "name": f"an X25519 key of low order ({at})",
            "privateKey": mine.private.hex(),
            "publicKey": key.hex(),
            "error": "BAD_KEY",
        }
        for at, key in enumerate(LOW_ORDER)
    ]
    bad.append(
        {
            "name": "an X25519 key of 31 bytes",
            "privateKey": mine.private.hex(),
            "publicKey": theirs.public[:31].hex(),
            "error": "BAD_KEY",
        }
    )
    return document("X25519 (RFC 7748) and HKDF-SHA256 (RFC 5869) into session keys", good, bad)


def handshake() -> dict[str, Any]:
    good = []
    for name, done in (
        ("Alice asks Bob", pair()),
        (
            "Bob asks Carol, in another conversation",
            pair(BOB, CAROL, conversation_id="conv_2", session_id="sess_2"),
        ),
    ):
        good.append(_handshake_case(name, done))
    proof = contact_proof(TOKEN, identity_key=identity(ALICE).public, agent_id=ALICE, recipient_id=BOB)
    asked = initiation(proof=proof)
    good[0]["contactProof"] = {
        "token": TOKEN.hex(),
        "identityKey": identity(ALICE).public.hex(),
        "agentId": ALICE,
        "recipientId": BOB,
        "output": proof.hex(),
        "initiation": json_form(asked),
    }
    return document("Handshake, session keys, confirmation and contact proof", good, _bad_handshakes())


def _handshake_case(name: str, done: Pair) -> Case:
    asker, answerer = done.initiation.sender_id, done.response.sender_id
    mine, theirs = ephemeral(asker + done.session_id), ephemeral(answerer + done.session_id)
    stored = done.keys[asker]
    return {
        "name": name,
        "initiator": {
            "identitySeed": identity(asker).export_seed().hex(),
            "ephemeralSeed": mine.private.hex(),
        },
        "responder": {
            "identitySeed": identity(answerer).export_seed().hex(),
            "ephemeralSeed": theirs.private.hex(),
        },
        "initiation": json_form(done.initiation),
        "initiationCanonical": jcs(json_form(done.initiation)).decode(),
        "peerHash": envelope_hash(done.initiation).hex(),
        "response": json_form(done.response),
        "responseCanonical": jcs(json_form(done.response)).decode(),
        "sharedSecret": mine.exchange(theirs.public).hex(),
        "salt": transcript_salt(done.initiation, done.response).hex(),
        "encryptionKey": stored.encryption_key.hex(),
        "authKey": stored.auth_key.hex(),
        "ivBase": stored.iv_base.hex(),
        "confirmationTag": confirmation_tag(stored, done.response).hex(),
    }


def _bad_handshakes() -> list[Case]:
    asked = initiation()
    answered = response(asked)
    low = b64encode(LOW_ORDER[2])
    proof = contact_proof(TOKEN, identity_key=identity(ALICE).public, agent_id=ALICE, recipient_id=BOB)
    stolen = initiation(CAROL, proof=proof)
    check_initiation(stolen, own_id=BOB)

    def first(name: str, envelope: Envelope, error: str, own_id: str = BOB) -> Case:
        return {
            "name": name,
            "role": "initiation",
            "ownId": own_id,
            "envelope": json_form(envelope),
            "error": error,
        }

    def second(name: str, envelope: Envelope, error: str) -> Case:
        return {
            "name": name,
            "role": "response",
            "ownId": ALICE,
            "initiation": json_form(asked),
            "envelope": json_form(envelope),
            "error": error,
        }

    def unsigned(envelope: Envelope, **content: Any) -> Envelope:
        parts = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
        return Envelope(**{**parts, "content": {**envelope.content, **content}})

    no_answer = {**asked.metadata, "requiresResponse": False}
    return [
        first("signed by another key", altered(asked, CAROL), "BAD_SIGNATURE"),
        first("a public key changed on the way", unsigned(asked, publicKey=answered.content["publicKey"]), "BAD_SIGNATURE"),
        first("a suite list changed on the way", unsigned(asked, suite=[SUITE, "WEAKER"]), "BAD_SIGNATURE"),
        first("an X25519 key of low order", altered(asked, ALICE, content={"publicKey": low}), "BAD_KEY"),
        first("an identity key of small order", altered(asked, ALICE, content={"identityKey": b64encode(SMALL[2])}), "BAD_KEY"),
        first("an identity key not canonical", altered(asked, ALICE, content={"identityKey": b64encode(NON_CANONICAL[4])}), "BAD_KEY"),
        first("a public key of 31 bytes", altered(asked, ALICE, content={"publicKey": b64encode(bytes(31))}), "INVALID_MESSAGE_FORMAT"),
        first("no sessionId", altered(asked, ALICE, content={"sessionId": None}), "INVALID_MESSAGE_FORMAT"),
        first("agentId is not senderId", altered(asked, ALICE, content={"agentId": CAROL}), "HANDSHAKE_REFUSED:AGENT_ID_MISMATCH"),
        first("from oneself", asked, "HANDSHAKE_REFUSED:OWN_ID", ALICE),
        first("for someone else", asked, "HANDSHAKE_REFUSED:WRONG_RECIPIENT", CAROL),
        first("requires no response", altered(asked, ALICE, metadata=no_answer), "HANDSHAKE_REFUSED:WRONG_ROLE"),
        first("no known suite", altered(asked, ALICE, content={"suite": ["WEAKER"]}), "HANDSHAKE_REFUSED:SUITE"),
        second("signed by another key", altered(answered, CAROL), "BAD_SIGNATURE"),
        second("another suite than was offered", altered(answered, BOB, content={"suite": "WEAKER"}), "HANDSHAKE_REFUSED:SUITE"),
        second("another peerHash", altered(answered, BOB, content={"peerHash": b64encode(bytes(32))}), "HANDSHAKE_REFUSED:PEER_HASH"),
        second("no peerHash", altered(answered, BOB, content={"peerHash": None}), "HANDSHAKE_REFUSED:WRONG_ROLE"),
        second("another session", altered(answered, BOB, content={"sessionId": "sess_9"}), "HANDSHAKE_REFUSED:WRONG_SESSION"),
        second("another conversation", altered(answered, BOB, conversation_id="conv_9"), "HANDSHAKE_REFUSED:WRONG_CONVERSATION"),
        second("another agent answers", altered(answered, CAROL, sender_id=CAROL, content={"agentId": CAROL, "identityKey": b64encode(identity(CAROL).public)}), "HANDSHAKE_REFUSED:WRONG_SENDER"),
        {
            "name": "a confirmation tag of another handshake",
            "role": "confirmation",
            "authKey": pair().keys[BOB].auth_key.hex(),
            "response": json_form(answered),
            "tag": confirmation_tag(pair(session_id="sess_2").keys[ALICE], answered).hex(),
            "error": "CONFIRMATION_MISMATCH",
        },
        {
            "name": "a contact proof used by another agent",
            "role": "contactProof",
            "ownId": BOB,
            "token": TOKEN.hex(),
            "envelope": json_form(stolen),
            "error": "CONTACT_PROOF_MISMATCH",
        },
    ]  # fmt: skip


def message() -> dict[str, Any]:
    done = pair()
    good = [
        _message_case("a query", done, sealed(done), 1, b"o" * 32, b"h" * 32),
        _message_case(
            "unknown metadata, non-ASCII text, numbers, and a second padding step",
            done,
            sealed(
                done,
                seq=2,
                message_id="msg_4",
                content={"text": "Käse €😀\u2028\n" + "x" * 200, "n": [0, -1, 1.5, 1e-7], "none": None},
                extra={"x-trace": {"b": 1, "a": [True, False]}},
                opening=bytes(32),
                hedge=bytes(32),
            ),
            2,
            bytes(32),
            bytes(32),
        ),
    ]
    return document("Sealing and opening one message", good, _bad_messages(done))


def _message_case(name: str, done: Pair, made: Sealed, seq: int, opening: bytes, hedge: bytes) -> Case:
    keys = done.keys[ALICE]
    verified = verify_sealed(made.envelope, identity_key=identity(ALICE).public, own_id=BOB)
    found = opened(verified, done.keys[BOB])
    return {
        "name": name,
        "encryptionKey": keys.encryption_key.hex(),
        "authKey": keys.auth_key.hex(),
        "ivBase": keys.iv_base.hex(),
        "identitySeed": identity(ALICE).export_seed().hex(),
        "ownId": BOB,
        "content": found.content,
        "seq": seq,
        "opening": opening.hex(),
        "hedge": hedge.hex(),
        "plaintext": made.plaintext.decode(),
        "paddedLength": len(verified.content.encrypted_data) - 16,
        "commitment": found.commitment.hex(),
        "header": verified.header.decode(),
        "nonce": verified.content.nonce.hex(),
        "ciphertext": verified.content.encrypted_data.hex(),
        "signature": verified.content.signature.hex(),
        "digest": made.digest.hex(),
        "substance": substance(verified, found).hex(),
        "envelope": json_form(made.envelope),
    }


def _bad_messages(done: Pair) -> list[Case]:
    made = sealed(done)
    stored = done.keys[BOB].to_bytes()

    def bad(name: str, envelope: Envelope, error: str, *, own_id: str = BOB, keys: bytes = stored) -> Case:
        return {
            "name": name,
            "identityKey": identity(ALICE).public.hex(),
            "ownId": own_id,
            "encryptionKey": keys[:32].hex(),
            "envelope": json_form(envelope),
            "error": error,
        }

    def changed(content: Case | None = None, **fields: Any) -> Envelope:
        parts = {name: getattr(made.envelope, name) for name in made.envelope.__struct_fields__}
        return Envelope(**{**parts, **fields, "content": {**made.envelope.content, **(content or {})}})

    other = pair(session_id="sess_2")
    nonce = b64encode(bytes(24))
    return [
        bad("another nonce", changed({"nonce": nonce}), "BAD_SIGNATURE"),
        bad("another conversation", changed(conversation_id="conv_2"), "BAD_SIGNATURE"),
        bad("another recipient in the header", changed(recipient_id=CAROL), "BAD_SIGNATURE", own_id=CAROL),
        bad("another time", changed(timestamp=made.envelope.timestamp + 1), "BAD_SIGNATURE"),
        bad("another original type", changed({"originalType": "PROPOSAL"}), "BAD_SIGNATURE"),
        bad("a signature of a handshake", changed({"signature": done.initiation.content["signature"]}), "BAD_SIGNATURE"),
        bad("passed on to another recipient", made.envelope, "MISDIRECTED", own_id=CAROL),
        bad("sent back to its sender", made.envelope, "MISDIRECTED", own_id=ALICE),
        bad("another session's keys", made.envelope, "DECRYPTION_FAILED", keys=other.keys[BOB].to_bytes()),
        bad("a commitment to something else", resigned(made.plaintext, commitment=bytes(32)), "COMMITMENT_MISMATCH"),
        bad("no padding", resigned(made.plaintext, padded=made.plaintext), "CONTENT_INVALID"),
        bad("padding of another step", resigned(made.plaintext, padded=(made.plaintext + b"\x80").ljust(512, b"\0")), "CONTENT_INVALID"),
        bad("plaintext not canonical", resigned(json.dumps(GOOD).encode()), "CONTENT_INVALID"),
        bad("a key twice", resigned(jcs(GOOD).replace(b'"seq":1', b'"seq":1,"seq":1')), "CONTENT_INVALID"),
        bad("seq 0", resigned(jcs({**GOOD, "seq": 0})), "CONTENT_INVALID"),
        bad("data is no object", resigned(jcs({**GOOD, "data": []})), "CONTENT_INVALID"),
        bad("an opening of 31 bytes", resigned(jcs({**GOOD, "opening": b64encode(bytes(31))})), "CONTENT_INVALID"),
        bad("a nonce of 12 bytes", changed({"nonce": b64encode(bytes(12))}), "INVALID_MESSAGE_FORMAT"),
        bad("b64 not canonical", changed({"nonce": nonce[:-1]}), "INVALID_MESSAGE_FORMAT"),
        bad("a type that is never sealed", changed({"originalType": "HANDSHAKE"}), "INVALID_MESSAGE_FORMAT"),
    ]  # fmt: skip


def commitment() -> dict[str, Any]:
    texts = [sealed(pair()).plaintext, jcs(GOOD), b""]
    good = [
        {"name": f"text {at}", "plaintext": text.decode(), "commitment": commitment_of(text).hex()}
        for at, text in enumerate(texts)
    ]
    bad = [
        {
            "name": "another opening",
            "plaintext": jcs({**GOOD, "opening": b64encode(b"x" * 32)}).decode(),
            "commitment": commitment_of(jcs(GOOD)).hex(),
            "error": "COMMITMENT_MISMATCH",
        },
        {
            "name": "padded",
            "plaintext": jcs(GOOD).decode() + "\u0080",
            "commitment": commitment_of(jcs(GOOD)).hex(),
            "error": "COMMITMENT_MISMATCH",
        },
    ]
    return document("Commitments to plaintexts", good, bad)


def receipt() -> dict[str, Any]:
    digest, head = sealed(pair()).digest, entry_hash(GENESIS, b"{}")
    bob = identity(BOB)
    signature = sign_receipt(bob, digest, head)

    def case(name: str, key: bytes, of: bytes, at: bytes, **more: str) -> Case:
        return {
            "name": name,
            "identityKey": key.hex(),
            "digest": of.hex(),
            "logHead": at.hex(),
            "signature": signature.hex(),
            **more,
        }

    good = [case("Bob has Alice's query", bob.public, digest, head, identitySeed=bob.export_seed().hex())]
    bad = [
        case("another agent's key", identity(ALICE).public, digest, head, error="BAD_SIGNATURE"),
        case("another message", bob.public, bytes(32), head, error="BAD_SIGNATURE"),
        case("another log", bob.public, digest, bytes(32), error="BAD_SIGNATURE"),
    ]
    return document("Delivery receipts (ACK DELIVERED)", good, bad)


def safety_numbers() -> dict[str, Any]:
    people = {name: identity(name).public for name in (ALICE, BOB, CAROL)}
    good = []
    for one, other in ((ALICE, BOB), (BOB, ALICE), (ALICE, CAROL), (BOB, CAROL)):
        number = safety_number(one, people[one], other, people[other])
        good.append(
            {
                "name": f"{one} and {other}",
                "agentIdA": one,
                "identityKeyA": people[one].hex(),
                "agentIdB": other,
                "identityKeyB": people[other].hex(),
                "number": number,
                "shown": grouped(number),
            }
        )
    swapped = {
        **good[0],
        "name": "someone in between",
        "identityKeyB": people[CAROL].hex(),
        "error": "DIFFERENT",
    }
    return document("Safety numbers; a bad case is one whose number must come out different", good, [swapped])


def chain() -> dict[str, Any]:
    alice = identity(ALICE)
    bodies = ["{}", '{"kind":"sent","seq":2}', ""]
    hashes, good = [GENESIS], []
    for at, body in enumerate(bodies, 1):
        hashes.append(entry_hash(hashes[-1], body.encode()))
        good.append(
            {
                "name": f"entry {at}",
                "previous": hashes[-2].hex(),
                "body": body,
                "bodyHash": body_hash(body.encode()).hex(),
                "hash": hashes[-1].hex(),
                "seq": at,
                "identitySeed": alice.export_seed().hex(),
                "identityKey": alice.public.hex(),
                "headSignature": sign_head(alice, at, hashes[-1]).hex(),
            }
        )
    moved = {**good[0], "name": "a head at another place", "seq": 2, "error": "BAD_SIGNATURE"}
    other = {**good[0], "name": "another head", "hash": GENESIS.hex(), "error": "BAD_SIGNATURE"}
    return document("The audit log's hash chain and signed heads", good, [moved, other])


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in everything().items():
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
