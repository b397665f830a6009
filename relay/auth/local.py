"""Mode `local`: an agent signs its tokens with its own identity key (docs/protocol.md 11.2).

The agentId belongs to the key that redeemed an invite for it, once and for all; from then on `cnf` and
`invite` are ignored. So the relay keeps public keys only, and a token can be replayed neither elsewhere (`aud`)
nor here (`jti`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from relay.auth.ed25519 import is_sound_point
from relay.auth.grant import Grant
from relay.auth.registry import Registry
from relay.auth.tokens import (
    LEEWAY_MS,
    Refused,
    Token,
    check_audience,
    check_signature,
    check_times,
    spent_hash,
)
from relay.wire.envelope import agent_key, is_agent_id

MAX_LIFETIME_MS: Final = 3_600_000
OWNER_PREFIX: Final = "key:"


def key_owner(public_key: bytes) -> str:
    """The registry's name for the owner of an Ed25519 key.

    Raises:
        ValueError: the key is not 32 bytes, not canonical, or of small order.
    """
    if not is_sound_point(public_key):
        raise ValueError("not a sound Ed25519 public key")
    return OWNER_PREFIX + base64.urlsafe_b64encode(public_key).rstrip(b"=").decode()


class LocalMode:
    """Verifies tokens that agents signed themselves."""

    name = "local"

    def __init__(self, registry: Registry, audiences: Sequence[str], *, open_to_all: bool = False) -> None:
        """Build the mode.

        Args:
            registry: who owns which agentId.
            audiences: the relay's public origins, as `wss://host:port` in lower case.
            open_to_all: whether a free agentId may be claimed without an invite.
        """
        self._registry = registry
        self.audiences = tuple(audiences)
        self._open_to_all = open_to_all

    def recognises(self, token: Token) -> bool:
        """Whether the token is signed with EdDSA, as no other mode's is."""
        return token.algorithm == "EdDSA"

    def verify(self, token: Token, agent_id: str, invite: str | None, now: int) -> Grant:
        """Judge a token; see `Mode.verify`. `invite` is ignored: here it is a claim of the token.

        1. `sub` is the agentId asked for, `aud` one of our origins.
        2. The key is the registered one, or with a free agentId `cnf.jwk`.
        3. It signed the token.
        4. The token is valid now, for an hour at most.
        5. In one step: it was not used before, and the key owns the agentId or redeems an invite for it.
        """
        del invite
        subject = token.text_claim("sub", limit=64)
        if not is_agent_id(subject) or (agent_id and agent_key(agent_id) != agent_key(subject)):  # (1)
            raise Refused("sub is not the agent asked for")
        check_audience(token, self.audiences)
        known = self._registry.agent(subject)  # (2)
        public = _registered_key(known.owner) if known else _confirmed_key(token)
        check_signature(token, Ed25519PublicKey.from_public_bytes(public), ["EdDSA"])  # (3)
        issued, expires = check_times(token, now)  # (4)
        if expires - issued > MAX_LIFETIME_MS or expires < issued:
            raise Refused("lives longer than an hour")
        code = token.claims.get("invite")
        owner = key_owner(public)
        spend = (spent_hash(owner, token.text_claim("jti")), expires + LEEWAY_MS)
        admitted = self._registry.admit(  # (5)
            subject,
            owner,
            spend=spend,
            invite=code if isinstance(code, str) else None,
            open_to_all=self._open_to_all,
            now=now,
        )
        if not admitted:
            raise Refused("used before, revoked, or without an invite that can be redeemed")
        return Grant(agent_id or subject, owner, expires)


def _registered_key(owner: str) -> bytes:
    if not owner.startswith(OWNER_PREFIX):
        raise Refused("the agent belongs to an account, not to a key")
    return base64.urlsafe_b64decode(owner.removeprefix(OWNER_PREFIX) + "=")


def _confirmed_key(token: Token) -> bytes:
    """The key in `cnf.jwk` (RFC 7800, 8037)."""
    confirmation = token.claims.get("cnf")
    key = confirmation.get("jwk") if isinstance(confirmation, dict) else None
    if not isinstance(key, dict) or key.get("kty") != "OKP" or key.get("crv") != "Ed25519":
        raise Refused("no Ed25519 key in cnf.jwk")
    text = key.get("x")
    if not isinstance(text, str) or len(text) != 43:
        raise Refused("cnf.jwk.x is not 32 bytes in b64url")
    try:
        public = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=", validate=True)
    except (binascii.Error, ValueError):
        raise Refused("cnf.jwk.x is not b64url") from None
    if base64.urlsafe_b64encode(public)[:-1].decode() != text or not is_sound_point(public):
        raise Refused("cnf.jwk.x is not a canonical key of full order")
    return public
