"""Prints the tables of the benchmarks: every figure beside the peer it is compared with, and the bound it has to keep.

Absolute figures depend on the machine; ratios to a named peer in the same run carry over. This module measures
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values were measured")
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def show(value: float | str) -> str:
    """A figure with as many digits as carry meaning."""
    if isinstance(value, str):
        return value
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


@dataclass
class Table:
    """Rows of figures with the bounds that they have to keep.

    Attributes:
        title: what is measured, and with how much.
        columns: headings; the first is the name of the row.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[float | str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _bounds: list[str] = field(default_factory=list)

    def row(self, *cells: float | str) -> None:
        """Add one row; as many cells as there are columns."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(cells)

    def bound(self, what: str, value: float, relation: Literal["<=", ">="], limit: float) -> bool:
        """State a bound and whether `value` keeps it; a broken one makes `finish` return 1."""
        kept = value <= limit if relation == "<=" else value >= limit
        line = f"{what}: {show(value)} {'≤' if relation == '<=' else '≥'} {show(limit)}"
        self._bounds.append(f"{'kept  ' if kept else 'BROKEN'} {line}")
        if not kept:
            self.broken.append(line)
        return kept

    def unjudged(self, what: str) -> None:
        """Say that a bound could not be looked at on this machine; that breaks nothing."""
        self._bounds.append(f"not judged here: {what}")

    def text(self) -> str:
        """The table, its columns aligned, with the bounds below it."""
        grid = [
            [str(heading) for heading in self.columns],
            *([show(cell) for cell in row] for row in self.rows),
        ]
        widths = [max(len(line[column]) for line in grid) for column in range(len(self.columns))]

        def aligned(line: list[str]) -> str:
            first, *rest = (
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            return "  ".join([first, *rest]).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([self.title, aligned(grid[0]), rule, *map(aligned, grid[1:]), *self._bounds])

    def finish(self) -> int:
        """Print the table; returns the exit status: 1 when a bound is broken."""
        print(self.text(), flush=True)
        return 1 if self.broken else 0
