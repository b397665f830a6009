"""`agentnet` as a person's shell runs it: real processes, their exit codes and what they print."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import ROOT, Lines, end

LIMIT_S = 60.0
WORDS = "a passphrase for tests"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; fails on anything else there."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Shell:
    """One person at one shell, with a profile of their own."""

    profile: Path
    passphrase_file: Path | None
    env: dict[str, str] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "agentnet_desktop.cli", *args, "--profile", str(self.profile)]

    def environment(self) -> dict[str, str]:
        given = (
            {} if self.passphrase_file is None else {"AGENTNET_PASSPHRASE_FILE": str(self.passphrase_file)}
        )
        return {**os.environ, **given, **self.env, "PYTHONWARNINGS": "error"}

    def __call__(self, *args: str) -> Done:
        """Run a command to its end. Nothing it does may show a traceback."""
        done = subprocess.run(
            self.command(*args),
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str) -> Running:
        """Start a command that goes on, such as `run`."""
        process = subprocess.Popen(
            self.command(*args),
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        started = Running(process, Lines(process.stdout), Lines(process.stderr))
        self.running.append(started)
        return started

    def run(self, *args: str) -> Running:
        """Start `run` and wait until it is connected."""
        started = self.start("run", "--json", *args)
        started.err.until("connected: ", LIMIT_S)
        return started


@dataclass
class Running:
    """A command that goes on."""

    process: subprocess.Popen[str]
    out: Lines
    err: Lines

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; returns its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(LIMIT_S)
        if code == 1:
            raise AssertionError(self.err.rest())
        return code

    def rows(self) -> list[dict[str, Any]]:
        """All that it printed, once it has ended."""
        return [json.loads(line) for line in self.out.rest().splitlines()]

    def clean_up(self) -> None:
        end(self.process)
        assert "Traceback" not in self.err.rest(), self.err.seen
