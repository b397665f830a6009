"""A loopback listener that passes everything on and keeps a copy: what the relay, and whoever owns it, could read."""

from __future__ import annotations

import asyncio
import contextlib

from websockets.frames import Frame
from websockets.streams import StreamReader


class Tee:
    """Listens on a loopback port of its own and passes each connection on to another.

    Attributes:
        port: where it listens.
        target: the loopback port that it passes on to; may be set late, and again after a restart.
    """

    def __init__(self) -> None:
        self.port = 0
        self.target = 0
        self._server: asyncio.Server
        self._open: set[asyncio.StreamWriter] = set()
        self._to_relay: list[bytearray] = []
        self._from_relay: list[bytearray] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._to_relay.append(up := bytearray())
        self._from_relay.append(down := bytearray())
        self._open |= {writer, upstream_writer}
        await asyncio.gather(
            self._pass_on(reader, upstream_writer, up), self._pass_on(upstream_reader, writer, down)
        )
        self._open -= {writer, upstream_writer}

    @staticmethod
    async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, copy: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                copy += data
                sink.write(data)
                await sink.drain()
        sink.close()
        with contextlib.suppress(OSError):
            await sink.wait_closed()

    def heard(self) -> bytes:
        """Everything that passed, in both directions; WebSocket frames are unmasked, so that text can be found in them."""
        return b"\n".join([*map(_unmasked, self._to_relay), *map(_unmasked, self._from_relay)])


def _unmasked(stream: bytearray) -> bytes:
    """The bytes of one direction of one connection: the HTTP head as it is, then each frame's payload."""
    head, _, rest = bytes(stream).partition(b"\r\n\r\n")
    masked = head.startswith(b"GET ")
    reader = StreamReader()
    reader.feed_data(rest)
    found = [head]
    while True:
        parser = Frame.parse(reader.read_exact, mask=masked, max_size=None)
        try:
            next(parser)
        except StopIteration as done:
            found.append(bytes(done.value.data))
        else:
            return b"\n".join(found)  # the last frame is incomplete, or there is none
