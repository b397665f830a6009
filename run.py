#!/usr/bin/env python3
"""The one command of a checkout: sets it up and runs it. Needs Python 3.11 to 3.13 and nothing else.

    python3 run.py                  the app with a bundled relay and a demo peer, all local
    python3 run.py test [-- ARGS]   the whole test suite; ARGS go to pytest
    python3 run.py setup            only the set-up
    python3 run.py lint             format, lint, types, import rules
    python3 run.py bench [NAME...]  benchmarks, printing ratio tables (--list, --short)

The set-up makes `.venv`, installs what `requirements/dev.txt` pins by hash, and installs (as root on Debian) or names the
system libraries that Qt lacks. A marker in `.venv` remembers it, so a second call starts at once. Standard library only;
this file implements no part of the protocol.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
MARKER = VENV / "agentnet-setup.json"
LOCK = ROOT / "requirements" / "dev.txt"
OLDEST, NEWEST = (3, 11), (3, 13)
WINDOWS = platform.system() == "Windows"
LINUX = platform.system() == "Linux"

# Shared library -> Debian package. Found with `readelf -d` on what PySide6-Essentials 6.11 loads. Without the first group no
# window can be made at all; the second is for a display (X11, Wayland).
QT_NEEDS = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libbrotlidec.so.1": "libbrotli1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libzstd.so.1": "libzstd1",
}
QT_DISPLAY_NEEDS = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
# What the suite runs for real: a keyring on a bus of its own, the proxies of packaging/proxy, a NATS server.
TEST_PROGRAMS = {
    "dbus-daemon": "dbus-daemon",
    "gnome-keyring-daemon": "gnome-keyring",
    "nginx": "nginx",
    "caddy": "caddy",
    "nats-server": "nats-server",
}
# Debian asks this program whether a service may be started; 101 means no.
SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")

COMMANDS = ("test", "setup", "lint", "bench")
MOST_WORKERS = 4  # more of them would wait for each other: tests start processes of their own
BENCH_LIMIT_S = 1800.0
BENCH_SHORT_LIMIT_S = 240.0


class Refused(Exception):
    """What keeps us from going on, in one sentence for a person; the exit status is 1, or 2 for bad usage."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


def say(text: str) -> None:
    """Tell the person how it goes; stdout stays for what the command itself prints."""
    print(text, file=sys.stderr, flush=True)


# --- set-up -----------------------------------------------------------------------------------------------


def venv_program(name: str) -> Path:
    """Where a program of the virtual environment lies."""
    return VENV / ("Scripts" if WINDOWS else "bin") / (f"{name}.exe" if WINDOWS else name)


def wanted_state() -> dict[str, str]:
    """What the marker must say: a digest of the lock and of what the package declares, and this checkout's place."""
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hatch = declared.get("tool", {}).get("hatch")
    digest = hashlib.sha256(LOCK.read_bytes())
    digest.update(json.dumps([declared["build-system"], declared["project"], hatch], sort_keys=True).encode())
    return {"digest": digest.hexdigest(), "root": str(ROOT)}


def read_marker() -> dict[str, str]:
    """What an earlier set-up left, or nothing."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(MARKER.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def venv_is_good() -> bool:
    """Whether `.venv` holds a Python that runs and that we support."""
    if not venv_program("python").exists():
        return False
    code = "import sys, pip; print(*sys.version_info[:2])"
    with contextlib.suppress(OSError):
        done = subprocess.run(
            [venv_program("python"), "-c", code], capture_output=True, text=True, check=False
        )
        version = tuple(int(part) for part in done.stdout.split())
        return done.returncode == 0 and OLDEST <= version <= NEWEST
    return False


def need_python(newest: tuple[int, int]) -> None:
    """Refuse a Python that is older than we support, or newer than `newest`."""
    if not OLDEST <= sys.version_info[:2] <= newest:
        raise Refused(
            f"This is Python {platform.python_version()}; AgentNet Desktop needs Python 3.11, 3.12 or 3.13: "
            "run it again with one of them, as in `python3.12 run.py`."
        )


def make_venv() -> None:
    """Make `.venv` afresh with the Python that runs this file."""
    need_python(NEWEST)
    if VENV.exists():
        if not (VENV / "pyvenv.cfg").exists() and any(VENV.iterdir()):
            raise Refused(f"{VENV} is in the way and is not a virtual environment: move it away.")
        shutil.rmtree(VENV)
    say(f"Making {VENV} with Python {platform.python_version()} ...")
    if importlib.util.find_spec("ensurepip") is None:  # Debian ships it apart from Python
        need_debian_packages(["python3-venv"], "Python's venv module")
    done = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"No virtual environment could be made: {(done.stdout + done.stderr).strip()}")


def install_packages() -> None:
    """Install the locked packages, checked against their hashes, and this checkout itself."""
    pip: list[str | Path] = [venv_program("python"), "-m", "pip", "install", "-qq", "--no-input"]
    say("Installing the pinned packages (the first time takes a minute or two) ...")
    steps: list[list[str | Path]] = [
        [*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", LOCK],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT],
    ]
    for step in steps:
        done = subprocess.run(step, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        if done.returncode:
            raise Refused("The packages could not be installed; what pip says stands above.")


def set_up() -> None:
    """Bring `.venv` to what the lock wants; does nothing when it is there already."""
    need_python((3, 99))  # a newer one may start what an older one has set up
    wanted, found = wanted_state(), read_marker()
    if found == wanted and venv_program("python").exists():
        return
    moved = found.get("root", str(ROOT)) != str(ROOT)
    if moved or not venv_is_good():
        make_venv()
    MARKER.unlink(missing_ok=True)
    install_packages()
    if LINUX:
        need_qt_libraries()
    MARKER.write_text(json.dumps(wanted), encoding="utf-8")
    say(f"Ready: {VENV}")


# --- the system's part --------------------------------------------------------------------------------------


def can_install() -> bool:
    """Whether we are root on a Debian, where a missing package can be installed at once."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and Path("/etc/debian_version").exists()


