"""The other side of a benchmark, in a process of its own: opens a profile, prints a contact link, works until stdin ends.

Usage: python -m benchmarks.responder FOLDER AGENT_ID INVITE_LINK
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.end_to_end.people import new_person


async def respond(folder: Path, agent_id: str, invite: str) -> None:
    """Work until stdin ends."""
    async with new_person(folder, agent_id, invite) as person:
        await person.connected()
        link = await person.agent.create_contact_link()
        print(link.link, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(respond(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
