"""Contents that travel in the clear: between an agent and its relay, and the outside of sealed messages.

Implements docs/protocol.md section 5 (contents in the clear). `parse` checks a content in JSON form against
its schema and gives a frozen Struct whose bytes fields hold bytes; `build` goes back.

This module does not judge what a content means: keys, signatures and proofs are checked by the agent's
crypto, tokens by the relay's auth.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from relay.wire import schema
from relay.wire.envelope import (
    MAX_INTEGER,
    SEALED_ONLY,
    SYSTEM,
    Envelope,
    MessageType,
    Priority,
    check_agent_id,
    check_id,
    metadata,
)
from relay.wire.errors import ERRORS, ErrorCode, WireError

Time = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
"""Milliseconds since the Unix epoch, or a span of them."""
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
Nonce = Annotated[bytes, Meta(min_length=24, max_length=24)]
Ciphertext = Annotated[bytes, Meta(min_length=16)]  # at least the Poly1305 tag
Suite = Annotated[str, Meta(min_length=1, max_length=64)]
ErrorWord = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,63}\Z")]

MAX_WATCHED: Final = 1000
"""Most agents in one watch set."""


class AckStatus(StrEnum):
    """`status` of an ACK: the first two from the relay, the others from an agent."""

    ROUTED = "ROUTED"  # handed to the recipient's connection; no proof of delivery
    CLOSED = "CLOSED"  # answer to DISCONNECT
    DELIVERED = "DELIVERED"  # the recipient has it on disk
    CONFIRMED = "CONFIRMED"  # answer to a handshake response


class PresenceState(StrEnum):
    """`status` of a PRESENCE."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"


