"""What became of a message that was handed to another relay. Plain data; its values cross NATS as they are."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """What the recipient's relay answers, or that it did not."""

    ROUTED = b"routed"  # handed to the recipient's connection
    EXPECTED = b"expected"  # the same, and the recipient watches the sender
    ABSENT = b"absent"  # not there, or unwilling
    SLOW = b"slow"  # the recipient reads too slowly
    UNKNOWN = b"unknown"  # no answer: it may have arrived, or not; never sent
