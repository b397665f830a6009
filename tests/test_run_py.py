"""`run.py`: what it refuses, what it installs, and that a second call does nothing twice."""

from __future__ import annotations

import ast
import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import run

RUN_PY = Path(run.__file__)


class Commands:
    """Stands in for `subprocess.run`: keeps what would have been run, and answers each with one status."""

    def __init__(self, status: int = 0) -> None:
        self.seen: list[list[str]] = []
        self.status = status

    def __call__(self, command: Sequence[str | Path], **_: Any) -> subprocess.CompletedProcess[str]:
        self.seen.append([str(word) for word in command])
        version = "{} {}".format(*sys.version_info[:2])
        return subprocess.CompletedProcess(command, self.status, stdout=version, stderr="")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    recorded = Commands()
    monkeypatch.setattr(subprocess, "run", recorded)
    return recorded


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a finished set-up, in which nothing real can be installed."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("a==1 --hash=sha256:00\n")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["b"]\n[project]\nname = "p"\n')
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(run, "MARKER", tmp_path / ".venv" / "marker.json")
    monkeypatch.setattr(run, "LOCK", tmp_path / "requirements" / "dev.txt")
    monkeypatch.setattr(run, "need_qt_libraries", lambda: None)
    python = run.venv_program("python")
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / ".venv" / "pyvenv.cfg").touch()
    run.MARKER.write_text(json.dumps(run.wanted_state()))
    return tmp_path


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN_PY, *arguments], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["frobnicate"], "'frobnicate'"),
        (["test", "-k", "x"], "-k x"),
        (["lint", "--", "x"], "after `--`"),
        (["bench", "no-such"], "'no-such'"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_2(arguments: list[str], word: str) -> None:
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert word in done.stderr


def test_help_names_every_command() -> None:
    done = call("--help")
    assert done.returncode == 0
    assert all(f"run.py {command}" in done.stdout for command in run.COMMANDS)


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(RUN_PY.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_a_second_set_up_starts_no_process(checkout: Path, commands: Commands) -> None:
    run.set_up()
    assert commands.seen == []


def test_a_changed_lock_is_installed_again_into_the_same_environment(
    checkout: Path, commands: Commands
) -> None:
    run.LOCK.write_text("a==2 --hash=sha256:00\n")
    run.set_up()
    installs = [" ".join(command) for command in commands.seen if "install" in command]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--editable" in installs[1]
    assert run.read_marker() == run.wanted_state()


def test_an_environment_without_a_marker_is_adopted_and_not_made_again(
    checkout: Path, commands: Commands
) -> None:
    run.MARKER.unlink()
    run.set_up()
    assert not any("venv" in command for command in commands.seen)
    assert run.read_marker() == run.wanted_state()


def test_a_moved_checkout_gets_a_new_environment(checkout: Path, commands: Commands) -> None:
    run.MARKER.write_text(json.dumps({**run.wanted_state(), "root": "elsewhere"}))
    with pytest.raises(
        FileNotFoundError
    ):  # the recorded `python -m venv` makes nothing to write the marker into
        run.set_up()
    assert [sys.executable, "-m", "venv", str(run.VENV)] in commands.seen


def test_a_failed_installation_leaves_no_marker(checkout: Path, commands: Commands) -> None:
    run.LOCK.write_text("a==2 --hash=sha256:00\n")
    original = run.venv_is_good
    run.venv_is_good = lambda: True
    commands.status = 1
    try:
        with pytest.raises(run.Refused, match="could not be installed"):
            run.set_up()
    finally:
        run.venv_is_good = original
    assert run.read_marker() == {}


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Path, commands: Commands) -> None:
    (checkout / ".venv" / "pyvenv.cfg").unlink()
    with pytest.raises(run.Refused, match="in the way"):
        run.make_venv()
    assert run.venv_program("python").exists()


def test_an_unsupported_python_is_named_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    with pytest.raises(run.Refused, match=r"3\.11, 3\.12 or 3\.13"):
        run.set_up()
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    with pytest.raises(run.Refused, match=r"3\.11, 3\.12 or 3\.13"):
        run.make_venv()


def test_missing_qt_libraries_are_named_to_a_person(
    monkeypatch: pytest.MonkeyPatch, commands: Commands
) -> None:
    monkeypatch.setattr(run, "QT_NEEDS", {"libnone.so.9": "libnone9"})
    monkeypatch.setattr(run, "QT_DISPLAY_NEEDS", {})
    monkeypatch.setattr(run, "can_install", lambda: False)
    with pytest.raises(run.Refused, match="sudo apt-get install libnone9"):
        run.need_qt_libraries()
    assert commands.seen == []


def test_missing_qt_libraries_are_installed_as_root(
    monkeypatch: pytest.MonkeyPatch, commands: Commands
) -> None:
    monkeypatch.setattr(run, "QT_NEEDS", {"libnone.so.9": "libnone9"})
    monkeypatch.setattr(run, "QT_DISPLAY_NEEDS", {"libseen.so.9": "libseen9"})
    monkeypatch.setattr(run, "can_install", lambda: True)
    run.need_qt_libraries()
    assert [command[2] for command in commands.seen] == ["update", "install"]
    assert commands.seen[1][-2:] == ["libnone9", "libseen9"]


def test_libraries_for_a_display_only_are_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "QT_NEEDS", {})
    monkeypatch.setattr(run, "QT_DISPLAY_NEEDS", {"libseen.so.9": "libseen9"})
    monkeypatch.setattr(run, "can_install", lambda: False)
    run.need_qt_libraries()
    assert "libseen9" in capsys.readouterr().err


