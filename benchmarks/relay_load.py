"""The load of the relay benchmark: pairs of agents on raw sockets, cheap enough not to be what is measured.

Each sender keeps a window of messages in flight and sends one more for each acknowledgement. Frames are built
once and masked with a zero key; of what comes back only frame headers are read. Run as
`python -m benchmarks.relay_load`, with the work as JSON on stdin and the figures as JSON on stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

PATH = "/agent-network/v1/connect"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(payload: bytes, *, text: bool) -> bytes:
    """One masked client frame; with a key of zeros the payload stands as it is."""
    head = bytes((0x81 if text else 0x82,))
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return head + length + b"\0\0\0\0" + payload


class Agent(asyncio.Protocol):
    """One connection: counts the frames that come, and answers each with `on_frame`."""

    def __init__(self, request: bytes, greeting: bytes = b"") -> None:
        self.request = request
        self.greeting = greeting  # Socket.IO's: sent after its first frame, answered by its second
        self.transport: Any = None
        self.frames = 0
        self.upgraded = asyncio.get_running_loop().create_future()
        self.lost = False
        self.sends: bytes | None = None  # one more of these for each frame that comes
        self._buffer = b""
        self._http = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = transport
        self.transport.write(self.request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it: no connection may be lost under load."""
        del exc
        self.lost = True
        if not self.upgraded.done():
            self.upgraded.set_exception(ConnectionError(self._buffer.decode("latin-1") or "closed"))

    def data_received(self, data: bytes) -> None:
        """Count whole frames, and send as many again."""
        if self._buffer:
            data = self._buffer + data
        at = 0
        if self._http:
            end = data.find(b"\r\n\r\n")
            if end < 0 or not data.startswith(b"HTTP/1.1 101"):
                self._buffer = data
                return
            self._http = False
            at = end + 4
            if not self.greeting:
                self.upgraded.set_result(None)
        count, size = 0, len(data)
        while at + 2 <= size:
            length = data[at + 1]
            start = at + 2
            if length == 126:
                if start + 2 > size:
                    break
                length = data[start] << 8 | data[start + 1]
                start += 2
            if start + length > size:
                break
            at = start + length
            count += 1
        self._buffer = data[at:] if at < size else b""
        self.frames += count
        if self.greeting and self.frames:
            self._greet()
        if self.sends is not None and count:
            self.transport.write(self.sends * count)

    def _greet(self) -> None:
        if self.frames == 1 and not self.upgraded.done():
            self.transport.write(self.greeting)
        elif not self.upgraded.done():
            self.upgraded.set_result(None)


async def run(work: dict[str, Any]) -> dict[str, Any]:
    """Connect all pairs, load them, and count what was acknowledged.

    Args:
        work: `host`, `port`, `subprotocol`, `seconds`, `warmup`, `window`, and `pairs`: a list of senders'
            and receivers' headers with the sender's envelope (latin-1).
    """
    loop = asyncio.get_running_loop()
    text = not work["subprotocol"].endswith("msgpack")
    senders: list[tuple[Agent, bytes]] = []
    for pair in work["pairs"]:
        agents = [await connect(loop, work, headers) for headers in (pair["receiver"], pair["sender"])]
        senders.append((agents[1], frame(pair["envelope"].encode("latin-1"), text=text)))
    if not work["seconds"]:
        await asyncio.sleep(1)
        return {"kib": resident_kib(work["pid"])}
    await asyncio.sleep(0.2)
    pid = work["pid"]
    for agent, message in senders:
        agent.sends = message
        agent.transport.write(message * work["window"])
    await asyncio.sleep(work["warmup"])
    before, cpu, started = sum(a.frames for a, _ in senders), cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(work["seconds"])
    after, cpu_after, ended = sum(a.frames for a, _ in senders), cpu_seconds(pid), time.perf_counter()
    routed = after - before
    return {
        "per_second": routed / (ended - started),
        "cpu_us": (cpu_after - cpu) / max(routed, 1) * 1e6,
        "lost": sum(agent.lost for agent, _ in senders),
    }


async def connect(loop: asyncio.AbstractEventLoop, work: dict[str, Any], headers: dict[str, str]) -> Agent:
    """Open one connection and wait for its upgrade."""
    lines = [
        f"GET {work.get('path', PATH)} HTTP/1.1",
        f"Host: {work['host']}",
        "Upgrade: websocket",
        "Connection: Upgrade",
    ]
    lines += [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"]
    lines += [f"Sec-WebSocket-Protocol: {work['subprotocol']}", *(f"{k}: {v}" for k, v in headers.items())]
    request = "\r\n".join([*lines, "", ""]).encode()
    greeting = frame(b"40", text=True) if "path" in work else b""
    _, agent = await loop.create_connection(lambda: Agent(request, greeting), work["host"], work["port"])
    await agent.upgraded
    return agent


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """The memory that a process has resident, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError("no VmRSS")


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(json.load(sys.stdin)))))
