"""Plants small faults in every check and counts those that no test notices. Only by name; nice and patient.

The modules of agentnet_desktop/crypto, agentnet_desktop/protocol, relay/wire and relay/connection.py, each against its
own test files alone, on a copy in a temporary folder, by two processes. What the faults are stands in `mutants`. A fault
that changes nothing a caller could see is listed, with the reason, in `equivalent_mutants.toml`; an entry there that no
longer fits any survivor fails the run, and so does a survivor without an entry.

    python -m benchmarks.mutation [WORD ...]     only modules whose path holds one of the words

How it is made fast and kept honest: tests are collected once, and each fault of a function is planted by swapping the
function's code in a fork, where the tests run that reach its line. Faults outside of functions, in functions that run
while tests are collected, or on lines that no test reaches, and all that survive so, are judged by a fresh import of
everything. Hypothesis runs without shrinking and with fixed seeds. A fork that takes ten times the processor time of
the tests, and 10 s more, counts as killed. Needs `os.fork`.
"""

from __future__ import annotations

import gc
import importlib.abc
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from benchmarks.mutants import Mutant, mutants
from benchmarks.pure_modules import ROOT, modules, own_tests
from benchmarks.table import Table

LONG = True
RUN_LIMIT_S = 7200.0  # on a busy machine, which it leaves to others
PROCESSES = 2
REVIEWED = Path(__file__).with_name("equivalent_mutants.toml")
JUDGED = ("relay/", "agentnet_desktop/protocol/", "agentnet_desktop/crypto/")
COPIED = ("relay", "agentnet_desktop", "tests", "benchmarks", "resources", "docs", "typings")
_INI = """[pytest]
addopts = --import-mode=importlib -p no:cacheprovider -p no:faulthandler -p pytest_asyncio.plugin -p xdist.plugin -x -q --capture=no
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
pythonpath = .
filterwarnings =
    error
    ignore::pytest.PytestAssertRewriteWarning
markers =
    expected_errors
"""
KILLED, SURVIVED, UNSWAPPABLE = 1, 0, 99


# ------------------------------------------------------------------------------------------- the judge
# What follows runs in a process of its own, in the copy: `python -m benchmarks.mutation --judge MODULE OUT`.


class _Session:
    """A pytest plugin that runs what it is given in place of the tests."""

    def __init__(self, instead: Callable[[Any], None] | None = None) -> None:
        self._instead = instead
        self.seconds: dict[str, float] = {}

    def pytest_runtestloop(self, session: Any) -> bool | None:
        if self._instead is None:
            return None
        self._instead(session)
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


