"""A restart, and a new certificate, while agents send: nothing acknowledged is lost, and all are back in seconds."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.protocol.contact_link import parse_invite_link
from agentnet_desktop.transport.signals import State
from relay.tls import self_signed
from tests.processes import RelayProcess
from tests.relay.conftest import Client, Net
from tests.transport.small_relay import at_desk
from tests.transport.test_with_relay import local_tokens

BACK_S = 5.0


class Pair:
    """Alice, who sends numbered messages until each is DELIVERED, and Bob, who writes down what he gets."""

    def __init__(self, net: Net, trust: ssl.SSLContext | None = None) -> None:
        self.net = net
        self.options: dict[str, Any] = {"ssl": trust} if trust else {}
        self.stored: set[str] = set()
        self.delivered: list[str] = []
        self.joined: list[float] = []
        self.ended = False
        self.up = asyncio.Event()  # cleared while the relay is down
        self.up.set()
        self._news = asyncio.Event()

    async def _live(self, name: str, work: Callable[[Client], Any]) -> None:
        """Connect, work, and come back when the connection is lost."""
        while not self.ended:
            try:
                client = await self.net.join(name, **self.options)
                self.joined.append(time.monotonic())
                self._news.set()
                await work(client)
            except (OSError, ConnectionClosed, InvalidHandshake, AssertionError):
                await self.up.wait()

    async def _send(self, alice: Client) -> None:
        while not self.ended:
            wanted = f"msg_number-{len(self.delivered)}"
            content = {"messageId": wanted, "status": "CONFIRMED", "tag": "A" * 43 + "="}
            await alice.send(alice.envelope("ACK", "bob", content))
            said = await alice.next()
            if said["messageType"] == "ACK" and said["content"] == {
                **said["content"],
                "messageId": wanted,
                "status": "DELIVERED",
            }:
                self.delivered.append(wanted)
                self._news.set()
            elif said["messageType"] == "ERROR":
                await alice.settled()  # bob is not back yet

    async def _receive(self, bob: Client) -> None:
        while not self.ended:
            got = await bob.until("ACK")
            self.stored.add(got["content"]["messageId"])
            head = {"logHead": "A" * 43 + "=", "signature": "A" * 86 + "=="}
            receipt = {"messageId": got["content"]["messageId"], "status": "DELIVERED", **head}
            await bob.send(bob.envelope("ACK", "alice", receipt))

    async def until(self, check: Callable[[], bool]) -> None:
        """Return once something holds that a delivery or a connection brings about."""
        async with asyncio.timeout(20):
            while not check():
                self._news.clear()
                await self._news.wait()

    async def more(self, count: int = 20) -> None:
        """Return once that many more messages are DELIVERED."""
        wanted = len(self.delivered) + count
        await self.until(lambda: len(self.delivered) >= wanted)

    async def run(self, work: Callable[[Pair], Any]) -> None:
        """Do something to the relay while the two talk."""
        async with asyncio.TaskGroup() as group:
            talk = [
                group.create_task(self._live("alice", self._send)),
                group.create_task(self._live("bob", self._receive)),
            ]
            await self.more()
            await work(self)
            await self.more()
            self.ended = True
            for task in talk:
                task.cancel()
        assert set(self.delivered) <= self.stored


@pytest.mark.parametrize("end", [RelayProcess.stop, RelayProcess.kill])
async def test_nothing_delivered_is_lost_over_an_end_and_all_are_back_in_time(
    start_net: Callable[..., Net], end: Callable[[RelayProcess], int | None]
) -> None:
    net = start_net("--drain", "0.2", "--limits-address-connections-burst", "10000")

    async def restart(pair: Pair) -> None:
        relay = net.relay
        pair.up.clear()
        assert not await asyncio.to_thread(end, relay)
        before = len(pair.joined)
        await asyncio.to_thread(relay.start)
        started = time.monotonic()
        pair.up.set()
        await pair.until(lambda: len(pair.joined) >= before + 2)
        assert max(pair.joined) - started < BACK_S

    await Pair(net).run(restart)


async def test_a_new_certificate_under_load_breaks_no_connection(
    start_net: Callable[..., Net], tmp_path: Path
) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        self_signed(tmp_path / name, ["127.0.0.1"])
    old = (tmp_path / "old" / "tls-self-signed.pem").read_bytes()
    certificate, key = (tmp_path / "old" / f"tls-self-signed{end}.pem" for end in ("", "-key"))
    net = start_net("--tls-cert", str(certificate), "--tls-key", str(key))
    trust = ssl.create_default_context(cafile=str(certificate))
    seen: list[bytes] = []

    async def reload(pair: Pair) -> None:
        shutil.copytree(tmp_path / "new", tmp_path / "old", dirs_exist_ok=True)
        assert net.relay.process is not None
        net.relay.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while not seen or seen[-1] == old:
                address = ("127.0.0.1", net.relay.port)
                seen.append((await asyncio.to_thread(ssl.get_server_certificate, address)).encode())
                await pair.more(1)

    pair = Pair(net, trust)
    await pair.run(reload)
    assert seen[-1] == certificate.read_bytes()
    assert len(pair.joined) == 2


async def test_the_pin_in_the_invite_is_all_that_a_client_needs_at_a_self_signed_relay(
    start_net: Callable[..., Net],
) -> None:
    relay = start_net("--tls-self-signed").relay
    link = parse_invite_link(relay.invite_link)
    assert link.cert is not None
    key = IdentityKey.from_seed(os.urandom(32))
    for pin, state in (("0" * 64, State.WAITING), (None, State.WAITING), (link.cert.hex(), State.CONNECTED)):
        async with at_desk(relay.url, tls_pin=pin) as alice:
            alice.client._tokens = local_tokens(relay, "alice", key, enrolled=False, invite=link.invite)
            status = await alice.reaches(state)
            assert state is State.CONNECTED or status.kind == "TLS"
