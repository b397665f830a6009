"""The phases of the client's connection machine, what a face sees of each, and which events may come late.

Tables only; `connection` has the rules. Implements the life cycle of docs/protocol.md, section "Transport".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from agentnet_desktop.transport import signals
from agentnet_desktop.transport.signals import Event, State


class Phase(Enum):
    """Where the machine stands; finer than the `State` that a face shows."""

    NEW = "NEW"
    ASKING = "ASKING"
    DIALLING = "DIALLING"
    GREETING = "GREETING"
    LIVE = "LIVE"
    LEAVING = "LEAVING"
    WAITING = "WAITING"
    HALTED = "HALTED"
    ENDED = "ENDED"


STATES: Mapping[Phase, State] = MappingProxyType(
    {
        Phase.NEW: State.OFFLINE,
        Phase.ASKING: State.CONNECTING,
        Phase.DIALLING: State.CONNECTING,
        Phase.GREETING: State.CONNECTING,
        Phase.LIVE: State.CONNECTED,
        Phase.LEAVING: State.OFFLINE,
        Phase.WAITING: State.WAITING,
        Phase.HALTED: State.STOPPED,
        Phase.ENDED: State.OFFLINE,
    }
)

# What may come late, or out of season, and then means nothing: a token asked for by a connection that is gone,
# a timer that fired while its phase ended, a person's wish that is being fulfilled already.
LATE: Mapping[Phase, frozenset[type[Event]]] = MappingProxyType(
    {
        Phase.NEW: frozenset({signals.Tick, signals.Reconnect, signals.NetworkChanged}),
        Phase.ASKING: frozenset({signals.Reconnect, signals.NetworkChanged}),
        Phase.DIALLING: frozenset(
            {signals.Reconnect, signals.Tick, signals.TokenReceived, signals.TokenFailed}
        ),
        Phase.GREETING: frozenset({signals.Reconnect, signals.TokenReceived, signals.TokenFailed}),
        Phase.LEAVING: frozenset(
            {signals.Reconnect, signals.NetworkChanged, signals.TokenReceived, signals.TokenFailed}
        ),
        Phase.WAITING: frozenset({signals.TokenReceived, signals.TokenFailed}),
        Phase.HALTED: frozenset(
            {signals.Tick, signals.NetworkChanged, signals.TokenReceived, signals.TokenFailed}
        ),
        Phase.ENDED: frozenset(
            {
                signals.Tick,
                signals.Reconnect,
                signals.NetworkChanged,
                signals.Stop,
                signals.TokenReceived,
                signals.TokenFailed,
            }
        ),
    }
)
