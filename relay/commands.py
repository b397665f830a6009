"""What a connection asks of its shell: the commands that its events return, in order (docs/protocol.md 3).

Plain data. A command names the connection it is for, since one connection's event may write to another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from relay.wire.errors import CloseCode

if TYPE_CHECKING:
    from relay.connection import Connection


class Link(Protocol):
    """The shell's end of a connection: carried in commands, never called by the core."""

    def send(self, data: bytes) -> None:
        """Write one frame in the connection's format."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and end the connection."""
        ...


class Gone:
    """The link of a connection whose socket is gone: what is still said goes nowhere."""

    def send(self, data: bytes) -> None:
        """Nobody hears it."""

    def close(self, code: int, reason: str) -> None:
        """It is closed."""


GONE: Final = Gone()


class Send(msgspec.Struct, gc=False):
    """Write one frame to a connection."""

    to: Connection
    data: bytes


class Close(msgspec.Struct):
    """Close a connection."""

    to: Connection
    code: CloseCode
    reason: str


class Verify(msgspec.Struct):
    """Judge a token, and report `authenticated` or `refused`."""

    token: str
    agent_id: str
    invite: str | None

    def __repr__(self) -> str:
        return f"Verify(agent_id={self.agent_id!r}, ...)"  # the rest is secret


class Accept(msgspec.Struct):
    """Complete the upgrade: 101."""


class Refuse(msgspec.Struct):
    """Refuse the upgrade with an HTTP status and the ERROR content as its body."""

    status: int
    content: dict[str, Any]


class Publish(msgspec.Struct, gc=False):
    """Hand something to the other relays: to a subject, with another for the answer, or "" for none."""

    subject: str
    data: bytes
    reply: str


class Listen(msgspec.Struct):
    """Listen for messages to an agent as long as it is connected here, and no longer."""

    key: str


Command = Send | Close | Verify | Accept | Refuse | Publish | Listen
