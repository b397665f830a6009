"""The commands about the log's upkeep: what it keeps, what it takes on disk, and whether the disk takes it.

One line of delegation each, as in `commands`; the work is `retention`'s.
"""

from __future__ import annotations

from agentnet_desktop.agent.ground import Ground
from agentnet_desktop.agent.retention import Retention, RetentionRule
from agentnet_desktop.store.log_retention import DiskUse


class Upkeep:
    """What a face may ask about the log's size and the disk under it."""

    _ground: Ground
    _retention: Retention

    async def retention(self) -> RetentionRule:
        """Returns how long the log keeps what was said, and how much disk it may take."""
        return await self._retention.rule()

    async def set_retention(self, days: int | None = None, megabytes: int | None = None) -> RetentionRule:
        """Sets what the log keeps; acts on it at once, in the background. Hashes stay in any case.

        Args:
            days: what is older loses its content; None: no limit.
            megabytes: the size of the database above which the oldest contents go; None: no limit.

        Raises:
            BadInput: a limit is not positive.
        """
        await self._retention.set_rule(RetentionRule(days, megabytes))
        return await self._retention.rule()

    async def wait_retention(self) -> DiskUse:
        """Waits until the content that was to go is gone; returns what the database takes then."""
        await self._retention.done()
        return await self._retention.disk_use()

    async def disk_use(self) -> DiskUse:
        """Returns what the database takes on disk, in bytes, and how many entries have content."""
        return await self._retention.disk_use()

    async def storage_problem(self) -> str:
        """Returns why nothing new can be stored, one sentence; empty while the disk takes everything."""
        return self._ground.storage_problem
