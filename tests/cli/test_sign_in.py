"""`agentnet` with a Firebase account: made, run, told that the sign-in ended, signed in again beside the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.shells import WORDS, Done, Shell
from tests.cli.test_keys_and_files import at_terminal, read_until
from tests.issuer import ACCOUNT, PROJECT, WEB_KEY, Issuer
from tests.processes import RelayProcess


@pytest.fixture
def relay(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[RelayProcess]:
    """A relay for Firebase accounts, whose keys are the issuer's."""
    options = (
        "--auth",
        "firebase",
        "--firebase-project",
        PROJECT,
        "--firebase-keys-url",
        issuer.url + "/keys",
    )
    made = RelayProcess(tmp_path_factory.mktemp("relay"), extra=options)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def password(tmp_path: Path) -> str:
    """The file with the account's password."""
    file = tmp_path / "password"
    file.write_text(ACCOUNT[1] + "\n")
    return str(file)


def init(shell: Shell, relay: RelayProcess, issuer: Issuer, *options: str) -> Done:
    where = ("--invite", relay.invite_link, "--firebase-emulator", issuer.url, "--key-store", "file")
    return shell("init", "--agent-id", "alice", "--auth", "firebase", *where, *options)


def test_an_account_is_signed_in_and_again_beside_the_running_agent(
    new_shell: Callable[[str], Shell], relay: RelayProcess, issuer: Issuer, password: str
) -> None:
    alice = new_shell("alice")
    alice.env["AGENTNET_FIREBASE_KEY"] = WEB_KEY
    made = init(alice, relay, issuer, "--email", ACCOUNT[0], "--password-file", password)
    assert made.code == 0, made.err
    (shown,) = alice("keys", "show", "--json").rows
    assert (shown["account"], shown["enrolled"]) == (ACCOUNT[0], False)
    issuer.life_s = 4
    running = alice.run()
    issuer.ended = "TOKEN_EXPIRED"
    running.err.until("sign-in has ended: sign in again")
    issuer.ended = ""
    refused = alice("keys", "signin", "--password-file", str(alice.passphrase_file))
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "agentnet keys: The e-mail address or the password is wrong.\n"
    again = alice("keys", "signin", "--password-file", password)
    assert (again.code, again.out) == (0, f"Signed in as {ACCOUNT[0]}, and connected.\n"), again.err
    assert running.stop() == 0
    assert ACCOUNT[1] not in running.err.rest() + running.out.rest()


def test_who_holds_nothing_signs_in_and_learns_whether_the_relay_takes_it(
    new_shell: Callable[[str], Shell], relay: RelayProcess, issuer: Issuer, password: str
) -> None:
    alice = new_shell("alice")
    options = ("--email", ACCOUNT[0], "--password-file", password, "--firebase-key", WEB_KEY)
    assert init(alice, relay, issuer, *options).code == 0
    issuer.ended = "USER_DISABLED"
    waiting = alice.start("run", "--for", "1")
    waiting.err.until("account is disabled")
    waiting.process.wait(30)
    issuer.ended = ""
    (row,) = alice("keys", "signin", "--password-file", password, "--json").rows
    assert row == {"account": ACCOUNT[0], "connected": True, "reason": ""}
    relay.stop()
    done = alice("keys", "signin", "--password-file", password)
    assert done.out.startswith(
        f"Signed in as {ACCOUNT[0]}, but not connected. The relay cannot be reached"
    ), done


def test_e_mail_and_password_are_asked_for_at_a_terminal(
    new_shell: Callable[[str], Shell], relay: RelayProcess, issuer: Issuer
) -> None:
    alice = new_shell("alice")
    where = ("--invite", relay.invite_link, "--firebase-emulator", issuer.url, "--firebase-key", WEB_KEY)
    options = ("--agent-id", "alice", "--auth", "firebase", "--key-store", "file", *where)
    words = str(alice.passphrase_file or "")
    with at_terminal(alice, "init", *options, "--passphrase-file", words) as (process, terminal):
        read_until(terminal, "E-mail address of the account: ")
        os.write(terminal, ACCOUNT[0].encode() + b"\n")
        read_until(terminal, f"Password of {ACCOUNT[0]}: ")
        os.write(terminal, ACCOUNT[1].encode() + b"\n")
        said = read_until(terminal, "fingerprint")
        assert ACCOUNT[1] not in said
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Web API key"),
        (("--firebase-key", "k"), "--email"),
        (("--firebase-key", "k", "--email", "a@b"), "--password-file"),
        (("--firebase-key", "k", "--email", "a@b", "--password-file", "/nowhere"), "password file /nowhere"),
        (("--firebase-key", "k", "--email", "a@b", "--token-file", "/t"), "without --token-file"),
    ],
)
def test_what_is_missing_for_an_account_is_named_and_nothing_is_made(
    new_shell: Callable[[str], Shell], options: tuple[str, ...], words: str
) -> None:
    alice = new_shell("alice")
    where = ("--agent-id", "alice", "--relay", "wss://relay.example.org", "--key-store", "file")
    done = alice("init", "--auth", "firebase", *where, *options)
    assert done.code in (1, 2)
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not alice.profile.exists()


def test_an_agent_without_an_account_has_nothing_to_sign_in_to(shell: Callable[..., Shell]) -> None:
    done = shell("alice")("keys", "signin")
    assert (done.code, done.err) == (1, "agentnet keys: alice has no account that could sign in.\n")
    assert WORDS not in done.err
