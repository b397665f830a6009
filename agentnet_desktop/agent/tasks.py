"""The one place where this package starts tasks: each has a name, is kept, and reports its failure.

A bare `create_task` may be collected while it runs, and its exception is seen by nobody. `Tasks` keeps a
strong reference until the task ends and hands every failure to a reporter. It does not restart anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


def _report(name: str, error: BaseException) -> None:
    """Writes a failed task's name and the kind of its error; never its text, which may hold a secret."""
    _log.error("task %s failed: %s", name, type(error).__name__, exc_info=error)


class Tasks:
    """Starts, names and keeps tasks, and cancels them together."""

    def __init__(self, *, report: Callable[[str, BaseException], None] = _report) -> None:
        """Makes an empty set of tasks.

        Args:
            report: is called with a task's name and its exception when a task fails.
        """
        self._running: set[asyncio.Task[Any]] = set()
        self._report = report

    def __len__(self) -> int:
        """Returns how many tasks run at this moment."""
        return len(self._running)

    def start(self, coro: Coroutine[Any, Any, T], *, name: str, awaited: bool = False) -> asyncio.Task[T]:
        """Starts `coro` on the running loop.

        Args:
            coro: what to run.
            name: a few words for a log line.
            awaited: the caller awaits the task and so hears of its failure; it is not reported.

        Returns:
            The task, which a caller may await or cancel; nobody needs to keep it.
        """
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard if awaited else self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._report(task.get_name(), error)

    async def cancel_all(self) -> None:
        """Cancels every task and waits until all have ended. Failures were reported already."""
        while self._running:
            tasks = list(self._running)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._running.difference_update(tasks)
