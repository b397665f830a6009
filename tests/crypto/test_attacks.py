"""What someone between two agents, or a malicious contact, can try; each attack is one test that names it.

The messages go through the wire's own encoder and strict decoder, as they would over a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nacl.bindings
import pytest

from agentnet_desktop.crypto.errors import (
    BadKey,
    BadSignature,
    CryptoError,
    DecryptionFailed,
    HandshakeRefused,
    Misdirected,
    Refusal,
)
from agentnet_desktop.crypto.handshake import SUITE, check_initiation, check_response, derive
from agentnet_desktop.crypto.session import Opened, SessionKeys, open_sealed, verify_sealed
from relay.wire.codec import Decoded, Format, decode, encode
from relay.wire.envelope import Envelope, b64decode, b64encode
from relay.wire.errors import ErrorCode, WireError
from tests.crypto.people import ALICE, BOB, CAROL, ephemeral, identity, initiation, pair, response, sealed

PAIR = pair()
ASKED, ANSWERED = PAIR.initiation, PAIR.response
MESSAGE = sealed(PAIR).envelope


def changed(envelope: Envelope, *, content: dict[str, Any] | None = None, **fields: Any) -> Envelope:
    parts = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    return Envelope(**{**parts, **fields, "content": {**envelope.content, **(content or {})}})


def received(
    envelope: Envelope, *, keys: SessionKeys | None = None, sender: str = ALICE, own_id: str = BOB
) -> Opened:
    verified = verify_sealed(envelope, identity_key=identity(sender).public, own_id=own_id)
    return open_sealed(verified, PAIR.keys[BOB] if keys is None else keys)


# ------------------------------------------------------------------------------- one flipped bit anywhere


def outcome(frame: bytes, fmt: Format, check: Callable[[Envelope], object]) -> str:
    """Hand a frame on as an agent would: "accepted", or the word of the error that refused it."""
    try:
        found = decode(frame, fmt)
    except WireError as error:
        return error.code.value
    words = []
    for each in found:
        if isinstance(each, WireError):
            words.append(each.code.value)
            continue
        assert isinstance(each, Decoded)
        try:
            check(each.envelope)
        except WireError as error:
            words.append(error.code.value)
        except CryptoError as error:
            words.append(error.kind)
        else:
            words.append("accepted")
    return ",".join(words)


# A flip in the bytes of the frame may break its form, turn the type into one that is handled elsewhere, or leave a
# well-formed message: then its signature, or the form of a key that it carries, gives it away.
FORMAT = ErrorCode.INVALID_MESSAGE_FORMAT.value


@pytest.mark.parametrize("fmt", list(Format))
@pytest.mark.parametrize(
    ("envelope", "check", "words"),
    [
        (MESSAGE, received, {FORMAT, "BAD_SIGNATURE"}),
        (
            ASKED,
            lambda e: check_initiation(e, own_id=BOB),
            {FORMAT, "BAD_SIGNATURE", "BAD_KEY"},
        ),
        (
            ANSWERED,
            lambda e: check_response(e, initiation=ASKED, own_id=ALICE),
            {FORMAT, "BAD_SIGNATURE", "BAD_KEY"},
        ),
    ],
    ids=["ENCRYPTED", "HANDSHAKE of the initiator", "HANDSHAKE of the responder"],
)
def test_any_single_flipped_bit_of_an_envelope_is_refused(
    fmt: Format, envelope: Envelope, check: Callable[[Envelope], object], words: set[str]
) -> None:
    frame = encode(envelope, fmt)
    assert outcome(frame, fmt, check) == "accepted"
    seen = set()
    for at in range(len(frame) * 8):
        damaged = bytearray(frame)
        damaged[at // 8] ^= 1 << at % 8
        seen.add(outcome(bytes(damaged), fmt, check))
    assert seen <= words
    assert {FORMAT, "BAD_SIGNATURE"} <= seen


@pytest.mark.parametrize("field", ["encryptedData", "nonce", "signature", "commitment"])
def test_any_single_flipped_bit_of_a_sealed_messages_bytes_is_a_bad_signature(field: str) -> None:
    for at in range(len(b64decode(MESSAGE.content[field], field=field)) * 8):
        damaged = bytearray(b64decode(MESSAGE.content[field], field=field))
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(BadSignature):
            received(changed(MESSAGE, content={field: b64encode(bytes(damaged))}))


# ------------------------------------------------------------------------------- splices


def test_a_message_moved_into_another_conversation_is_refused() -> None:
    other = pair(conversation_id="conv_2", session_id="sess_2")
    for moved in (
        changed(MESSAGE, conversation_id="conv_2"),
        changed(MESSAGE, conversation_id="conv_2", content={"sessionId": "sess_2"}),
    ):
        with pytest.raises(BadSignature):
            received(moved, keys=other.keys[BOB])


def test_a_message_opened_under_another_conversations_keys_is_refused() -> None:
    with pytest.raises(DecryptionFailed):
        received(MESSAGE, keys=pair(conversation_id="conv_2", session_id="sess_2").keys[BOB])


def test_a_message_passed_on_to_another_recipient_is_refused() -> None:
    with pytest.raises(Misdirected):
        received(MESSAGE, own_id=CAROL)
    with pytest.raises(BadSignature):
        received(changed(MESSAGE, recipient_id=CAROL), own_id=CAROL)


def test_a_message_under_another_senders_name_is_refused() -> None:
    with pytest.raises(BadSignature):
        received(changed(MESSAGE, sender_id=CAROL), sender=CAROL)


def test_parts_of_two_messages_put_together_are_refused() -> None:
    other = sealed(PAIR, seq=2, message_id="msg_4").envelope
    for field in MESSAGE.content:
        if MESSAGE.content[field] != other.content[field]:
            with pytest.raises(BadSignature):
                received(changed(MESSAGE, content={field: other.content[field]}))
    with pytest.raises(BadSignature):
        received(changed(MESSAGE, content={**other.content, "signature": MESSAGE.content["signature"]}))


def test_a_message_under_another_message_id_time_or_type_is_refused() -> None:
    for moved in (
        changed(MESSAGE, message_id="msg_9"),
        changed(MESSAGE, timestamp=MESSAGE.timestamp + 1),
        changed(MESSAGE, content={"originalType": "PROPOSAL"}),
        changed(MESSAGE, metadata={**MESSAGE.metadata, "priority": "HIGH"}),
    ):
        with pytest.raises(BadSignature):
            received(moved)


# ------------------------------------------------------------------------------- reflection


def test_an_agents_own_message_sent_back_to_it_is_refused() -> None:
    with pytest.raises(Misdirected, match="came back"):
        received(MESSAGE, own_id=ALICE)


def test_an_agents_own_message_sent_back_under_the_peers_name_is_refused() -> None:
    reflected = changed(MESSAGE, sender_id=BOB, recipient_id=ALICE)
    for sender in (ALICE, BOB):
        with pytest.raises(BadSignature):
            received(reflected, sender=sender, own_id=ALICE, keys=PAIR.keys[ALICE])


def test_an_agents_own_handshake_sent_back_to_it_is_refused() -> None:
    with pytest.raises(HandshakeRefused) as refused:
        check_initiation(ASKED, own_id=ALICE)
    assert refused.value.refusal is Refusal.OWN_ID
    with pytest.raises(HandshakeRefused) as refused:
        check_response(ASKED, initiation=ASKED, own_id=ALICE)
    assert refused.value.refusal is Refusal.OWN_ID
    with pytest.raises(BadSignature):
        check_initiation(
            changed(ASKED, sender_id=BOB, recipient_id=ALICE, content={"agentId": BOB}), own_id=ALICE
        )


# ------------------------------------------------------------------------------- downgrade, algorithm confusion


def test_a_suite_list_changed_on_the_way_is_refused() -> None:
    with pytest.raises(BadSignature):
        check_initiation(changed(ASKED, content={"suite": [SUITE, "WEAKER"]}), own_id=BOB)


def test_a_suite_choice_changed_on_the_way_is_refused() -> None:
    with pytest.raises(BadSignature):
        check_response(changed(ANSWERED, content={"suite": "WEAKER"}), initiation=ASKED, own_id=ALICE)


def test_a_responder_cannot_choose_what_was_not_offered() -> None:
    from tests.crypto.test_handshake import altered

    for suite in ("WEAKER", "none", ""):
        weaker = altered(ANSWERED, BOB, content={"suite": suite})
        with pytest.raises((HandshakeRefused, WireError)):
            check_response(weaker, initiation=ASKED, own_id=ALICE)


def test_a_list_stripped_of_the_better_suite_gives_keys_that_nobody_else_has() -> None:
    """Even if both signatures were forged, each side's transcript would hold its own list."""
    from tests.crypto.test_handshake import altered

    offered = altered(ASKED, ALICE, content={"suite": ["BETTER", SUITE]})
    answered = response(ASKED)
    mine = derive(
        ephemeral(ALICE + "sess_1").private,
        ephemeral(BOB + "sess_1").public,
        initiation=offered,
        response=answered,
    )
    assert mine.to_bytes() != PAIR.keys[BOB].to_bytes()
    with pytest.raises(HandshakeRefused) as refused:
        check_response(answered, initiation=offered, own_id=ALICE)
    assert refused.value.refusal is Refusal.PEER_HASH


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    """Every signature starts with its purpose: a handshake's is no message's, a receipt's no log head's."""
    from agentnet_desktop.crypto.chain import sign_head, verify_head
    from agentnet_desktop.crypto.session import sign_receipt, verify_receipt

    alice = identity(ALICE)
    receipt = sign_receipt(alice, bytes(32), bytes(32))
    with pytest.raises(BadSignature):
        verify_head(alice.public, 0, bytes(32), receipt)
    with pytest.raises(BadSignature):
        verify_receipt(alice.public, bytes(32), bytes(32), sign_head(alice, 0, bytes(32)))
    with pytest.raises(BadSignature):
        received(changed(MESSAGE, content={"signature": ASKED.content["signature"]}))


