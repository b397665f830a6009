"""Envelopes that the tests of the wire start from, and ways to spoil them."""

from __future__ import annotations

import copy
from typing import Any

from relay.wire.envelope import b64encode

FIELDS = (
    "messageId",
    "conversationId",
    "senderId",
    "recipientId",
    "messageType",
    "content",
    "timestamp",
    "metadata",
)

CONTENTS: dict[str, dict[str, Any]] = {
    "HANDSHAKE": {
        "agentId": "agent_alice",
        "publicKey": b64encode(b"P" * 32),
        "identityKey": b64encode(b"I" * 32),
        "sessionId": "sess_1",
        "suite": ["X25519-HKDF-SHA256-XCHACHA20POLY1305-ED25519"],
        "signature": b64encode(b"S" * 64),
    },
    "ENCRYPTED": {
        "encryptedData": b64encode(b"E" * 272),
        "nonce": b64encode(b"N" * 24),
        "signature": b64encode(b"S" * 64),
        "originalType": "QUERY",
        "sessionId": "sess_1",
        "commitment": b64encode(b"C" * 32),
    },
    "ACK": {
        "messageId": "msg_0",
        "status": "DELIVERED",
        "logHead": b64encode(b"L" * 32),
        "signature": b64encode(b"S" * 64),
    },
    "HEARTBEAT": {"timestamp": 1622549300000},
    "DISCONNECT": {"reason": "goodbye"},
    "ERROR": {
        "errorCode": "MESSAGE_ERROR",
        "message": "Failed to deliver message",
        "details": {"originalMessageId": "msg_1234567890", "reason": "Recipient disconnected"},
        "recoverable": True,
        "retryAfter": 5000,
    },
    "AUTH": {"token": "e30.e30.e30", "agentId": "agent_alice"},
    "CONNECTED": {
        "connectionId": "conn_1",
        "agentId": "agent_alice",
        "heartbeatInterval": 30_000,
        "idleTimeout": 90_000,
        "maxMessageBytes": 65_536,
        "tokenExpiresAt": 1622552400000,
        "serverTime": 1622548800000,
        "relayName": "My relay",
    },
    "PRESENCE": {"watch": ["agent_bob"]},
    "QUERY": {"requestId": "req_123", "queryType": "AVAILABILITY", "parameters": {}},
    "RESPONSE": {"requestId": "req_123", "data": {}, "error": None},
    "PROPOSAL": {"proposalId": "prop_123", "details": {}},
    "CONFIRMATION": {"proposalId": "prop_123", "status": "ACCEPTED"},
    "REJECTION": {"proposalId": "prop_123", "reason": "OTHER"},
}

BYTES_FIELDS = {
    "HANDSHAKE": ("publicKey", "identityKey", "peerHash", "signature", "contactProof"),
    "ENCRYPTED": ("encryptedData", "nonce", "signature", "commitment"),
    "ACK": ("signature", "tag", "logHead"),
}


def envelope(message_type: str = "ENCRYPTED", **changes: Any) -> dict[str, Any]:
    """A good envelope in JSON form, but for the top-level fields given."""
    return {
        "messageId": "msg_1",
        "conversationId": "conv_1",
        "senderId": "agent_alice",
        "recipientId": "agent_bob",
        "messageType": message_type,
        "content": copy.deepcopy(CONTENTS[message_type]),
        "timestamp": 1622548800000,
        "metadata": {"priority": "NORMAL", "encrypted": True, "requiresResponse": False},
        **changes,
    }


def spoilt(path: str, value: Any, message_type: str = "ENCRYPTED") -> dict[str, Any]:
    """A good envelope with the value at a dotted path replaced."""
    whole = envelope(message_type)
    *parents, last = path.split(".")
    inner: Any = whole
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return whole


def lacking(path: str, message_type: str = "ENCRYPTED") -> dict[str, Any]:
    """A good envelope without the member at a dotted path."""
    whole = envelope(message_type)
    *parents, last = path.split(".")
    inner: Any = whole
    for name in parents:
        inner = inner[name]
    del inner[last]
    return whole
