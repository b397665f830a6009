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
from relay.wire.envelope import MAX_INTEGER, SYSTEM, Envelope, MessageType, Priority, metadata, new_id
from relay.wire.errors import ErrorCode

_LOW: Final = metadata(Priority.LOW, encrypted=False, requires_response=False)
_NORMAL: Final = metadata(Priority.NORMAL, encrypted=False, requires_response=False)
_MOST_A_MS: Final = 0xFFFFFF
_JSON: Final = Format.JSON
_NOBODY: Final = "unknown"  # who is told before anyone has authenticated


class _Acks:
    """ACKs in one format: one goes out with every message, so each is put together of what was written before.

    What is the same in all is written once, what is the same for a ms when a ms begins.
    """

    def __init__(self, fmt: Format) -> None:
        own, to, original, status, wall = "msg_" + "0" * 26, "$to", "$original", "$status", MAX_INTEGER
        sample = encode(
            Envelope(
                message_id=own,
                conversation_id=SYSTEM,
                sender_id=SYSTEM,
                recipient_id=to,
                message_type=MessageType.ACK,
                content={"messageId": original, "status": status},
                timestamp=wall,
                metadata=_NORMAL,
            ),
            fmt,
        )
        self._write = (msgspec.json.Encoder() if fmt is _JSON else msgspec.msgpack.Encoder()).encode
        self._before_id, rest = sample.split(own.encode())
        self._before_to, rest = rest.split(self._write(to))
        self._before_original, rest = rest.split(self._write(original))
        self._before_status, rest = rest.split(self._write(status))
        self._before_wall, self._end = rest.split(self._write(wall))
        self._start = self._rest = b""
        self.status, self.wall, self.count = "", -1, 0

    def begin(self, own_id: str, status: str, wall: int) -> None:
        """A ms begins, or another status: the next ids begin as this one does, but for its last six digits."""
        write = self._write
        self._start = self._before_id + own_id[:-6].encode()
        self._rest = b"".join((self._before_status, write(status), self._before_wall, write(wall), self._end))
        self.status, self.wall, self.count = status, wall, 0

    def next(self, to: str, message_id: str) -> bytes:
        """One more ACK of this ms and this status."""
        write = self._write
        self.count += 1
        return b"".join(
            (
                self._start,
                b"%06X" % self.count,
                self._before_to,
                write(to),
                self._before_original,
                write(message_id),
                self._rest,
            )
        )


class Voice:
    """Writes what the relay says."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """Build it.

        Args:
            random: gives that many random bytes.
        """
        self._random = random
        self._acks = {fmt: _Acks(fmt) for fmt in Format}

    def new_id(self, prefix: str, wall: int) -> str:
        """An id of ours, which sorts by time; `wall` is ms since the Unix epoch."""
        return new_id(prefix, wall, self._random(10))

    def ack(self, fmt: Format, to: str, message_id: str, status: str, wall: int) -> bytes:
        """An ACK for a message: `ROUTED` or `CLOSED`. Its id counts up within one ms and status, by format."""
        acks = self._acks[fmt]
        if wall != acks.wall or status != acks.status or acks.count == _MOST_A_MS:
            acks.begin(self.new_id("msg_", wall), status, wall)
        return acks.next(to, message_id)

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
