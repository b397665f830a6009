"""Tokens as a relay sees them: verified here with PyJWT, which had no part in making them."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agentnet_desktop.transport.tokens import FileTokens, LocalTokens, TokenError, token_expiry

NOW = 1_700_000_000_000
ORIGIN = "wss://relay.example.org:443"


class Key:
    """A signer that is not ours."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def claims(self, text: str) -> dict[str, Any]:
        return jwt.decode(
            text, self._key.public_key(), algorithms=["EdDSA"], audience=ORIGIN,
            options={"verify_exp": False, "verify_iat": False},
        )  # fmt: skip


class Bytes:
    """Randomness that never repeats and can be foretold."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")


async def test_a_registered_agent_signs_its_name_the_origin_and_the_times() -> None:
    key = Key()
    source = LocalTokens(key, agent_id="Alice", audience=ORIGIN, random=Bytes())
    token = await source.token(now_ms=NOW, fresh=False)
    claims = key.claims(token.text)
    assert set(claims) == {"sub", "aud", "iat", "exp", "jti"}
    assert (claims["sub"], claims["aud"], claims["iat"]) == ("Alice", ORIGIN, NOW // 1000)
    assert 0 < claims["exp"] - claims["iat"] <= 3600
    assert token.expires_at == claims["exp"] * 1000
    assert jwt.get_unverified_header(token.text) == {"alg": "EdDSA", "typ": "JWT"}
    assert token.text not in repr(token)


async def test_no_two_tokens_share_a_jti() -> None:
    key = Key()
    source = LocalTokens(key, agent_id="alice", audience=ORIGIN, random=Bytes())
    ids = {key.claims((await source.token(now_ms=NOW, fresh=False)).text)["jti"] for _ in range(5)}
    assert len(ids) == 5


async def test_a_new_agent_shows_its_key_and_invite_until_it_was_accepted_once() -> None:
    key, told = Key(), []
    source = LocalTokens(
        key, agent_id="alice", audience=ORIGIN, random=Bytes(), enrolled=False, invite="CODE",
        on_enrolled=lambda: told.append(True),
    )  # fmt: skip
    for _ in range(2):  # a lost CONNECTED burns nothing
        claims = key.claims((await source.token(now_ms=NOW, fresh=True)).text)
        assert claims["invite"] == "CODE"
        x = claims["cnf"]["jwk"].pop("x")
        assert claims["cnf"] == {"jwk": {"kty": "OKP", "crv": "Ed25519"}}
        assert base64.urlsafe_b64decode(x + "=") == key.public
    source.accepted()
    source.accepted()
    assert told == [True]
    assert not {"cnf", "invite"} & set(key.claims((await source.token(now_ms=NOW, fresh=True)).text))


def _unsigned(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{middle}.c2ln"


async def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file, told = tmp_path / "token", []
    source = FileTokens(file, invite="CODE", on_enrolled=lambda: told.append(True))
    for expires in (1_800_000_000, 1_800_000_900):
        file.write_text(_unsigned({"exp": expires}) + "\n")
        token = await source.token(now_ms=NOW, fresh=True)
        assert (token.expires_at, token.invite) == (expires * 1000, "CODE")
    source.accepted()
    assert (await source.token(now_ms=NOW, fresh=False)).invite is None
    source.accepted()
    assert told == [True]


async def test_a_token_that_has_ended_is_shown_once_and_then_told(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(_unsigned({"exp": NOW // 1000}))
    source = FileTokens(file)
    assert (await source.token(now_ms=NOW, fresh=False)).expires_at == NOW
    with pytest.raises(TokenError, match=r"token in .*token has ended"):
        await source.token(now_ms=NOW, fresh=True)
    file.write_text(_unsigned({"exp": NOW // 1000 + 1}))
    assert (await source.token(now_ms=NOW, fresh=True)).expires_at == NOW + 1000


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", b"a" * 20_000])
async def test_a_file_without_a_token_is_told_by_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(TokenError, match="does not hold a token"):
        await FileTokens(file).token(now_ms=NOW, fresh=False)


async def test_a_missing_token_file_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"token file .*nowhere cannot be read: No such file"):
        await FileTokens(tmp_path / "nowhere").token(now_ms=NOW, fresh=False)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "a.b.c",
        "a.!!!.c",
        _unsigned([]),
        _unsigned({}),
        _unsigned({"exp": True}),
        _unsigned({"exp": -1}),
        _unsigned({"exp": float("inf")}),
        _unsigned({"exp": float("nan")}),
        _unsigned({"exp": 10**30}),
    ],
)
def test_a_token_that_tells_no_expiry_has_none(text: str) -> None:
    assert token_expiry(text) is None
