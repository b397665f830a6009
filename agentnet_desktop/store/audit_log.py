"""The audit log: append-only entries, each hashed together with the one before it.

Implements the storing half of docs/protocol.md, *Audit log*. An entry's hash covers `hashed_body`: its fixed
columns, with the SHA-256 of its wire bytes, of its plaintext as signed, and of its details (summary, content,
findings) under a salt, so that whoever gets an entry without its content cannot guess it. It covers the delivery
steps that were made since the entry before, too. Text of peers is stored as it came. Verifying is `audit.verify`'s
work, searching `log_search`'s.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.crypto import chain
from agentnet_desktop.store import log_index
from agentnet_desktop.store.log_models import (
    LogAnchorModel,
    LogContentModel,
    LogEntryModel,
    LogPinModel,
    LogStepModel,
    SecurityEventModel,
)
from agentnet_desktop.store.log_records import (
    SALT_BYTES,
    Anchor,
    Details,
    Head,
    LogContent,
    LogEntry,
    NewEntry,
    Pin,
    SecurityEvent,
    Step,
    details_hash,
    entry_hash,
    joined_hash,
    plaintext_data,
    step_hash,
)
from agentnet_desktop.store.prepared import Prepared
from agentnet_desktop.store.records import Records, changed

__all__ = [
    "Anchor",
    "Details",
    "Head",
    "LogContent",
    "LogEntry",
    "NewEntry",
    "Pin",
    "SecurityEvent",
    "Step",
]  # its own functions are public too; these are the records that they take and give
HEAD = "audit_log.head"
STEPS = "audit_log.steps"  # the hash of the steps that no entry covers yet; b"" when there are none

_entries = Records(LogEntryModel, LogEntry)
_contents = Records(LogContentModel, LogContent)
_steps = Records(LogStepModel, Step)
_pins = Records(LogPinModel, Pin)
_anchors = Records(LogAnchorModel, Anchor)
_security = Records(SecurityEventModel, SecurityEvent)
_c = _entries.c
_last = select(_c.seq, _c.entry_hash).order_by(_c.seq.desc()).limit(1)
_by_seq = _entries.lookup(_entries.select(_c.seq == bindparam("place")))
_by_message = _entries.lookup(_entries.select(_c.message_id == bindparam("message")).order_by(_c.seq))
_sent = _entries.lookup(
    _entries.select(_c.message_id == bindparam("message"), _c.direction == "out").order_by(_c.seq).limit(1)
)
_from = _entries.lookup(
    _entries.select(_c.seq >= bindparam("first")).order_by(_c.seq).limit(bindparam("most"))
)
_content_by_seq = _contents.lookup(_contents.select(_contents.c.seq == bindparam("place")))
_contents_between = _contents.lookup(
    _contents.select(_contents.c.seq.between(bindparam("first"), bindparam("last")))
)
_steps_between = _steps.lookup(
    _steps.select(_steps.c.seq.between(bindparam("first"), bindparam("last"))).order_by(
        _steps.c.seq, _steps.c.row_id
    )
)
_insert_entry = _entries.insertion()
_insert_content = _contents.insertion()
_insert_step = _steps.insertion(without="row_id")
_newest_steps = Prepared(
    _steps.select()
    .add_columns(_c.details_hash)
    .where(_c.seq == _steps.c.seq)
    .order_by(_steps.c.row_id.desc())
)
_set_state = Prepared(_entries.update(_c.seq == bindparam("place")).values(state=bindparam("to")))


def head(session: Session) -> Head:
    """Returns the chain's end as this job sees it."""
    known = session.info.get(HEAD)
    if isinstance(known, Head):
        return known
    row = session.execute(_last).first()
    return Head(0, chain.GENESIS) if row is None else Head(row[0], row[1])


def open_steps(session: Session) -> bytes:
    """Returns the hash of the delivery steps that no entry covers yet, as this job sees it; b"" when there are none."""
    known = session.info.get(STEPS)
    if isinstance(known, bytes):
        return known
    end, found = head(session).seq, []
    for row in _newest_steps.run(session, {}):  # the newest first, and no further than needed
        step = Step(*row[:-1])
        if step.after_seq != end:
            break
        found.append(step_hash(step, row[-1]))
    hashed = b""
    for one in reversed(found):
        hashed = joined_hash(hashed, one)
    return hashed


def append(session: Session, entry: NewEntry) -> LogEntry:
    """Appends one entry to the chain and returns it with its place and hash."""
    return append_many(session, (entry,))[0]


