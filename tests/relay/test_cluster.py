"""Several relays as one, for real: a NATS server, two relay processes on one registry, agents at both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client as NatsClient
from websockets.exceptions import InvalidStatus

from relay.cluster import Cluster
from relay.config import ConfigError, nats_servers, redacted
from relay.nodes import SILENT_MS
from relay.notes import NOTES, agent_subject, back_subject
from tests.processes import ROOT, Lines, RelayProcess
from tests.relay.conftest import JSON, MSGPACK, Client, Person, invite_code
from tests.relay.core import World
from tests.relay.nats_server import NatsServer, Two, fetch, meet, presence, say, two_relays, watch


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two relays for the tests that leave them running."""
    with two_relays(tmp_path_factory.mktemp("two") / "data") as two:
        yield two


@pytest.fixture
async def two(processes: Two) -> AsyncIterator[Two]:
    """The same, with nobody connected."""
    processes.renew()
    yield processes
    await processes.a.close()
    await processes.b.close()


@pytest.fixture
async def own_two(tmp_path: Path) -> AsyncIterator[Two]:
    """Two relays of this test's own."""
    with two_relays(tmp_path / "data", "--drain", "0.2") as two:
        yield two
        await two.a.close()
        await two.b.close()


async def friends(two: Two) -> tuple[Client, Client]:
    """Alice at the first relay and Bob at the second, who watch each other and know it."""
    alice, bob = await two.a.join("alice.a"), await two.b.join("Bob")
    await watch(alice, "bob")
    await watch(bob, "alice.a")
    assert await presence(alice) == ("Bob", "ONLINE")
    assert await presence(bob) == ("alice.a", "ONLINE")
    return alice, bob


async def until(check: Callable[[], bool]) -> None:
    """Wait for a relay to do something that it does not announce."""
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(check):
            pass


# ------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("theirs", [JSON, MSGPACK])
@pytest.mark.parametrize("ours", [JSON, MSGPACK])
async def test_a_message_reaches_the_other_relay_in_its_recipients_format(
    two: Two, ours: str, theirs: str
) -> None:
    alice, bob = await two.a.join("alice.a", subprotocol=ours), await two.b.join("Bob", subprotocol=theirs)
    await meet(alice, bob)
    answer = await say(alice, "BOB", messageId="msg_this")
    assert answer["content"] == {"messageId": "msg_this", "status": "ROUTED"}
    got = await bob.until("ENCRYPTED")
    assert (got["messageId"], got["senderId"]) == ("msg_this", "alice.a")
    data = got["content"]["encryptedData"]
    assert data == (bytes(300) if theirs == MSGPACK else "A" * 400)


async def test_nobody_is_not_found_at_once(two: Two) -> None:
    alice = await two.a.join("alice.a")
    before = time.monotonic()
    answer: dict[str, Any] = await say(alice, "nobody")
    assert time.monotonic() - before < 2
    assert answer["content"]["errorCode"] == "RECIPIENT_NOT_FOUND"
    assert two.figures(0)["nats_connected"] == 1
    await until(lambda: two.figures(0)["other_relays"] == 1)


async def test_many_messages_arrive_in_order_and_are_answered_in_order(two: Two) -> None:
    alice, bob = await two.a.join("alice.a"), await two.b.join("Bob")
    await meet(alice, bob)
    names = [f"msg_n{number}" for number in range(300)]
    for start in range(0, 300, 50):
        beats = [alice.envelope("HEARTBEAT", "bob", {"timestamp": 1}, messageId=name) for name in names]
        await alice.send(beats[start : start + 50])
    assert [(await bob.until("HEARTBEAT"))["messageId"] for _ in names] == names


async def test_an_agent_that_watches_others_is_reached_by_those_only(two: Two) -> None:
    alice, bob = await two.a.join("alice.a"), await two.b.join("Bob")
    await meet(alice, bob)
    await watch(bob, "carol")
    await bob.settled()
    answer: dict[str, Any] = await say(alice, bob)
    assert answer["content"]["errorCode"] == "RECIPIENT_NOT_FOUND"
    await watch(bob, "Alice.A")
    await bob.settled()
    assert (await say(alice, bob))["messageType"] == "ACK"


