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


def test_pictures_of_a_profile_that_is_not_there_show_the_first_run(tmp_path: Path) -> None:
    done = run(
        "--offscreen", "--profile", str(tmp_path / "p"), "--screenshots", str(tmp_path / "s"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["first-run.png"]
    assert not (tmp_path / "p").exists()


def test_the_window_ends_in_order_when_it_is_told_to(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agentnet_desktop", "--offscreen", "--profile", str(tmp_path / "p")]
    started = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "QT_LOGGING_RULES": "*=false"},
    )
    try:
        code = end_once_it_listens(started, tmp_path / "p")
    finally:
        started.kill()
        assert started.stderr is not None
        errors = started.stderr.read()
        started.stderr.close()
        started.wait()
    assert code == 0, errors
    assert "Traceback" not in errors


def end_once_it_listens(started: subprocess.Popen[str], profile: Path) -> int:
    """Ask to end as soon as later launches reach it; returns the exit code."""
    for _ in range(LIMIT_S):
        assert started.poll() is None
        if _listens(profile):
            second = run("--offscreen", "--profile", str(profile), cwd=profile.parent)
            assert second.returncode == 0
            started.terminate()
            return started.wait(LIMIT_S)
    raise AssertionError("it never listened")


def _listens(profile: Path) -> bool:
    """Ask in a process of its own, which brings Qt's sockets along and takes a moment."""
    code = "import sys, pathlib; from agentnet_desktop.ui.single_instance import hand_over\n"
    code += "sys.exit(0 if hand_over(pathlib.Path(sys.argv[1]), '') else 1)"
    return subprocess.run([sys.executable, "-c", code, str(profile)], timeout=LIMIT_S).returncode == 0
