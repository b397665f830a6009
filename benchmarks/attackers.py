"""Attackers on the relay, in a process of their own: what `benchmarks.attacks` measures the others under.

Run as `python -m benchmarks.attackers`, with the attack as JSON on stdin. Says `attacking` once it has begun, and
goes on until its stdin ends. Each attacker is a registered agent with an address of its own, comes back when it is
closed, and sends as fast as the relay takes it. Measures nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.relay_wires import frame
from relay.upgrade import ENDPOINT
from tests.relay.conftest import Person

CHUNK: Final = 65_536
_PAUSE_S: Final = 0.02
_SEALED: Final = {
    "encryptedData": "A" * 40_000,
    "nonce": "A" * 32,
    "signature": "A" * 86 + "==",
    "originalType": "QUERY",
    "sessionId": "sess_1",
    "commitment": "A" * 43 + "=",
}
_HEAD: Final = f"GET {ENDPOINT} HTTP/1.1\r\nHost: x\r\n"
_PING, _FIRST, _NEXT = (bytes((head, 0x80)) + bytes(4) for head in (0x89, 0x01, 0x00))


class Mallory:
    """One attacker."""

    def __init__(self, work: dict[str, Any], number: int, seed: str) -> None:
        self.work = work
        self.person = Person(f"mallory-{number}", Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))
        self.address = f"127.0.0.{number + 2}"

    async def socket(self, limit: int = CHUNK) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection from this attacker's address."""
        return await asyncio.open_connection(
            "127.0.0.1", self.work["port"], local_addr=(self.address, 0), limit=limit
        )

    async def enter(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An authenticated connection.

        Raises:
            ConnectionError: the relay does not let it in now.
        """
        reader, writer = await self.socket()
        head = (
            f"{_HEAD}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
            f"X-Agent-Id: {self.person.agent_id}\r\n"
            f"Authorization: Bearer {self.person.token(self.work['url'])}\r\n\r\n"
        )
        writer.write(head.encode())
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            answer = b""
        if b" 101 " not in answer:
            writer.close()
            raise ConnectionError("not let in")
        return reader, writer

    async def flood(self, chunk: bytes) -> None:
        """Send the same again and again, and come back when closed."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await self.enter()
                listening = asyncio.ensure_future(_hear(reader))
                try:
                    while not listening.done():
                        writer.write(chunk)
                        await writer.drain()
                finally:
                    listening.cancel()
                    writer.transport.abort()
            await asyncio.sleep(_PAUSE_S)

    async def trickle(self) -> None:
        """Write messages byte by byte, as fast as single bytes go."""
        beat = {"timestamp": 1}
        text = json.dumps(self.envelope("HEARTBEAT", "system", beat)).encode()
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await self.enter()
                listening = asyncio.ensure_future(_hear(reader))
                while not listening.done():
                    for byte in frame(text, text=True):
                        writer.write(bytes((byte,)))
                        await asyncio.sleep(0)
                writer.transport.abort()
            await asyncio.sleep(_PAUSE_S)

    def envelope(self, kind: str, to: str, content: dict[str, Any]) -> dict[str, Any]:
        """A message of this attacker's."""
        return {
            "messageId": "msg_1",
            "conversationId": "conv_1",
            "senderId": self.person.agent_id,
            "recipientId": to,
            "messageType": kind,
            "content": content,
            "timestamp": 1,
            "metadata": {"priority": "LOW", "encrypted": False, "requiresResponse": False},
        }

    async def feed(self, other: str) -> None:
        """Send large messages to another attacker, who never reads."""
        message = json.dumps(self.envelope("ENCRYPTED", other, _SEALED)).encode()
        await self.flood(frame(message, text=True))

    async def stop_reading(self) -> None:
        """Connect, and read nothing."""
        while True:
            with contextlib.suppress(OSError):
                _, writer = await self.enter()
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(3600)
            await asyncio.sleep(_PAUSE_S)

    async def dawdle(self, sockets: int) -> None:
        """Keep many requests unfinished, a byte now and then in each."""
        opened: list[asyncio.StreamWriter] = []
        while True:
            with contextlib.suppress(OSError):
                while len(opened) < sockets:
                    opened.append((await self.socket())[1])
            opened = [writer for writer in opened if not writer.is_closing()]
            for at in range(0, len(opened), 10):
                for writer in opened[at : at + 10]:
                    writer.write(_HEAD[:1].encode() if at % 3 else b"x")
                await asyncio.sleep(_PAUSE_S / 10)

    async def half_open(self, sockets: int) -> None:
        """Open sockets, begin a request in each, and leave it so; then those again that were closed."""
        opened: list[asyncio.StreamWriter] = []
        while True:
            with contextlib.suppress(OSError):
                _, writer = await self.socket()
                writer.write(_HEAD.encode())
                opened.append(writer)
            if len(opened) >= sockets:
                for writer in opened:
                    writer.transport.abort()
                opened = []


async def _hear(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(CHUNK):
            pass


def bomb() -> bytes:
    """50 MB of one letter, compressed into one frame."""
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(b"x" * 50_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
    made = frame(data[:-4], text=True)
    return bytes((0xC1,)) + made[1:]


def _same(chunk: Callable[[], bytes]) -> Callable[[list[Mallory]], list[Coroutine[Any, Any, None]]]:
    return lambda all_of_them: [one.flood(chunk()) for one in all_of_them]


ATTACKS: Final[dict[str, Callable[[list[Mallory]], list[Coroutine[Any, Any, None]]]]] = {
    "slow handshakes": lambda them: [one.dawdle(500) for one in them],
    "one-byte writes": lambda them: [one.trickle() for one in them],
    "10,000 half-open sockets": lambda them: [one.half_open(2500) for one in them],
    "pings": _same(lambda: _PING * (CHUNK // 6)),
    "compression bombs": _same(bomb),
    "deep JSON": _same(lambda: frame(b'{"a":' * 12_000, text=True)),
    "huge numbers": _same(lambda: frame(b'{"timestamp":' + b"9" * 60_000 + b"}", text=True)),
    "invalid UTF-8": _same(lambda: frame(b"\xff\xfe", text=True)),
    "empty fragments": _same(lambda: _FIRST + _NEXT * (CHUNK // 6)),
    "empty messages": _same(lambda: frame(b"", text=True) * (CHUNK // 6)),
    "a reader that never reads": lambda them: [
        *(one.feed(them[0].person.agent_id) for one in them[1:]),
        them[0].stop_reading(),
    ],
    "refused tokens": lambda them: [_refused(one) for one in them],
}


async def _refused(one: Mallory) -> None:
    one.person.key = Ed25519PrivateKey.generate()
    await one.flood(b"")


async def run(work: dict[str, Any]) -> None:
    """Attack until stdin ends.

    Args:
        work: `attack`, `port`, `url`, and `seeds`: the attackers' keys in hex.
    """
    loop = asyncio.get_running_loop()
    them = [Mallory(work, number, seed) for number, seed in enumerate(work["seeds"])]
    attacks = [asyncio.ensure_future(attack) for attack in ATTACKS[work["attack"]](them)]
    print("attacking", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for attack in attacks:
        attack.cancel()


if __name__ == "__main__":
    import uvloop

    # The others' client, on the same core, is not what is attacked: it goes first, always.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(json.loads(sys.stdin.readline())))
