"""The relay as a running process: listening, verdicts on tokens, the passing of time, and an orderly end.

The shell round `relay.connection`: `relay.websocket` carries each connection's bytes, this module what is
common to all. uvloop is used where there is one. Nothing of a message is decided, kept or logged here.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from websockets.extensions import ServerExtensionFactory
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from relay import metrics
from relay.auth.firebase import FirebaseMode
from relay.auth.gate import Gate
from relay.auth.keys import KeySet, discover, fetch_json
from relay.auth.local import LocalMode
from relay.auth.oidc import OidcMode
from relay.auth.registry import Registry
from relay.auth.tokens import Mode
from relay.auth.touches import Touches
from relay.commands import Command, Listen, Publish, Verify
from relay.config import Config, is_loopback, origin, trusted_networks
from relay.connection import Relay, Settings
from relay.doorway import Doorway
from relay.limits import AddressMeter, Meters, address_group
from relay.memory import Ebb, find_trim
from relay.tls import Certificate, TlsError, self_signed
from relay.upgrade import is_trusted
from relay.websocket import TURN_S, WebSocket
from relay.wire.envelope import agent_key
from relay.wire.errors import CloseCode

if TYPE_CHECKING:
    from relay.cluster import Cluster

_log = logging.getLogger(__name__)
T = TypeVar("T")

_TICK_S: Final = 0.5
_PRUNE_TICKS: Final = 120
_METRICS_READ_S: Final = 5
_LINGER_S: Final = 2
_GC_THRESHOLDS: Final = (20_000, 20, 50)


class ServeError(Exception):
    """The relay cannot start; one sentence for a person."""


class Server:
    """One relay process. Implements `doorway.DoorHost`."""

    def __init__(self, config: Config, registry: Registry) -> None:
        """Build it; nothing is opened yet.

        Args:
            config: its settings.
            registry: who may connect.
        """
        self.config = config
        self.registry = registry
        self.relay = Relay(_settings(config), Meters(config.limits), secrets.token_bytes)
        self.trusted = trusted_networks(config)
        self.extensions: Sequence[ServerExtensionFactory] = (
            [ServerPerMessageDeflateFactory(compress_settings={"memLevel": 5})] if config.compression else []
        )
        self.sockets: set[WebSocket] = set()
        self.dirty: list[WebSocket] = []
        self.is_receiving = self.is_taking_turns = False
        self._turns: deque[WebSocket] = deque()
        self.going_away = False
        self.protocol_log = logging.getLogger("relay.protocol")
        self.protocol_log.setLevel(logging.ERROR)
        self.url = ""
        self.origins: tuple[str, ...] = ()
        self.certificate: Certificate | None = None
        self.metrics_port = 0
        self._gate: Gate
        self._door: Doorway
        self._metrics: asyncio.Server | None = None
        self._cluster: Cluster | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._emptied = asyncio.Event()
        self._sweeps = 0
        self._touches = Touches(registry.path)
        self._ebb, self._trim = Ebb(), find_trim()
        self._loop: asyncio.AbstractEventLoop

    # --- what connections need --------------------------------------------------------------------------

    def now(self) -> int:
        """The loop's clock, in ms."""
        return int(self._loop.time() * 1000)

    def meter(self, address: str) -> AddressMeter:
        """The meter of a socket's address; a trusted proxy gets one of its own for each socket."""
        meters = self.relay.meters
        if is_trusted(address, self.trusted):
            return AddressMeter(meters.limits)
        return meters.address(address_group(address))

    def forget(self, socket: WebSocket) -> None:
        """A socket is gone."""
        self.sockets.discard(socket)
        if self.going_away and not self.sockets:
            self._emptied.set()

    def flush_soon(self) -> None:
        """Write every socket in `dirty` when what is being received has been handled, else in the next turn."""
        if len(self.dirty) == 1 and not self.is_receiving:
            self._loop.call_soon(self.flush)

    def wait_for_turn(self, socket: WebSocket) -> None:
        """Serve what the socket has left in a later turn of the loop, one socket a turn."""
        self._turns.append(socket)
        if not self.is_taking_turns:
            self.is_taking_turns = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turns.popleft().go_on()
        self.is_taking_turns = bool(self._turns)
        if self.is_taking_turns:
            self._loop.call_soon(self._next_turn)

    def flush(self) -> None:
        """Write every socket in `dirty` now."""
        dirty, self.dirty = self.dirty, []
        for socket in dirty:
            socket.flush()

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a task, keep it, and report its failure: the only way to start one here."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("task %s failed", task.get_name(), exc_info=problem)

    def verify(self, socket: WebSocket, asked: Verify) -> None:
        """Judge a token, and tell the connection."""
        self.start_task(self._verify(socket, asked), "verify")

    async def _verify(self, socket: WebSocket, asked: Verify) -> None:
        sweep = self._sweeps
        wall = int(time.time() * 1000)
        grant = await self._gate.verify(asked.token, asked.agent_id, asked.invite, wall)
        if grant is not None and self._sweeps != sweep:
            admitted = await self._in_thread(self.registry.admitted)
            if admitted.get(agent_key(grant.agent_id)) != grant.owner:
                grant = None  # revoked while it was being judged
        if grant is None:
            socket.verdict(socket.connection.refused(self.now()))
            return
        socket.owner = grant.owner
        socket.verdict(socket.connection.authenticated(grant, self.now()))
        self.note(socket, "authenticated")

    def carry(self, command: Publish | Listen) -> None:
        """Carry out what concerns other relays."""
        if self._cluster is not None:
            self._cluster.carry(command)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(None, work)

    def note(self, socket: WebSocket, words: str, code: int = 0) -> None:
        """Write a line to the log about a connection: no content, no token, no whole address unless asked."""
        if not _log.isEnabledFor(logging.INFO):
            return
        address = socket.address if self.config.log_addresses else _network(socket.address)
        connection = socket.connection
        fields = {"agent": connection.agent_id, "connection": connection.connection_id, "from": address}
        if code:
            fields["code"] = str(code)
        told = {name: value for name, value in fields.items() if value}
        _log.info("connection %s", words, extra={"fields": told})

    # --- life -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            ServeError: the address cannot be bound, or NATS is configured and cannot be used.
            TlsError: the certificate cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        config = self.config
        self._prepare_tls()
        self._tick_clock()
        if config.nats:
            await self._join_others()
        context = self.certificate.context if self.certificate else None
        self._door = Doorway(self, context, tls_timeout_s=config.authentication_timeout)
        try:
            port = await self._door.open(config.host, config.port)
        except OSError as problem:
            self._door.close()
            words = f"Cannot listen on {config.host} port {config.port}: {_words(problem)}."
            raise ServeError(words) from None
        scheme = "wss" if context else "ws"
        host = f"[{config.host}]" if ":" in config.host else config.host
        self.url = f"{scheme}://{host}:{port}"
        self.origins = public_origins(config, scheme, port)
        self._gate = Gate(self._modes(), refusal_delay_s=config.refusal_delay)
        self.relay.counters.started_at_seconds = int(time.time())
        if config.metrics_port >= 0:
            served = await self._serve_metrics(config.metrics_port)
            self.metrics_port = served.sockets[0].getsockname()[1]
        await self._in_thread(self._note_facts)
        self._changes = await self._in_thread(self.registry.changes)
        self.start_task(self._tick(), "tick")

    async def _join_others(self) -> None:
        """Become one relay of several. Without NATS at the start, an operator is told; later it may go and come."""
        try:
            from relay.cluster import Cluster, ClusterError
        except ImportError:
            words = (
                "The setting nats needs the package nats-py, which is not installed: agentnet-desktop[relay]."
            )
            raise ServeError(words) from None
        cluster = Cluster(
            self.relay,
            self.config.nats,
            random=secrets.token_bytes,
            now=self.now,
            start_task=self.start_task,
        )
        try:
            await cluster.join()
        except ClusterError as problem:
            raise ServeError(str(problem)) from None
        self._cluster = cluster
        self.start_task(cluster.write(), "cluster-write")

    async def _leave_others(self) -> None:
        if self._cluster is not None:
            await self._cluster.leave()

    def _prepare_tls(self) -> None:
        config = self.config
        if config.tls_self_signed:
            named = [origin(url).split("://")[1].rpartition(":")[0].strip("[]") for url in config.public_url]
            hosts = dict.fromkeys([*named, config.host, "localhost", "127.0.0.1"])
            self.certificate = self_signed(Path(config.data_dir), list(hosts))
        elif config.tls_cert:
            self.certificate = Certificate(Path(config.tls_cert), Path(config.tls_key))
        if self.certificate:
            self.relay.counters.certificate_expires_at_seconds = self.certificate.expires_at()

    def _modes(self) -> list[Mode]:
        config, registry, open_to_all = self.config, self.registry, self.config.open_registration
        made: list[Mode] = []
        if "local" in config.auth:
            made.append(LocalMode(registry, self.origins, open_to_all=open_to_all))
        if "firebase" in config.auth:
            keys = KeySet(config.firebase.keys_url, fetch_json)
            made.append(FirebaseMode(registry, config.firebase, keys, open_to_all=open_to_all))
        if "oidc" in config.auth:
            discovered = discover(config.oidc.issuer, fetch_json)
            made.append(OidcMode(registry, config.oidc, discovered, open_to_all=open_to_all))
        return made

    def _note_facts(self) -> None:
        pin = self.certificate.pin() if self.certificate and self.config.tls_self_signed else ""
        self.registry.note(origin=self.origins[0], name=self.config.name, pin=pin)

    def reload(self) -> None:
        """Read the certificate again (SIGHUP); a bad one is reported and changes nothing."""
        self._reload(only_if_changed=False)

    def _reload(self, *, only_if_changed: bool) -> None:
        if self.certificate is None:
            return
        try:
            if self.certificate.reload(only_if_changed=only_if_changed):
                self.relay.counters.certificate_expires_at_seconds = self.certificate.expires_at()
                _log.info("certificate loaded")
        except TlsError as problem:
            _log.warning("certificate not loaded, the old one stays: %s", problem)

    # --- time -------------------------------------------------------------------------------------------

    def _tick_clock(self) -> None:
        self.relay.wall_offset = int(time.time() * 1000) - self.now()

    async def _tick(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(_TICK_S)
            count += 1
            self._tick_clock()
            now = self.now()
            await self._tell_time(now)
            counters = self.relay.counters
            counters.connections = self.relay.meters.open
            counters.unauthenticated_connections = self.relay.meters.unauthenticated
            if self._cluster is not None:
                self._cluster.ticked(now)
            await self._sweep()
            if self._trim is not None and self._ebb.has_come(counters.connections, now):
                gc.collect()  # empties the interpreter's own free lists
                self._trim(0)
            if count % _PRUNE_TICKS == 0:
                self.relay.meters.prune(now)
                self._reload(only_if_changed=True)

    async def _tell_time(self, now: int) -> None:
        """Tell every socket that time has passed, some in each turn of the loop: a crowd would hold up everybody."""
        until = time.perf_counter() + TURN_S
        for socket in list(self.sockets):
            socket.ticked(now)
            if time.perf_counter() >= until:
                await asyncio.sleep(0)
                until = time.perf_counter() + TURN_S

    async def _sweep(self) -> None:
        """Close the connections of agents that another process has revoked."""
        if not self._touches.may_be_new(time.time()):
            return
        changes = await self._in_thread(self.registry.changes)
        if changes == self._changes:
            return
        self._changes = changes
        self._sweeps += 1
        admitted = await self._in_thread(self.registry.admitted)
        for socket in list(self.sockets):
            if socket.owner and admitted.get(socket.connection.key) != socket.owner:
                socket.run(socket.connection.revoked(self.now()))

    # --- end --------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Stop: no new connections; clients are told, and closed one after another with 1001."""
        self.going_away = True
        self._door.close()
        open_sockets = list(self.sockets)
        for socket in open_sockets:
            self._run(socket, socket.connection.warned(int(self.config.drain * 1000), self.now()))
        pause = self.config.drain / max(len(open_sockets), 50)
        for socket in open_sockets:
            self._run(
                socket, socket.connection.close(CloseCode.GOING_AWAY, "the relay is going away", self.now())
            )
            await asyncio.sleep(pause)
        if self.sockets:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._emptied.wait()
        await self.stop()

    def _run(self, socket: WebSocket, commands: list[Command]) -> None:
        if commands:
            socket.run(commands)

    async def stop(self) -> None:
        """End everything now."""
        self._door.close()
        await self._leave_others()
        if self._metrics is not None:
            self._metrics.close()
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        for socket in list(self.sockets):
            socket.cut()
        self._gate.close()
        self._ended.set()

    async def run(self, ready: Callable[[Server], None]) -> None:
        """Start, call `ready`, and work until SIGTERM, SIGINT or `stop`.

        Raises:
            ServeError, TlsError: as `start`.
        """
        try:
            await self.start()
        except ServeError:
            await self._leave_others()
            raise
        self._handle_signals()
        gc.collect()
        gc.freeze()  # what stands now stays, and need not be looked through again
        gc.set_threshold(*_GC_THRESHOLDS)
        ready(self)
        await self._ended.wait()

    def _handle_signals(self) -> None:
        def stop() -> None:
            if self.going_away:
                self.start_task(self.stop(), "stop")  # asked twice: at once
            else:
                self.going_away = True
                self.start_task(self.drain(), "drain")

        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers on the loop
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, stop)
            if hasattr(signal, "SIGHUP"):
                self._loop.add_signal_handler(signal.SIGHUP, self.reload)

    # --- metrics ----------------------------------------------------------------------------------------

    async def _serve_metrics(self, port: int) -> asyncio.Server:
        try:
            server = await asyncio.start_server(self._metrics_request, "127.0.0.1", port, limit=8192)
        except OSError as problem:
            raise ServeError(
                f"Cannot listen on 127.0.0.1 port {port} for metrics: {_words(problem)}."
            ) from None
        self._metrics = server
        return server

    async def _metrics_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_METRICS_READ_S):
                request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].decode("latin-1").partition("?")[0]
            status, kind, body = metrics.answer(
                path,
                self.relay.counters,
                ready=not self.going_away,
                cut_off=self._cluster is not None and not self.relay.counters.nats_connected,
            )
            head = f"HTTP/1.1 {status} \r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n{body}".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, IndexError):
            _log.debug("a metrics request broke off")
        finally:
            writer.close()


