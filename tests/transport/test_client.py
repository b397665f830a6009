"""The shell round the connection machine, against a real WebSocket server."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.transport.endpoint import InsecureEndpoint
from agentnet_desktop.transport.signals import State, Status
from agentnet_desktop.transport.tokens import FileTokens
from relay.wire.codec import Decoded, Format
from relay.wire.envelope import MessageType
from relay.wire.errors import WireError
from tests.transport.small_relay import Desk, envelope

Make = Callable[..., Any]


async def until_parted(peer: Any) -> None:
    await peer.greet()
    await peer.part()


async def test_a_client_connects_with_token_and_agent_id_and_prefers_msgpack(relay: Make, desk: Make) -> None:
    async with relay(until_parted).running() as server, desk(server.address) as alice:
        status = await alice.reaches(State.CONNECTED)
        assert alice.client.format is Format.MSGPACK
        assert (status.relay_name, status.insecure) == ("Test", False)
    (headers,) = server.requests
    assert (headers["Authorization"], headers["X-Agent-Id"]) == ("Bearer token1", "alice")
    assert headers["Sec-WebSocket-Protocol"] == "agentnet.v1+msgpack, agentnet.v1+json"
    assert "Sec-WebSocket-Extensions" not in headers
    assert "User-Agent" not in headers
    assert "X-Agent-Invite" not in headers
    assert alice.tokens.taken == 1


async def test_no_log_holds_a_token(relay: Make, desk: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with relay(until_parted).running() as server, desk(server.address) as alice:
        await alice.reaches(State.CONNECTED)
    of_client = [record for record in caplog.records if record.name != "websockets.server"]
    assert not any("token1" in record.getMessage() for record in of_client)


async def test_an_invite_beside_a_token_goes_into_a_header_of_its_own(
    relay: Make, desk: Make, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("a.b.c")
    async with relay(until_parted).running() as server:
        alice = Desk(server.address)
        alice.client._tokens = FileTokens(tmp_path / "token", invite="CODE")
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(alice.client.run())
            await alice.reaches(State.CONNECTED)
            await alice.client.stop()
    assert server.requests[0]["X-Agent-Invite"] == "CODE"


async def test_stopping_says_goodbye_and_closes_with_1000(relay: Make, desk: Make) -> None:
    seen: list[Any] = []

    async def script(peer: Any) -> None:
        await peer.greet()
        asked = await peer.receive(MessageType.DISCONNECT)
        peer_ack = {"messageId": asked.message_id, "status": "CLOSED"}
        await peer.send(envelope(MessageType.ACK, peer_ack))
        await peer.socket.wait_closed()
        seen.append(peer.socket.close_code)

    async with relay(script).running() as server:
        async with desk(server.address) as alice:
            await alice.reaches(State.CONNECTED)
        await server.done.get()
    assert seen == [1000]
    assert alice.client.status.state is State.OFFLINE
    assert [str(e.message_type) for e in alice.sent] == ["HEARTBEAT", "DISCONNECT"]


async def test_the_greeting_reaches_the_agent_before_the_state_does(relay: Make, desk: Make) -> None:
    async with relay(until_parted).running() as server, desk(server.address) as alice:
        order: list[str] = []

        def told(status: Status) -> None:
            order.append(str(status.state))
            alice._state(status)

        alice.client._on_frame = lambda elements, _raw: order.append(str(elements[0].envelope.message_type))
        alice.client._on_state = told
        await alice.reaches(State.CONNECTED)
        assert order[-2:] == ["CONNECTED", "CONNECTED"]


async def test_what_is_ready_goes_in_one_frame_and_in_order(
    relay: Make, desk: Make, make_envelope: Make
) -> None:
    got: list[str] = []

    async def script(peer: Any) -> None:
        await peer.greet()
        while len(got) < 100:
            got.append((await peer.receive(MessageType.ERROR)).message_id)
        frames.append(len(peer.frames))
        await peer.part()

    frames: list[int] = []
    messages = [
        make_envelope(MessageType.ERROR, {"errorCode": "X", "message": "m", "recoverable": True, "retryAfter": 0},
                      sender="alice", at="bob")
        for _ in range(100)
    ]  # fmt: skip
    async with relay(script).running() as server, desk(server.address) as alice:
        await alice.reaches(State.CONNECTED)
        assert alice.client.send(messages)
        await server_done(server, alice)
    assert got == [message.message_id for message in messages]
    assert frames[0] <= 3  # a heartbeat may travel along; 64 to a frame


async def server_done(server: Any, alice: Any) -> None:
    """Say goodbye, and wait until the relay's script has ended."""
    await alice.client.stop()
    async with asyncio.timeout(10):
        await server.done.get()


