"""The log that two real agents made of one conversation: whatever is done to it is found, and the place named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.orm import Session

from agentnet_desktop.audit.exported import verify_file
from agentnet_desktop.audit.items import Item
from agentnet_desktop.audit.verify import Report, Verifier
from agentnet_desktop.crypto import chain
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import Anchor
from relay.wire.envelope import Envelope, MessageType, Priority, metadata
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.audit.conftest import entries


@pytest.fixture
async def spoken(world: World, friends: tuple[Peer, Peer]) -> Peer:
    """Alice after a query, two proposals and their answers, with Bob."""
    alice, bob = friends
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await alice.agent.propose(["bob"], draft("Lunch"))
    await bob.agent.propose(["alice"], draft("Tea"))
    await world.settle()
    for peer in (alice, bob):
        for shown in await peer.agent.proposals():
            if shown.ref in peer.arrivals():
                await peer.agent.accept(shown.ref)
    await world.settle()
    await alice.agent._anchors.anchor()
    assert (await alice.agent.proof.verify()).intact
    return alice


def judged(items: list[Item], peer: Peer) -> Report:
    """Verifies entries against what the agent's database holds of its head."""
    anchors = peer.db.read_sync(audit_log.anchors)
    key = peer.identity.public
    verifier = Verifier(peer.agent_id, identity_key=key, anchors=anchors, keys={peer.agent_id: (key,)})
    for item in items:
        verifier.feed(item)
    return verifier.finish()


def changes(item: Item) -> list[Item]:
    """Every way to change one thing of one entry."""
    body = dict(item.body or {})
    found = []
    for name, value in body.items():
        other = (value + 1) if isinstance(value, int) else f"{value or ''}0"
        found.append(replace(item, body=body | {name: (not value) if isinstance(value, bool) else other}))
    for name in ("entry_hash", "previous_hash", "wire", "plaintext", "details", "salt"):
        data = getattr(item, name)
        if data:
            found.append(replace(item, **{name: data[:-1] + bytes([data[-1] ^ 1])}))
    return [*found, replace(item, summary="invented"), replace(item, content={"invented": 1})]


async def test_every_change_of_every_entry_is_found_in_its_place(spoken: Peer) -> None:
    items = entries(spoken.db)
    assert len(items) > 25
    assert judged(items, spoken).intact
    chosen = random.Random(4)
    for place, item in enumerate(items):
        for changed in chosen.sample(changes(item), 6):
            bad = judged([*items[:place], changed, *items[place + 1 :]], spoken).first_bad
            assert bad is not None
            assert bad.seq in (item.seq, item.seq + 1, changed.text("seq"), (changed.body or {})["seq"])


async def test_every_deletion_insertion_swap_and_truncation_is_found_in_its_place(spoken: Peer) -> None:
    items = entries(spoken.db)
    for place in range(len(items) - 1):
        forged = {
            "deleted": [*items[:place], *items[place + 1 :]],
            "doubled": [*items[: place + 1], *items[place:]],
            "swapped": [*items[:place], items[place + 1], items[place], *items[place + 2 :]],
            "cut off": items[: place + 1],
        }
        for what, attempt in forged.items():
            report = judged(attempt, spoken)
            assert not report.intact, (what, place)
            where = {problem.seq for problem in report.problems if problem.kind != "RECEIPT_MISSING"}
            assert min(where) in (place + 1, place + 2), (what, place, report.problems)


async def test_a_log_made_anew_from_any_place_is_found_by_a_signed_head(spoken: Peer) -> None:
    items = entries(spoken.db)
    for left_out in range(len(items)):
        previous, forged = chain.GENESIS, []
        for place, item in enumerate([*items[:left_out], *items[left_out + 1 :]], 1):
            body = {**(item.body or {}), "seq": place}
            made = chain.entry_hash(previous, jcs(body))
            forged.append(replace(item, seq=place, body=body, previous_hash=previous, entry_hash=made))
            previous = made
        kinds = {problem.kind for problem in judged(forged, spoken).problems}
        assert kinds & {"REWRITTEN", "TRUNCATED"}, left_out


