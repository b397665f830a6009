"""Two people at two shells and a relay, as README tells them: every process is real."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.cli.shells import Shell
from tests.processes import RelayProcess

MEETING = ("--title", "Coffee and a plan", "--start", "2031-06-02T15:00", "--end", "2031-06-02T16:00")
LATER = ("--title", "Lunch", "--start", "2031-06-03T12:00", "--end", "2031-06-03T13:00")
FIELDS = {
    "seq", "time", "direction", "peer", "conversationId", "messageId", "messageType", "encrypted", "verified",
    "state", "summary", "content",
}  # fmt: skip


def test_from_two_invites_to_an_accepted_meeting(
    new_shell: Callable[[str], Shell], relay_process: RelayProcess
) -> None:
    alice, bob = new_shell("alice"), new_shell("bob")
    for shell, name in ((alice, "alice"), (bob, "bob")):
        made = shell("init", "--agent-id", name, "--invite", relay_process.invite(), "--key-store", "file")
        assert made.code == 0, made.err
        assert f"agentId      {name}" in made.out
        assert "fingerprint  " in made.out
        assert made.err == ""
    running = bob.run("--answer", "accept")
    link = bob("contact", "link")
    assert link.code == 0
    assert link.out.startswith("agentnet://contact/bob?")
    assert alice("contact", "add", link.out.strip(), "--wait", "30").code == 0
    (row,) = alice("contact", "list", "--json").rows
    assert (row["agentId"], row["state"]) == ("bob", "VERIFIED")
    done = alice("propose", "bob", *MEETING, "--tz", "Europe/Berlin", "--wait", "30", "--json")
    assert done.code == 0, done.err
    assert done.rows[0]["state"] == "ACCEPTED"
    assert running.stop() == 0
    rows = running.rows()
    assert all(set(row) >= FIELDS for row in rows)
    proposal = next(row for row in rows if row["messageType"] == "PROPOSAL")
    assert (proposal["direction"], proposal["encrypted"], proposal["verified"]) == ("in", True, True)
    assert proposal["content"]["details"]["title"] == "Coffee and a plan"
    assert proposal["content"]["details"]["timeZone"] == "Europe/Berlin"
    assert any(row["messageType"] == "CONFIRMATION" and row["direction"] == "out" for row in rows)


def test_the_exit_code_tells_accepted_rejected_and_unanswered(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    accepting = bob.run("--answer", "accept")
    assert alice("propose", "bob", *MEETING, "--wait", "30").code == 0
    assert accepting.stop() == 0
    declining = bob.run("--answer", "decline")
    rejected = alice("propose", "bob", *LATER, "--wait", "30")
    assert (rejected.code, "rejected (USER_DECLINED)" in rejected.out) == (3, True)
    assert declining.stop(signal.SIGINT) == 0
    late = alice("propose", "bob", *LATER, "--wait", "0.5", "--json")
    assert (late.code, late.rows[0]["outcome"]) == (4, "no answer yet; still queued")
    waiting = alice("outbox", "--json").rows
    assert [(row["peer"], row["messageType"]) for row in waiting] == [("bob", "PROPOSAL")]
    assert alice("outbox", "cancel", waiting[0]["messageId"]).code == 0


def test_a_person_answers_from_another_shell_beside_the_running_agent(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    running = bob.run()
    waiting = alice.start("propose", "bob", *MEETING, "--wait", "50")
    running.out.until('"messageType":"PROPOSAL"')
    (row,) = bob("proposals", "--json").rows
    assert (row["state"], row["direction"], row["title"]) == ("PENDING", "in", "Coffee and a plan")
    shown = bob("proposals", "show", row["proposalId"])
    assert "from           alice (APPROVED)" in shown.out
    assert bob("proposals", "accept", row["ref"]).code == 0
    waiting.out.until("accepted")
    assert waiting.process.wait(30) == 0
    again = bob("proposals", "accept", row["ref"])
    assert (again.code, again.out) == (1, "")
    cancelled = bob("proposals", "cancel", row["ref"], "--note", "Sorry, I am ill")
    assert cancelled.code == 0, cancelled.err
    running.out.until('"messageType":"REJECTION"')
    assert running.stop() == 0


def test_an_answer_goes_out_without_anybody_holding_the_profile(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    bobs = bob.run()
    assert alice("propose", "bob", *MEETING).code == 0
    bobs.out.until('"messageType":"PROPOSAL"')
    assert bobs.stop() == 0
    alices = alice.run()
    (row,) = bob("proposals", "list", "--json").rows
    assert (
        bob(
            "proposals", "decline", row["proposalId"], "--reason", "TIME_UNSUITABLE", "--note", "Too early"
        ).code
        == 0
    )
    alices.out.until('"messageType":"REJECTION"')
    assert alices.stop() == 0
    shown = alice("proposals", "show", row["proposalId"])
    assert "TIME_UNSUITABLE Too early" in shown.out


def test_a_query_is_answered_and_printed(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    running = bob.run()
    asked = ("query", "bob", "AVAILABILITY", "--from", "2031-06-02", "--to", "2031-06-03", "--tz", "UTC")
    answered = alice(*asked, "--minutes", "60", "--wait", "30", "--json")
    assert answered.code == 0, answered.err
    assert answered.rows[0]["data"]["slots"]
    assert "bob is free" in alice(*asked, "--wait", "30").out
    late = alice("query", "bob", "LOCATION_PREFERENCE", "--wait", "1")  # asks Bob's person, who is not there
    assert late.code == 4
    (request,) = bob("requests", "--json").rows
    assert (request["peer"], request["queryType"]) == ("alice", "LOCATION_PREFERENCE")
    denied = bob("requests", "deny", request["requestId"])
    assert denied.code == 0, denied.err
    assert bob("requests").out == ""
    custom = alice("query", "bob", "CUSTOM", "--name", "weather", "--wait", "30")
    assert (custom.code, "UNAVAILABLE_DATA" in custom.out) == (6, True), custom.out
    assert running.stop() == 0


def test_the_log_is_filtered_limited_and_followed(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    running = bob.run()
    following = bob.start("log", "--follow", "--json", "--limit", "1", "--filter", "with:alice -type:ACK")
    following.out.until('"messageType":"HANDSHAKE"', 40)  # from here on it sees all that comes
    assert alice("propose", "bob", *MEETING).code == 0
    following.out.until('"messageType":"PROPOSAL"', 40)
    assert following.stop() == 128 + signal.SIGTERM
    newest = bob("log", "--limit", "3", "--json").rows
    assert len(newest) == 3
    assert [row["seq"] for row in newest] == sorted(row["seq"] for row in newest)
    found = bob("log", "--filter", "from:alice type:PROPOSAL plan", "--json").rows
    assert [row["content"]["details"]["title"] for row in found] == ["Coffee and a plan"]
    bad = bob("log", "--filter", "after:someday")
    assert (bad.code, bad.out) == (2, "")
    human = bob("log", "--filter", "type:PROPOSAL").out
    assert "<- alice PROPOSAL" in human
    assert running.stop() == 0


def test_both_sides_see_the_same_safety_number_and_can_compare_it(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    number = alice("contact", "verify", "bob").out.strip()
    assert bob("contact", "verify", "alice").out.strip() == number
    assert len(number.split()) == 12
    wrong = bob("contact", "verify", "alice", "--number", "0" * 60)
    assert wrong.code == 1
    assert bob("contact", "list", "--json").rows[0]["state"] == "APPROVED"
    assert bob("contact", "verify", "alice", "--number", number).code == 0
    assert bob("contact", "list", "--json").rows[0]["state"] == "VERIFIED"


def test_a_request_for_contact_is_approved_by_hand_or_by_the_rule_of_a_run(
    shell: Callable[..., Shell], relay_process: RelayProcess
) -> None:
    alice, bob = shell("alice", relay_process), shell("bob", relay_process)
    link = bob("contact", "link").out.strip()
    (listed,) = bob("contact", "link", "--list", "--json").rows
    assert bob("contact", "link", "--withdraw", listed["token"]).code == 0
    running = bob.run()
    adding = alice.start("contact", "add", link, "--wait", "50")
    running.out.until('"messageType":"HANDSHAKE"')
    assert bob("contact", "list", "--json").rows[0]["state"] == "PENDING"
    assert bob("contact", "approve", "alice").code == 0
    assert adding.process.wait(50) == 0
    assert running.stop() == 0
    carol = shell("carol", relay_process)
    rule = bob.run("--approve-contacts")
    assert carol("contact", "add", link, "--wait", "30").code == 0
    assert rule.stop() == 0
    states = {row["agentId"]: row["state"] for row in bob("contact", "list", "--json").rows}
    assert states == {"alice": "APPROVED", "carol": "APPROVED"}
    assert bob("contact", "block", "carol").code == 0
    assert bob("contact", "remove", "alice").code == 0
    assert [row["agentId"] for row in bob("contact", "list", "--json").rows] == ["carol"]


def test_a_run_ends_by_itself_when_its_time_is_up(
    shell: Callable[..., Shell], relay_process: RelayProcess
) -> None:
    done = shell("alice", relay_process)("run", "--for", "1")
    assert done.code == 0
    assert "CONNECTED" in done.out
    assert "HEARTBEAT" not in done.out
