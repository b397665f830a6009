"""Fixtures that start real processes: a private keyring service, and a relay.

Each process is started here, watched here and ended here by its own id. Everything they write lies in
temporary folders.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parent.parent
_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 10.0


def real_part(name: str, package: str) -> str:
    """The path of a program that a test talks to for real; without it the test fails, naming the Debian package."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.fail(f"install the Debian package {package}", pytrace=False)
    return found


class Lines:
    """The lines of a process's output, read by a thread so that waiting for one can have a limit."""

    def __init__(self, stream: IO[str]) -> None:
        self.seen: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._pump, args=(stream,), daemon=True)
        self._thread.start()

    def _pump(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def until(self, pattern: str, limit_s: float = _START_LIMIT_S) -> re.Match[str]:
        """Wait for a line that matches, among those already read too.

        Args:
            pattern: a regular expression, searched for in each line.
            limit_s: seconds to wait at most.

        Raises:
            TimeoutError: no such line in time.
            EOFError: the process closed its output without such a line.
        """
        for line in self.seen:
            if match := re.search(pattern, line):
                return match
        deadline = time.monotonic() + limit_s
        while True:
            try:
                line_or_end = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no line matched {pattern!r} in {limit_s} s; read {self.seen}") from None
            if line_or_end is None:
                self._queue.put(None)
                raise EOFError(f"output ended before a line matched {pattern!r}; read {self.seen}")
            self.seen.append(line_or_end)
            if match := re.search(pattern, line_or_end):
                return match

    def rest(self) -> str:
        """Everything that was written, once the output has ended."""
        self._thread.join(_STOP_LIMIT_S)
        while not self._queue.empty():
            line = self._queue.get()
            if line is not None:
                self.seen.append(line)
        return "\n".join(self.seen)


def end(process: subprocess.Popen[str]) -> int:
    """End a process that we started, politely and then not; returns its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_LIMIT_S)
    return process.returncode


# --- the operating system's keyring ---------------------------------------------------------------------

_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


@dataclass(frozen=True)
class SecretService:
    """A running, unlocked Secret Service on a bus of its own."""

    address: str  # of the bus, as DBUS_SESSION_BUS_ADDRESS names it
    bus_pid: int
    keyring_pid: int


def _missing_daemons() -> list[str]:
    packages = {"dbus-daemon": "dbus-daemon", "gnome-keyring-daemon": "gnome-keyring"}
    return [package for program, package in packages.items() if shutil.which(program) is None]


def _wait_for_collection(address: str) -> None:
    """Return once the keyring's default collection is there and unlocked."""
    import secretstorage

    deadline = time.monotonic() + _START_LIMIT_S
    problem = "it never appeared on the bus"
    while time.monotonic() < deadline:
        with contextlib.closing(secretstorage.dbus_init()) as connection:
            if secretstorage.check_service_availability(connection):
                if not secretstorage.get_default_collection(connection).is_locked():
                    return
                problem = "its default collection stayed locked"
        time.sleep(0.02)  # nothing announces readiness: gnome-keyring-daemon has to be asked
    raise TimeoutError(f"the private Secret Service on {address} is not usable: {problem}")


@contextlib.contextmanager
def private_secret_service(folder: Path) -> Iterator[SecretService]:
    """Run a D-Bus daemon and an unlocked gnome-keyring-daemon, both with `folder` as their only home."""
    config = folder / "bus.conf"
    config.write_text(_BUS_CONFIG.format(folder=folder))
    homes = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
    env = {**os.environ, **{name: str(folder) for name in homes}}
    bus = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=env,
    )
    keyring_daemon: subprocess.Popen[str] | None = None
    before = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    try:
        assert bus.stdout is not None
        address = Lines(bus.stdout).until("^unix:.*").group()
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = env["DBUS_SESSION_BUS_ADDRESS"] = address
        keyring_daemon = subprocess.Popen(
            [
                "gnome-keyring-daemon",
                "--foreground",
                "--unlock",
                "--components=secrets",
                f"--control-directory={folder}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        assert keyring_daemon.stdin is not None
        keyring_daemon.stdin.write("the password of a keyring that holds nothing of worth")
        keyring_daemon.stdin.close()
        _wait_for_collection(address)
        yield SecretService(address, bus.pid, keyring_daemon.pid)
    finally:
        if before is None:
            os.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
        else:
            os.environ["DBUS_SESSION_BUS_ADDRESS"] = before
        if keyring_daemon is not None:
            end(keyring_daemon)
        end(bus)


@pytest.fixture(scope="session")
def secret_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretService]:
    """A real Secret Service (gnome-keyring) on a private bus, unlocked, and chosen by `keyring`.

    The person's own bus and keyring are not touched. Without the daemons the test fails: on CI because they
    must be there, elsewhere with the names of the packages that bring them.
    """
    if missing := _missing_daemons():
        where = "CI must have a real keyring" if os.environ.get("CI") else "this test needs a real keyring"
        pytest.fail(f"{where}: install the Debian packages {' '.join(missing)}.", pytrace=False)
    import keyring

    with private_secret_service(tmp_path_factory.mktemp("secrets")) as service:
        before = keyring.get_keyring()
        keyring.set_keyring(keyring.core.load_keyring("keyring.backends.SecretService.Keyring"))
        try:
            yield service
        finally:
            keyring.set_keyring(before)


# --- the relay ------------------------------------------------------------------------------------------


@dataclass
class RelayProcess:
    """`agentnet-relay serve` as a child process on a loopback port.

    Attributes:
        data_dir: its registry; kept over `kill()` and `start()`.
        url: its base address, `ws://127.0.0.1:PORT`; stays the same over a restart.
        invite_link: the link that the first start printed.
        extra: further arguments of `serve`.
        log: what it writes to stderr.
    """

    data_dir: Path
    extra: tuple[str, ...] = ()
    port: int = 0
    url: str = ""
    invite_link: str = ""
    lines: Lines | None = None
    log: Lines | None = None
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, the first time on a free port and then always on that one; returns when it listens."""
        assert self.process is None, "the relay runs already"
        command = [sys.executable, "-m", "relay", "serve", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), *self.extra]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.lines = Lines(self.process.stdout)
        self.log = errors = Lines(self.process.stderr)
        try:
            match = self.lines.until(r"listening on (wss?://\S+:(\d+))")
        except (EOFError, TimeoutError) as problem:
            end(self.process)
            self.process = None
            raise RuntimeError(f"the relay did not start: {problem}; it said {errors.rest()}") from None
        self.url, self.port = match.group(1), int(match.group(2))
        if not self.invite_link:
            self.invite_link = self.lines.until(r"agentnet://join\S+").group()

    def invite(self, *options: str) -> str:
        """Make one more invite beside the running relay; `options` go to `agentnet-relay invite`."""
        command = [sys.executable, "-m", "relay", "invite", "--data-dir", str(self.data_dir), *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_START_LIMIT_S)
        if done.returncode:
            raise RuntimeError(f"no invite: {done.stderr.strip()}")
        return done.stdout.strip().splitlines()[-1]

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self.process is not None, "the relay does not run"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(_STOP_LIMIT_S)
        self.process = None

    def stop(self) -> int | None:
        """End it in order (SIGTERM); returns its exit status, None when it did not run."""
        if self.process is None:
            return None
        status = end(self.process)
        self.process = None
        return status

    def restart(self) -> None:
        """Kill it and start it again on the same port with the same data."""
        self.kill()
        self.start()


@pytest.fixture
def relay_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """A real relay process of this test's own, listening; ended with the test."""
    relay = RelayProcess(tmp_path_factory.mktemp("relay"))
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()
