"""Clause and test, both ways: no section of the protocol without a test, no test named that is not there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from tests.requirements import CLAUSES

ROOT = Path(__file__).resolve().parent.parent
NO_RULES = {"1", "4.4", "14"}  # overview, an example, advice


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def sections() -> set[str]:
    """The numbers of the document's lowest headings: those that hold rules."""
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    numbers = re.findall(r"^#{2,3} ([0-9.]+?)\.? ", text, re.MULTILINE)
    parents = {number.partition(".")[0] for number in numbers if "." in number}
    return {number for number in numbers if number not in parents}


def test_every_section_that_makes_rules_is_held_by_a_test() -> None:
    assert sections() - NO_RULES == {clause.section for clause in CLAUSES}


def test_every_test_that_holds_a_clause_exists() -> None:
    named = [name.partition("::") for clause in CLAUSES for name in clause.tests]
    assert [f"{path}::{name}" for path, _, name in named if name not in functions_of(path)] == []


def test_every_clause_names_a_test_and_says_something_of_its_own() -> None:
    assert [clause.says for clause in CLAUSES if not clause.tests] == []
    assert len({clause.says for clause in CLAUSES}) == len(CLAUSES)
