"""Firebase sign-in against a loopback server that answers as Firebase does; `benchmarks/firebase.py` has the real emulator."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from agentnet_desktop.transport.firebase import REFRESH_TOKEN, FirebaseTokens
from agentnet_desktop.transport.tokens import SignInEnded, TokenError
from tests.issuer import MemoryTokens

NOW = 1_750_000_000_000


class Google:
    """What the server answers, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.answer: Any = None
        self.count = 0
        self.address = ""

    def reply(self, path: str, body: bytes) -> tuple[int, bytes]:
        as_json = path.partition("?")[0].endswith("signInWithPassword")
        self.asked.append((path, json.loads(body) if as_json else parse_qs(body.decode())))
        if self.answer is not None:
            return self.status, self.answer if isinstance(self.answer, bytes) else json.dumps(
                self.answer
            ).encode()
        self.count += 1
        claims = json.dumps({"exp": NOW // 1000 + 3600, "aud": "our-project", "n": self.count}).encode()
        token = f"e30.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.c2ln"
        names = ("idToken", "refreshToken") if as_json else ("id_token", "refresh_token")
        return 200, json.dumps({names[0]: token, names[1]: f"refresh-{self.count}"}).encode()


@pytest.fixture
def google() -> Iterator[Google]:
    made = Google()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = made.reply(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Location", made.address)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def tokens(google: Google, store: MemoryTokens, **options: Any) -> FirebaseTokens:
    return FirebaseTokens(api_key="a key&more", store=store, emulator=google.address, **options)


async def test_who_signs_in_gets_a_token_and_only_the_refresh_token_is_kept(google: Google) -> None:
    store, told = MemoryTokens(), []
    source = tokens(google, store, invite="CODE", on_enrolled=lambda: told.append(True))
    assert (await source.sign_in("a@example.org", "pässword")).project == "our-project"
    token = await source.token(now_ms=NOW, fresh=False)
    assert (token.expires_at, token.invite) == (NOW + 3_600_000, "CODE")
    assert google.asked == [
        (
            "/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=a%20key%26more",
            {"email": "a@example.org", "password": "pässword", "returnSecureToken": True},
        )
    ]
    assert store.kept == {REFRESH_TOKEN: "refresh-1"}
    source.accepted()
    source.accepted()
    assert told == [True]
    assert (await source.token(now_ms=NOW, fresh=False)).invite is None


async def test_a_token_is_renewed_before_it_ends_and_when_it_was_refused(google: Google) -> None:
    store = MemoryTokens()
    source = tokens(google, store)
    await source.sign_in("a@example.org", "p")
    first = await source.token(now_ms=NOW + 54 * 60_000, fresh=False)
    assert len(google.asked) == 1
    second = await source.token(now_ms=NOW + 56 * 60_000, fresh=False)
    assert google.asked[-1] == (
        "/securetoken.googleapis.com/v1/token?key=a%20key%26more",
        {"grant_type": ["refresh_token"], "refresh_token": ["refresh-1"]},
    )
    third = await source.token(now_ms=NOW, fresh=True)
    assert google.asked[-1][1]["refresh_token"] == ["refresh-2"]
    assert len({first.text, second.text, third.text}) == 3
    assert store.kept == {REFRESH_TOKEN: "refresh-3"}


async def test_the_next_start_needs_no_password(google: Google) -> None:
    store = MemoryTokens()
    await tokens(google, store).sign_in("a@example.org", "p")
    again = tokens(google, store)
    assert (await again.token(now_ms=NOW, fresh=False)).expires_at == NOW + 3_600_000


async def test_where_nobody_has_signed_in_a_person_is_asked_to(google: Google) -> None:
    with pytest.raises(SignInEnded, match="Nobody is signed in"):
        await tokens(google, MemoryTokens()).token(now_ms=NOW, fresh=False)
    assert google.asked == []


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (400, {"error": {"message": "INVALID_LOGIN_CREDENTIALS"}}, "address or the password is wrong"),
        (400, {"error": {"message": "EMAIL_NOT_FOUND"}}, "address or the password is wrong"),
        (400, {"error": {"message": "TOO_MANY_ATTEMPTS_TRY_LATER : wait"}}, "asks to wait"),
        (400, {"error": {"message": "USER_DISABLED"}}, "account is disabled"),
        (400, {"error": {"message": "PASSWORD_LOGIN_DISABLED"}}, "does not let people sign in"),
        (400, {"error": {"message": "API key not valid. Please pass a valid API key."}}, "Web API key"),
        (200, {"mfaPendingCredential": "x", "localId": "u"}, "second factor"),
        (400, {"error": {"message": "my-secret"}}, r"refused the sign-in \(HTTP 400\)"),
        (503, b"<html>", r"refused the sign-in \(HTTP 503\)"),
        (302, b"", r"refused the sign-in \(HTTP 302\)"),
        (200, b"{", "cannot be reached"),
        (200, [], "cannot be reached"),
        (200, {"idToken": "x", "refreshToken": "r"}, "cannot be reached"),
        (200, {"idToken": 5}, "cannot be reached"),
    ],
)
async def test_a_refusal_is_told_in_our_words(google: Google, status: int, answer: Any, words: str) -> None:
    google.status, google.answer, store = status, answer, MemoryTokens()
    with pytest.raises(TokenError, match=words) as told:
        await tokens(google, store).sign_in("a@example.org", "my-secret")
    assert "my-secret" not in str(told.value)
    assert store.kept == {}
    assert len(google.asked) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("TOKEN_EXPIRED", "sign in again"),
        ("USER_NOT_FOUND", "sign in again"),
        ("INVALID_REFRESH_TOKEN", "sign in again"),
        ("USER_DISABLED", "account is disabled"),
    ],
)
async def test_an_ended_sign_in_asks_for_a_new_one(google: Google, code: str, words: str) -> None:
    store = MemoryTokens()
    store.kept[REFRESH_TOKEN] = "old"
    google.status, google.answer = 400, {"error": {"message": code}}
    source = tokens(google, store)
    with pytest.raises(SignInEnded, match=words):
        await source.token(now_ms=NOW, fresh=False)
    google.answer = None
    await source.sign_in("a@example.org", "p")
    assert (await source.token(now_ms=NOW, fresh=False)).expires_at == NOW + 3_600_000


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refusal_that_may_pass_is_no_end(google: Google, status: int) -> None:
    store = MemoryTokens()
    store.kept[REFRESH_TOKEN] = "good"
    google.status, google.answer = status, {"error": {"message": "QUOTA_EXCEEDED : later"}}
    with pytest.raises(TokenError) as told:
        await tokens(google, store).token(now_ms=NOW, fresh=False)
    assert not isinstance(told.value, SignInEnded)
    assert store.kept == {REFRESH_TOKEN: "good"}


async def test_a_server_that_is_not_there_is_told_in_words() -> None:
    source = FirebaseTokens(api_key="k", store=MemoryTokens(), emulator="http://127.0.0.1:9")
    with pytest.raises(TokenError, match="cannot be reached"):
        await source.sign_in("a@example.org", "p")


@pytest.mark.parametrize(
    "address",
    [
        "http://192.0.2.1:9099",
        "https://127.0.0.1:1",
        "http://127.0.0.1.example:1",
        "http://127.0.0.1:x",
        "http://127.0.0.1",
    ],
)
def test_an_emulator_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="on this machine"):
        FirebaseTokens(api_key="k", store=MemoryTokens(), emulator=address)
