"""What goes wrong, each with its sentence, its exit code, and nothing changed or lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from agentnet_desktop.cli.main import main
from agentnet_desktop.compose import open_profile
from tests.cli.shells import WORDS, Done, Shell
from tests.processes import RelayProcess, SecretService

MEETING = ("--title", "Coffee", "--start", "2031-06-02T15:00", "--end", "2031-06-02T16:00")
Make = Callable[..., Shell]


def in_process(args: tuple[str, ...], profile: Path, capsys: pytest.CaptureFixture[str]) -> Done:
    """Runs a command that only reads its arguments, without the cost of a process."""
    try:
        code = main([*args, "--profile", str(profile)])
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Done(code, *capsys.readouterr())


def one_sentence(text: str, *words: str) -> None:
    """One line on standard error that begins with the program's name and says what is meant."""
    assert len(text.strip().splitlines()) == 1, text
    assert text.startswith(("agentnet ", "agentnet: ")), text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), ["COMMAND"]),
        (("dance",), ["invalid choice"]),
        (("propose",), ["--title", "--start"]),
        (("propose", "bob", "--title", "T", "--start", "soon", "--end", "later"), ["--start 'soon' is not a time"]),
        (("propose", "bob", "--title", "T", "--start", "2026-06-01T10:00", "--end", "2026-06-01T10:00"),
         ["--end is not after --start"]),
        (("propose", "bob", *MEETING, "--tz", "Mars/Base"), ["'Mars/Base' is not a known time zone"]),
        (("propose", "bob", *MEETING, "--wait", "-1"), ["--wait"]),
        (("query", "bob", "AVAILABILITY", "--from", "now"), ["--from 'now' is not a time"]),
        (("query", "bob", "WEATHER"), ["invalid choice"]),
        (("query", "bob", "CUSTOM"), ["--name"]),
        (("query", "bob", "CUSTOM", "--name", "n", "--params", "[]"), ["not a JSON object"]),
        (("query", "bob", "CUSTOM", "--name", "n", "--params", '{"a": "\\ud800"}'), ["no message can carry"]),
        (("query", "bob", "CUSTOM", "--name", "n", "--params", '{"a": 9007199254740993}'), ["no message can carry"]),
        (("query", "bob", "CUSTOM", "--name", "n", "--params", '{"a": NaN}'), ["no message can carry"]),
        (("query", "bob", "CUSTOM", "--name", "n", "--params", "[" * 100_000), ["not a JSON object"]),
        (("query", "bob", "CUSTOM", "--name", "n\udcff"), ["--name is not valid UTF-8"]),
        (("query", "bob", "AVAILABILITY", "--from", "9999-12-31"), ["--from '9999-12-31' is out of reach"]),
        (("query", "bob", "AVAILABILITY", "--name", "n"), ["--name is for CUSTOM"]),
        (("query", "bob", "LOCATION_PREFERENCE", "--from", "2026-01-01"), ["--from is for AVAILABILITY"]),
        (("query", "bob", "MEETING_TYPE_PREFERENCE", "--minutes", "0"), ["--minutes is for AVAILABILITY"]),
        (("query", "bob", "CUSTOM", "--name", "n", "--tz", "UTC"), ["--tz is for AVAILABILITY"]),
        (("propose", "bob", "--title", "T", "--start", "9999-12-31T23:00-12:00", "--end", "9999-12-31T23:30-12:00"),
         ["--start", "out of reach", "1971 to 2998"]),
        (("propose", "bob", *MEETING, "--expires", "0001-01-01"), ["--expires '0001-01-01' is out of reach"]),
        (("propose", "bob", "--title", "\udcff", *MEETING[2:]), ["--title is not valid UTF-8"]),
        (("meet", "bob", "--minutes", "30", "--from", "0001-01-01", "--to", "2026-12-02", "--tz", "Asia/Tokyo"),
         ["--from '0001-01-01' is out of reach"]),
        (("proposals", "counter", "x", "--start", "0001-01-01", "--end", "2026-01-01"), ["out of reach"]),
        (("freebusy", "--from", "0001-01-01", "--to", "9999-12-31"), ["out of reach"]),
        (("log", "--filter", "\udcff"), ["--filter is not valid UTF-8"]),
        (("log", "--filter", "with:bob", "verify"), ["--filter is for the list of entries", "'log verify'"]),
        (("log", "--follow", "compare", "a", "b"), ["--follow", "'log compare'"]),
        (("log", "--limit", "3", "export", "--out", "x"), ["--limit", "'log export'"]),
        (("log", "--limit", "3", "retention"), ["--limit", "'log retention'"]),
        (("contact", "link", "--expires", "soon"), ["'soon' is not a span of time"]),
        (("contact", "link", "--list", "--withdraw", "x"), ["contradict"]),
        (("proposals", "decline", "x", "--reason", "BORED"), ["invalid choice"]),
        (("log", "--limit", "many"), ["--limit"]),
        (("log", "retention", "--days", "0"), ["--days", "from 1 to 36500"]),
        (("log", "retention", "--size", "x"), ["--size"]),
        (("log", "retention", "--days", "3", "--forever"), ["not allowed with"]),
        (("contact", "release"), ["ID"]),
        (("init", "--agent-id", "alice"), ["Which relay"]),
        (("init", "--agent-id", "alice", "--relay", "wss://r", "--key-store", "file", "--no-passphrase"),
         ["--key-store file needs a passphrase"]),
        (("init", "--agent-id", "!", "--relay", "wss://r"), ["cannot be an agent's id"]),
        (("init", "--agent-id", "alice", "--relay", "ws://relay.example.org"), ["not encrypted", "--insecure"]),
        (("init", "--agent-id", "alice", "--invite", "agentnet://join?relay=x#y"), ["link"]),
    ],
)  # fmt: skip
def test_bad_usage_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: list[str]
) -> None:
    done = in_process(args, tmp_path, capsys)
    assert (done.code, done.out) == (2, "")
    one_sentence(done.err, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [("run",), ("contact", "list"), ("propose", "bob", *MEETING), ("log",), ("keys", "show"), ("outbox",),
     ("keys", "rotate")],
)  # fmt: skip
def test_without_a_profile_every_command_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    done = in_process(args, tmp_path / "p", capsys)
    assert (done.code, done.out) == (1, "")
    one_sentence(done.err, "There is no profile in", "agentnet init")
    assert not (tmp_path / "p").exists()


