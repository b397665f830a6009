"""What a relay's memory holds of connections that are gone: nothing, at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.server import ServerProtocol

from relay import websocket
from relay.memory import Ebb
from relay.upgrade import ENDPOINT
from relay.wire.codec import Format, decode, decode_routing
from relay.wire.errors import WireError
from tests.processes import ROOT
from tests.relay.conftest import Here, Person

UPGRADE = (
    f"GET {ENDPOINT} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("sent", "closing"),
    [
        (b"", "cut"),
        (b"", "end"),
        (UPGRADE[:30], "cut"),
        (b"nonsense\r\n\r\n", "wait"),
        (b"GET / HTTP/1.1\r\n\r\n", "wait"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000, "wait"),
        (UPGRADE, "cut"),
        (UPGRADE, "end"),
        (UPGRADE + b"\x83\x82\0\0\0\0hi", "wait"),
        (UPGRADE + b"\x88\x80\0\0\0\0", "wait"),
    ],
)
@pytest.mark.usefixtures("no_collector")
async def test_a_connection_that_is_gone_is_freed_without_the_collector(
    here: Here, sent: bytes, closing: str
) -> None:
    witness = await here.net.join("witness")
    (old,) = here.server.sockets
    reader, writer = await asyncio.open_connection("127.0.0.1", here.net.relay.port)
    writer.write(sent)
    while len(here.server.sockets) < 2:
        await witness.settled()
    (new,) = here.server.sockets - {old}
    parts: list[weakref.ref[Any]] = [
        weakref.ref(new),
        weakref.ref(new._protocol),
        weakref.ref(new._protocol.reader),
    ]
    del new
    if closing == "end":
        writer.write_eof()
    if closing != "cut":
        await reader.read()
    writer.transport.abort()
    async with asyncio.timeout(10):
        while len(here.server.sockets) > 1 or any(part() for part in parts):
            await witness.settled()


@pytest.mark.usefixtures("no_collector")
async def test_an_agent_that_left_and_one_that_was_refused_are_freed_without_the_collector(
    here: Here,
) -> None:
    witness, alice = await here.net.join("witness"), await here.net.join("alice")
    opened = {weakref.ref(socket) for socket in here.server.sockets if socket.connection.key == "alice"}
    await alice.socket.close()
    late = await here.net.dial("bob")
    await late.send(late.envelope("AUTH", "system", {"token": Person("bob").token("x"), "agentId": "bob"}))
    opened |= {weakref.ref(socket) for socket in here.server.sockets if not socket.connection.key}
    assert len(opened) == 2
    assert (await late.closed())[0] == 4401
    async with asyncio.timeout(10):
        while any(socket() for socket in opened):
            await witness.settled()


async def test_who_ends_its_side_and_reads_nothing_is_cut_off_in_time(here: Here) -> None:
    witness, deaf = await here.net.join("witness"), await here.net.join("deaf")
    (gone,) = (socket for socket in here.server.sockets if socket.connection.key == "deaf")
    deaf.socket.transport.pause_reading()
    while not gone.connection.backlog.waiting:
        gone.send(bytes(1 << 20))
        await witness.settled()
    deaf.socket.transport.write_eof()
    while gone.connection.key in here.server.relay.router.online:
        await witness.settled()
    await witness.settled()
    assert gone in here.server.sockets
    gone.ticked(here.server.now() + websocket.LINGER_MS)
    while gone in here.server.sockets:
        await witness.settled()
    deaf.socket.transport.abort()


async def test_who_is_cut_off_in_a_siege_costs_no_protocol(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Counted(ServerProtocol):
        def __init__(self, **options: Any) -> None:
            made.append("one")
            super().__init__(**options)

    monkeypatch.setattr(websocket, "ServerProtocol", Counted)
    witness = await here.net.join("witness")
    address = "127.0.0.1", here.net.relay.port
    writers = [(await asyncio.open_connection(*address))[1] for _ in range(2)]
    while len(here.server.sockets) < 3:
        await witness.settled()
    reader, writer = await asyncio.open_connection(*address)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert here.server.relay.counters.refused_connections_total == 1
    assert len(made) == 3
    for each in (writer, *writers):
        each.transport.abort()


async def test_memory_goes_back_to_the_system_when_a_crowd_has_gone(here: Here) -> None:
    given_back: list[int] = []

    def trim(kept: int) -> int:
        given_back.append(kept)
        return 1

    here.server._trim = trim
    witness, relay = await here.net.join("witness"), here.server.relay
    async with asyncio.timeout(10):
        for crowd in (200, -200):
            assert not given_back
            relay.meters.open += crowd
            while relay.counters.connections != relay.meters.open:
                await witness.settled()
        while not given_back:
            await witness.settled()


def test_the_ebb_comes_once_for_each_crowd_that_has_gone_and_every_ten_seconds_at_most() -> None:
    ebb = Ebb()
    assert [ebb.has_come(count, 0) for count in (5, 300, 250, 151)] == [False] * 4
    assert [ebb.has_come(count, 0) for count in (150, 51, 50)] == [True, False, False]
    assert [ebb.has_come(50, now) for now in (9999, 10_000, 30_000)] == [False, True, False]
    assert not ebb.has_come(0, 60_000)  # fewer than a hundred are no crowd


def test_memory_that_is_held_at_the_top_of_the_heap_goes_back() -> None:
    script = (
        "from relay.memory import find_trim\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1])\n"
        "crowd = [bytearray(5000) for _ in range(10_000)]\n"
        "top = bytearray(5000)\n"
        "before = resident()\n"
        "del crowd\n"
        "trim = find_trim()\n"
        "assert trim\n"
        "trim(0)\n"
        "print(before - resident())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert int(done.stdout) > 10_000, done.stderr  # pages of 4 KiB, of the 12,000 that there were


@pytest.mark.parametrize("read", [decode, decode_routing])
@pytest.mark.parametrize(
    "frame", [b'{"a":' * 12_000, b'{"timestamp":' + b"9" * 60_000 + b"}", b"", b"{}", b"[", b"[]", b"\xff"]
)
def test_what_is_wrong_with_a_message_does_not_keep_it(read: Callable[..., list[Any]], frame: bytes) -> None:
    (error,) = read(frame, Format.JSON)
    assert isinstance(error, WireError)
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
