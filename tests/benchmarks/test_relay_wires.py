"""The load's side of each router's protocol: what comes is counted whole, however it is cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.relay_wires import MqttWire, NatsWire, SocketIoWire, WebSocketWire, Wire, frame, make

BODY = b"x" * 300
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
LONG_FRAME = b"\x82\x7e\x01\x2c" + BODY
PUBLISHED = b"\x32\xb6\x02\x00\x06agent1\x12\x34" + BODY  # 8 of topic, 2 of id, 300: 310 = 0xB6 0x02


def _websocket() -> Wire:
    return WebSocketWire({"X-Agent-Id": "a"}, BODY, "agentnet.v1+msgpack", 1)


def _mqtt() -> Wire:
    return MqttWire("agent1", "agent2", BODY)


def _nats() -> Wire:
    return NatsWire("agent1", "agent2", BODY)


def _fed(wire: Wire, pieces: list[bytes]) -> tuple[int, bytes]:
    """What a wire counts of the pieces, and what it wants sent."""
    rest, total, replies = b"", 0, b""
    for piece in pieces:
        data = rest + piece
        used, count = wire.read(data)
        rest, total = data[used:], total + count
        replies, wire.reply = replies + wire.reply, b""
    assert not rest
    return total, replies


@pytest.mark.parametrize(
    ("made", "stream", "count"),
    [
        (_websocket, UPGRADED + b"\x82\x03abc" + LONG_FRAME + b"\x82\x03abc", 2),
        (_mqtt, b"\x20\x02\0\0" + b"\x90\x03\0\1\1" + PUBLISHED + b"\x40\x02\0\1", 2),
        (_nats, b"INFO {}\r\n+OK\r\n+OK\r\nPONG\r\n+OK\r\nMSG agent1 1 300\r\n" + BODY + b"\r\n", 2),
    ],
)
def test_messages_and_acknowledgements_are_counted_wherever_the_stream_is_cut(
    made: Callable[[], Wire], stream: bytes, count: int
) -> None:
    for at in range(len(stream)):
        wire = made()
        assert _fed(wire, [stream[:at], stream[at:]])[0] == count
        assert wire.is_ready


def test_our_relay_lets_in_with_its_first_frame_and_plain_ones_with_the_upgrade() -> None:
    ours, plain = _websocket(), WebSocketWire({}, BODY, "agentnet.v1+json", 0)
    assert _fed(ours, [UPGRADED]) == (0, b"")
    assert not ours.is_ready
    assert _fed(plain, [UPGRADED]) == (0, b"")
    assert plain.is_ready


def test_a_refused_upgrade_is_an_error() -> None:
    with pytest.raises(ConnectionError, match="401"):
        _websocket().read(b"HTTP/1.1 401 Unauthorized\r\n\r\n")


def test_socket_io_is_answered_once_and_its_ping_is_no_message() -> None:
    wire = SocketIoWire({}, BODY)
    opening = UPGRADED + b"\x81\x05" + b"0open"
    assert _fed(wire, [opening]) == (0, frame(b"40", text=True))
    assert _fed(wire, [b"\x81\x0340{" + b"\x81\x01" + b"2" + b"\x81\x0342["]) == (1, b"")
    assert wire.is_ready


def test_mqtt_subscribes_once_connected_and_acknowledges_each_publication_by_its_id() -> None:
    wire = _mqtt()
    assert _fed(wire, [b"\x20\x02\0\0"])[1] == b"\x82\x0b\0\1\0\6agent1\1"
    assert _fed(wire, [PUBLISHED])[1] == b"\x40\x02\x12\x34"


def test_mqtt_publications_under_way_have_ids_of_their_own() -> None:
    two = _mqtt().messages(2)
    one = len(two) // 2
    assert two[:one].replace(b"\0\1x", b"\0\2x") == two[one:]
    assert two[:3] == b"\x32\xb6\x02"


def test_nats_is_answered_its_ping_and_its_errors_are_raised() -> None:
    wire = _nats()
    assert _fed(wire, [b"PING\r\n"]) == (0, b"PONG\r\n")
    with pytest.raises(ConnectionError, match="Authorization"):
        wire.read(b"-ERR 'Authorization Violation'\r\n")


def test_an_unknown_wire_is_refused() -> None:
    with pytest.raises(ValueError, match="no wire 'smtp'"):
        make("smtp", "", {"body": ""})