def test_a_passphrase_that_is_missing_wrong_or_unreadable_opens_nothing(shell: Make, tmp_path: Path) -> None:
    alice = shell("alice")
    before = sorted((path.name, path.read_bytes()) for path in alice.profile.iterdir() if path.is_file())
    given = alice.passphrase_file
    alice.passphrase_file = None
    missing = alice("keys", "show")
    assert missing.code == 1
    one_sentence(missing.err, "has a passphrase", "AGENTNET_PASSPHRASE_FILE")
    wrong = tmp_path / "wrong"
    wrong.write_text("something else")
    refused = alice("run", "--passphrase-file", str(wrong))
    assert refused.code == 1
    one_sentence(refused.err, "passphrase")
    nowhere = alice("keys", "show", "--passphrase-file", str(tmp_path / "nowhere"))
    assert nowhere.code == 1
    one_sentence(nowhere.err, "cannot be read: No such file")
    assert sorted(
        (p.name, p.read_bytes()) for p in alice.profile.iterdir() if p.is_file() and p.name != "lock"
    ) == [entry for entry in before if entry[0] != "lock"]
    alice.passphrase_file = given
    assert alice("keys", "show").code == 0


def test_without_a_keyring_init_names_the_way_out(new_shell: Make) -> None:
    alice = new_shell("alice")
    alice.env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nonexistent"
    done = alice("init", "--agent-id", "alice", "--relay", "wss://relay.example.org", "--no-passphrase")
    assert (done.code, done.out) == (1, "")
    one_sentence(done.err, "no keyring", "--key-store file")
    assert not alice.profile.exists()


def test_a_profile_in_a_real_keyring_needs_no_passphrase_and_stops_when_the_keyring_is_gone(
    new_shell: Make, secret_service: SecretService, relay_process: RelayProcess
) -> None:
    alice = new_shell("alice")
    alice.passphrase_file = None
    made = alice(
        "init", "--agent-id", "alice", "--invite", relay_process.invite(), "--no-passphrase", "--json"
    )
    assert made.code == 0, made.err
    assert "SecretService" in made.rows[0]["keyStore"]
    ran = alice("run", "--for", "1")
    assert (ran.code, "CONNECTED" in ran.out) == (0, True), ran.err
    assert alice("doctor").code == 0
    alice.env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nonexistent"
    gone = alice("run", "--for", "1")
    assert gone.code == 1
    one_sentence(gone.err, "keyring")


def test_a_relay_that_is_down_is_told_and_nothing_is_lost(
    contacts: tuple[Shell, Shell], relay_process: RelayProcess
) -> None:
    alice, bob = contacts
    relay_process.stop()
    late = alice("propose", "bob", *MEETING, "--wait", "1", "--json")
    assert late.code == 4
    running = alice.start("run", "--json")
    running.err.until("The relay cannot be reached: nothing listens at 127.0.0.1")
    sick = alice("doctor", "--json")
    assert sick.code == 1
    assert {row["check"]: row["state"] for row in sick.rows}["relay"] == "failed"
    relay_process.start()
    bobs = bob.run("--answer", "accept")
    running.out.until('"messageType":"CONFIRMATION"', 60)  # the queued proposal went out by itself
    assert running.stop() == 0
    assert bobs.stop() == 0
    assert alice("proposals", "--json").rows[0]["state"] == "ACCEPTED"


def test_an_unknown_recipient_is_refused_and_nothing_is_queued(shell: Make) -> None:
    alice = shell("alice")
    for args in (
        ("propose", "carol", *MEETING),
        ("query", "carol", "LOCATION_PREFERENCE"),
        ("contact", "approve", "carol"),
    ):
        done = alice(*args)
        assert (done.code, done.out) == (1, "")
        one_sentence(done.err, "carol")
    assert alice("outbox", "--json").rows == []


