"""One look-up for every state table of the protocol.

A state machine here is data: an Enum of states, an Enum of events, one table, and this look-up that raises.
What is not in a table changes nothing, because nothing here holds state: callers store what is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class IllegalTransition(Exception):
    """The event cannot happen in this state.

    Attributes:
        state: The state, unchanged.
        event: The event.
    """

    def __init__(self, state: Enum, event: Enum) -> None:
        super().__init__(f"{event.name} cannot happen in {state.name}")
        self.state = state
        self.event = event


def look_up(table: Mapping[S, Mapping[E, S]], state: S, event: E) -> S:
    """The state that follows.

    Raises:
        IllegalTransition: If the table has no such entry.
    """
    try:
        return table[state][event]
    except KeyError:
        raise IllegalTransition(state, event) from None
