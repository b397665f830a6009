"""Key sets of token issuers: fetched, cached, and fetched again when they roll over (RFC 7517; docs/protocol.md 11.3).

An unknown `kid` has the set fetched again, at most once a minute, so that forged ones cost an issuer nothing.
When the issuer cannot be reached, the keys known so far go on being good. Blocking: runs on a mode's thread.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from relay.auth.tokens import PublicKey, Refused

_log = logging.getLogger(__name__)

MAX_AGE_MS: Final = 3_600_000
MIN_PAUSE_MS: Final = 60_000
_MAX_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 5
_MIN_RSA_BITS: Final = 2048

Fetch = Callable[[str], dict[str, Any]]


class Unreachable(Exception):
    """An issuer's document cannot be had; the text is for the log."""


def fetch_json(url: str) -> dict[str, Any]:
    """Fetch a JSON object: https, or http from a loopback address.

    Raises:
        Unreachable: it cannot be had, is too large, or is no JSON object.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise Unreachable(f"{url} is neither https nor on this machine")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # the scheme is checked
            found = json.loads(answer.read(_MAX_BYTES + 1)[:_MAX_BYTES])
    except (OSError, HTTPException, ValueError, RecursionError) as problem:
        raise Unreachable(f"{url}: {problem}") from None
    if not isinstance(found, dict):
        raise Unreachable(f"{url} is not a JSON object")
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class KeySet:
    """The signing keys of one issuer, by `kid`."""

    def __init__(self, url: str | Callable[[], str], fetch: Fetch) -> None:
        """Build it; nothing is fetched yet.

        Args:
            url: where the JWK set is, or what finds that out.
            fetch: fetches a JSON object.
        """
        self._url = url
        self._fetch = fetch
        self._keys: dict[str, PublicKey] = {}
        self._fetched_at: int | None = None
        self._tried_at: int | None = None

    def key(self, key_id: object, now: int) -> PublicKey:
        """The key of that `kid`.

        Args:
            key_id: from a token's header.
            now: ms since the Unix epoch.

        Raises:
            Refused: there is no such key.
        """
        if not isinstance(key_id, str):
            raise Refused("no kid")
        is_stale = self._fetched_at is None or now - self._fetched_at > MAX_AGE_MS
        may_try = self._tried_at is None or now - self._tried_at >= MIN_PAUSE_MS
        if (key_id not in self._keys or is_stale) and may_try:
            self._tried_at = now
            self._refresh(now)
        if key_id not in self._keys:
            raise Refused("unknown kid")
        return self._keys[key_id]

    def _refresh(self, now: int) -> None:
        try:
            url = self._url if isinstance(self._url, str) else self._url()
            found = self._fetch(url).get("keys")
        except Unreachable as problem:
            _log.warning("the issuer's keys cannot be fetched, those known stay: %s", problem)
            return
        keys = dict(filter(None, map(_read, found if isinstance(found, list) else [])))
        if keys:
            self._keys, self._fetched_at = keys, now


def _read(entry: object) -> tuple[str, PublicKey] | None:
    """One entry of a JWK set; what is not for signatures, or too weak, is passed over."""
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("kid"), str)
        or entry.get("use", "sig") != "sig"
    ):
        return None
    try:
        key = jwt.PyJWK(
            entry, algorithm=entry.get("alg") or ("ES256" if entry.get("kty") == "EC" else "RS256")
        ).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, EllipticCurvePublicKey):
        return entry["kid"], key
    return (entry["kid"], key) if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS else None


def discover(issuer: str, fetch: Fetch) -> KeySet:
    """The key set of an OpenID Connect issuer, found by discovery whenever keys are fetched.

    Args:
        issuer: its URL, exactly as in `iss`.
        fetch: fetches a JSON object.
    """

    def find() -> str:
        found = fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != issuer or not isinstance(found.get("jwks_uri"), str):
            raise Unreachable(f"the discovery document is not {issuer}'s")
        return str(found["jwks_uri"])

    return KeySet(find, fetch)
