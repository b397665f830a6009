"""`agentnet-relay` as people script it: real processes, their output and exit codes."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from tests.processes import ROOT
from tests.relay.conftest import Net, Person, invite_code

Cli = Callable[..., str]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
    )


def test_every_command_has_help_and_there_is_a_version(relay_cli: Cli) -> None:
    assert relay_cli("--version").startswith("agentnet-relay ")
    for command in (
        "serve",
        "invite",
        "agents",
        "agents list",
        "agents add",
        "check",
        "config print",
        "backup",
    ):
        assert "usage:" in relay_cli(*command.split(), "--help")


def test_every_setting_is_an_option_of_serve(relay_cli: Cli) -> None:
    shown = relay_cli("serve", "--help")
    for option in (
        "--host",
        "--port",
        "--config",
        "--name",
        "--public-url",
        "--auth",
        "--tls-cert",
        "--tls-key",
        "--tls-self-signed",
        "--metrics-port",
        "--nats",
        "--data-dir",
    ):
        assert option in shown


def test_invites_are_made_before_the_relay_ever_ran(relay_cli: Cli, tmp_path: Path) -> None:
    (link,) = relay_cli(
        "invite", "--data-dir", str(tmp_path), "--public-url", "wss://Relay.example.org"
    ).splitlines()
    assert parse_qs(urlsplit(link).query)["relay"] == ["wss://relay.example.org:443"]


def test_invites_are_listed_without_their_codes_and_revoked_by_handle_or_link(
    relay_cli: Cli, tmp_path: Path
) -> None:
    data = ("--data-dir", str(tmp_path))
    links = [relay_cli("invite", "--uses", "3", "--expires", "7d", *data).strip() for _ in range(3)]
    listed = [json.loads(line) for line in relay_cli("invite", "list", "--json", *data).splitlines()]
    assert [one["state"] for one in listed] == ["open"] * 3
    assert {(one["uses"], one["usesLeft"]) for one in listed} == {(3, 3)}
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [link for link in links if invite_code(link).encode() in stored]
    relay_cli("invite", "revoke", listed[0]["invite"], *data)
    for link in links:
        relay_cli("invite", "revoke", link, *data)
    states = [json.loads(line)["state"] for line in relay_cli("invite", "list", "--json", *data).splitlines()]
    assert states == ["revoked"] * 3
    assert "revoked" in relay_cli("invite", "list", *data)
    done = run("invite", "revoke", "nonsense", *data)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


async def test_a_revoked_invite_lets_no_one_in(net: Net, relay_cli: Cli) -> None:
    relay_cli("invite", "revoke", net.relay.invite_link, "--data-dir", str(net.relay.data_dir))
    with pytest.raises(InvalidStatus):
        await net.dial("alice", token=Person("alice").token(net.url, invite_code(net.relay.invite_link)))


async def test_an_expired_invite_lets_no_one_in(net: Net) -> None:
    invite = invite_code(net.relay.invite("--expires", "1h"))
    with sqlite3.connect(net.relay.data_dir / "registry.sqlite") as registry:
        registry.execute("UPDATE invites SET expires_at = 1")
    with pytest.raises(InvalidStatus):
        await net.dial("alice", token=Person("alice").token(net.url, invite))


async def test_agents_are_added_beside_a_running_relay_listed_and_let_in(
    net: Net, relay_cli: Cli, tmp_path: Path
) -> None:
    data = ("--data-dir", str(net.relay.data_dir))
    people = [Person("alice"), Person("bob")]
    keys = [base64.b64encode(person.public).decode() for person in people]
    relay_cli("agents", "add", "alice", "--identity-key", keys[0], *data)
    lines = tmp_path / "agents.jsonl"
    lines.write_text(json.dumps({"agentId": "bob", "identityKey": keys[1]}) + "\n\n")
    relay_cli("agents", "add", "--from", str(lines), *data)
    listed = [json.loads(line) for line in relay_cli("agents", "list", "--json", *data).splitlines()]
    assert [(one["agentId"], one["identityKey"], one["revoked"]) for one in listed] == [
        ("alice", keys[0], False),
        ("bob", keys[1], False),
    ]
    for person in people:
        client = await net.dial(person.agent_id, token=person.token(net.url))
        assert (await client.next())["messageType"] == "CONNECTED"
    relay_cli("agents", "revoke", "bob", *data)
    assert "bob  revoked" in relay_cli("agents", "list", *data)
    relay_cli("agents", "add", "bob", "--identity-key", keys[1], *data)
    again = await net.dial("bob", token=people[1].token(net.url))
    assert (await again.next())["messageType"] == "CONNECTED"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["serve", "--port", "many"], 2, "--port must be a whole number"),
        (["serve", "--port", "99999"], 1, "port must be 0 to 65535"),
        (["serve", "--auth", "magic"], 1, "auth takes local, firebase, oidc"),
        (["serve", "--tls-cert", "/nonexistent/c", "--tls-key", "/nonexistent/k"], 1, "Cannot read /nonexistent/c"),
        (["serve", "--tls-cert", "x"], 1, "tls_cert and tls_key go together"),
        (["serve", "--auth", "firebase"], 1, "needs firebase.project"),
        (["serve", "--config", "/nonexistent.toml"], 1, "Cannot read /nonexistent.toml"),
        (["invite", "--uses", "0"], 2, "--uses takes"),
        (["invite", "--expires", "soon"], 2, "--expires takes"),
        (["invite", "--agent-id", "no spaces"], 2, "is not an agentId"),
        (["invite", "revoke"], 2, "say which invite"),
        (["agents", "revoke", "nobody"], 1, "There is no agent nobody"),
        (["agents", "add", "x1"], 2, "takes an ID with --identity-key"),
        (["agents", "add", "x1", "--identity-key", "AAAA"], 2, "is not an Ed25519 key"),
        (["agents", "add", "x1", "--identity-key", base64.b64encode(bytes(32)).decode()], 2, "is not an Ed25519 key"),
        (["agents", "add", "--from", "/nonexistent.jsonl"], 1, "Cannot read /nonexistent.jsonl"),
        (["backup", "--out", "/nonexistent/x"], 1, "no registry"),
        (["nonsense"], 2, "invalid choice"),
    ],
)  # fmt: skip
def test_bad_usage_and_trouble_are_one_clear_sentence(
    arguments: list[str], status: int, says: str, tmp_path: Path
) -> None:
    done = run(*arguments, AGENTNET_RELAY_DATA_DIR=str(tmp_path))
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_flags_win_over_the_environment_over_the_file(relay_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('name = "file"\nport = 1\nhost = "::1"\n[limits]\nconnections = 1\nqueue_seconds = 1\n')
    done = run(
        "config",
        "print",
        "--config",
        str(file),
        "--name",
        "flag",
        "--limits-connections",
        "3",
        AGENTNET_RELAY_NAME="environment",
        AGENTNET_RELAY_PORT="2",
        AGENTNET_RELAY_LIMITS_CONNECTIONS="2",
        AGENTNET_RELAY_PUBLIC_URL="wss://a.example, wss://b.example",
    )
    shown = done.stdout.splitlines()
    for line in (
        'name = "flag"',
        "port = 2",
        'host = "::1"',
        "connections = 3",
        "queue_seconds = 1.0",
        'public_url = ["wss://a.example","wss://b.example"]',
    ):
        assert line in shown


def test_the_printed_configuration_is_a_good_file(relay_cli: Cli, tmp_path: Path) -> None:
    printed = relay_cli("config", "print", "--name", 'a "quoted" näme', "--data-dir", str(tmp_path))
    (tmp_path / "relay.toml").write_text(printed)
    assert relay_cli("config", "print", "--data-dir", str(tmp_path)) == printed
    assert "good" in relay_cli("check", "--data-dir", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 5", "prot"),
        ("[limits]\nmesages = 5", "mesages"),
        ('port = "5"', "port"),
        ("= 3", "not TOML"),
        ("[limits]\nconnections = 0", "limits.connections must be positive"),
        ('trusted_proxies = ["everyone"]', "trusted_proxies"),
        ('public_url = ["relay.example.org"]', "not a relay's address"),
        ('[firebase]\nemulator = true\nproject = "x"\n', "loopback"),
    ],
)
def test_check_names_what_is_wrong_in_the_file(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text(('host = "0.0.0.0"\n' if "emulator" in text else "") + text)
    done = run("check", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_unknown_variables_are_errors(tmp_path: Path) -> None:
    done = run("check", "--data-dir", str(tmp_path), AGENTNET_RELAY_PROT="5")
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "agentnet-relay: Unknown setting: AGENTNET_RELAY_PROT in the environment.",
    )


async def test_a_backup_of_a_running_relay_has_its_agents_and_is_never_overwritten(
    net: Net, relay_cli: Cli, tmp_path: Path
) -> None:
    await net.join("alice")
    out = tmp_path / "backup.sqlite"
    relay_cli("backup", "--out", str(out), "--data-dir", str(net.relay.data_dir))
    assert out.stat().st_mode & 0o077 == 0
    with sqlite3.connect(out) as copy:
        assert copy.execute("SELECT agent_id FROM agents").fetchall() == [("alice",)]
    assert run("backup", "--out", str(out), "--data-dir", str(net.relay.data_dir)).returncode == 1


def test_a_registry_from_a_newer_version_is_left_alone(tmp_path: Path, relay_cli: Cli) -> None:
    relay_cli("invite", "--data-dir", str(tmp_path))
    with sqlite3.connect(tmp_path / "registry.sqlite") as registry:
        registry.execute("PRAGMA user_version = 99")
    done = run("agents", "list", "--data-dir", str(tmp_path))
    assert (done.returncode, "version 99" in done.stderr) == (1, True)
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / "registry.sqlite").write_bytes(b"not a database at all" * 100)
    done = run("agents", "list", "--data-dir", str(tmp_path))
    assert (done.returncode, "Cannot open the registry" in done.stderr) == (1, True)


# --- metrics, health and the landing page ---------------------------------------------------------------


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


async def test_metrics_count_without_names(start_net: Callable[..., Net]) -> None:
    net = start_net("--metrics-port", "0")
    assert net.relay.lines is not None
    base = net.relay.lines.until(r"metrics on (http://\S+)")[1]
    alice, bob = await net.join("alice"), await net.join("bob")
    await alice.send(alice.envelope("HEARTBEAT", "bob", {"timestamp": 1}))
    await alice.send(alice.envelope("HEARTBEAT", "nobody", {"timestamp": 1}))
    await alice.settled()
    status, text = fetch(base + "/metrics")
    assert status == 200
    found = {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}
    assert found["agentnet_relay_messages_routed_total"] == 1
    assert found["agentnet_relay_authentications_total"] == 2
    assert found["agentnet_relay_errors_total"] == 1
    assert "alice" not in text
    assert fetch(base + "/healthz")[0] == fetch(base + "/readyz")[0] == 200
    assert fetch(base + "/")[0] == 404
    await bob.settled()


def test_the_landing_page_says_what_this_is_and_nothing_else(net: Net) -> None:
    address = net.url.replace("ws:", "http:")
    status, page = fetch(address + "/")
    assert status == 200
    assert "relay" in page
    assert "0.1" not in page
    assert fetch(address + "/metrics")[0] == fetch(address + "/../etc/passwd")[0] == 404
    assert fetch(address + "/agent-network/v1/connect")[0] == 426
