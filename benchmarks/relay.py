"""How many messages a second the relay routes, and in how much memory, beside named routers in the same run.

All get the same bytes from the same load, on one core, while the load has another. The relay runs with all its
features on: authentication, limits (raised, not off), validation, acknowledgements, metrics.

Each router fills its core, so what counts is messages a second of the router's processor time: on a quiet
machine that is its rate, and on a busy one it still compares. Reach, at 50 pairs and 1.1 KB ENCRYPTED envelopes,
by medians: three times a plain `websockets.asyncio` router with the same JSON bytes; as the desktop speaks
(msgpack, the same content) three times a Socket.IO router written after the protocol document's example, and
twice Node's `ws`; and 8 KiB a connection.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.relay_load import resident_kib
from benchmarks.table import Table

ROOT = Path(__file__).resolve().parent.parent
JSON, MSGPACK = "agentnet.v1+json", "agentnet.v1+msgpack"
WINDOW = 32
PAIRS = 50
OURS, OURS_MSGPACK = "this relay, JSON", "this relay, msgpack"
PLAIN = "plain websockets.asyncio (asyncio, json)"
TUNED = "the same, tuned (uvloop, msgspec)"
WS, SOCKETIO = "Node ws", "Socket.IO (the document's example)"
REACH = {PLAIN: (OURS, 3.0), SOCKETIO: (OURS_MSGPACK, 3.0), WS: (OURS_MSGPACK, 2.0)}
KIB_A_CONNECTION = 8.0
PEERS = ROOT / "benchmarks" / "relay_peers"
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
connections = 100000
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
    """Identities, let in by the operator."""

    def __init__(self, count: int) -> None:
        self.keys = {f"agent-{number}": Ed25519PrivateKey.generate() for number in range(count)}
        self._used = 0

    def lines(self) -> str:
        """What `agents add --from` reads."""
        return "".join(
            json.dumps(
                {
                    "agentId": name,
                    "identityKey": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
                }
            )
            + "\n"
            for name, key in self.keys.items()
        )

    def headers(self, name: str, url: str) -> dict[str, str]:
        """What an upgrade request carries."""
        now = int(time.time())
        self._used += 1
        claims = {"sub": name, "aud": url, "iat": now, "exp": now + 3600, "jti": f"{self._used}-{now}"}
        token = jwt.encode(claims, self.keys[name], algorithm="EdDSA")
        return {"X-Agent-Id": name, "Authorization": f"Bearer {token}"}


def pinned(core: int) -> list[str]:
    """The beginning of a command that stays on one core, where the platform can."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "--cpu-list", str(sorted(os.sched_getaffinity(0))[core])]
    return []


@contextlib.contextmanager
def router(command: list[str]) -> Iterator[tuple[int, str]]:
    """Run a router on the first core; gives its process id and address."""
    process = subprocess.Popen([*pinned(0), *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("listening on "))
        yield process.pid, line.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@dataclass(frozen=True)
class Kind:
    """One router to measure.

    Attributes:
        command: starts it; it prints `listening on ws://HOST:PORT`. Empty: our relay.
        subprotocol: what the load speaks.
        path: the path to connect to, where it is Socket.IO.
    """

    command: tuple[str, ...] = ()
    subprotocol: str = JSON
    path: str = ""


def kinds() -> dict[str, Kind]:
    """The routers that this machine can run, in the order of the table."""
    plain = (sys.executable, "-m", "benchmarks.relay_plain")
    found = {OURS: Kind(), OURS_MSGPACK: Kind(subprotocol=MSGPACK), PLAIN: Kind(plain)}
    found[TUNED] = Kind((*plain, "--tuned"))
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        print("Node and npm are not here: its routers are left out.", file=sys.stderr)
        return found
    if not (PEERS / "node_modules").is_dir():
        subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=PEERS, check=True)
    found[WS] = Kind((node, str(PEERS / "ws.mjs")))
    found[SOCKETIO] = Kind((node, str(PEERS / "socketio.mjs")), path="/socket.io/?EIO=4&transport=websocket")
    return found