async def test_a_reader_elsewhere_that_does_not_read_is_told_to_its_sender(tmp_path: Path) -> None:
    options = ("--limits-queue-bytes", "100000", "--limits-queue-seconds", "1")
    more = ("--limits-agent-messages-burst", "100000", "--limits-agent-bytes-burst", "1000000000")
    with two_relays(tmp_path / "data", *options, *more) as two:
        alice, bob = await friends(two)
        carol = await two.b.join("carol")
        bob.socket.transport.pause_reading()
        large = {"encryptedData": "A" * 40_000, "nonce": "A" * 32, "signature": "A" * 86 + "=="}
        rest = {"originalType": "QUERY", "sessionId": "sess_1", "commitment": "A" * 43 + "="}
        told: dict[str, Any] = {"status": "ROUTED"}
        while told.get("status") == "ROUTED":  # until the sockets' buffers and the queue are full
            await alice.send(alice.envelope("ENCRYPTED", "bob", {**large, **rest}))
            told = (await alice.next())["content"]
        assert (told["errorCode"], told["recoverable"]) == ("MESSAGE_ERROR", True)
        assert told["retryAfter"] > 0
        assert told["details"]["reason"] == "The recipient reads too slowly."
        await meet(alice, carol)
        assert await presence(alice) == ("Bob", "OFFLINE")
        bob.socket.transport.abort()
        await two.a.close()
        await two.b.close()


# ------------------------------------------------------------------------------------------- who is where


async def test_presence_is_told_to_those_who_watch_each_other(two: Two) -> None:
    alice, bob = await friends(two)
    carol = await two.b.join("carol")
    await watch(carol, "alice.a")
    await carol.settled()
    await watch(bob)
    assert await presence(alice) == ("Bob", "OFFLINE")
    await watch(bob, "alice.a")
    assert await presence(alice) == ("Bob", "ONLINE")
    assert await presence(bob) == ("alice.a", "ONLINE")
    await alice.socket.close()
    assert await presence(bob) == ("alice.a", "OFFLINE")
    answer: dict[str, Any] = await say(bob, "alice.a")
    assert answer["content"]["errorCode"] == "RECIPIENT_NOT_FOUND"


async def test_the_newest_connection_wins_at_whichever_relay(two: Two) -> None:
    alice, bob = await friends(two)
    newer = await two.b.join("alice.a")
    assert (await alice.closed())[0] == 4409
    await watch(newer, "bob")
    assert await presence(newer) == ("Bob", "ONLINE")
    newest = await two.a.join("alice.a")
    assert (await newer.closed())[0] == 4409
    await meet(bob, newest)
    await newest.settled()


async def test_of_two_simultaneous_logins_exactly_one_stays(two: Two) -> None:
    two.a.person("alice.a")
    for _ in range(10):
        both = await asyncio.gather(two.a.join("alice.a"), two.b.join("alice.a"))
        ends = [asyncio.ensure_future(one.socket.wait_closed()) for one in both]
        done, left = await asyncio.wait(ends, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(left)) == (1, 1)
        (stays,) = [one for one, end in zip(both, ends, strict=True) if end in left]
        (goes,) = [one for one in both if one is not stays]
        assert goes.socket.close_code == 4409
        await stays.settled()
        await stays.socket.close()
        await asyncio.gather(*ends)


async def test_a_revoked_agent_is_closed_wherever_it_is(two: Two, relay_cli: Callable[..., str]) -> None:
    bob = await two.b.join("bob-to-revoke")
    alice = await two.a.join("alice.a")
    await watch(alice, "bob-to-revoke")
    await watch(bob, "alice.a")
    assert (await presence(alice))[1] == "ONLINE"
    relay_cli("agents", "revoke", "bob-to-revoke", "--data-dir", str(two.relays[0].data_dir))
    assert (await bob.closed())[0] == 4401
    assert (await presence(alice))[1] == "OFFLINE"


