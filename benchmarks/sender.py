"""The sending side of the durable benchmark, in a process of its own.

Usage: python -m benchmarks.sender FOLDER AGENT_ID INVITE_LINK CONTACT_LINK PEER

Each line of standard input is a number of messages. It posts them, each with a transaction of its own as a person's
or a program's command would, and answers `sent SECONDS CPU_SECONDS` once the last one is DELIVERED: the peer's signed
receipt is verified and on disk here, too.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from agentnet_desktop.agent.events import Event, LogAppended, LogChanged
from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.store import contacts
from relay.wire.envelope import MessageType
from tests.end_to_end.people import LIMIT_S, Person, new_person

_AT_ONCE = (
    192  # messages under way: enough for transactions to be shared, fewer than an agent has in flight at most
)
_WORDS = "An answer of about the size that a list of free times in a week has. " * 3


class Sender:
    """Posts messages that nobody answers, and counts those delivered."""

    def __init__(self, person: Person, peer: str) -> None:
        self._agent = person.agent
        self._peer = peer
        self._delivered: set[int] = set()
        self._wanted = 0
        self._done = asyncio.Event()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._number = 0
        person.agent.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        if not isinstance(event, LogAppended | LogChanged):
            return
        fresh = {row.seq for row in event.rows if row.message_type == "RESPONSE" and row.state == "DELIVERED"}
        for _ in fresh - self._delivered:
            self._room.release()
        self._delivered |= fresh
        if len(self._delivered) >= self._wanted:
            self._done.set()

    def _post(self, turn: Turn) -> None:
        contact = contacts.get(turn.session, self._peer)
        if contact is None:
            raise LookupError(self._peer)
        self._number += 1
        content = {"requestId": f"req_{self._number:09}", "data": {"words": _WORDS}, "error": None}
        conversation = self._agent._conversations.choose(turn, contact)
        self._agent._delivery.post(turn, contact, conversation, MessageType.RESPONSE, content)

    async def _one(self) -> None:
        await self._room.acquire()
        await self._agent._ground.turn(self._post)

    async def send(self, count: int) -> None:
        """Returns when so many more messages are delivered."""
        self._done.clear()
        self._wanted += count
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._one())
            await self._done.wait()


async def serve(arguments: Sequence[str]) -> None:
    """Sends what it is told to, until standard input ends."""
    folder, agent_id, invite, link, peer = arguments
    async with new_person(Path(folder), agent_id, invite) as person:
        await person.connected()
        await person.agent.add_contact(link)
        if await person.agent.wait_contact(peer, LIMIT_S) is None:
            raise RuntimeError("no session came about")
        sender = Sender(person, peer)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            started, cpu = time.perf_counter(), time.process_time()
            await sender.send(int(line))
            print(f"sent {time.perf_counter() - started} {time.process_time() - cpu}", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
