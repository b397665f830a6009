"""The door: what is counted before anything is read, with TLS of the relay's own and without."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.auth.registry import Registry
from relay.config import load
from relay.limits import AddressMeter, Limits, Meters
from relay.server import Server
from tests.relay.conftest import Net


def trusting(net: Net) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(net.relay.data_dir / "tls-self-signed.pem"))


async def outcome(reader: asyncio.StreamReader) -> bytes:
    """What comes until the relay ends the socket."""
    async with asyncio.timeout(15):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def test_sockets_amid_their_tls_handshake_count_and_one_too_many_is_cut_off(
    start_net: Callable[..., Net],
) -> None:
    net = start_net("--tls-self-signed", "--limits-address-unauthenticated", "5")
    alice = await net.join("alice", ssl=trusting(net))
    opened = [await asyncio.open_connection("127.0.0.1", net.relay.port) for _ in range(11)]
    assert await outcome(opened[-1][0]) == b""  # the eleventh, over twice five
    await alice.settled()
    for _, writer in opened:
        writer.transport.abort()
    async with asyncio.timeout(10):  # room again, as soon as the relay has noticed
        while True:
            with contextlib.suppress(OSError):
                await net.join("bob", ssl=trusting(net))
                break
    await alice.settled()


async def test_a_tls_handshake_that_is_not_finished_in_time_is_cut_off(start_net: Callable[..., Net]) -> None:
    net = start_net("--tls-self-signed", "--authentication-timeout", "0.5")
    reader, writer = await asyncio.open_connection("127.0.0.1", net.relay.port)
    assert await outcome(reader) == b""
    writer.close()


async def test_what_is_no_tls_ends_its_socket_and_no_other(start_net: Callable[..., Net]) -> None:
    net = start_net("--tls-self-signed")
    alice = await net.join("alice", ssl=trusting(net))
    reader, writer = await asyncio.open_connection("127.0.0.1", net.relay.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert not (await outcome(reader)).startswith(b"HTTP")
    writer.close()
    await alice.settled()


async def test_who_leaves_without_a_word_under_tls_is_out_and_no_fault_in_the_log(
    start_net: Callable[..., Net],
) -> None:
    net = start_net("--tls-self-signed")
    alice, bob = [await net.join(name, ssl=trusting(net)) for name in ("alice", "bob")]
    for one, other in ((alice, "bob"), (bob, "alice")):
        await one.send(one.envelope("PRESENCE", "system", {"watch": [other]}))
    assert (await bob.until("PRESENCE"))["content"]["status"] == "ONLINE"
    alice.socket.transport.close()
    assert (await bob.until("PRESENCE"))["content"] == {"agentId": "alice", "status": "OFFLINE"}
    await bob.settled()
    net.relay.stop()
    assert net.relay.log is not None
    assert " warning " not in net.relay.log.rest()


def test_an_address_that_comes_at_twice_its_rate_is_heard_no_more_for_a_while() -> None:
    limits = Limits(address_connections_burst=3, address_connections_per_minute=60)
    meters = Meters(limits)
    meter = meters.address("192.0.2.1")
    assert [meters.hears(meter, 0) for _ in range(7)] == [True] * 6 + [False]
    assert meters.hears(meters.address("192.0.2.2"), 0)
    assert [meters.hears(meter, 500) for _ in range(2)] == [True, False]
    assert not meter.is_full(3499)
    assert meter.is_full(3500)


@pytest.mark.parametrize("whose", ["all", "one address"])
def test_twice_as_many_may_wait_unauthenticated_as_are_answered(whose: str) -> None:
    limits = Limits(unauthenticated=2) if whose == "all" else Limits(address_unauthenticated=2)
    meters = Meters(limits)
    meter = meters.address("192.0.2.1")
    for _ in range(4):
        assert meters.hears(meter, 0)
        meters.opened(meter)
    assert not meters.hears(meter, 0)
    assert meters.hears(AddressMeter(limits), 0) == (whose == "one address")


async def test_every_address_of_a_name_is_listened_on_by_one_port(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    families = {found[0] for found in await loop.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    registry = Registry(tmp_path / "registry.sqlite")
    server = Server(
        load({"host": "localhost", "port": 0, "data_dir": str(tmp_path)}, environment={}), registry
    )
    await server.start()
    port = int(server.url.rpartition(":")[2])
    for family in families:
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await outcome(reader)).startswith(b"HTTP/1.1 200")
        writer.close()
    await server.stop()
    registry.close()


async def test_a_relay_without_file_descriptors_takes_up_again_when_there_are_some(
    start_net: Callable[..., Net],
) -> None:
    net = start_net()
    alice = await net.join("alice")
    assert net.relay.process is not None
    pid = net.relay.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    reader, writer = await asyncio.open_connection("127.0.0.1", net.relay.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await alice.settled()  # who is in notices nothing
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert (await outcome(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
