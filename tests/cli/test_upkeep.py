"""What the log keeps, and messages that are held: with and beside a running agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.compose import open_profile, system_clock
from agentnet_desktop.store import audit_log, contacts, outbox
from agentnet_desktop.store.audit_log import NewEntry
from tests.cli.shells import WORDS, Shell
from tests.processes import RelayProcess

MEETING = ("--title", "Coffee", "--start", "2031-06-02T15:00", "--end", "2031-06-02T16:00")
Make = Callable[..., Shell]


def in_database(shell: Shell, job: Callable[[Session], object]) -> None:
    """Writes into the database of a profile that nobody holds."""

    async def write() -> None:
        holder = await open_profile(shell.profile, passphrase=WORDS)
        try:
            await holder.database.write(job)
        finally:
            await holder.close()

    asyncio.run(write())


def note(shell: Shell, count: int, age_days: int) -> None:
    """Puts notes into the log, written so many days ago."""
    time = system_clock() - age_days * DAY_MS
    one = NewEntry(time, "local", "NOTE", "LOCAL", "", content={"text": "what was said"})
    in_database(shell, lambda session: audit_log.append_many(session, [one] * count))


def test_contents_are_kept_for_ever_until_the_person_says_otherwise(shell: Make) -> None:
    alice = shell("alice")
    note(alice, 5, age_days=40)
    shown = alice("log", "retention")
    assert shown.code == 0, shown.err
    assert "5 of 5 log entries have their content" in shown.out
    assert "kept for ever, whatever their size" in shown.out
    (row,) = alice("log", "retention", "--json").rows
    assert (row["days"], row["megabytes"], row["kept"]) == (None, None, 5)
    assert row["file"] > 0


def test_old_contents_go_at_once_and_the_log_still_verifies(shell: Make) -> None:
    alice = shell("alice")
    note(alice, 500, age_days=40)
    note(alice, 3, age_days=1)
    (row,) = alice("log", "retention", "--days", "30", "--json").rows
    assert (row["days"], row["megabytes"]) == (30, None)
    assert 3 <= row["kept"] <= 8
    verified = alice("log", "verify")
    assert (verified.code, verified.out.startswith("Intact")) == (0, True)


def test_one_limit_is_set_without_touching_the_other(shell: Make) -> None:
    alice = shell("alice")
    alice("log", "retention", "--days", "30")
    (row,) = alice("log", "retention", "--size", "500", "--json").rows
    assert (row["days"], row["megabytes"]) == (30, 500)
    words = alice("log", "retention", "--forever").out
    assert "kept for ever, up to 500 MB in all" in words
    (row,) = alice("log", "retention", "--no-limit", "--json").rows
    assert (row["days"], row["megabytes"]) == (None, None)


def test_a_rule_is_set_beside_the_running_agent(shell: Make, relay_process: RelayProcess) -> None:
    alice = shell("alice", relay_process)
    note(alice, 20, age_days=40)
    running = alice.run()
    (row,) = alice("log", "retention", "--days", "30", "--json").rows
    assert (row["days"], row["kept"] < 20) == (30, True)
    (seen,) = alice("log", "retention", "--json").rows
    assert seen["days"] == 30
    assert running.stop() == 0
    assert any(row["messageType"] == "RETENTION" for row in running.rows())


def hold(shell: Shell) -> None:
    """Holds what waits for Bob, as accepting his changed key does."""

    def job(session: Session) -> None:
        bob = contacts.get(session, "bob")
        assert bob is not None
        contacts.save(session, replace(bob, held=1))
        assert outbox.park_peer(session, "bob", "KEY_CHANGED") == 1

    in_database(shell, job)


@pytest.mark.parametrize("action", ["release", "drop"])
def test_held_messages_are_sent_or_given_up(contacts: tuple[Shell, Shell], action: str) -> None:
    alice, bob = contacts
    assert alice("propose", "bob", *MEETING).code == 0
    hold(alice)
    assert [row["held"] for row in alice("outbox", "--json").rows] == [True]
    running = bob.run()
    done = alice("contact", action, "bob", "--json")
    assert (done.code, done.rows) == (0, [{"agentId": "bob", "done": action, "messages": 1}]), done.err
    assert [row["held"] for row in alice("outbox", "--json").rows if row["held"]] == []
    again = alice("contact", action, "bob")
    assert again.out == "Nothing is held for bob.\n"
    assert running.stop() == 0
    assert any(row["messageType"] == "PROPOSAL" for row in running.rows()) == (action == "release")


def test_a_doctor_beside_the_agent_says_whether_it_can_store(
    shell: Make, relay_process: RelayProcess
) -> None:
    alice = shell("alice", relay_process)
    running = alice.run()
    rows = {row["check"]: row["state"] for row in alice("doctor", "--json").rows}
    assert rows["storing"] == rows["relay"] == "ok"
    assert running.stop() == 0
