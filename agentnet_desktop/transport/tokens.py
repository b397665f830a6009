"""Where the tokens come from that sign an agent in at its relay.

Implements the client's side of docs/protocol.md, section "Relay authentication": `local` tokens are JWTs that
the agent signs itself (EdDSA, RFC 8037); others are read from a file that some sign-in keeps fresh. It verifies
nothing (the relay does) and holds no private key: a `Signer` is passed in.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LIFE_MS = 30 * 60 * 1000  # the relay accepts up to an hour; half of it leaves room for a clock that is off
_JTI_BYTES = 16
_LARGEST_FILE = 16 * 1024
_LATEST_S = 1 << 40  # no token lasts longer, and no such number is too large to be a time


class TokenError(Exception):
    """No token can be had; the text is one sentence for a person."""


class SignInEnded(TokenError):
    """No token can be had before a person signs in again; trying again by itself helps nothing."""


class Signer(Protocol):
    """Who signs a local token: the agent's identity key."""

    @property
    def public(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""

    def sign(self, message: bytes, /) -> bytes:
        """Returns the Ed25519 signature of `message`, 64 bytes."""


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A bearer token and when it expires.

    Attributes:
        text: the JWT.
        expires_at: ms since the Unix epoch by the relay's clock; None when the token does not tell.
        invite: a code to show beside a token that cannot carry it (`X-Agent-Invite`).
    """

    text: str
    expires_at: int | None
    invite: str | None = None

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at})"


class TokenSource(Protocol):
    """Whence a client takes a token each time it dials or renews."""

    async def token(self, *, now_ms: int, fresh: bool) -> Token:
        """Returns a token to present to the relay.

        Args:
            now_ms: the time to write into `iat` and `exp`: the own clock, corrected by the relay's
                `serverTime` when it refused.
            fresh: True when the last token was refused or is about to end, so that a kept one must not be given
                again.

        Raises:
            SignInEnded: none can be had before a person signs in again.
            TokenError: none can be had now.
        """

    def accepted(self) -> None:
        """Is called when the relay has said CONNECTED: enrolment is done."""


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _segment(value: Mapping[str, Any]) -> str:
    return _b64url(json.dumps(value, separators=(",", ":")).encode())


class LocalTokens:
    """Tokens that the agent signs with its own identity key, one for each use."""

    def __init__(
        self,
        signer: Signer,
        *,
        agent_id: str,
        audience: str,
        random: Callable[[int], bytes],
        enrolled: bool = True,
        invite: str | None = None,
        on_enrolled: Callable[[], None] | None = None,
        life_ms: int = LIFE_MS,
    ) -> None:
        """Makes the source.

        Args:
            signer: the agent's identity key.
            agent_id: who signs in (`sub`).
            audience: the origin dialled, as `endpoint.Endpoint.origin` has it (`aud`).
            random: returns n random bytes, for `jti`.
            enrolled: False until the relay has accepted this agent once: then tokens carry the public key.
            invite: the code that lets a new agent in, sent until the relay has accepted it.
            on_enrolled: is called once, at the first acceptance.
            life_ms: how long each token is good, at most an hour.
        """
        self._signer = signer
        self._agent_id = agent_id
        self._audience = audience
        self._random = random
        self._enrolled = enrolled
        self._invite = invite
        self._on_enrolled = on_enrolled
        self._life_ms = life_ms

    async def token(self, *, now_ms: int, fresh: bool) -> Token:
        """Signs a new token; `fresh` makes no difference, for none is ever given twice (`jti`)."""
        del fresh
        issued = now_ms // 1000
        expires = issued + self._life_ms // 1000
        claims: dict[str, Any] = {
            "sub": self._agent_id,
            "aud": self._audience,
            "iat": issued,
            "exp": expires,
            "jti": _b64url(self._random(_JTI_BYTES)),
        }
        if not self._enrolled:
            claims["cnf"] = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": _b64url(self._signer.public)}}
            if self._invite:
                claims["invite"] = self._invite
        signed = f"{_segment({'alg': 'EdDSA', 'typ': 'JWT'})}.{_segment(claims)}"
        signature = self._signer.sign(signed.encode("ascii"))
        return Token(f"{signed}.{_b64url(signature)}", expires * 1000)

    def accepted(self) -> None:
        """Forgets the invite: the relay now knows this agent's key."""
        if self._enrolled:
            return
        self._enrolled = True
        self._invite = None
        if self._on_enrolled is not None:
            self._on_enrolled()


def token_claims(text: str) -> dict[str, Any]:
    """Reads the claims of a JWT without verifying them; none where there are none to read."""
    parts = text.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def token_expiry(text: str) -> int | None:
    """Reads `exp` out of a JWT without verifying it; None when there is none. In ms since the Unix epoch."""
    expires = token_claims(text).get("exp")
    if not isinstance(expires, int | float) or isinstance(expires, bool) or not 0 <= expires < _LATEST_S:
        return None
    return int(expires * 1000)


class FileTokens:
    """Tokens that some other program keeps fresh in a file (`--token-file`)."""

    def __init__(
        self, path: Path, *, invite: str | None = None, on_enrolled: Callable[[], None] | None = None
    ) -> None:
        """Makes the source.

        Args:
            path: a file that holds one JWT, read anew each time.
            invite: the code that lets a new agent in, shown beside the token until the relay has accepted it.
            on_enrolled: is called at the first acceptance.
        """
        self._path = path
        self._invite = invite
        self._on_enrolled = on_enrolled

    def _read(self) -> str:
        with self._path.open("rb") as file:
            return file.read(_LARGEST_FILE + 1).decode("ascii").strip()

    async def token(self, *, now_ms: int, fresh: bool) -> Token:
        """Reads the file, in a thread; its owner sets the times and keeps it fresh.

        A token that has ended is given once, for this machine's clock may be wrong; after a refusal, which
        corrects the clock, it is not given again.
        """
        try:
            text = await asyncio.to_thread(self._read)
        except OSError as error:
            raise TokenError(f"The token file {self._path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise TokenError(f"The token file {self._path} does not hold a token.") from error
        if not text or len(text) > _LARGEST_FILE or any(c.isspace() for c in text):
            raise TokenError(f"The token file {self._path} does not hold a token.")
        expires_at = token_expiry(text)
        if fresh and expires_at is not None and expires_at <= now_ms:
            raise TokenError(
                f"The token in {self._path} has ended, and whoever keeps it fresh has not renewed it."
            )
        return Token(text, expires_at, self._invite)

    def accepted(self) -> None:
        """Forgets the invite, and tells once that the relay took the token."""
        self._invite = None
        told, self._on_enrolled = self._on_enrolled, None
        if told is not None:
            told()
