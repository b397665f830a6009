"""The life of an outbox row: one state table, the retry schedule, and what an ERROR does.

Implements docs/protocol.md section 9 (delivery).

This module sends nothing, stores nothing and checks no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

from agentnet_desktop.protocol.table import IllegalTransition, look_up
from relay.wire.envelope import Priority
from relay.wire.errors import ERRORS, ClientAction, ErrorCode

__all__ = [
    "DeliveryEvent",
    "DeliveryState",
    "FailureReason",
    "IllegalTransition",
    "expiry",
    "is_final",
    "next_state",
    "on_error",
    "retry_delay_ms",
    "send_order",
]

FIRST_RETRY_MS: Final = 5_000
LONGEST_RETRY_MS: Final = 300_000
MAX_ATTEMPTS: Final = 12
PROBE_MS: Final = 300_000
"""How often a row for an offline peer is tried when the relay tells no presence."""
LIFETIME_MS: Final = 7 * 24 * 3_600_000


class DeliveryState(StrEnum):
    """Where a message of ours stands."""

    QUEUED = "QUEUED"
    IN_FLIGHT = "IN_FLIGHT"  # handed to the connection
    ROUTED = "ROUTED"  # the relay handed it over; no proof of delivery
    DELIVERED = "DELIVERED"  # the peer has it on disk, by its signed receipt
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"


class DeliveryEvent(Enum):
    """What can happen to a row."""

    SENT = "it was handed to the connection"
    ROUTED = "ACK ROUTED came"
    RECEIPT = "a valid ACK DELIVERED came, for any of its ciphertexts"
    NOT_FOUND = "ERROR RECIPIENT_NOT_FOUND came"
    DISCONNECTED = "the connection was lost"
    RESEALED = "its session was replaced, and it was sealed again"
    RESEND = "it must be sent again: the relay asked for it, or the person did"
    EXPIRE = "its time was over"
    FAIL = "it cannot be delivered; see the FailureReason"


class FailureReason(StrEnum):
    """Why a row FAILED."""

    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"  # 12 attempts while the peer was online
    REFUSED_BY_RELAY = "REFUSED_BY_RELAY"  # an ERROR from the relay that trying again cannot mend
    REFUSED_BY_PEER = "REFUSED_BY_PEER"  # an ENCRYPTED ERROR: the content did not validate
    TOO_LARGE = "TOO_LARGE"  # does not fit maxMessageBytes
    UNSENDABLE = "UNSENDABLE"  # it has no canonical form, or cannot be sealed
    CANCELLED = "CANCELLED"  # by the person
    CONTACT_GONE = "CONTACT_GONE"  # blocked or removed
    CONVERSATION_ENDED = "CONVERSATION_ENDED"


MAY_PASS: Final = frozenset(
    {FailureReason.ATTEMPTS_EXHAUSTED, FailureReason.REFUSED_BY_RELAY, FailureReason.TOO_LARGE}
)
"""Reasons that may pass: what such a message is about is not over, and it may well be sent again."""

_S = DeliveryState
_E = DeliveryEvent

TABLE: Final[Mapping[DeliveryState, Mapping[DeliveryEvent, DeliveryState]]] = {
    _S.QUEUED: {
        _E.SENT: _S.IN_FLIGHT,
        _E.ROUTED: _S.ROUTED,
        _E.RECEIPT: _S.DELIVERED,
        _E.NOT_FOUND: _S.QUEUED,
        _E.DISCONNECTED: _S.QUEUED,
        _E.RESEALED: _S.QUEUED,
        _E.RESEND: _S.QUEUED,
        _E.EXPIRE: _S.EXPIRED,
        _E.FAIL: _S.FAILED,
    },
    _S.IN_FLIGHT: {
        _E.SENT: _S.IN_FLIGHT,
        _E.ROUTED: _S.ROUTED,
        _E.RECEIPT: _S.DELIVERED,
        _E.NOT_FOUND: _S.QUEUED,
        _E.DISCONNECTED: _S.QUEUED,
        _E.RESEALED: _S.QUEUED,
        _E.RESEND: _S.QUEUED,
        _E.EXPIRE: _S.EXPIRED,
        _E.FAIL: _S.FAILED,
    },
    _S.ROUTED: {
        _E.SENT: _S.IN_FLIGHT,
        _E.ROUTED: _S.ROUTED,
        _E.RECEIPT: _S.DELIVERED,
        _E.NOT_FOUND: _S.QUEUED,
        _E.DISCONNECTED: _S.ROUTED,
        _E.RESEALED: _S.QUEUED,
        _E.RESEND: _S.QUEUED,
        _E.EXPIRE: _S.EXPIRED,
        _E.FAIL: _S.FAILED,
    },
    # A receipt is the peer's signed word, and true whenever it comes.
    _S.DELIVERED: {
        _E.ROUTED: _S.DELIVERED,
        _E.RECEIPT: _S.DELIVERED,
        _E.NOT_FOUND: _S.DELIVERED,
        _E.DISCONNECTED: _S.DELIVERED,
    },
    _S.EXPIRED: {
        _E.ROUTED: _S.EXPIRED,
        _E.RECEIPT: _S.DELIVERED,
        _E.NOT_FOUND: _S.EXPIRED,
        _E.DISCONNECTED: _S.EXPIRED,
        _E.RESEND: _S.QUEUED,
    },
    _S.FAILED: {
        _E.ROUTED: _S.FAILED,
        _E.RECEIPT: _S.DELIVERED,
        _E.NOT_FOUND: _S.FAILED,
        _E.DISCONNECTED: _S.FAILED,
        _E.RESEND: _S.QUEUED,
    },
}

_FINAL: Final = frozenset({_S.DELIVERED, _S.EXPIRED, _S.FAILED})
_RANK: Final = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


def next_state(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """The state that follows.

    Raises:
        IllegalTransition: If the table has no such entry; nothing changes.
    """
    return look_up(TABLE, state, event)


def is_final(state: DeliveryState) -> bool:
    """Whether the agent does nothing more for the row by itself."""
    return state in _FINAL


def retry_delay_ms(attempts: int) -> int:
    """How long to wait for a receipt after so many attempts, in ms: 5 s, doubling, up to 5 min.

    Args:
        attempts: Made so far, from 1.

    Raises:
        ValueError: If no attempt was made.
    """
    if attempts < 1:
        raise ValueError("the first attempt waits for nothing")
    return min(FIRST_RETRY_MS << min(attempts - 1, MAX_ATTEMPTS), LONGEST_RETRY_MS)


def expiry(created_ms: int, proposal_expires_ms: int | None = None) -> int:
    """When a row expires: 7 days after it was made, or with the proposal it carries if that is sooner."""
    latest = created_ms + LIFETIME_MS
    return latest if proposal_expires_ms is None else min(latest, proposal_expires_ms)


def send_order(priority: Priority) -> int:
    """Rank between conversations, smallest first; inside a conversation it is first in, first out."""
    return _RANK[priority]


def on_error(code: str, *, recoverable: bool, resent: bool) -> DeliveryEvent | None:
    """What an ERROR from the relay does to the row that it names.

    Args:
        code: `errorCode`, perhaps one this version does not know.
        recoverable: As the ERROR says.
        resent: Whether the row was already encoded and sent again because of such an ERROR.

    Returns:
        The event, or None: the row stays as it is and is retried on schedule.
    """
    if code == ErrorCode.RECIPIENT_NOT_FOUND:
        return DeliveryEvent.NOT_FOUND
    if not recoverable:
        return DeliveryEvent.FAIL
    known = ERRORS.get(ErrorCode(code)) if code in ErrorCode.__members__ else None
    if known is not None and known.client_action is ClientAction.RESEND_ONCE:
        return DeliveryEvent.FAIL if resent else DeliveryEvent.RESEND
    return None
