"""Modes `firebase` and `oidc`: real RS256 keys behind a real HTTP server, rollover and an outage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from websockets.exceptions import InvalidStatus

from relay.auth.keys import KeySet, Unreachable, discover, fetch_json
from relay.auth.tokens import Refused
from tests.issuer import PROJECT, Issuer, firebase_claims
from tests.relay.conftest import Net, Person, invite_code

A_DAY = 86_400


@pytest.fixture
def oidc(start_net: Callable[..., Net], issuer: Issuer) -> Net:
    return start_net("--auth", "local,oidc", "--oidc-issuer", issuer.url, "--oidc-audience", "agentnet")


@pytest.fixture
def firebase(start_net: Callable[..., Net], issuer: Issuer) -> Net:
    return start_net(
        "--auth", "firebase", "--firebase-project", PROJECT, "--firebase-keys-url", issuer.url + "/keys"
    )


async def enter(net: Net, agent_id: str, token: str, invite: str | None = None) -> dict[str, Any]:
    client = await net.dial(agent_id, token=token, headers={"X-Agent-Invite": invite} if invite else None)
    connected = await client.next()
    assert connected["messageType"] == "CONNECTED"
    found: dict[str, Any] = connected["content"]
    return found


async def test_an_account_claims_an_agent_id_with_an_invite_and_keeps_it(oidc: Net, issuer: Issuer) -> None:
    invite = invite_code(oidc.relay.invite_link)
    with pytest.raises(InvalidStatus):
        await enter(oidc, "alice", issuer.token())
    assert (await enter(oidc, "alice", issuer.token(), invite))["agentId"] == "alice"
    await enter(oidc, "alice", issuer.token())
    with pytest.raises(InvalidStatus):
        await enter(oidc, "alice", issuer.token(sub="user-2"), invite)
    with pytest.raises(InvalidStatus):
        await enter(oidc, "other", issuer.token())


async def test_an_invite_may_come_in_auth_too(oidc: Net, issuer: Issuer) -> None:
    client = await oidc.dial("alice")
    content = {"token": issuer.token(), "agentId": "alice", "invite": invite_code(oidc.relay.invite_link)}
    await client.send(client.envelope("AUTH", "system", content))
    assert (await client.next())["messageType"] == "CONNECTED"


async def test_a_claim_of_the_token_names_the_agent(oidc: Net, issuer: Issuer) -> None:
    assert (await enter(oidc, "", issuer.token(agentId="carol")))["agentId"] == "carol"
    with pytest.raises(InvalidStatus):
        await enter(oidc, "dave", issuer.token(agentId="carol"))


async def test_modes_work_side_by_side_and_do_not_mix(oidc: Net, issuer: Issuer) -> None:
    await oidc.join("alice")
    with pytest.raises(InvalidStatus):
        await enter(oidc, "alice", issuer.token(agentId="alice"))
    await enter(oidc, "carol", issuer.token(agentId="carol"))
    with pytest.raises(InvalidStatus):
        await enter(oidc, "carol", Person("carol").token(oidc.url))


async def test_a_new_key_is_found_and_an_outage_is_borne(oidc: Net, issuer: Issuer) -> None:
    await enter(oidc, "carol", issuer.token(agentId="carol"))
    issuer.is_down = True
    await enter(oidc, "carol", issuer.token(agentId="carol"))
    assert issuer.fetched == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": ["agentnet", "other"]},
        {"iss": "https://elsewhere.example"},
        {"sub": ""},
        {"exp": 1},
        {"iat": int(time.time()) + A_DAY},  # collected long before it runs
        {"nbf": int(time.time()) + A_DAY},
    ],
)
async def test_an_id_token_that_is_not_for_us_is_refused(
    oidc: Net, issuer: Issuer, claims: dict[str, Any]
) -> None:
    with pytest.raises(InvalidStatus):
        await enter(oidc, "carol", issuer.token(**{"agentId": "carol", **claims}))


async def test_no_key_is_fetched_for_a_token_of_another_algorithm(
    oidc: Net, start_net: Callable[..., Net], issuer: Issuer
) -> None:
    google = start_net(
        "--auth", "firebase", "--firebase-project", PROJECT, "--firebase-keys-url", issuer.url + "/keys"
    )
    now = int(time.time())
    theirs = {"iss": issuer.url, "aud": "agentnet", "sub": "user-1", "iat": now, "exp": now + 60}
    for net, claims in ((oidc, theirs), (google, firebase_claims(iat=now, exp=now + 60))):
        token = jwt.encode(claims, "", algorithm="none", headers={"kid": "one"})
        with pytest.raises(InvalidStatus):
            await enter(net, "alice", token, invite_code(net.relay.invite_link))
    assert issuer.fetched == 0


async def test_foreign_keys_and_weaker_algorithms_are_refused(oidc: Net, issuer: Issuer) -> None:
    claims = jwt.decode(issuer.token(agentId="carol"), options={"verify_signature": False})
    public = json.dumps(issuer.public("one")) * 2
    for token in (
        jwt.encode(claims, generate_private_key(65537, 2048), algorithm="RS256", headers={"kid": "one"}),
        jwt.encode(claims, issuer.keys["one"], algorithm="RS256", headers={"kid": "foreign"}),
        jwt.encode(claims, issuer.keys["one"], algorithm="RS512", headers={"kid": "one"}),
        jwt.encode(claims, public, algorithm="HS256", headers={"kid": "one"}),
        jwt.encode(claims, "", algorithm="none", headers={"kid": "one"}),
    ):
        with pytest.raises(InvalidStatus):
            await enter(oidc, "carol", token)
    await enter(oidc, "carol", issuer.token(agentId="carol"))


async def test_firebase_users_are_let_in_by_invite(firebase: Net, issuer: Issuer) -> None:
    invite = invite_code(firebase.relay.invite_link)
    await enter(firebase, "alice", issuer.token(**firebase_claims()), invite)
    await enter(firebase, "alice", issuer.token(**firebase_claims()))
    with pytest.raises(InvalidStatus):
        await enter(firebase, "alice", issuer.token(**firebase_claims(sub="uid-2")))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other-project"},
        {"iss": "https://securetoken.google.com/other-project"},
        {"sub": ""},
        {"auth_time": int(time.time()) + A_DAY},
        {"auth_time": None},
    ],
)
async def test_firebase_tokens_that_are_not_for_us_are_refused(
    firebase: Net, issuer: Issuer, claims: dict[str, Any]
) -> None:
    with pytest.raises(InvalidStatus):
        await enter(firebase, "alice", issuer.token(**firebase_claims(agentId="alice", **claims)))


def unsigned() -> str:
    now = int(time.time())
    claims = firebase_claims(iat=now, exp=now + 3600, agentId="alice")
    return jwt.encode(claims, "", algorithm="none")


async def test_unsigned_emulator_tokens_need_the_flag(firebase: Net, start_net: Callable[..., Net]) -> None:
    with pytest.raises(InvalidStatus):
        await enter(firebase, "alice", unsigned())
    emulated = start_net("--auth", "firebase", "--firebase-project", PROJECT, "--firebase-emulator")
    await enter(emulated, "alice", unsigned())


# --- the key cache, with the time in hand ---------------------------------------------------------------


def test_an_unknown_key_is_looked_for_once_a_minute_and_a_new_one_is_found(issuer: Issuer) -> None:
    keys = discover(issuer.url, fetch_json)
    keys.key("one", 1_000_000)
    issuer.roll("two")
    for kid in ("two", "forged"):
        with pytest.raises(Refused):
            keys.key(kid, 1_059_999)
    keys.key("two", 1_060_000)
    assert issuer.fetched == 2
    with pytest.raises(Refused):
        keys.key("one", 1_060_001)


def test_keys_are_fetched_again_after_an_hour_and_stay_good_in_an_outage(issuer: Issuer) -> None:
    keys = KeySet(issuer.url + "/keys", fetch_json)
    keys.key("one", 1_000_000)
    issuer.is_down = True
    keys.key("one", 5_000_000)
    issuer.is_down = False
    keys.key("one", 5_060_000)
    assert issuer.fetched == 2
    with pytest.raises(Refused):
        keys.key(None, 5_060_000)


def test_a_discovery_document_of_another_issuer_is_not_believed(issuer: Issuer) -> None:
    keys = discover(issuer.url + "/other", fetch_json)
    with pytest.raises(Refused):
        keys.key("one", 0)
    assert issuer.fetched == 0


def test_keys_come_over_https_or_from_this_machine(tmp_path: Path) -> None:
    for url in ("http://example.org/keys", tmp_path.as_uri(), "http://127.0.0.1:1/keys"):
        with pytest.raises(Unreachable):
            fetch_json(url)