async def test_a_batch_never_exceeds_a_frame(relay: Make, desk: Make, make_envelope: Make) -> None:
    sizes: list[int] = []

    async def script(peer: Any) -> None:
        await peer.greet(maxMessageBytes=4096)
        for _ in range(20):
            await peer.receive(MessageType.ERROR)
        sizes.extend(len(frame) for frame in peer.frames)
        await peer.part()

    content = {"errorCode": "X", "message": "m" * 3000, "recoverable": True, "retryAfter": 0}
    messages = [make_envelope(MessageType.ERROR, content, sender="alice", at="bob") for _ in range(20)]
    async with relay(script).running() as server, desk(server.address) as alice:
        await alice.reaches(State.CONNECTED)
        alice.client.send(messages)
        await server_done(server, alice)
    assert max(sizes) <= 2 * 4096
    assert len(sizes) <= 12  # two to a frame


async def test_nothing_is_sent_without_a_connection(desk: Make, make_envelope: Make) -> None:
    async with desk("ws://127.0.0.1:1") as alice:
        assert not alice.client.send([make_envelope(MessageType.ERROR, {})])
        status = await alice.reaches(State.WAITING)
        assert "nothing listens at 127.0.0.1:1" in status.reason
    assert alice.client.status.state is State.OFFLINE


async def test_a_lost_connection_is_made_again_at_once(relay: Make, desk: Make) -> None:
    async def dies(peer: Any) -> None:
        await peer.greet()
        await peer.receive(MessageType.HEARTBEAT)
        peer.socket.transport.abort()

    async with relay(dies, until_parted).running() as server, desk(server.address) as alice:
        await alice.until(lambda: alice.client.status.reconnections == 1)
        assert alice.tokens.asked[-1][1] is False
    assert len(server.requests) == 2


async def test_a_replaced_connection_stays_away_until_a_person_asks(relay: Make, desk: Make) -> None:
    async def replaced(peer: Any) -> None:
        await peer.greet()
        await peer.socket.close(4409)

    async with relay(replaced, until_parted).running() as server, desk(server.address) as alice:
        await alice.reaches(State.STOPPED)
        alice.client.reconnect_now()
        await alice.reaches(State.CONNECTED)


async def test_a_refused_clock_is_corrected_in_the_next_token(relay: Make, desk: Make) -> None:
    body = {"errorCode": "AUTHENTICATION_FAILED", "serverTime": 5_000_000, "retryAfter": 1000}
    async with relay(until_parted, refusals=[(401, body)]).running() as server, desk(server.address) as alice:
        await alice.reaches(State.CONNECTED)
        (first, fresh1), (second, fresh2) = alice.tokens.asked
        assert (fresh1, fresh2) == (False, True)
        assert first > 1_000_000_000_000
        assert 5_000_000 <= second < 5_060_000


@pytest.mark.parametrize("body", [{}, {"serverTime": "noon", "retryAfter": -1}])
async def test_a_refusal_that_tells_nothing_is_still_a_refusal(relay: Make, desk: Make, body: Any) -> None:
    async with relay(until_parted, refusals=[(503, body)]).running() as server, desk(server.address) as alice:
        status = await alice.reaches(State.WAITING)
        assert status.kind == "CONNECTION_LIMIT_EXCEEDED"


