"""The log's filter language: from a line that a person typed to terms, and whether an entry fits them. Pure.

Implements docs/protocol.md, *Filter expressions*: fields `from: to: with: type: conv: state: is: after:
before:` and free words, all joined by *and*; `-` negates; quotes keep words together; `*` at the end of a
value or word stands for any ending. Time and zone are passed in. The SQL for the same terms is
`store.log_search`; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Protocol

from agentnet_desktop.store.search_terms import (
    FAILED_STATES,
    OPEN_STATES,
    Term,
    TermField,
    is_unverified,
    searchable,
    token,
    words,
)

ME = "me"
IS_VALUES = ("failed", "unverified", "encrypted", "pinned", "queued")
_FIELDS = tuple(field.value for field in TermField if field is not TermField.TEXT)
_FIELD = re.compile(r"([A-Za-z]+):")
_BARE = re.compile(r"[^\s\"]+")
_AGO = re.compile(r"(\d{1,6})(s|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class FilterError(ValueError):
    """A filter that cannot be read.

    Attributes:
        position: of the first character that cannot be read, from 0.
        reason: one sentence for a person.
    """

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(f"{reason} (at character {position + 1})")


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read: true of an entry for which all terms are."""

    terms: tuple[Term, ...] = ()
    text: str = ""  # as it was typed


class Matchable(Protocol):
    """What `matches` looks at: the fields of `events.LogRow`, by the same names."""

    @property
    def time(self) -> int:
        """Milliseconds since the epoch."""

    @property
    def direction(self) -> str:
        """`in`, `out` or `local`."""

    @property
    def peer(self) -> str:
        """The peer's agentId."""

    @property
    def conversation_id(self) -> str:
        """The conversation."""

    @property
    def message_type(self) -> str:
        """The inner message's type."""

    @property
    def encrypted(self) -> bool | int:
        """Whether it travelled encrypted."""

    @property
    def verified(self) -> str:
        """`good`, `bad` or `none`."""

    @property
    def state(self) -> str:
        """The delivery state."""

    @property
    def summary(self) -> str:
        """The sentence in the list."""


def parse(expr: str, *, now_ms: int = 0, zone: tzinfo = UTC, own_id: str = "") -> Filter:
    """Reads a filter.

    Args:
        expr: what the person typed; empty lets everything through.
        now_ms: the time, for `after:2h` and `before:today`.
        zone: the person's, for dates without an offset.
        own_id: this agent's id, which `from:` and `to:` take like `me`.

    Raises:
        FilterError: names the position and what is wrong there.
    """
    reader = _Reader(expr, now_ms, zone, own_id)
    terms = []
    while not reader.at_end():
        terms.append(reader.term())
    return Filter(tuple(terms), expr.strip())


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, expr: str, now_ms: int, zone: tzinfo, own_id: str) -> None:
        self._expr = expr
        self._at = 0
        self._now_ms = now_ms
        self._zone = zone
        self._own = token(own_id) if own_id else ME

    def at_end(self) -> bool:
        while self._at < len(self._expr) and self._expr[self._at].isspace():
            self._at += 1
        return self._at == len(self._expr)

    def term(self) -> Term:
        start = self._at
        negated = self._expr[start] == "-" and start + 1 < len(self._expr)
        if negated:
            self._at += 1
        named = _FIELD.match(self._expr, self._at)
        if named is None:
            return self._free_text(negated)
        name = named.group(1).lower()
        if name not in _FIELDS:
            known = " ".join(f"{field}:" for field in _FIELDS)
            raise FilterError(
                self._at, f"There is no field {name}: (known are {known}); quote a word with a colon."
            )
        self._at = named.end()
        position = self._at
        value = self._value()
        if not value.strip("*"):
            raise FilterError(position, f"{name}: needs a value.")
        return self._field(TermField(name), value, negated, position)

    def _value(self) -> str:
        """Reads a quoted or bare value; "" where there is none."""
        if self._expr[self._at : self._at + 1] == '"':
            end = self._expr.find('"', self._at + 1)
            if end < 0:
                raise FilterError(self._at, "This quote is never closed.")
            value = self._expr[self._at + 1 : end]
            self._at = end + 1
            if self._expr[self._at : self._at + 1] == "*":
                self._at += 1
                value += "*"
            return value
        bare = _BARE.match(self._expr, self._at)
        if bare is None:
            return ""
        self._at = bare.end()
        return bare.group()

    def _free_text(self, negated: bool) -> Term:
        position = self._at
        value = self._value()
        found = tuple(words(value))
        if not found:
            raise FilterError(position, "There is no letter or digit to search for.")
        return Term(TermField.TEXT, value, negated, prefix=value.endswith("*"), words=found)

    def _field(self, field: TermField, value: str, negated: bool, position: int) -> Term:
        if field in (TermField.AFTER, TermField.BEFORE):
            return Term(field, value.lower(), negated, time=self._time(value, position))
        if field is TermField.IS:
            if value.lower() not in IS_VALUES:
                raise FilterError(position, f"is: takes one of {', '.join(IS_VALUES)}.")
            return Term(field, value.lower(), negated)
        prefix = value.endswith("*")
        wanted = token(value.rstrip("*"))
        if field in (TermField.FROM, TermField.TO) and wanted == self._own and not prefix:
            wanted = ME
        return Term(field, wanted, negated, prefix)

    def _time(self, value: str, position: int) -> int:
        """Reads a date, a date and time, `today`, `yesterday`, `now`, or a length of time ago such as `2h`."""
        now = datetime.fromtimestamp(self._now_ms / 1000, self._zone)
        ago = _AGO.fullmatch(value.lower())
        if ago is not None:
            return self._now_ms - int(ago.group(1)) * _UNITS[ago.group(2)] * 1000
        if value.lower() == "now":
            return self._now_ms
        days = {"today": 0, "yesterday": 1}.get(value.lower())
        try:
            if days is not None:
                moment = datetime.combine(now.date() - timedelta(days=days), time(), self._zone)
            else:
                moment = datetime.fromisoformat(value)
                moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)
            return int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            raise FilterError(
                position, "This is no time: write 2026-03-01, 2026-03-01T14:30, today, yesterday or 2h."
            ) from None


