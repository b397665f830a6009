"""A process that writes until it is killed: prints each number after its row is durable.

Started by test_durability; not a test itself.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sqlalchemy.orm import Session

from agentnet_desktop.store import audit_log, metrics, settings
from agentnet_desktop.store.engine import Database

PARALLEL = 4


async def work(db: Database, lane: int) -> None:
    """Writes numbered rows for ever: a setting, a counter and a log entry each, in one transaction."""
    number = 0
    while True:
        number += 1

        def job(session: Session, number: int = number) -> None:
            settings.put(session, f"lane-{lane}", number)
            metrics.count(session, f"lane-{lane}")
            entry = audit_log.NewEntry(
                1_000 + number, "local", "NOTE", "LOCAL", f"lane {lane} number {number}"
            )
            audit_log.append(session, entry)

        await db.write(job)
        sys.stdout.write(f"{lane} {number}\n")
        sys.stdout.flush()


async def main(path: Path) -> None:
    """Opens the database and writes on several lanes at once."""
    db = Database.open(path, bytes(range(32)), now_ms=lambda: 0)
    await asyncio.gather(*(work(db, lane) for lane in range(PARALLEL)))


asyncio.run(main(Path(sys.argv[1])))
