"""A real relay process and real sockets: what agents see of it."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from tests.processes import RelayProcess
from tests.relay.conftest import JSON, MSGPACK, Net, Person, invite_code

ENCRYPTED = {
    "encryptedData": "A" * 344,
    "nonce": "A" * 32,
    "signature": "A" * 86 + "==",
    "originalType": "QUERY",
    "sessionId": "sess_1",
    "commitment": "A" * 43 + "=",
}


async def test_an_invited_agent_is_connected_and_told_the_relays_figures(net: Net) -> None:
    alice = Person("alice")
    client = await net.dial("alice", token=alice.token(net.url, invite_code(net.relay.invite_link)))
    connected = await client.next()
    assert connected["messageType"] == "CONNECTED"
    assert (connected["senderId"], connected["recipientId"]) == ("system", "alice")
    content = connected["content"]
    assert content["connectionId"].startswith("conn_")
    assert (content["heartbeatInterval"], content["idleTimeout"], content["maxMessageBytes"]) == (
        30000,
        90000,
        65536,
    )
    assert content["tokenExpiresAt"] > content["serverTime"]


async def test_the_invite_link_names_the_relay(relay_process: RelayProcess) -> None:
    query = parse_qs(urlsplit(relay_process.invite_link).query)
    assert query == {"relay": [relay_process.url], "name": ["AgentNet relay"]}
    assert len(invite_code(relay_process.invite_link)) >= 22


@pytest.mark.parametrize("subprotocol", [None, JSON, MSGPACK])
async def test_a_message_reaches_its_recipient_untouched_and_is_acknowledged(
    net: Net, subprotocol: str | None
) -> None:
    alice, bob = (
        await net.join("alice", subprotocol=subprotocol),
        await net.join("bob", subprotocol=subprotocol),
    )
    if subprotocol == MSGPACK:
        sealed = {
            **ENCRYPTED,
            "encryptedData": b"x" * 300,
            "nonce": b"n" * 24,
            "signature": b"s" * 64,
            "commitment": b"c" * 32,
        }
        frame: bytes | str = msgspec.msgpack.encode(alice.envelope("ENCRYPTED", "bob", sealed))
    else:
        frame = json.dumps(alice.envelope("ENCRYPTED", "bob", dict(ENCRYPTED), future="kept"), indent=1)
    await alice.socket.send(frame)
    ack = await alice.next()
    assert await bob.raw() == frame
    assert ack["messageType"] == "ACK"
    assert ack["senderId"] == "system"
    assert ack["content"] == {"messageId": "msg_" + ack["content"]["messageId"][4:], "status": "ROUTED"}


async def test_a_message_is_transcoded_between_the_two_formats(net: Net) -> None:
    alice, bob = await net.join("alice", subprotocol=JSON), await net.join("bob", subprotocol=MSGPACK)
    sent = await alice.send(alice.envelope("ENCRYPTED", "bob", dict(ENCRYPTED)))
    got = await bob.next()
    assert got["content"]["nonce"] == bytes(24)
    back = await bob.send(bob.envelope("ENCRYPTED", "alice", got["content"]))
    assert (await alice.until("ENCRYPTED"))["content"] == sent["content"]
    assert (await bob.until("ACK"))["content"] == {"messageId": back["messageId"], "status": "ROUTED"}


async def test_recipients_are_found_whatever_their_spelling(net: Net) -> None:
    alice, bob = await net.join("Alice"), await net.join("bob")
    await bob.send(bob.envelope("ENCRYPTED", "aLICE", dict(ENCRYPTED)))
    assert (await alice.next())["recipientId"] == "aLICE"


async def test_an_absent_recipient_is_reported_with_the_message(net: Net) -> None:
    alice = await net.join("alice")
    sent = await alice.send(alice.envelope("ENCRYPTED", "nobody", dict(ENCRYPTED)))
    error = (await alice.next())["content"]
    assert error["errorCode"] == "RECIPIENT_NOT_FOUND"
    assert error["details"]["originalMessageId"] == sent["messageId"]
    assert error["recoverable"] is True
    assert error["retryAfter"] > 0


@pytest.mark.parametrize("kind", ["ACK", "ERROR", "HEARTBEAT"])
async def test_answers_are_passed_on_and_never_acknowledged(net: Net, kind: str) -> None:
    alice, bob = await net.join("alice"), await net.join("bob")
    contents: dict[str, dict[str, Any]] = {
        "ACK": {"messageId": "m", "status": "ROUTED"},
        "ERROR": {"errorCode": "X", "message": "x", "recoverable": False, "retryAfter": 0},
        "HEARTBEAT": {"timestamp": 1},
    }
    content = contents[kind]
    await alice.send(alice.envelope(kind, "bob", content))
    assert (await bob.next())["messageType"] == kind
    beat = await alice.send(alice.envelope("HEARTBEAT", "system", {"timestamp": 5}))
    assert (await alice.next())["messageId"] == beat["messageId"]


async def test_another_ones_name_is_refused_and_the_second_time_ends_the_connection(net: Net) -> None:
    alice, bob = await net.join("alice"), await net.join("bob")
    await alice.send(alice.envelope("ENCRYPTED", "bob", dict(ENCRYPTED), senderId="carol"))
    assert (await alice.next())["content"]["errorCode"] == "SENDER_MISMATCH"
    await alice.settled()
    await alice.send(alice.envelope("ENCRYPTED", "bob", dict(ENCRYPTED), senderId="carol"))
    assert (await alice.next())["content"]["errorCode"] == "SENDER_MISMATCH"
    assert (await alice.closed())[0] == 4400
    await bob.settled()


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda e: "{", "frame"),
        (lambda e: {k: v for k, v in e.items() if k != "timestamp"}, "timestamp"),
        (lambda e: {**e, "recipientId": 5}, "recipientId"),
        (lambda e: {**e, "messageType": "GOSSIP"}, "messageType"),
        (lambda e: {**e, "content": {**ENCRYPTED, "nonce": "QS=="}}, "content.nonce"),
    ],
)
async def test_what_does_not_fit_the_protocol_is_refused_by_name_and_harms_nothing(
    net: Net, spoil: Callable[[dict[str, object]], object], field: str
) -> None:
    alice = await net.join("alice")
    spoilt = spoil(alice.envelope("ENCRYPTED", "bob", dict(ENCRYPTED)))
    await alice.socket.send(spoilt if isinstance(spoilt, str) else json.dumps(spoilt))
    error = (await alice.next())["content"]
    assert error["errorCode"] == "INVALID_MESSAGE_FORMAT"
    assert error["details"]["field"] == field or field == "frame"
    await alice.settled()


async def test_a_message_over_the_limit_is_refused_and_a_frame_over_twice_that_ends_the_connection(
    net: Net,
) -> None:
    alice = await net.join("alice")
    await alice.send(alice.envelope("ENCRYPTED", "bob", {**ENCRYPTED, "encryptedData": "A" * 70_000}))
    error = (await alice.next())["content"]
    assert (error["errorCode"], error["details"]["limit"]) == ("INVALID_MESSAGE_FORMAT", 65536)
    await alice.socket.send("x" * 131_073)
    assert (await alice.closed())[0] == 1009


async def test_a_heartbeat_is_echoed(net: Net) -> None:
    alice = await net.join("alice")
    beat = await alice.send(
        alice.envelope("HEARTBEAT", "system", {"timestamp": 1234}, conversationId="system")
    )
    echo = await alice.next()
    assert (echo["messageType"], echo["messageId"], echo["content"]) == (
        "HEARTBEAT",
        beat["messageId"],
        {"timestamp": 1234},
    )
    assert (echo["senderId"], echo["recipientId"]) == ("system", "alice")


async def test_disconnect_is_acknowledged_and_closed_in_order(net: Net) -> None:
    alice = await net.join("alice")
    leave = await alice.send(alice.envelope("DISCONNECT", "system"))
    ack = await alice.next()
    assert ack["content"] == {"messageId": leave["messageId"], "status": "CLOSED"}
    assert (await alice.closed())[0] == 1000


async def test_each_element_of_a_batch_succeeds_or_fails_alone_and_in_order(net: Net) -> None:
    alice, bob = await net.join("alice"), await net.join("bob")
    good = [alice.envelope("ENCRYPTED", "bob", dict(ENCRYPTED)) for _ in range(3)]
    await alice.send(
        [
            good[0],
            {"messageId": "bad"},
            good[1],
            alice.envelope("ENCRYPTED", "nobody", dict(ENCRYPTED)),
            good[2],
        ]
    )
    said = [(await alice.next())["content"] for _ in range(5)]
    assert [c.get("status") or c["errorCode"] for c in said] == [
        "ROUTED",
        "INVALID_MESSAGE_FORMAT",
        "ROUTED",
        "RECIPIENT_NOT_FOUND",
        "ROUTED",
    ]
    assert [(await bob.next())["messageId"] for _ in range(3)] == [g["messageId"] for g in good]


async def test_the_newest_connection_of_an_agent_wins(net: Net) -> None:
    first = await net.join("alice")
    second = await net.join("alice")
    assert (await first.closed())[0] == 4409
    bob = await net.join("bob")
    await bob.send(bob.envelope("ENCRYPTED", "alice", dict(ENCRYPTED)))
    assert (await second.next())["messageType"] == "ENCRYPTED"


async def test_presence_is_told_to_those_who_watch_each_other_and_to_no_one_else(net: Net) -> None:
    alice, bob, carol = [await net.join(name) for name in ("alice", "bob", "carol")]
    await alice.send(alice.envelope("PRESENCE", "system", {"watch": ["bob", "carol"]}))
    await alice.settled()
    await carol.send(carol.envelope("PRESENCE", "system", {"watch": []}))
    await bob.send(bob.envelope("PRESENCE", "system", {"watch": ["ALICE"]}))
    assert (await bob.next())["content"] == {"agentId": "alice", "status": "ONLINE"}
    assert (await alice.next())["content"] == {"agentId": "bob", "status": "ONLINE"}
    await bob.socket.close()
    assert (await alice.next())["content"] == {"agentId": "bob", "status": "OFFLINE"}
    await carol.socket.close()
    await alice.settled()


async def test_strangers_can_only_knock_at_an_agent_that_watches_others(net: Net) -> None:
    alice, mallory = await net.join("alice"), await net.join("mallory")
    await alice.send(alice.envelope("PRESENCE", "system", {"watch": ["bob"]}))
    await alice.settled()
    await mallory.send(mallory.envelope("ENCRYPTED", "alice", dict(ENCRYPTED)))
    unwilling = (await mallory.next())["content"]
    await mallory.send(mallory.envelope("ENCRYPTED", "nobody", dict(ENCRYPTED)))
    unknown = (await mallory.next())["content"]
    for one in (unwilling, unknown):
        del one["details"]["originalMessageId"]
    assert unwilling == unknown
    handshake = {
        "agentId": "mallory",
        "publicKey": "A" * 43 + "=",
        "identityKey": "A" * 43 + "=",
        "sessionId": "sess_1",
        "suite": ["X"],
        "signature": "A" * 86 + "==",
    }
    await mallory.send(mallory.envelope("HANDSHAKE", "alice", handshake))
    assert (await alice.next())["messageType"] == "HANDSHAKE"


async def test_a_client_that_cannot_set_headers_authenticates_with_its_first_message(net: Net) -> None:
    person = net.person("alice")
    client = await net.dial("alice", subprotocol=MSGPACK)
    await client.send(client.envelope("AUTH", "system", {"token": person.token(net.url), "agentId": "alice"}))
    await client.send(client.envelope("HEARTBEAT", "system", {"timestamp": 1}))
    assert [(await client.next())["messageType"] for _ in range(2)] == ["CONNECTED", "HEARTBEAT"]


async def test_anything_else_as_first_message_is_refused(net: Net) -> None:
    client = await net.dial("alice")
    await client.send(client.envelope("HEARTBEAT", "system", {"timestamp": 1}))
    assert (await client.next())["content"]["errorCode"] == "AUTHENTICATION_FAILED"
    assert (await client.closed())[0] == 4401


async def test_auth_renews_the_token_of_a_live_connection(net: Net) -> None:
    alice = await net.join("alice")
    token = net.person("alice").token(net.url, exp=alice.connected["content"]["tokenExpiresAt"] // 1000 - 100)
    await alice.send(alice.envelope("AUTH", "system", {"token": token, "agentId": "alice"}))
    again = await alice.next()
    assert again["content"]["connectionId"] == alice.connected["content"]["connectionId"]
    assert (
        again["content"]["tokenExpiresAt"]
        == alice.connected["content"]["tokenExpiresAt"] // 1000 * 1000 - 100_000
    )


async def test_a_renewal_as_someone_else_ends_the_connection(net: Net) -> None:
    alice = await net.join("alice")
    token = net.person("bob").token(net.url)
    await alice.send(alice.envelope("AUTH", "system", {"token": token, "agentId": "bob"}))
    assert (await alice.next())["content"]["errorCode"] in ("AUTHENTICATION_FAILED", "SENDER_MISMATCH")
    assert (await alice.closed())[0] == 4401


async def test_a_revoked_agent_is_disconnected_at_once_and_stays_out(
    net: Net, relay_cli: Callable[..., str]
) -> None:
    alice, bob = await net.join("alice"), await net.join("bob")
    relay_cli("agents", "revoke", "ALICE", "--data-dir", str(net.relay.data_dir))
    assert (await alice.closed())[0] == 4401
    with pytest.raises(InvalidStatus) as refused:
        await net.join("alice")
    assert refused.value.response.status_code == 401
    await bob.settled()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_signal_tells_clients_closes_them_and_ends_in_order(net: Net, number: int) -> None:
    alice = await net.join("alice")
    assert net.relay.process is not None
    net.relay.process.send_signal(number)
    assert (await alice.next())["content"]["errorCode"] == "CONNECTION_ERROR"
    assert (await alice.closed())[0] == 1001
    assert net.relay.process.wait(10) == 0
    net.relay.process = None


async def test_agents_and_invites_outlive_a_crash_of_the_relay(net: Net) -> None:
    alice = await net.join("alice")
    net.relay.kill()
    await alice.closed()
    net.relay.start()
    assert net.relay.lines is not None
    assert not [line for line in net.relay.lines.seen if line.startswith("agentnet://")]
    again = await net.join("alice")
    await again.settled()


async def test_a_token_used_before_a_crash_is_not_taken_after_it(net: Net) -> None:
    token = net.person("alice").token(net.url)
    client = await net.dial("alice", token=token)
    await client.next()
    net.relay.restart()
    with pytest.raises(InvalidStatus):
        await net.dial("alice", token=token)


async def test_two_relays_cannot_share_a_port(net: Net) -> None:
    second = RelayProcess(net.relay.data_dir.parent / "second", port=net.relay.port)
    with pytest.raises(
        RuntimeError, match=r"Cannot listen on 127\.0\.0\.1 port \d+: Address already in use\.$"
    ):
        second.start()


async def test_a_text_frame_in_msgpack_is_a_protocol_violation(net: Net) -> None:
    alice = await net.join("alice", subprotocol=MSGPACK)
    await alice.socket.send("{}")
    assert (await alice.closed())[0] == 4400


async def test_the_log_has_no_token_and_no_content(net: Net) -> None:
    alice = await net.join("alice")
    await alice.send(alice.envelope("ENCRYPTED", "nobody", dict(ENCRYPTED)))
    await alice.settled()
    files = b"".join(path.read_bytes() for path in net.relay.data_dir.iterdir())
    assert b"eyJ" not in files
    assert not re.search(rb"A{100}", files)