class _QuickestFirst:
    """A pytest plugin that runs the quickest tests first."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: self._seconds.get(item.nodeid, 0.0))


def _pytest(files: Sequence[str], *plugins: object) -> int:
    import pytest

    return int(pytest.main(["-c", "mutation.ini", "--rootdir", ".", *files], plugins=list(plugins)))


def _tame_hypothesis() -> None:
    """Fixed seeds, no shrinking, no database: whichever profile a conftest loads."""
    from hypothesis import Phase, settings

    load = settings.load_profile

    def tame(name: str) -> None:
        load(name)
        settings.register_profile(
            "mutation",
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            deadline=None,
        )
        load("mutation")

    type.__setattr__(settings, "load_profile", staticmethod(tame))  # the class itself refuses
    tame("default")


def _fork(task: Callable[[], int], seconds: float) -> int:
    """Run a task in a fork; KILLED too when it ends by a signal or takes too long."""
    pid = os.fork()
    if pid == 0:
        status = KILLED
        try:
            signal.setitimer(signal.ITIMER_PROF, seconds)  # processor time: a busy machine kills no mutant
            signal.alarm(300)
            status = task()
        except BaseException:
            status = KILLED
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(ended) if os.WIFEXITED(ended) else KILLED


def _baseline(module: str, files: Sequence[str]) -> dict[str, Any]:
    """Run the tests on the module as it is: what they reach, and how long they take."""
    out = Path(tempfile.mkstemp(dir=".", suffix=".json")[1])

    def task() -> int:
        import coverage

        before = set(sys.modules)
        measured = coverage.Coverage(data_file=None, include=[str(Path(module).resolve())], config_file=False)
        plugin = _Session()

        class Contexts:
            def pytest_runtest_setup(self, item: Any) -> None:
                measured.switch_context(item.nodeid)

        measured.start()
        measured.switch_context("collecting")
        status = _pytest(files, plugin, Contexts())
        measured.stop()
        lines = measured.get_data().contexts_by_lineno(str(Path(module).resolve()))
        here = str(Path.cwd())
        foreign = [
            name
            for name, found in list(sys.modules.items())
            if name not in before and here not in (getattr(found, "__file__", None) or here)
        ]
        told = {"status": status, "lines": lines, "seconds": plugin.seconds, "foreign": foreign}
        out.write_text(json.dumps(told))
        return 0

    if _fork(task, 900) != 0 or not out.stat().st_size:
        raise RuntimeError(f"the tests of {module} could not be run")
    told: dict[str, Any] = json.loads(out.read_text())
    if told["status"] != 0:
        raise RuntimeError(f"the tests of {module} fail on the module as it is: {' '.join(files)}")
    for name in told["foreign"]:  # shared by all forks from here on
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    return told


def _judge(module: str, out: Path) -> None:
    """Judge every mutant of a module, and write the verdicts as JSON."""
    _tame_hypothesis()
    gc.disable()  # a fork lives for a second
    files = own_tests(module)
    base = _baseline(module, files)
    lines: dict[int, list[str]] = {int(line): tests for line, tests in base["lines"].items()}
    seconds: dict[str, float] = base["seconds"]
    every = list(mutants((ROOT / module).read_bytes()))
    limit = 10 * sum(seconds.values()) + 10
    early = {mutant.scope for mutant in every if mutant.scope and _runs_early(mutant, lines)}
    verdicts: dict[int, bool] = {}
    same = every[0]._replace(source=(ROOT / module).read_bytes())
    if _fork(lambda: _afresh(module, same, files, seconds), limit) != SURVIVED:
        raise RuntimeError(f"the tests of {module} fail on a fresh import of the module as it is")

    def swap_all(session: Any) -> None:
        items = {item.nodeid: item for item in session.items}
        live = _functions(str((ROOT / module).resolve()))
        gc.collect()
        gc.freeze()
        if _fork(lambda: _swapped_for_themselves(same, every, live, session.items), limit) != SURVIVED:
            raise RuntimeError(f"the tests of {module} fail when functions are swapped for themselves")
        for number, mutant in enumerate(every):
            reached = {test for line in range(mutant.line, mutant.last + 1) for test in lines.get(line, ())}
            chosen = sorted(reached & items.keys(), key=lambda test: seconds.get(test, 0.0))
            if mutant.scope and mutant.scope not in early and chosen:
                status = _fork(partial(_swapped, mutant, live, [items[test] for test in chosen]), limit)
                if status not in (UNSWAPPABLE, SURVIVED):
                    verdicts[number] = True

    fast = out.with_suffix(".fast")

    def collect_once() -> int:
        _pytest(files, _Session(swap_all))
        fast.write_text(json.dumps(list(verdicts)))
        return 0

    _fork_untimed(collect_once)
    killed = set(json.loads(fast.read_text()))
    for number, mutant in enumerate(every):
        if (
            number not in killed
            and _fork(partial(_afresh, module, mutant, files, seconds), limit) != SURVIVED
        ):
            killed.add(number)
    survivors = [[m.operator, m.scope, m.line, m.diff] for n, m in enumerate(every) if n not in killed]
    out.write_text(json.dumps({"mutants": len(every), "survivors": survivors}))


def _fork_untimed(task: Callable[[], int]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            task()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _runs_early(mutant: Mutant, lines: dict[int, list[str]]) -> bool:
    """Whether the mutant's lines run while tests are collected."""
    return any("collecting" in lines.get(line, ()) for line in range(mutant.line, mutant.last + 1))


def _functions(path: str) -> dict[tuple[str, int], list[FunctionType]]:
    """The living functions of a file, by qualified name and line."""
    found: dict[tuple[str, int], list[FunctionType]] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and os.path.realpath(thing.__code__.co_filename) == path:
            found.setdefault((thing.__code__.co_qualname, thing.__code__.co_firstlineno), []).append(thing)
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _swapped(mutant: Mutant, live: dict[tuple[str, int], list[FunctionType]], items: Sequence[Any]) -> int:
    """In a fork: plant the mutant in the living function, and run the tests that reach it."""
    swapped = False
    for code in _codes(compile(mutant.source, "mutant", "exec", dont_inherit=True)):
        if code.co_qualname == mutant.scope:
            for function in live.get((code.co_qualname, code.co_firstlineno), ()):
                if code.co_freevars != function.__code__.co_freevars:
                    return UNSWAPPABLE
                function.__code__ = code
                swapped = True
    if not swapped:
        return UNSWAPPABLE
    return _run_items(items)


def _run_items(items: Sequence[Any]) -> int:
    """Run collected tests until one fails."""
    failed: list[bool] = []

    class Watch:
        def pytest_runtest_logreport(self, report: Any) -> None:
            failed.append(report.failed)

    if items:
        items[0].config.pluginmanager.register(Watch())
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if any(failed):
            return KILLED
    return SURVIVED


def _swapped_for_themselves(
    same: Mutant,
    every: Sequence[Mutant],
    live: dict[tuple[str, int], list[FunctionType]],
    items: Sequence[Any],
) -> int:
    """In a fork: swap each function for a copy of itself; every test must still pass."""
    for scope in {mutant.scope for mutant in every if mutant.scope}:
        _swapped(same._replace(scope=scope), live, ())
    return _run_items(items)


