"""A relay's core without sockets, and a clock in hand, for the transcripts of the connection."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from relay.auth.grant import Grant
from relay.commands import Close, Command, Refuse, Send
from relay.connection import Connection, Relay, Settings
from relay.limits import Limits, Meters
from relay.wire.codec import Format

WALL = 1_750_000_000_000


class Nowhere:
    """A link that is carried, never called."""

    def send(self, data: bytes) -> None:
        raise AssertionError("the core calls no link")

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("the core calls no link")


class World:
    """A relay's core, and a clock in hand."""

    def __init__(self, settings: Settings | None = None, limits: Limits | None = None) -> None:
        self.relay = Relay(settings or Settings(relay_name="test"), Meters(limits or Limits()), bytes)
        self.relay.wall_offset = WALL
        self.now = 1000

    def arrive(self) -> Connection:
        return Connection(self.relay, Nowhere(), self.relay.meters.address("192.0.2.1"), self.now)

    def open(
        self, agent_id: str, expires_at: int = WALL + 3_600_000, fmt: Format = Format.JSON
    ) -> Connection:
        made = self.arrive()
        made.upgrade_requested(fmt, "t", agent_id, None, self.now)
        made.authenticated(Grant(agent_id, "key:x", expires_at), self.now)
        made.backlog.waiting = 0
        return made

    def envelope(self, connection: Connection, **fields: Any) -> dict[str, Any]:
        return {
            "messageId": "msg_1",
            "conversationId": "c",
            "senderId": connection.agent_id,
            "recipientId": "system",
            "messageType": "HEARTBEAT",
            "content": {"timestamp": 1},
            "timestamp": 1,
            "metadata": {"priority": "LOW", "encrypted": False, "requiresResponse": False},
            **fields,
        }

    def send(self, connection: Connection, **fields: Any) -> list[Command]:
        return connection.received(json.dumps(self.envelope(connection, **fields)).encode(), self.now)


def said(command: Command) -> dict[str, Any]:
    """What a command writes, or the body of a refusal."""
    if isinstance(command, Refuse):
        return command.content
    assert isinstance(command, Send)
    reader = msgspec.json.decode if command.data[:1] == b"{" else msgspec.msgpack.decode
    found: dict[str, Any] = reader(command.data)
    return found


def told(commands: list[Command]) -> list[str]:
    """The commands in short: whom what is said to, or what happens."""
    found = []
    for command in commands:
        match command:
            case Send(to=to):
                message = said(command)
                content = message["content"]
                word = content.get("errorCode") or content.get("status") or message["messageType"]
                found.append(f"{to.agent_id or '?'}: {word}")
            case Close(to=to, code=code):
                found.append(f"{to.agent_id or '?'} closed {int(code)}")
            case Refuse(status=status):
                found.append(f"refused {status}")
            case _:
                found.append(type(command).__name__)
    return found
