"""What a verified token gives a connection. Plain data; how it is verified is in `tokens` and the modes."""

from __future__ import annotations

from typing import NamedTuple


class Grant(NamedTuple):
    """What a good token gives.

    Attributes:
        agent_id: the agentId, as it was asked for.
        owner: who owns it, as in the registry.
        expires_at: when the token ends, ms since the Unix epoch.
    """

    agent_id: str
    owner: str
    expires_at: int