async def test_relays_on_one_registry_take_a_token_and_an_invite_once(two: Two) -> None:
    public = two.relays[0].url
    invite = invite_code(two.relays[0].invite())
    person = Person("invited")
    token = person.token(two.b.url, invite)
    first = await two.b.dial("invited", token=token)
    assert (await first.next())["messageType"] == "CONNECTED"
    for net, used in ((two.b, token), (two.a, Person("another").token(public, invite))):
        with pytest.raises(InvalidStatus):
            await net.dial(token=used)
    second = await two.a.dial("invited", token=person.token(public))
    assert (await second.next())["messageType"] == "CONNECTED"
    assert (await first.closed())[0] == 4409


def test_two_relays_may_begin_a_registry_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "relay", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    try:
        for process in both:
            assert process.stdout is not None
            Lines(process.stdout).until("listening on")
    finally:
        for process in both:
            process.terminate()
            assert process.wait(10) == 0


# ------------------------------------------------------------------------------------------- trouble


async def test_the_agents_of_a_killed_relay_are_offline_and_not_found(own_two: Two) -> None:
    two = own_two
    alice, bob = await friends(two)
    before = time.monotonic()
    two.relays[1].kill()
    bob.socket.transport.abort()
    answer: dict[str, Any] = await say(alice, bob)
    assert answer["content"]["errorCode"] == "RECIPIENT_NOT_FOUND"
    assert await presence(alice) == ("Bob", "OFFLINE")
    assert time.monotonic() - before < SILENT_MS / 1000 + 3
    two.relays[1].start()
    bob = await two.b.join("Bob")
    await watch(bob, "alice.a")
    assert await presence(alice) == ("Bob", "ONLINE")
    await meet(alice, bob)


async def test_a_relay_that_stops_in_order_tells_the_others_first(own_two: Two) -> None:
    alice, bob = await friends(own_two)
    before = time.monotonic()
    stopped = asyncio.create_task(asyncio.to_thread(own_two.relays[1].stop))
    assert await presence(alice) == ("Bob", "OFFLINE")
    assert (await bob.closed())[0] == 1001
    assert await stopped == 0
    log = own_two.relays[0].log
    assert log is not None
    await asyncio.to_thread(log.until, "another relay is gone")
    assert time.monotonic() - before < SILENT_MS / 1000


async def test_without_nats_what_is_elsewhere_is_not_known_and_with_it_all_is_as_before(two: Two) -> None:
    alice, bob = await friends(two)
    two.nats.kill()
    assert await presence(alice) == ("Bob", "OFFLINE")
    assert await presence(bob) == ("alice.a", "OFFLINE")
    answer: dict[str, Any] = await say(alice, bob)
    content = answer["content"]
    assert (content["errorCode"], content["recoverable"]) == ("MESSAGE_ERROR", True)
    assert content["retryAfter"] > 0
    assert two.figures(0)["nats_connected"] == 0
    assert fetch(two.relays[0], "/readyz") == (200, "ready, but NATS is gone\n")
    carol = await two.a.join("carol")
    assert (await say(alice, carol))["messageType"] == "ACK"
    newer = await two.b.join("alice.a")
    two.nats.start()
    assert (await alice.closed())[0] == 4409
    await watch(newer, "bob")
    assert await presence(newer) == ("Bob", "ONLINE")
    await meet(bob, carol)
    assert fetch(two.relays[0], "/readyz") == (200, "ready\n")
    assert two.figures(0)["nats_connected"] == 1


async def test_those_who_stayed_are_told_when_nats_is_back(two: Two) -> None:
    alice, bob = await friends(two)
    for _ in range(2):
        two.nats.kill()
        assert await presence(alice) == ("Bob", "OFFLINE")
        assert await presence(bob) == ("alice.a", "OFFLINE")
        two.nats.start()
        assert await presence(alice) == ("Bob", "ONLINE")
        assert await presence(bob) == ("alice.a", "ONLINE")
        await meet(alice, bob)


async def test_a_nats_that_hangs_leaves_the_fate_of_a_message_open(two: Two) -> None:
    alice, bob = await friends(two)
    before = two.figures(0)["unanswered_forwards_total"]
    two.nats.freeze()
    answer: dict[str, Any] = await say(alice, bob)
    assert answer["content"]["errorCode"] == "MESSAGE_ERROR"
    assert two.figures(0)["unanswered_forwards_total"] == before + 1
    two.nats.thaw()
    assert await presence(alice) == ("Bob", "OFFLINE")
    assert await presence(alice) == ("Bob", "ONLINE")
    await meet(alice, bob)


