"""The real Firebase Auth emulator, a relay that takes its tokens and one that does not. Only by name.

Not a measurement: it fails when a step does. `firebase-tools` is 310 MB and takes minutes to install, so it lies
in the platform's cache folder, outside of the checkout, and the suite makes do with servers of its own.
Needs Node and npm; the emulator runs offline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agentnet_desktop.transport.firebase import FirebaseTokens
from agentnet_desktop.transport.tokens import Token, TokenError
from relay.upgrade import ENDPOINT
from tests.issuer import MemoryTokens
from tests.processes import RelayProcess
from tests.relay.conftest import invite_code

LONG = True
VERSION = "15.34.2"
PROJECT = "demo-agentnet"
ACCOUNT = ("alice@example.org", "a password of no worth")


def program() -> list[str]:
    """The command `firebase`, installed at the first call."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        raise SystemExit("This run needs Node and npm.")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "agentnet-tools" / f"firebase-{VERSION}"
    found = folder / "node_modules" / "firebase-tools" / "lib" / "bin" / "firebase.js"
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        wanted = ["--prefix", str(folder), f"firebase-tools@{VERSION}"]
        subprocess.run([npm, "install", *quiet, *wanted], check=True)
    return [node, str(found)]


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """Run the emulator; gives its address."""
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(3)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in bound]
    parts = {
        name: {"host": "127.0.0.1", "port": p}
        for name, p in zip(("auth", "hub", "logging"), ports, strict=True)
    }
    command = [*program(), "emulators:start", "--only", "auth", "--project", PROJECT]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "firebase.json").write_text(
            json.dumps({"emulators": {**parts, "ui": {"enabled": False}}})
        )
        places = {"HOME": folder, "XDG_CONFIG_HOME": folder}
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, env={**os.environ, **places}
        )
        try:
            deadline = time.monotonic() + 60
            while not listens(ports[0]):
                assert process.poll() is None, "the emulator ended"
                assert time.monotonic() < deadline, "the emulator did not start"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def listens(port: int) -> bool:
    """Whether something takes connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sign_up(address: str) -> None:
    """Make the account; the agent itself never does."""
    asked = {"email": ACCOUNT[0], "password": ACCOUNT[1], "returnSecureToken": True}
    url = f"{address}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=any"
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        url, data=json.dumps(asked).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.status == 200


@contextlib.contextmanager
def relay(*options: str) -> Iterator[RelayProcess]:
    """Run a relay for Firebase accounts."""
    with tempfile.TemporaryDirectory() as folder:
        made = RelayProcess(
            Path(folder), extra=("--auth", "firebase", "--firebase-project", PROJECT, *options)
        )
        made.start()
        try:
            yield made
        finally:
            made.stop()


async def first_word(at: RelayProcess, agent_id: str, token: Token) -> str:
    """What the relay says first; "401" when it refuses."""
    headers = {"Authorization": f"Bearer {token.text}", "X-Agent-Id": agent_id}
    if token.invite:
        headers["X-Agent-Invite"] = token.invite
    try:
        async with connect(at.url + ENDPOINT, additional_headers=headers, proxy=None) as socket:
            said: dict[str, Any] = json.loads(await socket.recv())
            return str(said["messageType"])
    except InvalidStatus as refused:
        return str(refused.response.status_code)


async def steps(address: str) -> None:
    """Sign in, claim an agentId, refresh, come back; and be refused where the emulator is not asked for."""
    store = MemoryTokens()

    def now() -> int:
        return int(time.time() * 1000)

    with relay("--firebase-emulator") as ours, relay() as strict:
        source = FirebaseTokens(
            api_key="any", store=store, emulator=address, invite=invite_code(ours.invite_link)
        )
        with contextlib.suppress(TokenError):
            await source.sign_in(ACCOUNT[0], "wrong")
            raise AssertionError("a wrong password was taken")
        await source.sign_in(*ACCOUNT)
        claimed = await source.token(now_ms=now(), fresh=False)
        bare = Token(claimed.text, claimed.expires_at)
        assert await first_word(ours, "alice", bare) == "401", "an agentId was claimed without an invite"
        assert await first_word(ours, "alice", claimed) == "CONNECTED"
        source.accepted()
        refreshed = await source.token(now_ms=now(), fresh=True)
        assert refreshed.invite is None
        assert await first_word(ours, "alice", refreshed) == "CONNECTED"
        assert await first_word(ours, "bob", refreshed) == "401", "one account, one agentId"
        again = FirebaseTokens(api_key="any", store=store, emulator=address)
        assert await first_word(ours, "alice", await again.token(now_ms=now(), fresh=False)) == "CONNECTED"
        invited = Token(refreshed.text, None, invite_code(strict.invite_link))
        assert await first_word(strict, "alice", invited) == "401", "an unsigned token was taken"


def agentnet(profile: Path, *words: str) -> str:
    """Run a command of `agentnet` on a profile; gives what it printed, and fails when it does."""
    command = [sys.executable, "-m", "agentnet_desktop.cli", *words, "--profile", str(profile)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def whole_way(address: str) -> None:
    """As a person does it: init with the account, connect, sign in again, connect without a password."""
    with tempfile.TemporaryDirectory() as folder, relay("--firebase-emulator") as ours:
        profile, words, password = (Path(folder) / name for name in ("profile", "words", "password"))
        words.write_text("a passphrase of no worth")
        password.write_text(ACCOUNT[1])
        secret = ("--passphrase-file", str(words))
        where = ("--invite", ours.invite_link, "--firebase-emulator", address, "--firebase-key", "any")
        who = (
            "--agent-id",
            "alice",
            "--auth",
            "firebase",
            "--email",
            ACCOUNT[0],
            "--password-file",
            str(password),
        )
        agentnet(profile, "init", *who, *where, "--key-store", "file", *secret)
        assert '"state":"ok"' in agentnet(profile, "doctor", "--json", *secret)
        again = agentnet(profile, "keys", "signin", "--password-file", str(password), "--json", *secret)
        assert json.loads(again)["connected"] is True
        shown = json.loads(agentnet(profile, "keys", "show", "--json", *secret))
        assert (shown["account"], shown["enrolled"]) == (ACCOUNT[0], True)


def main(short: bool) -> int:
    """Run all steps; `short` makes no difference."""
    del short
    with emulator() as address:
        sign_up(address)
        asyncio.run(steps(address))
        whole_way(address)
    print(
        "Signed in, claimed, refreshed, came back; refused without the invite, and without the emulator's flag. "
        "The same by `agentnet init` and `keys signin`."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
