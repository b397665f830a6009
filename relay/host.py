"""What the shell of a connection needs of the server. Types only; `relay.server` is one."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from logging import Logger
from typing import TYPE_CHECKING, Protocol

from websockets.extensions import ServerExtensionFactory

from relay.commands import Listen, Publish, Verify
from relay.connection import Relay

if TYPE_CHECKING:
    from relay.websocket import WebSocket


class Host(Protocol):
    """What a connection's shell needs of the server."""

    relay: Relay
    trusted: tuple[IPv4Network | IPv6Network, ...]
    extensions: Sequence[ServerExtensionFactory]
    sockets: set[WebSocket]
    dirty: list[WebSocket]
    going_away: bool
    is_receiving: bool
    is_taking_turns: bool
    protocol_log: Logger

    def now(self) -> int:
        """The loop's clock, in ms."""
        ...

    def forget(self, socket: WebSocket) -> None:
        """A socket is gone."""
        ...

    def flush_soon(self) -> None:
        """Have every socket in `dirty` written: when what is being received has been handled, else in the next turn."""
        ...

    def flush(self) -> None:
        """Write every socket in `dirty` now."""
        ...

    def wait_for_turn(self, socket: WebSocket) -> None:
        """Call the socket's `go_on` in a later turn of the loop, one socket a turn."""
        ...

    def verify(self, socket: WebSocket, asked: Verify) -> None:
        """Judge a token, and call `verdict`."""
        ...

    def carry(self, command: Publish | Listen) -> None:
        """Carry out what concerns other relays."""
        ...

    def note(self, socket: WebSocket, words: str, code: int = 0) -> None:
        """Write a line to the log about this connection."""
        ...
