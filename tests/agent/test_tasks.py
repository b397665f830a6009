"""Tasks are named, kept and their failures reported."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable

import pytest

from agentnet_desktop.agent.tasks import Tasks


async def fail() -> None:
    """Fails."""
    raise ValueError("secret")


async def test_a_task_is_kept_until_it_ends_and_has_its_name() -> None:
    tasks = Tasks()
    go = asyncio.Event()
    task = tasks.start(go.wait(), name="waits")
    gc.collect()
    assert task.get_name() == "waits" and len(tasks) == 1
    go.set()
    assert await task is True
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_a_failure_is_reported_with_the_tasks_name() -> None:
    reported: list[tuple[str, BaseException]] = []
    tasks = Tasks(report=lambda name, error: reported.append((name, error)))
    task = tasks.start(fail(), name="fails")
    await asyncio.gather(task, return_exceptions=True)
    assert [(name, type(error)) for name, error in reported] == [("fails", ValueError)]


async def test_a_failure_is_logged_by_default(
    caplog: pytest.LogCaptureFixture, expected_errors: Callable[[str], None]
) -> None:
    expected_errors("task fails failed: ValueError")
    tasks = Tasks()
    with caplog.at_level(logging.ERROR):
        await asyncio.gather(tasks.start(fail(), name="fails"), return_exceptions=True)
    assert "secret" not in caplog.records[0].getMessage()


async def test_a_failure_that_the_caller_awaits_is_not_reported_too() -> None:
    reported: list[str] = []
    tasks = Tasks(report=lambda name, _: reported.append(name))
    with pytest.raises(ValueError, match="secret"):
        await tasks.start(fail(), name="fails", awaited=True)
    assert reported == []


async def test_cancelling_all_ends_all_and_reports_nothing() -> None:
    reported: list[str] = []
    tasks = Tasks(report=lambda name, _: reported.append(name))
    running = [tasks.start(asyncio.Event().wait(), name=str(number)) for number in range(3)]
    await tasks.cancel_all()
    assert all(task.cancelled() for task in running)
    assert reported == [] and len(tasks) == 0
