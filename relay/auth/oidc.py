"""Mode `oidc`: ID tokens of any OpenID Connect issuer (docs/protocol.md 11.3; OpenID Connect Core).

The issuer's keys are found by discovery. Algorithms are pinned by the configuration, never by the token or
the key set.
"""

from __future__ import annotations

from relay.auth.accounts import admit
from relay.auth.grant import Grant
from relay.auth.keys import KeySet
from relay.auth.registry import Registry
from relay.auth.tokens import Refused, Token, check_algorithm, check_audience, check_signature, check_times
from relay.config import Oidc


class OidcMode:
    """Verifies the ID tokens of one issuer."""

    name = "oidc"

    def __init__(self, registry: Registry, config: Oidc, keys: KeySet, *, open_to_all: bool) -> None:
        """Build the mode.

        Args:
            registry: who owns which agentId.
            config: issuer, audience, algorithms, and the claim that may name the agentId.
            keys: the issuer's.
            open_to_all: whether a free agentId may be claimed without an invite.
        """
        self._registry = registry
        self._config = config
        self._keys = keys
        self._open_to_all = open_to_all

    def recognises(self, token: Token) -> bool:
        """Whether the token says it comes from the issuer."""
        return token.claims.get("iss") == self._config.issuer

    def verify(self, token: Token, agent_id: str, invite: str | None, now: int) -> Grant:
        """Judge a token; see `Mode.verify`. In order: `aud`, `azp`, `sub`, signature, times, agentId."""
        config = self._config
        check_audience(token, [config.audience])
        audience = token.claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and token.claims.get("azp") != config.audience:
            raise Refused("azp names another client")
        subject = token.text_claim("sub", limit=255)
        check_algorithm(token, config.algorithms)
        check_signature(token, self._keys.key(token.header.get("kid"), now), config.algorithms)
        _, expires = check_times(token, now)
        return admit(
            self._registry,
            token,
            owner=f"oidc:{config.issuer} {subject}",
            agent_claim=config.agent_claim,
            agent_id=agent_id,
            invite=invite,
            open_to_all=self._open_to_all,
            now=now,
            expires_at=expires,
        )
