"""The faults that `bench mutation` plants: each operator does what it says, and leaves the rest alone."""

from __future__ import annotations

import pytest

from benchmarks.mutants import mutants
from benchmarks.pure_modules import ROOT, modules, own_tests


def planted(source: str) -> set[tuple[str, str]]:
    """Every fault of a source of one line that matters: what was done, and the line after it."""
    return {(each.operator, each.after.strip()) for each in mutants(source.encode())}


@pytest.mark.parametrize(
    ("source", "operator", "after"),
    [
        ("def f(a):\n    if a < 3: return 1\n", "comparison swapped", "if a <= 3: return 1"),
        ("def f(a):\n    if a: return a\n", "condition never holds", "if False: return a"),
        ("def f(a):\n    if a: return a\n", "condition always holds", "if True: return a"),
        ("def f(a):\n    raise ValueError(a)\n", "raise dropped", "pass"),
        ("def f(a):\n    check(a)\n", "call dropped", "pass"),
        ("def f(a):\n    a.b = a\n", "assignment dropped", "pass"),
        ("def f(a, b):\n    return a and b\n", "operand dropped", "return ((a))"),
        ("def f(a):\n    return not a\n", "not dropped", "return (a)"),
        ("def f(a):\n    return a + 2\n", "operator swapped", "return a - 2"),
        ("def f(a):\n    return a << 2\n", "operator swapped", "return a >> 2"),
        ("def f(a):\n    a += 2\n", "operator swapped", "a -= 2"),
        ("def f(a):\n    a += 2\n", "only assigned", "a = 2"),
        ("def f(a):\n    for b in a: check(b)\n", "loop never runs", "for b in (): check(b)"),
        ("def f(a):\n    for b in a: continue\n", "loop left", "for b in a: break"),
        ("def f(a):\n    return read(a, length=b)\n", "argument dropped", "return read(a, )"),
        ("A = 7\n", "one more", "A = (8)"),
        ("A = 7\n", "one less", "A = (6)"),
        ("A = True\n", "truth swapped", "A = False"),
        ('A = b"domain"\n', "bytes changed", "A = b'domaio'"),
        ("A = {1: 2, 3: 4}\n", "entry dropped", "A = { 3: 4}"),
        ('A = re.compile(r"x{1,64}")\n', "repetition changed", 'A = re.compile(r"x{1,63}")'),
        ("A = Annotated[int, Meta(ge=0)]\n", "one more", "A = Annotated[int, Meta(ge=(1))]"),
        (
            "def f(a):\n    return [b for b in a if b]\n",
            "filter always holds",
            "return [b for b in a if True]",
        ),
    ],
)
def test_each_operator_does_what_it_says(source: str, operator: str, after: str) -> None:
    assert (operator, after) in planted(source)


def test_exceptions_and_cases_are_dropped() -> None:
    found = planted(
        "def f(a):\n    try:\n        return a()\n    except (KeyError, ValueError):\n        return 0\n"
        "    match a:\n        case 1 | 2 if a:\n            return 1\n"
    )
    assert ("exception dropped", "except (ValueError,):") in found
    assert ("handler dropped", "except ():") in found
    assert ("alternative dropped", "case 2 if a:") in found
    assert ("guard always holds", "case 1 | 2 if True:") in found


def test_texts_annotations_and_imports_stay() -> None:
    source = '"""3 things."""\nfrom __future__ import annotations\ndef f(a: Annotated[int, 3]) -> str:\n    """2."""\n'
    assert planted(source + '    return f"{a} of 4"\n') == set()


def test_a_fault_knows_its_function_and_lines() -> None:
    source = "class A:\n    def f(self):\n        if self:\n            return 1\n        return 2\n"
    places = {(each.operator, each.scope, each.line, each.last) for each in mutants(source.encode())}
    assert ("condition never holds", "A.f", 3, 3) in places
    assert ("one more", "A.f", 5, 5) in places


def test_every_pure_module_has_its_own_tests() -> None:
    assert len(modules()) > 20
    missing = [name for module in modules() for name in own_tests(module) if not (ROOT / name).exists()]
    assert missing == []
