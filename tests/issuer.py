"""An issuer of tokens on loopback: OpenID Connect, Google's key server and Firebase Auth, with real RS256 keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

PROJECT = "demo-agentnet"
SECURETOKEN = f"https://securetoken.google.com/{PROJECT}"
WEB_KEY = "a-web-api-key"
ACCOUNT = ("alice@example.org", "a password of no worth")
_SIGN_IN = "/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword"
_REFRESH = "/securetoken.googleapis.com/v1/token"


def firebase_claims(**claims: Any) -> dict[str, Any]:
    """What Firebase's tokens say beside the usual."""
    return {"iss": SECURETOKEN, "aud": PROJECT, "sub": "uid-1", "auth_time": int(time.time()) - 60, **claims}


class Issuer:
    """Signs tokens, publishes its keys, and keeps one Firebase account.

    Attributes:
        keys: by their ids; those that are published.
        signer: the id of the one that signs.
        fetched: how often the keys were.
        is_down: every request is answered with 503.
        life_s: how long the tokens of the account last.
        ended: the code with which refresh tokens are refused; "" takes them.
        refused: is set when a request was answered with 503.
        asked: what was asked of Firebase: `sign in` or `refresh`, and how it was answered.
    """

    def __init__(self) -> None:
        self.keys: dict[str, RSAPrivateKey] = {}
        self.fetched = 0
        self.signer = ""
        self.is_down = False
        self.refused = threading.Event()
        self.life_s = 3600
        self.ended = ""
        self.asked: list[tuple[str, int]] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.answer(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, found = issuer.sign_in(self.path, body)
                issuer.reply(self, status, found)
                if status == 503:
                    issuer.refused.set()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        self.roll("one")

    def publish(self, key_id: str) -> None:
        """Publish a new key that does not sign yet."""
        self.keys[key_id] = generate_private_key(65537, 2048)

    def roll(self, key_id: str) -> None:
        """Sign with another key, a new one unless it is published; the others are withdrawn."""
        if key_id not in self.keys:
            self.publish(key_id)
        self.keys, self.signer = {key_id: self.keys[key_id]}, key_id

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.is_down:
            request.send_error(503)
            self.refused.set()
            return
        if request.path == "/keys":
            self.fetched += 1
            found: dict[str, Any] = {"keys": [self.public(name) for name in self.keys]}
        else:
            found = {"issuer": self.url, "jwks_uri": self.url + "/keys"}
        self.reply(request, 200, found)

    @staticmethod
    def reply(request: BaseHTTPRequestHandler, status: int, found: dict[str, Any]) -> None:
        body = json.dumps(found).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def public(self, key_id: str) -> dict[str, Any]:
        found = jwt.algorithms.RSAAlgorithm.to_jwk(self.keys[key_id].public_key(), as_dict=True)
        return {**found, "kid": key_id, "use": "sig", "alg": "RS256"}

    def token(self, key_id: str | None = None, **claims: Any) -> str:
        """A good ID token, but for the claims given."""
        kid = key_id or self.signer
        now = int(time.time())
        made = {"iss": self.url, "aud": "agentnet", "sub": "user-1", "iat": now, "exp": now + 3600, **claims}
        return jwt.encode(made, self.keys[kid], algorithm="RS256", headers={"kid": kid})

    def sign_in(self, place: str, body: str) -> tuple[int, dict[str, Any]]:
        """Answer as Firebase Auth does, and remember what was asked."""
        path, _, query = place.partition("?")
        is_password = path == _SIGN_IN
        problem = self._problem(path, query, body)
        status = 503 if self.is_down else 400 if problem else 200
        self.asked.append(("sign in" if is_password else "refresh", status))
        if status != 200:
            return status, {"error": {"code": status, "message": problem}}
        expires = int(time.time()) + self.life_s
        token = self.token(**firebase_claims(exp=expires, n=len(self.asked)))
        names = ("idToken", "refreshToken") if is_password else ("id_token", "refresh_token")
        return 200, dict(zip(names, (token, "a refresh token"), strict=True))

    def _problem(self, path: str, query: str, body: str) -> str:
        if query != f"key={WEB_KEY}":
            return "API key not valid. Please pass a valid API key."
        if path == _SIGN_IN:
            given = json.loads(body)
            return "" if (given["email"], given["password"]) == ACCOUNT else "INVALID_LOGIN_CREDENTIALS"
        if path != _REFRESH or parse_qs(body)["refresh_token"] != ["a refresh token"]:
            return "INVALID_REFRESH_TOKEN"
        return self.ended

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer of this test's own."""
    made = Issuer()
    yield made
    made.close()


class MemoryTokens:
    """A store for tokens in memory; implements `transport.firebase.TokenStore`."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get_token(self, name: str) -> str | None:
        """What is kept under a name."""
        return self.kept.get(name)

    def set_token(self, name: str, value: str | None) -> None:
        """Keep a value, or remove it."""
        self.kept.pop(name, None)
        if value is not None:
            self.kept[name] = value