def append_many(session: Session, entries: Sequence[NewEntry]) -> list[LogEntry]:
    """Appends entries in order; cheaper for each than `append`."""
    end, steps_hash = head(session), open_steps(session) or None
    stored: list[LogEntry] = []
    contents: list[LogContent] = []
    for new in entries:
        entry, content = _chained(new, end, None if stored else steps_hash)
        end = Head(entry.seq, entry.entry_hash)
        stored.append(entry)
        contents.append(content)
    if not stored:
        return stored
    _insert_entry.run_many(session, stored)
    _insert_content.run_many(session, contents)
    session.info[HEAD] = end
    session.info[STEPS] = b""
    for entry, new in zip(stored, entries, strict=True):
        content_of = new.content
        if content_of is None and new.plaintext is not None:
            content_of = plaintext_data(new.plaintext)
        log_index.add(session, entry, content_of)
    log_index.note(session, stored)
    log_index.note_hours(session, stored)
    return stored


def _chained(new: NewEntry, end: Head, steps_hash: bytes | None) -> tuple[LogEntry, LogContent]:
    """Gives a new entry its place and hash, and builds the bytes to store with it."""
    salt = os.urandom(SALT_BYTES)
    details: dict[str, Any] = {"summary": new.summary, "security": dict(new.security)}
    if new.plaintext is None and new.content is not None:
        details["content"] = dict(new.content)
    stored = msgspec.json.encode(details)
    seq = end.seq + 1
    entry = LogEntry(
        seq=seq,
        time=new.time,
        direction=str(new.direction),  # a StrEnum would make canonical JSON take its slow way
        peer=new.peer,
        conversation_id=new.conversation_id,
        message_id=new.message_id,
        message_type=str(new.message_type),
        encrypted=int(new.encrypted),
        verified=str(new.verified),
        first_state=str(new.state),
        sent_time=new.sent_time,
        size=0 if new.wire is None else len(new.wire),
        wire_format=new.wire_format,
        wire_hash=_hash(new.wire),
        plaintext_hash=_hash(new.plaintext),
        details_hash=details_hash(salt, stored),
        steps_hash=steps_hash,
        previous_hash=end.entry_hash,
        entry_hash=b"",
        state=str(new.state),
        summary=new.summary,
    )
    return replace(entry, entry_hash=entry_hash(entry)), LogContent(
        seq, new.wire, new.plaintext, stored, salt
    )


def _hash(data: bytes | None) -> bytes | None:
    return None if data is None else hashlib.sha256(data).digest()


def get(session: Session, seq: int) -> LogEntry | None:
    """Returns one entry, or None."""
    return _by_seq.first(session, place=seq)


def get_many(session: Session, seqs: Sequence[int]) -> list[LogEntry]:
    """Returns the entries among `seqs` that exist, in the log's order."""
    return _entries.all(session, _entries.select(_c.seq.in_(seqs)).order_by(_c.seq))


def by_message(session: Session, message_id: str) -> list[LogEntry]:
    """Returns the entries of one message id, in the log's order."""
    return _by_message.all(session, message=message_id)


def first_sent(session: Session, message_id: str) -> LogEntry | None:
    """Returns the entry of a message's first sending, or None."""
    return _sent.first(session, message=message_id)


def entries_from(session: Session, seq: int, limit: int = 1000) -> list[LogEntry]:
    """Returns up to `limit` entries from place `seq` on, in the log's order."""
    return _from.all(session, first=seq, most=limit)


def content(session: Session, seq: int) -> LogContent | None:
    """Returns the bytes of one entry, or None: retention deleted them."""
    return _content_by_seq.first(session, place=seq)


def contents_of(session: Session, first: int, last: int) -> dict[int, LogContent]:
    """Returns the bytes of the entries from place `first` to `last`, both included, by place."""
    return {record.seq: record for record in _contents_between.all(session, first=first, last=last)}


def set_state(
    session: Session, seq: int, state: str, now: int, detail: str = "", *, repeat: bool = True
) -> LogEntry | None:
    """Sets the delivery state of an entry and adds a step to its history, which the next entry covers.

    Args:
        session: of the job.
        seq: the entry.
        state: the new state.
        now: time in ms.
        detail: a few words for the history.
        repeat: False leaves an entry alone that is in this state already.

    Returns:
        The entry as it now stands; None when there is none, or nothing was changed.
    """
    entry = get(session, seq)
    if entry is None or (entry.state == state and not repeat):
        return None
    _add_step(session, entry, state, now, detail)
    if entry.state == state:
        return entry
    _set_state.run(session, {"place": seq, "to": state})
    after = replace(entry, state=state)
    if log_index.state_word(state) != log_index.state_word(entry.state):
        log_index.change(session, after, partial(_content_of, session, seq))
    log_index.note(session, [after])
    return after


def _content_of(session: Session, seq: int) -> Mapping[str, Any] | None:
    stored = content(session, seq)
    return None if stored is None else stored.parsed.content


