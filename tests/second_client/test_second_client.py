"""A client that a stranger wrote in JavaScript, from docs/protocol.md alone, meets the real relay and a real agent.

The client (`wire.mjs`, `crypto.mjs`, `client.mjs`) shares no line with the Python one: what they agree on, the
document says. It tells each event in one JSON line.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shells import Shell
from tests.processes import ROOT, Lines, RelayProcess, end, real_part

HERE = Path(__file__).resolve().parent
LIMIT_S = 90.0
SOURCES = ("package.json", "package-lock.json", "wire.mjs", "crypto.mjs", "client.mjs", "vectors.mjs")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the client with its packages, outside of the tree."""
    for name, package in (("node", "nodejs"), ("npm", "npm")):
        real_part(name, package)
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version.removeprefix("v").split(".")[0]) >= 20, f"the client needs Node 20, not {version}"
    folder = tmp_path_factory.mktemp("second-client")
    for name in SOURCES:
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.fail(f"npm ci did not install the client's packages: {done.stderr.strip()}", pytrace=False)
    return folder


@dataclass
class Told:
    """A running client and the events that it tells."""

    process: subprocess.Popen[str]
    lines: Lines

    def until(self, event: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines.until(f'^{{"event":"{event}".*', LIMIT_S).group())
        return found

    def finish(self) -> list[dict[str, Any]]:
        """Let it go (it ends with its standard input at the latest), and hand over all its events."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            end(self.process)
            pytest.fail(f"the client did not end in {LIMIT_S} s; it told {self.lines.rest()}", pytrace=False)
        return [json.loads(line) for line in self.lines.rest().splitlines()]


Carol = Callable[..., Told]


@contextmanager
def clients(program: Path, seed: Path) -> Iterator[Carol]:
    running: list[Told] = []

    def start(*args: str, agent_id: str = "carol") -> Told:
        command = ["node", str(program / "client.mjs"), "--agent-id", agent_id, "--seed", str(seed), *args]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        running.append(Told(process, Lines(process.stdout)))
        return running[-1]

    try:
        yield start
    finally:
        for told in running:
            assert told.process.stdin is not None
            told.process.stdin.close()
            end(told.process)


@pytest.fixture
def carol(program: Path, tmp_path: Path) -> Iterator[Carol]:
    """Starts Carol's client, which keeps its identity's seed over the test."""
    with clients(program, tmp_path / "carol.seed") as start:
        yield start


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def ended_well(told: Told) -> list[dict[str, Any]]:
    """All events of a client that did what it was told to, was refused nothing, and left in order.

    A peer that is one command of a shell may be gone before the last receipt reaches it; the relay says so.
    """
    events = told.finish()
    assert told.process.returncode == 0, events
    told_of = [event for event in events if event.get("errorCode") != "RECIPIENT_NOT_FOUND"]
    assert not {"failed", "refused", "relayError", "peerError", "problem"} & set(names(told_of)), events
    assert (names(events)[-2:], events[-1]["code"]) == (["closed", "closed"], 1000)
    return events


def test_every_vector_comes_out_the_same_in_another_language(program: Path) -> None:
    folder = ROOT / "resources" / "vectors"
    done = subprocess.run(
        ["node", "vectors.mjs", str(folder)], cwd=program, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert [case for case in cases if not case["ok"]] == []
    written = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    assert len(cases) == sum(len(vectors["good"]) + len(vectors["bad"]) for vectors in written.values())
    assert {case["file"] for case in cases} == set(written)


@pytest.mark.parametrize(
    "options", [(), ("--msgpack",), ("--auth-frame",)], ids=["json", "msgpack", "auth-frame"]
)
def test_it_enrols_keeps_the_line_alive_and_leaves(
    carol: Carol, relay_process: RelayProcess, options: tuple[str, ...]
) -> None:
    first = ended_well(carol("--join", relay_process.invite(), *options, "watch", "1"))
    assert first[0]["agentId"] == "carol"
    assert names(first)[:2] == ["connected", "heartbeat"]
    again = ended_well(carol("--relay", relay_process.url, *options, "watch", "1"))
    assert names(again)[:2] == ["connected", "heartbeat"]


def test_another_key_cannot_take_an_agent_id_that_has_one(
    carol: Carol, program: Path, relay_process: RelayProcess, tmp_path: Path
) -> None:
    ended_well(carol("--join", relay_process.invite(), "watch", "1"))
    with clients(program, tmp_path / "mallory.seed") as mallory:
        refused = mallory("--join", relay_process.invite(), "watch", "1").until("refusedByRelay")
    assert (refused["status"], refused["errorCode"]) == (401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize("options", [(), ("--msgpack",)], ids=["json", "msgpack"])
def test_it_opens_a_contact_link_asks_when_bob_is_free_and_has_its_proposal_accepted(
    carol: Carol, shell: Callable[..., Shell], relay_process: RelayProcess, options: tuple[str, ...]
) -> None:
    bob = shell("bob", relay_process)
    running = bob.run("--answer", "accept")
    link = bob("contact", "link").out.strip()
    events = ended_well(carol("--join", relay_process.invite(), *options, "meet", link))
    response = next(event for event in events if event["event"] == "response")
    assert response["error"] is None
    assert response["data"]["slots"]
    confirmation = next(event for event in events if event["event"] == "confirmation")
    assert confirmation["status"] == "ACCEPTED"
    assert names(events).count("delivered") == 2
    (proposal,) = bob("proposals", "--json").rows
    assert (proposal["state"], proposal["peer"]) == ("ACCEPTED", "carol")
    assert running.stop() == 0
    verified = {row["messageType"]: row["verified"] for row in running.rows() if row["direction"] == "in"}
    assert (verified["QUERY"], verified["PROPOSAL"]) == (True, True)


def test_it_hands_out_a_contact_link_and_answers_what_bob_asks_and_proposes(
    carol: Carol, shell: Callable[..., Shell], relay_process: RelayProcess
) -> None:
    bob = shell("bob", relay_process)
    serving = carol("--join", relay_process.invite(), "serve")
    link = serving.until("contactLink")["link"]
    assert bob("contact", "add", link, "--wait", "60").code == 0
    when = ("--from", "2031-06-02T00:00", "--to", "2031-06-06T00:00", "--tz", "Europe/Berlin")
    answer = bob("query", "carol", "AVAILABILITY", *when, "--wait", "60", "--json")
    assert answer.code == 0, answer.err
    assert '"2031-06-02T08:00:00.000Z"' in answer.out
    meeting = ("--title", "Tea", "--start", "2031-06-02T15:00", "--end", "2031-06-02T16:00")
    proposed = bob("propose", "carol", *meeting, "--tz", "Europe/Berlin", "--wait", "60", "--json")
    assert (proposed.code, proposed.rows[0]["state"]) == (0, "ACCEPTED"), proposed.err
    assert bob("log", "verify").code == 0
    events = ended_well(serving)
    assert names(events).count("session") == 1
    assert next(event for event in events if event["event"] == "proposal")["details"]["title"] == "Tea"


def test_a_stranger_without_a_token_gets_no_answer_from_it(
    carol: Carol, shell: Callable[..., Shell], relay_process: RelayProcess
) -> None:
    bob = shell("bob", relay_process)
    serving = carol("--join", relay_process.invite(), "serve")
    link = serving.until("contactLink")["link"]
    forged = re.sub("token=[^&]*", "token=" + "A" * 43, link)
    assert bob("contact", "add", forged, "--wait", "0").code != 1
    bob.run()
    assert serving.until("stranger")["senderId"] == "bob"
    assert "answered" not in names(serving.finish())


def test_it_refuses_a_handshake_under_another_key_than_the_links(
    carol: Carol, shell: Callable[..., Shell], relay_process: RelayProcess
) -> None:
    bob = shell("bob", relay_process)
    running = bob.run("--approve-contacts")
    link = bob("contact", "link").out.strip()
    forged = re.sub("key=[^&]*", "key=O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik", link)
    told = carol("--join", relay_process.invite(), "meet", forged)
    assert told.until("refused")["kind"] == "KEY_CHANGED"
    assert "session" not in names(told.finish())
    assert told.process.returncode == 1
    assert running.stop() == 0
