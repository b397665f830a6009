"""The door of the relay: accepts sockets, counts each before anything is read, and cuts off one too many.

So the limits hold before the relay's own TLS as well, which costs far more memory and time than all that a
stranger can ask for after it. Who is let in goes on in `relay.websocket`; what is too much is in `relay.limits`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from relay.host import Host
from relay.limits import AddressMeter
from relay.websocket import WebSocket

_log = logging.getLogger(__name__)

_BACKLOG: Final = 4096
_PAUSE_S: Final = 1.0
"""How long nothing is accepted after the system refused, as when there are no more file descriptors."""


class DoorHost(Host, Protocol):
    """What the door needs of the server beside what connections need."""

    def meter(self, address: str) -> AddressMeter:
        """The meter of a socket's address."""
        ...

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a task, keep it, and report its failure."""
        ...


class Doorway:
    """The listening sockets of a relay."""

    def __init__(self, host: DoorHost, context: ssl.SSLContext | None, *, tls_timeout_s: float) -> None:
        """Build it; nothing is opened yet.

        Args:
            host: the server.
            context: for TLS of the relay's own; else None.
            tls_timeout_s: time for a TLS handshake.
        """
        self._host = host
        self._context = context
        self._tls_timeout_s = tls_timeout_s if context else None
        self._listeners: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, name: str, port: int) -> int:
        """Listen on every address that a name has.

        Args:
            name: a host name or address.
            port: 0 for any that is free.

        Returns:
            The port.

        Raises:
            OSError: an address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            self._listeners.append(listener)
            _bind(listener, (address[0], port, *address[2:]))
            port = listener.getsockname()[1]
        for listener in self._listeners:
            self._tasks.append(self._host.start_task(self._accept(listener), "accept"))
        return port

    def close(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()
        for listener in self._listeners:
            listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        """Accept one socket in a turn of the loop, so that those who are in have theirs."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._come(*await loop.sock_accept(listener))
                await asyncio.sleep(0)
            except ConnectionAbortedError:
                continue  # it has given up
            except OSError as problem:
                _log.error("cannot accept connections: %s", problem.strerror)
                await asyncio.sleep(_PAUSE_S)

    def _come(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """A socket was accepted."""
        host = self._host
        peer = str(address[0])
        meter = host.meter(peer)
        host.relay.counters.connections_total += 1
        if host.relay.meters.hears(meter, host.now()):
            host.start_task(self._let_in(sock, WebSocket(host, peer, meter)), "let in")
        else:
            host.relay.counters.refused_connections_total += 1
            sock.close()  # not even a refusal can be afforded

    async def _let_in(self, sock: socket.socket, come: WebSocket) -> None:
        """Hand a socket over, after TLS; a handshake that fails ends the socket, and is nobody's error."""
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: come, sock, ssl=self._context, ssl_handshake_timeout=self._tls_timeout_s
            )
        except OSError:
            sock.close()
        if not come.is_in:  # also when it was lost during the handshake, which raises nothing
            come.connection_lost(None)


def _bind(listener: socket.socket, address: tuple[Any, ...]) -> None:
    """Bind as `asyncio` does: at once after a restart, and IPv6 apart from IPv4."""
    if hasattr(socket, "SO_REUSEADDR") and socket.SO_REUSEADDR and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.setblocking(False)
    listener.bind(address)
    listener.listen(_BACKLOG)
