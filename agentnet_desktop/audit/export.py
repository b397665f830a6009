"""Writes the log to a file that others can read and check: JSONL, HAR or CSV, as it streams from the database.

Implements docs/protocol.md, *Log exports*. JSONL holds everything that checking needs: what a filter leaves out
stays as stubs, redaction leaves hashes, and first and last line say whose log it is and where it ends. HAR
(with Chrome's `_webSocketMessages`) and CSV are for reading in other tools. The file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from agentnet_desktop.audit.choice import Choice, choose
from agentnet_desktop.audit.histories import ShownSteps
from agentnet_desktop.audit.items import VERSION, Item, line_of, redacted, stub_line
from agentnet_desktop.audit.stored import database_parts
from agentnet_desktop.crypto import chain
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.search_terms import Term
from relay.wire.envelope import agent_key, b64encode

_ENCODER = msgspec.json.Encoder()
_CSV_COLUMNS = (
    "seq",
    "time",
    "direction",
    "peer",
    "conversationId",
    "messageId",
    "messageType",
    "encrypted",
    "verified",
    "state",
    "size",
    "summary",
    "content",
    "hash",
)
_FORMULA = frozenset("=+-@\t\r")  # how one begins


class ExportFormat(StrEnum):
    """What an export looks like."""

    JSONL = "jsonl"
    HAR = "har"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Source:
    """Whose log it is, and what the first and last line say of it."""

    agent_id: str
    identity_key: bytes  # 32 bytes
    relay_url: str
    exported_at: int  # ms
    sign: Callable[
        [int, bytes, bytes, bytes], bytes
    ]  # `chain.sign_export` with the owner's identity; 64 bytes
    filter_text: str = ""
    keys: Mapping[str, Iterable[bytes]] = field(
        default_factory=dict
    )  # peers' pinned keys, by agentId; those shown are named


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    entries: int  # whole ones
    stubs: int
    size: int  # bytes


def export_log(
    db: Database,
    target: Path,
    source: Source,
    *,
    file_format: ExportFormat = ExportFormat.JSONL,
    terms: Sequence[Term] = (),
    redact: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Writes the log as it stands at this moment. Blocks: call it from a thread.

    Args:
        db: the open database.
        target: the file; one that exists is replaced when the new one is whole.
        source: whose log it is.
        file_format: JSONL can be verified, HAR and CSV are for other tools.
        terms: of a filter; other entries are left out (in JSONL: are stubs).
        redact: leaves out summaries, contents and clear bytes.
        progress: is told a place from time to time; what it raises ends the export.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    writers: dict[ExportFormat, Callable[..., tuple[int, int]]] = {
        ExportFormat.JSONL: partial(_jsonl, redact=redact),
        ExportFormat.HAR: _har,
        ExportFormat.CSV: _csv,
    }
    partial_file = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _private(partial_file) as out, db.snapshot() as state:
            told = progress or (lambda _place: None)
            choice = choose(state, terms, told)
            parts = _reported(database_parts(state, raw=True), told)
            shown = ([redacted(item) for item in part] for part in parts) if redact else parts
            entries, stubs = writers[file_format](out, shown, choice, source)
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        partial_file.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial_file.unlink()
        raise
    return Exported(target, entries, stubs, size)


def _private(path: Path) -> IO[bytes]:
    """Opens a new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb", buffering=1 << 20)


def _reported(parts: Iterator[list[Item]], told: Callable[[int], None]) -> Iterator[list[Item]]:
    for part in parts:
        told(part[-1].seq)
        yield part


