"""`agentnet meet`, between two real shells."""

from __future__ import annotations

from tests.cli.shells import Shell

WEEK = ("--minutes", "30", "--from", "2031-06-02", "--to", "2031-06-07", "--tz", "Etc/UTC")


def test_a_time_that_suits_both_is_proposed_and_accepted(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    accepting = bob.run("--answer", "accept")
    done = alice("meet", "bob", *WEEK, "--title", "Plan", "--wait", "30", "--json")
    assert (done.code, done.err) == (0, "")
    (row,) = done.rows
    assert (row["state"], row["title"], row["end"] - row["start"]) == ("ACCEPTED", "Plan", 30 * 60_000)
    assert len(row["alternatives"]) == 4
    assert accepting.stop() == 0


def test_nothing_is_proposed_where_no_time_suits(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    running = bob.run("--answer", "accept")
    sunday = ("--minutes", "30", "--from", "2031-06-01", "--to", "2031-06-02", "--tz", "Etc/UTC")
    none = alice("meet", "bob", *sunday)
    assert (none.code, none.out) == (3, "No time in that stretch suits everyone. Nothing was proposed.\n")
    assert bob("policy", "set", "alice", "AVAILABILITY", "deny").code == 0
    denied = alice("meet", "bob", *WEEK)
    assert denied.code == 3
    assert denied.out.startswith("bob did not say: PERMISSION_DENIED")
    assert alice("proposals", "--json").rows == []
    assert running.stop() == 0
