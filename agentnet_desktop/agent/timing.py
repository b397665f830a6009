"""Every span of time that an agent keeps to, in one place and in milliseconds. Data only.

The values are those of docs/protocol.md, *Delivery* and *Sessions*. Tests and the crash bench pass others.
"""

from __future__ import annotations

from dataclasses import dataclass

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Timing:
    """Spans in milliseconds, and the limits that belong to them."""

    message_life: int = 7 * DAY_MS  # an outbox row's
    handshake_life: int = 7 * DAY_MS  # a pending handshake and its ephemeral key
    handshake_repeat: int = HOUR_MS  # a routed handshake is sent again at most this often
    recovery: int = MINUTE_MS  # handshakes for a lost session, per conversation
    probe: int = 5 * MINUTE_MS  # for a peer that the relay did not find
    gap_wait: int = 30 * SECOND_MS  # for a missing `seq`
    transition: int = DAY_MS  # a replaced session still decrypts
    rotation_age: int = 30 * DAY_MS
    rotation_messages: int = 1000
    query_answer: int = DAY_MS  # then TIMEOUT_ERROR in the sender's own log
    anchor_age: int = 5 * MINUTE_MS  # an entry that no signed head covers yet, at most
    anchor_entries: int = 1000  # and so many of them
    store_retry: int = 5 * SECOND_MS  # after a disk that was full or read-only
    linger: int = 20  # what only tells of delivery waits so long for company, which spares transactions
    in_flight: int = 256  # messages sent and not yet delivered; the rest waits in the outbox
