"""One queue for everything that is due at some time: retries, expiries, probes, waits for a gap.

Each thing due has a key and one time; setting a key again moves it. However many keys there are, at most one
timer is armed: a cancelled timer of the loop may live on until it is due, and thousands of them would cost
memory and, under Qt, native timers. Time comes from an injected clock. When it was set back, everything due moves
back by as much, so that nothing waits until the clock has caught up; when it was set forward, things are due early.
A long wait is checked again at least every minute. Nothing here is persistent: after a restart the database says
what is due, and `on_set_back` lets its owner mend what the database holds.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Hashable
from typing import Protocol

_log = logging.getLogger(__name__)
MAX_WAIT_MS = 60_000
SET_BACK_MS = 1_000  # by less a clock is only trimmed


class Alarm(Protocol):
    """Arms one wake-up; arming again replaces it."""

    def arm(self, delay_ms: int, callback: Callable[[], None]) -> None:
        """Calls `callback` on the loop's thread after `delay_ms`."""

    def disarm(self) -> None:
        """Forgets the wake-up, if one is armed."""


class LoopAlarm:
    """An alarm on the running asyncio loop.

    It may go off early: after a minute at the latest, so that a wall clock that was set, or a machine that
    slept, is noticed. The queue looks at its clock and arms it again.
    """

    def __init__(self) -> None:
        """Makes an alarm that is not armed."""
        self._handle: asyncio.TimerHandle | None = None

    def arm(self, delay_ms: int, callback: Callable[[], None]) -> None:
        """Calls `callback` on the running loop after `delay_ms`."""
        self.disarm()
        self._handle = asyncio.get_running_loop().call_later(min(delay_ms, MAX_WAIT_MS) / 1000, callback)

    def disarm(self) -> None:
        """Forgets the wake-up, if one is armed."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class DeadlineQueue:
    """Keys with a time and a callback each, and one alarm for the soonest."""

    def __init__(self, clock: Callable[[], int], alarm: Alarm | None = None) -> None:
        """Makes an empty queue.

        Args:
            clock: milliseconds since the Unix epoch.
            alarm: what wakes the queue; the running loop's timer if left out.
        """
        self._clock = clock
        self._alarm: Alarm = LoopAlarm() if alarm is None else alarm
        self._due: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._heap: list[tuple[int, int, Hashable]] = []
        self._serial = 0
        self._armed_for: int | None = None
        self._closed = False
        self._seen = clock()
        self._was_set_back = False
        self.on_set_back: Callable[[], None] = lambda: None  # called when the clock was found set back

    def __len__(self) -> int:
        """Returns how many keys are waiting."""
        return len(self._due)

    def set(self, key: Hashable, at: int, callback: Callable[[], None]) -> None:
        """Makes `key` due at `at`, in place of any earlier time.

        Args:
            key: names the thing that is due.
            at: milliseconds since the epoch; a past time is due at once, never inside this call.
            callback: called once when due.
        """
        if self._closed:
            return
        self._look()
        self._due[key] = (at, callback)
        self._serial += 1
        heapq.heappush(self._heap, (at, self._serial, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._due):
            self._rebuild()
        if self._armed_for is None or at < self._armed_for or self._was_set_back:
            self._rearm()

    def set_earlier(self, key: Hashable, at: int, callback: Callable[[], None]) -> None:
        """Like `set`, but keeps an earlier time that the key already has."""
        present = self._due.get(key)
        if present is None or at < present[0]:
            self.set(key, at, callback)

    def cancel(self, key: Hashable) -> None:
        """Forgets `key`; unknown ones too."""
        self._due.pop(key, None)

    def when(self, key: Hashable) -> int | None:
        """Returns when `key` is due, or None."""
        present = self._due.get(key)
        return None if present is None else present[0]

    def close(self) -> None:
        """Forgets everything; later calls of `set` do nothing."""
        self._closed = True
        self._due.clear()
        self._heap.clear()
        self._alarm.disarm()

    def _rebuild(self) -> None:
        """Drops the heap's stale entries, so that moving a key again and again costs no memory."""
        self._heap = [(at, index, key) for index, (key, (at, _)) in enumerate(self._due.items())]
        self._serial = len(self._heap)
        heapq.heapify(self._heap)

    def _head(self) -> int | None:
        """Returns the soonest valid time, dropping entries that were moved or cancelled."""
        while self._heap:
            at, _, key = self._heap[0]
            present = self._due.get(key)
            if present is not None and present[0] == at:
                return at
            heapq.heappop(self._heap)
        return None

    def _look(self) -> int:
        """Reads the clock; everything due moves with one that was set back."""
        now = self._clock()
        back = self._seen - now
        self._seen = now
        if back > SET_BACK_MS:
            self._was_set_back = True
            self._due = {key: (at - back, callback) for key, (at, callback) in self._due.items()}
            self._rebuild()
        return now

    def _rearm(self) -> None:
        at = self._head()
        self._armed_for = at
        if at is None:
            self._alarm.disarm()
            return
        self._alarm.arm(0 if self._was_set_back else max(at - self._clock(), 0), self.run_due)

    def run_due(self) -> None:
        """Calls what is due by the clock, in order of time, and arms the alarm for the rest."""
        self._armed_for = None
        now = self._look()
        ready: list[Callable[[], None]] = []
        if self._was_set_back:
            self._was_set_back = False
            ready.append(self.on_set_back)
        while (at := self._head()) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            ready.append(self._due.pop(key)[1])
        for callback in ready:
            try:
                callback()
            except Exception:  # the others are due as well, and so is whatever comes later
                _log.exception("what was due could not be begun")
        if not self._closed and self._armed_for is None:
            self._rearm()
