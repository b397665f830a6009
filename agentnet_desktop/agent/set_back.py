"""What the database planned by a clock that was ahead is planned anew when the clock was set back.

Belongs to docs/protocol.md, *Delivery*: each wait there has a longest span, so a time further away than that was
written under a clock that has been set back since, and would otherwise stand still until the clock has caught up.
Done when the queue of deadlines notices, and at every start. A clock set forward needs nothing: what is due early
is sent, repeated or looked at early, and repeats do no harm. Decides nothing beyond the spans.
"""

from __future__ import annotations

from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.timing import Timing
from agentnet_desktop.protocol.delivery import LIFETIME_MS, LONGEST_RETRY_MS
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, inbox, outbox, queries, sessions


def plan_anew(turn: Turn, timing: Timing) -> None:
    """Brings every time in the database that no schedule could have set within its span."""
    now = turn.now
    outbox.pull_in(turn.session, now, retry=LONGEST_RETRY_MS, life=LIFETIME_MS)
    sessions.pull_in(
        turn.session,
        now,
        repeats={
            SessionState.PENDING: max(timing.handshake_repeat, timing.probe),
            SessionState.UNCONFIRMED: LONGEST_RETRY_MS,
        },
        kept={SessionState.PENDING: timing.handshake_life, SessionState.RETIRED: timing.transition},
    )
    inbox.pull_in(turn.session, now + timing.gap_wait)
    queries.pull_in(turn.session, now + timing.query_answer)
    contacts.pull_in(turn.session, now)