def work_for(kind: Kind, pid: int, url: str, agents: Agents, pairs: int, seconds: float) -> dict[str, Any]:
    """What `relay_load` reads."""
    names = list(agents.keys)

    def message(sender: str, recipient: str) -> str:
        text = envelope(sender, recipient, kind.subprotocol).decode("latin-1")
        return f'42["message",{json.dumps(text)}]' if kind.path else text

    work: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": int(url.rpartition(":")[2]),
        "subprotocol": kind.subprotocol,
        "pid": pid,
        "seconds": seconds,
        "warmup": 0.5,
        "window": WINDOW,
        "pairs": [
            {
                "sender": agents.headers(names[2 * n], url),
                "receiver": agents.headers(names[2 * n + 1], url),
                "envelope": message(names[2 * n], names[2 * n + 1]),
            }
            for n in range(pairs)
        ],
    }
    return {**work, "path": kind.path} if kind.path else work


def load(work: dict[str, Any]) -> dict[str, Any]:
    """Load a router from the second core."""
    done = subprocess.run(
        [*pinned(1), sys.executable, "-m", "benchmarks.relay_load"],
        input=json.dumps(work),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the load failed: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    assert not found.get("lost"), "connections were lost under load"
    return found


@contextlib.contextmanager
def running(kind: Kind, agents: Agents) -> Iterator[tuple[int, str]]:
    """Run a router; ours in a data folder of its own, with the agents let in."""
    if kind.command:
        with router(list(kind.command)) as found:
            yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        data = ["--data-dir", folder]
        (Path(folder) / "relay.toml").write_text(_RAISED)
        (Path(folder) / "agents.jsonl").write_text(agents.lines())
        relay = [sys.executable, "-m", "relay"]
        added = ["agents", "add", "--from", f"{folder}/agents.jsonl"]
        subprocess.run([*relay, *added, *data], cwd=ROOT, check=True)
        with router([*relay, "serve", "--port", "0", *data]) as found:
            yield found


def throughput(short: bool) -> Table:
    """Measure routed messages a second, all routers in turns, so that a busy machine slows all alike."""
    runs, seconds = (3, 1.5) if short else (5, 4.0)
    agents, routers = Agents(2 * PAIRS), kinds()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in routers}
    for _ in range(runs):
        for name, kind in routers.items():
            with running(kind, agents) as (pid, url):
                found[name].append(load(work_for(kind, pid, url, agents, PAIRS, seconds)))
    rate = {name: statistics.median(run["per_second"] for run in each) for name, each in found.items()}
    cpu = {name: statistics.median(run["cpu_us"] for run in each) for name, each in found.items()}
    table = Table(
        f"Routed messages: {PAIRS} pairs, window {WINDOW}, 1.1 KB ENCRYPTED, median of {runs}",
        ["router", "messages/s", "CPU µs/message", "messages a CPU second", "× plain"],
    )
    for name in found:
        table.row(name, rate[name], cpu[name], 1e6 / cpu[name], cpu[PLAIN] / cpu[name])
    for name, (ours, reach) in REACH.items():
        if name in cpu:
            table.bound(f"{ours}: × {name}", cpu[name] / cpu[ours], ">=", reach)
    return table


def memory(short: bool) -> Table:
    """Measure the memory that idle, authenticated connections take, without TLS."""
    count = 2000 if short else 18_000
    agents = Agents(count)
    table = Table(
        f"Memory: {count} idle connections", ["router", "MiB before", "MiB with", "KiB a connection"]
    )
    kind = Kind()
    with running(kind, agents) as (pid, url):
        before = resident_kib(pid)
        after = load(work_for(kind, pid, url, agents, count // 2, 0))["kib"]
    table.row("this relay", before / 1024, after / 1024, (after - before) / count)
    table.bound("this relay: KiB a connection", (after - before) / count, "<=", KIB_A_CONNECTION)
    if not short:
        table.bound("this relay: MiB with 18,000", after / 1024, "<=", 180)
    return table


def main(short: bool) -> int:
    """Run the benchmark.

    Args:
        short: three runs of 1.5 s each instead of five of 4 s, and 2,000 idle connections instead of 18,000.

    Returns:
        0 when the reach is met.
    """
    return max(throughput(short).finish(), memory(short).finish())


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
