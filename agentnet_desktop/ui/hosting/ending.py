"""Why the bundled relay ended by itself: what kind of end it was, and its last words. Pure: no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_PROGRAM = "agentnet-relay: "


class EndKind(StrEnum):
    """Why it ended, as far as its words tell."""

    PORT_TAKEN = "port-taken"  # something else listens there
    REFUSED = "refused"  # it said why it does not start, in a sentence of its own
    DIED = "died"  # it ran, or gave no reason


@dataclass(frozen=True, slots=True)
class Ending:
    """One end that nobody asked for.

    Attributes:
        kind: Why.
        words: Its last words; "" when it left none.
        code: Its exit code, or the number of the signal that killed it.
        crashed: A signal killed it.
    """

    kind: EndKind
    words: str
    code: int
    crashed: bool


def ending(lines: Sequence[str], *, code: int, crashed: bool, ran: bool) -> Ending:
    """Judge how the relay ended.

    Args:
        lines: What it wrote since it was started, oldest first.
        code: Its exit code, or the signal's number.
        crashed: Whether a signal killed it.
        ran: Whether it had listened before.
    """
    told = next((line for line in reversed(lines) if line.startswith(_PROGRAM)), "")
    if told and not crashed:
        words = told.removeprefix(_PROGRAM)
        taken = "Cannot listen on" in words and "in use" in words
        return Ending(EndKind.PORT_TAKEN if taken else EndKind.REFUSED, words, code, crashed)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    # A log line of a healthy relay explains nothing: only what it wrote in trouble is its last word.
    healthy = ran and (" info " in last or last.startswith(("listening on ", "metrics on ")))
    return Ending(EndKind.DIED, "" if healthy else last, code, crashed)
