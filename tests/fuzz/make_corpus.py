"""Writes the corpus from real messages and from the vectors: `python -m tests.fuzz.make_corpus`, from the root.

Files that stand there already under other names, such as what a campaign has found, stay.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from agentnet_desktop.protocol.canonical import jcs
from relay.wire.codec import Format, encode, encode_batch, json_form
from relay.wire.envelope import Envelope
from tests.crypto.people import QUERY, pair, response, sealed
from tests.fuzz.campaign import CORPUS
from tests.relay.wire.examples import CONTENTS, envelope

VECTORS = CORPUS.parents[2] / "resources" / "vectors"
PROPOSAL: dict[str, Any] = {
    "proposalId": "prop_1",
    "details": {
        "title": "Lunch",
        "description": "At last",
        "startTime": "2023-06-02T12:00:00Z",
        "endTime": "2023-06-02T13:00:00Z",
        "timeZone": "Europe/Berlin",
        "localStart": "2023-06-02T14:00:00",
        "location": {"name": "Café"},
        "meetingType": "OTHER",
        "participants": ["agent_alice", "agent_bob"],
        "status": "PENDING",
        "revision": 1,
        "expiresAt": 1622600000000,
        "alternatives": [{"startTime": "2023-06-03T12:00:00Z", "endTime": "2023-06-03T13:00:00Z"}],
    },
}
FILTERS = (
    "",
    "from:bob lunch -is:failed",
    '-"Team Lunch" after:2026-03-01T14:30+02:00 before:today',
    "with:bob* type:PROPOSAL conv:conv_1:x state:IN_FLIGHT lun*",
    "to:me after:2h before:2026-03-29T02:30",
    "is:",
    '"never closed',
)


def write(target: str, name: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def vectors(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return found


def made(form: dict[str, Any]) -> Envelope:
    names = ("messageId", "conversationId", "senderId", "recipientId", "messageType", "timestamp")
    rest = {name: form[name] for name in names}
    return msgspec.convert({**rest, "content": form["content"], "metadata": form["metadata"]}, Envelope)


def wire() -> None:
    for kind in CONTENTS:
        found = made(envelope(kind))
        write("wire_json", f"{kind.lower()}.json", encode(found, Format.JSON))
        write("wire_msgpack", f"{kind.lower()}.msgpack", encode(found, Format.MSGPACK))
    mixed = [made(envelope(kind)) for kind in ("ENCRYPTED", "ACK", "HEARTBEAT", "HANDSHAKE")]
    write("wire_json", "batch.json", encode_batch(mixed, Format.JSON))
    write("wire_msgpack", "batch.msgpack", encode_batch(mixed, Format.MSGPACK))
    write("wire_json", "spaced.json", json.dumps(envelope("ACK", extra=[1.5, "é"]), indent=1).encode())
    for number, case in enumerate(vectors("msgpack.json")["bad"]):
        if len(case["msgpack"]) < 8192:  # but for the one over the size limit
            write("wire_msgpack", f"vector-{number:02}.msgpack", bytes.fromhex(case["msgpack"]))
    found_vectors = vectors("canonical_json.json")
    for number, case in enumerate([*found_vectors["good"], *found_vectors["bad"]]):
        if "json" in case:
            write("canonical", f"vector-{number:02}.json", case["json"].encode("utf-8", "surrogatepass"))


def crypto() -> None:
    between = pair()
    for target in ("shake_hands", "shake_hands_signed"):
        write(target, "initiation.json", encode(between.initiation, Format.JSON))
        write(target, "response.json", encode(response(between.initiation, proof=bytes(32)), Format.JSON))
        write(target, "heartbeat.json", encode(made(envelope("HEARTBEAT")), Format.JSON))
    message = sealed(between)
    write("sealed_messages", "query.json", encode(message.envelope, Format.JSON))
    write("sealed_messages", "other-session.json", json.dumps(envelope("ENCRYPTED")).encode())
    write("sealed_plaintexts", "query.json", message.plaintext)
    write(
        "sealed_plaintexts",
        "query-padded.json",
        message.plaintext + b"\x80" + bytes(255 - len(message.plaintext)),
    )
    write("sealed_plaintexts", "empty.json", b"")
    for number, case in enumerate(vectors("handshake.json")["bad"][:8]):
        write("shake_hands", f"vector-{number:02}.json", json.dumps(case["envelope"]).encode())


def contents() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "query": QUERY,
        "custom": {"requestId": "req_1", "queryType": "CUSTOM", "parameters": {"name": "weather"}},
        "response": {
            "requestId": "req_1",
            "data": {
                "availableTimes": ["2023-06-02T12:00:00Z"],
                "slots": [{"start": "2023-06-02T12:00:00Z", "end": "2023-06-02T13:00:00Z"}],
                "timeZone": "Europe/Berlin",
            },
            "error": None,
        },
        "error-response": {
            "requestId": "req_1",
            "data": None,
            "error": {"code": "PERMISSION_DENIED", "message": "no"},
        },
        "proposal": PROPOSAL,
        "confirmation": {"proposalId": "prop_1", "status": "ACCEPTED", "revision": 1, "alternative": 0},
        "rejection": {"proposalId": "prop_1", "reason": "USER_DECLINED", "revision": 1, "details": "no"},
        "disconnect": {"reason": "goodbye"},
        "error": CONTENTS["ERROR"],
    }
    for name, value in kinds.items():
        write("contents", f"{name}.json", jcs(value))


def typed() -> None:
    found = vectors("contact_links.json")
    for number, case in enumerate([*found["good"], *found["bad"]]):
        write("links", f"vector-{number:02}.txt", case["link"].encode())
    for number, text in enumerate(FILTERS):
        write("filters", f"filter-{number}.txt", text.encode())


if __name__ == "__main__":
    wire()
    crypto()
    contents()
    typed()
    assert json_form(made(envelope())) == envelope()
