"""The deadline queue: order, moving, cancelling, one alarm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agentnet_desktop.agent.deadlines import MAX_WAIT_MS, DeadlineQueue, LoopAlarm
from tests.simulator import ManualClock


def build() -> tuple[ManualClock, DeadlineQueue, list[str]]:
    """A queue on a manual clock, and a list for what came due."""
    clock = ManualClock(1000)
    return clock, DeadlineQueue(clock, clock.alarm()), []


def let_pass(clock: ManualClock, until: int) -> None:
    """Sets off every alarm up to a time."""
    while clock.ring(until):
        pass


def test_what_is_due_comes_in_order_of_time() -> None:
    clock, queue, came = build()

    def note(key: str) -> Callable[[], None]:
        return lambda: came.append(f"{key}@{clock.now}")

    for key, at in (("c", 3000), ("a", 1500), ("b", 2000)):
        queue.set(key, at, note(key))
    let_pass(clock, 2500)
    assert came == ["a@1500", "b@2000"]
    assert len(queue) == 1 and queue.when("c") == 3000


def test_setting_a_key_again_moves_it() -> None:
    clock, queue, came = build()
    queue.set("a", 1500, lambda: came.append("early"))
    queue.set("a", 4000, lambda: came.append("late"))
    let_pass(clock, 3000)
    assert came == []
    let_pass(clock, 4000)
    assert came == ["late"]


def test_set_earlier_keeps_the_sooner_time() -> None:
    clock, queue, came = build()
    queue.set_earlier("a", 2000, lambda: came.append("first"))
    queue.set_earlier("a", 3000, lambda: came.append("later"))
    queue.set_earlier("a", 1500, lambda: came.append("sooner"))
    let_pass(clock, 5000)
    assert came == ["sooner"]


def test_a_cancelled_key_does_not_come() -> None:
    clock, queue, came = build()
    queue.set("a", 1500, lambda: came.append("a"))
    queue.set("b", 1600, lambda: came.append("b"))
    queue.cancel("a")
    queue.cancel("unknown")
    let_pass(clock, 5000)
    assert came == ["b"] and queue.when("a") is None


def test_a_past_time_is_due_at_once_but_never_inside_the_call() -> None:
    clock, queue, came = build()
    queue.set("a", 0, lambda: came.append("a"))
    assert came == []
    let_pass(clock, clock.now)
    assert came == ["a"]


def test_a_callback_may_set_its_key_again() -> None:
    clock, queue, came = build()

    def again() -> None:
        came.append(str(clock.now))
        if len(came) < 3:
            queue.set("a", clock.now + 100, again)

    queue.set("a", 1100, again)
    let_pass(clock, 9000)
    assert came == ["1100", "1200", "1300"]


def test_moving_a_key_often_costs_no_memory_and_one_alarm() -> None:
    clock, queue, _ = build()
    for number in range(10_000):
        queue.set("a", 2000 + number, lambda: None)
        queue.set("b", 9000, lambda: None)
    assert len(queue._heap) < 200
    assert len(clock._alarms) == 1


def test_what_is_due_moves_back_with_a_clock_that_was_set_back() -> None:
    clock, queue, came = build()
    queue.on_set_back = lambda: came.append("set back")
    clock.now = 4_000_000
    queue.set("a", 4_001_000, lambda: came.append("a"))
    queue.set("b", 4_009_000, lambda: came.append("b"))
    clock.now = 400_000
    queue.run_due()
    assert came == ["set back"]
    assert (queue.when("a"), queue.when("b")) == (401_000, 409_000)
    let_pass(clock, 401_000)
    assert came == ["set back", "a"]


def test_a_clock_set_back_is_noticed_when_something_new_is_due_too() -> None:
    clock, queue, came = build()
    queue.on_set_back = lambda: came.append("set back")
    clock.now = 4_000_000
    queue.set("a", 4_001_000, lambda: came.append("a"))
    clock.now = 400_000
    queue.set("b", 500_000, lambda: came.append("b"))
    assert came == []
    let_pass(clock, 401_000)
    assert came == ["set back", "a"]


def test_a_clock_that_is_only_trimmed_moves_nothing() -> None:
    clock, queue, came = build()
    queue.on_set_back = lambda: came.append("set back")
    clock.now = 4_000
    queue.set("a", 5_000, lambda: came.append("a"))
    clock.now = 3_000
    queue.run_due()
    assert came == [] and queue.when("a") == 5_000


def test_a_closed_queue_does_nothing_more() -> None:
    clock, queue, came = build()
    queue.set("a", 1500, lambda: came.append("a"))
    queue.close()
    queue.set("b", 1500, lambda: came.append("b"))
    let_pass(clock, 9000)
    assert came == [] and len(queue) == 0


async def test_on_a_loop_what_is_due_comes_by_itself() -> None:
    done = asyncio.Event()
    queue = DeadlineQueue(lambda: 1000, None)
    queue.set("a", 1000, done.set)
    await asyncio.wait_for(done.wait(), 5)
    queue.close()


async def test_the_loops_alarm_waits_at_most_a_minute() -> None:
    alarm = LoopAlarm()
    alarm.arm(10 * MAX_WAIT_MS, lambda: None)
    assert alarm._handle is not None
    wait = alarm._handle.when() - asyncio.get_running_loop().time()
    assert wait <= MAX_WAIT_MS / 1000
    alarm.disarm()
    alarm.disarm()


@pytest.mark.expected_errors("what was due could not be begun")
def test_one_that_fails_keeps_no_other_from_coming() -> None:
    clock, queue, came = build()

    def fail() -> None:
        raise LookupError("no")

    queue.set("a", 1500, fail)
    queue.set("b", 1500, lambda: came.append("b"))
    queue.set("c", 2500, lambda: came.append("c"))
    let_pass(clock, 3000)
    assert came == ["b", "c"]