def test_a_missing_keyring_is_named_before_the_suite_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TEST_PROGRAMS", {"no-such-keyring": "gnome-keyring"})
    monkeypatch.setattr(run, "can_install", lambda: False)
    monkeypatch.setattr(run, "LINUX", True)
    with pytest.raises(run.Refused, match="gnome-keyring"):
        run.need_test_programs()


@pytest.mark.parametrize("has_one", [False, True])
def test_what_is_installed_starts_no_service_and_the_operators_policy_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_one: bool
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(run, "SERVICE_POLICY", policy)
    if has_one:
        policy.write_text("#!/bin/sh\nexit 104\n")
        policy.chmod(0o755)

    def fail() -> None:
        with run.no_service_started():
            assert subprocess.run([policy], check=False).returncode == (104 if has_one else 101)
            raise run.Refused("apt-get failed")

    with pytest.raises(run.Refused):
        fail()
    assert policy.exists() is has_one


@pytest.mark.parametrize(("display", "offscreen"), [("", True), (":7", False)])
def test_the_demo_runs_offscreen_where_there_is_no_display(
    monkeypatch: pytest.MonkeyPatch, display: str, offscreen: bool
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(run, "LINUX", True)
    monkeypatch.setattr(run, "set_up", lambda: None)
    monkeypatch.setattr(run, "become", lambda command: started.append([str(word) for word in command]))
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    run.main([])
    (command,) = started
    assert command[1:4] == ["-m", "agentnet_desktop", "--demo"]
    assert (command[4:] == ["--offscreen", "--screenshots", str(run.ROOT / "demo-output")]) is offscreen


def test_what_follows_two_dashes_goes_to_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(run, "test", given.append)
    run.main(["test", "--", "-k", "one or two"])
    assert given == [["-k", "one or two"]]


@pytest.fixture
def benchmarks(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = checkout / "benchmarks"
    folder.mkdir()
    (folder / "quick.py").write_text(
        '"""Counts to one."""\ndef main(short):\n    print("short", short)\n    return 0\n'
    )
    (folder / "soak.py").write_text('"""Counts for ever."""\nLONG = True\ndef main(short):\n    return 1\n')
    (folder / "table.py").write_text('"""Helps."""\n')
    monkeypatch.setattr(run, "venv_program", lambda _name: Path(sys.executable))
    monkeypatch.setattr(run, "set_up", lambda: None)
    return folder


def test_the_list_of_benchmarks_tells_the_long_ones(
    benchmarks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["bench", "--list"]) == 0
    quick, soak = capsys.readouterr().out.splitlines()
    assert quick.split() == ["quick", "Counts", "to", "one."]
    assert "only by name" in soak


def test_long_benchmarks_run_only_by_name(benchmarks: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main(["bench", "--short"]) == 0
    printed = capfd.readouterr().out
    assert "short True" in printed
    assert "machine:" in printed
    assert "soak" not in printed
    assert run.main(["bench", "soak"]) == 1


def test_a_benchmark_over_its_time_is_ended_with_all_it_started(
    benchmarks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (benchmarks / "stuck.py").write_text(
        '"""Never ends."""\nimport pathlib, subprocess, sys\ndef main(short):\n'
        '    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])\n'
        '    pathlib.Path("child.pid").write_text(str(child.pid))\n    return child.wait()\n'
    )
    monkeypatch.setattr(run, "BENCH_SHORT_LIMIT_S", 2.0)
    assert run.main(["bench", "stuck", "--short"]) == 1
    try:
        child = os.pidfd_open(int((run.ROOT / "child.pid").read_text()))
    except ProcessLookupError:
        return  # gone already
    try:
        assert select.select([child], [], [], 5.0)[0], "the benchmark's own child survived it"
    finally:
        os.close(child)


def test_a_benchmark_may_state_its_own_time(benchmarks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        '"""Takes a while."""\nimport signal\nRUN_LIMIT_S = 30.0\ndef main(short):\n'
        "    signal.sigtimedwait([], 1)\n    return 0\n"
    )
    (benchmarks / "slow.py").write_text(source)
    monkeypatch.setattr(run, "BENCH_LIMIT_S", 0.5)
    assert run.main(["bench", "slow"]) == 0
    (benchmarks / "slow.py").write_text(source.replace("RUN_LIMIT_S", "LIMIT_S"))
    assert run.main(["bench", "slow"]) == 1


def test_a_keyboard_interrupt_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "set_up", interrupted)
    assert run.main(["setup"]) == 130


def test_only_root_on_debian_installs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not run.can_install()
