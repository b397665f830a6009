"""A bad network between agents and relay: late, lossy by whole connections, half-open, out of order, repeated, gone.

A loopback listener that takes each WebSocket connection apart into messages and passes them on as it pleases. Every new
connection has a fate, drawn from a seed: `good`, `cut` (aborted after some messages), `silent` (after some messages
nothing passes any more, and nothing says so) or `mute` (accepted, and its upgrade never answered).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

_quiet = logging.getLogger(f"{__name__}.server")  # of connections that break, which is what they are for here
_quiet.propagate = False


@dataclass(frozen=True)
class Weather:
    """How bad the network is. Shares are between 0 and 1, times in seconds."""

    latency: float = 0.2
    cut: float = 0.2  # of the connections
    silent: float = 0.05
    mute: float = 0.05
    repeated: float = 0.05  # of the messages
    overtaken: float = 0.05
    patience: int = 60  # a doomed connection passes at most so many messages


FAIR = Weather(latency=0.0, cut=0.0, silent=0.0, mute=0.0, repeated=0.0, overtaken=0.0)


class BadNetwork:
    """Runs on a thread and loop of its own; `weather` may be changed at any time."""

    def __init__(self, seed: int) -> None:
        self.weather = FAIR
        self.port = 0
        self.target = 0  # the relay's port
        self.fates: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self._down = False
        self._random = random.Random(seed)
        # Apart, so that in bad weather the first connections have the same fates in every run.
        self._fates = random.Random(seed)
        self._open: set[Any] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def fall(self) -> None:
        """The network is gone: all connections end without a word, and none can be made."""
        self._down = True
        self.drop_all()

    def drop_all(self) -> None:
        """All connections end without a word; new ones can be made."""
        self._loop.call_soon_threadsafe(self._drop_all)

    def rise(self) -> None:
        """The network is back."""
        self._down = False

    def _drop_all(self) -> None:
        for connection in tuple(self._open):
            connection.transport.abort()

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._open_upstream,
            select_subprotocol=lambda connection, _offered: self._upstream(connection).subprotocol,
            compression=None,
            max_size=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=0.2,
            logger=_quiet,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._over.wait()
            self._drop_all()

    @staticmethod
    def _upstream(connection: ServerConnection) -> ClientConnection:
        upstream: ClientConnection = vars(connection)["upstream"]
        return upstream

    def _fate(self) -> str:
        if self.weather is FAIR:
            return "good"
        draw = self._fates.random()
        for name in ("cut", "silent", "mute"):
            draw -= getattr(self.weather, name)
            if draw < 0:
                return name
        return "good"

    async def _open_upstream(self, connection: ServerConnection, request: Request) -> Response | None:
        self._open.add(connection)
        if self._down:
            connection.transport.abort()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
        fate = self._fate()
        self.fates[fate] += 1
        if fate == "mute":
            await connection.wait_closed()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
        headers = {
            name: value
            for name, value in request.headers.raw_items()
            if name.lower() == "authorization" or name.lower().startswith("x-")
        }
        offered = [Subprotocol(name.strip()) for name in request.headers["Sec-WebSocket-Protocol"].split(",")]
        try:
            upstream = await connect(
                f"ws://127.0.0.1:{self.target}{request.path}",
                additional_headers=headers,
                subprotocols=offered,
                compression=None,
                max_size=None,
                ping_interval=None,
                proxy=None,
            )
        except InvalidStatus as refused:
            return refused.response
        except OSError:
            connection.transport.abort()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
        self._open.add(upstream)
        vars(connection).update(upstream=upstream, fate=fate)
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        upstream = self._upstream(connection)
        fate: str = vars(connection)["fate"]
        line = _Line(self, fate, self._random.randrange(2, self.weather.patience))
        try:
            await asyncio.gather(line.carry(connection, upstream), line.carry(upstream, connection))
        finally:
            for end in (connection, upstream):
                end.transport.abort()
                self._open.discard(end)

    def whims(self) -> tuple[float, ...]:
        """After how many seconds copies of the next message arrive."""
        weather = self.weather
        first = weather.latency
        if self._random.random() < weather.overtaken:
            self.messages["overtaken"] += 1
            first += 0.1
        if self._random.random() < weather.repeated:
            self.messages["repeated"] += 1
            return first, first + 0.05
        self.messages["once"] += 1
        return (first,)


class _Line:
    """One connection through the network."""

    def __init__(self, network: BadNetwork, fate: str, patience: int) -> None:
        self._network = network
        self._fate = fate
        self._left = patience

    async def carry(
        self, source: ClientConnection | ServerConnection, sink: ClientConnection | ServerConnection
    ) -> None:
        """Carries one direction until its connection is gone; then the other is, too."""
        async with asyncio.TaskGroup() as group:
            first = True
            with contextlib.suppress(ConnectionClosed):
                while True:
                    message = await source.recv(decode=False)
                    self._left -= 1
                    if self._fate == "cut" and self._left < 0:
                        break
                    if self._fate == "silent" and self._left < 0:
                        continue
                    text = sink.subprotocol == "agentnet.v1+json"
                    # What opens a connection neither overtakes nor comes twice.
                    after = (self._network.weather.latency,) if first else self._network.whims()
                    first = False
                    for seconds in after:
                        group.create_task(self._deliver(sink, message, seconds, text))
            source.transport.abort()
            await self._deliver_end(sink)

    async def _deliver_end(self, sink: ClientConnection | ServerConnection) -> None:
        if self._fate == "cut":
            sink.transport.abort()
        else:
            await asyncio.sleep(
                self._network.weather.latency + 0.2
            )  # what is under way arrives before the end
            sink.transport.abort()

    @staticmethod
    async def _deliver(
        sink: ClientConnection | ServerConnection, message: bytes, seconds: float, text: bool
    ) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(ConnectionClosed):
            await sink.send(message, text=text)
