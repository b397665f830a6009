"""Alice, Bob and Carol: fixed keys, a finished handshake, and one sealed message, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentnet_desktop.crypto.handshake import (
    build_initiation,
    build_response,
    check_initiation,
    check_response,
    derive,
)
from agentnet_desktop.crypto.keys import EphemeralKey, IdentityKey
from agentnet_desktop.crypto.session import Sealed, SessionKeys, seal
from relay.wire.envelope import Envelope, MessageType, Priority, metadata

ALICE, BOB, CAROL = "agent_alice", "agent_bob", "agent_carol"
NOW = 1_622_548_800_000
QUERY: dict[str, Any] = {
    "requestId": "req_123",
    "queryType": "AVAILABILITY",
    "parameters": {
        "startDate": "2023-06-01T00:00:00Z",
        "endDate": "2023-06-07T23:59:59Z",
        "timeZone": "America/New_York",
    },
}


def identity(name: str) -> IdentityKey:
    return IdentityKey.from_seed(name.encode().ljust(32, b"i"))


def ephemeral(name: str) -> EphemeralKey:
    return EphemeralKey.from_seed(name.encode().ljust(32, b"e"))


@dataclass
class Pair:
    """Two agents with a session: `keys[ALICE]` and `keys[BOB]` are the two sides' own."""

    initiation: Envelope
    response: Envelope
    keys: dict[str, SessionKeys]
    session_id: str
    conversation_id: str


def initiation(
    sender: str = ALICE,
    recipient: str = BOB,
    *,
    conversation_id: str = "conv_1",
    session_id: str = "sess_1",
    proof: bytes | None = None,
) -> Envelope:
    return build_initiation(
        identity(sender),
        ephemeral(sender + session_id),
        agent_id=sender,
        peer_id=recipient,
        conversation_id=conversation_id,
        message_id="msg_1",
        session_id=session_id,
        timestamp=NOW,
        contact_proof=proof,
    )


def response(first: Envelope, *, proof: bytes | None = None) -> Envelope:
    own = first.recipient_id
    offer = check_initiation(first, own_id=own)
    return build_response(
        identity(own),
        ephemeral(own + offer.session_id),
        offer,
        message_id="msg_2",
        timestamp=NOW + 1,
        contact_proof=proof,
    )


def pair(
    first: str = ALICE,
    second: str = BOB,
    *,
    conversation_id: str = "conv_1",
    session_id: str = "sess_1",
) -> Pair:
    """Go through a whole handshake."""
    asked = initiation(first, second, conversation_id=conversation_id, session_id=session_id)
    answered = response(asked)
    offer = check_initiation(asked, own_id=second)
    choice = check_response(answered, initiation=asked, own_id=first)
    mine, theirs = ephemeral(first + session_id), ephemeral(second + session_id)
    keys = {
        first: derive(mine.private, choice.public_key, initiation=asked, response=answered),
        second: derive(theirs.private, offer.public_key, initiation=asked, response=answered),
    }
    return Pair(asked, answered, keys, session_id, conversation_id)


def sealed(
    between: Pair,
    *,
    sender: str = ALICE,
    recipient: str = BOB,
    content: dict[str, Any] | None = None,
    seq: int = 1,
    message_id: str = "msg_3",
    extra: dict[str, Any] | None = None,
    opening: bytes = b"o" * 32,
    hedge: bytes = b"h" * 32,
    max_plaintext: int = 45_056,
) -> Sealed:
    return seal(
        between.keys[sender],
        identity(sender),
        session_id=between.session_id,
        seq=seq,
        message_id=message_id,
        conversation_id=between.conversation_id,
        sender_id=sender,
        recipient_id=recipient,
        original_type=MessageType.QUERY,
        content=QUERY if content is None else content,
        timestamp=NOW + 2,
        metadata={**metadata(Priority.NORMAL, encrypted=True, requires_response=True), **(extra or {})},
        opening=opening,
        hedge=hedge,
        max_plaintext=max_plaintext,
    )
