"""Keeps the log's indexes: full text, hours of the clock, and the values that columns have had.

The full-text rows of a job are collected and written once for a whole group of jobs (`write_pending`): SQLite
flushes FTS5's buffer at every savepoint, which would cost each job what a group costs. The full text holds
peer, type, conversation, state and flags as columns beside the words, so that a search never walks entries
that only some of its terms match. It stores no text, only which words stand where. Searching is `log_search`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.log_models import LogSpanModel, LogValueModel
from agentnet_desktop.store.log_records import LogEntry
from agentnet_desktop.store.search_terms import OPEN_STATES, is_unverified, searchable, token

HOUR_MS = 3_600_000
OPEN = "open"
PENDING_ROWS = "log_index.rows"
# contentless_delete lets rows be replaced although the text itself is not kept. Words reach the tokenizer
# already folded and cut (search_terms.words), ids may hold the extra characters.
CREATE_TEXT = (
    "CREATE VIRTUAL TABLE log_text USING fts5(peer, type, conversation, state, flags, words, content='', "
    "contentless_delete=1, tokenize=\"ascii tokenchars '._-:'\")"
)
_REPLACE = (
    "INSERT OR REPLACE INTO log_text(rowid, peer, type, conversation, state, flags, words) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_FORGET = "DELETE FROM log_text WHERE rowid BETWEEN ? AND ?"

TextRow = tuple[int, str, str, str, str, str, str]

_spans = cast(Table, LogSpanModel.__table__)
_values = cast(Table, LogValueModel.__table__)
_span = insert(_spans)
_span = _span.on_conflict_do_update(set_={"last_seq": _span.excluded.last_seq})
_value = insert(_values).on_conflict_do_nothing()


def state_word(state: str) -> str:
    """Returns the state as the full text holds it: all that may still change are `open`."""
    return OPEN if state in OPEN_STATES else token(state)


def flag_words(entry: LogEntry) -> str:
    """Returns the words by which direction, encryption and failed verification are searched."""
    flags = ["any", entry.direction]
    if entry.encrypted:
        flags.append("encrypted")
    if is_unverified(entry.direction, entry.peer, entry.verified):
        flags.append("unverified")
    return " ".join(flags)


def add(session: Session, entry: LogEntry, content: Mapping[str, Any] | None) -> None:
    """Collects the full-text row of an entry, written when the job's group commits."""
    row = (
        entry.seq,
        token(entry.peer),
        token(entry.message_type),
        token(entry.conversation_id),
        state_word(entry.state),
        flag_words(entry),
        searchable(entry.summary, content),
    )
    pending: dict[int, TextRow] = session.info.setdefault(PENDING_ROWS, {})
    pending[entry.seq] = row


def note(session: Session, entries: Sequence[LogEntry]) -> None:
    """Keeps the hours and the values of entries that were appended or changed."""
    values = {("state", state_word(entry.state)) for entry in entries}
    values |= {("type", token(entry.message_type)) for entry in entries}
    values |= {("peer", token(entry.peer)) for entry in entries}
    session.execute(_value, [{"field": field, "value": value} for field, value in values])


def note_hours(session: Session, entries: Sequence[LogEntry]) -> None:
    """Keeps which entries were appended in which hour of the clock."""
    hours: dict[int, dict[str, int]] = {}
    for entry in entries:
        hour = entry.time // HOUR_MS
        span = hours.setdefault(hour, {"hour": hour, "first_seq": entry.seq, "last_seq": entry.seq})
        span["last_seq"] = entry.seq
    session.execute(_span, list(hours.values()))


def write_pending(connection: Connection, rows: Mapping[int, TextRow]) -> None:
    """Writes the collected full-text rows of a group of jobs, inside its transaction."""
    if rows:
        connection.exec_driver_sql(_REPLACE, list(rows.values()))


def forget(session: Session, first: int, last: int) -> None:
    """Removes the full-text rows of the entries from place `first` to `last`, both included."""
    session.connection().exec_driver_sql(_FORGET, (first, last))
