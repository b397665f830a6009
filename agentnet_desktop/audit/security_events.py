"""Checks that the security events which a person is shown are those that the log's entries tell of.

The table of events stands beside the chain; what an event says stands in its entry too, in the details that the
entry's hash covers. Whether a person has seen an event is not checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentnet_desktop.audit.items import Item
from agentnet_desktop.store.log_records import LogContent, SecurityEvent

Named = tuple[int, str]  # the place where it shows, and a sentence
SECURITY = "SECURITY"  # the type of an entry that is nothing but an event


class SecurityEvents:
    """Takes entries in order and holds the events beside them."""

    def __init__(self, events: Iterable[SecurityEvent]) -> None:
        """Begins.

        Args:
            events: all of them, by place.
        """
        self._events = iter(events)
        self._next = next(self._events, None)

    def feed(self, item: Item) -> list[Named]:
        """Takes the next entry and returns what is wrong with its event, or with those before it."""
        found: list[Named] = []
        while self._next is not None and self._next.seq < item.seq:
            found.append(_stray(self._next))
            self._next = next(self._events, None)
        event = None
        if self._next is not None and self._next.seq == item.seq:
            event, self._next = self._next, next(self._events, None)
        if wrong := _wrong(item, event):
            found.append((item.seq, wrong))
        return found

    def finish(self) -> list[Named]:
        """Returns what is wrong with the events after the last entry: that they are there."""
        left = [] if self._next is None else [_stray(self._next)]
        return left + [_stray(event) for event in self._events]


def _stray(event: SecurityEvent) -> Named:
    return event.seq, f"There is a security event of entry {event.seq}, and no such entry."


def _wrong(item: Item, event: SecurityEvent | None) -> str:
    """Returns what is wrong with an entry's event; "" for nothing."""
    body = item.body or {}
    said = _said(item)
    if event is None:
        missing = said is not None and said.get("told") is not None
        return f"The security event of entry {item.seq} is missing." if missing else ""
    own = item.text("messageType") == SECURITY or item.text("state") == "REFUSED"
    if not own or (said is not None and "refused" not in said):
        return f"There is a security event of entry {item.seq}, which tells of none."
    refused, told = (said or {}).get("refused"), (said or {}).get("told")
    right = (event.time, event.peer) == (body["time"], body["peer"])
    right = right and (refused is None or str(refused).split(":")[0] == event.kind)
    right = right and (told is None or told == event.message)
    return "" if right else f"The security event of entry {item.seq} was changed: the entry says otherwise."


def _said(item: Item) -> dict[str, Any] | None:
    """Returns kind and words of the event in an entry's details; None where they are not disclosed."""
    if item.text("messageType") == SECURITY and item.text("direction") == "local":
        if item.details is None or not isinstance(item.content, dict):
            return None
        return {"refused": item.content.get("kind"), "told": item.summary}
    if (
        item.text("state") != "REFUSED" or item.text("messageType") == "INVALID"
    ):  # of no event: nobody's message
        return {}
    if item.details is None:
        return None
    return dict(LogContent(item.seq, None, None, item.details, b"").parsed.security)
