"""Keys, backups, exported logs, and questions at a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from agentnet_desktop import doctor
from agentnet_desktop.agent.events import (
    ConnectionState,
    ConnectionView,
    ContactView,
    FiguresView,
    SessionKeysView,
)
from agentnet_desktop.cli.doctor import figure_lines
from tests.cli.shells import WORDS, Shell
from tests.processes import ROOT, RelayProcess

MEETING = ("--title", "Coffee", "--start", "2031-06-02T15:00", "--end", "2031-06-02T16:00")


def test_a_changed_passphrase_holds_and_the_old_one_does_not(
    shell: Callable[..., Shell], tmp_path: Path
) -> None:
    alice = shell("alice")
    new = tmp_path / "new"
    new.write_text("another passphrase")
    before = alice("keys", "show", "--json").rows[0]
    changed = alice("keys", "passphrase", "--new-passphrase-file", str(new))
    assert changed.code == 0, changed.err
    assert alice("keys", "show").code == 1
    assert alice("keys", "show", "--json", "--passphrase-file", str(new)).rows[0] == before
    dropped = alice("keys", "passphrase", "--no-passphrase", "--passphrase-file", str(new))
    assert dropped.code == 1  # a vault file without a passphrase protects nothing


def test_a_restored_profile_is_the_same_agent_with_the_same_contacts(
    contacts: tuple[Shell, Shell], new_shell: Callable[[str], Shell], tmp_path: Path
) -> None:
    alice, bob = contacts
    file = tmp_path / "alice.backup"
    made = alice("keys", "backup", "--out", str(file))
    assert (made.code, file.stat().st_mode & 0o777) == (0, 0o600), made.err
    assert alice("keys", "backup", "--out", str(file)).code == 2
    elsewhere = new_shell("elsewhere")
    restored = elsewhere("keys", "restore", "--in", str(file), "--key-store", "file")
    assert restored.code == 0, restored.err
    assert elsewhere("keys", "show").out == alice("keys", "show").out
    assert elsewhere("contact", "list").out == alice("contact", "list").out
    bobs = bob.run("--answer", "accept")
    accepted = elsewhere("propose", "bob", *MEETING, "--wait", "40")  # over a new handshake; enrolled already
    assert accepted.code == 0, accepted.out + accepted.err
    assert bobs.stop() == 0
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    third = new_shell("third")
    refused = third(
        "keys", "restore", "--in", str(file), "--key-store", "file", "--backup-passphrase-file", str(wrong)
    )
    assert (refused.code, third.profile.exists()) == (1, False)


def test_an_exported_log_is_verified_without_keys_and_compared(
    contacts: tuple[Shell, Shell], new_shell: Callable[[str], Shell], tmp_path: Path
) -> None:
    alice, bob = contacts
    running = bob.run("--answer", "accept")
    assert alice("propose", "bob", *MEETING, "--wait", "30").code == 0
    assert running.stop() == 0
    assert alice("log", "verify").code == 0
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for who, file in zip((alice, bob), files, strict=True):
        exported = who("log", "export", "--out", str(file))
        assert exported.code == 0, exported.err
    assert alice("log", "export", "--out", str(files[0])).code == 2
    stranger = new_shell("nobody")
    verified = stranger("log", "verify", str(files[0]), "--json")
    assert (verified.code, verified.rows[0]["intact"]) == (0, True)
    assert stranger("log", "compare", str(files[0]), str(files[1])).out == "The two logs tell the same.\n"
    lines = files[0].read_bytes().splitlines(keepends=True)
    files[0].write_bytes(b"".join(lines[:5] + lines[6:]))
    tampered = stranger("log", "verify", str(files[0]))
    assert (tampered.code, tampered.out.startswith("Tampered: entry ")) == (5, True)
    assert stranger("log", "verify", str(tmp_path / "words")).code == 1
    known = alice("log", "verify", str(files[1]), "--json")
    assert (known.code, known.rows[0]["intact"]) == (0, True), known.out
    assert known.rows[0]["heldTo"] > stranger("log", "verify", str(files[1]), "--json").rows[0]["heldTo"] == 0
    alice.env["AGENTNET_PASSPHRASE_FILE"] = str(tmp_path / "none")
    locked = alice("log", "verify", str(files[1]), "--json")
    assert (locked.code, locked.rows[0]["heldTo"]) == (0, 0)
    assert locked.err.startswith("Only the file itself is checked, for the profile cannot be opened: ")
    del alice.env["AGENTNET_PASSPHRASE_FILE"]
    header, *rows = map(json.loads, files[1].read_text().splitlines())
    kept = rows[: known.rows[0]["heldTo"] - 1]
    end = rows[-1] | {"entries": len(kept), "seq": len(kept), "hash": kept[-1]["hash"], "signature": None}
    header["exportedAt"] += 3_600_000
    files[1].write_text("".join(json.dumps(line) + "\n" for line in (header, *kept, end)))
    cut_off = alice("log", "verify", str(files[1]))
    assert (cut_off.code, "signed its log's state when it received" in cut_off.out) == (5, True), cut_off.out


def test_keys_are_rotated_in_live_conversations(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    running = bob.run()
    assert alice("keys", "rotate", "--json").rows == [{"conversations": 1}]
    running.out.until('"messageType":"HANDSHAKE"')
    assert running.stop() == 0


# ---------------------------------------------------------------------------------------- a terminal


@contextmanager
def at_terminal(shell: Shell, *args: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Runs a command at a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = shell.environment()
    environment.pop("AGENTNET_PASSPHRASE_FILE", None)
    process = subprocess.Popen(
        shell.command(*args),
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        os.close(ours)
        process.terminate()
        process.wait(20)


def read_until(terminal: int, words: str) -> str:
    text = b""
    while words.encode() not in text:
        text += os.read(terminal, 4096)
    return text.decode()


def test_run_asks_for_the_passphrase_and_for_an_answer_at_a_terminal(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    with at_terminal(bob, "run") as (process, terminal):
        read_until(terminal, "Passphrase: ")
        os.write(terminal, WORDS.encode() + b"\n")
        read_until(terminal, "connected: ")
        waiting = alice.start("propose", "bob", *MEETING, "--wait", "50")
        asked = read_until(terminal, "or leave it pending? ")
        assert "alice (APPROVED) proposes: Coffee" in asked
        os.write(terminal, b"d\n")
        waiting.out.until("rejected")
        assert waiting.process.wait(30) == 3
        process.terminate()
        read_until(terminal, "offline")


# ------------------------------------------------------------------------------------------ doctor


def test_doctor_tells_a_clock_that_is_off_and_a_way_without_encryption() -> None:
    view = ConnectionView(
        ConnectionState.CONNECTED, "ws://relay", insecure=True, clock_skew_ms=-120_000, round_trip_ms=3.0
    )
    found = {finding.check: (finding.state, finding.message) for finding in doctor.connection(view)}
    assert found["relay"][0] == found["token"][0] == "ok"
    assert found["transport"][0] == "warning"
    assert found["clock"] == ("warning", "This machine's clock is 120.0 s behind the relay's.")


def test_doctor_beside_a_running_agent_tells_of_its_connection(
    shell: Callable[..., Shell], relay_process: RelayProcess
) -> None:
    alice = shell("alice", relay_process)
    running = alice.run()
    done = alice("doctor", "--json")
    assert done.code == 0, done.out
    assert [row["check"] for row in done.rows] == [
        "profile",
        "keyring",
        "database",
        "disk",
        "storing",
        "relay",
        "token",
        "clock",
        "session",
        "figures",
    ]
    assert str(running.process.pid) in done.rows[0]["message"]
    measured = done.rows[-1]
    assert (measured["state"], measured["periodDays"]) == ("ok", 30)
    assert measured["figures"]["connectMs"] is not None
    assert (measured["figures"]["delivered"], measured["figures"]["reconnections"]) == (0, 0)
    assert running.stop() == 0
    alone = alice("doctor")
    assert alone.code == 0, alone.out
    assert "ok       session   Keys are agreed on with every approved contact." in alone.out
    assert "figures   connecting took " in alone.out
    assert "figures   retries 0, of 0 messages delivered in the last 30 days\n" in alone.out


def test_doctor_names_the_trusted_contacts_without_session_keys() -> None:
    contacts = [
        ContactView("bob", "", "APPROVED"),
        ContactView("Carol", "", "VERIFIED"),
        ContactView("dan", "", "BLOCKED"),
    ]
    keys = [SessionKeysView("carol", "conv_1", 1, 2, 3, 4)]
    assert doctor.sessions(keys, contacts).state == "warning"
    assert "yet with bob: that takes" in doctor.sessions(keys, contacts).message
    assert doctor.sessions(keys, contacts[1:]).state == "ok"


def test_doctor_tells_each_figure_with_the_time_that_it_is_of() -> None:
    figures = FiguresView(9, 31, 40, 2.5, 3, 8, 120, 450, 17, 12, 2, 5)
    assert figure_lines(figures) == [
        "connecting took 31 ms the last time; 95 of 100 below 40 ms, in the last 30 days",
        "round trip 3 ms usually; 95 of 100 below 8 ms, in the last 30 days",
        "a message took 120 ms usually; 95 of 100 below 450 ms, of 17 messages delivered in the last 30 days",
        "connections 12 since the profile was made",
        "reconnections 2 since the agent started",
        "retries 5, of 17 messages delivered in the last 30 days",
    ]
    nothing = FiguresView(None, None, None, None, None, None, None, None, 0, 0, 0, 0)
    assert figure_lines(nothing)[:3] == [
        "connecting took (not measured)",
        "round trip (not measured)",
        "a message took (not measured)",
    ]
    assert figure_lines(replace(nothing, connect_ms=7))[0] == "connecting took 7 ms the last time"
