"""Line and branch coverage of each pure module by its own test files alone: all of it, or the run fails.

Not a measurement of time. Each module is run in a process of its own under `coverage run -m pytest`, which begins before
anything is imported and keeps its data in a temporary folder: data files in the checkout would be joined with those of
whatever else is measured there at the same time.

    python -m benchmarks.own_coverage [WORD ...]     only modules whose path holds one of the words
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.pure_modules import ROOT, modules, own_tests
from benchmarks.table import Table

PROCESSES = 2
_CONFIG = """[run]
branch = true
[report]
exclude_also =
    if TYPE_CHECKING:
    class .*\\(Protocol\\):
    raise AssertionError
"""


def main(short: bool, words: Sequence[str] = ()) -> int:
    """Measure each module, print the table, and return 0 when nothing is missed.

    Args:
        short: The wire only.
        words: Of the paths of the modules to measure; all when empty.
    """
    chosen = modules(words or (("relay/wire/",) if short else ()))
    table = Table(
        "Covered by its own tests", ("", "statements", "missed", "branches", "missed", "missed lines")
    )
    missed = 0
    with tempfile.TemporaryDirectory(prefix="agentnet-coverage-") as folder:
        (Path(folder) / "rc").write_text(_CONFIG)
        with ThreadPoolExecutor(PROCESSES) as pool:
            for module, found in zip(
                chosen, pool.map(lambda each: _measure(Path(folder), each), chosen), strict=True
            ):
                told = found["summary"]
                missed += told["missing_lines"] + told["missing_branches"]
                table.row(
                    module,
                    float(told["num_statements"]),
                    float(told["missing_lines"]),
                    float(told["num_branches"]),
                    float(told["missing_branches"]),
                    " ".join(map(str, found["missing_lines"][:20])),
                )
    table.bound("lines and branches missed", missed, "<=", 0)
    return table.finish()


def _measure(folder: Path, module: str) -> dict[str, Any]:
    """Run a module's own tests; what they reach of it, as coverage's JSON report has it."""
    data = folder / module.replace("/", "-")
    environment = {**os.environ, "COVERAGE_FILE": str(data)}
    coverage = [sys.executable, "-m", "coverage"]
    rc = f"--rcfile={folder / 'rc'}"
    ran = subprocess.run(
        [*coverage, "run", rc, f"--include={module}", "-m", "pytest", "-q", "-x", *own_tests(module)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"the tests of {module} fail:\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}")
    report = data.with_suffix(".json")
    subprocess.run(
        [*coverage, "json", rc, "-q", "-o", report],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    files = json.loads(report.read_text())["files"]
    if set(files) != {module}:
        raise RuntimeError(f"{module} was not reached by its tests")
    found: dict[str, Any] = files[module]
    return found


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv, [word for word in sys.argv[1:] if word != "--short"]))
