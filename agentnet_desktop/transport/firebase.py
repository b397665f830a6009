"""Signs an agent in with a Firebase account, and keeps its ID token fresh.

Implements the client's side of docs/protocol.md, section "Relay authentication", mode `firebase`, over the REST
interface of Firebase Auth. The password is used once and kept nowhere; the refresh token goes to the `TokenStore`
that is passed in. It makes no accounts, resets no passwords and verifies no token: the relay does.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from agentnet_desktop.transport.tokens import Token, TokenError, token_expiry

REFRESH_TOKEN = "firebase-refresh-token"  # its name in the store
REFRESH_BEFORE_MS = 5 * 60 * 1000
_SIGN_IN = "identitytoolkit.googleapis.com/v1/accounts:signInWithPassword"
_REFRESH = "securetoken.googleapis.com/v1/token"
_LIMIT_S = 10.0
_LARGEST_ANSWER = 64 * 1024
_SIGN_IN_AGAIN = "The Firebase sign-in has ended: sign in again."
_UNREACHABLE = "Firebase cannot be reached."
_WORDS = {
    "INVALID_LOGIN_CREDENTIALS": "The e-mail address or the password is wrong.",
    "INVALID_PASSWORD": "The e-mail address or the password is wrong.",
    "EMAIL_NOT_FOUND": "The e-mail address or the password is wrong.",
    "INVALID_EMAIL": "The e-mail address or the password is wrong.",
    "USER_DISABLED": "The Firebase account is disabled.",
    "TOO_MANY_ATTEMPTS_TRY_LATER": "Firebase asks to wait before the next try.",
    "TOKEN_EXPIRED": _SIGN_IN_AGAIN,
    "USER_NOT_FOUND": _SIGN_IN_AGAIN,
    "INVALID_REFRESH_TOKEN": _SIGN_IN_AGAIN,
}


class TokenStore(Protocol):
    """Where the refresh token is kept: the vault. Called from a thread."""

    def get_token(self, name: str) -> str | None:
        """Returns what is kept under a name; None when nothing is.

        Raises:
            TokenError: it cannot be read.
        """

    def set_token(self, name: str, value: str | None) -> None:
        """Keeps a value under a name; None removes it.

        Raises:
            TokenError: it cannot be written.
        """


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A password or token is for the address that was asked, or for nobody."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class FirebaseTokens:
    """ID tokens of one Firebase account; implements `tokens.TokenSource`."""

    def __init__(
        self,
        *,
        api_key: str,
        store: TokenStore,
        emulator: str | None = None,
        invite: str | None = None,
        on_enrolled: Callable[[], None] | None = None,
    ) -> None:
        """Makes the source; it asks nobody anything yet.

        Args:
            api_key: the project's Web API key, which is no secret.
            store: keeps the refresh token.
            emulator: `http://` and the loopback address of an Auth emulator, instead of Google.
            invite: the code that lets a new agent in, shown beside the token until the relay has accepted it.
            on_enrolled: is called at the first acceptance.

        Raises:
            ValueError: the emulator's address is not a loopback one.
        """
        if emulator is not None:
            parts = urlsplit(emulator)
            if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError("the Auth emulator must have a loopback address")
        self._base = f"{emulator.rstrip('/')}/" if emulator else "https://"
        self._key = api_key
        self._store = store
        self._invite = invite
        self._on_enrolled = on_enrolled
        self._kept: Token | None = None
        self._one = asyncio.Lock()
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if emulator:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    async def sign_in(self, email: str, password: str) -> None:
        """Signs in, once: from then on the refresh token does.

        Raises:
            TokenError: wrong, refused, or not reachable; in words for a person.
        """
        asked = json.dumps({"email": email, "password": password, "returnSecureToken": True}).encode()
        async with self._one:
            answer = await asyncio.to_thread(self._ask, _SIGN_IN, asked, "application/json")
            await self._keep(answer, "idToken", "refreshToken")

    async def token(self, *, now_ms: int, fresh: bool) -> Token:
        """Returns the ID token, a new one when it ends within five minutes or was refused.

        Raises:
            TokenError: nobody has signed in, the sign-in has ended, or Firebase cannot be reached.
        """
        async with self._one:
            kept = self._kept
            lasts = kept is not None and (kept.expires_at or 0) - now_ms > REFRESH_BEFORE_MS
            if kept is None or fresh or not lasts:
                kept = await self._refresh()
        return Token(kept.text, kept.expires_at, self._invite)

    def accepted(self) -> None:
        """Forgets the invite, and tells once that the relay took the token."""
        self._invite = None
        told, self._on_enrolled = self._on_enrolled, None
        if told is not None:
            told()

    async def sign_out(self) -> None:
        """Forgets the account on this machine.

        Raises:
            TokenError: the store cannot be written.
        """
        async with self._one:
            self._kept = None
            await asyncio.to_thread(self._store.set_token, REFRESH_TOKEN, None)

    async def _refresh(self) -> Token:
        refresh = await asyncio.to_thread(self._store.get_token, REFRESH_TOKEN)
        if refresh is None:
            raise TokenError("Nobody is signed in to Firebase: sign in first.")
        asked = urlencode({"grant_type": "refresh_token", "refresh_token": refresh}).encode()
        answer = await asyncio.to_thread(self._ask, _REFRESH, asked, "application/x-www-form-urlencoded")
        return await self._keep(answer, "id_token", "refresh_token")

    async def _keep(self, answer: Mapping[str, Any], id_name: str, refresh_name: str) -> Token:
        text, refresh = answer.get(id_name), answer.get(refresh_name)
        if not isinstance(text, str) or not isinstance(refresh, str) or token_expiry(text) is None:
            raise TokenError(_UNREACHABLE)
        await asyncio.to_thread(self._store.set_token, REFRESH_TOKEN, refresh)
        self._kept = Token(text, token_expiry(text))
        return self._kept

    def _ask(self, place: str, body: bytes, kind: str) -> dict[str, Any]:
        """Asks Firebase, in a thread."""
        request = urllib.request.Request(  # noqa: S310 - the address begins with https or a checked loopback one
            f"{self._base}{place}?key={quote(self._key, safe='')}", data=body, headers={"Content-Type": kind}
        )
        try:
            with self._opener.open(request, timeout=_LIMIT_S) as answer:
                found = json.loads(answer.read(_LARGEST_ANSWER))
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise TokenError(_reason(refusal.code, refusal.read(_LARGEST_ANSWER))) from None
        except (OSError, http.client.HTTPException, ValueError):
            raise TokenError(_UNREACHABLE) from None
        if not isinstance(found, dict):
            raise TokenError(_UNREACHABLE)
        return found


def _reason(status: int, body: bytes) -> str:
    """Puts a refusal into our own words; Firebase's may carry what the person typed."""
    try:
        code = str(json.loads(body)["error"]["message"]).split(" ", 1)[0]
    except (ValueError, KeyError, TypeError):
        code = ""
    return _WORDS.get(code, f"Firebase refused the sign-in (HTTP {status}).")
