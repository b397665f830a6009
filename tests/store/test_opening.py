"""A file that cannot be used is refused in words and left as it is; a good one reveals nothing without its key."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agentnet_desktop.store import audit_log, opening, outbox, schema, settings
from agentnet_desktop.store.connect import connect
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import (
    Corrupt,
    DatabaseLost,
    DatabaseMissing,
    NewerSchema,
    ReadOnly,
    StoreError,
    WrongKey,
)
from agentnet_desktop.store.opening import check

from .conftest import KEY

SECRET = "Annual check-up with Dr Grünwald"
PAGE = 4096


def fill(db: Database, entry: Callable[..., audit_log.NewEntry], rows: int = 300) -> None:
    """Writes a log of some pages."""
    new = [entry(message_id=f"msg_{n}", wire=os.urandom(900), summary=SECRET) for n in range(rows)]
    db.write_sync(lambda session: audit_log.append_many(session, new))


def test_neither_the_file_nor_its_write_ahead_log_holds_plaintext(
    db: Database,
    path: Path,
    entry: Callable[..., audit_log.NewEntry],
    message: Callable[..., outbox.OutboxRow],
) -> None:
    fill(db, entry)
    row = message("msg_secret", content={"title": SECRET})
    db.write_sync(lambda session: outbox.add(session, row))
    log = path.with_name(path.name + "-wal").read_bytes()
    assert len(log) > PAGE
    db.close_sync()
    for data in (log, path.read_bytes()):
        for word in (
            SECRET,
            "Grünwald",
            "Annual",
            "annual",
            "conv_1",
            "msg_secret",
            "CREATE TABLE",
            "SQLite format",
        ):
            assert word.encode() not in data
            assert word.encode("utf-16-le") not in data


def test_only_its_owner_can_read_the_file(db: Database, path: Path) -> None:
    db.write_sync(lambda session: settings.put(session, "a", 1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.with_name(path.name + "-wal").stat().st_mode) == 0o600


def test_a_wrong_key_is_told_and_changes_nothing(
    open_db: Callable[..., Database], path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    open_db().close_sync()
    before = path.read_bytes()
    with pytest.raises(WrongKey, match="does not open with this profile's key"):
        open_db(bytes(32))
    assert path.read_bytes() == before
    assert capfd.readouterr().err == ""


def test_a_file_that_is_no_database_is_told_and_kept(open_db: Callable[..., Database], path: Path) -> None:
    path.write_bytes(b"My holiday diary. " * 1000)
    with pytest.raises(WrongKey):
        open_db()
    assert path.read_bytes() == b"My holiday diary. " * 1000


def test_a_key_of_another_length_is_a_mistake_of_the_caller(open_db: Callable[..., Database]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        open_db(b"short")


def test_a_newer_schema_is_refused_in_words(open_db: Callable[..., Database], path: Path) -> None:
    open_db().close_sync()
    engine = connect(path, KEY)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(NewerSchema, match="newer version of AgentNet Desktop"):
        open_db()
    with pytest.raises(NewerSchema):
        open_db(read_only=True)


def test_tables_of_another_program_are_refused(open_db: Callable[..., Database], path: Path) -> None:
    engine = connect(path, KEY, mode="rwc")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE diary (day TEXT)")
    engine.dispose()
    with pytest.raises(WrongKey, match="not this program's"):
        open_db()


def damage(path: Path, page: int) -> bytes:
    """Overwrites the middle of a page, counted from 0, and returns the whole file as it now is."""
    with path.open("r+b") as file:
        file.seek(page * PAGE + 200)
        file.write(os.urandom(64))
    return path.read_bytes()


def test_every_damaged_page_is_found_by_the_check(
    open_db: Callable[..., Database], path: Path, entry: Callable[..., audit_log.NewEntry]
) -> None:
    db = open_db()
    fill(db, entry, 60)
    db.close_sync()
    whole = path.read_bytes()
    assert check(path, KEY) == []
    for page in range(1, len(whole) // PAGE, 7):
        path.write_bytes(whole)
        damage(path, page)
        try:
            found = check(path, KEY)
        except Corrupt:  # the page says which tables there are: it does not open at all, which is told, too
            continue
        assert found != [], f"page {page}"


def test_every_damaged_page_of_a_small_file_is_told_at_start_and_the_file_kept(
    open_db: Callable[..., Database], path: Path, entry: Callable[..., audit_log.NewEntry]
) -> None:
    db = open_db()
    fill(db, entry, 60)
    db.close_sync()
    whole = path.read_bytes()
    for page in range(1, len(whole) // PAGE, 5):
        path.write_bytes(whole)
        damaged = damage(path, page)
        with pytest.raises(Corrupt, match="is damaged"):
            open_db()
        assert path.read_bytes() == damaged, f"page {page}"
    path.write_bytes(whole)
    open_db().close_sync()


def test_of_a_large_file_only_what_the_work_begins_with_is_looked_at(
    open_db: Callable[..., Database],
    path: Path,
    entry: Callable[..., audit_log.NewEntry],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which the threat model says; the doctor looks at all of it."""
    db = open_db()
    fill(db, entry, 60)
    db.close_sync()
    monkeypatch.setattr(opening, "CHECKED_WHOLE", path.stat().st_size - 1)
    whole, silent = path.read_bytes(), 0
    for page in range(1, len(whole) // PAGE, 5):
        path.write_bytes(whole)
        damage(path, page)
        try:
            open_db().close_sync()
        except Corrupt:
            continue
        silent += 1
        assert check(path, KEY) != []
    assert silent > 0


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("left", [None, b""])
def test_an_expected_file_that_is_gone_or_empty_is_told_and_not_made_anew(
    path: Path, left: bytes | None, read_only: bool
) -> None:
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(DatabaseLost, match=r"is gone or empty.*Nothing was made in its place"):
        Database.open(path, KEY, now_ms=lambda: 0, read_only=read_only, expected=True)
    assert [(p, p.read_bytes()) for p in path.parent.iterdir()] == ([] if left is None else [(path, left)])


def test_damage_where_the_work_begins_is_told_at_start_and_the_file_kept(
    open_db: Callable[..., Database], path: Path, entry: Callable[..., audit_log.NewEntry]
) -> None:
    db = open_db()
    fill(db, entry)
    root = db.read_sync(
        lambda s: (
            s.connection()
            .exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'log_entry'")
            .scalar()
        )
    )
    db.close_sync()
    assert isinstance(root, int)
    damaged = damage(path, root - 1)
    with pytest.raises(Corrupt, match="damaged"):
        open_db()
    assert path.read_bytes() == damaged


def test_a_damaged_first_page_is_told_and_the_file_kept(open_db: Callable[..., Database], path: Path) -> None:
    open_db().close_sync()
    damaged = damage(path, 0)
    with pytest.raises(StoreError, match="first page is damaged"):
        open_db()
    assert path.read_bytes() == damaged


def test_a_missing_folder_is_told(open_db: Callable[..., Database], tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing, match="folder does not exist"):
        open_db(at=tmp_path / "none" / "agent.db")


def test_reading_only_needs_a_database(open_db: Callable[..., Database], path: Path) -> None:
    with pytest.raises(DatabaseMissing):
        open_db(read_only=True)
    assert not path.exists()


def test_a_second_process_reads_beside_the_holder(open_db: Callable[..., Database]) -> None:
    holder = open_db()
    holder.write_sync(lambda session: settings.put(session, "a", 1))
    beside = open_db(read_only=True)
    assert beside.read_sync(settings.every) == {"a": 1}
    with pytest.raises(ReadOnly, match="for reading only"):
        beside.write_sync(lambda session: settings.put(session, "a", 2))
    holder.write_sync(lambda session: settings.put(session, "a", 3))
    assert beside.read_sync(settings.every) == {"a": 3}


def test_a_folder_that_cannot_be_written_is_told(
    open_db: Callable[..., Database], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests run as root too, for whom no folder is closed: the system's answer is replaced."""
    open_db().close_sync()
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    with pytest.raises(ReadOnly, match="read-only"):
        open_db()
    beside = open_db(read_only=True)
    assert beside.read_sync(settings.every) == {}


def test_alembic_is_not_loaded_for_a_current_file(open_db: Callable[..., Database], path: Path) -> None:
    import subprocess
    import sys

    open_db().close_sync()
    script = (
        "import sys; from pathlib import Path; from agentnet_desktop.store.engine import Database; "
        f"Database.open(Path({str(path)!r}), bytes(range(32)), now_ms=int).close_sync(); "
        "sys.exit('alembic' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0


def test_every_table_is_strict(db: Database) -> None:
    rows = db.read_sync(
        lambda s: (
            s.connection()
            .exec_driver_sql("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
            .all()
        )
    )
    own = {
        name: strict
        for name, strict in rows
        if not name.startswith(("sqlite_", "log_text", schema.VERSION_TABLE))
    }
    assert len(own) > 15
    assert all(own.values())
