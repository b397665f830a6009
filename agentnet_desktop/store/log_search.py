"""Turns the terms of a filter into SQL over the log, and reads pages of it.

All terms that can go into one full-text query do: it then walks only entries for which all of them are true,
however rare or common each is alone. A negated term becomes one over the other values that its column has had.
`after:` and `before:` become a range of places, by the hours of the clock that `log_index` keeps. What the
full text does not hold (which of the open states, exact times, pins) is checked on the entries themselves.
`audit.filter.matches` says the same of one entry in memory; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from agentnet_desktop.store.log_index import HOUR_MS, OPEN
from agentnet_desktop.store.log_records import LogEntry
from agentnet_desktop.store.search_terms import FAILED_STATES, OPEN_STATES, Term, TermField, token

MOST_VALUES = 200  # of a column, up to which a negated term is turned round
_COLUMNS = ", ".join(f"e.{column}" for column in LogEntry.__struct_fields__)
_OPEN_TOKENS = tuple(token(state) for state in OPEN_STATES)
_TEXT_COLUMNS = {TermField.WITH: "peer", TermField.TYPE: "type", TermField.CONVERSATION: "conversation"}
_FLAGS = {
    "encrypted": 'flags : "encrypted"',
    "unverified": 'flags : "unverified"',
    "queued": f'state : "{OPEN}"',
}


@dataclass
class _Plan:
    """One search being built."""

    positive: list[str] = field(default_factory=list)  # full-text conditions
    negative: list[str] = field(default_factory=list)
    where: list[str] = field(default_factory=list)  # SQL conditions on the entry `e`
    parameters: list[Any] = field(default_factory=list)
    first: int = 1  # the range of places
    last: int | None = None
    by_pin: bool = False

    def check(self, condition: str, *parameters: Any) -> None:
        self.where.append(condition)
        self.parameters.extend(parameters)

    @property
    def match(self) -> str:
        """The full-text query; "" when none is needed."""
        if not self.positive and not self.negative:
            return ""
        wanted = " AND ".join(f"({part})" for part in self.positive or ['flags : "any"'])
        return f"({wanted})" + "".join(f" NOT ({part})" for part in self.negative)


def page(
    session: Session,
    terms: Sequence[Term],
    *,
    before_seq: int | None = None,
    after_seq: int | None = None,
    limit: int = 200,
) -> list[LogEntry]:
    """Returns entries for which all terms hold, in the log's order.

    Args:
        session: of the job.
        terms: of the filter; none lets everything through.
        before_seq: the last ones before this place; without either, the log's last ones.
        after_seq: the first ones after this place.
        limit: at most this many.
    """
    plan = _plan(session, terms)
    forward = after_seq is not None and before_seq is None
    if after_seq is not None:
        plan.first = max(plan.first, after_seq + 1)
    if before_seq is not None:
        plan.last = before_seq - 1 if plan.last is None else min(plan.last, before_seq - 1)
    order = "ASC" if forward else "DESC"
    statement, parameters = _statement(plan, _COLUMNS)
    parameters.append(limit)
    text = " ".join((statement, "ORDER BY", _place(plan), order, "LIMIT ?"))
    rows = session.connection().exec_driver_sql(text, tuple(parameters)).all()
    return [LogEntry(*row) for row in (rows if forward else reversed(rows))]


def count(session: Session, terms: Sequence[Term]) -> int:
    """Returns for how many entries all terms hold."""
    statement, parameters = _statement(_plan(session, terms), "count(*)")
    return int(session.connection().exec_driver_sql(statement, tuple(parameters)).scalar_one())


def _place(plan: _Plan) -> str:
    return "p.seq" if plan.by_pin else "f.rowid" if plan.match else "e.seq"


def _statement(plan: _Plan, columns: str) -> tuple[str, list[Any]]:
    """Returns the SQL without its order, and its parameters. CROSS JOIN keeps the order of the tables."""
    tables = ["log_pin AS p"] if plan.by_pin else []
    if plan.match:
        tables.append("log_text AS f")
    if plan.where or columns != "count(*)" or not tables:
        tables.append("log_entry AS e")
    place = _place(plan)
    names = [table.split()[-1] + (".rowid" if table.startswith("log_text") else ".seq") for table in tables]
    where = [f"{name} = {names[0]}" for name in names[1:]]
    parameters: list[Any] = []
    if plan.match:
        where.append("log_text MATCH ?")
        parameters.append(plan.match)
    where.append(f"{place} >= ?")
    parameters.append(plan.first)
    if plan.last is not None:
        where.append(f"{place} <= ?")
        parameters.append(plan.last)
    text = " ".join(
        ("SELECT", columns, "FROM", " CROSS JOIN ".join(tables), "WHERE", " AND ".join(where + plan.where))
    )
    return text, parameters + plan.parameters


def _plan(session: Session, terms: Sequence[Term]) -> _Plan:
    plan = _Plan()
    for term in terms:
        _add(session, plan, term)
    return plan


def _add(session: Session, plan: _Plan, term: Term) -> None:
    match term.field:
        case TermField.AFTER | TermField.BEFORE:
            _add_time(session, plan, term)
        case TermField.STATE:
            _add_state(session, plan, term)
        case TermField.IS if term.value == "pinned":
            if term.negated:
                plan.check("NOT EXISTS (SELECT 1 FROM log_pin WHERE log_pin.seq = e.seq)")
            else:
                plan.by_pin = True
        case TermField.WITH | TermField.TYPE if term.negated:
            column = _TEXT_COLUMNS[term.field]
            others = _others(session, column, term)
            if others is None:
                plan.negative.append(_text(term))
            else:
                plan.positive.append(_any_of(column, others))
        case _:
            (plan.negative if term.negated else plan.positive).append(_text(term))


def _text(term: Term) -> str:
    """Returns the full-text condition that a term stands for when it is not negated."""
    star = " *" if term.prefix else ""
    match term.field:
        case TermField.TEXT:
            phrase = " ".join(term.words)
            return f'words : "{phrase}"{star}'
        case TermField.IS if term.value == "failed":
            return _any_of("state", [token(state) for state in FAILED_STATES])
        case TermField.IS:
            return _FLAGS[term.value]
        case TermField.FROM | TermField.TO:
            theirs, ours = ("in", "out") if term.field is TermField.FROM else ("out", "in")
            if term.value == "me" and not term.prefix:
                return f'flags : "{ours}"'
            return f'flags : "{theirs}" AND peer : "{term.value}"{star}'
        case _:
            return f'{_TEXT_COLUMNS[term.field]} : "{term.value}"{star}'


def _any_of(column: str, values: Sequence[str]) -> str:
    """Returns the condition that a column has one of these values; of none, one that never holds."""
    quoted = [f'"{value}"' for value in values]
    return f"{column} : ({' OR '.join(quoted)})" if quoted else 'flags : "nothing"'


def _others(session: Session, column: str, term: Term) -> list[str] | None:
    """Returns the values of a column that do not fit a term; None where that cannot be asked of the full text."""
    found = session.connection().exec_driver_sql(
        "SELECT value FROM log_value WHERE field = ? LIMIT ?", (column, MOST_VALUES + 1)
    )
    values = [str(row[0]) for row in found]
    if len(values) > MOST_VALUES:
        return None
    return [value for value in values if not _fits(term, value)]


def _fits(term: Term, value: str) -> bool:
    return value.startswith(term.value) if term.prefix else value == term.value


def _add_state(session: Session, plan: _Plan, term: Term) -> None:
    """The open states share one word of the full text, so that sending a message does not rewrite it."""
    found = session.connection().exec_driver_sql("SELECT value FROM log_value WHERE field = 'state'")
    settled = [str(row[0]) for row in found if row[0] != OPEN]
    wanted = [state for state in settled if _fits(term, state) != term.negated]
    wanted_open = [state for state in _OPEN_TOKENS if _fits(term, state) != term.negated]
    plan.positive.append(_any_of("state", [*wanted, *([OPEN] if wanted_open else [])]))
    if wanted_open and len(wanted_open) < len(_OPEN_TOKENS):
        unwanted = [state for state in _OPEN_TOKENS if state not in wanted_open]
        marks = ", ".join("?" for _ in unwanted)
        plan.check(f"e.state NOT IN ({marks})", *(state.upper() for state in unwanted))


def _add_time(session: Session, plan: _Plan, term: Term) -> None:
    connection = session.connection()
    if (term.field is TermField.AFTER) != term.negated:
        found = connection.exec_driver_sql(
            "SELECT min(first_seq) FROM log_span WHERE hour >= ?", (term.time // HOUR_MS,)
        ).scalar()
        if found is None:
            plan.last = 0
        else:
            plan.first = max(plan.first, found)
        plan.check("e.time >= ?", term.time)
        return
    found = connection.exec_driver_sql(
        "SELECT max(last_seq) FROM log_span WHERE hour <= ?", ((term.time - 1) // HOUR_MS,)
    ).scalar()
    plan.last = min(found or 0, plan.last if plan.last is not None else found or 0)
    plan.check("e.time < ?", term.time)
