"""How many messages a second the relay routes, beside a plain `websockets.asyncio` router in the same run.

Both get the same bytes from the same load, on one core, while the load has another. The relay runs with all
its features on: authentication, limits (raised, not off), validation, acknowledgements, metrics. Reach: at 50
pairs and 1.1 KB ENCRYPTED envelopes at least three times the plain router's rate, by medians.
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
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.table import Table

ROOT = Path(__file__).resolve().parent.parent
JSON, MSGPACK = "agentnet.v1+json", "agentnet.v1+msgpack"
WINDOW = 32
PAIRS = 50
REACH = 3.0
OURS, OURS_MSGPACK = "this relay, JSON", "this relay, msgpack"
PLAIN = "plain websockets.asyncio (asyncio, json)"
TUNED = "the same, tuned (uvloop, msgspec)"
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


def measure(
    pid: int, url: str, agents: Agents, subprotocol: str, pairs: int, seconds: float
) -> dict[str, Any]:
    """Load one router from the second core."""
    names = list(agents.keys)
    work = {
        "host": "127.0.0.1",
        "port": int(url.rpartition(":")[2]),
        "subprotocol": subprotocol,
        "pid": pid,
        "seconds": seconds,
        "warmup": 0.5,
        "window": WINDOW,
        "pairs": [
            {
                "sender": agents.headers(names[2 * n], url),
                "receiver": agents.headers(names[2 * n + 1], url),
                "envelope": envelope(names[2 * n], names[2 * n + 1], subprotocol).decode("latin-1"),
            }
            for n in range(pairs)
        ],
    }
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
    assert not found["lost"], "connections were lost under load"
    return found


def run_relay(agents: Agents, subprotocol: str, seconds: float) -> dict[str, Any]:
    """Measure our relay once, in a process and a data folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data = ["--data-dir", folder]
        (Path(folder) / "relay.toml").write_text(_RAISED)
        (Path(folder) / "agents.jsonl").write_text(agents.lines())
        relay = [sys.executable, "-m", "relay"]
        subprocess.run(
            [*relay, "agents", "add", "--from", f"{folder}/agents.jsonl", *data], cwd=ROOT, check=True
        )
        with router([*relay, "serve", "--port", "0", *data]) as (pid, url):
            return measure(pid, url, agents, subprotocol, PAIRS, seconds)


def run_plain(agents: Agents, seconds: float, *options: str) -> dict[str, Any]:
    """Measure the plain router once."""
    with router([sys.executable, "-m", "benchmarks.relay_plain", *options]) as (pid, url):
        return measure(pid, url, agents, JSON, PAIRS, seconds)


def main(short: bool) -> int:
    """Run the benchmark.

    Args:
        short: three runs of 1.5 s each instead of five of 4 s.

    Returns:
        0 when the reach is met.
    """
    runs, seconds = (3, 1.5) if short else (5, 4.0)
    agents = Agents(2 * PAIRS)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (OURS, OURS_MSGPACK, PLAIN, TUNED)}
    for _ in range(runs):  # taken in turns, so that a busy machine slows all alike
        found[OURS].append(run_relay(agents, JSON, seconds))
        found[PLAIN].append(run_plain(agents, seconds))
        found[OURS_MSGPACK].append(run_relay(agents, MSGPACK, seconds))
        found[TUNED].append(run_plain(agents, seconds, "--tuned"))
    rate = {name: statistics.median(run["per_second"] for run in each) for name, each in found.items()}
    cpu = {name: statistics.median(run["cpu_us"] for run in each) for name, each in found.items()}
    table = Table(
        f"Routed messages: {PAIRS} pairs, window {WINDOW}, 1.1 KB ENCRYPTED, median of {runs}",
        ["router", "messages/s", "CPU µs/message", "× plain"],
    )
    for name in found:
        table.row(name, rate[name], cpu[name], rate[name] / rate[PLAIN])
    table.bound("relay, JSON: × plain router", rate[OURS] / rate[PLAIN], ">=", REACH)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