def test_a_contact_link_that_is_damaged_foreign_or_ones_own_is_refused(shell: Make) -> None:
    alice, bob = shell("alice"), shell("bob")
    own = alice("contact", "link").out.strip()
    foreign = bob("contact", "link").out.strip().replace("127.0.0.1%3A1", "127.0.0.1%3A2")
    for link, word in (
        (own, "own"),
        (foreign, "127.0.0.1:2"),
        ("agentnet://contact/x", "link"),
        (own[:-40], "link"),
    ):
        done = alice("contact", "add", link)
        assert (done.code, done.out) == (1, "")
        one_sentence(done.err, word)
    assert alice("contact", "list", "--json").rows == []


def test_a_database_of_a_newer_version_is_refused_by_every_command_and_left_alone(shell: Make) -> None:
    alice = shell("alice")

    def newer(session: Session) -> None:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    async def age() -> None:
        holder = await open_profile(alice.profile, passphrase=WORDS)
        await holder.database.write(newer)
        await holder.close()

    asyncio.run(age())
    before = (alice.profile / "agent.db").read_bytes()
    for command in ("run", "log", "outbox"):
        done = alice(command)
        assert (done.code, done.out) == (1, "")
        one_sentence(done.err, "newer version of AgentNet Desktop")
    sick = alice("doctor")
    assert (sick.code, "failed   database" in sick.out) == (1, True)
    assert (alice.profile / "agent.db").read_bytes() == before


@pytest.mark.parametrize("left", [None, b""])
def test_a_database_that_is_gone_or_empty_is_told_by_every_command_and_not_made_anew(
    shell: Make, left: bytes | None
) -> None:
    alice = shell("alice")
    database = alice.profile / "agent.db"
    database.unlink()
    if left is not None:
        database.write_bytes(left)
    for command in ("run", "log", "outbox", "keys"):
        done = alice(command, *(("rotate",) if command == "keys" else ("--json",)))
        assert (done.code, done.out) == (1, "")
        one_sentence(done.err, "is gone or empty", "Nothing was made in its place", "restore")
    sick = alice("doctor")
    assert (sick.code, "failed   database" in sick.out) == (1, True)
    assert (database.read_bytes() if database.exists() else None) == left


def test_a_second_holder_is_refused_with_the_pid_of_the_first(
    shell: Make, relay_process: RelayProcess
) -> None:
    alice = shell("alice", relay_process)
    running = alice.run()
    second = alice("run")
    assert (second.code, second.out) == (1, "")
    one_sentence(second.err, f"process {running.process.pid}")
    assert alice("contact", "link").code == 0  # a command asks the holder instead
    assert running.stop(signal.SIGINT) == 0


def test_a_holder_that_was_killed_leaves_the_profile_usable(shell: Make, relay_process: RelayProcess) -> None:
    alice = shell("alice", relay_process)
    running = alice.run()
    assert alice("contact", "link").code == 0
    running.process.kill()
    running.process.wait()
    assert len(alice("contact", "link", "--list", "--json").rows) == 1
    assert alice("contact", "link").code == 0
    again = alice.run()
    assert again.stop() == 0


def test_a_profile_is_never_made_twice(shell: Make) -> None:
    alice = shell("alice")
    before = alice("keys", "show").out
    done = alice("init", "--agent-id", "mallory", "--relay", "wss://r", "--key-store", "file")
    assert (done.code, done.out) == (1, "")
    one_sentence(done.err, "There is a profile in")
    assert alice("keys", "show").out == before


def test_a_used_up_invite_is_told_by_doctor(shell: Make, relay_process: RelayProcess) -> None:
    link = relay_process.invite()
    alice, bob = shell("alice", invite=link), shell("bob", invite=link)
    assert alice("run", "--for", "1").code == 0
    sick = bob("doctor")
    assert sick.code == 1
    assert "failed   token" in sick.out
    assert "new invite" in sick.out


@contextmanager
def titled(alice: Shell, bob: Shell, title: str) -> Iterator[None]:
    running = bob.run()
    sent = alice("propose", "bob", "--title", title, *MEETING[2:])
    assert sent.code == 0, sent.err
    running.out.until('"messageType":"PROPOSAL"')
    yield
    assert running.stop() == 0


def test_a_peers_words_cannot_drive_the_terminal(contacts: tuple[Shell, Shell]) -> None:
    alice, bob = contacts
    with titled(alice, bob, "\x1b[2JCoffee\u202eeef"):
        for args in (("proposals",), ("proposals", "show", "alice/"), ("log", "--filter", "type:PROPOSAL")):
            shown = bob(*args)
            assert "\x1b" not in shown.out
            assert "\u202e" not in shown.out
        assert "␛[2JCoffee⟨U+202E⟩eef" in bob("proposals").out
        assert bob("proposals", "--json").rows[0]["title"] == "\x1b[2JCoffee\u202eeef"
