"""Settings: a name and a JSON value each.

For what a person sets and what an agent must remember between runs. Secrets belong in the vault, not here.
"""

from __future__ import annotations

import json
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import SettingModel
from agentnet_desktop.store.prepared import Prepared

_table = cast(Table, SettingModel.__table__)
_get = Prepared(select(_table.c.value).where(_table.c.name == bindparam("wanted")))


def get(session: Session, name: str, default: Any = None) -> Any:
    """Returns the value of a setting, or `default` where none was stored."""
    row = _get.run(session, {"wanted": name}).fetchone()
    return default if row is None else json.loads(row[0])


def put(session: Session, name: str, value: Any) -> None:
    """Stores a JSON value under a name, replacing what was there."""
    statement = insert(_table).values(name=name, value=json.dumps(value, ensure_ascii=False))
    session.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
    )


def remove(session: Session, name: str) -> None:
    """Forgets a setting."""
    session.execute(delete(_table).where(_table.c.name == name))


def every(session: Session) -> dict[str, Any]:
    """Returns all settings by name."""
    return {row.name: json.loads(row.value) for row in session.execute(select(_table.c.name, _table.c.value))}
