"""The exit codes of `agentnet`, and the error that means bad usage. They are kept stable: people script them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DONE = 0  # accepted, answered; without --wait: queued
ERROR = 1
USAGE = 2
REJECTED = 3
NO_ANSWER = 4  # in time; the message is still queued
TAMPERED = 5
FAILED = 6


class Usage(Exception):
    """An argument cannot be understood, or does not go with another. The text is one sentence; exit code 2."""


class Unread(Exception):
    """Who read what is printed has gone; what the command found stands all the same.

    Attributes:
        code: the exit code of what was found.
    """

    def __init__(self, code: int) -> None:
        """Keeps the exit code."""
        super().__init__("nobody reads what is printed")
        self.code = code


@contextmanager
def kept(code: int) -> Iterator[None]:
    """Keeps the exit code of what was found though nobody reads all that is printed of it, as in `… | head -1`."""
    try:
        yield
    except BrokenPipeError:
        raise Unread(code) from None


class Stopped(Exception):
    """A signal asked the program to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        """Keeps the signal's number."""
        super().__init__(f"stopped by signal {number}")
        self.number = number
