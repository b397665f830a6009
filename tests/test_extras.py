"""What a person sees of a program whose packages were not installed: one sentence that names the extra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLOCKED = "import sys\nfor name in ('nacl', 'sqlalchemy', 'sqlcipher3', 'keyring', 'PySide6'): sys.modules[name] = None\n"


@pytest.mark.parametrize(
    ("program", "arguments", "extra"),
    [
        ("agentnet_desktop.cli.main", ("contact", "list"), "agentnet-desktop[agent]"),
        ("agentnet_desktop.cli.main", ("doctor",), "agentnet-desktop[agent]"),
        ("agentnet_desktop.app", ("--demo", "--offscreen"), "agentnet-desktop[desktop]"),
        ("agentnet_desktop.app", ("--offscreen",), "agentnet-desktop[desktop]"),
    ],
)
def test_missing_packages_are_told_in_one_sentence(
    tmp_path: Path, program: str, arguments: tuple[str, ...], extra: str
) -> None:
    code = f"{BLOCKED}from {program} import main\nsys.exit(main())"
    words = [sys.executable, "-c", code, *arguments, "--profile", str(tmp_path / "p")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "is not installed" in done.stderr
    assert extra in done.stderr
