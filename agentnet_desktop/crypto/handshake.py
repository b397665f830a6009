"""The handshake: two signed HANDSHAKE envelopes that give both agents the same session keys.

Implements docs/protocol.md sections 7.3 to 7.5 (handshake, confirmation, session keys) and 10.4 (contact proof). Pure: ids, time and
randomness are passed in. Builds, checks and derives; who is trusted, what is pending, and which of two
crossing handshakes is answered is the agent's business.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from agentnet_desktop.protocol.canonical import jcs
from relay.wire.codec import json_form
from relay.wire.control import HandshakeContent, parse
from relay.wire.envelope import Envelope, MessageType, Priority, agent_key, b64encode, metadata

from .errors import ConfirmationMismatch, ContactProofMismatch, HandshakeRefused, Refusal
from .keys import EphemeralKey, IdentityKey, check_ephemeral, shared_secret, verify
from .session import AUTH_KEY_BYTES, ENCRYPTION_KEY_BYTES, IV_BASE_BYTES, SessionKeys

SUITE: Final = "X25519-HKDF-SHA256-XCHACHA20POLY1305-ED25519"
SUITES: Final = (SUITE,)  # in order of preference

_HANDSHAKE: Final = b"agentnet/v1/handshake\x00"
_TRANSCRIPT: Final = b"agentnet/v1/transcript\x00"
_CONFIRM: Final = b"agentnet/v1/confirm\x00"
_CONTACT: Final = b"agentnet/v1/contact\x00"


@dataclass(frozen=True, slots=True)
class Offer:
    """A HANDSHAKE that was checked, of either role.

    Attributes:
        envelope: as it came; its JCS goes into the transcript.
        agent_id: the sender's id, as the sender writes it.
        identity_key: the sender's Ed25519 key, 32 bytes; well-formed, not yet trusted.
        public_key: the sender's X25519 key, 32 bytes, not of low order.
        session_id: chosen by the initiator.
        suites: the initiator's list, or the responder's one choice.
        contact_proof: 32 bytes, or None.
        recipient_id: this agent's id.
    """

    envelope: Envelope
    agent_id: str
    identity_key: bytes
    public_key: bytes
    session_id: str
    suites: tuple[str, ...]
    contact_proof: bytes | None
    recipient_id: str


def build_initiation(
    identity: IdentityKey,
    ephemeral: EphemeralKey,
    *,
    agent_id: str,
    peer_id: str,
    conversation_id: str,
    message_id: str,
    session_id: str,
    timestamp: int,
    contact_proof: bytes | None = None,
) -> Envelope:
    """Build the initiator's HANDSHAKE.

    Args:
        identity: this agent's.
        ephemeral: a fresh pair, kept until the response comes.
        agent_id: this agent.
        peer_id: the agent that is asked.
        conversation_id: the one that gets a session.
        message_id: new, `msg_…`.
        session_id: new, `sess_…`.
        timestamp: ms since the epoch.
        contact_proof: 32 bytes, when the peer came from a contact link.

    Returns:
        The signed envelope; its bytes are re-sent unchanged.
    """
    content = _content(identity, ephemeral, agent_id, session_id, contact_proof)
    content["suite"] = list(SUITES)
    unsigned = Envelope(
        message_id=message_id,
        conversation_id=conversation_id,
        sender_id=agent_id,
        recipient_id=peer_id,
        message_type=MessageType.HANDSHAKE,
        content=content,
        timestamp=timestamp,
        metadata=metadata(Priority.HIGH, encrypted=False, requires_response=True),
    )
    return _signed(identity, unsigned)


def check_initiation(envelope: Envelope, *, own_id: str) -> Offer:
    """Check a HANDSHAKE that asks for a session.

    1. It is a HANDSHAKE, and its content has its fields.
    2. Both keys have 32 bytes, canonical form and no small order.
    3. The signature holds under the identity key that it carries.
    4. agentId is senderId, which is not this agent; recipientId is this agent.
    5. It is an initiator's: requiresResponse, a list of suites, no peerHash.
    6. The list has a suite that this agent knows.

    Whether the key is the pinned one, and the sessionId new, is for the caller to check.

    Raises:
        WireError: step 1.
        BadKey: step 2.
        BadSignature: step 3.
        HandshakeRefused: step 1 (another type), 4, 5 or 6.
    """
    content = _checked_content(envelope)  # (1) (2) (3)
    _check_parties(envelope, content, own_id)  # (4)
    suites = content.suite
    asks = envelope.metadata["requiresResponse"] is True
    if not asks or content.peer_hash is not None or isinstance(suites, str):  # (5)
        raise HandshakeRefused(Refusal.WRONG_ROLE, "the handshake is not one that asks for a session")
    if not set(suites) & set(SUITES):  # (6)
        raise HandshakeRefused(Refusal.SUITE, "the peer offers no cipher suite that this agent knows")
    return _offer(envelope, content, tuple(suites), own_id)


def build_response(
    identity: IdentityKey,
    ephemeral: EphemeralKey,
    offer: Offer,
    *,
    message_id: str,
    timestamp: int,
    contact_proof: bytes | None = None,
) -> Envelope:
    """Build the responder's HANDSHAKE to a checked offer.

    Args:
        identity: this agent's.
        ephemeral: a fresh pair; wiped once `derive` has run.
        offer: from `check_initiation`.
        message_id: new, `msg_…`.
        timestamp: ms since the epoch.
        contact_proof: 32 bytes, when this agent holds a contact link of the initiator.

    Returns:
        The signed envelope; it is stored, and an identical offer gets the identical response.
    """
    content = _content(identity, ephemeral, offer.recipient_id, offer.session_id, contact_proof)
    content["suite"] = next(suite for suite in SUITES if suite in offer.suites)
    content["peerHash"] = b64encode(envelope_hash(offer.envelope))
    unsigned = Envelope(
        message_id=message_id,
        conversation_id=offer.envelope.conversation_id,
        sender_id=offer.recipient_id,
        recipient_id=offer.agent_id,
        message_type=MessageType.HANDSHAKE,
        content=content,
        timestamp=timestamp,
        metadata=metadata(Priority.HIGH, encrypted=False, requires_response=False),
    )
    return _signed(identity, unsigned)


def check_response(envelope: Envelope, *, initiation: Envelope, own_id: str) -> Offer:
    """Check a HANDSHAKE that answers this agent's own.

    1. to 4. as in `check_initiation`.
    5. It is a responder's: not requiresResponse, one suite, a peerHash.
    6. Sender, conversation and session are those of the initiation.
    7. peerHash is the hash of the initiation.
    8. The suite is one that the initiation offered: nobody talked the peer into another.

    Args:
        envelope: the answer.
        initiation: this agent's pending HANDSHAKE, as sent.
        own_id: this agent's id.

    Raises:
        WireError, BadKey, BadSignature: as in `check_initiation`.
        HandshakeRefused: step 4 to 8.
    """
    content = _checked_content(envelope)  # (1) (2) (3)
    _check_parties(envelope, content, own_id)  # (4)
    suite = content.suite
    answers = envelope.metadata["requiresResponse"] is False
    if not answers or content.peer_hash is None or not isinstance(suite, str):  # (5)
        raise HandshakeRefused(Refusal.WRONG_ROLE, "the handshake is not an answer")
    if agent_key(envelope.sender_id) != agent_key(initiation.recipient_id):  # (6)
        raise HandshakeRefused(Refusal.WRONG_SENDER, "another agent answers than the one that was asked")
    if envelope.conversation_id != initiation.conversation_id:
        raise HandshakeRefused(Refusal.WRONG_CONVERSATION, "the answer belongs to another conversation")
    if content.session_id != initiation.content["sessionId"]:
        raise HandshakeRefused(Refusal.WRONG_SESSION, "the answer belongs to another session")
    if not hmac.compare_digest(content.peer_hash, envelope_hash(initiation)):  # (7)
        raise HandshakeRefused(Refusal.PEER_HASH, "the peer answers a handshake other than the one sent")
    if suite not in initiation.content["suite"]:  # (8)
        raise HandshakeRefused(Refusal.SUITE, "the peer chose a cipher suite that was not offered")
    return _offer(envelope, content, (suite,), own_id)


def derive(
    ephemeral_private: bytes, their_public: bytes, *, initiation: Envelope, response: Envelope
) -> SessionKeys:
    """Derive a session's keys; both sides call it with the same two envelopes.

    1. shared_secret = X25519(own ephemeral, their ephemeral), not all zero.
    2. salt = SHA-256 of both envelopes, signatures included.
    3. HKDF-SHA256 (RFC 5869), three times, each with its own info.

    Args:
        ephemeral_private: own X25519 private key, 32 bytes; wipe it afterwards.
        their_public: 32 bytes.
        initiation: the initiator's HANDSHAKE.
        response: the responder's.

    Raises:
        BadKey: the shared secret is all zero.
    """
    shared = shared_secret(ephemeral_private, their_public)  # (1)
    salt = transcript_salt(initiation, response)  # (2)
    return SessionKeys(  # (3)
        hkdf(shared, salt, b"encryption", ENCRYPTION_KEY_BYTES),
        hkdf(shared, salt, b"authentication", AUTH_KEY_BYTES),
        hkdf(shared, salt, b"iv", IV_BASE_BYTES),
    )


def transcript_salt(initiation: Envelope, response: Envelope) -> bytes:
    """SHA-256(`"agentnet/v1/transcript" || 0x00 ||` JCS(initiation) `||` JCS(response)), 32 bytes."""
    return sha256(_TRANSCRIPT + jcs(json_form(initiation)) + jcs(json_form(response))).digest()


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 of RFC 5869; `length` bytes."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt, info).derive(secret)


def confirmation_tag(keys: SessionKeys, response: Envelope) -> bytes:
    """HMAC-SHA256(auth_key, `"agentnet/v1/confirm" || 0x00 ||` SHA-256(JCS(response))), 32 bytes.

    The initiator sends it in ACK CONFIRMED, which proves that it derived the same keys.
    """
    return hmac.digest(keys.auth_key, _CONFIRM + envelope_hash(response), "sha256")


def check_confirmation(keys: SessionKeys, response: Envelope, tag: bytes) -> None:
    """Check the initiator's tag in constant time.

    Raises:
        ConfirmationMismatch: it is another.
    """
    if not hmac.compare_digest(confirmation_tag(keys, response), tag):
        raise ConfirmationMismatch("the confirmation does not belong to this handshake")


def envelope_hash(envelope: Envelope) -> bytes:
    """SHA-256 of an envelope's JCS, 32 bytes: `peerHash`, and what tells one handshake from another."""
    return sha256(jcs(json_form(envelope))).digest()


