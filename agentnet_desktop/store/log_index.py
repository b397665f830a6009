"""Keeps the log's indexes: full text, hours of the clock, and the values that columns have had.

The full-text rows of a job are collected and written once for a whole group of jobs (`Pending`): SQLite
flushes FTS5's buffer at every savepoint, which would cost each job what a group costs. The full text holds
peer, type, conversation, state and flags as columns beside the words, so that a search never walks entries
that only some of its terms match. It stores no text, only which words stand where. Searching is `log_search`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import sqlcipher3
from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.log_models import LogSpanModel, LogValueModel
from agentnet_desktop.store.log_records import LogEntry
from agentnet_desktop.store.prepared import Prepared, raw_of
from agentnet_desktop.store.search_terms import OPEN_STATES, is_unverified, searchable, token

HOUR_MS = 3_600_000
OPEN = "open"
PENDING_ROWS = "log_index.rows"
PENDING_HOURS = "log_index.hours"
KNOWN_VALUES = "log_index.values"
OPEN_WORDS = "log_index.words"
_MOST_KNOWN = 5_000
_MOST_OPEN = 1_000
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
_insert_span = insert(_spans)
_span = Prepared(
    _insert_span.on_conflict_do_update(set_={"last_seq": _insert_span.excluded.last_seq}),
    ("hour", "first_seq", "last_seq"),
)
_value = Prepared(insert(_values).on_conflict_do_nothing(), ("field", "value"))


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
    _add(session, entry, searchable(entry.summary, content))


def change(session: Session, entry: LogEntry, read: Callable[[], Mapping[str, Any] | None]) -> None:
    """Collects the full-text row of an entry whose state has changed.

    Args:
        session: of the job.
        entry: as it now stands.
        read: reads its content, if its words were forgotten.
    """
    known: str | None = session.info.get(OPEN_WORDS, {}).get(entry.entry_hash)
    _add(session, entry, searchable(entry.summary, read()) if known is None else known)


def _add(session: Session, entry: LogEntry, words: str) -> None:
    # What is open will change soon. An entry's hash is its own even if this job fails and its place is reused.
    open_words: dict[bytes, str] = session.info.setdefault(OPEN_WORDS, {})
    if entry.state in OPEN_STATES:
        open_words[entry.entry_hash] = words
        if len(open_words) > _MOST_OPEN:
            del open_words[next(iter(open_words))]
    else:
        open_words.pop(entry.entry_hash, None)
    row = (
        entry.seq,
        token(entry.peer),
        token(entry.message_type),
        token(entry.conversation_id),
        state_word(entry.state),
        flag_words(entry),
        words,
    )
    pending: dict[int, TextRow] = session.info.setdefault(PENDING_ROWS, {})
    pending[entry.seq] = row


def note(session: Session, entries: Sequence[LogEntry]) -> None:
    """Keeps the values that entries, appended or changed, have in the columns that negated terms look at."""
    values = {("state", state_word(entry.state)) for entry in entries}
    values |= {("type", token(entry.message_type)) for entry in entries}
    values |= {("peer", token(entry.peer)) for entry in entries}
    known: frozenset[tuple[str, str]] = session.info.get(KNOWN_VALUES, frozenset())
    new = values - known
    if new:
        _value.run_many(raw_of(session), new)
        session.info[KNOWN_VALUES] = known | new if len(known) < _MOST_KNOWN else frozenset(new)


def note_hours(session: Session, entries: Sequence[LogEntry]) -> None:
    """Collects which entries were appended in which hour of the clock, written when the job's group commits."""
    hours: dict[int, tuple[int, int]] = session.info.setdefault(PENDING_HOURS, {})
    for entry in entries:
        hour = entry.time // HOUR_MS
        first, last = hours.get(hour, (entry.seq, entry.seq))
        hours[hour] = (first, max(last, entry.seq))


@dataclass
class Pending:
    """What the jobs of one group have collected."""

    rows: dict[int, TextRow] = field(default_factory=dict)
    hours: dict[int, tuple[int, int]] = field(default_factory=dict)

    def take(self, session: Session) -> None:
        """Takes over what a job that succeeded has collected."""
        self.rows.update(session.info.get(PENDING_ROWS, {}))
        for hour, (first, last) in session.info.get(PENDING_HOURS, {}).items():
            before = self.hours.get(hour, (first, last))
            self.hours[hour] = (before[0], max(before[1], last))

    def write(self, raw: sqlcipher3.Connection) -> None:
        """Writes it, inside the group's transaction."""
        if self.rows:
            raw.executemany(_REPLACE, self.rows.values())
        if self.hours:
            _span.run_many(raw, [(hour, first, last) for hour, (first, last) in self.hours.items()])


def forget(session: Session, first: int, last: int) -> None:
    """Removes the full-text rows of the entries from place `first` to `last`, both included."""
    raw_of(session).execute(_FORGET, (first, last))
    session.info.get(OPEN_WORDS, {}).clear()