async def test_rows_removed_together_with_what_the_database_says_of_them_are_found_outside_it(
    spoken: Peer,
) -> None:
    """What the threat model states: the database's own anchors go with the rows; the key store's do not."""
    end = await spoken.db.read(audit_log.head)
    items = entries(spoken.db)[:3]  # whose deliveries have no step after them
    quiet = Verifier(spoken.agent_id, identity_key=spoken.identity.public)
    told = Verifier(
        spoken.agent_id,
        identity_key=spoken.identity.public,
        anchors=[Anchor(end.seq, end.entry_hash, "KEYRING", "", 0)],
    )
    for item in items:
        quiet.feed(item)
        told.feed(item)
    assert quiet.finish().intact
    assert [problem.kind for problem in told.finish().problems] == ["TRUNCATED"]


def change(peer: Peer, statement: str, *parameters: object) -> None:
    """Changes the database behind the agent's back."""

    def job(session: Session) -> None:
        session.connection().exec_driver_sql(statement, parameters)

    peer.db.write_sync(job)


def stored(peer: Peer, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table."""
    statement = f"SELECT * FROM {table} ORDER BY 1"
    return [tuple(r) for r in peer.db.read_sync(lambda s: s.connection().exec_driver_sql(statement).all())]


def put_back(peer: Peer, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Makes a table what it was."""
    change(peer, f"DELETE FROM {table}")
    marks = ", ".join("?" * len(rows[0]))
    for row in rows:
        change(peer, f"INSERT INTO {table} VALUES ({marks})", *row)


async def test_every_changed_deleted_swapped_or_added_step_of_a_delivery_is_found(spoken: Peer) -> None:
    rows = stored(spoken, "log_step")
    assert len(rows) > 8
    first, second = rows[0][0], rows[1][0]
    forgeries = [
        (f"UPDATE log_step SET {column} = {value} WHERE row_id = {row[0]}", row)
        for row in rows
        for column, value in (
            ("seq", "seq - 1"),
            ("time", "time + 1"),
            ("state", "'EXPIRED'"),
            ("detail", "detail || '.'"),
            ("after_seq", "after_seq + 1"),
            ("after_seq", "after_seq - 1"),
            ("after_seq", "1000000"),
        )
    ]
    forgeries += [(f"DELETE FROM log_step WHERE row_id = {row[0]}", row) for row in rows]
    added = "INSERT INTO log_step (seq, time, state, detail, after_seq) SELECT seq, time, state, detail, after_seq"
    forgeries += [(f"{added} FROM log_step WHERE row_id = {row[0]}", row) for row in rows]
    forgeries.append((f"UPDATE log_step SET row_id = {first} + {second} - row_id + 1000", rows[0]))
    forgeries.append(("UPDATE log_step SET seq = 1000000 WHERE row_id = 1", rows[0]))
    forgeries.append(("INSERT INTO log_step VALUES (999, 1000000, 1, 'SENT', '', 1)", rows[0]))
    for statement, row in forgeries:
        change(spoken, statement)
        report = await spoken.agent.proof.verify()
        kinds = {problem.kind for problem in report.problems}
        assert kinds & {"HISTORY", "STRAY", "STATE"}, (statement, row, report.problems)
        put_back(spoken, "log_step", rows)
    assert (await spoken.agent.proof.verify()).intact


async def test_a_delivery_state_that_is_changed_is_found_in_its_place(spoken: Peer) -> None:
    for seq, state in [(row[0], row[-2]) for row in stored(spoken, "log_entry")]:
        change(spoken, "UPDATE log_entry SET state = 'ROUTED' || state WHERE seq = ?", seq)
        bad = (await spoken.agent.proof.verify()).first_bad
        assert bad is not None
        assert (bad.seq, bad.kind) == (seq, "STATE")
        change(spoken, "UPDATE log_entry SET state = ? WHERE seq = ?", state, seq)


async def test_a_receipt_that_came_covers_the_step_that_it_caused(spoken: Peer) -> None:
    """So even the log's very last step cannot be taken away: the receipt's own entry names it."""
    items = entries(spoken.db)
    made_by = {step.state: items[step.after_seq] for item in items for step in item.steps[1:]}
    assert made_by["DELIVERED"].text("messageType") == "ACK"
    assert made_by["ROUTED"].text("messageType") == "ACK"
    assert {"stepsHash"} <= set(made_by["DELIVERED"].body or {})


async def test_steps_changed_in_an_export_are_found(spoken: Peer, tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    await spoken.agent.proof.export(out)
    lines = out.read_text().splitlines()
    told = [n for n, line in enumerate(lines) if len(json.loads(line).get("steps", ())) > 1]
    assert len(told) > 3
    for number in told:
        line = json.loads(lines[number])
        line["steps"][1]["time"] += 1
        out.write_text("\n".join([*lines[:number], json.dumps(line), *lines[number + 1 :]]) + "\n")
        assert "HISTORY" in {problem.kind for problem in verify_file(out).problems}


async def test_what_a_filter_leaves_out_still_proves_the_steps_that_are_shown(
    spoken: Peer, tmp_path: Path
) -> None:
    out = tmp_path / "log.jsonl"
    await spoken.agent.proof.export(out, expr="type:ack")
    assert verify_file(out).intact
    lines = out.read_text().splitlines()
    hidden = [
        n for n, line in enumerate(lines) if json.loads(line).get("stub") and "steps" in json.loads(line)
    ]
    assert len(hidden) > 3
    for number in hidden:
        line = json.loads(lines[number])
        del line["steps"]
        out.write_text("\n".join([*lines[:number], json.dumps(line), *lines[number + 1 :]]) + "\n")
        assert "HISTORY" in {problem.kind for problem in verify_file(out).problems}


async def test_a_security_event_that_was_changed_or_removed_is_found_in_its_place(
    world: World, spoken: Peer
) -> None:
    world.relay.inject(
        Envelope(
            message_id="msg_clear",
            conversation_id="conv_clear",
            sender_id="bob",
            recipient_id="alice",
            message_type=MessageType.QUERY,
            content={},
            timestamp=world.clock.now,
            metadata=metadata(Priority.HIGH, encrypted=False, requires_response=False),
        )
    )
    await world.settle()
    (event,) = await spoken.agent.log.security()
    assert (await spoken.agent.proof.verify()).intact
    for statement in ("UPDATE security_event SET message = 'All is well.'", "DELETE FROM security_event"):
        change(spoken, statement)
        bad = (await spoken.agent.proof.verify()).first_bad
        assert bad is not None
        assert (bad.seq, bad.kind) == (event.seq, "EVENT")


async def test_an_entry_before_the_first_is_found(spoken: Peer) -> None:
    columns = stored(spoken, "pragma_table_info('log_entry')")
    rest = ", ".join(str(column[1]) for column in columns if column[1] not in ("seq", "summary"))
    change(
        spoken,
        f"INSERT INTO log_entry (seq, summary, {rest}) SELECT -1, 'I owe you 1000', {rest} FROM log_entry WHERE seq = 5",
    )
    bad = (await spoken.agent.proof.verify()).first_bad
    assert bad is not None
    assert (bad.seq, bad.kind) == (-1, "STRAY")


def invent_plaintext(line: dict[str, object]) -> None:
    line["plaintext"] = "eyJkYXRhIjp7ImludmVudGVkIjoxfX0="


def invent_content(line: dict[str, object]) -> None:
    line["content"] = {"title": "something else"}


@pytest.mark.parametrize("invent", [invent_plaintext, invent_content])
async def test_what_was_never_said_is_found_in_an_export(
    spoken: Peer, tmp_path: Path, invent: Callable[[dict[str, object]], None]
) -> None:
    out = tmp_path / "log.jsonl"
    await spoken.agent.proof.export(out)
    good = verify_file(out)
    assert good.intact
    assert good.anchored_to == good.last
    lines = out.read_text().splitlines()
    sealed = [n for n, line in enumerate(lines) if '"plaintext":' in line]
    assert len(sealed) > 5
    for number in sealed:
        line = json.loads(lines[number])
        invent(line)
        out.write_text("\n".join([*lines[:number], json.dumps(line), *lines[number + 1 :]]) + "\n")
        bad = verify_file(out).first_bad
        assert bad is not None
        assert bad.seq == line["seq"]
