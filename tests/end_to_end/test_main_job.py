"""The main job on real parts: two agents with their own keys and databases, a relay process, a listener on the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.events import Direction, LogRow, ProposalChanged, Verified
from agentnet_desktop.store.errors import StoreError
from tests.end_to_end.people import LIMIT_S, Person, acquaint, new_person, person
from tests.end_to_end.tee import Tee
from tests.processes import RelayProcess

TITLE = "Zwetschgenkuchen at the Observatory"
NOTE = "Let us rather meet in springtime"
DRAFT = ProposalDraft(
    title=TITLE,
    start="2030-05-06T10:00:00+02:00",
    end="2030-05-06T11:00:00+02:00",
    time_zone="Europe/Berlin",
    location="Royal Greenwich",
)
Friends = tuple[Person, Person]


async def asked(who: Person, *, since: int = 0) -> str:
    """Wait for a proposal to reach a person; returns its ref."""
    event = await who.until(ProposalChanged, lambda e: e.arrived, since=since)
    return event.view.ref


def kinds(rows: list[LogRow], direction: Direction) -> set[str]:
    return {row.message_type for row in rows if row.direction == direction}


async def test_a_query_is_answered_within_working_hours(friends: Friends) -> None:
    alice, bob = friends
    request = await alice.agent.query(
        bob.id,
        "AVAILABILITY",
        {
            "startDate": "2030-05-06T00:00:00Z",
            "endDate": "2030-05-10T00:00:00Z",
            "timeZone": "Europe/Berlin",
            "durationMinutes": 30,
        },
    )
    answer = await alice.agent.wait_query(request, LIMIT_S)
    assert answer is not None
    assert answer.error is None
    assert answer.data is not None
    assert answer.data["slots"]
    assert all(slot["start"] < slot["end"] for slot in answer.data["slots"])


async def test_an_accepted_proposal_is_accepted_on_both_sides_and_told_in_both_logs(friends: Friends) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose([bob.id], DRAFT)
    ref = await asked(bob)
    received = await bob.agent.proposal(ref)
    assert (received.title, received.location, received.state) == (TITLE, "Royal Greenwich", "PENDING")
    assert (received.start, received.end) == (sent.start, sent.end)

    await bob.agent.accept(ref)
    answered = await alice.agent.wait_proposal(sent.ref, LIMIT_S)
    assert answered is not None
    assert answered.state == "ACCEPTED"
    assert (await bob.agent.proposal(ref)).state == "ACCEPTED"

    for who, out, came in ((alice, "PROPOSAL", "CONFIRMATION"), (bob, "CONFIRMATION", "PROPOSAL")):
        rows = await who.log()
        assert {"HANDSHAKE", out} <= kinds(rows, Direction.OUT)
        assert {"HANDSHAKE", came} <= kinds(rows, Direction.IN)
        assert all(row.encrypted for row in rows if row.message_type in (out, came))
        assert all(row.verified is Verified.GOOD for row in rows if row.message_type == came)


async def test_the_log_shows_a_message_decrypted_and_as_it_crossed_the_wire(friends: Friends) -> None:
    alice, bob = friends
    await alice.agent.propose([bob.id], DRAFT)
    await asked(bob)
    for who in (alice, bob):
        (row,) = await who.log("type:PROPOSAL")
        detail = await who.agent.log.detail(row.seq)
        assert detail is not None
        assert detail.content is not None
        assert detail.content["details"]["title"] == TITLE
        assert TITLE.encode() in (detail.plaintext or b"")
        assert detail.wire
        assert TITLE.encode() not in detail.wire
        assert b"ENCRYPTED" in detail.wire


async def test_a_declined_proposal_brings_its_reason_and_note_back(friends: Friends) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose([bob.id], DRAFT)
    await bob.agent.decline(await asked(bob), reason="SCHEDULE_CONFLICT", note=NOTE)
    answered = await alice.agent.wait_proposal(sent.ref, LIMIT_S)
    assert answered is not None
    assert (answered.state, answered.reason, answered.note) == ("REJECTED", "SCHEDULE_CONFLICT", NOTE)


async def test_a_proposal_made_while_the_relay_is_down_arrives_once_it_is_back(
    friends: Friends, relay: RelayProcess
) -> None:
    alice, bob = friends
    before = len(alice.told), len(bob.told)
    relay.kill()
    await asyncio.gather(alice.disconnected(since=before[0]), bob.disconnected(since=before[1]))

    (sent,) = await alice.agent.propose([bob.id], DRAFT)
    assert [row.message_type for row in await alice.agent.outbox()] == ["PROPOSAL"]
    back = len(alice.told), len(bob.told)
    await asyncio.to_thread(relay.start)
    alice.agent.reconnect_now()
    bob.agent.reconnect_now()
    await asyncio.gather(alice.connected(since=back[0]), bob.connected(since=back[1]))

    await bob.agent.accept(await asked(bob))
    answered = await alice.agent.wait_proposal(sent.ref, LIMIT_S)
    assert answered is not None
    assert answered.state == "ACCEPTED"
    assert len([e for e in bob.told if isinstance(e, ProposalChanged) and e.arrived]) == 1
    (row,) = await bob.log("type:PROPOSAL")
    assert row.direction is Direction.IN


async def test_an_answer_given_while_the_relay_is_down_arrives_once_it_is_back(
    friends: Friends, relay: RelayProcess
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose([bob.id], DRAFT)
    ref = await asked(bob)
    before = len(bob.told)
    relay.kill()
    await bob.disconnected(since=before)
    await bob.agent.accept(ref)
    await asyncio.to_thread(relay.start)
    for who in friends:
        who.agent.reconnect_now()
    answered = await alice.agent.wait_proposal(sent.ref, LIMIT_S)
    assert answered is not None
    assert answered.state == "ACCEPTED"


async def test_a_proposal_made_before_a_restart_of_its_agent_is_still_sent(
    alice: Person, relay: RelayProcess, tmp_path: Path
) -> None:
    async with new_person(tmp_path / "carol", "carol", relay.invite()) as carol:
        await carol.connected()
        await acquaint(alice, carol)
        before = len(carol.told)
        relay.kill()
        await carol.disconnected(since=before)
        await carol.agent.propose([alice.id], DRAFT)
    await asyncio.to_thread(relay.start)
    alice.agent.reconnect_now()
    async with person(tmp_path / "carol") as carol:
        await carol.connected()
        received = await alice.agent.proposal(await asked(alice))
        assert (received.peer, received.title) == ("carol", TITLE)


async def test_neither_the_relay_nor_the_disk_ever_holds_a_plaintext(
    friends: Friends, tee: Tee, relay: RelayProcess
) -> None:
    alice, bob = friends
    (sent,) = await alice.agent.propose([bob.id], DRAFT)
    await bob.agent.decline(await asked(bob), note=NOTE)
    assert await alice.agent.wait_proposal(sent.ref, LIMIT_S) is not None

    heard = tee.heard()
    assert heard.count(b"ENCRYPTED") >= 4  # proposal and rejection, each on its way to the relay and from it
    on_disk = {
        path: path.read_bytes()
        for root in (alice.root, bob.root, relay.data_dir)
        for path in root.rglob("*")
        if path.is_file()
    }
    assert any(path.stat().st_size > 4096 for path in on_disk)
    for secret in (TITLE, NOTE, "Royal Greenwich", "2030-05-06T10:00:00"):
        assert secret.encode() not in heard
        assert [path for path, content in on_disk.items() if secret.encode() in content] == []


@pytest.mark.parametrize("tampered", ["alice", "bob"])
async def test_an_agent_whose_database_was_swapped_does_not_start(
    friends: Friends, tampered: str, tmp_path: Path
) -> None:
    owner, other = friends if tampered == "alice" else friends[::-1]
    await owner.holder.close()
    await other.holder.close()
    database = owner.holder.paths.database
    database.write_bytes(other.holder.paths.database.read_bytes())
    with pytest.raises(StoreError):
        async with person(owner.root):
            pass
