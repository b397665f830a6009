"""Exports stream, verify on another machine, stay provable when filtered or redacted, and show every forgery."""

from __future__ import annotations

import base64
import csv
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.audit.export import Exported, ExportFormat, export_log
from agentnet_desktop.audit.exported import read_header, verify_file
from agentnet_desktop.audit.filter import parse
from agentnet_desktop.audit.items import NotAnExport
from agentnet_desktop.store import log_retention
from agentnet_desktop.store.audit_log import Anchor

from .conftest import NOW, Party, Talk, source


def export(
    party: Party, target: Path, *, expr: str = "", keys: dict[str, list[bytes]] | None = None, **options: Any
) -> Exported:
    """Exports a party's log, signed."""
    about = source(party, filter_text=expr, keys=keys or {})
    return export_log(party.db, target, about, terms=parse(expr, now_ms=NOW).terms, **options)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of an export."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    """Writes changed lines back."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def file(talk: Talk, tmp_path: Path) -> Path:
    """Alice's log, exported."""
    export(talk.alice, tmp_path / "log.jsonl")
    return tmp_path / "log.jsonl"


def test_an_exported_file_verifies_without_database_and_keys(talk: Talk, file: Path) -> None:
    report = verify_file(file)
    assert report.problems == ()
    assert (report.entries, report.signatures, report.commitments, report.receipts) == (14, 6, 6, 3)
    assert (report.anchored_to, report.held_to) == (14, 0)  # its owner signed the end; nobody else was asked
    header = read_header(file)
    assert (header.agent_id, header.identity_key) == ("alice", talk.alice.identity.public)
    assert verify_file(
        file, keys={"alice": [talk.alice.identity.public], "bob": [talk.bob.identity.public]}
    ).intact


def test_a_line_says_what_a_log_line_says(file: Path) -> None:
    line = lines_of(file)[3]
    assert {
        "seq", "time", "direction", "peer", "conversationId", "messageId", "messageType", "encrypted", "verified",
        "state", "summary", "content",
    } <= line.keys()  # fmt: skip
    assert line["content"] == {"note": "secret question 0"}
    assert line["state"] == "DELIVERED"
    assert [step["state"] for step in line["steps"]] == ["QUEUED", "DELIVERED"]
    assert b"secret question 0" in base64.b64decode(line["plaintext"])


def test_only_its_owner_can_read_the_file(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir() if "part" in path.name] == []


def test_what_a_filter_leaves_out_stays_as_stubs(talk: Talk, tmp_path: Path) -> None:
    made = export(talk.alice, tmp_path / "log.jsonl", expr="type:query from:me")
    assert (made.entries, made.stubs) == (3, 11)
    text = made.path.read_text()
    assert "secret question" in text
    assert "secret answer" not in text
    report = verify_file(made.path)
    assert report.problems == ()
    assert (report.entries, report.stubs, report.signatures, report.commitments) == (14, 11, 3, 3)


def test_messages_of_agents_without_a_known_key_stay_unproven(talk: Talk, tmp_path: Path) -> None:
    made = export(talk.alice, tmp_path / "log.jsonl", expr="type:query from:bob")
    report = verify_file(made.path)
    assert report.intact
    assert (report.signatures, report.unproven) == (0, 3)
    known = verify_file(made.path, keys={"bob": [talk.bob.identity.public]})
    assert (known.signatures, known.unproven) == (3, 0)
    wrong = verify_file(made.path, keys={"bob": [talk.alice.identity.public]})
    assert {problem.kind for problem in wrong.problems} == {"SIGNATURE"}


def test_a_redacted_file_reveals_no_content_and_verifies(talk: Talk, tmp_path: Path) -> None:
    made = export(talk.alice, tmp_path / "log.jsonl", redact=True)
    text = made.path.read_text()
    for word in ("secret", "asks", "is asked"):
        assert word not in text
        assert base64.b64encode(word.encode() * 3).decode()[1:-4] not in text
    report = verify_file(made.path)
    assert report.problems == ()
    assert (report.signatures, report.commitments, report.receipts, report.undisclosed) == (6, 0, 3, 14)


def test_a_person_may_redact_single_lines_afterwards(talk: Talk, file: Path) -> None:
    lines = lines_of(file)
    for name in ("plaintext", "details", "salt"):
        del lines[5][name]
    lines[5] |= {"content": None, "summary": None, "redacted": True}
    rewrite(file, lines)
    report = verify_file(file)
    assert report.problems == ()
    assert (report.commitments, report.undisclosed) == (5, 1)