def test_an_ephemeral_key_is_no_identity_key() -> None:
    with pytest.raises((BadSignature, BadKey)):
        check_initiation(changed(ASKED, content={"identityKey": ASKED.content["publicKey"]}), own_id=BOB)


def test_a_session_takes_no_ciphertext_of_another_cipher() -> None:
    """ChaCha20-Poly1305 without the X, under the same key and the nonce's first half, does not open."""
    plaintext = sealed(PAIR).plaintext

    keys = PAIR.keys[BOB]
    good = verify_sealed(MESSAGE, identity_key=identity(ALICE).public, own_id=BOB)
    other = nacl.bindings.crypto_aead_chacha20poly1305_ietf_encrypt(
        plaintext, good.header, good.content.nonce[:12], keys.encryption_key
    )
    content = type(good.content)(
        encrypted_data=other,
        nonce=good.content.nonce,
        signature=good.content.signature,
        original_type=good.content.original_type,
        session_id=good.content.session_id,
        commitment=good.content.commitment,
    )
    with pytest.raises(DecryptionFailed):
        open_sealed(type(good)(good.envelope, content, good.header, good.digest), keys)


# ------------------------------------------------------------------------------- someone in between


def test_someone_in_between_who_replaces_the_keys_shows_another_identity() -> None:
    """A relay can only answer under its own identity key: the pinned key, or the safety number, tells."""
    fake = initiation(ALICE, BOB)
    mallory = changed(
        fake,
        content={
            "publicKey": b64encode(ephemeral("mallory").public),
            "identityKey": b64encode(identity("mallory").public),
        },
    )
    with pytest.raises(BadSignature):
        check_initiation(mallory, own_id=BOB)
    with pytest.raises(BadSignature):
        check_initiation(changed(fake, content={"publicKey": b64encode(ephemeral("m").public)}), own_id=BOB)


