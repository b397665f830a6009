"""The log as evidence, the figures, and what a person does about keys, over real agents."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from agentnet_desktop.agent import proof
from agentnet_desktop.agent.errors import AgentError, BadInput
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.audit.compare import Difference, compare_files
from agentnet_desktop.audit.export import ExportFormat
from agentnet_desktop.audit.items import item_from
from tests.agent.conftest import WEEK, Peer, World, draft
from tests.agent.test_trust import ask_without_link, change_key
from tests.audit.conftest import signed_end

HOUR_MS = 3_600_000


async def talk(world: World, friends: tuple[Peer, Peer]) -> None:
    """Alice asks Bob something, and proposes."""
    alice, _ = friends
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await alice.agent.propose(["bob"], draft("Secret dinner"))
    await world.settle()


async def test_a_log_is_verified_to_its_end_and_that_is_remembered(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    await talk(world, friends)
    assert await alice.agent.proof.last_verified() is None
    places: list[int] = []
    report = await alice.agent.proof.verify(places.append)
    assert report.intact
    assert report.unproven == 0
    assert places[-1] == report.last
    last = await alice.agent.proof.last_verified()
    assert last is not None
    assert (last.seq, last.bad, last.time) == (report.last, 0, world.clock.now)


async def test_a_changed_entry_is_remembered_as_the_first_bad_one(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    await talk(world, friends)
    await alice.db.write(
        lambda session: session.execute(text("UPDATE log_entry SET summary = 'invented' WHERE seq = 5"))
    )
    report = await alice.agent.proof.verify()
    assert report.first_bad is not None
    assert report.first_bad.seq == 5
    last = await alice.agent.proof.last_verified()
    assert last is not None
    assert last.bad == 5


async def test_an_export_opens_verified_with_its_rows_and_compares_with_the_peers(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    alice, bob = friends
    await talk(world, friends)
    await alice.agent.proof.export(tmp_path / "a.jsonl")
    await bob.agent.proof.export(tmp_path / "b.jsonl")
    opened = await alice.agent.proof.open(tmp_path / "b.jsonl")
    assert opened.report.intact
    assert opened.header.agent_id == "bob"
    assert any("Secret dinner" in row.summary for row in opened.rows)
    assert await alice.agent.proof.compare(tmp_path / "a.jsonl", tmp_path / "b.jsonl") == []


async def test_a_peers_export_is_verified_up_to_the_heads_in_its_receipts(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    alice, bob = friends
    await talk(world, friends)
    await bob.agent.proof.export(tmp_path / "old.jsonl")
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    await bob.agent.proof.export(tmp_path / "new.jsonl")
    old, new = [await alice.agent.proof.verify_export(tmp_path / f"{age}.jsonl") for age in ("old", "new")]
    assert (old.intact, new.intact) == (True, True)
    assert 0 < old.held_to < new.held_to
    assert (await alice.agent.proof.open(tmp_path / "new.jsonl")).report.held_to == new.held_to


async def test_an_export_cut_off_before_a_receipt_is_found_by_who_has_the_receipt(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    alice, bob = friends
    await talk(world, friends)
    await bob.agent.proof.export(tmp_path / "old.jsonl")
    await alice.agent.query("bob", "AVAILABILITY", WEEK)
    await world.settle()
    header, *rest = map(json.loads, (tmp_path / "old.jsonl").read_text().splitlines())
    header |= {"exportedAt": world.clock.now + HOUR_MS}
    rest[-1] = signed_end(bob.identity, header, [item_from(line) for line in rest[:-1]])
    lines = [json.dumps(line) for line in (header, *rest)]
    (tmp_path / "old.jsonl").write_text("\n".join(lines) + "\n")
    (problem,) = (await alice.agent.proof.verify_export(tmp_path / "old.jsonl")).problems
    assert problem.kind == "HEAD_MISSING"
    assert problem.sentence.startswith("bob signed its log's state")


async def test_ones_own_older_export_is_intact_and_another_log_under_the_own_name_is_not(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    alice, _ = friends
    await talk(world, friends)
    await alice.agent.proof.export(tmp_path / "a.jsonl")
    await talk(world, friends)
    await alice.agent._anchors.anchor()
    report = await alice.agent.proof.verify_export(tmp_path / "a.jsonl")
    assert report.problems == ()
    assert report.held_to > 0
    await alice.db.write(
        lambda session: session.execute(
            text("UPDATE log_anchor SET entry_hash = zeroblob(32) WHERE kind = 'PEER' AND seq = :seq"),
            {"seq": report.held_to},
        )
    )
    kinds = {p.kind for p in (await alice.agent.proof.verify_export(tmp_path / "a.jsonl")).problems}
    assert kinds == {"REWRITTEN"}


async def test_statements_newer_than_ones_own_export_do_not_judge_it(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    """As after restoring a back-up, when a new log began under the old identity."""
    alice, _ = friends
    await talk(world, friends)
    await alice.agent.proof.export(tmp_path / "a.jsonl")
    newer = {"time": world.clock.now + 1}
    await alice.db.write(
        lambda session: session.execute(
            text("UPDATE log_anchor SET entry_hash = zeroblob(32), signature = NULL, time = :time"), newer
        )
    )
    assert (await alice.agent.proof.verify_export(tmp_path / "a.jsonl")).intact


async def test_a_redacted_export_of_a_filter_tells_nothing_and_verifies(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    alice, bob = friends
    await talk(world, friends)
    out = tmp_path / "a.jsonl"
    done = await alice.agent.proof.export(out, expr="type:PROPOSAL", redact=True)
    assert (done.entries, done.stubs > 0) == (1, True)
    assert b"Secret dinner" not in out.read_bytes()
    opened = await bob.agent.proof.open(out)
    assert opened.report.intact
    assert [row.summary for row in opened.rows] == [""]


async def test_an_invented_key_of_a_contact_is_found_when_its_export_is_opened(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    alice, bob = friends
    await talk(world, friends)
    await bob.agent.proof.export(tmp_path / "b.jsonl")
    imposter = await change_key(world, bob)
    await imposter.agent.proof.export(tmp_path / "b.jsonl")
    opened = await alice.agent.proof.open(tmp_path / "b.jsonl")
    assert "IDENTITY" in {problem.kind for problem in opened.report.problems}


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        ("open", BadInput, "not JSON"),
        ("missing", AgentError, "cannot be read"),
        ("same", BadInput, "logs of two parties"),
        ("folder", AgentError, "cannot be written"),
        ("filter", BadInput, "colour"),
    ],
)
async def test_what_is_wrong_with_a_file_is_told_in_words(
    alice: Peer, tmp_path: Path, act: str, kind: type[AgentError], words: str
) -> None:
    asked = alice.agent.proof
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad"
    await asked.export(good)
    bad.write_text("no export\n")
    calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "open": lambda: asked.open(bad),
        "missing": lambda: asked.open(tmp_path / "none"),
        "same": lambda: asked.compare(good, good),
        "folder": lambda: asked.export(tmp_path / "no" / "x.csv", file_format=ExportFormat.CSV),
        "filter": lambda: asked.export(tmp_path / "x", expr="colour:red"),
    }
    with pytest.raises(kind, match=words):
        await calls[act]()
    names = {path.name for path in await asyncio.to_thread(lambda: list(tmp_path.iterdir()))}
    assert not any(name.endswith(".part") for name in names)


async def test_a_cut_export_opens_with_what_is_there_and_says_so(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path
) -> None:
    alice, _ = friends
    await talk(world, friends)
    out = tmp_path / "a.jsonl"
    await alice.agent.proof.export(out)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:6]) + b"{ not json\n")
    opened = await alice.agent.proof.open(out)
    assert len(opened.rows) == 5
    assert opened.report.first_bad is not None


async def test_a_cancelled_verification_stops(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    await talk(world, friends)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tick(_place: int) -> None:
        loop.call_soon_threadsafe(begun.set)

    task = asyncio.ensure_future(alice.agent.proof.verify(tick))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_comparison_stops(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = friends
    await talk(world, friends)
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for peer, file in zip(friends, files, strict=True):
        await peer.agent.proof.export(file)
    begun, ended = asyncio.Event(), asyncio.Event()
    go_on = threading.Event()
    loop = asyncio.get_running_loop()
    outcome: list[BaseException | None] = []

    def watched(first: Path, second: Path, tick: Callable[[int], None]) -> list[Difference]:
        def slow(place: int) -> None:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(10)
            tick(place)

        try:
            found = compare_files(first, second, slow)
        except BaseException as stopped:
            outcome.append(stopped)
            raise
        else:
            outcome.append(None)
            return found
        finally:
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(proof, "compare_files", watched)
    task = asyncio.ensure_future(alice.agent.proof.compare(*files))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await ended.wait()
    assert [type(stopped).__name__ for stopped in outcome] == ["_Stopped"]


async def test_figures_tell_latency_and_connections(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    await talk(world, friends)
    figures = await alice.agent.figures()
    assert (figures.connections, figures.reconnections, figures.retries) == (1, 0, 0)
    assert figures.delivered >= 2
    assert figures.latency_p50_ms is not None
    world.relay.cut("alice")
    await world.settle()
    world.relay.restore("alice")
    await world.settle()
    again = await alice.agent.figures()
    assert (again.connections, again.reconnections) == (2, 1)
    assert again.connected_since is not None


async def test_session_keys_tell_their_age_and_next_rotation(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    (view,) = await alice.agent.session_keys()
    assert view.peer == "bob"
    assert view.rotates_at == view.since + 30 * DAY_MS
    assert view.rotates_after == 1000


@pytest.mark.parametrize("send", [True, False])
async def test_messages_held_after_an_accepted_key_are_sent_or_given_up_by_the_person(
    world: World, friends: tuple[Peer, Peer], send: bool
) -> None:
    alice, bob = friends
    world.relay.cut("alice")
    await world.settle()
    await bob.agent.propose(["alice"], draft("Old"))
    new = await change_key(world, alice)
    await ask_without_link(world, new, bob)
    (changed,) = await bob.agent.contacts()
    assert changed.candidate_safety_number not in ("", changed.safety_number)
    assert (await bob.agent.accept_key("alice")).held
    await world.settle()
    assert [row.held for row in await bob.agent.outbox()] == [True]
    assert new.arrivals() == []
    count = await (bob.agent.release_messages("alice") if send else bob.agent.drop_messages("alice"))
    await world.settle()
    assert count == 1
    assert len(new.arrivals()) == int(send)
    assert not any(row.held for row in await bob.agent.outbox())
    assert not (await bob.agent.contacts())[0].held
