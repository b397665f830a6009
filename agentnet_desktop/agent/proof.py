"""Proving the log for a face: verify it, export it, and open, verify and compare what was exported.

Implements docs/protocol.md, *Audit log*, as far as a person asks for it; the work is done in `audit`. Everything
long runs on a thread of its own, tells its progress, and stops when its caller is cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from agentnet_desktop.agent.errors import AgentError, BadInput
from agentnet_desktop.agent.events import Direction, LogRow, Verified
from agentnet_desktop.agent.ground import Ground
from agentnet_desktop.agent.log_queries import LogQueries, on_a_thread
from agentnet_desktop.agent.ports import HeadNotKept
from agentnet_desktop.audit.compare import Difference, compare_files
from agentnet_desktop.audit.export import Exported, ExportFormat, Source
from agentnet_desktop.audit.exported import Footer, Header, read_header, read_lines, verify_file
from agentnet_desktop.audit.filter import FilterError
from agentnet_desktop.audit.held import held_heads
from agentnet_desktop.audit.items import Item, NotAnExport
from agentnet_desktop.audit.stored import database_anchors
from agentnet_desktop.audit.verify import Report
from agentnet_desktop.crypto.chain import sign_export
from agentnet_desktop.store import contacts, settings
from agentnet_desktop.store.audit_log import Anchor
from agentnet_desktop.store.engine import Database
from relay.wire.envelope import agent_key

_LAST = "log_verified"
MOST_ROWS = 100_000

T = TypeVar("T")
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LastVerified:
    """How far the log was verified the last time, and when. `bad` is the first bad entry's place, 0 for none."""

    seq: int
    time: int
    bad: int = 0


@dataclass(frozen=True, slots=True)
class OpenedExport:
    """An exported file as a face shows it, with what verifying it found."""

    path: Path
    header: Header
    rows: tuple[LogRow, ...]  # at most MOST_ROWS, the first ones; stubs left out
    report: Report


