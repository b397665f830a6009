"""Attacks on the relay's authentication and its sockets, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from websockets.exceptions import InvalidHandshake, InvalidStatus

from relay.auth.ed25519 import is_sound_point, is_sound_signature
from relay.upgrade import ENDPOINT
from tests.relay.conftest import Net, Person, b64url, invite_code

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493


def part(value: Any) -> str:
    return b64url(json.dumps(value).encode())


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand."""
    return f"{part(header)}.{part(claims)}.{b64url(signature)}"


def claims_of(person: Person, url: str, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(person.token(url, **changed), options={"verify_signature": False})
    return found


def small_order_forgery(person: Person, url: str, invite: str) -> str:
    """A token under the neutral element as key: R neutral and S zero verify for every message in OpenSSL."""
    neutral = (1).to_bytes(32, "little")
    claims = claims_of(person, url, invite=invite)
    claims["cnf"] = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64url(neutral)}}
    return forged({"alg": "EdDSA", "typ": "JWT"}, claims, neutral + bytes(32))


def with_s_beyond_the_order(token: str) -> str:
    """The same signature with the group's order added to S."""
    head, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = int.from_bytes(raw[32:], "little") + ORDER
    return f"{head}.{b64url(raw[:32] + s.to_bytes(32, 'little'))}"


Attack = Callable[[Person, Net, str], str]
NOW = time.time

