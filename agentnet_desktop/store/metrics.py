"""Counters that survive restarts, and samples of measured values (round trips, latencies).

For figures shown to the person and to `doctor`. Nothing is sent anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import CounterModel, OutboxModel, SampleModel

_counter = cast(Table, CounterModel.__table__)
_sample = cast(Table, SampleModel.__table__)
_outbox = cast(Table, OutboxModel.__table__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value at one time (ms); the unit is the name's affair."""

    time: int
    value: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How long one message took from queued to delivered (ms), and in how many attempts."""

    took: int
    attempts: int


def deliveries(session: Session, limit: int = 200) -> list[Delivery]:
    """Returns the last messages that were delivered and are not forgotten yet, newest first."""
    c = _outbox.c
    newest = (
        select(c.settled_at - c.created_at, c.attempts)
        .where(c.settled_at.is_not(None), c.state == "DELIVERED")
        .order_by(c.settled_at.desc())
        .limit(limit)
    )
    return [Delivery(max(0, took), attempts) for took, attempts in session.execute(newest)]


def count(session: Session, name: str, by: int = 1) -> None:
    """Adds to a counter, which starts at 0."""
    statement = insert(_counter).values(name=name, value=by)
    grown = _counter.c.value + statement.excluded.value
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": grown}))


def counters(session: Session) -> dict[str, int]:
    """Returns all counters by name."""
    return {row.name: row.value for row in session.execute(select(_counter.c.name, _counter.c.value))}


def sample(session: Session, name: str, time: int, value: int) -> None:
    """Stores a measured value."""
    session.execute(insert(_sample), {"name": name, "time": time, "value": value})


def samples(session: Session, name: str, since: int, limit: int = 1000) -> list[Sample]:
    """Returns the newest samples of one name since a time (ms), oldest first."""
    newest = (
        select(_sample.c.time, _sample.c.value)
        .where(_sample.c.name == name, _sample.c.time >= since)
        .order_by(_sample.c.time.desc(), _sample.c.row_id.desc())
        .limit(limit)
    )
    return [Sample(time, value) for time, value in reversed(session.execute(newest).all())]


def percentile(session: Session, name: str, since: int, fraction: float) -> int | None:
    """Returns the value below which `fraction` (0 to 1) of the samples since a time (ms) lie, or None."""
    where = (_sample.c.name == name, _sample.c.time >= since)
    total = session.execute(select(func.count()).select_from(_sample).where(*where)).scalar_one()
    if total == 0:
        return None
    place = min(total - 1, int(total * fraction))
    ordered = select(_sample.c.value).where(*where).order_by(_sample.c.value).offset(place).limit(1)
    return int(session.execute(ordered).scalar_one())


def forget_samples(session: Session, before: int) -> None:
    """Deletes samples older than a time (ms)."""
    session.execute(delete(_sample).where(_sample.c.time < before))
