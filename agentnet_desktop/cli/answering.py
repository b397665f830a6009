"""Who answers while `agentnet run` works: a rule for this run, or the person at the terminal.

A rule never applies to a contact whose key has changed. Without a rule and without a terminal everything waits.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.agent.events import ContactChanged, Direction, Event, ProposalChanged, ProposalView
from agentnet_desktop.cli.output import shown, when

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent

_TRUSTED = ("APPROVED", "VERIFIED")


class Terminal:
    """Asks a person, one question at a time, without stopping the agent."""

    async def ask(self, question: str) -> str:
        """Writes a question to standard error and returns the next line typed, lower case; "" at the end of input."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def typed() -> None:
            if not answer.done():
                answer.set_result(sys.stdin.readline())

        sys.stderr.write(question)
        sys.stderr.flush()
        if sys.platform == "win32":
            return (await asyncio.to_thread(sys.stdin.readline)).strip().lower()
        loop.add_reader(sys.stdin.fileno(), typed)
        try:
            return (await answer).strip().lower()
        finally:
            loop.remove_reader(sys.stdin.fileno())


class Answering:
    """Answers proposals and requests for contact by the rule of this run."""

    def __init__(
        self,
        agent: Agent,
        *,
        rule: str,
        terminal: Terminal | None,
        approve_contacts: bool,
        warn: Callable[[str], None],
    ) -> None:
        """Sets the rule.

        Args:
            agent: who answers.
            rule: `ask`, `accept` or `decline`.
            terminal: who is asked; None: nobody.
            approve_contacts: approve everybody who asks for contact.
            warn: takes a sentence when an answer was not possible.
        """
        self._agent = agent
        self._rule = rule
        self._terminal = terminal
        self._approve = approve_contacts
        self._warn = warn
        self._queue: asyncio.Queue[ProposalView | str] = asyncio.Queue()

    async def begin(self) -> None:
        """Takes up what already waits from earlier."""
        for contact in await self._agent.contacts():
            if contact.state == "PENDING" and self._approve:
                self._queue.put_nowait(contact.agent_id)
        for view in reversed(await self._agent.proposals(open_only=True)):
            self._consider(view)

    def hear(self, event: Event) -> None:
        """Notes what an event asks for."""
        if isinstance(event, ProposalChanged) and event.arrived:
            self._consider(event.view)
        elif isinstance(event, ContactChanged) and event.view.state == "PENDING" and self._approve:
            self._queue.put_nowait(event.view.agent_id)

    def _consider(self, view: ProposalView) -> None:
        if view.direction is Direction.IN and view.state == "PENDING":
            self._queue.put_nowait(view)

    async def work(self) -> None:
        """Answers one after the other, for ever."""
        while True:
            item = await self._queue.get()
            try:
                if isinstance(item, str):
                    await self._agent.approve_contact(item)
                else:
                    await self._answer(item)
            except AgentError as error:
                self._warn(f"agentnet run: {error}")

    async def _answer(self, view: ProposalView) -> None:
        if self._rule == "ask":
            if self._terminal is not None:
                await self._ask(view, self._terminal)
            return
        if view.peer_state not in _TRUSTED:
            self._warn(
                f"agentnet run: {shown(view.peer, 64)} is {view.peer_state}; its proposal waits for you."
            )
        elif self._rule == "accept":
            await self._agent.accept(view.ref)
        else:
            await self._agent.decline(view.ref)

    async def _ask(self, view: ProposalView, terminal: Terminal) -> None:
        answer = await terminal.ask(_question(view))
        if answer in ("a", "accept"):
            await self._agent.accept(view.ref)
        elif answer in ("d", "decline"):
            await self._agent.decline(view.ref)
        else:
            self._warn(f"agentnet run: Left pending; answer with: agentnet proposals accept {view.ref}")


def _question(view: ProposalView) -> str:
    place = f"\n  where  {shown(view.location)}" if view.location else ""
    words = f"\n  {shown(view.description)}" if view.description else ""
    doubt = f"\n  note: {view.time_disagreement}" if view.time_disagreement else ""
    return (
        f"\n{shown(view.peer, 64)} ({view.peer_state}) proposes: {shown(view.title)}"
        f"\n  when   {when(view.start)} to {when(view.end)}{place}{words}{doubt}"
        f"\n[a]ccept, [d]ecline, or leave it pending? "
    )
