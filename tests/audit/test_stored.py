"""A profile's log is verified as it stands at one moment, whatever the agent does beside it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agentnet_desktop.audit import stored
from agentnet_desktop.audit.exported import verify_file
from agentnet_desktop.audit.stored import verify_database
from agentnet_desktop.crypto import chain
from agentnet_desktop.store import audit_log, log_retention
from agentnet_desktop.store.audit_log import Anchor

from .conftest import NOW, Party, Talk
from .test_export import export


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two entries at a time, so that a short log is walked in many parts."""
    monkeypatch.setattr(stored, "CHUNK", 2)


def work(party: Party) -> Iterator[None]:
    """What an agent does beside: a delivery, a signed head, entries, and what retention deletes."""
    for state in ("ROUTED", "DELIVERED", "FAILED"):
        party.db.write_sync(partial(audit_log.set_state, seq=13, state=state, now=1))
        yield
        party.append_note(state)
        yield
        end = party.db.read_sync(audit_log.head)
        signature = chain.sign_head(party.identity, end.seq, end.entry_hash)
        anchor = Anchor(end.seq, end.entry_hash, "SIGNED", "", 1, signature)
        party.db.write_sync(partial(audit_log.add_anchor, anchor=anchor))
        yield
    party.db.write_sync(lambda s: log_retention.forget_before(s, NOW + 90_000, NOW))
    yield


@pytest.mark.parametrize("place", range(1, 15))
def test_an_honest_log_is_intact_though_the_agent_works_on(talk: Talk, place: int) -> None:
    def progress(seq: int) -> None:
        if seq == place:
            for _ in work(talk.alice):
                continue

    key = talk.alice.identity.public
    report = verify_database(talk.alice.db, own_id="alice", identity_key=key, progress=progress)
    assert report.problems == ()
    assert (report.entries, report.undisclosed) == (14, 0)
    after = verify_database(talk.alice.db, own_id="alice", identity_key=key)
    assert after.entries > 14


@pytest.mark.parametrize("expr", ["", "type:query", "-type:ack"])
def test_an_export_is_of_one_moment_though_the_agent_works_on(talk: Talk, tmp_path: Path, expr: str) -> None:
    left = work(talk.alice)

    def progress(_seq: int) -> None:
        next(left, None)

    made = export(talk.alice, tmp_path / "log.jsonl", expr=expr, progress=progress)
    assert made.entries + made.stubs == 14
    report = verify_file(made.path)
    assert report.problems == ()
    assert report.undisclosed == 0
