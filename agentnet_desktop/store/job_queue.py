"""Jobs on their way to a database thread, and their results on the way back.

A job's result goes either to a `concurrent.futures.Future` or to an asyncio future of any loop; results of one
group go to each loop with one wake-up. Used by `writer` and `reader`; knows no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sqlalchemy.orm import Session


@dataclass(slots=True, eq=False)
class Queued:
    """One job, where its result goes, and the result once there is one."""

    job: Callable[[Session], Any]
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        """Hands the result over. For an asyncio future: on its loop's thread."""
        if self.future.done():  # the caller was cancelled meanwhile
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Outcome:
    """Keeps the exception of the block that it wraps in a job, as `fault` words it, instead of raising it.

    Whatever a job raises is its caller's to see, on the caller's thread.
    """

    def __init__(self, queued: Queued, fault: Callable[[Exception], BaseException]) -> None:
        self._queued = queued
        self._fault = fault

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._queued.error = self._fault(error)
        return True


def resolve_all(group: Sequence[Queued]) -> None:
    """Hands over the results of a group, with one wake-up for each loop among its callers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Queued]] = {}
    for queued in group:
        if queued.loop is None:
            if isinstance(queued.future, Future) and not queued.future.running():
                queued.future.set_running_or_notify_cancel()
            queued.resolve()
        else:
            by_loop.setdefault(queued.loop, []).append(queued)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_each, waiting)
        except RuntimeError:
            continue  # that loop is closed: nobody waits there any more


def _resolve_each(waiting: Sequence[Queued]) -> None:
    for queued in waiting:
        queued.resolve()
