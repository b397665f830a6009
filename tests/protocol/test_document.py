"""`docs/protocol.md` against the code: its tables, examples and section numbers say what the program does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.protocol import contact, content, delivery, proposal, session
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.protocol.contact_link import parse_contact_link
from relay.wire import control, envelope, errors
from relay.wire.codec import Decoded, Format, decode
from relay.wire.strict import parse_json

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
VECTORS = ROOT / "resources" / "vectors"


def section(number: str) -> str:
    """The text of one numbered section, with those below it."""
    heading = re.search(rf"^(#+) {re.escape(number)}\.? .*$", TEXT, re.MULTILINE)
    assert heading, f"there is no section {number}"
    rest = TEXT[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of every table row of a text, back-quotes taken off."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|--")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def vector(name: str) -> dict[str, Any]:
    """The first good case of a file of vectors."""
    found: dict[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))["good"][0]
    return found


def test_the_table_of_errors_is_that_of_the_code() -> None:
    told = {
        cells[0]: (cells[1] == "yes", int(cells[2]))
        for cells in rows(section("12"))
        if cells[0] in errors.ErrorCode.__members__
    }
    assert told == {
        code.value: (meaning.recoverable, meaning.retry_after_ms) for code, meaning in errors.ERRORS.items()
    }


def test_the_table_of_close_codes_is_that_of_the_code() -> None:
    told = {int(cells[0]): cells[2] for cells in rows(section("3.6")) if cells[0].isdigit()}
    assert set(told) == set(errors.CloseCode)
    for code in errors.CloseCode:
        assert code.retryable is (told[code] == "reconnects with backoff")
        assert code.needs_fresh_token is (told[code] == "reconnects with a fresh token")


def test_the_bytes_fields_are_those_of_the_code() -> None:
    told = {cells[0]: frozenset(cells[1].split()) for cells in rows(section("2.1")) if cells[0].isupper()}
    assert told == {kind.value: names for kind, names in control.BYTES_FIELDS.items()}


def test_every_message_type_is_named() -> None:
    (cells,) = [cells for cells in rows(section("4.1")) if cells[0] == "messageType"]
    assert set(cells[2].split()) == set(envelope.MessageType)


def test_the_states_of_a_proposal_are_those_of_the_code() -> None:
    events = {
        "CONFIRMATION": proposal.ProposalEvent.ACCEPT,
        "REJECTION": proposal.ProposalEvent.REJECT,
        "expiresAt passes": proposal.ProposalEvent.EXPIRE,
        "a later revision": proposal.ProposalEvent.MODIFY,
    }
    told = {(cells[0], events[cells[1]], cells[2]) for cells in rows(section("8.4")) if cells[1] in events}
    assert told == {
        (state.value, event, after.value)
        for state, row in proposal.TABLE.items()
        for event, after in row.items()
    }


@pytest.mark.parametrize(
    ("number", "states"),
    [
        ("7.10", session.SessionState),
        ("9.1", delivery.DeliveryState),
        ("10.1", contact.ContactState),
        ("9.1", delivery.FailureReason),
        ("8.3", content.RejectionReason),
        ("8.2", content.QueryType),
        ("8.2", content.ResponseErrorCode),
        ("5.3", control.AckStatus),
        ("5.4", control.PresenceState),
        ("4.3", envelope.Priority),
    ],
)
def test_every_word_of_the_code_is_in_its_section(number: str, states: Any) -> None:
    words = set(re.findall(r"[A-Z][A-Z_]+", section(number)))
    assert {state.value for state in states} <= words


@pytest.mark.parametrize(
    "kind", ["AUTH", "CONNECTED", "ACK", "HEARTBEAT", "DISCONNECT", "ERROR", "HANDSHAKE", "ENCRYPTED"]
)
def test_every_field_of_a_content_in_the_clear_is_described(kind: str) -> None:
    struct = control._KINDS[envelope.MessageType(kind)]
    heading = re.search(rf"^### (5\.\d+) {kind}\b", TEXT, re.MULTILINE)
    assert heading
    described = section(heading[1])
    for name in struct.__struct_encode_fields__:
        assert f"`{name}`" in described


@pytest.mark.parametrize(
    ("number", "struct"),
    [
        ("8.2", content.QueryContent),
        ("8.2", content.ResponseContent),
        ("8.2", content.AvailabilityParameters),
        ("8.2", content.AvailabilityData),
        ("8.3", content.ProposalContent),
        ("8.3", content.ProposalDetails),
        ("8.3", content.Location),
        ("8.3", content.Coordinates),
        ("8.3", content.Alternative),
        ("8.3", content.ConfirmationContent),
        ("8.3", content.RejectionContent),
    ],
)
def test_every_field_of_a_sealed_content_is_described(number: str, struct: Any) -> None:
    described = section(number)
    for name in struct.__struct_encode_fields__:
        assert re.search(rf"\b{name}\b", described), name


def test_every_example_envelope_is_one() -> None:
    examples = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        (found,) = decode(example, Format.JSON)
        assert isinstance(found, Decoded), found


def test_the_worked_example_of_canonical_json_is_right() -> None:
    (example,) = re.findall(r"```\n(.*?)\n```", section("2.4"), re.DOTALL)
    before, after = (part.strip() for part in example.split("→"))
    assert jcs(parse_json(before)).decode() == after


def test_the_worked_examples_of_the_encryption_are_those_of_the_vectors() -> None:
    handshake = vector("handshake.json")
    assert handshake["initiationCanonical"] in section("7.3")
    assert handshake["peerHash"] in section("7.3")
    message = vector("message.json")
    for name in ("plaintext", "commitment", "header", "nonce"):
        assert f" {message[name]}\n" in section("7.7")
    assert f"padded to   {message['paddedLength']} bytes" in section("7.7")
    assert vector("safety-number.json")["shown"] in section("10.3")


def test_every_file_of_vectors_is_named_and_there() -> None:
    top = rows(TEXT[: TEXT.index("## 1.")])
    named = {name for cells in top for name in re.findall(r"[\w-]+\.json", cells[0])}
    assert named == {path.name for path in VECTORS.glob("*.json")}


def test_the_link_of_the_document_has_the_form_that_is_read() -> None:
    (example,) = re.findall(r"```\n(agentnet://contact/.*?)\n```", section("10.4"), re.DOTALL)
    filled = (
        example.replace("AGENT_ID", "agent_alice")
        .replace("relay=URL", "relay=wss%3A%2F%2Fr.example")
        .replace("B64URL", "A" * 43)
        .replace("MS", "1")
    )
    assert parse_contact_link(filled).format() == filled


@pytest.mark.parametrize(
    "path",
    [
        *sorted((ROOT / "relay" / "wire").glob("*.py")),
        *sorted((ROOT / "agentnet_desktop" / "protocol").glob("*.py")),
        *sorted((ROOT / "tests" / "protocol").glob("test_*.py")),
        *sorted((ROOT / "tests" / "relay" / "wire").glob("test_*.py")),
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_every_section_that_a_module_names_exists(path: Path) -> None:
    docstring = path.read_text(encoding="utf-8").split('"""')[1:2]
    for clause in re.findall(r"docs/protocol\.md sections? ([^.:]*(?:\.\d+[^.:]*)*)", " ".join(docstring)):
        for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", clause):
            assert section(number)
