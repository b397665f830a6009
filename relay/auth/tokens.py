"""JSON Web Tokens, as far as every mode checks them alike (docs/protocol.md 11.1; RFC 7519, 8725).

A mode decides which algorithms it takes, whose key signs and who owns an agentId; this module takes tokens
apart, verifies signatures through PyJWT, and checks times against a clock that is passed in. Algorithms are
pinned by the mode, never read from the token. Why a token is refused is for the log only: clients read one
refusal for every reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from relay.auth.ed25519 import is_sound_signature
from relay.auth.grant import Grant

LEEWAY_MS: Final = 60_000
MAX_TOKEN_LENGTH: Final = 8192
_MAX_TIME_S: Final = 2**40  # about the year 36,000: keeps arithmetic on hostile numbers small

PublicKey = Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey


class Refused(Exception):
    """A token is refused. The text is for the relay's own log; it holds no part of the token."""


class Mode(Protocol):
    """One way to prove who one is. Methods may block: they run on the mode's own thread."""

    name: str

    def recognises(self, token: Token) -> bool:
        """Whether this mode, and no other, judges the token. Looks at its form only."""
        ...

    def verify(self, token: Token, agent_id: str, invite: str | None, now: int) -> Grant:
        """Judge a token.

        Args:
            token: taken apart; nothing in it is verified yet.
            agent_id: the agentId asked for; "" when the client named none.
            invite: an invite code that came beside the token, or None.
            now: ms since the Unix epoch.

        Raises:
            Refused: the token gives nothing.
        """
        ...


@dataclass(frozen=True)
class Token:
    """A token taken apart. Nothing in it is verified.

    Attributes:
        text: the whole token; never shown by repr.
        header, claims: its two JSON objects.
        signature: its bytes.
    """

    text: str = field(repr=False)
    header: dict[str, Any] = field(repr=False)
    claims: dict[str, Any] = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def algorithm(self) -> str:
        """`alg` of the header, or "" when it is no text."""
        found = self.header.get("alg")
        return found if isinstance(found, str) else ""

    def text_claim(self, name: str, *, limit: int = 256) -> str:
        """A claim that must be a text of 1 to `limit` characters.

        Raises:
            Refused: it is missing or something else.
        """
        found = self.claims.get(name)
        if not isinstance(found, str) or not 0 < len(found) <= limit:
            raise Refused(f"{name} is not a text of 1 to {limit} characters")
        return found

    def time_claim(self, name: str) -> int:
        """A claim that must be a time in whole seconds, given in ms.

        Raises:
            Refused: it is missing or something else.
        """
        found = self.claims.get(name)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < _MAX_TIME_S:
            raise Refused(f"{name} is not a time in seconds")
        return found * 1000


def split(text: str) -> Token:
    """Take a token apart.

    Args:
        text: a compact JWS.

    Raises:
        Refused: it is none, is longer than 8 KiB, or demands (`crit`) what nobody here understands.
    """
    if len(text) > MAX_TOKEN_LENGTH or not text.isascii():
        raise Refused("not a token")
    try:
        parts = jwt.api_jwt.PyJWT().decode_complete(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as problem:
        raise Refused(f"not a token ({type(problem).__name__})") from None
    header, claims, signature = parts["header"], parts["payload"], parts["signature"]
    if "crit" in header or "b64" in header:
        raise Refused("the header demands an extension")
    return Token(text, header, claims, signature)


def check_algorithm(token: Token, algorithms: Sequence[str]) -> None:
    """Refuse a token that names another algorithm; before keys are fetched for it.

    Args:
        token: the token.
        algorithms: those that the mode pins.

    Raises:
        Refused: it names another one.
    """
    if token.algorithm not in algorithms:
        raise Refused("alg is not one that this mode takes")


def check_signature(token: Token, key: PublicKey, algorithms: Sequence[str]) -> None:
    """Verify a token's signature.

    Args:
        token: the token.
        key: the public key that must have signed.
        algorithms: those that the mode pins for such a key.

    Raises:
        Refused: another algorithm, a signature that does not verify, or an unsound Ed25519 one.
    """
    check_algorithm(token, algorithms)
    if token.algorithm == "EdDSA" and not is_sound_signature(token.signature):
        raise Refused("the signature is not canonical")
    try:
        jwt.PyJWS().decode_complete(token.text, key=key, algorithms=list(algorithms))
    except (jwt.PyJWTError, ValueError, TypeError) as problem:
        raise Refused(f"the signature does not verify ({type(problem).__name__})") from None


def check_times(token: Token, now: int) -> tuple[int, int]:
    """Check `iat`, `exp` and, when given, `nbf`, with a minute's leeway.

    Args:
        token: the token.
        now: ms since the Unix epoch.

    Returns:
        When it was issued and when it expires, in ms.

    Raises:
        Refused: a time is missing or mistyped, or the token is not valid yet or any more.
    """
    issued, expires = token.time_claim("iat"), token.time_claim("exp")
    if expires <= now - LEEWAY_MS:
        raise Refused("expired")
    if issued > now + LEEWAY_MS:
        raise Refused("issued in the future")
    if "nbf" in token.claims and token.time_claim("nbf") > now + LEEWAY_MS:
        raise Refused("not valid yet")
    return issued, expires


def check_audience(token: Token, wanted: Sequence[str]) -> None:
    """Check that `aud` names one of those wanted.

    Raises:
        Refused: it does not.
    """
    found = token.claims.get("aud")
    named = found if isinstance(found, list) else [found]
    if not any(isinstance(name, str) and name in wanted for name in named):
        raise Refused("aud names another relay")


def spent_hash(owner: str, token_id: str) -> bytes:
    """What is remembered of a token that may be used once: SHA-256 of its owner and `jti`."""
    return hashlib.sha256(f"{owner}\0{token_id}".encode()).digest()