async def test_what_comes_over_nats_and_does_not_fit_harms_nothing(own_two: Two) -> None:
    two = own_two
    alice, bob = await friends(two)
    before = two.figures(1)["malformed_notes_total"]
    stranger = NatsClient()
    await stranger.connect(two.nats.url)
    deep = b"\x91" * 10_000
    bad = [b"", b"\xff" * 100, deep, b"{" * 1000, msgspec.msgpack.encode(["Beat", "no node", 1])]
    for data in bad:
        await stranger.publish(NOTES, data)
        await stranger.publish(agent_subject("bob"), data)
        await stranger.publish(agent_subject("bob"), data, reply=NOTES)
    await stranger.publish(agent_subject("nobody"), b"x")
    await stranger.flush()
    await until(lambda: two.figures(1)["malformed_notes_total"] >= before + 15)
    await meet(alice, bob)
    (node,) = {match[1] for match in [await read_log(two.relays[1], r"NATS is there .*node=([0-9a-f]{16})")]}
    for number, data in ((1, b"nonsense"), (99, b"routed"), ("x", b"routed"), (1, b"")):
        await stranger.publish(back_subject(node, number), data)
    await stranger.flush()
    await until(lambda: two.figures(1)["malformed_notes_total"] >= before + 18)
    await meet(bob, alice)
    await read_log(two.relays[1], "warning dropped what came over NATS and does not fit count=")
    await stranger.close()
    for relay in two.relays:
        log = relay.log
        assert await asyncio.to_thread(relay.stop) == 0
        assert log is not None
        text = log.rest()
        assert not re.search("Traceback|error|AAAA", text)


async def read_log(relay: RelayProcess, pattern: str) -> re.Match[str]:
    assert relay.log is not None
    return await asyncio.to_thread(relay.log.until, pattern)


# ------------------------------------------------------------------------------------------- set-up