class _Content(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all contents in the clear."""


class AuthContent(_Content, frozen=True):
    """AUTH, client to relay: the first frame of a client that cannot set headers, and token renewal.

    `invite` is the code, for tokens that cannot carry it.
    """

    token: Annotated[str, Meta(min_length=1)]
    agent_id: str
    invite: str | None = None

    def __repr__(self) -> str:
        return f"AuthContent(agent_id={self.agent_id!r}, ...)"  # the rest is secret


class ConnectedContent(_Content, frozen=True):
    """CONNECTED, relay to client: the first message of a connection. Intervals and times in ms."""

    connection_id: str
    agent_id: str
    heartbeat_interval: Time
    idle_timeout: Time
    max_message_bytes: Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
    token_expires_at: Time
    server_time: Time
    relay_name: str


class AckContent(_Content, frozen=True):
    """ACK: `DELIVERED` carries `log_head` and `signature`, `CONFIRMED` carries `tag`."""

    message_id: str
    status: AckStatus
    log_head: Bytes32 | None = None
    signature: Bytes64 | None = None
    tag: Bytes32 | None = None


class PresenceWatch(_Content, frozen=True):
    """PRESENCE, client to relay: replaces the set of agents watched."""

    watch: Annotated[tuple[str, ...], Meta(max_length=MAX_WATCHED)]


class PresenceStatus(_Content, frozen=True):
    """PRESENCE, relay to client: one watched agent came or went."""

    agent_id: str
    status: PresenceState


class HeartbeatContent(_Content, frozen=True):
    """HEARTBEAT: the sender's clock. The relay echoes it."""

    timestamp: Time


class DisconnectContent(_Content, frozen=True):
    """DISCONNECT: in the clear ends a connection; sealed, ends a conversation."""

    reason: str | None = None


class ErrorContent(_Content, frozen=True):
    """ERROR: `recoverable` and `retry_after` (ms) are always set. Unknown codes go by `recoverable`."""

    error_code: ErrorWord
    message: str
    recoverable: bool
    retry_after: Time
    details: dict[str, Any] = {}


class HandshakeContent(_Content, frozen=True):
    """HANDSHAKE: `suite` is the initiator's list or the responder's choice; `peer_hash` the responder's only."""

    agent_id: str
    public_key: Bytes32
    identity_key: Bytes32
    session_id: str
    suite: Suite | Annotated[tuple[Suite, ...], Meta(min_length=1, max_length=16)]
    signature: Bytes64
    peer_hash: Bytes32 | None = None
    contact_proof: Bytes32 | None = None


class EncryptedContent(_Content, frozen=True):
    """ENCRYPTED: the outside of a sealed message."""

    encrypted_data: Ciphertext
    nonce: Nonce
    signature: Bytes64
    original_type: MessageType
    session_id: str
    commitment: Bytes32


T = TypeVar("T", bound=msgspec.Struct)

_KINDS: Final[Mapping[MessageType, type[_Content]]] = {
    MessageType.HANDSHAKE: HandshakeContent,
    MessageType.ENCRYPTED: EncryptedContent,
    MessageType.ACK: AckContent,
    MessageType.HEARTBEAT: HeartbeatContent,
    MessageType.DISCONNECT: DisconnectContent,
    MessageType.ERROR: ErrorContent,
    MessageType.AUTH: AuthContent,
    MessageType.CONNECTED: ConnectedContent,
}

BYTES_FIELDS: Final[Mapping[MessageType, frozenset[str]]] = {
    kind: frozenset(schema.bytes_fields(_KINDS[kind]))
    for kind in (MessageType.HANDSHAKE, MessageType.ENCRYPTED, MessageType.ACK)
}
"""The fields of `content` that are b64 in JSON and bin in msgpack; there are no others."""

_AGENT_ID_FIELDS: Final = ("agent_id",)
_ID_FIELDS: Final = ("message_id", "session_id", "connection_id")
SEALABLE: Final = SEALED_ONLY | {MessageType.DISCONNECT, MessageType.ERROR}
"""What `originalType` may be."""


def parse(kind: type[T], content: Mapping[str, Any]) -> T:
    """Check a content in JSON form against its schema.

    Args:
        kind: One of this module's Structs.
        content: In JSON form; unknown fields are ignored.

    Returns:
        The Struct, bytes fields as bytes.

    Raises:
        WireError: Naming the field that does not fit, as in `content.publicKey`.
    """
    found = schema.from_json_form(kind, content)
    _check_ids(found)
    match found:
        case AckContent():
            _check_ack(found)
        case EncryptedContent() if found.original_type not in SEALABLE:
            raise WireError("content.originalType", "is not a type that travels sealed")
        case PresenceWatch():
            for at, agent_id in enumerate(found.watch):
                check_agent_id(agent_id, f"content.watch[{at}]")
    return found


def build(content: msgspec.Struct) -> dict[str, Any]:
    """The JSON form of a content; optional fields that are None are left out."""
    return schema.to_json_form(content)


def check(message_type: MessageType, content: Mapping[str, Any]) -> None:
    """Check the content of an envelope in the clear, by its type.

    Types that travel only sealed are not looked into: whoever receives them in the clear refuses them.

    Raises:
        WireError: As `parse`.
    """
    if message_type is MessageType.PRESENCE:
        parse(PresenceWatch if "watch" in content else PresenceStatus, content)
    elif message_type in _KINDS:
        parse(_KINDS[message_type], content)


def error_envelope(
    code: ErrorCode,
    message: str,
    *,
    recipient: str,
    message_id: str,
    now_ms: int,
    details: Mapping[str, Any] | None = None,
    retry_after: int | None = None,
) -> Envelope:
    """Build an ERROR from the relay.

    Args:
        code: Sets `recoverable`, and `retryAfter` unless given.
        message: One sentence for a person; no secret, no exception's text.
        recipient: The agent that is told.
        message_id: The ERROR's own id, `err_...`.
        now_ms: Its timestamp.
        details: Such as `originalMessageId`, `reason`, `field`, `limit`.
        retry_after: Delay in ms, where the relay knows better than the table.
    """
    meaning = ERRORS[code]
    content = ErrorContent(
        error_code=code.value,
        message=message,
        details=dict(details or {}),
        recoverable=meaning.recoverable,
        retry_after=meaning.retry_after_ms if retry_after is None else retry_after,
    )
    return Envelope(
        message_id=message_id,
        conversation_id=SYSTEM,
        sender_id=SYSTEM,
        recipient_id=recipient,
        message_type=MessageType.ERROR,
        content=build(content),
        timestamp=now_ms,
        metadata=metadata(Priority.HIGH, encrypted=False, requires_response=False),
    )


def _check_ids(content: msgspec.Struct) -> None:
    for name in _AGENT_ID_FIELDS:
        if name in content.__struct_fields__:
            check_agent_id(getattr(content, name), "content.agentId")
    for name in _ID_FIELDS:
        if name in content.__struct_fields__:
            check_id(getattr(content, name), f"content.{_wire_name(content, name)}")


def _wire_name(content: msgspec.Struct, name: str) -> str:
    return content.__struct_encode_fields__[content.__struct_fields__.index(name)]


def _check_ack(ack: AckContent) -> None:
    needed = {
        AckStatus.DELIVERED: ("log_head", "signature"),
        AckStatus.CONFIRMED: ("tag",),
    }.get(ack.status, ())
    for name in needed:
        if getattr(ack, name) is None:
            raise WireError(f"content.{_wire_name(ack, name)}", "is missing")
