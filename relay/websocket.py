"""The shell of one connection: `websockets`' Sans-I/O protocol inside an `asyncio.Protocol`.

Bytes from the transport become events of `relay.connection`; its commands become bytes. Frames that leave
are collected, and written once for all that came at once. RFC 6455 is `websockets`' business, but for one thing:
data frames that leave uncompressed are framed here, their payload untouched. Decides nothing.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence
from typing import Final, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State as WebSocketState
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

from relay import upgrade
from relay.commands import GONE, Accept, Close, Command, Listen, Publish, Refuse, Send, Verify
from relay.connection import Connection, State
from relay.host import Host
from relay.limits import AddressMeter, address_group
from relay.wire.codec import Format, frame_limit

LINGER_MS: Final = 2000
"""How long a client has to answer a close before its connection is cut."""
COMPRESS_FROM: Final = 1024
"""Messages shorter than this are never compressed."""
TURN_S: Final = 0.0002
"""How long one connection is served before others have their turn."""
CIVIL: Final = 4096
"""So many bytes are served at once even while others wait for their turns."""
_STEP: Final = 256
"""What `websockets` is fed at a time: few enough frames, however short they are."""
_SMALLEST_FRAME: Final = 6
_TEXT: Final = 0x81
_BINARY: Final = 0x82
"""First bytes of a frame that is a whole message: FIN, no reserved bits, a data opcode."""
_HEAD_16: Final = struct.Struct("!BBH").pack
_HEAD_64: Final = struct.Struct("!BBQ").pack


class WebSocket(asyncio.Protocol):
    """One connection's transport, protocol and state machine. Implements `connection.Link`."""

    __slots__ = (
        "__weakref__",
        "_cut_at",
        "_fragments",
        "_head",
        "_host",
        "_is_ended",
        "_is_judged",
        "_is_open",
        "_is_waiting",
        "_opcode",
        "_own_opcode",
        "_pending",
        "_protocol",
        "_response",
        "_rest",
        "_transport",
        "address",
        "connection",
        "owner",
    )

    def __init__(self, host: Host, address: str, meter: AddressMeter) -> None:
        """Build it, for a socket that may come in.

        Args:
            host: the server.
            address: where the socket comes from.
            meter: the address's.
        """
        relay = host.relay
        self._host = host
        self._protocol = ServerProtocol(
            extensions=host.extensions or None,
            select_subprotocol=upgrade.choose_subprotocol,
            max_size=frame_limit(relay.settings.max_message_bytes),
            logger=host.protocol_log,
        )
        self._transport: asyncio.Transport | None = None
        self._pending: list[bytes] = []
        self._fragments: list[bytes] | None = None
        self._opcode = self._own_opcode = Opcode.TEXT
        self._head = _TEXT
        self._is_open = self._is_ended = self._is_judged = self._is_waiting = False
        self._response: Response | None = None
        self._cut_at = 0
        self._rest = b""
        self.address = address
        self.owner = ""
        self.connection = Connection(relay, self, meter, host.now())

    @property
    def is_in(self) -> bool:
        """Whether its socket has come in, and is there."""
        return self._transport is not None

    # --- the transport's events -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket has come in."""
        self._transport = cast(asyncio.Transport, transport)
        limits = self._host.relay.meters.limits
        self._transport.set_write_buffer_limits(limits.queue_bytes // 2, limits.queue_bytes // 4)
        self._host.sockets.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came. Much at once is taken bit by bit, so that others have their turns between."""
        if self._rest or self._is_judged or (len(data) > CIVIL and self._host.is_taking_turns):
            self._rest += data
        else:
            self._rest = self._take(data)
        if self._rest:
            self._wait()

    def _wait(self) -> None:
        """Read no more until what is here has had its turn, or never, when it comes after a close."""
        if self._is_waiting or self._is_judged or self._transport is None:
            return
        self._transport.pause_reading()
        if self._cut_at:
            self._rest = b""
        else:
            self._is_waiting = True
            self._host.wait_for_turn(self)

    def go_on(self) -> None:
        """It is this connection's turn."""
        self._is_waiting = False
        if self._transport is None:
            self._let_go()
            return
        if self._is_ended:
            self._cut_at = self._host.now() + LINGER_MS
            self._transport.close()
            return
        data, self._rest = self._rest, b""
        self._rest = self._take(data)
        if self._rest:
            self._wait()
        elif not self._is_judged and not self._transport.is_closing():
            self._transport.resume_reading()

    def _take(self, data: bytes) -> bytes:
        """Handle what came, for as long as a turn lasts, and write what follows from it.

        Returns:
            What is left for another turn.
        """
        host = self._host
        host.is_receiving = True
        try:
            at = self._take_for_a_turn(data)
        finally:
            host.is_receiving = False
            host.flush()
        return data[at:]

    def _take_for_a_turn(self, data: bytes) -> int:
        protocol, until = self._protocol, time.perf_counter() + TURN_S
        at, size = 0, len(data)
        while True:
            if self._is_plain and not protocol.reader.buffer:
                at = self._take_plain_frames(data, at, until)
            if at < size and not self._is_judged and time.perf_counter() < until:
                end = at + max(_STEP, len(protocol.reader.buffer))  # a long frame is fed in steps that grow
                self._take_through_protocol(data[at:end])
                at = end
            if at >= size or self._is_judged or time.perf_counter() >= until:
                break
        if protocol.writes:
            self._take_writes()
        return at

    def _take_through_protocol(self, data: bytes) -> None:
        protocol = self._protocol
        protocol.receive_data(data)
        self._is_open = protocol.state is WebSocketState.OPEN
        for event in protocol.events_received():
            if type(event) is Frame:
                self._frame(event)
            elif isinstance(event, Request):
                self._request(event)
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self._run(self.connection.lost(self._host.now()))

    def _take_plain_frames(self, data: bytes, at: int, until: float) -> int:
        """Take whole, unfragmented data frames from the front: nearly all traffic is these.

        Whatever is anything else, even a frame whose end has not come, is left to `websockets`.

        Args:
            data: what came.
            at: where in it the first frame begins.
            until: when to leave the rest for another turn, on the clock of `time.perf_counter`.

        Returns:
            Where the rest begins.
        """
        size, limit = len(data), self._protocol.max_message_size or 0
        now = self._host.now()
        own = self._head
        while size - at >= _SMALLEST_FRAME and data[at] == own and self._is_open and not self._is_judged:
            length = data[at + 1] - 0x80  # negative when not masked, which is websockets' to refuse
            start = at + 2
            if length == 126:
                length = data[at + 2] << 8 | data[at + 3]
                start = at + 4
            end = start + 4 + length
            if length < 0 or length == 127 or end > size or length > limit:
                break
            at = end
            self._own_message(apply_mask(data[start + 4 : end], data[start : start + 4]), now)
            if at < size and time.perf_counter() >= until:
                break
        return at

    @property
    def _is_plain(self) -> bool:
        """Whether a frame may be taken without `websockets`: open, not amid fragments, uncompressed."""
        protocol = self._protocol
        return self._is_open and self._fragments is None and not protocol.extensions

    def eof_received(self) -> bool:
        """The client has ended its side: it is out of all tables now.

        Closing a socket takes longer than that, and a crowd may go at once: so each has a turn for it.

        Returns:
            Whether the socket stays open until then. TLS closes its own at once.
        """
        self._leave()
        if self._transport is None or self._transport.get_extra_info("sslcontext") is not None:
            return False
        self._is_ended = True
        self._host.wait_for_turn(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone; why it is makes no difference.

        It is out of all tables now. Freeing what it held takes longer than that, and a crowd may go at once: so each
        has a turn for it. Who was closed in a turn of its own has had it.
        """
        del exc
        self._transport = None
        self._pending.clear()
        self._leave()
        if self._is_ended:
            self._let_go()
        else:
            self._host.wait_for_turn(self)

    def _leave(self) -> None:
        """Be out of all tables, and hear no more."""
        host = self._host
        self._is_open = False
        self._rest = b""
        was_open = self.connection.state is State.OPEN
        self._run(self.connection.lost(host.now()))
        if was_open:
            host.note(self, "lost")

    def _let_go(self) -> None:
        """Break the circles of references, so that memory is free now, not when the collector comes by."""
        if self.connection.link is GONE:
            return
        self._host.forget(self)
        self.connection.link = GONE
        protocol = self._protocol
        protocol.parser.close()
        protocol.parser_exc = protocol.handshake_exc = None
        vars(protocol).pop("select_subprotocol", None)  # websockets has bound it to the protocol itself

    def resume_writing(self) -> None:
        """The transport's buffer has drained."""
        self._measure()

    # --- what came --------------------------------------------------------------------------------------

    def _request(self, request: Request) -> None:
        host, protocol, connection = self._host, self._protocol, self.connection
        now = host.now()
        response = upgrade.page(protocol, request) or protocol.accept(request)
        if response.status_code != 101:
            self._run(connection.lost(now))
            self._finish(response)
            return
        if host.trusted:
            self._come_from(upgrade.client_address(request, self.address, host.trusted))
        if host.going_away or host.relay.meters.is_crowded(connection.address):
            self._run(connection.upgrade_denied(503, now))
        elif wait := connection.address.arrivals.take(1, now):
            self._run(connection.upgrade_denied(429, now, wait))
        else:
            self._response = response
            asked = upgrade.asked(request)
            # websockets keeps the request, and what its buffer held, for life: the token must not stay there.
            request.headers.clear()
            protocol.reader.buffer = bytearray(protocol.reader.buffer)
            fmt = upgrade.format_of(protocol.subprotocol)
            self._run(connection.upgrade_requested(fmt, asked.token, asked.agent_id, asked.invite, now))

    def _come_from(self, address: str) -> None:
        """Count the connection for the address that a trusted proxy names."""
        if address == self.address:
            return
        self.address = address
        self.connection.move(self._host.relay.meters.address(address_group(address)))

    def _finish(self, response: Response) -> None:
        """Answer over HTTP, and be done."""
        self._protocol.send_response(response)
        self._take_writes()
        self._cut_at = self._host.now() + LINGER_MS

    def _frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        data = cast(bytes, frame.data)
        if opcode is Opcode.BINARY or opcode is Opcode.TEXT:
            if frame.fin:
                self._message(data, opcode, self._host.now())
                return
            self._fragments, self._opcode = [data], opcode
        elif opcode is Opcode.CONT and self._fragments is not None:
            self._fragments.append(data)
            if frame.fin:
                whole, self._fragments = b"".join(self._fragments), None
                self._message(whole, self._opcode, self._host.now())
                return
        if opcode is not Opcode.CLOSE:
            self._run(self.connection.control_frame(self._host.now()))

    def _message(self, data: bytes, opcode: Opcode, now: int) -> None:
        connection = self.connection
        if opcode is not self._own_opcode:
            self._run(connection.wrong_frame_type(now))
            return
        self._own_message(data, now)

    def _own_message(self, data: bytes, now: int) -> None:
        """A message came in the frame type of the connection's format."""
        connection = self.connection
        if self._head == _TEXT and not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                self._is_open = False
                self._protocol.fail(1007, "not UTF-8")
                self._run(connection.lost(now))
                return
        self._run(connection.received(data, now))

    def verdict(self, commands: list[Command]) -> None:
        """A token was judged; carry out what follows, and go on reading."""
        self._is_judged = False
        self._run(commands)
        if self._rest:
            self._wait()
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def ticked(self, now: int) -> None:
        """About a second has passed."""
        if self.connection.backlog.waiting:
            self._measure()
        if self._cut_at and now >= self._cut_at:
            if self._transport is not None:
                self._transport.abort()
            return
        commands = self.connection.ticked(now)
        if commands:
            self._run(commands)

    def run(self, commands: list[Command]) -> None:
        """Carry out commands of this connection."""
        self._run(commands)

    def _run(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if type(command) is Send:  # the others are rare
                command.to.link.send(command.data)
            else:
                self._run_rare(command)

    def _run_rare(self, command: Command) -> None:
        match command:
            case Close(to=to, code=code, reason=reason):
                to.link.close(code, reason)
            case Verify():
                self._is_judged = True
                if self._transport is not None:
                    self._transport.pause_reading()
                self._host.verify(self, command)
            case Accept():
                response, self._response = self._response, None
                if response is not None:
                    self._protocol.send_response(response)
                    self._take_writes()
                    self._is_open = True
                    if self.connection.format is Format.MSGPACK:
                        self._own_opcode, self._head = Opcode.BINARY, _BINARY
            case Refuse(status=status, content=content):
                self._response = None
                self._host.relay.counters.refused_connections_total += status != 401
                self._finish(upgrade.refusal(self._protocol, status, content))
            case Publish() | Listen():
                self._host.carry(command)

    # --- what leaves ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write one data frame when all that came with what it answers has been handled."""
        if not self._is_open:
            return
        size, head = len(data), self._head
        if size >= COMPRESS_FROM and self._protocol.extensions:
            self._send_through_protocol(data)
            return
        pending = self._pending
        if not pending:
            self._host.dirty.append(self)
            self._host.flush_soon()
        if size < 126:
            pending.append(bytes((head, size)))
        elif size < 65536:
            pending.append(_HEAD_16(head, 126, size))
        else:
            pending.append(_HEAD_64(head, 127, size))
        pending.append(data)

    def _send_through_protocol(self, data: bytes) -> None:
        if self.connection.format is Format.JSON:
            self._protocol.send_text(data)
        else:
            self._protocol.send_binary(data)
        self._take_writes()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and cut the connection when the client does not answer it."""
        if self._transport is None:
            return
        self._cut_at = self._host.now() + LINGER_MS
        if self._is_open:
            self._is_open = False
            self._protocol.send_close(code, reason)
            self._take_writes()
            self._host.note(self, "closed", code)
        elif self._protocol.state is WebSocketState.CONNECTING:
            self._transport.abort()

    def _take_writes(self) -> None:
        """Queue what `websockets` wants written, in order with what else leaves."""
        writes = self._protocol.data_to_send()
        if not self._pending:
            self._host.dirty.append(self)
            self._host.flush_soon()
        self._pending += writes

    def flush(self) -> None:
        """Write what has been collected."""
        pending, self._pending = self._pending, []
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        ends = b"" in pending  # an empty write is websockets' sign for the end of the stream
        transport.write(b"".join(pending))
        self._measure()
        if ends:
            self._cut_at = self._host.now() + LINGER_MS
            if transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()

    def cut(self) -> None:
        """End the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _measure(self) -> None:
        if self._transport is not None:
            self.connection.backlog.waiting = self._transport.get_write_buffer_size()
