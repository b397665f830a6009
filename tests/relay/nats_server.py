"""A real NATS server, and two real relays that it joins."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import Lines, RelayProcess, real_part
from tests.relay.conftest import Client, Net


@dataclass
class NatsServer:
    """`nats-server` as a child process on a loopback port, the same one over `kill()` and `start()`."""

    extra: tuple[str, ...] = ()
    port: int = -1
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        program = real_part("nats-server", "nats-server")
        command = [program, "-a", "127.0.0.1", "-p", str(self.port), *self.extra]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        said = Lines(self.process.stderr)
        self.port = int(said.until(r"client connections on 127\.0\.0\.1:(\d+)")[1])
        said.until("Server is ready")

    def freeze(self) -> None:
        """Stop it where it is; returns when all of it stands still."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on, if it runs."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Two:
    """Two relays on one registry, joined; `a` and `b` are the agents' ways to each."""

    nats: NatsServer
    relays: tuple[RelayProcess, RelayProcess]
    a: Net
    b: Net

    def renew(self) -> None:
        """Give them fresh ways in, for agents of another test."""
        people = self.a.people
        self.a, self.b = (Net(relay) for relay in self.relays)
        self.a.people = self.b.people = people

    def figures(self, number: int) -> dict[str, float]:
        """The metrics of a relay, without their prefix."""
        text = fetch(self.relays[number], "/metrics")[1]
        lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
        return {name.removeprefix("agentnet_relay_"): float(value) for name, value in lines}


def fetch(relay: RelayProcess, path: str) -> tuple[int, str]:
    """What a relay's metrics port answers: status and body."""
    assert relay.lines is not None
    address = relay.lines.until(r"metrics on (http://\S+)")[1]
    try:
        with urllib.request.urlopen(address + path, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@contextlib.contextmanager
def two_relays(folder: Path, *options: str) -> Iterator[Two]:
    """Run a NATS server and two relays on one data folder."""
    nats = NatsServer()
    nats.start()
    extra = (
        "--nats",
        nats.url,
        "--metrics-port",
        "0",
        "--limits-address-connections-burst",
        "10000",
        *options,
    )
    relays = (
        RelayProcess(folder, extra),
        RelayProcess(folder, extra, invite_link="the first start printed it"),
    )
    try:
        for relay in relays:
            relay.start()
        two = Two(nats, relays, Net(relays[0]), Net(relays[1]))
        two.renew()
        yield two
    finally:
        for relay in relays:
            relay.stop()
        nats.thaw()
        nats.kill()


SEALED = {
    "encryptedData": "A" * 400,
    "nonce": "A" * 32,
    "signature": "A" * 86 + "==",
    "originalType": "QUERY",
    "sessionId": "sess_1",
    "commitment": "A" * 43 + "=",
}


async def meet(sender: Client, receiver: Client) -> None:
    """Return once a message has reached an agent at another relay; just connected, it may not be found yet."""
    while (await say(sender, receiver))["messageType"] != "ACK":
        pass
    await receiver.until("ENCRYPTED")


async def say(sender: Client, receiver: Client | str, **fields: object) -> dict[str, object]:
    """Send a sealed message; gives the relay's answer to it."""
    to = receiver if isinstance(receiver, str) else receiver.agent_id
    content = {
        name: bytes(len(text) * 3 // 4 - text.count("="))
        if sender.is_msgpack and name not in {"originalType", "sessionId"}
        else text
        for name, text in SEALED.items()
    }
    sent = await sender.send(sender.envelope("ENCRYPTED", to, content, **fields))
    while True:
        answer = await sender.next()
        said = answer["content"]
        if sent["messageId"] in (said.get("messageId"), said.get("details", {}).get("originalMessageId")):
            return answer


async def watch(client: Client, *names: str) -> None:
    """Send a watch set."""
    await client.send(client.envelope("PRESENCE", "system", {"watch": list(names)}))


async def presence(client: Client) -> tuple[str, str]:
    """The next PRESENCE: whom it is about, and what it says."""
    content = (await client.until("PRESENCE"))["content"]
    return content["agentId"], content["status"]