def _afresh(module: str, mutant: Mutant, files: Sequence[str], seconds: Mapping[str, float]) -> int:
    """In a fork: import everything anew with the mutant in it, and run all tests of the module."""
    name = module.removesuffix(".py").replace("/", ".")
    path = str((ROOT / module).resolve())

    class Finder:
        @staticmethod
        def find_spec(wanted: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
            return importlib.util.spec_from_loader(name, Loader(), origin=path) if wanted == name else None

    class Loader(importlib.abc.Loader):
        def exec_module(self, made: Any) -> None:
            made.__file__ = path
            exec(compile(mutant.source, path, "exec", dont_inherit=True), made.__dict__)  # noqa: S102

    sys.meta_path.insert(0, Finder)
    return KILLED if _pytest(files, _QuickestFirst(seconds)) else SURVIVED


# ------------------------------------------------------------------------------------------- the table


def main(short: bool, words: Sequence[str] = ()) -> int:
    """Judge every module and print the table; returns 1 when a fault went unnoticed.

    Args:
        short: One module only, to see that it works.
        words: Of the paths of the modules to judge; all when empty.
    """
    chosen = [module for module in modules(words) if module.startswith(JUDGED)][: 1 if short else None]
    reviewed = tomllib.loads(REVIEWED.read_text(encoding="utf-8")).get("mutant", [])
    table = Table(
        "Faults planted, and who noticed", ("", "mutants", "killed", "equivalent", "surviving", "s")
    )
    totals: dict[str, Counter[str]] = {}
    trouble: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="agentnet-mutation-") as folder,
        ThreadPoolExecutor(PROCESSES) as pool,
    ):
        copy = _copy(Path(folder))
        running = {pool.submit(_run, copy, module): module for module in chosen}
        for done in as_completed(running):
            module, (told, took) = running[done], done.result()
            entries = [entry for entry in reviewed if entry["module"] == module]
            counted, complaints = _compare(module, told, entries)
            trouble += complaints
            totals.setdefault(str(Path(module).parent), Counter()).update(counted)
            table.row(
                module,
                *(float(counted[key]) for key in ("mutants", "killed", "equivalent", "surviving")),
                took,
            )
            print(f"{module}: {dict(counted)}, {took:.0f} s", "\n".join(complaints), sep="\n", flush=True)
    for part, counted in totals.items():
        table.row(
            f"in all {part}",
            *(float(counted[key]) for key in ("mutants", "killed", "equivalent", "surviving")),
            "",
        )
    table.bound("faults that no test noticed, and stale entries", len(trouble), "<=", 0)
    return table.finish()


def _copy(folder: Path) -> Path:
    for name in COPIED:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "run.py", folder)
    (folder / "mutation.ini").write_text(_INI)
    return folder


def _run(copy: Path, module: str) -> tuple[dict[str, Any], float]:
    out = copy / f"{module.replace('/', '-')}.json"
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(copy)}
    command = ["nice", "-n", "10", sys.executable, "-m", "benchmarks.mutation", "--judge", module, str(out)]
    began = time.monotonic()
    log = out.with_suffix(".log")
    with log.open("wb") as said:
        subprocess.run(
            command,
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            check=False,
        )
    if not out.exists():
        raise RuntimeError(f"{module} could not be judged: {log.read_text(errors='replace')[-3000:]}")
    told: dict[str, Any] = json.loads(out.read_text())
    return told, time.monotonic() - began


def _compare(
    module: str, told: dict[str, Any], entries: Sequence[dict[str, str]]
) -> tuple[Counter[str], list[str]]:
    """Count, and say what is neither killed nor reviewed, and what is reviewed for nothing."""
    known = {(entry["scope"], entry["diff"].strip()) for entry in entries}
    survivors = [(scope, diff, operator, line) for operator, scope, line, diff in told["survivors"]]
    fresh = [each for each in survivors if each[:2] not in known]
    stale = known - {each[:2] for each in survivors}
    counted = Counter(
        mutants=told["mutants"],
        killed=told["mutants"] - len(survivors),
        equivalent=len(survivors) - len(fresh),
        surviving=len(fresh),
    )
    complaints = [
        f"{module}:{line} in {scope or 'the module'}: {operator}\n{diff}"
        for scope, diff, operator, line in fresh
    ]
    complaints += [
        f"{module}: an entry that fits no survivor, in {scope or 'the module'}\n{diff}"
        for scope, diff in stale
    ]
    return counted, complaints


if __name__ == "__main__":
    if sys.argv[1:2] == ["--judge"]:
        _judge(sys.argv[2], Path(sys.argv[3]))
    else:
        sys.exit(main("--short" in sys.argv, [word for word in sys.argv[1:] if word != "--short"]))
