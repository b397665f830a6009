"""Counters that survive restarts, and samples of measured values (round trips, latencies).

For figures shown to the person and to `doctor`. Nothing is sent anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import CounterModel, FigureModel, SampleModel
from agentnet_desktop.store.prepared import Prepared

_counter = cast(Table, CounterModel.__table__)
_sample = cast(Table, SampleModel.__table__)
_figure = cast(Table, FigureModel.__table__)
DAY_MS = 86_400_000
_STEPS = 8  # of the scale, for each doubling of a value
_add = insert(_figure)
_note = Prepared(
    _add.on_conflict_do_update(set_={"count": _figure.c.count + _add.excluded.count}),
    ("day", "name", "step", "count"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value at one time (ms); the unit is the name's affair."""

    time: int
    value: int


def note(session: Session, name: str, time: int, value: int) -> None:
    """Counts a value among those of its day, for what is measured with every message.

    Args:
        session: of the job.
        name: what was measured.
        time: in ms.
        value: 0 or more; kept to 5 percent.
    """
    step = round(_STEPS * math.log2(value + 1))
    _note.run(session, {"day": time // DAY_MS, "name": name, "step": step, "count": 1})


def noted(session: Session, name: str, since: int) -> int:
    """Returns how many values of a name were noted since the day of a time (ms)."""
    where = (_figure.c.name == name, _figure.c.day >= since // DAY_MS)
    return int(
        session.execute(select(func.coalesce(func.sum(_figure.c.count), 0)).where(*where)).scalar_one()
    )


def noted_share(session: Session, name: str, since: int, fraction: float) -> int | None:
    """Returns the value below which `fraction` (0 to 1) of those noted since the day of a time (ms) lie, or None."""
    c = _figure.c
    where = (c.name == name, c.day >= since // DAY_MS)
    steps = select(c.step, func.sum(c.count)).where(*where).group_by(c.step).order_by(c.step)
    found = session.execute(steps).all()
    left = min(sum(count for _, count in found) - 1, int(sum(count for _, count in found) * fraction))
    for step, count in found:
        if left < count:
            return round(math.exp2(step / _STEPS)) - 1
        left -= count
    return None


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
    """Deletes samples and noted values older than a time (ms)."""
    session.execute(delete(_figure).where(_figure.c.day < before // DAY_MS))
    session.execute(delete(_sample).where(_sample.c.time < before))