def test_a_response_replayed_from_an_earlier_handshake_is_refused() -> None:
    later = initiation(session_id="sess_2")
    with pytest.raises(HandshakeRefused) as refused:
        check_response(ANSWERED, initiation=later, own_id=ALICE)
    assert refused.value.refusal is Refusal.WRONG_SESSION


def test_a_response_to_another_initiation_of_the_same_session_is_refused() -> None:
    from tests.crypto.test_handshake import altered

    other = altered(ASKED, ALICE, timestamp=ASKED.timestamp + 1)
    with pytest.raises(HandshakeRefused) as refused:
        check_response(ANSWERED, initiation=other, own_id=ALICE)
    assert refused.value.refusal is Refusal.PEER_HASH


def test_a_stolen_identity_key_opens_no_past_conversation() -> None:
    """Session keys come from ephemeral keys alone: both identity seeds and the whole traffic give nothing."""
    stolen = [identity(ALICE).export_seed(), identity(BOB).export_seed()]
    public = [b64decode(e.content["publicKey"], field="f") for e in (ASKED, ANSWERED)]
    verified = verify_sealed(MESSAGE, identity_key=identity(ALICE).public, own_id=BOB)
    for seed in stolen:
        signing_scalar = nacl.bindings.crypto_sign_ed25519_sk_to_curve25519(
            nacl.bindings.crypto_sign_seed_keypair(seed)[1]
        )
        for private in (seed, signing_scalar):
            for theirs in public:
                with pytest.raises(DecryptionFailed):
                    open_sealed(verified, derive(private, theirs, initiation=ASKED, response=ANSWERED))