def need_debian_packages(packages: Sequence[str], what_for: str) -> None:
    """Install Debian packages as root.

    Raises:
        Refused: naming the packages, where we may not install them or that failed.
    """
    names = " ".join(sorted(set(packages)))
    if not can_install():
        raise Refused(f"{what_for} needs system packages; on Debian or Ubuntu: sudo apt-get install {names}")
    say(f"Installing Debian packages for {what_for}: {names}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_service_started():
        for command in (["update"], ["install", "-y", "--no-install-recommends", *names.split()]):
            done = subprocess.run(
                ["apt-get", "-qq", *command],
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                say((done.stdout + done.stderr).strip())
                raise Refused(f"`apt-get {command[0]}` failed; {what_for} needs: {names}")


@contextlib.contextmanager
def no_service_started() -> Iterator[None]:
    """Keep packages from starting their services: the tests start what they need, on ports of their own."""
    if SERVICE_POLICY.exists():
        yield
        return
    SERVICE_POLICY.write_text("#!/bin/sh\nexit 101\n")
    SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        SERVICE_POLICY.unlink()


def missing_libraries(needs: dict[str, str]) -> list[str]:
    """The Debian packages of those shared libraries that the loader does not find."""
    missing = []
    for library, package in needs.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def need_qt_libraries() -> None:
    """See to the libraries that Qt loads from the system; those for a display are only asked for."""
    needed, for_display = missing_libraries(QT_NEEDS), missing_libraries(QT_DISPLAY_NEEDS)
    if needed or (for_display and can_install()):
        need_debian_packages([*needed, *for_display], "Qt")
    elif for_display:
        say(f"To open windows on this system, Qt lacks: sudo apt-get install {' '.join(for_display)}")


def need_test_programs() -> None:
    """See to the real parts that the tests talk to (Linux only: elsewhere there is no Secret Service)."""
    if LINUX:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        missing = [
            each for program, each in TEST_PROGRAMS.items() if shutil.which(program, path=path) is None
        ]
        if missing:
            need_debian_packages(missing, "the test suite")


# --- commands -------------------------------------------------------------------------------------------------


def become(command: Sequence[str | Path]) -> NoReturn:
    """Let another program take this one's place, so that signals and exit status are its own."""
    words = [str(word) for word in command]
    sys.stdout.flush()
    if WINDOWS:
        sys.exit(subprocess.run(words, cwd=ROOT, check=False).returncode)
    os.chdir(ROOT)
    os.execv(words[0], words)


def has_display() -> bool:
    """Whether a window can be seen by anyone."""
    if LINUX:
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return not os.environ.get("CI")


def demo() -> NoReturn:
    """The main job: window, bundled relay and a demo peer; without a display, offscreen with screenshots."""
    set_up()
    command: list[str | Path] = [venv_program("python"), "-m", "agentnet_desktop", "--demo"]
    if not has_display():
        pictures = ROOT / "demo-output"
        say(f"No display here: running offscreen; screenshots go to {pictures}")
        command += ["--offscreen", "--screenshots", pictures]
    become(command)


def test(arguments: Sequence[str]) -> NoReturn:
    """The suite as CI runs it; `arguments` are pytest's.

    The whole suite is shared out among as many processes as there are cores; tests/conftest.py says what stays together.
    """
    set_up()
    need_test_programs()
    shared = ["-n", str(min(os.cpu_count() or 1, MOST_WORKERS)), "--dist", "loadfile"]
    become([venv_program("python"), "-m", "pytest", *(arguments or shared)])


def lint() -> int:
    """Every check of the source; runs all of them, and returns 1 when one complained."""
    set_up()
    checks = {
        "format": ["ruff", "format", "--check", "--quiet", "."],
        "lint": ["ruff", "check", "--quiet", "."],
        "types": ["mypy"],
        "import rules": ["lint-imports", "--no-logo"],
    }
    failed = []
    for name, (program, *arguments) in checks.items():
        done = subprocess.run([venv_program(program), *arguments], cwd=ROOT, check=False)
        print(f"{name}: {'failed' if done.returncode else 'good'}", flush=True)
        if done.returncode:
            failed.append(name)
    return 1 if failed else 0


class Benchmark(NamedTuple):
    """One file of `benchmarks/`.

    Attributes:
        long: whether it runs only by name: `LONG = True`.
        limit: seconds after which a run of it is ended: `RUN_LIMIT_S`, where the usual ones are too few.
        line: the first line of its docstring.
    """

    long: bool
    limit: float
    line: str


def find_benchmarks() -> dict[str, Benchmark]:
    """Every benchmark by its name. Reads the files, imports nothing."""
    found = {}
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            continue
        said = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        limit = said.get("RUN_LIMIT_S")
        line = (ast.get_docstring(tree) or "").partition("\n")[0]
        found[path.stem] = Benchmark(
            said.get("LONG") is True, limit if isinstance(limit, float) else BENCH_LIMIT_S, line
        )
    return found


def machine() -> str:
    """One line on the machine, because a figure means nothing without it."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model
        )
    memory = ""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores{memory}, {platform.platform()}, {python}"


def bench(names: Sequence[str], *, listed: bool, short: bool) -> int:
    """Run benchmarks, each in a process of its own with a time limit; returns 1 when one failed."""
    known = find_benchmarks()
    if listed:
        for name, each in known.items():
            print(f"{name:<20} {'only by name  ' if each.long else '              '}{each.line}")
        return 0
    for name in names:
        if name not in known:
            raise Refused(f"There is no benchmark {name!r}; there are: {', '.join(known)}.", 2)
    set_up()
    print(f"machine: {machine()}", flush=True)
    failed = [
        name
        for name in names or [n for n in known if not known[n].long]
        if not run_benchmark(name, BENCH_SHORT_LIMIT_S if short else known[name].limit, short)
    ]
    if failed:
        say(f"These benchmarks failed: {', '.join(failed)}.")
    return 1 if failed else 0


def run_benchmark(name: str, limit: float, short: bool) -> bool:
    """Run one benchmark; whether it ended well and in time."""
    code = f"import sys, benchmarks.{name} as b; sys.exit(b.main({short}))"
    started = time.monotonic()
    print(f"\n== {name}{' (short)' if short else ''}", flush=True)
    process = subprocess.Popen(
        [venv_program("python"), "-c", code],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=not WINDOWS,
    )
    try:
        status = process.wait(limit)
    except BaseException as problem:
        end_group(process)
        if not isinstance(problem, subprocess.TimeoutExpired):
            raise
        say(f"{name} was ended after its {limit:.0f} s.")
        return False
    print(f"-- {name}: {time.monotonic() - started:.0f} s, exit {status}", flush=True)
    return status == 0


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a benchmark and whatever it has started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Complain about the command line."""
        raise Refused(f"run.py: {message} (`python3 run.py --help` says what there is).", 2)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what stands after `--` goes to pytest and is not looked at."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    ours, rest = arguments[:cut], arguments[cut + 1 :]
    if ours and not ours[0].startswith("-") and ours[0] not in COMMANDS:
        raise Refused(f"run.py has no command {ours[0]!r}; there are: {', '.join(COMMANDS)}.", 2)
    parser = Parser(prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS[:3]:
        commands.add_parser(name)
    benchmarks = commands.add_parser("bench")
    benchmarks.add_argument(
        "names", nargs="*", metavar="NAME", help="which; all that are not long when none is named"
    )
    benchmarks.add_argument("--list", action="store_true", dest="listed", help="say which there are")
    benchmarks.add_argument("--short", action="store_true", help="smaller counts, for a quick look")
    options = parser.parse_args(ours)
    if rest and options.command != "test":
        parser.error("only `test` takes arguments after `--`")
    options.rest = rest
    return options


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; returns the exit status."""
    try:
        options = parse(arguments)
        if options.command is None:
            demo()
        elif options.command == "test":
            test(options.rest)
        elif options.command == "setup":
            set_up()
        elif options.command == "lint":
            return lint()
        else:
            return bench(options.names, listed=options.listed, short=options.short)
    except Refused as refusal:
        say(str(refusal))
        return refusal.status
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