def _add_step(session: Session, entry: LogEntry, state: str, now: int, detail: str) -> None:
    """Adds a step (an attempt, a refusal, a receipt) to an entry's delivery history."""
    end, before = head(session), open_steps(session)
    # Plain text, as in `_chained`: a StrEnum would make canonical JSON take its slow way.
    step = Step(entry.seq, now, str(state), str(detail), end.seq)
    _insert_step.run(session, step)
    session.info[HEAD] = end
    session.info[STEPS] = joined_hash(before, step_hash(step, entry.details_hash))


def steps(session: Session, seq: int) -> list[Step]:
    """Returns the delivery history of an entry, oldest first; its first step is the entry itself."""
    entry = get(session, seq)
    return [] if entry is None else list(histories(session, (entry,))[0])


def histories(session: Session, entries: Sequence[LogEntry]) -> list[tuple[Step, ...]]:
    """Returns the delivery history of each of some entries (one at least) that follow each other in the log."""
    made: dict[int, list[Step]] = {}
    for step in _steps_between.all(session, first=entries[0].seq, last=entries[-1].seq):
        made.setdefault(step.seq, []).append(step)
    return [(Step(e.seq, e.time, e.first_state), *made.get(e.seq, ())) for e in entries]


def peers(session: Session) -> list[str]:
    """Returns all peers that entries name."""
    return list(session.execute(select(_c.peer).distinct()).scalars())


def strays(session: Session, last: int) -> list[int]:
    """Returns places of steps, contents and entries after `last`, where the log ends, or before its first place."""
    found = [
        session.execute(select(func.min(table.c.seq)).where(beyond)).scalar_one()
        for table in (_steps, _contents, _entries)
        for beyond in (table.c.seq > last, table.c.seq < 1)
    ]
    return sorted({place for place in found if place is not None})


# --- marks of a person ---


def pin(session: Session, mark: Pin) -> bool:
    """Pins an entry, or changes its pin's colour and comment; False: there is no such entry."""
    if get(session, mark.seq) is None:
        return False
    statement = insert(_pins.table)
    session.execute(
        statement.on_conflict_do_update(
            set_={"colour": statement.excluded.colour, "comment": statement.excluded.comment}
        ),
        _pins.values(mark),
    )
    return True


def unpin(session: Session, seq: int) -> None:
    """Takes the pin off an entry."""
    session.execute(_pins.delete(_pins.c.seq == seq))


def pins(session: Session, seqs: Sequence[int]) -> dict[int, Pin]:
    """Returns the pins among these entries, by place."""
    return {mark.seq: mark for mark in _pins.all(session, _pins.select(_pins.c.seq.in_(seqs)))}


def pinned(session: Session) -> set[int]:
    """Returns the places of all pinned entries."""
    return set(session.execute(select(_pins.c.seq)).scalars())


# --- statements about the chain ---


def add_anchor(session: Session, anchor: Anchor) -> None:
    """Stores a statement about the chain: a signed head, or one that somebody else holds."""
    _anchors.add(session, anchor)


def anchors(session: Session) -> list[Anchor]:
    """Returns all statements about the chain, by place."""
    return _anchors.all(session, _anchors.select().order_by(_anchors.c.seq, _anchors.table.c.row_id))


def anchors_after(session: Session, seq: int, limit: int) -> list[Anchor]:
    """Returns the statements about the first `limit` of them after place `seq`, and the rest of the last place."""
    c = _anchors.c
    places = select(c.seq).where(c.seq > seq).order_by(c.seq).limit(limit).subquery()
    last = session.execute(select(func.max(places.c.seq))).scalar_one()
    if last is None:
        return []
    found = _anchors.select(c.seq > seq, c.seq <= last).order_by(c.seq, c.row_id)
    return _anchors.all(session, found)


# --- security events ---


def add_security_event(session: Session, event: SecurityEvent) -> None:
    """Stores a security event beside its entry."""
    _security.add(session, event)


def security_events(session: Session, limit: int = 200) -> list[SecurityEvent]:
    """Returns the newest security events, newest first."""
    return _security.all(session, _security.select().order_by(_security.c.seq.desc()).limit(limit))


def security_events_after(session: Session, seq: int | None, limit: int) -> list[SecurityEvent]:
    """Returns the first security events after a place, or of all for None, by place."""
    found = _security.select() if seq is None else _security.select(_security.c.seq > seq)
    return _security.all(session, found.order_by(_security.c.seq).limit(limit))


def see_security_events(session: Session, up_to: int, now: int) -> int:
    """Notes that a person has seen the security events up to an entry; returns how many were new."""
    c = _security.c
    statement = _security.update(c.seq <= up_to, c.seen_at.is_(None))
    return changed(session, statement.values(seen_at=now))
