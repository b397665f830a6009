"""Reads and verifies an exported file: on another machine, with no database and no keys.

Implements docs/protocol.md, *Verifying a log*, for files that `export` wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from agentnet_desktop.audit.held import GivenHeads, HeldHeads
from agentnet_desktop.audit.histories import ShownSteps
from agentnet_desktop.audit.items import VERSION, Hash, Item, NotAnExport, Place, item_from
from agentnet_desktop.audit.verify import MOST_PROBLEMS, Problem, Report, Verifier
from agentnet_desktop.crypto import chain
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from agentnet_desktop.store.log_records import Anchor
from relay.wire.envelope import agent_key, b64decode
from relay.wire.errors import WireError

LONGEST_LINE = 16 * 1024 * 1024  # bytes
_OLD = (
    "The file is an export of the older form, which proves neither whose log it is nor its deliveries. "
    "Have the log exported again with this version."
)


class _HeaderLine(msgspec.Struct, rename="camel"):
    """The first line of an export, beside its version."""

    agent_id: str
    identity_key: str
    keys: dict[str, list[str]]
    exported_at: Place
    filter: str
    redacted: bool


class _FooterLine(msgspec.Struct, rename="camel"):
    """The last line of an export."""

    end: Literal[True]
    entries: Place
    seq: Place
    hash: Hash
    steps_digest: Hash
    signature: str | None


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line of an export says."""

    agent_id: str
    identity_key: bytes
    keys: Mapping[str, tuple[bytes, ...]]  # of peers, as the exporter says
    exported_at: int
    filter_text: str
    redacted: bool
    digest: bytes  # SHA-256 of its canonical form, which the signature over the end covers


@dataclass(frozen=True, slots=True)
class Footer:
    """What the last line says."""

    entries: int
    seq: int
    entry_hash: bytes
    steps_digest: bytes
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
    verifier = Verifier(header.agent_id, identity_key=header.identity_key, keys=known, anchors=brought)
    for theirs in given.get(agent_key(header.agent_id), ()):
        if theirs != header.identity_key:
            verifier.complain(
                0, "IDENTITY", "The file names another identity key than the one known for its agent."
            )
    footer, steps = _walk(path, verifier, held, progress)
    if held is not None:
        _check_held(verifier, header, held)
    report = verifier.finish(whole=not header.redacted and footer is not None, open_end=open_end)
    wrong = _wrong_end(header, footer, report, steps, verifier.first_loose)
    if wrong is not None:
        return replace(report, problems=(*report.problems, wrong)[:MOST_PROBLEMS])
    return replace(report, anchored_to=max(report.anchored_to, report.last))


def _walk(
    path: Path, verifier: Verifier, held: HeldHeads | None, progress: Callable[[int], None] | None
) -> tuple[Footer | None, bytes]:
    """Feeds a file's entries to those who check them.

    Returns:
        The last line, or None: there is none; and the hash over all delivery steps in the file.
    """
    given_out, steps = GivenHeads(), ShownSteps()
    footer, last = None, 0
    try:
        for part in read_lines(path):
            if isinstance(part, Footer):
                footer = part
                continue
            if footer is not None:
                raise NotAnExport("The file goes on after its end.")
            verifier.feed(part)
            steps.feed(part)
            last = part.seq
            if wrong := given_out.feed(part):
                verifier.complain(last, "OWN_RECEIPT", wrong)
            if held is not None:
                held.feed(part)
            if progress is not None:
                progress(last)
    except NotAnExport as error:
        verifier.complain(last + 1, "UNREADABLE", f"After entry {last}: {error}")
    except RecursionError:
        verifier.complain(
            last + 1, "UNREADABLE", f"After entry {last}: A line of the file is nested too deep."
        )
    return footer, steps.digest


def _check_held(verifier: Verifier, header: Header, held: HeldHeads) -> None:
    verifier.held_end(held.met_to)
    missing = held.missing(header.identity_key, header.exported_at)
    if missing is not None:
        verifier.complain(missing.after + 1, "HEAD_MISSING", missing.sentence)


def _wrong_end(
    header: Header, footer: Footer | None, report: Report, steps: bytes, first_loose: int
) -> Problem | None:
    """Returns what is wrong with the file's end, or None: its owner signed it as it is."""
    beyond = report.last + 1
    if footer is None:
        return Problem(beyond, "TRUNCATED", "The file ends before its last line: its end was cut off.")
    if (footer.entries, footer.seq, footer.entry_hash) != (report.entries, report.last, report.head):
        words = (
            f"The file's last line speaks of {footer.entries} entries up to {footer.seq}; others are there."
        )
        return Problem(beyond, "TRUNCATED", words)
    if footer.signature is None:
        words = f"The file's end is not signed: nobody says that it is a log of {header.agent_id}, and whole."
        return Problem(footer.seq, "UNSIGNED", words)
    if footer.steps_digest != steps:
        words = "The delivery steps in the file are not those that its last line names: one was changed, added or removed."
        return Problem(first_loose or footer.seq, "HISTORY", words)
    try:
        chain.verify_export(
            header.identity_key, footer.seq, footer.entry_hash, steps, header.digest, footer.signature
        )
    except CryptoError:
        words = "The signature over the file's first line, delivery steps and end does not verify."
        return Problem(footer.seq, "SIGNATURE", words)
    return None


def read_header(path: Path) -> Header:
    """Reads the first line of an export.

    Raises:
        NotAnExport: it is no such line.
    """
    with path.open("rb") as file:
        line = _object(file.readline(LONGEST_LINE))
    try:
        if line["agentnetLog"] != VERSION:
            newer = "The file was exported by a newer version of AgentNet Desktop."
            raise NotAnExport(_OLD if line["agentnetLog"] == 1 else newer)
        said = msgspec.convert(line, _HeaderLine)
        key = b64decode(said.identity_key, field="identityKey", length=32)
        keys = {
            peer: tuple(b64decode(text, field="keys", length=32) for text in found)
            for peer, found in said.keys.items()
        }
        digest = hashlib.sha256(jcs(line)).digest()
    except NotAnExport:
        raise
    except (KeyError, msgspec.ValidationError, WireError, NotCanonical, RecursionError) as error:
        raise NotAnExport(f"{path} is not an exported log (JSONL) of AgentNet Desktop.") from error
    return Header(said.agent_id, key, keys, said.exported_at, said.filter, said.redacted, digest)


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
            yield _footer(value) if "end" in value else item_from(value)


def _footer(value: Mapping[str, Any]) -> Footer:
    try:
        said = msgspec.convert(value, _FooterLine)
        signature = said.signature
        signed = None if signature is None else b64decode(signature, field="signature", length=64)
    except (msgspec.ValidationError, WireError) as error:
        raise NotAnExport("The last line is not one of an export.") from error
    return Footer(said.entries, said.seq, bytes.fromhex(said.hash), bytes.fromhex(said.steps_digest), signed)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnExport("A line of the file is not JSON.") from error
    if not isinstance(value, dict):
        raise NotAnExport("A line of the file is not a JSON object.")
    return value
