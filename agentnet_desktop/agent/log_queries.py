"""The log as faces read it: frozen rows by page, filtered, cancellable. Section *Audit log* of docs/protocol.md.

Runs on the database's thread for searches, never on the caller's. Cancelling a call interrupts its search.
It escapes nothing: text of peers is passed on as it came.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from agentnet_desktop.agent.events import DeliveryStep, Direction, LogDetail, LogRow, SecurityView, Verified
from agentnet_desktop.audit.export import Exported, ExportFormat, Source, export_log
from agentnet_desktop.audit.filter import Filter, parse
from agentnet_desktop.audit.stored import verify_database
from agentnet_desktop.audit.verify import Report
from agentnet_desktop.store import audit_log, log_retention, log_search, settings
from agentnet_desktop.store.audit_log import Anchor, LogEntry, Pin
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.log_retention import DiskUse

T = TypeVar("T")
_FILTERS = "log_filters"
MOST_HISTORY = 12


def view(entry: LogEntry, *, pinned: bool = False) -> LogRow:
    """Returns a stored entry as faces see it; what `LogAppended` and `LogChanged` carry."""
    return LogRow(
        seq=entry.seq,
        time=entry.time,
        direction=Direction(entry.direction),
        peer=entry.peer,
        conversation_id=entry.conversation_id,
        message_id=entry.message_id,
        message_type=entry.message_type,
        encrypted=bool(entry.encrypted),
        verified=Verified(entry.verified),
        state=entry.state,
        summary=entry.summary,
        size=entry.size,
        sent_time=entry.sent_time,
        pinned=pinned,
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """Filter expressions that a person keeps: saved ones by name, and those used last, newest first."""

    saved: Mapping[str, str] = field(default_factory=dict)
    history: tuple[str, ...] = ()


def kept_filters(session: Session) -> Filters:
    """Reads what `LogQueries.keep_filters` keeps."""
    kept = settings.get(session, _FILTERS, {})
    return Filters(dict(kept.get("saved", {})), tuple(kept.get("history", ())))


class LogQueries:
    """Reads the log for faces. All methods may be called from any task of one loop."""

    def __init__(
        self, db: Database, *, clock: Callable[[], int], own_id: str = "", zone: tzinfo | None = None
    ) -> None:
        """Binds to a database.

        Args:
            db: the open database.
            clock: milliseconds since the epoch, for `after:2h`.
            own_id: this agent's id, which filters take like `me`.
            zone: for dates without an offset in filters; UTC without.
        """
        self._db = db
        self._clock = clock
        self._own_id = own_id
        self._zone = zone or UTC

    def parse(self, expr: str) -> Filter:
        """Reads a filter expression; a face may call it while the person types.

        Raises:
            FilterError: names the position and what is wrong there.
        """
        return parse(expr, now_ms=self._clock(), zone=self._zone, own_id=self._own_id)

    async def page(
        self,
        expr: str = "",
        *,
        before_seq: int | None = None,
        after_seq: int | None = None,
        limit: int = 200,
    ) -> list[LogRow]:
        """Returns rows that fit a filter, in the log's order (oldest first).

        Args:
            expr: the filter; empty for all.
            before_seq: the last rows before this place; with neither, the last ones of the log.
            after_seq: the first rows after this place.
            limit: at most this many.

        Raises:
            FilterError: the filter cannot be read.
            ReadCancelled: `interrupt` cancelled it.
        """
        terms = self.parse(expr).terms

        def job(session: Session) -> list[LogRow]:
            found = log_search.page(session, terms, before_seq=before_seq, after_seq=after_seq, limit=limit)
            return _views(session, found)

        return await self._db.read_log(job)

    async def count(self, expr: str = "") -> int:
        """Returns how many entries fit a filter. May take long on a large log; cancel it at will.

        Raises:
            FilterError: the filter cannot be read.
        """
        terms = self.parse(expr).terms
        return await self._db.read_log(lambda session: log_search.count(session, terms))

    async def head(self) -> int:
        """Returns the place of the log's last entry; 0 of an empty log."""
        return await self._db.read(lambda session: audit_log.head(session).seq)

    async def rows(self, seqs: Sequence[int]) -> list[LogRow]:
        """Returns the rows at these places, in the log's order."""
        return await self._db.read(lambda session: _views(session, audit_log.get_many(session, seqs)))

    async def by_message(self, message_id: str) -> list[LogRow]:
        """Returns all rows of one message, in the log's order."""
        return await self._db.read(lambda session: _views(session, audit_log.by_message(session, message_id)))

    async def detail(self, seq: int) -> LogDetail | None:
        """Returns one entry whole, or None: there is none at this place."""
        return await self._db.read(lambda session: _detail(session, seq))

    async def conversation(self, conversation_id: str, limit: int = 1000) -> list[LogRow]:
        """Returns the last rows of one conversation, in the log's order: what its diagram shows."""
        return await self.page(f'conv:"{conversation_id}"', limit=limit)

    async def security(self, limit: int = 200) -> list[SecurityView]:
        """Returns the newest security events, newest first."""
        found = await self._db.read(lambda session: audit_log.security_events(session, limit))
        return [SecurityView(e.seq, e.time, e.peer, e.kind, e.message) for e in found]

    async def pin(self, seq: int, *, colour: str = "", comment: str = "") -> LogRow | None:
        """Pins an entry, or changes its pin; returns its row, or None: there is none at this place."""
        mark = Pin(seq, self._clock(), colour, comment)

        def job(session: Session) -> LogRow | None:
            entry = audit_log.get(session, seq)
            if entry is None:
                return None
            audit_log.pin(session, mark)
            return view(entry, pinned=True)

        return await self._db.write(job)

    async def unpin(self, seq: int) -> LogRow | None:
        """Takes the pin off an entry; returns its row, or None."""

        def job(session: Session) -> LogRow | None:
            audit_log.unpin(session, seq)
            entry = audit_log.get(session, seq)
            return None if entry is None else view(entry)

        return await self._db.write(job)

    async def pins(self, seqs: Sequence[int]) -> dict[int, Pin]:
        """Returns the pins among these entries, with colour and comment."""
        return await self._db.read(lambda session: audit_log.pins(session, seqs))

    async def filters(self) -> Filters:
        """Returns the filters that the person saved, and those used last."""
        return await self._db.read(kept_filters)

    async def keep_filters(self, filters: Filters) -> None:
        """Remembers saved filters and history; they name people, so they lie in the encrypted database."""
        value = {"saved": dict(filters.saved), "history": list(filters.history[:MOST_HISTORY])}
        await self._db.write(lambda session: settings.put(session, _FILTERS, value))

    async def verify(
        self,
        *,
        identity_key: bytes,
        keys: Mapping[str, Iterable[bytes]] | None = None,
        anchors: Sequence[Anchor] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Report:
        """Verifies the whole log. Takes a while on a large one; cancelling the call stops it.

        Args:
            identity_key: this agent's, 32 bytes.
            keys: identity keys known otherwise, by agentId, such as the pinned ones.
            anchors: statements that the database does not hold, such as the keyring's.
            progress: is told the place of each entry, on another thread.
        """
        return await on_a_thread(
            lambda tick: verify_database(
                self._db,
                own_id=self._own_id,
                identity_key=identity_key,
                keys=keys,
                anchors=anchors,
                progress=tick,
            ),
            progress,
        )

    async def export(
        self,
        target: Path,
        source: Source,
        *,
        file_format: ExportFormat = ExportFormat.JSONL,
        redact: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Exported:
        """Writes the entries that fit `source.filter_text` to a file; cancelling the call leaves none behind.

        Args:
            target: the file.
            source: whose log it is, and the filter as the person typed it.
            file_format: JSONL can be verified and compared; HAR and CSV are for other tools.
            redact: leaves out summaries, contents and clear bytes.
            progress: is told a place from time to time, on another thread.

        Raises:
            FilterError: the filter cannot be read.
            OSError: the file cannot be written.
        """
        terms = self.parse(source.filter_text).terms
        return await on_a_thread(
            lambda tick: export_log(
                self._db, target, source, file_format=file_format, terms=terms, redact=redact, progress=tick
            ),
            progress,
        )

    async def disk_use(self) -> DiskUse:
        """Returns what the database takes on disk."""
        return await self._db.read_log(log_retention.disk_use)

    def interrupt(self) -> None:
        """Cancels the search that runs at this moment; its caller gets `ReadCancelled`."""
        self._db.interrupt()


class _Stopped(Exception):
    """Ends work on a thread whose caller was cancelled."""


async def on_a_thread(
    work: Callable[[Callable[[int], None]], T], progress: Callable[[int], None] | None
) -> T:
    """Runs long work on a thread of its own; cancelling the call makes it stop at its next step."""
    stop = threading.Event()

    def tick(place: int) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            progress(place)

    pool = ThreadPoolExecutor(1, thread_name_prefix="log-proof")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work, tick)
    finally:
        stop.set()
        pool.shutdown(wait=False)


def _views(session: Session, entries: Sequence[LogEntry]) -> list[LogRow]:
    pinned = audit_log.pins(session, [entry.seq for entry in entries]) if entries else {}
    return [view(entry, pinned=entry.seq in pinned) for entry in entries]


def _detail(session: Session, seq: int) -> LogDetail | None:
    entry = audit_log.get(session, seq)
    if entry is None:
        return None
    stored = audit_log.content(session, seq)
    details = None if stored is None else stored.parsed
    security: dict[str, Any] = {} if details is None else dict(details.security)
    if entry.wire_hash is not None:
        security["wireHash"] = entry.wire_hash.hex()
    if entry.plaintext_hash is not None:
        security["plaintextHash"] = entry.plaintext_hash.hex()
    if stored is None:
        security["contentDeleted"] = True  # by retention: the hashes remain
    return LogDetail(
        row=_views(session, [entry])[0],
        content=None if details is None else details.content,
        plaintext=None if stored is None else stored.plaintext,
        wire=None if stored is None else stored.wire,
        wire_format=entry.wire_format,
        security=security,
        delivery=tuple(DeliveryStep(s.time, s.state, s.detail) for s in audit_log.steps(session, seq)),
        entry_hash=entry.entry_hash,
        previous_hash=entry.previous_hash,
    )
