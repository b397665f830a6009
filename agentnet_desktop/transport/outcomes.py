"""What each way of losing a connection means: when to try again, and what to tell a person.

Implements the close codes and upgrade refusals of docs/protocol.md, section "Transport". Tables only; the
machine in `connection` acts on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from relay.wire.errors import CloseCode


class Plan(Enum):
    """When to try again."""

    AT_ONCE = "at once, then with growing delays"
    BACKOFF = "with growing delays from the start"
    FRESH_TOKEN = "with a fresh token"
    HALT = "not before a person says so"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one connection, or one attempt, ended.

    Attributes:
        plan: when to try again.
        kind: a stable word.
        reason: one sentence for a person.
    """

    plan: Plan
    kind: str
    reason: str


LOST = Outcome(Plan.AT_ONCE, "CONNECTION_LOST", "The connection to the relay was lost.")
NO_ECHO = Outcome(Plan.AT_ONCE, "TIMEOUT_ERROR", "The relay no longer answers; connecting anew.")
NO_GREETING = Outcome(Plan.BACKOFF, "TIMEOUT_ERROR", "The relay accepted the connection but said nothing.")
BAD_GREETING = Outcome(
    Plan.BACKOFF,
    "PROTOCOL_VIOLATION",
    "The relay's greeting could not be read; it may be of another version.",
)
NO_TOKEN = Outcome(Plan.BACKOFF, "AUTHENTICATION_ERROR", "The sign-in takes too long.")
SIGN_IN_ENDED = Outcome(Plan.HALT, "SIGN_IN_ENDED", "The sign-in has ended: sign in again.")
REFUSED = Outcome(
    Plan.FRESH_TOKEN,
    "AUTHENTICATION_FAILED",
    "The relay refused this agent's sign-in. If this goes on, ask its operator for a new invite.",
)

CLOSES: Mapping[int, Outcome] = MappingProxyType(
    {
        CloseCode.GOING_AWAY: Outcome(
            Plan.BACKOFF, "GOING_AWAY", "The relay is shutting down or restarting."
        ),
        CloseCode.TOO_BIG: Outcome(
            Plan.BACKOFF, "TOO_BIG", "The relay closed the connection because a frame was too large."
        ),
        CloseCode.PROTOCOL_VIOLATION: Outcome(
            Plan.HALT,
            "PROTOCOL_VIOLATION",
            "The relay closed the connection because of a violation of the protocol. "
            "Look into the log, then reconnect.",
        ),
        CloseCode.UNAUTHENTICATED: REFUSED,
        CloseCode.TIMED_OUT: Outcome(
            Plan.BACKOFF, "TIMEOUT_ERROR", "The relay closed the connection because it heard nothing."
        ),
        CloseCode.REPLACED: Outcome(
            Plan.HALT,
            "REPLACED",
            "This agent connected from somewhere else, and the newest connection wins. Reconnect to take it back.",
        ),
        CloseCode.SLOW_CONSUMER: Outcome(
            Plan.BACKOFF,
            "SLOW_CONSUMER",
            "The relay closed the connection because messages were read too slowly.",
        ),
        CloseCode.RATE_LIMITED: Outcome(
            Plan.BACKOFF,
            "RATE_LIMIT_EXCEEDED",
            "The relay closed the connection because of too many messages.",
        ),
        CloseCode.CONNECTION_LIMIT: Outcome(
            Plan.BACKOFF, "CONNECTION_LIMIT_EXCEEDED", "The relay takes no more connections at the moment."
        ),
    }
)

REFUSALS: Mapping[int, Outcome] = MappingProxyType(
    {
        401: REFUSED,
        429: Outcome(Plan.BACKOFF, "RATE_LIMIT_EXCEEDED", "The relay asks for fewer attempts to connect."),
        503: Outcome(
            Plan.BACKOFF, "CONNECTION_LIMIT_EXCEEDED", "The relay takes no more connections at the moment."
        ),
    }
)


def of_close(code: int) -> Outcome:
    """Returns what a WebSocket close code means; codes without their own handling mean a lost connection."""
    return CLOSES.get(code, LOST)


def of_refusal(status: int) -> Outcome:
    """Returns what an HTTP status in answer to the upgrade means."""
    known = REFUSALS.get(status)
    if known is not None:
        return known
    return Outcome(
        Plan.BACKOFF,
        "NOT_A_RELAY",
        f"There is no AgentNet relay at this address (HTTP {status}); check the relay's address.",
    )


def unreachable(kind: str, words: str) -> Outcome:
    """Returns the outcome of an attempt that found no relay.

    Args:
        kind: a stable word, such as UNREACHABLE or TLS.
        words: what went wrong, a few words.
    """
    return Outcome(Plan.AT_ONCE, kind, f"The relay cannot be reached: {words}.")