def initiator_wins(own_id: str, peer_id: str) -> bool:
    """Whether this agent's handshake survives when both start at once: the id that sorts first wins."""
    return agent_key(own_id).encode() < agent_key(peer_id).encode()


def contact_proof(token: bytes, *, identity_key: bytes, agent_id: str, recipient_id: str) -> bytes:
    """Prove knowledge of a contact link's token for one key and one pair of agents; 32 bytes.

    Args:
        token: the link's 32 bytes.
        identity_key: of the agent that proves, 32 bytes.
        agent_id: of the agent that proves.
        recipient_id: the agent that made the link, or reads it back.
    """
    message = _CONTACT + identity_key + agent_id.encode() + b"\x00" + recipient_id.encode()
    return hmac.digest(token, message, "sha256")


def check_contact_proof(offer: Offer, token: bytes) -> None:
    """Check a checked handshake's proof against one of this agent's tokens, in constant time.

    Raises:
        ContactProofMismatch: there is none, or it is for another token, key or pair.
    """
    due = contact_proof(
        token,
        identity_key=offer.identity_key,
        agent_id=offer.agent_id,
        recipient_id=offer.envelope.recipient_id,
    )
    if offer.contact_proof is None or not hmac.compare_digest(due, offer.contact_proof):
        raise ContactProofMismatch("the handshake does not prove knowledge of this contact link")


