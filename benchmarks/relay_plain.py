"""The relay benchmark's peer: a router as one writes it on `websockets.asyncio`.

No authentication, no limits, no validation: what a self-hoster would start with. With `--tuned` it runs on
uvloop and decodes only the routing fields, with msgspec. Prints the address it listens on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


class Envelope(msgspec.Struct, rename="camel"):
    """The fields that are routed by."""

    message_id: str
    sender_id: str
    recipient_id: str


def plainly(message: str | bytes) -> Any:
    """Decode with the standard library."""
    found = json.loads(message)
    return SimpleNamespace(
        message_id=found["messageId"], sender_id=found["senderId"], recipient_id=found["recipientId"]
    )


TUNED = "--tuned" in sys.argv
DECODE: Callable[[str | bytes], Any] = msgspec.json.Decoder(Envelope).decode if TUNED else plainly
ONLINE: dict[str, ServerConnection] = {}


async def handle(socket: ServerConnection) -> None:
    """Route one agent's messages until it leaves."""
    request = socket.request
    assert request is not None
    agent_id = request.headers["X-Agent-Id"]
    ONLINE[agent_id] = socket
    try:
        async for message in socket:
            envelope = DECODE(message)
            target = ONLINE.get(envelope.recipient_id)
            if target is None or envelope.sender_id != agent_id:
                await socket.send('{"errorCode":"RECIPIENT_NOT_FOUND"}')
                continue
            await target.send(message)
            await socket.send(f'{{"messageType":"ACK","content":{{"messageId":"{envelope.message_id}"}}}}')
    except ConnectionClosed:
        return
    finally:
        del ONLINE[agent_id]


async def main() -> None:
    """Serve until killed."""
    spoken = Subprotocol("agentnet.v1+json")
    async with serve(
        handle, "127.0.0.1", 0, compression=None, subprotocols=[spoken], ping_interval=None, max_size=131072
    ) as server:
        print(f"listening on ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    factory = None
    if TUNED:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
