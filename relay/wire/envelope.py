"""The envelope: the eight fields that every message carries, and the forms of their values.

Implements docs/protocol.md section 4 (envelope), with ids (4.2), metadata (4.3) and b64 (2.2). In memory
`content` and `metadata` are always in JSON form: bytes fields are canonical b64 text.

This module does not read or write frames (`codec`), and does not know the contents (`control`).
"""

from __future__ import annotations

import binascii
import re
from enum import StrEnum
from typing import Any, Final

import msgspec

from relay.wire.errors import WireError

SYSTEM: Final = "system"
"""The relay's own id, in `senderId`, `recipientId` and `conversationId`; no agent may be called so."""

MAX_INTEGER: Final = 2**53 - 1
"""Largest magnitude of an integral number: what every language's JSON numbers carry exactly."""

_AGENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}", re.ASCII)
ID_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_LONG_TEXT: Final = 256
"""Characters from which on msgspec reads base64 faster than the standard library."""
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_RANDOM_BYTES: Final = 10
_ULID_MAX_TIME: Final = 2**48 - 1


class MessageType(StrEnum):
    """The document's ten message types, and four for what it describes but does not name."""

    HANDSHAKE = "HANDSHAKE"
    QUERY = "QUERY"
    RESPONSE = "RESPONSE"
    PROPOSAL = "PROPOSAL"
    CONFIRMATION = "CONFIRMATION"
    REJECTION = "REJECTION"
    HEARTBEAT = "HEARTBEAT"
    ENCRYPTED = "ENCRYPTED"
    ERROR = "ERROR"
    DISCONNECT = "DISCONNECT"
    AUTH = "AUTH"
    CONNECTED = "CONNECTED"
    ACK = "ACK"
    PRESENCE = "PRESENCE"


class Priority(StrEnum):
    """`metadata.priority`."""

    HIGH = "HIGH"
    NORMAL = "NORMAL"
    LOW = "LOW"


SEALED_ONLY: Final = frozenset(
    {
        MessageType.QUERY,
        MessageType.RESPONSE,
        MessageType.PROPOSAL,
        MessageType.CONFIRMATION,
        MessageType.REJECTION,
    }
)
"""Types that travel only inside ENCRYPTED; ERROR and DISCONNECT join them when sent between agents."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One message as it crosses the relay.

    Attributes:
        message_id: 1 to 64 characters of `[A-Za-z0-9._:-]`.
        conversation_id: Likewise; "system" for messages from and to the relay.
        sender_id: An agentId, or "system".
        recipient_id: An agentId, or "system".
        message_type: What `content` is.
        content: In JSON form; unknown fields are kept.
        timestamp: Creation time by the sender's clock, ms since the Unix epoch.
        metadata: `priority`, `encrypted`, `requiresResponse`, and unknown fields, kept.
    """

    message_id: str
    conversation_id: str
    sender_id: str
    recipient_id: str
    message_type: MessageType
    content: dict[str, Any]
    timestamp: int
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        hidden = "content" if self.message_type == MessageType.AUTH else ""  # a token, and perhaps an invite
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        shown = (f"{name}={'...' if name == hidden else repr(value)}" for name, value in values.items())
        return f"Envelope({', '.join(shown)})"

    @property
    def priority(self) -> Priority:
        """`metadata.priority`."""
        return Priority(self.metadata["priority"])

    @property
    def requires_response(self) -> bool:
        """`metadata.requiresResponse`."""
        return bool(self.metadata["requiresResponse"])


def metadata(
    priority: Priority = Priority.NORMAL, *, encrypted: bool, requires_response: bool
) -> dict[str, Any]:
    """Build the metadata of an envelope, in JSON form."""
    return {"priority": priority.value, "encrypted": encrypted, "requiresResponse": requires_response}


def new_id(prefix: str, now_ms: int, random: bytes) -> str:
    """Make an id that sorts by time: the prefix and a ULID.

    Args:
        prefix: Such as `msg_`, `conv_`, `req_`, `prop_`, `sess_`, `err_`, `conn_`.
        now_ms: Time in ms since the Unix epoch, 0 to 2**48 - 1.
        random: 10 random bytes.

    Returns:
        The prefix followed by 26 characters of Crockford's base 32.

    Raises:
        ValueError: If the time or the randomness does not fit.
    """
    if len(random) != _ULID_RANDOM_BYTES:
        raise ValueError(f"a ULID takes {_ULID_RANDOM_BYTES} random bytes, not {len(random)}")
    if not 0 <= now_ms <= _ULID_MAX_TIME:
        raise ValueError("a ULID's time is 0 to 2**48 - 1 ms")
    number = now_ms << 80 | int.from_bytes(random, "big")
    return prefix + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -5, -5))


def agent_key(agent_id: str) -> str:
    """The form under which two spellings of one agentId are equal: lower case."""
    return agent_id.lower()


def is_agent_id(text: str) -> bool:
    """Whether the text may name an agent: it fits the form and is not the reserved `system`."""
    return _AGENT_ID.fullmatch(text) is not None and text.lower() != SYSTEM


def is_id(text: str) -> bool:
    """Whether the text fits the form of the other ids: 1 to 64 characters of `[A-Za-z0-9._:-]`."""
    return ID_FORM.fullmatch(text) is not None


def is_party(text: str) -> bool:
    """Whether the text may be a sender or recipient: an agent, or the relay."""
    return text == SYSTEM or is_agent_id(text)


def check_agent_id(text: str, field: str) -> None:
    """Raise WireError, naming the field, unless the text may name an agent."""
    if not is_agent_id(text):
        reserved = text.lower() == SYSTEM
        raise WireError(field, "the agent id 'system' is reserved" if reserved else "is not an agent id")


def check_party(text: str, field: str) -> None:
    """Raise WireError, naming the field, unless the text may be a sender or recipient."""
    if text != SYSTEM:
        check_agent_id(text, field)


def check_id(text: str, field: str) -> None:
    """Raise WireError, naming the field, unless the text fits the form of an id."""
    if not is_id(text):
        raise WireError(field, "is not an id: 1 to 64 characters of A-Z a-z 0-9 . _ : -")


def b64encode(data: bytes) -> str:
    """Standard base64 with padding."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def b64decode(text: str, *, field: str, length: int | None = None) -> bytes:
    """Decode canonical base64: the one text that `b64encode` gives for these bytes.

    Args:
        text: Standard alphabet, padded, unused bits zero, nothing else.
        field: Path to name in the error.
        length: Required number of bytes, if any.

    Returns:
        The bytes.

    Raises:
        WireError: If the text is not canonical base64, or the length differs.
    """
    data = _read_b64(text)
    if data is None:
        raise WireError(field, "is not canonical base64")
    if length is not None and len(data) != length:
        raise WireError(field, f"must be {length} bytes, is {len(data)}")
    return data


def _read_b64(text: str) -> bytes | None:
    """The bytes, or None where the text is not canonical."""
    try:
        if len(text) < _LONG_TEXT:
            data = binascii.a2b_base64(text)
            return data if b64encode(data) == text else None
        data = msgspec.convert(text, bytes)
    except ValueError:  # msgspec.ValidationError is one
        return None
    # msgspec reads the alphabet alone, in whole groups: only unused bits of the last group can differ.
    return data if b64encode(data[-(len(data) % 3 or 3) :]) == text[-4:] else None
