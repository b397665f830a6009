"""Retention: how long the log keeps what was said, and how much disk it may take.

Implements docs/protocol.md, *Retention*. Off until a person sets it. Once a day, and at start, the content of
entries that are too old or too many goes, a few hundred at a time, so that nothing waits long; the hashes stay, and
the log says itself what went. The deleting is `store.log_retention`'s work.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from sqlalchemy.orm import Session

from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.log_queries import view
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.store import inbox, log_retention, outbox, settings
from agentnet_desktop.store.errors import StoreError
from agentnet_desktop.store.log_retention import DiskUse

MEGABYTE = 1_048_576
DELIVERED_DAYS = 7
FAILED_DAYS = 90
RECEIVED_DAYS = FAILED_DAYS + 30  # a message tried again by hand at the last moment, and its life after that
_SETTING = "log_retention"
_KEY = "retention"
_BATCH = 200  # entries in one transaction
_PAGES = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """What the log keeps. None: without a limit."""

    days: int | None = None
    megabytes: int | None = None


class Retention:
    """Deletes the content of old entries, as the person wants it."""

    def __init__(self, ground: Ground) -> None:
        """Keeps the ground."""
        self._ground = ground
        self._idle = asyncio.Event()
        self._idle.set()
        self._wanted = False  # a look that began before the rule changed is followed by another
        ground.on_due(_KEY, self.start)

    def start(self) -> None:
        """Looks in the background for what is to go, and again a day later."""
        self._ground.wake(_KEY, self._ground.clock() + DAY_MS)
        self._wanted = True
        if self._idle.is_set():
            self._idle.clear()
            self._ground.tasks.start(self._run_or_wait(), name="retention")

    async def rule(self) -> RetentionRule:
        """Returns what the person set."""
        return await self._ground.db.read(_rule)

    async def set_rule(self, rule: RetentionRule) -> None:
        """Stores what the person set, and begins to act on it.

        Raises:
            BadInput: a limit is not positive.
        """
        if (rule.days is not None and rule.days < 1) or (rule.megabytes is not None and rule.megabytes < 1):
            raise BadInput("The log keeps at least one day and one megabyte; leave a limit out for none.")
        value = [rule.days, rule.megabytes]
        await self._ground.turn(lambda turn: settings.put(turn.session, _SETTING, value))
        self.start()

    async def done(self) -> None:
        """Waits until what was to go is gone, or the disk refused."""
        await self._idle.wait()

    async def disk_use(self) -> DiskUse:
        """Returns what the database takes on disk."""
        return await self._ground.db.read_log(log_retention.disk_use)

    async def run(self) -> None:
        """Deletes what is to go, in small transactions, then gives the room back to the disk."""
        while await self._ground.turn(_forget_deliveries):
            continue
        while await self._ground.turn(self._forget):
            continue
        before: int | None = None
        while (free := await self._ground.turn(_give_back)) and free != before:
            before = free

    async def _run_or_wait(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                await self.run()
        except StoreError as fault:  # whoever writes next hears of it; the next day tries again
            _log.warning("retention could not work: %s", fault.kind)
        finally:
            self._idle.set()

    def _forget(self, turn: Turn) -> bool:
        """Deletes one batch; False when nothing is left to go."""
        rule = _rule(turn.session)
        said = None
        if rule.days is not None:
            before = turn.now - rule.days * DAY_MS
            said = log_retention.forget_before(turn.session, before, turn.now, _BATCH)
        if said is None and rule.megabytes is not None:
            most = rule.megabytes * MEGABYTE
            said = log_retention.forget_over(turn.session, most, turn.now, _BATCH)
        if said is None:
            return False
        turn.appended.append(view(said))
        return True


def _forget_deliveries(turn: Turn) -> int:
    """Forgets some messages whose way ended long ago; the log keeps what was said. Returns how many went.

    Delivered ones go after a week, or as soon as the log forgets them; what a person may try again stays longer, and
    what came in as long as any sender could repeat it.
    """
    days = _rule(turn.session).days
    delivered = turn.now - min(DELIVERED_DAYS, days or DELIVERED_DAYS) * DAY_MS
    gone = outbox.forget_settled(turn.session, delivered, _BATCH, ("DELIVERED",))
    gone += outbox.forget_settled(turn.session, turn.now - FAILED_DAYS * DAY_MS, _BATCH)
    return gone + inbox.forget(turn.session, turn.now - RECEIVED_DAYS * DAY_MS, _BATCH)


def _rule(session: Session) -> RetentionRule:
    value = settings.get(session, _SETTING)
    return RetentionRule(*value) if isinstance(value, list) else RetentionRule()


def _give_back(turn: Turn) -> int:
    """Gives some free pages back and returns how many are left."""
    if _rule(turn.session) == RetentionRule():
        return 0
    log_retention.give_back_pages(turn.session, _PAGES)
    return log_retention.free_pages(turn.session)
