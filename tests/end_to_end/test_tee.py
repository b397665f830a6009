"""The listener itself: what it says it heard is what was said, also in masked frames."""

from __future__ import annotations

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.end_to_end.tee import Tee


async def test_the_listener_hears_both_directions_in_the_clear(tee: Tee) -> None:
    async def answer(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(f"answer to {message!r}")

    async with serve(answer, "127.0.0.1", 0) as server:
        tee.target = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{tee.port}", proxy=None, compression=None) as client:
            await client.send("a question " * 100)
            await client.recv()
    heard = tee.heard()
    assert b"a question a question" in heard.partition(b"answer to")[0]
    assert b"answer to 'a question" in heard
