"""Who may use the bundled relay and who is there: its lists read, and presence followed from its log.

The relay writes no time of a connection into its registry. Who is connected, and when an agent was last seen, is
known only to this window, from the log of its own child, and is forgotten with it. Pure: no Qt, no clock.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_EVENT = re.compile(r"connection (?P<what>authenticated|closed|lost)(?P<fields>(?: [a-z]+=\S*)*)\s*$")
_OPENED = "authenticated"


class NotRows(ValueError):
    """The output is not a list of agents or invites."""


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent that was let in. Times in ms since the Unix epoch.

    Attributes:
        identity_key: Base64; "" where the agent belongs to an account instead.
    """

    agent_id: str
    revoked: bool
    created_at: int
    identity_key: str = ""


@dataclass(frozen=True, slots=True)
class InviteRow:
    """One invite, without its code, which nobody keeps. Times in ms since the Unix epoch.

    Attributes:
        handle: Its name, by which it is revoked.
        state: `open`, `used`, `expired` or `revoked`.
        agent_id: The one agent it is for, or "".
    """

    handle: str
    state: str
    uses_left: int
    uses: int
    agent_id: str
    expires_at: int


def _objects(output: str) -> list[dict[str, Any]]:
    found = []
    for line in output.splitlines():
        if line.strip():
            try:
                made = json.loads(line)
            except ValueError:
                raise NotRows("A line is not JSON.") from None
            if not isinstance(made, dict):
                raise NotRows("A line is not an object.")
            found.append(made)
    return found


def read_agents(output: str) -> tuple[AgentRow, ...]:
    """Read `agents list --json`.

    Raises:
        NotRows: it is something else.
    """
    try:
        return tuple(
            AgentRow(
                str(row["agentId"]),
                bool(row["revoked"]),
                int(row["createdAt"]),
                str(row.get("identityKey", "")),
            )
            for row in _objects(output)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotRows(f"The list of agents cannot be read: {error}.") from None


def read_invites(output: str) -> tuple[InviteRow, ...]:
    """Read `invite list --json`; the open ones first, then by the end of their time, the latest first.

    Raises:
        NotRows: it is something else.
    """
    try:
        rows = [
            InviteRow(
                str(row["invite"]),
                str(row["state"]),
                int(row["usesLeft"]),
                int(row["uses"]),
                str(row["agentId"]),
                int(row["expiresAt"]),
            )
            for row in _objects(output)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise NotRows(f"The list of invites cannot be read: {error}.") from None
    return tuple(sorted(rows, key=lambda row: (row.state != "open", -row.expires_at)))


class Presence:
    """Who is connected, and who was, by the lines that the relay wrote."""

    def __init__(self) -> None:
        self._agents: dict[str, str] = {}  # connection -> agent
        self._seen: dict[str, int] = {}  # agent -> ms

    def read(self, line: str, now: int) -> bool:
        """Take one line of the log, as text or as JSON.

        Args:
            line: As the relay wrote it; most say nothing of presence.
            now: ms since the Unix epoch.

        Returns:
            Whether anything changed.
        """
        what, fields = _event(line)
        connection, agent = fields.get("connection", ""), fields.get("agent", "")
        if not what or not agent:
            return False
        self._seen[agent.lower()] = now
        if what == _OPENED:
            self._agents[connection] = agent
        else:
            self._agents.pop(connection, None)
        return True

    def clear(self, now: int) -> None:
        """The relay has ended: everyone was last seen now."""
        for agent in self._agents.values():
            self._seen[agent.lower()] = now
        self._agents.clear()

    def connected(self) -> tuple[str, ...]:
        """Give the ids of the agents that are connected, by name."""
        return tuple(sorted(set(self._agents.values()), key=str.lower))

    def is_connected(self, agent_id: str) -> bool:
        """Tell whether an agent is connected, ignoring case."""
        return agent_id.lower() in {agent.lower() for agent in self._agents.values()}

    def last_seen(self, agent_id: str) -> int | None:
        """Give when an agent was last seen, in ms; None when it was not since this window opened."""
        return self._seen.get(agent_id.lower())


def _event(line: str) -> tuple[str, dict[str, str]]:
    if line.startswith("{"):
        return _json_event(line)
    match = _EVENT.search(line)
    if match is None:
        return "", {}
    pairs = (pair.partition("=") for pair in match["fields"].split())
    return match["what"], {name: value for name, _, value in pairs}


def _json_event(line: str) -> tuple[str, dict[str, str]]:
    try:
        record = json.loads(line)
    except ValueError:
        return "", {}
    match = _EVENT.search(str(record.get("message", ""))) if isinstance(record, dict) else None
    if match is None:
        return "", {}
    return match["what"], {name: str(record.get(name, "")) for name in ("agent", "connection")}
