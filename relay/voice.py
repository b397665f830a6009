"""What the relay itself says: CONNECTED, ACK, PRESENCE, ERROR and the echo of HEARTBEAT (docs/protocol.md 5).

Envelopes from `system`, written in the listener's format. Pure: randomness and the wall clock's time are
passed in. When something is said is decided in `relay.connection`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from relay.wire import control
from relay.wire.codec import Format, encode
from relay.wire.envelope import SYSTEM, Envelope, MessageType, Priority, metadata, new_id
from relay.wire.errors import ErrorCode

_LOW: Final = metadata(Priority.LOW, encrypted=False, requires_response=False)
_NORMAL: Final = metadata(Priority.NORMAL, encrypted=False, requires_response=False)
_ACK_METADATA: Final = msgspec.json.encode(_NORMAL).decode()
_ACK_METADATA_MSGPACK: Final = msgspec.Raw(msgspec.msgpack.encode(_NORMAL))
_to_msgpack: Final = msgspec.msgpack.Encoder().encode
_JSON: Final = Format.JSON
_NOBODY: Final = "unknown"  # who is told before anyone has authenticated


class _AckContent(msgspec.Struct, rename="camel", gc=False):
    message_id: str
    status: str


class _Ack(msgspec.Struct, rename="camel", gc=False):
    """An ACK of ours in msgpack, written field by field: it goes out with every message."""

    message_id: str
    conversation_id: str
    sender_id: str
    recipient_id: str
    message_type: str
    content: _AckContent
    timestamp: int
    metadata: msgspec.Raw


class Voice:
    """Writes what the relay says."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """Build it.

        Args:
            random: gives that many random bytes.
        """
        self._random = random
        self._ack_ms, self._ack_start, self._ack_count = -1, "", 0

    def new_id(self, prefix: str, wall: int) -> str:
        """An id of ours, which sorts by time; `wall` is ms since the Unix epoch."""
        return new_id(prefix, wall, self._random(10))

    def ack(self, fmt: Format, to: str, message_id: str, status: str, wall: int) -> bytes:
        """An ACK for a message: `ROUTED` or `CLOSED`. Its id counts up within one ms."""
        if wall != self._ack_ms or self._ack_count == 0xFFFFFF:
            self._ack_ms, self._ack_count = wall, 0
            self._ack_start = self.new_id("msg_", wall)[:-6]
        self._ack_count += 1
        own_id = f"{self._ack_start}{self._ack_count:06X}"
        if fmt is _JSON:  # ids need no escapes, so the text can be put together
            return (
                f'{{"messageId":"{own_id}","conversationId":"system","senderId":"system","recipientId":"{to}",'
                f'"messageType":"ACK","content":{{"messageId":"{message_id}","status":"{status}"}},'
                f'"timestamp":{wall},"metadata":{_ACK_METADATA}}}'
            ).encode()
        content = _AckContent(message_id, status)
        return _to_msgpack(_Ack(own_id, SYSTEM, SYSTEM, to, "ACK", content, wall, _ACK_METADATA_MSGPACK))

    def _envelope(self, kind: MessageType, to: str, content: dict[str, Any], wall: int) -> Envelope:
        return Envelope(
            message_id=self.new_id("msg_", wall),
            conversation_id=SYSTEM,
            sender_id=SYSTEM,
            recipient_id=to,
            message_type=kind,
            content=content,
            timestamp=wall,
            metadata=_NORMAL,
        )

    def connected(self, fmt: Format, content: control.ConnectedContent) -> bytes:
        """CONNECTED, at the time that it tells."""
        told = control.build(content)
        return encode(self._envelope(MessageType.CONNECTED, content.agent_id, told, content.server_time), fmt)

    def presence(
        self, fmt: Format, to: str, agent_id: str, status: control.PresenceState, wall: int
    ) -> bytes:
        """PRESENCE: a watched agent is there, or is gone."""
        content = control.build(control.PresenceStatus(agent_id=agent_id, status=status))
        return encode(self._envelope(MessageType.PRESENCE, to, content, wall), fmt)

    def echo(self, fmt: Format, beat: Envelope, to: str, wall: int) -> bytes:
        """A HEARTBEAT back: the same ids and content, from the relay."""
        echoed = msgspec.structs.replace(
            beat, sender_id=SYSTEM, recipient_id=to, timestamp=wall, metadata=_LOW
        )
        return encode(echoed, fmt)

    def error(
        self,
        code: ErrorCode,
        words: str,
        *,
        to: str,
        wall: int,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> Envelope:
        """An ERROR.

        Args:
            code: what went wrong.
            words: the same for a person; no secret.
            to: whom to tell; "" before anyone has authenticated.
            wall: ms since the Unix epoch.
            details: such as `originalMessageId`.
            retry_after: ms, where the relay knows better than the table of codes.
        """
        return control.error_envelope(
            code,
            words,
            recipient=to or _NOBODY,
            details=details,
            retry_after=retry_after,
            message_id=self.new_id("err_", wall),
            now_ms=wall,
        )
