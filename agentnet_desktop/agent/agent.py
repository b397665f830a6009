"""An agent: its life cycle and the dispatch of what arrives; the work is done in the rooms beside this file.

Implements the client's part of docs/protocol.md through `conversations`, `delivery`, `negotiation`, `policy`
and `trust`. Loop-agnostic: needs a running asyncio loop and nothing else of it; knows no Qt. It does not open
databases, key stores or sockets: `compose` builds those and hands them in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agentnet_desktop.agent.commands import Commands
from agentnet_desktop.agent.events import AgentSnapshot, Event
from agentnet_desktop.agent.ports import Availability, ClientFactory, Clock, Random

if TYPE_CHECKING:
    from agentnet_desktop.agent.log_queries import LogQueries
    from agentnet_desktop.crypto.keys import IdentityKey
    from agentnet_desktop.store.engine import Database


class Agent(Commands):
    """One agent with its identity, database and connection."""

    log: LogQueries

    def __init__(
        self,
        *,
        agent_id: str,
        identity: IdentityKey,
        db: Database,
        client_factory: ClientFactory,
        relay_url: str,
        clock: Clock,
        random: Random,
        keyring_backend: str = "",
        calendar: Availability | None = None,
    ) -> None:
        """Wires the agent; touches neither disk nor network.

        Args:
            agent_id: its own id.
            identity: its Ed25519 key.
            db: the open database; the agent does not close it.
            client_factory: builds the client of the relay, given where its news go (see `ports`).
            relay_url: the relay's endpoint, which contact links name.
            clock: milliseconds since the Unix epoch.
            random: returns n random bytes.
            keyring_backend: name of the secret store, for display.
            calendar: source of free time; None: working hours from the settings.
        """
        raise NotImplementedError

    async def start(self) -> None:
        """Recovers what a crash left, then connects in the background. Returns before it is connected."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Disconnects in order and ends all tasks. What waits stays in the database. Safe to call twice."""
        raise NotImplementedError

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Calls `listener` on the loop's thread for every event, after its transaction committed.

        Returns:
            A function that ends the subscription.
        """
        raise NotImplementedError

    async def snapshot(self) -> AgentSnapshot:
        """Returns all that a face needs at its start; later events keep it current."""
        raise NotImplementedError

    async def wait_connected(self, timeout_s: float) -> bool:
        """Waits until the relay has said CONNECTED; False when the time is up or it will not retry."""
        raise NotImplementedError
