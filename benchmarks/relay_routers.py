"""The routers of the relay benchmark: what starts each, who talks over them, and what the load is to do.

Each is on the first core, the load on the second. The relay runs with all its features on: authentication,
limits (raised, not off), validation, acknowledgements, metrics. The others have neither authentication nor
limits, which only makes them faster. This module measures nothing.
"""

from __future__ import annotations

import base64
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "relay_peers"
JSON, MSGPACK = "agentnet.v1+json", "agentnet.v1+msgpack"
WINDOW = 32
OURS, OURS_MSGPACK = "this relay, JSON", "this relay, msgpack"
PLAIN = "plain websockets.asyncio (asyncio, json)"
TUNED = "the same, tuned (uvloop, msgspec)"
WS, SOCKETIO = "Node ws", "Socket.IO (the document's example)"
MOSQUITTO, NATS = "Mosquitto, QoS 1", "NATS, verbose"
_READY_LIMIT_S = 10.0
_RAISED = """
metrics_port = 0
log_level = "warning"
[limits]
agent_messages_per_second = 1000000
agent_bytes_per_second = 10000000000
address_messages_per_second = 10000000
address_bytes_per_second = 100000000000
address_connections_per_minute = 1000000
address_connections_burst = 100000
address_connections = 100000
address_failures_per_minute = 1000000
address_failures_burst = 100000
connections = 100000
"""
_MOSQUITTO_CONF = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_dest none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
"""


def envelope(sender: str, recipient: str, subprotocol: str) -> bytes:
    """An ENCRYPTED envelope of about 1.1 KB in JSON."""

    def data(size: int) -> Any:
        raw = os.urandom(size)
        return raw if subprotocol == MSGPACK else base64.b64encode(raw).decode()

    made: dict[str, Any] = {
        "messageId": "msg_01JD0000000000000000000000",
        "conversationId": "conv_01JD000000000000000000000",
        "senderId": sender,
        "recipientId": recipient,
        "messageType": "ENCRYPTED",
        "content": {
            "encryptedData": data(272),
            "nonce": data(24),
            "signature": data(64),
            "originalType": "QUERY",
            "sessionId": "sess_01JD000000000000000000000",
            "commitment": data(32),
        },
        "timestamp": 1_750_000_000_000,
        "metadata": {"priority": "NORMAL", "encrypted": True, "requiresResponse": True},
    }
    short = len(json.dumps(made, separators=(",", ":"), default=lambda raw: base64.b64encode(raw).decode()))
    made["content"]["encryptedData"] = data(272 + (1100 - short) * 3 // 4)
    return msgspec.msgpack.encode(made) if subprotocol == MSGPACK else msgspec.json.encode(made)


class Agents:
    """Identities, and a data folder of our relay in which they are let in."""

    def __init__(self, count: int, folder: Path) -> None:
        self.keys = {f"agent-{number}": Ed25519PrivateKey.generate() for number in range(count)}
        self.folder = folder
        self._used = 0

    def let_in(self) -> None:
        """Let all of them in, once."""
        if (self.folder / "relay.toml").exists():
            return
        (self.folder / "relay.toml").write_text(_RAISED)
        listed = self.folder / "agents.jsonl"
        listed.write_text("".join(json.dumps(self._line(name)) + "\n" for name in self.keys))
        command = [sys.executable, "-m", "relay", "agents", "add", "--from", str(listed)]
        subprocess.run([*command, "--data-dir", str(self.folder)], cwd=ROOT, check=True)

    def _line(self, name: str) -> dict[str, str]:
        public = self.keys[name].public_key().public_bytes_raw()
        return {"agentId": name, "identityKey": base64.b64encode(public).decode()}

    def headers(self, name: str, url: str) -> dict[str, str]:
        """What an upgrade request carries."""
        now = int(time.time())
        self._used += 1
        claims = {"sub": name, "aud": url, "iat": now, "exp": now + 3600, "jti": f"{self._used}-{now}"}
        token = jwt.encode(claims, self.keys[name], algorithm="EdDSA")
        return {"X-Agent-Id": name, "Authorization": f"Bearer {token}"}


@contextlib.contextmanager
def agents(count: int) -> Iterator[Agents]:
    """So many identities, for as long as they are needed."""
    with tempfile.TemporaryDirectory() as folder:
        yield Agents(count, Path(folder))


@dataclass(frozen=True)
class Kind:
    """One router to measure.

    Attributes:
        wire: what it speaks, as `relay_wires.make` knows it; `ours` is our relay.
        command: what starts it, with `{port}` and `{folder}` where it cannot choose a port and tell it.
        subprotocol: of its WebSockets.
        config: its configuration, put into `{folder}/config`.
    """

    wire: str
    command: tuple[str, ...] = ()
    subprotocol: str = JSON
    config: str = ""


def kinds(missing: list[str]) -> dict[str, Kind]:
    """The routers that this machine can run, in the order of the table; the others go to `missing`."""
    plain = (sys.executable, "-m", "benchmarks.relay_plain")
    found = {OURS: Kind("ours"), OURS_MSGPACK: Kind("ours", subprotocol=MSGPACK)}
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        if not (PEERS / "node_modules").is_dir():
            subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=PEERS, check=True)
        found[SOCKETIO] = Kind("socketio", (node, str(PEERS / "socketio.mjs")))
        found[WS] = Kind("websocket", (node, str(PEERS / "ws.mjs")))
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    if mosquitto := shutil.which("mosquitto", path=path):
        found[MOSQUITTO] = Kind("mqtt", (mosquitto, "-c", "{folder}/config"), config=_MOSQUITTO_CONF)
    if nats := shutil.which("nats-server", path=path):
        found[NATS] = Kind("nats", (nats, "-a", "127.0.0.1", "-p", "{port}", "-l", os.devnull))
    found[PLAIN], found[TUNED] = Kind("websocket", plain), Kind("websocket", (*plain, "--tuned"))
    packages = {SOCKETIO: "Node and npm", WS: "Node and npm", MOSQUITTO: "mosquitto", NATS: "nats-server"}
    for name in packages.keys() - found.keys():
        missing.append(name)
        print(f"{name} is left out: {packages[name]} must be installed.", file=sys.stderr, flush=True)
    return found


@contextlib.contextmanager
def running(kind: Kind, people: Agents) -> Iterator[tuple[int, str]]:
    """Run a router on the first core; gives its process id and address."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as reserved:
        command = list(kind.command)
        if kind.wire == "ours":
            people.let_in()
            command = [sys.executable, "-m", "relay", "serve", "--port", "0"]
            command += ["--data-dir", str(people.folder)]
        port = 0
        if "{port}" in f"{kind.config}{command}":
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
            reserved.close()
            Path(folder, "config").write_text(kind.config.format(port=port))
        command = [word.format(port=port, folder=folder) for word in command]
        process = subprocess.Popen([*pinned(0), *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            yield process.pid, _address(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_READY_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _address(process: subprocess.Popen[str], port: int) -> str:
    """Wait until a router listens; where it chose the port, it says so."""
    if not port:
        assert process.stdout is not None
        return next(line for line in process.stdout if line.startswith("listening on ")).split()[-1]
    deadline = time.monotonic() + _READY_LIMIT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return f"tcp://127.0.0.1:{port}"
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"{process.args!r} does not listen on port {port}")
        time.sleep(0.01)  # nothing announces it


def pinned(core: int) -> list[str]:
    """The beginning of a command that stays on one core, where the platform can."""
    if shutil.which("taskset") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        return ["taskset", "--cpu-list", str(cores[core])]
    return []


def load(
    kind: Kind,
    at: tuple[int, str],
    people: Agents,
    *,
    pairs: int = 0,
    idle: int = 0,
    seconds: float = 0,
    rate: float = 0,
) -> dict[str, Any]:
    """Load a router from the second core.

    Args:
        kind: which.
        at: its process id and address.
        people: who talks.
        pairs: how many pairs talk.
        idle: how many more are only there.
        seconds: how long is measured; 0 only connects.
        rate: messages a second of all; 0 for as many as a window of 32 a pair lets through.

    Returns:
        What `relay_load.run` gives.
    """
    pid, url = at
    names = list(people.keys)[: 2 * pairs + idle]

    def one(name: str, peer: str) -> dict[str, Any]:
        headers = people.headers(name, url) if kind.wire == "ours" else {"X-Agent-Id": name}
        body = _body(kind, name, peer) if peer else ""
        return {"name": name, "peer": peer, "headers": headers, "body": body}

    together = [
        (one(a, b), one(b, "")) for a, b in zip(names[: 2 * pairs : 2], names[1 : 2 * pairs : 2], strict=True)
    ]
    work = {
        "host": "127.0.0.1",
        "port": int(url.rpartition(":")[2]),
        "pid": pid,
        "wire": kind.wire,
        "subprotocol": kind.subprotocol,
        "window": WINDOW,
        "warmup": 0.5,
        "seconds": seconds,
        "rate": rate,
        "pairs": together,
        "idle": [one(name, "") for name in names[2 * pairs :]],
    }
    return _run_load(work)


def _body(kind: Kind, name: str, peer: str) -> str:
    text = envelope(name, peer, kind.subprotocol).decode("latin-1")
    return f'42["message",{json.dumps(text)}]' if kind.wire == "socketio" else text


def _run_load(work: dict[str, Any]) -> dict[str, Any]:
    command: Sequence[str] = [*pinned(1), sys.executable, "-m", "benchmarks.relay_load"]
    done = subprocess.run(
        command, input=json.dumps(work), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the load failed: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    if found["lost"] or found.get("missing"):
        raise RuntimeError(f"{found['lost']} connections, {found.get('missing', 0)} messages were lost")
    return found