def serve(folder: Path, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `serve`, which cannot start."""
    command = [
        sys.executable,
        "-m",
        "relay",
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(folder),
        "--nats",
        url,
    ]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_without_nats_at_the_start_there_is_a_sentence_without_the_password(tmp_path: Path) -> None:
    done = serve(tmp_path, "nats://me:secret@127.0.0.1:9,nats://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "agentnet-relay: Cannot use NATS at nats://***@127.0.0.1:9: connection refused."
        " Cannot use NATS at nats://127.0.0.1:9: connection refused.\n"
    )


async def test_what_is_no_nats_server_is_told_in_a_sentence(tmp_path: Path) -> None:
    async def served(said: bytes) -> asyncio.Server:
        async def on_connect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(said)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

        return await asyncio.start_server(on_connect, "127.0.0.1", 0)

    strange = (
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"INFO nonsense\r\n",
        b"INFO {}\r\nwhat\r\n",
        b"x" * 200_000,
    )
    servers = [await served(said) for said in strange]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    url = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    done = await asyncio.to_thread(serve, tmp_path, url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert [
        port for port in ports if f"Cannot use NATS at nats://127.0.0.1:{port}: it " not in done.stderr
    ] == []
    for server in servers:
        server.close()


@pytest.fixture
def open_nats() -> Iterator[NatsServer]:
    server = NatsServer()
    server.start()
    yield server
    server.kill()


async def test_a_fault_while_writing_is_logged_and_the_relay_comes_back(
    open_nats: NatsServer, expected_errors: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected_errors("writing to NATS failed")
    world, tasks = World(), set[asyncio.Task[None]]()

    def start(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        tasks.add(task := asyncio.create_task(work, name=name))
        return task

    cluster = Cluster(world.relay, open_nats.url, random=os.urandom, now=lambda: world.now, start_task=start)
    await cluster.join()
    first = cluster._client
    assert first is not None

    async def broken(*_: object) -> None:
        raise ValueError("a fault")

    join, is_back = cluster.join, asyncio.Event()

    async def again() -> None:
        await join()
        is_back.set()

    monkeypatch.setattr(first, "publish", broken)
    monkeypatch.setattr(cluster, "join", again)
    start(cluster.write(), "write")
    async with asyncio.timeout(10):
        await is_back.wait()
    assert world.relay.counters.nats_connected == 1
    await cluster.leave()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def guarded_nats() -> Iterator[NatsServer]:
    server = NatsServer(("--user", "me", "--pass", "secret"))
    server.start()
    yield server
    server.kill()


def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path, guarded_nats: NatsServer) -> None:
    done = serve(tmp_path, f"nats://me:wrong@127.0.0.1:{guarded_nats.port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"agentnet-relay: Cannot use NATS at nats://***@127.0.0.1:{guarded_nats.port}:"
        " it refuses the user or password.\n"
    )


def test_the_first_server_that_takes_the_relay_is_used_and_no_password_is_logged(
    tmp_path: Path, guarded_nats: NatsServer
) -> None:
    url = f"nats://127.0.0.1:9,nats://me:secret@127.0.0.1:{guarded_nats.port}"
    relay = RelayProcess(tmp_path / "data", ("--nats", url, "--log-level", "debug"))
    relay.start()
    log = relay.log
    assert log is not None
    log.until(r"NATS is there server=nats://\*\*\*@127")
    guarded_nats.kill()
    log.until("NATS is gone")
    log.until("Cannot use NATS at nats://")
    assert relay.stop() == 0
    assert "secret" not in log.rest()


def test_a_nats_that_takes_smaller_messages_than_the_relay_is_told(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text("max_payload: 131072\n")
    server = NatsServer(("-c", str(config)))
    server.start()
    try:
        done = serve(tmp_path / "data", server.url, "--max-message-bytes", "131073")
        assert done.returncode == 1
        assert "its max_payload must be at least 131073 bytes" in done.stderr
    finally:
        server.kill()


def test_a_relay_whose_port_is_taken_leaves_the_others_and_says_one_sentence(
    two: Two, tmp_path: Path
) -> None:
    done = serve(tmp_path, two.nats.url, "--port", str(two.relays[0].port))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("agentnet-relay: Cannot listen on 127.0.0.1 port")
    assert "Traceback" not in done.stderr


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['nats.aio.client'] = None; from relay.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--nats", "nats://127.0.0.1:9"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nats-py, which is not installed" in done.stderr


def test_a_relay_alone_loads_nothing_of_it() -> None:
    code = (
        "import sys, relay.cli, relay.server, relay.logs\n"
        "print([name for name in sys.modules if name.startswith(('nats', 'relay.cluster', 'relay.no'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        ("nats://127.0.0.1", ("nats://127.0.0.1:4222",)),
        ("tls://me:pw@Nats.example:1, nats://[::1]/", ("tls://me:pw@nats.example:1", "nats://[::1]:4222")),
    ],
)
def test_nats_addresses_are_read(text: str, servers: tuple[str, ...]) -> None:
    assert nats_servers(text) == servers


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:4222",
        "http://me:secret@127.0.0.1",
        "nats://",
        "nats://me:secret@127.0.0.1:x",
        "nats://me:secret@127.0.0.1:99999",
        "nats://me:secret@127.0.0.1/path",
        "nats://me:secret@127.0.0.1?x",
        "nats://127.0.0.1,",
    ],
)
def test_a_bad_nats_address_is_told_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        nats_servers(text)
    assert str(refused.value) == "nats takes addresses such as nats://127.0.0.1:4222, separated by commas."


def test_a_nats_address_is_shown_without_its_password() -> None:
    text = "nats://me:se@cret@a.example:1,tls://token@b.example,nats://c.example"
    assert redacted(text) == "nats://***@a.example:1,tls://***@b.example,nats://c.example"


def test_the_configuration_is_checked_and_printed_without_the_password(
    relay_cli: Callable[..., str], tmp_path: Path
) -> None:
    options = ("--data-dir", str(tmp_path), "--nats", "nats://me:secret@127.0.0.1")
    assert relay_cli("check", *options) == "The configuration is good.\n"
    printed = relay_cli("config", "print", *options)
    assert 'nats = "nats://***@127.0.0.1"' in printed
