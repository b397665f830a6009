"""Several relays' cores joined by a NATS in memory, and a clock in hand, for the transcripts of a cluster."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from relay.auth.grant import Grant
from relay.commands import Command, Listen, Publish
from relay.connection import Connection
from relay.limits import Limits
from relay.nodes import Nodes
from relay.notes import NOTES, back_number, subject_agent
from relay.outcome import Outcome
from relay.wire.codec import Format
from tests.relay.core import WALL, World, told


class Mesh:
    """Relays `a`, `b`, …; what one event brings about everywhere is given as `told` gives it, in order.

    Attributes:
        held: None, or what NATS has taken and not handed on, as (relay, command).
    """

    def __init__(self, names: str = "ab", limits: Limits | None = None) -> None:
        self.worlds = {name: World(limits=limits) for name in names}
        self.nodes: dict[str, Nodes] = {}
        self.held: list[tuple[str, Publish]] | None = None
        self._under_way: deque[tuple[str, Publish]] = deque()
        for number, name in enumerate(self.worlds, 1):
            self.start(name, number)
        for name, node in self.nodes.items():
            self.run(name, node.joined())

    def start(self, name: str, number: int) -> None:
        """Give a relay a new life, under a new name among the others."""
        world = self.worlds[name]
        random = world.relay.voice._random = lambda n: bytes([number] * n)
        self.nodes[name] = world.relay.nodes = Nodes(world.relay, random)

    def relay_of(self, connection: Connection) -> str:
        return next(name for name, world in self.worlds.items() if world.relay is connection.relay)

    # --- events -----------------------------------------------------------------------------------------

    def open(self, name: str, agent_id: str, fmt: Format = Format.JSON) -> tuple[Connection, list[str]]:
        world = self.worlds[name]
        made = world.arrive()
        made.upgrade_requested(fmt, "t", agent_id, None, world.now)
        commands = made.authenticated(Grant(agent_id, "key:x", WALL + 3_600_000), world.now)
        found = self.run(name, commands)
        made.backlog.waiting = 0
        return made, [line for line in found if "Accept" not in line and "CONNECTED" not in line]

    def connect(self, name: str, agent_id: str, *watched: str, fmt: Format = Format.JSON) -> Connection:
        """Open a connection and send a watch set, whatever it brings about."""
        made, _ = self.open(name, agent_id, fmt)
        if watched:
            self.watch(made, *watched)
        made.backlog.waiting = 0
        return made

    def watch(self, connection: Connection, *names: str) -> list[str]:
        return self.send(connection, messageType="PRESENCE", content={"watch": list(names)})

    def send(self, connection: Connection, **fields: Any) -> list[str]:
        name = self.relay_of(connection)
        return self.run(name, self.worlds[name].send(connection, **fields))

    def batch(self, connection: Connection, *elements: dict[str, Any]) -> list[str]:
        world = self.worlds[self.relay_of(connection)]
        frame = json.dumps([world.envelope(connection, **fields) for fields in elements]).encode()
        return self.run(self.relay_of(connection), connection.received(frame, world.now))

    def lose(self, connection: Connection) -> list[str]:
        name = self.relay_of(connection)
        return self.run(name, connection.lost(self.worlds[name].now))

    def tick(self, ms: int = 0, names: str = "") -> list[str]:
        """Let time pass at some relays, or at all."""
        found: list[str] = []
        for name in names or self.worlds:
            self.worlds[name].now += ms
            found += self.run(name, self.nodes[name].ticked(self.worlds[name].now))
        return found

    # --- NATS -------------------------------------------------------------------------------------------

    def run(self, name: str, commands: list[Command]) -> list[str]:
        """Carry out a relay's commands, and all that follows from them."""
        found = self._take(name, commands)
        while self._under_way:
            sender, command = self._under_way.popleft()
            found += self._carry(sender, command)
        return found

    def release(self) -> list[str]:
        """Hand on what is held."""
        held, self.held = self.held or [], None
        found: list[str] = []
        for name, command in held:
            found += self.run(name, [command])
        return found

    def _take(self, name: str, commands: list[Command]) -> list[str]:
        found: list[str] = []
        for command in commands:
            if isinstance(command, Publish):
                (self._under_way if self.held is None else self.held).append((name, command))
            elif not isinstance(command, Listen):
                found += told([command])
        return found

    def _carry(self, sender: str, command: Publish) -> list[str]:
        others = [name for name in self.worlds if name != sender and self.nodes[name].is_joined]
        if command.subject == NOTES:
            return [
                line
                for name in others
                for line in self._take(name, self.nodes[name].heard(command.data, self.worlds[name].now))
            ]
        if command.reply:
            return self._carry_forward(sender, others, command)
        number, found = back_number(command.subject), []
        assert number is not None
        for name in others:
            if f".{self.nodes[name].node}." in command.subject:
                answered = self.nodes[name].answered(number, Outcome(command.data), self.worlds[name].now)
                found += self._take(name, answered)
        return found

    def _carry_forward(self, sender: str, others: list[str], command: Publish) -> list[str]:
        key, found = subject_agent(command.subject), []
        listening = [name for name in others if self.worlds[name].relay.router.find(key)]
        for name in listening:
            outcome, commands = self.nodes[name].asked(key, command.data, self.worlds[name].now)
            found += self._take(name, commands)
            if outcome is not None:
                self._take(name, [Publish(command.reply, outcome.value, "")])
        if not listening:
            number = back_number(command.reply)
            assert number is not None
            nobody = self.nodes[sender].answered(number, Outcome.ABSENT, self.worlds[sender].now)
            found += self._take(sender, nobody)
        return found
