"""Two people with their agents: real profiles with file vaults and SQLCipher databases, under plain asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.events import ConnectionChanged, ConnectionState, Event, LogRow
from agentnet_desktop.compose import Holder, create_profile, open_profile
from agentnet_desktop.vault.kdf import Kdf

PASSPHRASE = "a passphrase for a profile that lives as long as a test"
LIMIT_S = 30.0
E = TypeVar("E")


@dataclass
class Person:
    """One person's open profile, and everything that its agent told since it started."""

    root: Path
    holder: Holder
    told: list[Event] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def agent(self) -> Agent:
        return self.holder.agent

    @property
    def id(self) -> str:
        return self.holder.settings.agent_id

    def hear(self, event: Event) -> None:
        self.told.append(event)
        self._news.set()

    async def until(self, kind: type[E], true: Callable[[E], bool] = lambda _: True, *, since: int = 0) -> E:
        """Wait for an event, among those told before too (from number `since` on)."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for event in self.told[since:]:
                    if isinstance(event, kind) and true(event):
                        return event
                self._news.clear()
                await self._news.wait()

    async def connected(self, *, since: int = 0) -> None:
        """Wait until the relay has answered CONNECTED."""
        await self.until(ConnectionChanged, lambda e: e.view.state == ConnectionState.CONNECTED, since=since)

    async def disconnected(self, *, since: int) -> None:
        """Wait until the agent has noticed that its connection is gone."""
        await self.until(ConnectionChanged, lambda e: e.view.state != ConnectionState.CONNECTED, since=since)

    async def log(self, expression: str = "") -> list[LogRow]:
        return await self.agent.log.page(expression, limit=1000)


@contextlib.asynccontextmanager
async def person(root: Path) -> AsyncIterator[Person]:
    """Open a profile and start its agent; stop and close it at the end."""
    holder = await open_profile(root, passphrase=PASSPHRASE)
    opened = Person(root, holder)
    holder.agent.subscribe(opened.hear)
    try:
        await holder.start()
        yield opened
    finally:
        await holder.close()


@contextlib.asynccontextmanager
async def new_person(root: Path, agent_id: str, invite: str) -> AsyncIterator[Person]:
    """Make a profile with an invite link, and start its agent."""
    await create_profile(
        root, agent_id=agent_id, invite=invite, key_store="file", passphrase=PASSPHRASE, kdf=Kdf.weak()
    )
    async with person(root) as opened:
        yield opened


async def acquaint(one: Person, other: Person) -> None:
    """`one` hands out a contact link, `other` opens it; returns when both have a session."""
    link = await one.agent.create_contact_link()
    await other.agent.add_contact(link.link, name=one.id)
    assert await other.agent.wait_contact(one.id, LIMIT_S) is not None
    assert await one.agent.wait_contact(other.id, LIMIT_S) is not None
