"""RFC 6455 where the shell touches it, held by an independent client: wsproto."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from relay.upgrade import ENDPOINT
from tests.relay.conftest import JSON, Net


class Wire:
    """A wsproto client on a bare socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []

    def send(self, *events: Event, cut: int = 0) -> None:
        """Send events; with `cut`, in writes of that many bytes."""
        data = b"".join(self.protocol.send(event) for event in events)
        for at in range(0, len(data), cut or len(data)):
            self.writer.write(data[at : at + (cut or len(data))])

    async def next(self) -> Event:
        """The next event."""
        async with asyncio.timeout(10):
            while not self._events:
                data = await self.reader.read(65536)
                self.protocol.receive_data(data or None)
                self._events += self.protocol.events()
        return self._events.pop(0)

    async def text(self) -> str:
        """The next whole text message."""
        found = ""
        while True:
            event = await self.next()
            assert isinstance(event, TextMessage)
            found += event.data
            if event.message_finished:
                return found


@pytest.fixture
async def wire(net: Net) -> AsyncIterator[Wire]:
    """An authenticated connection."""
    token = net.person("alice").token(net.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", net.relay.port)
    made = Wire(reader, writer)
    headers = [(b"Authorization", f"Bearer {token}".encode()), (b"X-Agent-Id", b"alice")]
    made.send(Request(host="x", target=ENDPOINT, subprotocols=["other", JSON], extra_headers=headers))
    accepted = await made.next()
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == JSON
    assert json.loads(await made.text())["messageType"] == "CONNECTED"
    yield made
    writer.transport.abort()


def beat(timestamp: int = 1) -> str:
    return json.dumps({
        "messageId": "msg_ü".replace("ü", "u"), "conversationId": "system", "senderId": "alice",
        "recipientId": "system", "messageType": "HEARTBEAT", "content": {"timestamp": timestamp, "note": "grüß dich"},
        "timestamp": 1, "metadata": {"priority": "LOW", "encrypted": False, "requiresResponse": False},
    }, ensure_ascii=False)  # fmt: skip


async def test_a_fragmented_message_is_one_message_even_with_a_ping_between_and_a_letter_cut(
    wire: Wire,
) -> None:
    text = beat(7)
    at = text.index("ü")
    wire.send(TextMessage(text[:9], message_finished=False), Ping(b"between"))
    wire.send(TextMessage(text[9:at], message_finished=False), TextMessage(text[at:]))
    answers = [await wire.next(), await wire.next()]  # in either order: a pong may overtake, and be overtaken
    (echo,) = (event for event in answers if isinstance(event, TextMessage))
    assert Pong(payload=b"between") in answers
    assert json.loads(echo.data)["content"]["timestamp"] == 7


@pytest.mark.parametrize("cut", [1, 7, 64])
async def test_frames_may_come_in_any_pieces(wire: Wire, cut: int) -> None:
    wire.send(*(TextMessage(beat(number)) for number in range(5)), cut=cut)
    assert [json.loads(await wire.text())["content"]["timestamp"] for _ in range(5)] == list(range(5))


async def test_many_frames_in_one_write_are_answered_in_order_with_pings_among_them(wire: Wire) -> None:
    wire.send(TextMessage(beat(1)), Ping(b"p"), TextMessage(beat(2)), TextMessage(beat(3)))
    kinds = [type(await wire.next()) for _ in range(4)]
    assert sorted(kind.__name__ for kind in kinds) == ["Pong", "TextMessage", "TextMessage", "TextMessage"]


async def test_a_ping_is_answered_with_its_payload(wire: Wire) -> None:
    wire.send(Ping(b"x" * 125))
    assert await wire.next() == Pong(payload=b"x" * 125)


async def test_a_close_is_answered_with_the_same_code_and_the_socket_ends(wire: Wire) -> None:
    wire.send(CloseConnection(1000, "bye"))
    closed = await wire.next()
    assert isinstance(closed, CloseConnection)
    assert closed.code == 1000
    assert wire.protocol.state is ConnectionState.CLOSED
    async with asyncio.timeout(10):
        assert await wire.reader.read() == b""


async def test_a_message_before_a_close_in_the_same_write_is_still_handled(wire: Wire) -> None:
    wire.send(TextMessage(beat(4)), CloseConnection(1000))
    assert json.loads(await wire.text())["content"]["timestamp"] == 4
    assert isinstance(await wire.next(), CloseConnection)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"\x81\x02hi", 1002),  # not masked
        (b"\xc1\x82\0\0\0\0hi", 1002),  # a reserved bit
        (b"\x83\x82\0\0\0\0hi", 1002),  # an unknown opcode
        (b"\x80\x82\0\0\0\0hi", 1002),  # a continuation of nothing
        (b"\x09\x82\0\0\0\0hi", 1002),  # a fragmented ping
        (b"\x89\xfe\0\x7e\0\0\0\0" + bytes(126), 1002),  # a ping that is too long
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),  # not UTF-8
        (b"\x01\x81\0\0\0\0\xc3\x80\x81\0\0\0\0\x28", 1007),  # not UTF-8 once joined
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # a close code that must not be sent
        (b"\x81\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0", 1009),  # two gigabytes announced
        (b"\x82\x82\0\0\0\0hi", 4400),  # binary in JSON
    ],
)
async def test_what_rfc_6455_forbids_is_closed_with_the_right_code(wire: Wire, bad: bytes, code: int) -> None:
    wire.writer.write(bad)
    closed = await wire.next()
    assert isinstance(closed, CloseConnection)
    assert closed.code == code


async def test_messages_between_two_independent_clients_keep_their_bytes(net: Net, wire: Wire) -> None:
    bob = await net.join("bob")
    text = beat(9).replace('"recipientId": "system"', '"recipientId": "bob"')
    wire.send(TextMessage(text))
    assert await bob.raw() == text


async def test_binary_messages_are_binary_for_wsproto_too(net: Net) -> None:
    token = net.person("carol").token(net.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", net.relay.port)
    carol = Wire(reader, writer)
    headers = [(b"Authorization", f"Bearer {token}".encode())]
    target = f"{ENDPOINT}?agentId=carol"
    carol.send(Request(host="x", target=target, subprotocols=["agentnet.v1+msgpack"], extra_headers=headers))
    assert isinstance(await carol.next(), AcceptConnection)
    assert isinstance(await carol.next(), BytesMessage)
    writer.transport.abort()


async def test_a_flood_in_one_write_is_handled_whole_and_others_have_their_turns_between(
    net: Net, wire: Wire
) -> None:
    bob = await net.join("bob")
    floods = 400
    wire.send(*(TextMessage(beat(number)) for number in range(floods)))
    wire.send(TextMessage(beat(floods)[:9], message_finished=False), TextMessage(beat(floods)[9:]))
    await bob.settled()
    assert [json.loads(await wire.text())["content"]["timestamp"] for _ in range(floods + 1)] == list(
        range(floods + 1)
    )
    wire.send(TextMessage(beat(1)))
    assert json.loads(await wire.text())["content"]["timestamp"] == 1
