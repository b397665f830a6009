"""What modes with accounts have in common: which account owns an agentId (docs/protocol.md 11.3).

An account owns the agentId that it claimed with an invite, or that a claim of its token names.
"""

from __future__ import annotations

from relay.auth.grant import Grant
from relay.auth.registry import Registry
from relay.auth.tokens import Refused, Token
from relay.wire.envelope import agent_key, is_agent_id


def admit(
    registry: Registry,
    token: Token,
    *,
    owner: str,
    agent_claim: str,
    agent_id: str,
    invite: str | None,
    open_to_all: bool,
    now: int,
    expires_at: int,
) -> Grant:
    """Let an account in under an agentId. The token has been verified.

    Args:
        registry: who owns which agentId.
        token: verified.
        owner: the account, as the registry names it.
        agent_claim: the claim that may name the agentId.
        agent_id: the agentId asked for, or "".
        invite: an invite code that came beside the token, or None.
        open_to_all: whether a free agentId may be claimed without an invite.
        now: ms since the Unix epoch.
        expires_at: when the token ends, ms since the Unix epoch.

    Raises:
        Refused: the account may not connect as that agent.
    """
    named = token.claims.get(agent_claim)
    is_named = isinstance(named, str)
    wanted = agent_id or (named if isinstance(named, str) else "")
    if not is_agent_id(wanted) or (isinstance(named, str) and agent_key(named) != agent_key(wanted)):
        raise Refused("no agentId, or not the one that the token names")
    admitted = registry.admit(
        wanted, owner, spend=None, invite=invite, open_to_all=open_to_all or is_named, now=now
    )
    if not admitted:
        raise Refused("the agentId is another's, is revoked, or there is no invite that can be redeemed")
    return Grant(wanted, owner, expires_at)
