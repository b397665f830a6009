"""Writes the lock files beside it: every version and hash that `pyproject.toml` leads to, for Python 3.11 to 3.13.

Usage: `.venv/bin/python requirements/refresh.py [--upgrade]`. Without `--upgrade` versions stay as they are
as long as `pyproject.toml` still allows them. Needs `uv` (`.venv/bin/pip install uv`). The files name no index: where packages come
from is the business of the machine that installs them, what they are is settled by their hashes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMAND = "python requirements/refresh.py"
# One lock an audience, named for the extra of pyproject.toml that it pins; `build` pins the build backend alone.
LOCKS = ("relay", "agent", "desktop", "dev")


def compile_lock(uv: str, name: str, source: list[str], more: list[str]) -> None:
    """Resolve `source` for every supported platform and write `requirements/NAME.txt`."""
    # The interpreter's own index settings stay out: hashes must cover every file, not only what a mirror holds.
    command = [uv, "pip", "compile", "--quiet", "--no-config", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate"]
    command += [
        "--custom-compile-command",
        COMMAND,
        "--output-file",
        f"requirements/{name}.txt",
        *more,
        *source,
    ]
    subprocess.run(command, cwd=HERE.parent, check=True)


def main(arguments: list[str]) -> int:
    """Write every lock file; returns the exit status."""
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        print("uv is missing: run `.venv/bin/pip install uv` first.", file=sys.stderr)
        return 1
    # All locks agree on every version: the widest one is made first, and the others are held to it.
    compile_lock(uv, "dev", ["pyproject.toml", "--extra", "dev"], arguments)
    held = ["--constraints", "requirements/dev.txt"]
    for name in LOCKS[:-1]:
        compile_lock(uv, name, ["pyproject.toml", "--extra", name], [*arguments, *held])
    compile_lock(uv, "build", ["requirements/build.in"], [*arguments, *held])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
