"""How the relay benchmark's load speaks to each router: WebSocket, Socket.IO, MQTT 3.1.1 with QoS 1, and NATS.

Pure: bytes in, bytes out, and only as much of each protocol as the load needs. Frames are built once where that
is possible; of what comes back only lengths are read, so that the load is cheap beside what it measures.
"""

from __future__ import annotations

from typing import Any, Protocol

PATH = "/agent-network/v1/connect"
SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_PUBLISH, _PUBACK, _CONNACK, _SUBACK = 0x30, 0x40, 0x20, 0x90


class Wire(Protocol):
    """One connection's side of a protocol.

    Attributes:
        hello: what to send first.
        is_ready: whether the router has let it in.
        reply: what has to be sent now; whoever sends it empties it.
    """

    hello: bytes
    is_ready: bool
    reply: bytes

    def read(self, data: bytes) -> tuple[int, int]:
        """Read what came.

        Args:
            data: bytes that begin with a frame, a packet or a line.

        Returns:
            How many bytes were whole frames, and how many of these were messages or acknowledgements.
        """
        ...

    def messages(self, count: int) -> bytes:
        """The bytes of so many messages to the peer."""
        ...


def frame(payload: bytes, *, text: bool) -> bytes:
    """One masked client frame; with a key of zeros the payload stands as it is."""
    head = bytes((0x81 if text else 0x82,))
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return head + length + b"\0\0\0\0" + payload


def _upgrade(path: str, headers: dict[str, str], subprotocol: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {subprotocol}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class WebSocketWire:
    """A WebSocket; ready after the upgrade and `greetings` frames of the router's."""

    def __init__(self, headers: dict[str, str], body: bytes, subprotocol: str, greetings: int) -> None:
        self.hello = _upgrade(PATH, headers, subprotocol)
        self.is_ready = False
        self.reply = b""
        self._message = frame(body, text=not subprotocol.endswith("msgpack"))
        self._greetings = greetings
        self._is_http = True

    def read(self, data: bytes) -> tuple[int, int]:
        """See `Wire`."""
        at = 0
        if self._is_http:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                return 0, 0
            if not data.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(data.decode("latin-1"))
            self._is_http = False
        at, count = self._frames(data, at)
        if not self.is_ready:
            count = self._greeted(count)
        return at, count

    def _frames(self, data: bytes, at: int) -> tuple[int, int]:
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
            count += length > 1  # Engine.IO's ping is one byte
        return at, count

    def _greeted(self, count: int) -> int:
        taken = min(count, self._greetings)
        self._greetings -= taken
        self.is_ready = not self._greetings
        return count - taken

    def messages(self, count: int) -> bytes:
        """See `Wire`."""
        return self._message * count


class SocketIoWire(WebSocketWire):
    """Socket.IO on a WebSocket: ready after Engine.IO's opening and the answer to `40`."""

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        super().__init__(headers, body, "", 2)
        self.hello = _upgrade(SOCKETIO_PATH, headers, "").replace(b"Sec-WebSocket-Protocol: \r\n", b"")

    def _greeted(self, count: int) -> int:
        before = self._greetings
        rest = super()._greeted(count)
        if before == 2 and self._greetings == 1:
            self.reply = frame(b"40", text=True)
        return rest


def _packet(kind: int, *parts: bytes) -> bytes:
    """An MQTT packet: its type, the length of the rest in groups of seven bits, the rest."""
    body = b"".join(parts)
    length, rest = b"", len(body)
    while True:
        rest, low = divmod(rest, 128)
        length += bytes((low | (0x80 if rest else 0),))
        if not rest:
            return bytes((kind,)) + length + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


class MqttWire:
    """MQTT 3.1.1, a clean session; subscribes to its own name with QoS 1, and publishes with QoS 1."""

    def __init__(self, name: str, peer: str, body: bytes) -> None:
        self.hello = _packet(0x10, _text("MQTT"), b"\x04\x02\0\0", _text(name))
        self.is_ready = False
        self.reply = b""
        self._subscribe = _packet(0x82, b"\0\1", _text(name), b"\1")
        start = _text(peer)
        whole = _packet(_PUBLISH | 2, start, b"\0\0", body)
        self._head, self._body = whole[: len(whole) - len(body) - 2], body
        self._last_id = 0

    def read(self, data: bytes) -> tuple[int, int]:
        """See `Wire`."""
        at, count, size = 0, 0, len(data)
        answers: list[bytes] = []
        while at + 2 <= size:
            length, start, shift = data[at + 1] & 0x7F, at + 2, 7
            while data[start - 1] & 0x80 and start < size:
                length |= (data[start] & 0x7F) << shift
                start, shift = start + 1, shift + 7
            if data[start - 1] & 0x80 or start + length > size:
                break
            kind = data[at] & 0xF0
            if kind == _PUBLISH:
                topic = data[start] << 8 | data[start + 1]
                answers.append(b"\x40\x02" + data[start + 2 + topic : start + 4 + topic])
            elif kind == _CONNACK:
                answers.append(self._subscribe)
            elif kind == _SUBACK:
                self.is_ready = True
            count += kind in (_PUBLISH, _PUBACK)
            at = start + length
        if answers:
            self.reply += b"".join(answers)
        return at, count

    def messages(self, count: int) -> bytes:
        """See `Wire`; each has an id of its own among those under way."""
        parts: list[bytes] = []
        for _ in range(count):
            self._last_id = self._last_id % 0xFFFF + 1
            parts += (self._head, self._last_id.to_bytes(2, "big"), self._body)
        return b"".join(parts)


class NatsWire:
    """NATS in verbose mode: the server answers each message with `+OK`."""

    def __init__(self, name: str, peer: str, body: bytes) -> None:
        self.hello = b'CONNECT {"verbose":true,"pedantic":false,"echo":false}\r\n'
        self.hello += f"SUB {name} 1\r\nPING\r\n".encode()
        self.is_ready = False
        self.reply = b""
        self._message = f"PUB {peer} {len(body)}\r\n".encode() + body + b"\r\n"

    def read(self, data: bytes) -> tuple[int, int]:
        """See `Wire`."""
        at, count = 0, 0
        while (end := data.find(b"\r\n", at) + 2) > 1:
            lead = data[at : at + 4]
            if lead == b"MSG ":
                end += int(data[data.rindex(b" ", at, end) : end]) + 2
                if end > len(data):
                    break
                count += 1
            elif lead == b"+OK\r":
                count += self.is_ready
            elif lead == b"PONG":
                self.is_ready = True
            elif lead == b"PING":
                self.reply += b"PONG\r\n"
            elif lead == b"-ERR":
                raise ConnectionError(data[at:end].decode("latin-1"))
            at = end
        return at, count

    def messages(self, count: int) -> bytes:
        """See `Wire`."""
        return self._message * count


def make(wire: str, subprotocol: str, agent: dict[str, Any]) -> Wire:
    """The side of one agent.

    Args:
        wire: `ours`, `websocket`, `socketio`, `mqtt` or `nats`.
        subprotocol: of a WebSocket.
        agent: `name`, `peer`, `headers` of the upgrade, and `body`: a message, as latin-1.
    """
    body = agent["body"].encode("latin-1")
    match wire:
        case "mqtt":
            return MqttWire(agent["name"], agent["peer"], body)
        case "nats":
            return NatsWire(agent["name"], agent["peer"], body)
        case "socketio":
            return SocketIoWire(agent["headers"], body)
        case "ours" | "websocket":
            return WebSocketWire(agent["headers"], body, subprotocol, 1 if wire == "ours" else 0)
    raise ValueError(f"no wire {wire!r}")