class Proof:
    """What a person asks of the log as evidence."""

    def __init__(
        self, ground: Ground, log: LogQueries, kept: Callable[[], Awaitable[Sequence[Anchor]]]
    ) -> None:
        """Binds to one agent's log; `kept` gives the statements about it that the key store holds."""
        self._ground = ground
        self._log = log
        self._kept = kept

    async def kept_heads(self) -> Sequence[Anchor]:
        """Returns what the key store holds about the log, to verify it against.

        Raises:
            AgentError: the key store gave no answer.
        """
        try:
            return await self._kept()
        except HeadNotKept as error:
            raise AgentError(f"The log cannot be compared with the head in the key store. {error}") from error

    async def verify(self, progress: Progress | None = None) -> Report:
        """Verifies the whole log, with the keys that are pinned, and remembers how far it was good.

        Args:
            progress: is told the place of each entry, on another thread.

        Raises:
            AgentError: the key store, which holds the log's newest head, gave no answer.
        """
        keys = await self._ground.db.read(_pinned)
        anchors = await self.kept_heads()
        report = await self._log.verify(
            identity_key=self._ground.identity.public, keys=keys, anchors=anchors, progress=progress
        )
        bad = report.first_bad
        known = LastVerified(report.last, self._ground.clock(), bad.seq if bad is not None else 0)
        value = [known.seq, known.time, known.bad]
        await self._ground.db.write(lambda session: settings.put(session, _LAST, value))
        return report

    async def last_verified(self) -> LastVerified | None:
        """Returns what the last `verify` found, or None: it was never asked."""
        value = await self._ground.db.read(lambda session: settings.get(session, _LAST))
        return LastVerified(*value) if isinstance(value, list) else None

    async def export(
        self,
        target: Path,
        *,
        expr: str = "",
        file_format: ExportFormat = ExportFormat.JSONL,
        redact: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Writes the entries that fit a filter to a new file, with the log's end signed.

        Args:
            target: the file; one that exists is replaced when the new one is whole.
            expr: the filter; empty for all.
            file_format: JSONL can be verified and compared.
            redact: leaves out what was said; the hashes still verify.
            progress: is told a place from time to time, on another thread.

        Raises:
            BadInput: the filter cannot be read.
            AgentError: the file cannot be written; nothing is left of it.
        """
        source = Source(
            agent_id=self._ground.agent_id,
            identity_key=self._ground.identity.public,
            relay_url=self._ground.relay_url,
            exported_at=self._ground.clock(),
            sign=partial(sign_export, self._ground.identity),
            filter_text=expr,
            keys=await self._ground.db.read(_pinned),
        )
        try:
            return await self._log.export(
                target, source, file_format=file_format, redact=redact, progress=progress
            )
        except FilterError as error:
            raise BadInput(str(error)) from error
        except OSError as error:
            raise AgentError(f"{target} cannot be written: {error.strerror}.") from error

    async def open(self, path: Path, progress: Progress | None = None) -> OpenedExport:
        """Reads an exported file and verifies it, as `verify_export` does.

        Raises:
            BadInput: it is no export.
            AgentError: it cannot be read.
        """
        judge = await self._judge()
        return await _reading(on_a_thread(partial(_open, path, judge), progress))

    async def verify_export(self, path: Path, progress: Progress | None = None) -> Report:
        """Verifies an exported file with the pinned keys, up to the heads that this agent holds of its exporter's log.

        Args:
            path: a JSONL export, of this agent or of another.
            progress: is told the place of each entry, on another thread.

        Raises:
            BadInput: it is no export.
            AgentError: it cannot be read.
        """
        judge = await self._judge()
        return await _reading(on_a_thread(partial(judge, path), progress))

    async def _judge(self) -> Callable[[Path, Progress], Report]:
        """Returns what verifies a file with all that this agent knows; it blocks."""
        keys: dict[str, list[bytes]] = dict(await self._ground.db.read(_pinned))
        own = self._ground.identity.public
        keys[self._ground.agent_id] = [own]
        return partial(_judged, self._ground.db, self._ground.agent_id, own, keys)

    async def compare(self, first: Path, second: Path) -> list[Difference]:
        """Compares what two parties exported.

        Raises:
            BadInput: a file is no export, or both are of the same agent.
            AgentError: one cannot be read.
        """
        return await _reading(on_a_thread(lambda tick: compare_files(first, second, tick), None))


async def _reading(work: Coroutine[Any, Any, T]) -> T:
    """Puts what can be wrong with a file into words."""
    try:
        return await work
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise AgentError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _pinned(session: Session) -> dict[str, list[bytes]]:
    """Returns the pinned keys of all contacts."""
    return {
        contact.agent_id: [contact.identity_key]
        for contact in contacts.every(session)
        if contact.identity_key is not None
    }


def _judged(
    db: Database, own_id: str, own_key: bytes, keys: dict[str, list[bytes]], path: Path, tick: Progress
) -> Report:
    """Verifies a file; one's own against the statements that the database has and that are older than the file."""
    header = read_header(path)
    with db.snapshot() as state:
        if agent_key(header.agent_id) != agent_key(own_id):
            held = held_heads(state, header.agent_id, own_key, progress=tick)
            return verify_file(path, keys=keys, held=held, progress=tick)
        known = (anchor for anchor in database_anchors(state) if anchor.time <= header.exported_at)
        anchors = known if header.identity_key == own_key else ()
        return verify_file(path, keys=keys, anchors=anchors, open_end=True, progress=tick)


def _open(path: Path, judge: Callable[[Path, Progress], Report], tick: Progress) -> OpenedExport:
    header = read_header(path)
    report = judge(path, tick)
    return OpenedExport(path, header, tuple(_rows(path)), report)


def _rows(path: Path) -> Iterable[LogRow]:
    """Returns the whole entries of an export as rows, up to the first line that cannot be read."""
    count = 0
    try:
        for part in read_lines(path):
            if isinstance(part, Footer) or count >= MOST_ROWS:
                return
            if part.body is not None:
                count += 1
                yield _row(part)
    except NotAnExport:
        return  # the report says so


def _row(item: Item) -> LogRow:
    body = item.body or {}
    return LogRow(
        seq=item.seq,
        time=int(body["time"]),
        direction=Direction(item.text("direction")),
        peer=item.text("peer"),
        conversation_id=item.text("conversationId"),
        message_id=item.text("messageId"),
        message_type=item.text("messageType"),
        encrypted=bool(body["encrypted"]),
        verified=Verified(item.text("verified")),
        state=item.state,
        summary=item.summary or "",
        size=int(body["size"]),
        sent_time=body["sentTime"],
    )
