"""Trust in a contact: one state table, and what each state allows.

Implements docs/protocol.md section 10.1 (contact states). A key is pinned at approval. BLOCKED answers
nothing; KEY_CHANGED keeps receiving under the pinned key and sends nothing.

This module stores nothing and checks no key (`crypto` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

from agentnet_desktop.protocol.table import IllegalTransition, look_up

__all__ = [
    "ContactEvent",
    "ContactState",
    "IllegalTransition",
    "gets_answers",
    "may_answer_automatically",
    "may_receive",
    "may_send",
    "next_state",
    "refusal",
]


class ContactState(StrEnum):
    """How far an agent is trusted."""

    UNKNOWN = "UNKNOWN"
    PENDING = "PENDING"  # it asked; the person has not answered
    APPROVED = "APPROVED"
    VERIFIED = "VERIFIED"
    BLOCKED = "BLOCKED"
    KEY_CHANGED = "KEY_CHANGED"


class ContactEvent(Enum):
    """What can happen to a contact."""

    ASKED = "a HANDSHAKE came from it"
    APPROVE = "the person approved it, or started a handshake with it"
    PROVE = "its HANDSHAKE carried a valid contactProof"
    VERIFY = "the person compared the safety number, or its key was read from its contact link"
    BLOCK = "the person blocked it"
    CHANGE_KEY = "a HANDSHAKE came under another identity key than the pinned one"
    ACCEPT_KEY = "the person accepted the new key"
    REFUSE_KEY_APPROVED = "the person refused the new key of a contact that was APPROVED"
    REFUSE_KEY_VERIFIED = "the person refused the new key of a contact that was VERIFIED"


_S = ContactState
_E = ContactEvent

TABLE: Final[Mapping[ContactState, Mapping[ContactEvent, ContactState]]] = {
    _S.UNKNOWN: {
        _E.ASKED: _S.PENDING,
        _E.APPROVE: _S.APPROVED,
        _E.PROVE: _S.APPROVED,
        _E.VERIFY: _S.VERIFIED,
        _E.BLOCK: _S.BLOCKED,
    },
    _S.PENDING: {
        _E.ASKED: _S.PENDING,
        _E.APPROVE: _S.APPROVED,
        _E.PROVE: _S.APPROVED,
        _E.VERIFY: _S.VERIFIED,
        _E.BLOCK: _S.BLOCKED,
    },
    _S.APPROVED: {
        _E.ASKED: _S.APPROVED,
        _E.APPROVE: _S.APPROVED,
        _E.PROVE: _S.APPROVED,
        _E.VERIFY: _S.VERIFIED,
        _E.BLOCK: _S.BLOCKED,
        _E.CHANGE_KEY: _S.KEY_CHANGED,
    },
    _S.VERIFIED: {
        _E.ASKED: _S.VERIFIED,
        _E.APPROVE: _S.VERIFIED,
        _E.PROVE: _S.VERIFIED,
        _E.VERIFY: _S.VERIFIED,
        _E.BLOCK: _S.BLOCKED,
        _E.CHANGE_KEY: _S.KEY_CHANGED,
    },
    _S.BLOCKED: {
        _E.ASKED: _S.BLOCKED,
        _E.APPROVE: _S.APPROVED,
        _E.PROVE: _S.BLOCKED,
        _E.BLOCK: _S.BLOCKED,
        _E.CHANGE_KEY: _S.BLOCKED,
    },
    _S.KEY_CHANGED: {
        _E.ASKED: _S.KEY_CHANGED,
        _E.PROVE: _S.KEY_CHANGED,
        _E.BLOCK: _S.BLOCKED,
        _E.CHANGE_KEY: _S.KEY_CHANGED,
        _E.ACCEPT_KEY: _S.APPROVED,
        _E.REFUSE_KEY_APPROVED: _S.APPROVED,
        _E.REFUSE_KEY_VERIFIED: _S.VERIFIED,
    },
}

_TRUSTED: Final = frozenset({_S.APPROVED, _S.VERIFIED})


def next_state(state: ContactState, event: ContactEvent) -> ContactState:
    """The state that follows.

    Raises:
        IllegalTransition: If the table has no such entry; nothing changes.
    """
    return look_up(TABLE, state, event)


def refusal(before: ContactState) -> ContactEvent:
    """The event of refusing a new key, which restores the state from before the change.

    Raises:
        ValueError: For a state that no key change can have come from.
    """
    if before not in _TRUSTED:
        raise ValueError(f"a key change does not come from {before}")
    return _E.REFUSE_KEY_VERIFIED if before is _S.VERIFIED else _E.REFUSE_KEY_APPROVED


def may_send(state: ContactState) -> bool:
    """Whether messages and handshakes may go out to it."""
    return state in _TRUSTED


def may_answer_automatically(state: ContactState) -> bool:
    """Whether its queries may be answered without the person."""
    return state in _TRUSTED


def gets_answers(state: ContactState) -> bool:
    """Whether its handshakes are answered; who is not approved learns nothing."""
    return state in _TRUSTED


def may_receive(state: ContactState) -> bool:
    """Whether its messages are opened and acknowledged, under sessions of the pinned key."""
    return state in _TRUSTED or state is _S.KEY_CHANGED
