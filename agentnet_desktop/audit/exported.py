"""Reads and verifies an exported file: on another machine, with no database and no keys.

Implements docs/protocol.md, *Verifying a log*, for files that `export` wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agentnet_desktop.audit.held import GivenHeads, HeldHeads
from agentnet_desktop.audit.items import Item, NotAnExport, item_from
from agentnet_desktop.audit.verify import Report, Verifier
from agentnet_desktop.crypto import chain
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.store.log_records import Anchor
from relay.wire.envelope import agent_key, b64decode
from relay.wire.errors import WireError

LONGEST_LINE = 16 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line of an export says."""

    agent_id: str
    identity_key: bytes
    keys: Mapping[str, tuple[bytes, ...]]  # of peers, as the exporter says
    exported_at: int
    filter_text: str
    redacted: bool


@dataclass(frozen=True, slots=True)
class Footer:
    """What the last line says."""

    entries: int
    seq: int
    entry_hash: bytes
    signature: bytes | None


def verify_file(
    path: Path,
    *,
    keys: Mapping[str, Iterable[bytes]] | None = None,
    anchors: Iterable[Anchor] = (),
    held: HeldHeads | None = None,
    open_end: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Verifies an exported file.

    Args:
        path: a JSONL export.
        keys: identity keys (32 bytes) known otherwise, by agentId. Without them those in the file's own
            handshakes count: compare the report's fingerprints with the people.
        anchors: statements about this log that are known otherwise.
        held: the heads that the caller's own log has of it, nothing of them met yet.
        open_end: the anchors may be newer than the file: those beyond its end say nothing.
        progress: is told the place of each entry; what it raises ends the walk.

    Raises:
        NotAnExport: the file is no export at all.
        OSError: it cannot be read.
    """
    header = read_header(path)
    brought = sorted(anchors, key=lambda anchor: anchor.seq)
    # Keys that the caller knows of an agent stand instead of those that the file claims.
    given = {agent_key(peer): tuple(found) for peer, found in (keys or {}).items()}
    known = {peer: found for peer, found in header.keys.items() if agent_key(peer) not in given} | given
    verifier = Verifier(header.agent_id, keys=known, anchors=brought, identity_key=header.identity_key)
    for theirs in given.get(agent_key(header.agent_id), ()):
        if theirs != header.identity_key:
            verifier.complain(
                0, "IDENTITY", "The file names another identity key than the one known for its agent."
            )
    footer = _walk(path, verifier, held, progress)
    if held is not None:
        _check_held(verifier, header, held)
    report = verifier.finish(whole=not header.redacted, open_end=open_end)
    _check_end(verifier, header, footer, report)
    return verifier.finish(whole=False, open_end=open_end) if footer is None or report.intact else report


def _walk(
    path: Path, verifier: Verifier, held: HeldHeads | None, progress: Callable[[int], None] | None
) -> Footer | None:
    """Feeds a file's entries to those who check them; returns its last line, or None: it has none."""
    given_out = GivenHeads()
    footer, last = None, 0
    try:
        for part in read_lines(path):
            if isinstance(part, Footer):
                footer = part
                continue
            if footer is not None:
                raise NotAnExport("The file goes on after its end.")
            verifier.feed(part)
            last = part.seq
            if wrong := given_out.feed(part):
                verifier.complain(last, "OWN_RECEIPT", wrong)
            if held is not None:
                held.feed(part)
            if progress is not None:
                progress(last)
    except NotAnExport as error:
        verifier.complain(last + 1, "UNREADABLE", f"After entry {last}: {error}")
    return footer


def _check_held(verifier: Verifier, header: Header, held: HeldHeads) -> None:
    verifier.held_end(held.met_to)
    missing = held.missing(header.identity_key, header.exported_at)
    if missing is not None:
        verifier.complain(missing.after + 1, "HEAD_MISSING", missing.sentence)


def _check_end(verifier: Verifier, header: Header, footer: Footer | None, report: Report) -> None:
    if footer is None:
        verifier.complain(
            report.last + 1, "TRUNCATED", "The file ends before its last line: its end was cut off."
        )
        return
    if (footer.entries, footer.seq, footer.entry_hash) != (report.entries, report.last, report.head):
        words = (
            f"The file's last line speaks of {footer.entries} entries up to {footer.seq}; others are there."
        )
        verifier.complain(report.last + 1, "TRUNCATED", words)
        return
    if footer.signature is not None:
        try:
            chain.verify_head(header.identity_key, footer.seq, footer.entry_hash, footer.signature)
        except CryptoError:
            verifier.complain(footer.seq, "SIGNATURE", "The signature over the log's end does not verify.")
        else:
            verifier.signed_end(footer.seq)


def read_header(path: Path) -> Header:
    """Reads the first line of an export.

    Raises:
        NotAnExport: it is no such line.
    """
    with path.open("rb") as file:
        line = _object(file.readline(LONGEST_LINE))
    try:
        if line["agentnetLog"] != 1:
            raise NotAnExport("The file was exported by a newer version of AgentNet Desktop.")
        key = b64decode(line["identityKey"], field="identityKey", length=32)
        keys = {
            str(peer): tuple(b64decode(text, field="keys", length=32) for text in found)
            for peer, found in line["keys"].items()
        }
        if type(line["agentId"]) is not str or type(line["exportedAt"]) is not int:
            raise TypeError("agentId or exportedAt")
        header = Header(
            line["agentId"], key, keys, line["exportedAt"], line["filter"], bool(line["redacted"])
        )
    except (KeyError, TypeError, AttributeError, WireError) as error:
        raise NotAnExport(f"{path} is not an exported log (JSONL) of AgentNet Desktop.") from error
    return header


def read_lines(path: Path) -> Iterator[Item | Footer]:
    """Reads the lines after the first, one at a time.

    Raises:
        NotAnExport: a line is neither an entry nor the end.
    """
    with path.open("rb") as file:
        file.readline(LONGEST_LINE)
        while line := file.readline(LONGEST_LINE):
            if not line.endswith(b"\n"):
                raise NotAnExport("The last line is not whole.")
            value = _object(line)
            yield _footer(value) if value.get("end") else item_from(value)


def _footer(value: Mapping[str, Any]) -> Footer:
    try:
        signature = value["signature"]
        signed = None if signature is None else b64decode(signature, field="signature", length=64)
        return Footer(value["entries"], value["seq"], bytes.fromhex(value["hash"]), signed)
    except (KeyError, TypeError, ValueError, WireError) as error:
        raise NotAnExport("The last line is not one of an export.") from error


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnExport("A line of the file is not JSON.") from error
    if not isinstance(value, dict):
        raise NotAnExport("A line of the file is not a JSON object.")
    return value
