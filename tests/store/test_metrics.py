"""Figures kept by the day: nothing is lost of them but precision, and they end after their time."""

from __future__ import annotations

from functools import partial

from sqlalchemy.orm import Session

from agentnet_desktop.store import metrics
from agentnet_desktop.store.engine import Database

DAY = metrics.DAY_MS


def test_noted_values_are_told_to_five_percent_over_the_days_asked_for(db: Database) -> None:
    def job(session: Session) -> None:
        for value in range(1, 1001):
            metrics.note(session, "took", 3 * DAY, value)
        metrics.note(session, "took", DAY, 50_000)

    db.write_sync(job)
    for fraction, expected in ((0.5, 500), (0.95, 950)):
        told = db.read_sync(partial(metrics.noted_share, name="took", since=2 * DAY, fraction=fraction))
        assert told is not None
        assert abs(told - expected) <= 0.05 * expected
    assert db.read_sync(partial(metrics.noted, name="took", since=2 * DAY)) == 1000
    assert db.read_sync(partial(metrics.noted, name="took", since=0)) == 1001
    db.write_sync(partial(metrics.forget_samples, before=2 * DAY))
    assert db.read_sync(partial(metrics.noted, name="took", since=0)) == 1000


def test_nothing_noted_is_nothing_told(db: Database) -> None:
    assert db.read_sync(partial(metrics.noted_share, name="took", since=0, fraction=0.5)) is None
    assert db.read_sync(partial(metrics.noted, name="took", since=0)) == 0