async def test_a_redirect_is_not_followed(relay: Make, desk: Make) -> None:
    async with relay(until_parted).running() as other:
        away = relay(until_parted, refusals=[(307, {"location": other.address})])
        async with away.running() as server, desk(server.address) as alice:
            status = await alice.reaches(State.WAITING)
            assert status.kind == "NOT_A_RELAY"
        assert other.requests == []


async def test_no_proxy_is_used_by_surprise(relay: Make, desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with relay(until_parted).running() as server, desk(server.address) as alice:
        await alice.reaches(State.CONNECTED)


async def test_what_answers_but_is_no_websocket_is_told(desk: Make) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example.org ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with desk(f"ws://127.0.0.1:{port}") as alice:
            status = await alice.reaches(State.WAITING)
            assert "does not speak WebSocket" in status.reason or "came about" in status.reason


async def test_a_bad_element_of_a_frame_is_handed_on_with_the_good_ones(relay: Make, desk: Make) -> None:
    async def script(peer: Any) -> None:
        await peer.greet()
        await peer.socket.send(b"\xc1")
        await peer.part()

    async with relay(script).running() as server, desk(server.address) as alice:
        await alice.until(lambda: len(alice.received) == 2)
        assert isinstance(alice.received[0], Decoded)
        assert isinstance(alice.received[1], WireError)
        assert alice.client.status.state is State.CONNECTED


def test_plain_ws_to_another_machine_is_refused_without_the_opt_in(desk: Make) -> None:

    with pytest.raises(InsecureEndpoint):
        Desk("ws://relay.example.org")


async def test_an_exposed_connection_says_so() -> None:

    assert Desk("ws://relay.example.org", insecure=True).client.status.insecure


async def test_a_client_that_never_ran_can_be_stopped() -> None:

    alice = Desk("ws://127.0.0.1:1")
    await alice.client.stop()
    await alice.client.run()
    assert alice.tokens.asked == []


async def test_a_token_in_flight_is_dropped_when_the_client_stops(relay: Make, desk: Make) -> None:
    asked = asyncio.Event()

    class Slow:
        async def token(self, *, now_ms: int, fresh: bool) -> Any:
            asked.set()
            await asyncio.Event().wait()

        def accepted(self) -> None:
            raise AssertionError

    alice = Desk("ws://127.0.0.1:1")
    alice.client._tokens = Slow()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(alice.client.run())
        await asked.wait()
        await alice.client.stop()


# ------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server context with a self-signed certificate, and the pin of its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay at home")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    file = tmp_path_factory.mktemp("tls") / "relay.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(file))
    return context, hashlib.sha256(spki).hexdigest()


async def test_a_pinned_certificate_is_trusted_by_its_key(relay: Make, desk: Make, self_signed: Any) -> None:
    context, pin = self_signed
    async with (
        relay(until_parted, ssl=context).running() as server,
        desk(server.address, tls_pin=pin) as alice,
    ):
        await alice.reaches(State.CONNECTED)


async def test_another_key_than_the_pinned_one_never_sees_the_token(
    relay: Make, desk: Make, self_signed: Any
) -> None:
    server = relay(until_parted, ssl=self_signed[0])
    async with server.running(), desk(server.address, tls_pin="0" * 64) as alice:
        status = await alice.reaches(State.WAITING)
        assert (status.kind, "not the one that the invite names" in status.reason) == ("TLS", True)
    assert server.requests == []


async def test_a_self_signed_certificate_without_a_pin_is_not_trusted(
    relay: Make, desk: Make, self_signed: Any
) -> None:
    context, _ = self_signed
    async with relay(until_parted, ssl=context).running() as server, desk(server.address) as alice:
        status = await alice.reaches(State.WAITING)
        assert (status.kind, "is not trusted" in status.reason) == ("TLS", True)
    assert server.requests == []