def _jsonl(
    out: IO[bytes], parts: Iterator[list[Item]], choice: Choice, source: Source, *, redact: bool
) -> tuple[int, int]:
    header = {
        "agentnetLog": VERSION,
        "agentId": source.agent_id,
        "identityKey": b64encode(source.identity_key),
        "keys": _shown_keys(source, choice),
        "exportedAt": source.exported_at,
        "filter": source.filter_text,
        "redacted": redact,
    }
    out.write(_ENCODER.encode(header) + b"\n")
    entries = stubs = 0
    seq, head, steps = 0, chain.GENESIS, ShownSteps()
    for part in parts:
        lines = []
        for item in part:
            steps.feed(item)
            if choice.lets_through(item.seq):
                lines.append(line_of(item))
                entries += 1
            else:
                lines.append(stub_line(item, chain.body_hash(jcs(item.body))))
                stubs += 1
        out.write(_ENCODER.encode_lines(lines))
        seq, head = part[-1].seq, part[-1].entry_hash
    signature = source.sign(seq, head, steps.digest, hashlib.sha256(jcs(header)).digest())
    footer = {
        "end": True,
        "entries": entries + stubs,
        "seq": seq,
        "hash": head.hex(),
        "stepsDigest": steps.digest.hex(),
        "signature": b64encode(signature),
    }
    out.write(_ENCODER.encode(footer) + b"\n")
    return entries, stubs


def _shown_keys(source: Source, choice: Choice) -> dict[str, list[str]]:
    if not source.keys:
        return {}
    shown = choice.peers()
    return {
        peer: [b64encode(key) for key in keys]
        for peer, keys in source.keys.items()
        if agent_key(peer) in shown
    }


def _har(out: IO[bytes], parts: Iterator[list[Item]], choice: Choice, source: Source) -> tuple[int, int]:
    """One HAR entry for the connection to the relay, with all messages in Chrome's WebSocket extension."""
    empty = {"headersSize": -1, "bodySize": -1, "cookies": [], "headers": [], "httpVersion": "HTTP/1.1"}
    request = empty | {"method": "GET", "url": source.relay_url, "queryString": []}
    response = empty | {"status": 101, "statusText": "Switching Protocols", "redirectURL": ""}
    response["content"] = {"size": 0, "mimeType": "x-unknown"}
    entry = {
        "startedDateTime": datetime.fromtimestamp(source.exported_at / 1000, UTC).isoformat(),
        "time": 0,
        "request": request,
        "response": response,
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
        "_resourceType": "websocket",
    }
    creator = {"name": "AgentNet Desktop", "version": str(VERSION)}
    start = _ENCODER.encode({"version": "1.2", "creator": creator})[:-1]
    out.write(b'{"log":' + start + b',"entries":[' + _ENCODER.encode(entry)[:-1] + b',"_webSocketMessages":[')
    count = 0
    for item in itertools.chain.from_iterable(parts):
        if choice.lets_through(item.seq) and item.text("direction") != "local":
            out.write((b",\n" if count else b"\n") + _ENCODER.encode(_har_message(item)))
            count += 1
    out.write(b"\n]}]}}\n")
    return count, 0


def _har_message(item: Item) -> dict[str, Any]:
    line = line_of(item)
    binary = item.text("wireFormat") != "json"
    data: bytes | str = line.pop("wire", b"")
    if data and not binary:
        data = (item.wire or b"").decode("utf-8", "replace")
    for name in ("plaintext", "details", "salt"):
        line.pop(name, None)
    return {
        "type": "send" if item.text("direction") == "out" else "receive",
        "time": line["time"] / 1000,
        "opcode": 2 if binary else 1,
        "data": data,
        "_agentnet": line,
    }


def _csv(out: IO[bytes], parts: Iterator[list[Item]], choice: Choice, _source: Source) -> tuple[int, int]:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(_CSV_COLUMNS)
    count = 0
    for part in parts:
        rows = [_csv_row(item) for item in part if choice.lets_through(item.seq)]
        writer.writerows(rows)
        count += len(rows)
    text.flush()
    text.detach()
    return count, 0


def _csv_row(item: Item) -> list[Any]:
    """One row, of `_CSV_COLUMNS`. Text that a spreadsheet would take for a formula gets a quote before it: a peer may have written it."""
    body = item.body or {}
    cells = (
        item.seq,
        datetime.fromtimestamp(body["time"] / 1000, UTC).isoformat(timespec="milliseconds"),
        body["direction"],
        body["peer"],
        body["conversationId"],
        body["messageId"],
        body["messageType"],
        body["encrypted"],
        body["verified"],
        item.state,
        body["size"],
        item.summary,
        "" if item.content is None else _ENCODER.encode(item.content).decode(),
        item.entry_hash.hex(),
    )
    return [f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell for cell in cells]
