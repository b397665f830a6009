"""`agentnet-desktop` from a shell: help and version without Qt, clear refusals, and the demo by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIMIT_S = 120


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a shell would."""
    return subprocess.run(
        [sys.executable, "-m", "agentnet_desktop", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_help_and_version_import_no_qt(tmp_path: Path) -> None:
    spy = "import sys, agentnet_desktop.app as app\ntry:\n app.main(sys.argv[1:])\nexcept SystemExit as e:\n"
    spy += (
        " assert not e.code\nassert not any(n.startswith('PySide6') for n in sys.modules), 'Qt was imported'"
    )
    for option, words in (("--help", "--screenshots DIR"), ("--version", "agentnet-desktop ")):
        done = subprocess.run(
            [sys.executable, "-c", spy, option], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout


def test_bad_usage_is_two(tmp_path: Path) -> None:
    assert run("--nonsense", cwd=tmp_path).returncode == 2


def test_no_display_is_told_in_one_sentence(tmp_path: Path) -> None:
    done = run(cwd=tmp_path, QT_QPA_PLATFORM="", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no display" in done.stderr


def test_the_demo_goes_the_whole_way_and_leaves_nothing(tmp_path: Path) -> None:
    temporary, work, home = tmp_path / "tmp", tmp_path / "work", tmp_path / "home"
    for folder in (temporary, work, home):
        folder.mkdir()
    places = {name: str(home) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    done = run("--demo", "--offscreen", cwd=work, TMPDIR=str(temporary), **places)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for step in ("HANDSHAKE", "QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "-- done"):
        assert step in done.stdout
    pictures = {path.name for path in (work / "demo-output").glob("*.png")}
    assert {
        f"{view}-{theme}.png" for view in ("inbox", "log", "dialog") for theme in ("light", "dark")
    } <= pictures
    assert list(temporary.glob("agentnet-demo-*")) == []
    assert [path for path in home.rglob("*") if "agentnet" in path.name.lower()] == []
