"""The life of a session (the keys of one handshake): one state table and its limits.

Implements docs/protocol.md section 7.10 (rotation and loss). A session of ours begins PENDING; one that a
peer began, and we answered, begins UNCONFIRMED.

This module holds no keys (`crypto.session` does) and checks no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

from agentnet_desktop.protocol.table import IllegalTransition, look_up

__all__ = [
    "IllegalTransition",
    "SessionEvent",
    "SessionState",
    "may_open",
    "may_seal",
    "next_state",
    "wants_rotation",
]

ROTATE_AFTER_MS: Final = 30 * 24 * 3_600_000
ROTATE_AFTER_MESSAGES: Final = 1_000
TRANSITION_MS: Final = 24 * 3_600_000
"""How long a replaced session, or one of an ended conversation, still opens messages."""
PENDING_LIFE_MS: Final = 7 * 24 * 3_600_000
"""How long an unanswered handshake, and its ephemeral private key, are kept."""
PENDING_RESEND_MS: Final = 3_600_000
"""A pending handshake is sent again, unchanged, at most this often."""
REHANDSHAKE_MS: Final = 60_000
"""A handshake because of a lost session is started at most this often in one conversation."""


class SessionState(StrEnum):
    """Where a session stands."""

    PENDING = "PENDING"  # our HANDSHAKE is out; no keys yet
    UNCONFIRMED = "UNCONFIRMED"  # we answered; the initiator has not shown that it has the keys
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"  # opens for 24 h, seals nothing
    CLOSED = "CLOSED"  # keys wiped


class SessionEvent(Enum):
    """What can happen to a session."""

    ANSWERED = "a valid response to our HANDSHAKE came"
    CONFIRMED = "a valid ACK CONFIRMED came"
    OPENED = "a message opened under it"
    REPLACED = "a newer session of the conversation became ACTIVE"
    ENDED = "the conversation ended"
    LAPSED = "its time was over: 7 days pending, or 24 h retired"
    WIPED = "its keys must go now: both started at once and ours lost, the contact's key was replaced, ..."


_S = SessionState
_E = SessionEvent

TABLE: Final[Mapping[SessionState, Mapping[SessionEvent, SessionState]]] = {
    _S.PENDING: {
        _E.ANSWERED: _S.ACTIVE,
        _E.ENDED: _S.CLOSED,
        _E.LAPSED: _S.CLOSED,
        _E.REPLACED: _S.CLOSED,
        _E.WIPED: _S.CLOSED,
    },
    _S.UNCONFIRMED: {
        _E.CONFIRMED: _S.ACTIVE,
        _E.OPENED: _S.ACTIVE,
        _E.REPLACED: _S.CLOSED,
        _E.ENDED: _S.CLOSED,
        _E.LAPSED: _S.CLOSED,
        _E.WIPED: _S.CLOSED,
    },
    _S.ACTIVE: {
        _E.CONFIRMED: _S.ACTIVE,
        _E.OPENED: _S.ACTIVE,
        _E.REPLACED: _S.RETIRED,
        _E.ENDED: _S.RETIRED,
        _E.WIPED: _S.CLOSED,
    },
    _S.RETIRED: {
        _E.CONFIRMED: _S.RETIRED,
        _E.OPENED: _S.RETIRED,
        _E.REPLACED: _S.RETIRED,
        _E.ENDED: _S.RETIRED,
        _E.LAPSED: _S.CLOSED,
        _E.WIPED: _S.CLOSED,
    },
    _S.CLOSED: {
        _E.WIPED: _S.CLOSED,
    },
}


def next_state(state: SessionState, event: SessionEvent) -> SessionState:
    """The state that follows.

    Raises:
        IllegalTransition: If the table has no such entry; nothing changes.
    """
    return look_up(TABLE, state, event)


def may_seal(state: SessionState) -> bool:
    """Whether messages may be sealed under it."""
    return state is _S.ACTIVE


def may_open(state: SessionState) -> bool:
    """Whether messages may be opened under it."""
    return state in (_S.UNCONFIRMED, _S.ACTIVE, _S.RETIRED)


def wants_rotation(*, age_ms: int, messages: int) -> bool:
    """Whether a new handshake is due by age or count; both limits are soft until the new one is confirmed.

    Args:
        age_ms: Since the session became ACTIVE.
        messages: Sealed and opened under it.
    """
    return age_ms >= ROTATE_AFTER_MS or messages >= ROTATE_AFTER_MESSAGES
