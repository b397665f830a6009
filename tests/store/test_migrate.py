"""Old files are brought up to date whole, after a verified backup, or left as they were."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from agentnet_desktop.store import audit_log, migrate, outbox, schema, settings
from agentnet_desktop.store.audit_log import NewEntry, Step
from agentnet_desktop.store.connect import connect
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import MigrationFailed
from agentnet_desktop.store.log_records import joined_hash, step_hash

from .conftest import KEY

NEXT = '''
"""A step that the tests add."""
from alembic import op

revision = "9000"
down_revision = "{down}"


def upgrade():
    op.get_bind().exec_driver_sql("CREATE TABLE later (a INTEGER NOT NULL) STRICT")
    op.get_bind().exec_driver_sql("{then}")
'''


def tables(engine: Engine) -> dict[str, str]:
    """The statements that would make the file's tables, spaces aside."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {name: re.sub(r"\s+", "", sql) for name, sql in rows}


def test_migrations_from_the_beginning_end_in_the_tables_of_a_new_database(tmp_path: Path) -> None:
    new, old = (connect(tmp_path / name, KEY, mode="rwc") for name in ("new.db", "old.db"))
    with new.begin() as connection:
        schema.create(connection)
    with old.begin() as connection:
        migrate.run_migrations(connection, schema.HEAD)
        assert schema.version(connection) == schema.HEAD == schema.REVISIONS[-1]
    assert tables(old) == tables(new)
    new.dispose()
    old.dispose()


def test_a_log_of_the_first_version_is_taken_over_and_its_steps_are_covered(path: Path) -> None:
    old = connect(path, KEY, mode="rwc")
    columns = (
        "time, direction, peer, conversation_id, message_id, message_type, encrypted, verified, first_state, size, "
        "wire_format, details_hash, previous_hash, entry_hash, state, summary"
    )
    with old.begin() as connection:
        migrate.run_migrations(connection, "0001")
        connection.exec_driver_sql(
            f"INSERT INTO log_entry ({columns}) VALUES (1, 'out', 'bob', '', '', 'QUERY', 0, 'none', 'QUEUED', 0, "
            f"'', zeroblob(32), zeroblob(32), zeroblob(32), 'IN_FLIGHT', '')"
        )
        connection.exec_driver_sql("INSERT INTO log_step VALUES (1, 1, 5, 'IN_FLIGHT', 'attempt 1')")
    old.dispose()
    db = Database.open(path, KEY, now_ms=lambda: 1)
    (entry,) = db.read_sync(lambda session: audit_log.entries_from(session, 1))
    step = Step(1, 5, "IN_FLIGHT", "attempt 1", after_seq=1, row_id=1)
    assert db.read_sync(lambda session: audit_log.steps(session, 1))[1:] == [step]
    said = NewEntry(9, "local", "NOTE", "LOCAL", "after")
    after = db.write_sync(lambda session: audit_log.append(session, said))
    assert entry.steps_hash is None
    assert after.steps_hash == joined_hash(b"", step_hash(step, bytes(32)))
    db.close_sync()


def test_digests_of_the_second_version_are_taken_over(path: Path) -> None:
    old = connect(path, KEY, mode="rwc")
    with old.begin() as connection:
        migrate.run_migrations(connection, "0002")
        for digest, message, sent_at in ((b"b" * 32, "m1", 2), (b"a" * 32, "m1", 1), (b"c" * 32, "m2", 3)):
            connection.exec_driver_sql(
                "INSERT INTO outbox_digest VALUES (?, ?, ?)", (digest, message, sent_at)
            )
    old.dispose()
    db = Database.open(path, KEY, now_ms=lambda: 1)
    assert db.read_sync(lambda session: outbox.digests(session, "m1")) == [b"a" * 32, b"b" * 32]
    assert db.read_sync(lambda session: outbox.digests(session, "m2")) == [b"c" * 32]
    db.close_sync()


@pytest.fixture
def next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Adds one more migration to those that the program has."""
    folder = tmp_path / "migrations"

    def add(then: str) -> None:
        for file in migrate.MIGRATIONS.rglob("*.*"):
            if "__pycache__" not in file.parts:
                target = folder / file.relative_to(migrate.MIGRATIONS)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
        (folder / "versions" / "next.py").write_text(NEXT.format(down=schema.HEAD, then=then))
        monkeypatch.setattr(migrate, "MIGRATIONS", folder)
        monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "9000"))
        monkeypatch.setattr(schema, "HEAD", "9000")

    return add


def test_an_old_file_is_brought_up_to_date_after_a_backup(
    open_db: Callable[..., Database], path: Path, next_step: Callable[[str], None]
) -> None:
    old = open_db()
    old.write_sync(lambda session: settings.put(session, "kept", 1))
    old.close_sync()
    next_step("INSERT INTO later VALUES (1)")
    assert open_db().read_sync(settings.every) == {"kept": 1}
    (backup,) = path.parent.glob("agent.db.before-*")
    engine = connect(backup, KEY)
    assert "later" not in tables(engine)
    engine.dispose()
    engine = connect(path, KEY)
    assert "later" in tables(engine)
    engine.dispose()


def test_a_migration_that_fails_half_way_leaves_the_file_as_it_was(
    open_db: Callable[..., Database], path: Path, next_step: Callable[[str], None]
) -> None:
    open_db().close_sync()
    before = path.read_bytes()
    next_step("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(MigrationFailed, match="left as it was"):
        open_db()
    engine = connect(path, KEY)
    assert "later" not in tables(engine)
    engine.dispose()
    assert path.read_bytes() == before


def test_a_backup_that_cannot_be_verified_stops_the_migration(
    open_db: Callable[..., Database],
    path: Path,
    next_step: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_db().close_sync()
    next_step("INSERT INTO later VALUES (1)")
    monkeypatch.setattr(schema, "version", lambda _connection: "0001")
    engine = connect(path, KEY)
    with pytest.raises(MigrationFailed, match="backup could not be verified"):
        migrate.back_up(engine, path.with_name("copy.db"), KEY, expected="0000")
    engine.dispose()
    assert not path.with_name("copy.db").exists()


def test_an_old_file_is_not_migrated_for_reading_only(
    open_db: Callable[..., Database], path: Path, next_step: Callable[[str], None]
) -> None:
    open_db().close_sync()
    next_step("INSERT INTO later VALUES (1)")
    with pytest.raises(MigrationFailed, match="once for writing"):
        open_db(read_only=True)
    assert list(path.parent.glob("agent.db.before-*")) == []