def _content(
    identity: IdentityKey,
    ephemeral: EphemeralKey,
    agent_id: str,
    session_id: str,
    proof: bytes | None,
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "agentId": agent_id,
        "publicKey": b64encode(ephemeral.public),
        "identityKey": b64encode(identity.public),
        "sessionId": session_id,
    }
    if proof is not None:
        content["contactProof"] = b64encode(proof)
    return content


def _signed(identity: IdentityKey, unsigned: Envelope) -> Envelope:
    """The envelope with its content's `signature`."""
    unsigned.content["signature"] = b64encode(identity.sign(_signed_bytes(unsigned)))
    return unsigned


def _signed_bytes(envelope: Envelope) -> bytes:
    """`"agentnet/v1/handshake" || 0x00 ||` JCS of the eight fields, without content.signature."""
    fields = json_form(envelope)
    content = {name: value for name, value in envelope.content.items() if name != "signature"}
    return _HANDSHAKE + jcs({**fields, "content": content})


def _checked_content(envelope: Envelope) -> HandshakeContent:
    if envelope.message_type is not MessageType.HANDSHAKE:  # (1)
        raise HandshakeRefused(Refusal.WRONG_TYPE, "the message is not a handshake")
    content = parse(HandshakeContent, envelope.content)
    check_ephemeral(content.public_key)  # (2)
    verify(content.identity_key, _signed_bytes(envelope), content.signature)  # (2) (3)
    return content


def _check_parties(envelope: Envelope, content: HandshakeContent, own_id: str) -> None:
    own = agent_key(own_id)
    if content.agent_id != envelope.sender_id:
        raise HandshakeRefused(Refusal.AGENT_ID_MISMATCH, "the handshake names another agent than its sender")
    if agent_key(envelope.sender_id) == own:
        raise HandshakeRefused(Refusal.OWN_ID, "the handshake claims to come from this agent itself")
    if agent_key(envelope.recipient_id) != own:
        raise HandshakeRefused(Refusal.WRONG_RECIPIENT, "the handshake is for another agent")


def _offer(envelope: Envelope, content: HandshakeContent, suites: tuple[str, ...], own_id: str) -> Offer:
    return Offer(
        envelope=envelope,
        agent_id=content.agent_id,
        identity_key=content.identity_key,
        public_key=content.public_key,
        session_id=content.session_id,
        suites=suites,
        contact_proof=content.contact_proof,
        recipient_id=own_id,
    )