def changed(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Changes one member of the fifth entry's line."""

    def change(lines: list[dict[str, Any]]) -> None:
        assert lines[5][name] != value
        lines[5][name] = value

    return change


INVENTED = base64.b64encode(b'{"data":{"note":"I owe you 100"},"opening":"AAAA","seq":1}').decode()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (changed("content", {"note": "I owe you 100"}), "CHANGED"),
        (changed("summary", "another"), "CHANGED"),
        (changed("plaintext", INVENTED), "CHANGED"),
        (changed("wire", base64.b64encode(b"x").decode()), "CHANGED"),
        (changed("salt", base64.b64encode(bytes(16)).decode()), "CHANGED"),
        (changed("time", 5), "CHANGED"),
        (changed("peer", "carol"), "CHANGED"),
        (changed("verified", "bad"), "CHANGED"),
        (changed("firstState", "ROUTED"), "CHANGED"),
        (changed("state", "FAILED"), "STATE"),
        (changed("hash", "00" * 32), "CHANGED"),
        (changed("previousHash", "00" * 32), "CHAIN"),
        (lambda lines: lines[5].pop("details"), "INVENTED"),
        (lambda lines: lines[5].pop("plaintext"), "CONTENT_MISSING"),
        (lambda lines: lines[5].pop("wire"), "CONTENT_MISSING"),
        (lambda lines: lines.pop(5), "MISSING"),
        (lambda lines: lines.insert(5, lines[4]), "OUT_OF_PLACE"),
        (lambda lines: lines.pop(), "TRUNCATED"),
        (lambda lines: lines.pop(-2), "TRUNCATED"),
        (lambda lines: lines.append(lines[5]), "UNREADABLE"),
        (lambda lines: lines[5].update(seq="five"), "UNREADABLE"),
        (lambda lines: lines[-1].update(signature=base64.b64encode(bytes(64)).decode()), "SIGNATURE"),
        (lambda lines: lines[-1].update(hash="00" * 32), "TRUNCATED"),
    ],
)
def test_every_forgery_in_a_file_is_found(
    file: Path, change: Callable[[list[dict[str, Any]]], object], kind: str
) -> None:
    lines = lines_of(file)
    change(lines)
    rewrite(file, lines)
    report = verify_file(file)
    assert not report.intact
    assert kind in [problem.kind for problem in report.problems]
    assert report.first_bad is not None
    assert report.first_bad.seq in (4, 5, 6, 14, 15)


def test_a_file_of_another_identity_is_told(talk: Talk, file: Path) -> None:
    report = verify_file(file, keys={"alice": [talk.bob.identity.public]})
    assert "IDENTITY" in [problem.kind for problem in report.problems]


def test_a_known_key_counts_however_the_name_is_written(talk: Talk, file: Path) -> None:
    report = verify_file(file, keys={"ALICE": [talk.bob.identity.public]})
    assert "IDENTITY" in {problem.kind for problem in report.problems}


@pytest.mark.parametrize(("name", "value"), [("agentId", 5), ("exportedAt", "now"), ("exportedAt", True)])
def test_a_first_line_with_fields_of_another_kind_is_told(file: Path, name: str, value: object) -> None:
    first, *rest = file.read_bytes().splitlines(keepends=True)
    line = json.loads(first) | {name: value}
    file.write_bytes(b"".join([json.dumps(line).encode(), b"\n", *rest]))
    with pytest.raises(NotAnExport, match="not an exported log"):
        verify_file(file)


def test_a_head_that_somebody_holds_is_checked(talk: Talk, file: Path) -> None:
    held = Anchor(9, b"h" * 32, "PEER", "bob", 0)
    (problem,) = verify_file(file, anchors=[held]).problems
    assert (problem.seq, problem.kind) == (9, "REWRITTEN")
    assert "bob knows" in problem.sentence


@pytest.mark.parametrize(
    "data", [b"", b"not JSON\n", b"[]\n", b'{"agentnetLog":2}\n', b'{"agentnetLog":1}\n', b"\xff\n"]
)
def test_a_file_that_is_no_export_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(NotAnExport):
        verify_file(path)


def test_a_log_under_retention_exports_and_verifies(talk: Talk, tmp_path: Path) -> None:
    talk.alice.db.write_sync(lambda s: log_retention.forget_before(s, NOW + 7_500, NOW))
    made = export(talk.alice, tmp_path / "log.jsonl", keys={"bob": [talk.bob.identity.public]})
    assert "secret question 0" not in made.path.read_text()
    report = verify_file(made.path)
    assert [problem.kind for problem in report.problems] == []
    assert (report.undisclosed, report.signatures, report.unproven) == (7, 3, 0)


def test_har_opens_as_a_websocket_recording(talk: Talk, tmp_path: Path) -> None:
    made = export(talk.bob, tmp_path / "log.har", file_format=ExportFormat.HAR)
    (entry,) = json.loads(made.path.read_text())["log"]["entries"]
    assert entry["_resourceType"] == "websocket"
    assert entry["request"]["url"].startswith("wss://relay.example")
    messages = entry["_webSocketMessages"]
    assert len(messages) == made.entries == 14
    assert {message["type"] for message in messages} == {"send", "receive"}
    assert json.loads(messages[0]["data"])["messageType"] == "HANDSHAKE"
    assert messages[4]["_agentnet"]["seq"] == 5
    binary = export(talk.alice, tmp_path / "binary.har", file_format=ExportFormat.HAR)
    first = json.loads(binary.path.read_text())["log"]["entries"][0]["_webSocketMessages"][0]
    assert first["opcode"] == 2
    assert base64.b64decode(first["data"])


def test_csv_is_a_table_and_runs_no_formula(talk: Talk, tmp_path: Path) -> None:
    talk.alice.append_note("=HYPERLINK(1)")
    made = export(talk.alice, tmp_path / "log.csv", file_format=ExportFormat.CSV, expr="-type:ack")
    with made.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.entries == 9
    assert rows[-1]["summary"] == "'=HYPERLINK(1)"
    assert json.loads(rows[2]["content"]) == {"note": "secret question 0"}
    assert rows[0]["time"].startswith("2026-03-01T12:00:01")


def test_a_file_that_cannot_be_written_leaves_nothing(talk: Talk, tmp_path: Path) -> None:
    target = tmp_path / "kept.jsonl"
    target.write_text("older")

    def fail(*_end: object) -> bytes:
        raise OSError("disk full")

    about = replace(source(talk.alice), sign=fail)
    with pytest.raises(OSError, match="disk full"):
        export_log(talk.alice.db, target, about)
    assert target.read_text() == "older"
    assert sorted(path.name for path in tmp_path.glob("*.part")) == []
    assert [path.name for path in tmp_path.glob(".*")] == []
