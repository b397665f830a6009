"""The messages that were handed to other relays and wait for an answer: how many, how large, since when.

Bounded in number and bytes, so that relays that do not answer cost no memory. Pure: times are passed in, in ms.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from relay.connection import Connection
from relay.wire.codec import Routing
from relay.wire.envelope import MessageType

ANSWER_MS: Final = 5000
"""How long an answer may take; after it, what became of the message is not known."""
MAX_FORWARDS: Final = 20_000
MAX_FORWARDED_BYTES: Final = 32 << 20


class Waiting(NamedTuple):
    """One message without an answer yet.

    Attributes:
        sender: the connection that is to be told.
        size: its bytes.
        until: when it is given up, ms.
    """

    sender: Connection
    message_id: str
    message_type: MessageType
    size: int
    until: int


class Forwards:
    """What is under way, by number; the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        self._number = 0
        self._size = 0

    def begin(self, sender: Connection, message: Routing, size: int, now: int) -> int:
        """Count a message in.

        Returns:
            Its number, or 0 when too much is under way.
        """
        if len(self._waiting) >= MAX_FORWARDS or self._size + size > MAX_FORWARDED_BYTES:
            return 0
        self._number += 1
        self._size += size
        self._waiting[self._number] = Waiting(
            sender, message.message_id, message.message_type, size, now + ANSWER_MS
        )
        return self._number

    def end(self, number: int) -> Waiting | None:
        """Count a message out; None when it has been given up, or there never was one of that number."""
        found = self._waiting.pop(number, None)
        if found is not None:
            self._size -= found.size
        return found

    def overdue(self, now: int) -> list[Waiting]:
        """Give up what has waited too long."""
        late = []
        for number, waiting in self._waiting.items():
            if waiting.until > now:
                break
            late.append((number, waiting))
        for number, _ in late:
            self.end(number)
        return [waiting for _, waiting in late]

    def give_up(self) -> list[Waiting]:
        """Give up everything."""
        everything = list(self._waiting.values())
        self._waiting.clear()
        self._size = 0
        return everything
