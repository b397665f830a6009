"""The tables of the benchmarks: a broken bound is seen, in the table and in the exit status."""

from __future__ import annotations

import pytest

from benchmarks.table import Table, percentile, show


def test_a_broken_bound_is_named_and_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("rounds", ["", "ms"])
    table.row("ours", 12.5)
    assert not table.bound("p50, ms", 12.5, "<=", 10.0)
    assert table.bound("ratio", 4.0, ">=", 3.0)
    assert table.finish() == 1
    printed = capsys.readouterr().out
    assert "BROKEN p50, ms: 12.5 ≤ 10.0" in printed
    assert "kept   ratio: 4.00 ≥ 3.00" in printed


def test_bounds_that_are_met_exactly_are_kept() -> None:
    table = Table("rounds", [""])
    assert table.bound("at most", 10.0, "<=", 10.0)
    assert table.bound("at least", 10.0, ">=", 10.0)
    assert table.finish() == 0


def test_what_could_not_be_judged_is_said_and_breaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("rounds", [""])
    table.unjudged("ours: × a router that is not here")
    assert table.finish() == 0
    assert "not judged here: ours: × a router that is not here" in capsys.readouterr().out


def test_columns_stand_under_their_headings() -> None:
    table = Table("rounds", ["who", "p50 ms"])
    table.row("a long name", 1.0)
    _, heading, rule, row = table.text().splitlines()
    assert len(heading) == len(rule) == len(row)
    assert row.endswith(" 1.00")


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Table("rounds", ["a", "b"]).row(1.0)


@pytest.mark.parametrize(("percent", "value"), [(1, 1.0), (50, 5.0), (51, 6.0), (95, 10.0), (100, 10.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile([float(n) for n in range(10, 0, -1)], percent) == value


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("figure", "text"),
    [(0.1234, "0.12"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346"), ("4.0 x", "4.0 x")],
)
def test_a_figure_has_the_digits_that_carry_meaning(figure: float | str, text: str) -> None:
    assert show(figure) == text
