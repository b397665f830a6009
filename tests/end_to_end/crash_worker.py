"""One agent in a process that is to be killed: it writes and answers what it is told to, and picks up where it was.

Usage: python -m tests.end_to_end.crash_worker FOLDER PEER

Orders come on standard input, one a line: `upto N` (have N items written), `die STAGE PASSAGES`, `tick PASSAGES
NAME`, `watch NAME`, `network N`, `cpu NAME`, `rotate`, `report`, and the end of the input, which ends the process in order. It says `ready`, `shown REF` for every proposal
that a dialog would open for, `tick NAME`, and `settled N` when N items are written and answered and nothing waits.
What it wrote before it was killed it learns from its database alone, as a person would who opens the window again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.agent.events import (
    ConnectionChanged,
    ConnectionState,
    Direction,
    Event,
    OutboxChanged,
    PermissionAsked,
    ProposalChanged,
    QueryAnswered,
)
from agentnet_desktop.agent.timing import SECOND_MS, Timing
from agentnet_desktop.compose import open_profile
from agentnet_desktop.store.models import OwnQueryModel
from tests.end_to_end.people import PASSPHRASE
from tests.end_to_end.stages import Stages

_FIRST = datetime(2031, 1, 1, 9, tzinfo=UTC)
_NEWS = (ConnectionChanged, OutboxChanged, PermissionAsked, ProposalChanged, QueryAnswered)
# As the protocol has it a handshake that was routed and lost is repeated after an hour; here sooner.
TIMING = Timing(handshake_repeat=3 * SECOND_MS, recovery=SECOND_MS)


def say(line: str) -> None:
    """Prints one line at once."""
    print(line, flush=True)


def is_proposal(number: int) -> bool:
    """Items are by turns a query and a proposal."""
    return number % 2 == 1


def accepts(number: int) -> bool:
    """Every other proposal is accepted, the rest declined."""
    return number % 4 == 1


def query_of(number: int) -> tuple[str, dict[str, Any]]:
    """Queries are by turns of the two kinds: answered by the policy, and by a handler with a person's permission."""
    if number % 4 == 0:
        start = _FIRST + timedelta(days=number % 28)
        end = start + timedelta(days=1)
        span = {"startDate": start.isoformat(), "endDate": end.isoformat(), "timeZone": "Europe/Berlin"}
        return "AVAILABILITY", {**span, "number": number}
    return "CUSTOM", {"name": "echo", "number": number}


def draft_of(number: int, agent_id: str) -> ProposalDraft:
    """A proposal of an hour that no other item takes."""
    first = _FIRST + timedelta(hours=2 * number + (0 if agent_id == "alice" else 1))
    return ProposalDraft(
        title=f"item {number}",
        start=first.isoformat(),
        end=(first + timedelta(hours=1)).isoformat(),
        time_zone="Europe/Berlin",
    )


