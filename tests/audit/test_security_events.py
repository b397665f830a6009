"""The security events that a person is shown are those of the log, or verifying says so."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from agentnet_desktop.audit.security_events import SecurityEvents
from agentnet_desktop.audit.stored import verify_database
from agentnet_desktop.audit.verify import Problem
from agentnet_desktop.store import audit_log, log_retention
from agentnet_desktop.store.audit_log import NewEntry, SecurityEvent

from .conftest import NOW, Party, Talk, entries
from .test_verify import run

REFUSAL: dict[str, Any] = {
    "refused": "HANDSHAKE_REFUSED:SUITE",
    "told": "A handshake of bob breaks the rules.",
}


def refused(**more: Any) -> NewEntry:
    """A message of Bob's that was refused."""
    values: dict[str, Any] = {"security": REFUSAL, "message_type": "HANDSHAKE", "state": "REFUSED"}
    return NewEntry(time=NOW, direction="in", summary="refused", peer="bob", **(values | more))


@pytest.fixture
def alarmed(talk: Talk) -> Party:
    """Alice after a refusal and an event of her own, at 15 and 16."""
    alice = talk.alice
    events = [
        (refused(), "HANDSHAKE_REFUSED", str(REFUSAL["told"])),
        (
            NewEntry(NOW, "local", "SECURITY", "LOCAL", "Another key.", "bob", content={"kind": "KEY"}),
            "KEY",
            "",
        ),
    ]
    for entry, kind, words in events:
        made = alice.append_entry(entry)
        event = SecurityEvent(made.seq, NOW, "bob", kind, words or entry.summary)
        alice.db.write_sync(partial(audit_log.add_security_event, event=event))
    assert problems(alice) == []
    return alice


def problems(party: Party) -> list[Problem]:
    """What verifying finds."""
    key = party.identity.public
    return list(verify_database(party.db, own_id=party.name, identity_key=key).problems)


@pytest.mark.parametrize("seq", [15, 16])
@pytest.mark.parametrize(
    ("column", "value"), [("time", 5), ("peer", "carol"), ("kind", "BAD_KEY"), ("message", "All is well.")]
)
def test_a_changed_event_is_found_in_its_place(alarmed: Party, seq: int, column: str, value: object) -> None:
    run(alarmed.db, f"UPDATE security_event SET {column} = ? WHERE seq = ?", value, seq)
    (problem,) = problems(alarmed)
    assert (problem.seq, problem.kind) == (seq, "EVENT")
    assert "was changed" in problem.sentence


@pytest.mark.parametrize("seq", [15, 16])
def test_a_removed_event_is_found_in_its_place(alarmed: Party, seq: int) -> None:
    run(alarmed.db, "DELETE FROM security_event WHERE seq = ?", seq)
    (problem,) = problems(alarmed)
    assert (problem.seq, problem.sentence) == (seq, f"The security event of entry {seq} is missing.")


@pytest.mark.parametrize(
    ("seq", "words"),
    [(5, "tells of none"), (-1, "no such entry"), (17, "no such entry"), (18, "no such entry")],
)
def test_an_invented_event_is_found_in_its_place(alarmed: Party, seq: int, words: str) -> None:
    run(alarmed.db, "INSERT INTO security_event VALUES (?, 1, 'bob', 'BAD_KEY', 'invented', NULL)", seq)
    found = problems(alarmed)
    assert (found[0].seq, found[0].kind, len(found)) == (seq, "EVENT", 1)
    assert words in found[0].sentence


def test_an_event_beside_a_refusal_that_raised_none_is_found(alarmed: Party) -> None:
    plain = alarmed.append_entry(refused(security={}))
    unreadable = alarmed.append_entry(refused(message_type="INVALID", security={"refused": "BAD_FIELD"}))
    assert problems(alarmed) == []
    for entry in (plain, unreadable):
        run(
            alarmed.db,
            "INSERT INTO security_event VALUES (?, ?, 'bob', 'BAD_FIELD', 'x', NULL)",
            entry.seq,
            NOW,
        )
    assert [p.seq for p in problems(alarmed)] == [plain.seq, unreadable.seq]


def test_that_a_person_has_seen_an_event_changes_nothing(alarmed: Party) -> None:
    assert alarmed.db.write_sync(lambda s: audit_log.see_security_events(s, 16, NOW)) == 2
    assert problems(alarmed) == []


def test_events_whose_details_retention_deleted_are_not_accused(alarmed: Party) -> None:
    alarmed.db.write_sync(lambda s: log_retention.forget_before(s, NOW + 90_000, NOW))
    assert problems(alarmed) == []
    run(alarmed.db, "UPDATE security_event SET peer = 'carol' WHERE seq = 15")
    assert [p.seq for p in problems(alarmed)] == [15]


def test_without_events_an_honest_log_has_none(talk: Talk) -> None:
    told = SecurityEvents(())
    assert [told.feed(item) for item in entries(talk.alice.db)] == [[]] * 14
    assert told.finish() == []
