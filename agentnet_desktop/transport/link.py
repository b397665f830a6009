"""One open connection: reads frames until it ends, and writes what is ready, batched.

Implements the batch and size rules of docs/protocol.md, section "Transport". A batch holds what was ready when it
was made; nothing is ever delayed to fill one. It knows nothing of reconnecting, and reads no meaning into frames.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from relay.wire.codec import MAX_BATCH, Format, frame_limit, join_batch

ABNORMAL = 1006  # RFC 6455, 7.1.5: no closing frame came
_OVERHEAD = MAX_BATCH + 8  # the commas and brackets of a JSON array, or the head of a msgpack one


def next_frame(waiting: deque[bytes], fmt: Format, max_message_bytes: int) -> bytes:
    """Takes what is ready off the queue: one envelope, or a batch within the limits of a frame.

    Args:
        waiting: encoded envelopes, at least one.
        fmt: how they are encoded.
        max_message_bytes: the relay's limit for one envelope.
    """
    room = frame_limit(max_message_bytes) - _OVERHEAD
    batch = [waiting.popleft()]
    room -= len(batch[0])
    while waiting and len(batch) < MAX_BATCH and len(waiting[0]) <= room:
        batch.append(waiting.popleft())
        room -= len(batch[-1])
    return batch[0] if len(batch) == 1 else join_batch(batch, fmt)


class Link:
    """An open WebSocket with what waits to be written to it."""

    def __init__(self, socket: ClientConnection, fmt: Format, *, max_message_bytes: int) -> None:
        """Takes over an open connection.

        Args:
            socket: the connection.
            fmt: the negotiated format.
            max_message_bytes: the relay's limit for one envelope; may be set anew when the relay tells it.
        """
        self.format = fmt
        self.max_message_bytes = max_message_bytes
        self._socket = socket
        self._waiting: deque[bytes] = deque()
        self._ready = asyncio.Event()

    def put(self, raw: bytes) -> None:
        """Queues an encoded envelope; it is written in the loop's next turn."""
        self._waiting.append(raw)
        self._ready.set()

    async def run(self, on_frame: Callable[[bytes], None]) -> int:
        """Reads and writes until the connection is gone.

        Args:
            on_frame: called with each frame's bytes.

        Returns:
            The close code that the other side sent; 1006 when it sent none.
        """
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(), name="relay writer")
                code = await self._read(on_frame)
                writer.cancel()
            return code
        finally:
            self.abort()

    async def _read(self, on_frame: Callable[[bytes], None]) -> int:
        while True:
            try:
                frame = await self._socket.recv(decode=False)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else ABNORMAL
            on_frame(frame)

    async def _write(self) -> None:
        text = self.format is Format.JSON
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._waiting:
                frame = next_frame(self._waiting, self.format, self.max_message_bytes)
                try:
                    await self._socket.send(frame, text=text)
                except ConnectionClosed:
                    return  # the reader tells why

    async def close(self) -> None:
        """Ends the connection with the closing handshake, code 1000."""
        await self._socket.close()

    def abort(self) -> None:
        """Drops the connection; does nothing to one that is closed."""
        self._socket.transport.abort()