def _settings(config: Config) -> Settings:
    return Settings(
        relay_name=config.name,
        max_message_bytes=config.max_message_bytes,
        heartbeat_interval=int(config.heartbeat_interval * 1000),
        idle_timeout=int(config.idle_timeout * 1000),
        authentication_timeout=int(config.authentication_timeout * 1000),
        expiry_grace=int(config.expiry_grace * 1000),
    )


def public_origins(config: Config, scheme: str, port: int) -> tuple[str, ...]:
    """The origins that tokens may name: those configured, else the loopback ones of the bound port."""
    if config.public_url:
        return tuple(origin(url) for url in config.public_url)
    bound = f"[{config.host}]" if ":" in config.host else config.host
    first = bound if is_loopback(config.host) else "127.0.0.1"
    return tuple(
        f"{scheme}://{host}:{port}" for host in dict.fromkeys([first, "127.0.0.1", "localhost", "[::1]"])
    )


def _network(address: str) -> str:
    """An address for the log: its /24 or /48, enough to see a pattern, not a person."""
    group = address_group(address)
    if "." in group:
        return group.rpartition(".")[0] + ".0/24"
    return ":".join(group.split(":")[:3]) + "::/48" if ":" in group else group


def run(config: Config, registry: Registry, ready: Callable[[Server], None]) -> None:
    """Run a relay until it is told to stop.

    Args:
        config: its settings.
        registry: who may connect; stays open.
        ready: called once it listens.

    Raises:
        ServeError, TlsError, RegistryError: it cannot start.
    """
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        with contextlib.suppress(ImportError):
            import uvloop

            factory = uvloop.new_event_loop

    async def main() -> None:
        await Server(config, registry).run(ready)

    with asyncio.Runner(loop_factory=factory) as runner, contextlib.suppress(KeyboardInterrupt):
        runner.run(main())


def _words(problem: OSError) -> str:
    """The system's own words for a fault, without asyncio's; a name that is not found has an errno below 0."""
    if problem.errno is not None and problem.errno > 0:
        return os.strerror(problem.errno)
    return problem.strerror or str(problem)