class Worker:
    """Writes items, answers the peer's, and tells when all is settled."""

    def __init__(self, agent: Agent, peer: str) -> None:
        self.agent = agent
        self._peer = peer
        self._news = asyncio.Event()
        self._target = 0
        self._said = 0
        self._written: set[int] = set()
        self._queries: dict[str, int] = {}
        self._watched = ""
        self._was_down = False
        self._addresses = ("10.0.0.1",)
        vars(agent._client)["_network"]._look = lambda: self._addresses
        agent.subscribe(self._hear)
        agent.add_query_handler("echo", self._echo)

    @staticmethod
    def _echo(_peer: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"number": parameters["number"]}

    def _hear(self, event: Event) -> None:
        if isinstance(event, ProposalChanged) and event.arrived:
            say(f"shown {event.view.ref}")
        if isinstance(event, ConnectionChanged):
            self._tell_connection()
        if isinstance(event, _NEWS):
            self._news.set()

    def watch(self, name: str) -> None:
        """Says `down NAME` when it is without a connection, and then `up NAME` when it has one again."""
        self._watched, self._was_down = name, False
        self._tell_connection()

    def _tell_connection(self) -> None:
        up = self.agent.connection.state is ConnectionState.CONNECTED
        if self._watched and up == self._was_down:
            say(f"{'up' if up else 'down'} {self._watched}")
            self._watched = "" if up else self._watched
            self._was_down = True

    def network(self, number: int) -> None:
        """Makes this machine have another address, as when a network comes back."""
        self._addresses = (f"10.0.0.{number}",)

    def upto(self, number: int) -> None:
        """Has this many items written."""
        self._target = number
        self._news.set()

    async def remember(self) -> None:
        """Learns from the database which items are written."""
        found = await self.agent._ground.db.read(
            lambda session: session.execute(select(OwnQueryModel.parameters)).scalars().all()
        )
        self._written = {parameters["number"] for parameters in found}
        for view in await self.agent.proposals():
            if view.direction is Direction.OUT:
                self._written.add(int(view.title.split()[1]))

    async def work(self) -> None:
        """Does what there is to do after every piece of news."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._write()
            await self._answer()
            if self._said != self._target and await self._is_settled():
                self._said = self._target
                say(f"settled {self._target}")

    async def _write(self) -> None:
        for number in range(self._target):
            if number in self._written:
                continue
            if is_proposal(number):
                await self.agent.propose([self._peer], draft_of(number, self.agent.agent_id))
            else:
                await self.agent.query(self._peer, *query_of(number))
            self._written.add(number)

    async def _answer(self) -> None:
        for request in await self.agent.requests():
            await self.agent.allow_request(request.request_id)
        for view in await self.agent.proposals(open_only=True):
            if view.direction is Direction.IN:
                if accepts(int(view.title.split()[1])):
                    await self.agent.accept(view.ref)
                else:
                    await self.agent.decline(view.ref)

    async def report(self) -> str:
        """What there still is to wait for, in one line."""
        waiting = [
            f"{row.message_type} {row.state} after {row.attempts} attempts, next at {row.next_attempt_at}: {row.reason}"
            for row in await self.agent.outbox()
        ]
        open_ones = [f"{view.direction} {view.title}" for view in await self.agent.proposals(open_only=True)]
        asked = [request.request_id for request in await self.agent.requests()]
        unanswered = await self.agent._ground.db.read(
            lambda session: (
                session.execute(select(OwnQueryModel.parameters).where(OwnQueryModel.state == "PENDING"))
                .scalars()
                .all()
            )
        )
        return (
            f"{self.agent.connection.state}, written {len(self._written)} of {self._target}; outbox {waiting}; "
            f"open {open_ones}; asked {asked}; unanswered {unanswered}"
        )

    async def _is_settled(self) -> bool:
        unanswered = await self.agent._ground.db.read(
            lambda session: session.execute(
                select(OwnQueryModel.request_id).where(OwnQueryModel.state == "PENDING").limit(1)
            ).first()
        )
        return (
            unanswered is None
            and not await self.agent.proposals(open_only=True)
            and not await self.agent.requests()
            and not await self.agent.outbox()
        )


async def obey(worker: Worker, stages: Stages) -> None:
    """Follows the orders on standard input until it ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["upto", number]:
                worker.upto(int(number))
            case ["die", stage, passages]:
                stages.arm(stage, int(passages))
            case ["tick", passages, name]:
                stages.tick(int(passages), name)
            case ["watch", name]:
                worker.watch(name)
            case ["network", number]:
                worker.network(int(number))
            case ["cpu", name]:
                say(f"cpu {name} {time.process_time()}")
            case ["report"]:
                say(f"report {await worker.report()}")
            case ["rotate"]:
                try:
                    await worker.agent.rotate_keys()
                except AgentError as error:
                    say(f"refused {error}")


async def main(folder: Path, peer: str) -> None:
    """Opens the profile and works until standard input ends."""
    holder = await open_profile(folder, passphrase=PASSPHRASE)
    try:
        holder.agent._ground.timing = TIMING
        stages = Stages(holder.agent)
        worker = Worker(holder.agent, peer)
        await worker.remember()
        await holder.start()
        say("ready")
        async with asyncio.TaskGroup() as group:
            working = group.create_task(worker.work())
            await obey(worker, stages)
            working.cancel()
    finally:
        await holder.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
