"""The one loop of window and agent: qasync's, with what asyncio promises and qasync leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

from qasync import QEventLoop

Arguments = TypeVarTuple("Arguments")


class WindowLoop(QEventLoop):
    """Runs asyncio on Qt's events.

    asyncio's `call_at` and `call_later` return a `TimerHandle`, which knows when it is due; qasync 0.28 returns a
    plain `Handle`.
    """

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at a moment of the loop's clock, in seconds."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._add_callback(handle, max(0.0, when - self.time()))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back after `delay` seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)