ATTACKS: dict[str, Attack] = {
    "nothing": lambda p, n, i: "",
    "no token": lambda p, n, i: "a.b.c",
    "alg none": lambda p, n, i: forged({"alg": "none"}, claims_of(p, n.url, invite=i)),
    "HS256 with the public key": lambda p, n, i: jwt.encode(
        claims_of(p, n.url, invite=i), p.public, algorithm="HS256"
    ),
    "RS256": lambda p, n, i: jwt.encode(
        claims_of(p, n.url, invite=i), generate_private_key(65537, 2048), algorithm="RS256"
    ),
    "another's signature": lambda p, n, i: jwt.encode(
        claims_of(p, n.url, invite=i), Ed25519PrivateKey.generate(), algorithm="EdDSA"
    ),
    "expired": lambda p, n, i: p.token(n.url, i, iat=int(NOW()) - 3000, exp=int(NOW()) - 61),
    "not valid yet": lambda p, n, i: p.token(n.url, i, nbf=int(NOW()) + 120),
    "from the future": lambda p, n, i: p.token(n.url, i, iat=int(NOW()) + 120),
    "longer than an hour": lambda p, n, i: p.token(n.url, i, exp=int(NOW()) + 3700),
    "no exp": lambda p, n, i: p.token(n.url, i, exp=None),
    "exp of another type": lambda p, n, i: forged(
        {"alg": "EdDSA"}, {**claims_of(p, n.url, invite=i), "exp": True}
    ),
    "wrong aud": lambda p, n, i: p.token("wss://elsewhere.example:443", i),
    "no aud": lambda p, n, i: p.token(n.url, i, aud=None),
    "no cnf": lambda p, n, i: p.token(n.url, i, cnf=None),
    "no jti": lambda p, n, i: p.token(n.url, i, jti=None),
    "no invite": lambda p, n, i: p.token(n.url),
    "invented invite": lambda p, n, i: p.token(n.url, "A" * 27),
    "another subject": lambda p, n, i: p.token(n.url, i, sub="somebody"),
    "a reserved subject": lambda p, n, i: p.token(n.url, i, sub="system"),
    "crit": lambda p, n, i: jwt.encode(
        claims_of(p, n.url, invite=i), p.key, algorithm="EdDSA", headers={"crit": ["x"], "x": 1}
    ),
    "a key of small order": lambda p, n, i: small_order_forgery(p, n.url, i),
    "S beyond the order": lambda p, n, i: with_s_beyond_the_order(p.token(n.url, i)),
    "far too long": lambda p, n, i: p.token(n.url, i, padding="x" * 9000),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_token_that_proves_nothing_is_refused_and_spends_no_invite(net: Net, attack: str) -> None:
    person, invite = Person("newcomer"), invite_code(net.relay.invite_link)
    with pytest.raises((InvalidStatus, InvalidHandshake)) as refused:
        await net.dial("newcomer", token=ATTACKS[attack](person, net, invite))
    if isinstance(refused.value, InvalidStatus):
        response = refused.value.response
        if attack == "far too long":
            assert response.status_code in (401, 431)
            return
        assert response.status_code == 401
        body = json.loads(response.body or b"")
        assert abs(body.pop("serverTime") - NOW() * 1000) < 60_000
        assert body == {
            "errorCode": "AUTHENTICATION_FAILED",
            "message": "The token was not accepted.",
            "details": {},
            "recoverable": True,
            "retryAfter": 1000,
        }
    good = await net.dial("newcomer", token=person.token(net.url, invite))
    assert (await good.next())["messageType"] == "CONNECTED"


async def test_someone_elses_agent_id_is_refused_though_the_token_is_good(net: Net) -> None:
    net.person("alice")
    mallory = net.person("mallory")
    for token in (mallory.token(net.url), mallory.token(net.url, sub="alice")):
        with pytest.raises(InvalidStatus):
            await net.dial("alice", token=token)


async def test_a_registered_agents_cnf_and_invite_are_ignored(net: Net) -> None:
    net.person("alice")
    thief = Person("alice")
    with pytest.raises(InvalidStatus):
        await net.dial("alice", token=thief.token(net.url, invite_code(net.relay.invite_link)))
    newcomer = await net.dial("bob", token=Person("bob").token(net.url, invite_code(net.relay.invite_link)))
    assert (await newcomer.next())["messageType"] == "CONNECTED"


async def test_a_token_is_taken_once(net: Net) -> None:
    token = net.person("alice").token(net.url)
    first = await net.dial("alice", token=token)
    await first.next()
    with pytest.raises(InvalidStatus):
        await net.dial("alice", token=token)
    await first.settled()


async def test_an_invite_is_redeemed_once_and_again_only_by_the_same_key(net: Net) -> None:
    invite = invite_code(net.relay.invite_link)
    alice = Person("alice")
    first = await net.dial("alice", token=alice.token(net.url, invite))
    await first.next()
    again = await net.dial("alice", token=alice.token(net.url, invite))  # as after a lost CONNECTED
    await again.next()
    with pytest.raises(InvalidStatus):
        await net.dial("bob", token=Person("bob").token(net.url, invite))


async def test_one_invite_lets_in_one_of_many_who_come_at_once(net: Net) -> None:
    invite = invite_code(net.relay.invite_link)

    async def come(number: int) -> bool:
        person = Person(f"guest-{number}")
        try:
            await net.dial(person.agent_id, token=person.token(net.url, invite))
        except InvalidStatus:
            return False
        return True

    assert sum(await asyncio.gather(*(come(number) for number in range(12)))) == 1


async def test_an_invite_for_one_agent_lets_in_no_other(net: Net) -> None:
    invite = invite_code(net.relay.invite("--agent-id", "Carol"))
    with pytest.raises(InvalidStatus):
        await net.dial("mallory", token=Person("mallory").token(net.url, invite))
    carol = await net.dial("carol", token=Person("carol").token(net.url, invite))
    assert (await carol.next())["messageType"] == "CONNECTED"


def test_every_point_of_small_order_and_every_second_encoding_is_refused() -> None:
    eight = [0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826]
    small = [0, 1, P - 1, *eight, P - eight[0]]
    for y in [*small, *(P + y for y in (0, 1, 5, 18))]:
        for sign in (0, 1 << 255):
            assert not is_sound_point((y | sign).to_bytes(32, "little"))
    key = Ed25519PrivateKey.generate()
    assert is_sound_point(key.public_key().public_bytes_raw())
    signature = key.sign(b"x")
    assert is_sound_signature(signature)
    assert not is_sound_signature(signature[:32] + ORDER.to_bytes(32, "little"))
    assert not is_sound_signature((1).to_bytes(32, "little") + signature[32:])
    assert not is_sound_signature(signature[:63])


async def test_refusals_read_alike_and_none_is_told_before_its_time_whatever_was_wrong(
    start_net: Callable[..., Net],
) -> None:
    delay = 0.2  # long beside what any of the checks takes; the bench compares the times themselves
    net = start_net("--refusal-delay", str(delay))
    net.person("alice")
    thief = Person("alice")
    tokens = {
        "garbage": "a.b.c",
        "wrong key": thief.token(net.url),
        "unknown agent": Person("stranger").token(net.url, "A" * 27),
    }
    texts: set[str] = set()
    for name, token in tokens.items():
        started = time.perf_counter()
        with pytest.raises(InvalidStatus) as refused:
            await net.dial("stranger" if name == "unknown agent" else "alice", token=token)
        assert time.perf_counter() - started >= delay
        body = json.loads(refused.value.response.body or b"")
        del body["serverTime"]
        texts.add(json.dumps([refused.value.response.status_code, body]))
    assert len(texts) == 1


async def test_many_refused_tokens_from_one_address_are_slowed_down(start_net: Callable[..., Net]) -> None:
    net = start_net("--limits-address-failures-burst", "3", "--refusal-delay", "0")
    for _ in range(3):
        with pytest.raises(InvalidStatus) as refused:
            await net.dial("alice", token="a.b.c")
        assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        await net.dial("alice", token="a.b.c")
    response = refused.value.response
    assert response.status_code == 429
    assert json.loads(response.body or b"")["errorCode"] == "RATE_LIMIT_EXCEEDED"
    assert int(response.headers["Retry-After"]) >= 1


# --- sockets --------------------------------------------------------------------------------------------


class Raw:
    """A bare TCP connection to the relay."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ended(self) -> bytes:
        """What came until the relay ended the connection."""
        async with asyncio.timeout(15):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@pytest.fixture
async def raw() -> AsyncIterator[Callable[[Net], Any]]:
    opened: list[asyncio.StreamWriter] = []

    async def connect(net: Net) -> Raw:
        reader, writer = await asyncio.open_connection("127.0.0.1", net.relay.port)
        opened.append(writer)
        return Raw(reader, writer)

    yield connect
    for writer in opened:
        writer.transport.abort()


UPGRADE = (
    f"GET {ENDPOINT} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


async def test_who_does_not_finish_the_request_in_time_is_cut_off(
    start_net: Callable[..., Net], raw: Callable[[Net], Any]
) -> None:
    net = start_net("--authentication-timeout", "0.5")
    slow = await raw(net)
    slow.writer.write(UPGRADE[:20])
    assert await slow.ended() == b""


async def test_who_sends_no_auth_in_time_is_closed_with_4408(start_net: Callable[..., Net]) -> None:
    net = start_net("--authentication-timeout", "0.5")
    client = await net.dial()
    assert (await client.closed())[0] == 4408


async def test_silence_is_closed_with_4408(start_net: Callable[..., Net]) -> None:
    net = start_net("--heartbeat-interval", "0.2", "--idle-timeout", "0.6")
    alice = await net.join("alice")
    assert alice.connected["content"]["idleTimeout"] == 600
    assert (await alice.closed())[0] == 4408


async def test_an_expired_token_ends_the_connection_after_its_grace(start_net: Callable[..., Net]) -> None:
    net = start_net("--expiry-grace", "1")
    token = net.person("alice").token(net.url, exp=int(NOW()) + 1)
    alice = await net.dial("alice", token=token)
    assert (await alice.next())["messageType"] == "CONNECTED"
    assert (await alice.next())["content"]["errorCode"] == "AUTHENTICATION_FAILED"
    assert (await alice.closed())[0] == 4401


async def test_one_byte_at_a_time_is_understood(net: Net, raw: Callable[[Net], Any]) -> None:
    slow = await raw(net)
    for byte in UPGRADE:
        slow.writer.write(bytes((byte,)))
        await slow.writer.drain()
    assert (await slow.reader.readline()).startswith(b"HTTP/1.1 101")


async def test_half_open_sockets_are_capped_and_others_are_served(
    start_net: Callable[..., Net], raw: Callable[[Net], Any]
) -> None:
    net = start_net("--limits-address-unauthenticated", "5")
    alice = await net.join("alice")
    idle = [await raw(net) for _ in range(40)]
    crowded = await raw(net)
    crowded.writer.write(UPGRADE)
    assert (await crowded.ended())[:12] in (b"HTTP/1.1 503", b"")
    await alice.settled()
    for one in idle:
        one.writer.transport.abort()
    await alice.settled()


async def test_a_crowded_relay_refuses_with_503_and_a_reason(start_net: Callable[..., Net]) -> None:
    net = start_net("--limits-connections", "1")
    alice = await net.join("alice")
    with pytest.raises(InvalidStatus) as refused:
        await net.join("bob")
    assert refused.value.response.status_code == 503
    assert json.loads(refused.value.response.body or b"")["errorCode"] == "CONNECTION_LIMIT_EXCEEDED"
    await alice.settled()


async def test_too_many_messages_are_refused_with_a_delay_and_then_closed(
    start_net: Callable[..., Net],
) -> None:
    net = start_net(
        "--limits-agent-messages-per-second",
        "0.1",
        "--limits-agent-messages-burst",
        "3",
        "--limits-refusals-before-close",
        "5",
    )
    alice = await net.join("alice")
    for number in range(12):
        with contextlib.suppress(Exception):
            await alice.send(alice.envelope("HEARTBEAT", "system", {"timestamp": number}))
    said = [await alice.next() for _ in range(9)]
    assert [one["messageType"] for one in said] == ["HEARTBEAT"] * 3 + ["ERROR"] * 6
    assert said[-1]["content"]["errorCode"] == "RATE_LIMIT_EXCEEDED"
    assert said[-1]["content"]["retryAfter"] >= 1000
    assert (await alice.closed())[0] == 4429


async def test_a_ping_flood_is_closed(start_net: Callable[..., Net]) -> None:
    net = start_net("--limits-agent-messages-burst", "50", "--limits-refusals-before-close", "20")
    alice = await net.join("alice")
    with contextlib.suppress(Exception):
        for _ in range(2000):
            await alice.socket.ping()
    assert (await alice.closed())[0] == 4429


async def test_handshakes_to_strangers_are_few(start_net: Callable[..., Net]) -> None:
    net = start_net("--limits-handshakes-burst", "2", "--limits-handshakes-per-minute", "1")
    alice = await net.join("alice")
    handshake = {
        "agentId": "alice",
        "publicKey": "A" * 43 + "=",
        "identityKey": "A" * 43 + "=",
        "sessionId": "sess_1",
        "suite": ["X"],
        "signature": "A" * 86 + "==",
    }
    for _ in range(3):
        await alice.send(alice.envelope("HANDSHAKE", "nobody", handshake))
    codes = [(await alice.next())["content"]["errorCode"] for _ in range(3)]
    assert codes == ["RECIPIENT_NOT_FOUND", "RECIPIENT_NOT_FOUND", "RATE_LIMIT_EXCEEDED"]


async def test_a_reader_that_never_reads_is_closed_and_its_sender_is_told(
    start_net: Callable[..., Net],
) -> None:
    net = start_net(
        "--limits-queue-bytes",
        "100000",
        "--limits-queue-seconds",
        "1",
        "--limits-agent-messages-burst",
        "100000",
        "--limits-agent-bytes-burst",
        "1000000000",
    )
    alice, bob, carol = [await net.join(name) for name in ("alice", "bob", "carol")]
    await bob.send(bob.envelope("PRESENCE", "system", {"watch": ["alice"]}))
    await bob.settled()
    await alice.send(alice.envelope("PRESENCE", "system", {"watch": ["bob"]}))
    assert (await alice.until("PRESENCE"))["content"] == {"agentId": "bob", "status": "ONLINE"}
    bob.socket.transport.pause_reading()
    sealed = {
        "encryptedData": "A" * 40_000,
        "nonce": "A" * 32,
        "signature": "A" * 86 + "==",
        "originalType": "QUERY",
        "sessionId": "sess_1",
        "commitment": "A" * 43 + "=",
    }
    told: dict[str, Any] = {"status": "ROUTED"}
    sent: dict[str, Any] = {}
    while told.get("status") == "ROUTED":  # until the sockets' buffers and the queue are full
        sent = await alice.send(alice.envelope("ENCRYPTED", "bob", sealed))
        told = (await alice.next())["content"]
    assert (told["errorCode"], told["recoverable"]) == ("MESSAGE_ERROR", True)
    assert told["details"]["originalMessageId"] == sent["messageId"]
    assert told["retryAfter"] > 0
    await carol.settled()
    # Bob is closed once he has been too slow for a second: who watches him sees him leave.
    assert (await alice.until("PRESENCE"))["content"] == {"agentId": "bob", "status": "OFFLINE"}
    await carol.settled()
    await alice.send(alice.envelope("ENCRYPTED", "bob", {**sealed, "encryptedData": "A" * 40}))
    assert (await alice.until("ERROR"))["content"]["errorCode"] == "RECIPIENT_NOT_FOUND"
    bob.socket.transport.abort()


async def test_deep_json_huge_numbers_and_bad_text_are_refused_and_harm_nothing(net: Net) -> None:
    alice = await net.join("alice")
    for frame in ("[" * 60_000, '{"a":' * 10_000, "1" * 60_000, '{"timestamp":1e999}', '"\\ud800"'):
        await alice.socket.send(frame)
        assert (await alice.next())["content"]["errorCode"] == "INVALID_MESSAGE_FORMAT"
    await alice.settled()
    await alice.socket.send(b"\xff\xfe", text=True)
    assert (await alice.closed())[0] == 1007


async def test_a_message_of_many_fragments_stops_at_the_frame_limit(
    net: Net,
) -> None:
    bob = await net.join("bob")
    alice = await net.join("alice")
    stream = alice.socket.transport
    stream.write(b"\x01\x80" + bytes(4))  # the first of a text message, empty; masked with zeros
    with contextlib.suppress(Exception):
        for _ in range(40):
            stream.write(b"\x00\xfe\x10\x00" + bytes(4) + b" " * 4096)
            await bob.settled()
    assert (await alice.closed())[0] == 1009
    await bob.settled()


async def test_endless_empty_fragments_are_a_flood_and_hold_up_nobody(start_net: Callable[..., Net]) -> None:
    net = start_net("--limits-agent-messages-burst", "50", "--limits-refusals-before-close", "20")
    alice, bob = await net.join("alice"), await net.join("bob")
    alice.socket.transport.write(b"\x01\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 1000)
    await bob.settled()
    assert (await alice.closed())[0] == 4429
    await bob.settled()


async def test_a_compression_bomb_stops_at_the_frame_limit(
    start_net: Callable[..., Net], tmp_path: Path
) -> None:
    net = start_net("--compression")
    person = net.person("alice")
    from websockets.asyncio.client import connect

    headers = {"Authorization": f"Bearer {person.token(net.url)}", "X-Agent-Id": "alice"}
    async with connect(
        net.url + ENDPOINT, additional_headers=headers, compression="deflate", proxy=None
    ) as socket:
        assert "permessage-deflate" in (
            socket.response.headers["Sec-WebSocket-Extensions"] if socket.response else ""
        )
        await socket.recv()
        await socket.send("x" * 50_000_000)
        async with asyncio.timeout(10):
            await socket.wait_closed()
        assert socket.close_code == 1009


async def test_compression_is_not_offered_unless_asked(net: Net) -> None:
    person = net.person("alice")
    from websockets.asyncio.client import connect

    headers = {"Authorization": f"Bearer {person.token(net.url)}", "X-Agent-Id": "alice"}
    async with connect(
        net.url + ENDPOINT, additional_headers=headers, compression="deflate", proxy=None
    ) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_who_floods_on_after_a_close_is_heard_no_more_and_cut_off(
    start_net: Callable[..., Net],
) -> None:
    net = start_net("--limits-agent-messages-burst", "10", "--limits-refusals-before-close", "5")
    alice, bob = await net.join("alice"), await net.join("bob")
    alice.socket.transport.write((b"\x89\x80" + bytes(4)) * 200_000)
    assert (await alice.closed())[0] in (
        4429,
        1006,
    )  # its own unsent pings may keep it from reading the close
    await bob.settled()