def matches(
    wanted: Filter, row: Matchable, *, content: Mapping[str, Any] | None = None, pinned: bool = False
) -> bool:
    """Tells whether an entry fits a filter.

    Args:
        wanted: the filter.
        row: the entry.
        content: its decrypted content, whose texts are searched like the summary.
        pinned: whether a person pinned it.
    """
    return all(_fits(term, row, content, pinned) != term.negated for term in wanted.terms)


def _fits(term: Term, row: Matchable, content: Mapping[str, Any] | None, pinned: bool) -> bool:
    match term.field:
        case TermField.FROM:
            return _party(term, row, theirs="in", ours="out")
        case TermField.TO:
            return _party(term, row, theirs="out", ours="in")
        case TermField.WITH:
            return _same(term, row.peer)
        case TermField.TYPE:
            return _same(term, row.message_type)
        case TermField.CONVERSATION:
            return _same(term, row.conversation_id)
        case TermField.STATE:
            return _same(term, row.state)
        case TermField.IS:
            return _is(term.value, row, pinned)
        case TermField.AFTER:
            return row.time >= term.time
        case TermField.BEFORE:
            return row.time < term.time
        case _:  # free text, the only field left
            return _has_words(term, searchable(row.summary, content).split(" "))


def _same(term: Term, value: str) -> bool:
    found = token(value)
    return found.startswith(term.value) if term.prefix else found == term.value


def _party(term: Term, row: Matchable, *, theirs: str, ours: str) -> bool:
    if term.value == ME and not term.prefix:
        return row.direction == ours
    return row.direction == theirs and _same(term, row.peer)


def _is(value: str, row: Matchable, pinned: bool) -> bool:
    match value:
        case "failed":
            return row.state in FAILED_STATES
        case "queued":
            return row.state in OPEN_STATES
        case "encrypted":
            return bool(row.encrypted)
        case "pinned":
            return pinned
        case _:
            return is_unverified(row.direction, row.peer, row.verified)


def _has_words(term: Term, text: list[str]) -> bool:
    count = len(term.words)
    for start in range(len(text) - count + 1):
        window = text[start : start + count]
        if window[:-1] != list(term.words[:-1]):
            continue
        if window[-1] == term.words[-1] or (term.prefix and window[-1].startswith(term.words[-1])):
            return True
    return False
