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
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from agentnet_desktop.transport.tokens import SignInEnded, Token, TokenError, token_claims, token_expiry

REFRESH_TOKEN = "firebase-refresh-token"  # its name in the store
REFRESH_BEFORE_MS = 5 * 60 * 1000
_SIGN_IN = "identitytoolkit.googleapis.com/v1/accounts:signInWithPassword"
_REFRESH = "securetoken.googleapis.com/v1/token"
_LIMIT_S = 10.0
_LARGEST_ANSWER = 64 * 1024
_AGAIN = "The Firebase sign-in has ended: sign in again."
_NOBODY = "Nobody is signed in to Firebase on this machine: sign in."
_UNREACHABLE = "Firebase cannot be reached for the sign-in."
_WRONG = "The e-mail address or the password is wrong."
_DISABLED = "The Firebase account is disabled."
_KEY = "Firebase does not know this Web API key: compare it with the one in the project's settings."
_NO_PASSWORDS = "This Firebase project does not let people sign in with e-mail and password."
_WORDS = {
    "INVALID_LOGIN_CREDENTIALS": _WRONG,
    "INVALID_PASSWORD": _WRONG,
    "EMAIL_NOT_FOUND": _WRONG,
    "INVALID_EMAIL": _WRONG,
    "USER_DISABLED": _DISABLED,
    "TOO_MANY_ATTEMPTS_TRY_LATER": "Firebase asks to wait before the next try.",
    "OPERATION_NOT_ALLOWED": _NO_PASSWORDS,
    "PASSWORD_LOGIN_DISABLED": _NO_PASSWORDS,
    "CONFIGURATION_NOT_FOUND": _NO_PASSWORDS,
    "API": _KEY,  # "API key not valid. …", the one refusal without a code
}
# A refresh token that is refused for one of these will never be taken again.
_ENDS = {
    "TOKEN_EXPIRED": _AGAIN,
    "USER_NOT_FOUND": _AGAIN,
    "INVALID_REFRESH_TOKEN": _AGAIN,
    "MISSING_REFRESH_TOKEN": _AGAIN,
    "PROJECT_NUMBER_MISMATCH": _AGAIN,
    "USER_DISABLED": _DISABLED,
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


@dataclass(frozen=True, slots=True, repr=False)
class SignedIn:
    """What Firebase gives for a password or a refresh token.

    Attributes:
        token: the ID token.
        refresh: gets the next one; a secret.
        project: the Firebase project that the ID token is for.
    """

    token: Token
    refresh: str
    project: str


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """An account to sign in with. The password is used once and kept nowhere.

    Attributes:
        api_key: the project's Web API key, which is no secret.
        email: who signs in.
        password: proves it.
        emulator: `http://` and the loopback address of an Auth emulator, or "" for Google.
    """

    api_key: str
    email: str
    password: str
    emulator: str = ""


def emulator_problem(address: str) -> str:
    """Says why this cannot be an Auth emulator's address; "" when it can."""
    try:
        parts = urlsplit(address)
        good = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        good = good and parts.port is not None and not parts.path.strip("/")
    except ValueError:
        good = False
    return "" if good else "The Auth emulator's address looks like http://127.0.0.1:9099, on this machine."


class FirebaseAuth:
    """Firebase Auth over REST, for one project. Keeps nothing."""

    def __init__(self, api_key: str, emulator: str | None = None) -> None:
        """Asks nobody anything yet.

        Args:
            api_key: the project's Web API key.
            emulator: the address of an Auth emulator, instead of Google.

        Raises:
            ValueError: the emulator's address is not a loopback one.
        """
        if emulator and (problem := emulator_problem(emulator)):
            raise ValueError(problem)
        self._base = f"{emulator.rstrip('/')}/" if emulator else "https://"
        self._key = api_key
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if emulator:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    async def sign_in(self, email: str, password: str) -> SignedIn:
        """Signs in with a password.

        Raises:
            TokenError: wrong, refused, or not reachable; in words for a person.
        """
        asked = json.dumps({"email": email, "password": password, "returnSecureToken": True}).encode()
        answer = await asyncio.to_thread(self._ask, _SIGN_IN, asked, "application/json", _WORDS)
        if "mfaPendingCredential" in answer:
            raise TokenError("This account asks for a second factor, which cannot be given here.")
        return _signed_in(answer, "idToken", "refreshToken")

    async def refresh(self, refresh: str) -> SignedIn:
        """Gets a new ID token.

        Raises:
            SignInEnded: the refresh token will never be taken again.
            TokenError: refused, or not reachable.
        """
        asked = urlencode({"grant_type": "refresh_token", "refresh_token": refresh}).encode()
        kind = "application/x-www-form-urlencoded"
        answer = await asyncio.to_thread(self._ask, _REFRESH, asked, kind, {**_WORDS, **_ENDS}, _ENDS)
        return _signed_in(answer, "id_token", "refresh_token")

    def _ask(
        self,
        place: str,
        body: bytes,
        kind: str,
        words: Mapping[str, str],
        ends: Collection[str] = (),
    ) -> dict[str, Any]:
        """Asks Firebase, in a thread."""
        request = urllib.request.Request(  # noqa: S310 - the address begins with https or a checked loopback one
            f"{self._base}{place}?key={quote(self._key, safe='')}", data=body, headers={"Content-Type": kind}
        )
        try:
            with self._opener.open(request, timeout=_LIMIT_S) as answer:
                found = json.loads(answer.read(_LARGEST_ANSWER))
        except urllib.error.HTTPError as refusal:
            with refusal:
                code = _code(refusal.read(_LARGEST_ANSWER))
            # Our own words: Firebase's may carry what the person typed.
            told = words.get(code, f"Firebase refused the sign-in (HTTP {refusal.code}).")
            raise (SignInEnded if code in ends else TokenError)(told) from None
        except (OSError, http.client.HTTPException, ValueError):
            raise TokenError(_UNREACHABLE) from None
        if not isinstance(found, dict):
            raise TokenError(_UNREACHABLE)
        return found


def _code(body: bytes) -> str:
    """Reads the stable word of a refusal, as in `WEAK_PASSWORD : Password should be …`."""
    try:
        return str(json.loads(body)["error"]["message"]).split(" ", 1)[0]
    except (ValueError, KeyError, TypeError):
        return ""


def _signed_in(answer: Mapping[str, Any], id_name: str, refresh_name: str) -> SignedIn:
    text, refresh = answer.get(id_name), answer.get(refresh_name)
    if isinstance(text, str) and isinstance(refresh, str):
        claims = token_claims(text)
        expires_at, project = token_expiry(text), claims.get("aud")
        if expires_at is not None and isinstance(project, str):
            return SignedIn(Token(text, expires_at), refresh, project)
    raise TokenError(_UNREACHABLE)


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
        self._firebase = FirebaseAuth(api_key, emulator)
        self._store = store
        self._invite = invite
        self._on_enrolled = on_enrolled
        self._kept: Token | None = None
        self._one = asyncio.Lock()

    async def sign_in(self, email: str, password: str) -> SignedIn:
        """Signs in, once: from then on the refresh token does.

        Raises:
            TokenError: wrong, refused, or not reachable; in words for a person. What was kept stays.
        """
        async with self._one:
            found = await self._firebase.sign_in(email, password)
            await self._keep(found)
        return found

    async def token(self, *, now_ms: int, fresh: bool) -> Token:
        """Returns the ID token, a new one when it ends within five minutes or was refused.

        Raises:
            SignInEnded: nobody has signed in, or the sign-in has ended.
            TokenError: Firebase or the store cannot be reached.
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

    async def _refresh(self) -> Token:
        refresh = await asyncio.to_thread(self._store.get_token, REFRESH_TOKEN)
        if refresh is None:
            raise SignInEnded(_NOBODY)
        return await self._keep(await self._firebase.refresh(refresh))

    async def _keep(self, found: SignedIn) -> Token:
        await asyncio.to_thread(self._store.set_token, REFRESH_TOKEN, found.refresh)
        self._kept = found.token
        return found.token
