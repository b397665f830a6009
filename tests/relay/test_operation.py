"""What an operator relies on: TLS and its reload, proxies, logs, and a stop under load."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.exceptions import InvalidStatus

from relay.auth.registry import Registry, RegistryError
from relay.config import load
from relay.server import Server
from relay.tls import TlsError, self_signed
from tests.processes import ROOT, Lines, RelayProcess
from tests.relay.conftest import Client, Here, Net


def served_certificate(net: Net) -> bytes:
    return ssl.get_server_certificate(("127.0.0.1", net.relay.port)).encode()


def trusting(path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(path))


def until(check: Callable[[], bool]) -> None:
    """Wait for another process to do something that it does not announce."""
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline


async def test_a_self_signed_relay_puts_its_pin_into_the_invite_link(start_net: Callable[..., Net]) -> None:
    net = start_net("--tls-self-signed")
    assert net.url.startswith("wss://")
    fragment = dict(part.split("=") for part in urlsplit(net.relay.invite_link).fragment.split("&"))
    leaf = x509.load_pem_x509_certificate(await asyncio.to_thread(served_certificate, net))
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert fragment["cert"] == hashlib.sha256(spki).hexdigest()
    assert fragment["cert"] in net.relay.invite()
    files = net.relay.data_dir / "tls-self-signed.pem"
    assert (net.relay.data_dir / "tls-self-signed-key.pem").stat().st_mode & 0o077 == 0
    alice = await net.join("alice", ssl=trusting(files))
    await alice.settled()


async def test_a_new_certificate_is_served_after_sighup_and_a_bad_one_never(
    start_net: Callable[..., Net], tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        self_signed(folder, ["127.0.0.1"])
    live = tmp_path / "live"
    shutil.copytree(folders[0], live)
    certificate, key = live / "tls-self-signed.pem", live / "tls-self-signed-key.pem"
    net = start_net("--tls-cert", str(certificate), "--tls-key", str(key))
    first = await asyncio.to_thread(served_certificate, net)
    alice = await net.join("alice", ssl=trusting(certificate))
    assert net.relay.process is not None

    key.write_text("nonsense")
    net.relay.process.send_signal(signal.SIGHUP)
    await alice.settled()
    assert await asyncio.to_thread(served_certificate, net) == first

    shutil.copytree(folders[1], live, dirs_exist_ok=True)
    net.relay.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(until, lambda: served_certificate(net) != first)
    assert served_certificate(net) == certificate.read_bytes()
    await alice.settled()


def test_a_certificate_and_a_foreign_key_are_refused_together(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    self_signed(tmp_path / "one", ["localhost"])
    made = self_signed(tmp_path / "two", ["localhost"])
    shutil.copy(tmp_path / "one" / "tls-self-signed.pem", tmp_path / "two")
    with pytest.raises(TlsError, match="Cannot use"):
        made.reload()
    assert made.reload(only_if_changed=True) is False


async def test_limits_count_for_the_address_that_a_trusted_proxy_names(start_net: Callable[..., Net]) -> None:
    net = start_net("--trusted-proxies", "127.0.0.0/8", "--limits-address-connections-burst", "2")
    for address in ("192.0.2.1", "192.0.2.2"):
        for name in ("alice", "bob"):
            await net.join(name, headers={"X-Forwarded-For": f"10.9.9.9, {address}"})
    with pytest.raises(InvalidStatus) as refused:
        await net.join("carol", headers={"X-Forwarded-For": "192.0.2.2"})
    assert refused.value.response.status_code == 429


async def test_nobody_else_may_say_which_address_they_have(start_net: Callable[..., Net]) -> None:
    net = start_net("--trusted-proxies", "192.0.2.9", "--limits-address-connections-burst", "2")
    for number in range(2):
        await net.join("alice", headers={"X-Forwarded-For": f"192.0.2.{number}"})
    with pytest.raises(InvalidStatus) as refused:
        await net.join("alice", headers={"X-Forwarded-For": "192.0.2.77"})
    assert refused.value.response.status_code == 429


async def run_and_log(tmp_path: Path, work: Callable[[Net], Any], *options: str) -> list[str]:
    """Run a relay with options, do something, stop it, and give its log."""
    log = (tmp_path / "log").open("w+")
    command = [sys.executable, "-m", "relay", "serve", "--port", "0", "--data-dir", str(tmp_path), *options]
    process = await asyncio.to_thread(
        subprocess.Popen, command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
    )
    assert process.stdout is not None
    url = Lines(process.stdout).until(r"listening on (\S+)")[1]
    relay = RelayProcess(tmp_path, port=int(url.rpartition(":")[2]), url=url)
    net = Net(relay)
    await work(net)
    await net.close()
    process.terminate()
    assert await asyncio.to_thread(process.wait, 10) == 0
    log.seek(0)
    with log:
        return log.read().splitlines()


async def come_and_go(net: Net) -> None:
    alice = await net.join("alice")
    with pytest.raises(InvalidStatus):
        await net.dial("alice", token="eyJhbGciOiJub25lIn0.e30.")
    await alice.send(alice.envelope("DISCONNECT", "system"))
    await alice.closed()


async def test_the_log_can_be_json_and_has_no_whole_address(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in await run_and_log(tmp_path, come_and_go, "--log-format", "json")]
    events = [line["message"] for line in lines]
    assert "connection authenticated" in events
    assert "connection closed" in events
    closed = next(line for line in lines if line["message"] == "connection closed")
    assert (closed["agent"], closed["code"], closed["from"]) == ("alice", "1000", "127.0.0.0/24")
    assert not [line for line in lines if "127.0.0.1" in json.dumps(line) or "eyJ" in json.dumps(line)]


async def test_the_log_is_text_by_default_and_names_addresses_when_asked(tmp_path: Path) -> None:
    lines = await run_and_log(tmp_path, come_and_go, "--log-addresses")
    assert [
        line for line in lines if "connection authenticated agent=alice" in line and "from=127.0.0.1" in line
    ]


async def test_a_stop_closes_many_clients_one_after_another_within_its_time(
    start_net: Callable[..., Net],
) -> None:
    net = start_net("--drain", "1")
    clients: list[Client] = [await net.join(f"agent-{number}") for number in range(60)]
    assert net.relay.process is not None
    net.relay.process.send_signal(signal.SIGTERM)
    codes = await asyncio.gather(*(client.closed() for client in clients))
    assert {code for code, _ in codes} == {1001}
    assert await asyncio.to_thread(net.relay.process.wait, 10) == 0
    net.relay.process = None


async def test_a_second_signal_stops_at_once(start_net: Callable[..., Net]) -> None:
    net = start_net("--drain", "600")
    alice, bob = await net.join("alice"), await net.join("bob")
    assert net.relay.process is not None
    net.relay.process.send_signal(signal.SIGTERM)
    assert (await alice.until("ERROR"))["content"]["errorCode"] == "CONNECTION_ERROR"
    assert (await bob.until("ERROR"))["content"]["errorCode"] == "CONNECTION_ERROR"
    net.relay.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(net.relay.process.wait, 10) == 0
    net.relay.process = None


async def test_nothing_of_a_live_connection_still_holds_its_token(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.sqlite")
    server = Server(load({"port": 0, "data_dir": str(tmp_path)}, environment={}), registry)
    await server.start()
    net = Net(RelayProcess(tmp_path, port=int(server.url.rpartition(":")[2]), url=server.url))
    token = net.person("alice").token(net.url)
    alice = await net.dial("alice", token=token)
    assert (await alice.next())["messageType"] == "CONNECTED"
    (socket,) = server.sockets
    held = [
        found
        for found in reachable(socket, server, asyncio.get_running_loop())
        if isinstance(found, str | bytes | bytearray)
    ]
    assert alice.agent_id in held
    secret = token.rpartition(".")[2]
    assert not [one for one in held if (secret in one if isinstance(one, str) else secret.encode() in one)]
    await net.close()
    await server.stop()
    registry.close()


def reachable(root: object, *borders: object) -> list[object]:
    """What an object refers to, directly or not, but for modules, classes, functions, and beyond the borders."""
    found: dict[int, object] = {}
    waiting, ends = [root], {id(border) for border in borders}
    while waiting:
        one = waiting.pop()
        if id(one) in found or id(one) in ends or isinstance(one, type | ModuleType | FunctionType):
            continue
        found[id(one)] = one
        waiting += gc.get_referents(one)
    return list(found.values())


# --- the registry ---------------------------------------------------------------------------------------


def test_the_registry_is_for_its_owner_only(tmp_path: Path) -> None:
    Registry(tmp_path / "r.sqlite").close()
    assert (tmp_path / "r.sqlite").stat().st_mode & 0o077 == 0


def test_a_claim_that_fails_changes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "r.sqlite")
    code = registry.create_invite(agent_id="", uses=1, lifetime_ms=1000, now=0)
    spend = (b"t", 10)
    assert not registry.admit("alice", "key:a", spend=spend, invite="wrong", open_to_all=False, now=1)
    assert registry.admit("alice", "key:a", spend=spend, invite=code, open_to_all=False, now=1)
    assert not registry.admit("alice", "key:a", spend=spend, invite=code, open_to_all=False, now=2)
    assert registry.admit("alice", "key:a", spend=spend, invite=None, open_to_all=False, now=11)
    assert registry.admit("bob", "key:b", spend=None, invite=None, open_to_all=True, now=2)
    assert not registry.admit("ALICE", "key:b", spend=None, invite=None, open_to_all=True, now=2)
    with pytest.raises(RegistryError, match="another key"):
        registry.add_agent("Alice", "key:c", 3)
    registry.close()


@pytest.mark.parametrize("is_new", [False, True])
async def test_the_registry_is_asked_for_changes_only_when_its_files_may_have_been_written(
    here: Here, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    asked = [here.server.registry.changes()]

    def changes() -> int:
        asked.append(asked[0])
        return asked[0]

    monkeypatch.setattr(here.server._touches, "may_be_new", lambda wall: is_new)
    monkeypatch.setattr(here.server.registry, "changes", changes)
    await here.server._sweep()
    assert (len(asked) > 1) is is_new


def test_an_operator_without_rights_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="Cannot open the registry"):
        Registry(tmp_path / "missing" / "r.sqlite")
    assert os.path.lexists(tmp_path)


def test_the_address_in_an_invite_is_the_public_one(start_net: Callable[..., Net]) -> None:
    net = start_net("--public-url", "https://Relay.Example.org", "--name", "Café & Co")
    query = parse_qs(urlsplit(net.relay.invite_link).query)
    assert query == {"relay": ["wss://relay.example.org:443"], "name": ["Café & Co"]}
    assert parse_qs(urlsplit(net.relay.invite()).query) == query


async def test_a_token_for_the_loopback_address_is_not_taken_at_a_public_relay(
    start_net: Callable[..., Net],
) -> None:
    net = start_net("--public-url", "wss://relay.example.org")
    with pytest.raises(InvalidStatus):
        await net.join("alice")
    token = net.person("alice").token("wss://relay.example.org:443")
    alice = await net.dial("alice", token=token)
    assert (await alice.next())["messageType"] == "CONNECTED"
