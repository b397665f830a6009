"""Mode `firebase`: Firebase ID tokens (docs/protocol.md 11.3; Firebase, "Verify ID tokens").

RS256 under Google's key set, for one project. Unsigned tokens are taken only when the Auth emulator is asked
for, which the configuration allows on a loopback address alone.
"""

from __future__ import annotations

from typing import Final

from relay.auth.accounts import admit
from relay.auth.grant import Grant
from relay.auth.keys import KeySet
from relay.auth.registry import Registry
from relay.auth.tokens import (
    LEEWAY_MS,
    Refused,
    Token,
    check_algorithm,
    check_audience,
    check_signature,
    check_times,
)
from relay.config import Firebase

ISSUER: Final = "https://securetoken.google.com/"
AGENT_CLAIM: Final = "agentId"
ALGORITHMS: Final = ("RS256",)


class FirebaseMode:
    """Verifies the ID tokens of one Firebase project."""

    name = "firebase"

    def __init__(self, registry: Registry, config: Firebase, keys: KeySet, *, open_to_all: bool) -> None:
        """Build the mode.

        Args:
            registry: who owns which agentId.
            config: the project, and whether it is the emulator's.
            keys: Google's.
            open_to_all: whether a free agentId may be claimed without an invite.
        """
        self._registry = registry
        self._config = config
        self._keys = keys
        self._open_to_all = open_to_all

    def recognises(self, token: Token) -> bool:
        """Whether the token says it comes from Firebase."""
        issuer = token.claims.get("iss")
        return isinstance(issuer, str) and issuer.startswith(ISSUER)

    def verify(self, token: Token, agent_id: str, invite: str | None, now: int) -> Grant:
        """Judge a token; see `Mode.verify`.

        1. `iss` and `aud` are the project's; `sub` is not empty.
        2. One of Google's keys signed it, or the emulator made it.
        3. It is valid now, and its sign-in was in the past.
        4. The account owns the agentId, or claims it.
        """
        project = self._config.project
        if token.claims.get("iss") != ISSUER + project:  # (1)
            raise Refused("iss is another project")
        check_audience(token, [project])
        user = token.text_claim("sub", limit=128)
        if not (self._config.emulator and token.algorithm == "none" and not token.signature):  # (2)
            check_algorithm(token, ALGORITHMS)
            check_signature(token, self._keys.key(token.header.get("kid"), now), ALGORITHMS)
        _, expires = check_times(token, now)  # (3)
        if token.time_claim("auth_time") > now + LEEWAY_MS:
            raise Refused("signed in in the future")
        return admit(  # (4)
            self._registry,
            token,
            owner=f"firebase:{project}:{user}",
            agent_claim=AGENT_CLAIM,
            agent_id=agent_id,
            invite=invite,
            open_to_all=self._open_to_all,
            now=now,
            expires_at=expires,
        )
