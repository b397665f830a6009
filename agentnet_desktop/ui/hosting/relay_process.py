"""The bundled relay as a child process. It is started, listened to and stopped; nothing of it is imported.

It hangs on a leash (`leash.py`): it ends with the window, even when the window is killed. It is never started again by
itself. Lists, invites and backups are made by its own command line, beside the running one. A frozen build has no
interpreter to give `-m relay` to, so it runs its own executable again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.ui.hosting import settings_file
from agentnet_desktop.ui.hosting.ending import Ending, ending
from agentnet_desktop.ui.hosting.words import ending_sentence
from agentnet_desktop.ui.text import tr

RELAY_SWITCH = "--run-bundled-relay"  # understood by app.py in a frozen build
LEASHED_SWITCH = "--run-leashed-relay"  # the same, ending with standard input
_LISTENING = "listening on "
_METRICS = "metrics on "
_LINK = "agentnet://join"
_PROGRAM = "agentnet-relay: "
_KEPT_LINES = 500
_STOP_MS = 12_000  # the relay drains for 5 s, and lingers 2


class RelayState(StrEnum):
    """Where the child stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class RelayFault(AgentError, RuntimeError):
    """The relay did not do what was asked; one sentence for a person."""


def relay_command(*arguments: str, leashed: bool = False) -> tuple[str, list[str]]:
    """Give program and arguments that run the bundled relay's command line.

    Args:
        arguments: Of `agentnet-relay`.
        leashed: It is to end when its standard input does.
    """
    if getattr(sys, "frozen", False):
        return sys.executable, [LEASHED_SWITCH if leashed else RELAY_SWITCH, *arguments]
    module = "agentnet_desktop.ui.hosting.leash" if leashed else "relay"
    return sys.executable, ["-m", module, *arguments]


class RelayProcess(QObject):
    """One relay of ours. At most one runs at a time."""

    state_changed = Signal(str)  # RelayState
    listening = Signal(str)  # address
    invited = Signal(str)  # the first invite link that a fresh relay prints
    wrote = Signal(str)  # one line of its log
    failed = Signal(str)  # a sentence for the person

    def __init__(self, data_dir: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._data_dir = data_dir
        self._state = RelayState.STOPPED
        self._rest: dict[str, str] = {"out": "", "err": ""}
        self._helpers: dict[QProcess, Callable[[int, str, str], None]] = {}
        self._ran = False
        self._since_start = 0  # how many of the lines were written since the last start
        self.address = ""
        self.metrics = ""  # address of its metrics, while it runs
        self.ending: Ending | None = None  # how it ended, when nobody had asked for it
        self.lines: list[str] = []
        self._process = self._child()
        self._process.readyReadStandardOutput.connect(self._read_out)
        self._process.readyReadStandardError.connect(self._read_err)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._broken)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_STOP_MS)
        self._patience.timeout.connect(self._process.kill)

    def _child(self) -> QProcess:
        made = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        made.setProcessEnvironment(environment)
        return made

    @property
    def state(self) -> RelayState:
        """Where the child stands."""
        return self._state

    @property
    def data_dir(self) -> Path:
        """Where the relay keeps its registry and its settings."""
        return self._data_dir

    def pid(self) -> int:
        """Give the child's process id, 0 when there is none."""
        return int(self._process.processId())

    # ------------------------------------------------------------------------------- life

    def start(self, *, port: int, name: str) -> None:
        """Start the relay; what else it needs to know stands in its `relay.toml`.

        Args:
            port: Where it listens; 0 picks a free one.
            name: How guests see it.
        """
        if self._state is not RelayState.STOPPED:
            return
        self.address = self.metrics = ""
        self.ending = None
        self._ran = False
        self._since_start = 0
        self._rest = {"out": "", "err": ""}
        self._set_state(RelayState.STARTING)
        given = ["--port", str(port), "--name", name, "--data-dir", str(self._data_dir)]
        program, arguments = relay_command("serve", *given, *self._metrics_option(), leashed=True)
        self._process.start(program, arguments)

    def _metrics_option(self) -> list[str]:
        """Ask for metrics on a free port, unless the host chose one."""
        try:
            chosen = settings_file.read(self._data_dir).get("metrics_port", -1)
        except settings_file.SettingsFault:
            return []  # the relay reads the same file, and says in its own words what is wrong
        return [] if isinstance(chosen, int) and chosen >= 0 else ["--metrics-port", "0"]

    def stop(self) -> None:
        """Ask the relay to end in order; it is killed when it does not."""
        if self._state in (RelayState.STARTING, RelayState.RUNNING):
            self._set_state(RelayState.STOPPING)
            self._patience.start()
            self._process.terminate()

    async def stopped(self) -> None:
        """Stop the relay, if it runs, and wait until it has ended."""
        if self._state is RelayState.STOPPED:
            return
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def note(state: str) -> None:
            if state == RelayState.STOPPED.value and not ended.done():
                ended.set_result(None)

        self.state_changed.connect(note)
        self.stop()
        await ended
        self.state_changed.disconnect(note)

    async def started(self) -> str:
        """Wait until the relay listens.

        Returns:
            Its address.

        Raises:
            RelayFault: it ended instead.
        """
        if self._state is RelayState.RUNNING:
            return self.address
        if self.ending is not None:
            raise RelayFault(ending_sentence(self.ending))
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def listening(address: str) -> None:
            if not ready.done():
                ready.set_result(address)

        def failed(sentence: str) -> None:
            if not ready.done():
                ready.set_exception(RelayFault(sentence))

        self.listening.connect(listening)
        self.failed.connect(failed)
        try:
            return await ready
        finally:
            self.listening.disconnect(listening)
            self.failed.disconnect(failed)

    # ------------------------------------------------------------------------------- its command line

    async def command(self, *arguments: str) -> str:
        """Run one command of the relay's command line on its data.

        Args:
            arguments: The command; `--data-dir` is added.

        Returns:
            What it printed.

        Raises:
            RelayFault: it failed; the message is its own sentence.
        """
        made: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def finished(code: int, output: str, errors: str) -> None:
            if made.done():
                return
            if code == 0:
                made.set_result(output)
            else:
                said = errors.strip().splitlines()[-1:] or [tr("The relay's command failed.")]
                made.set_exception(RelayFault(said[0].removeprefix(_PROGRAM)))

        self._run([*arguments, "--data-dir", str(self._data_dir)], finished)
        return await made

    async def invite(self, *options: str) -> str:
        """Make an invite link for one guest.

        Args:
            options: More of `agentnet-relay invite`, such as `--expires 7d`.

        Raises:
            RelayFault: it could not be made.
        """
        output = await self.command("invite", *options)
        links = [line.strip() for line in output.splitlines() if line.startswith(_LINK)]
        if not links:
            raise RelayFault(tr("The relay made no invite link."))
        return links[0]

    async def write_settings(self, document: dict[str, Any]) -> None:
        """Replace the relay's `relay.toml`, after the relay has judged it; a running one needs a restart.

        Raises:
            RelayFault: the relay refuses these settings; the old ones stay.
            SettingsFault: they cannot be written.
        """
        candidate = settings_file.write_candidate(self._data_dir, document)
        try:
            await self.command("check", "--config", str(candidate))
        except BaseException:
            settings_file.refuse(candidate)
            raise
        settings_file.accept(candidate)

    def _run(self, arguments: list[str], finished: Callable[[int, str, str], None]) -> None:
        helper = self._child()
        self._helpers[helper] = finished
        helper.finished.connect(self._helper_ended)
        helper.errorOccurred.connect(lambda _error: self._helper_ended())
        program, full = relay_command(*arguments)
        helper.start(program, full)

    def _helper_ended(self) -> None:
        ended = [child for child in self._helpers if child.state() is QProcess.ProcessState.NotRunning]
        for helper in ended:
            finished = self._helpers.pop(helper)
            output = bytes(helper.readAllStandardOutput().data()).decode("utf-8", "replace")
            errors = bytes(helper.readAllStandardError().data()).decode("utf-8", "replace")
            crashed = helper.exitStatus() is QProcess.ExitStatus.CrashExit
            started = helper.error() is not QProcess.ProcessError.FailedToStart
            code = helper.exitCode() if started and not crashed else 1
            helper.deleteLater()
            finished(code, output, errors)

    # ------------------------------------------------------------------------------- what it writes

    def _set_state(self, state: RelayState) -> None:
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state.value)

    def _read_out(self) -> None:
        for line in self._lines("out", bytes(self._process.readAllStandardOutput().data())):
            if line.startswith(_LISTENING):
                self.address = line.removeprefix(_LISTENING).strip()
                self._ran = True
                self._set_state(RelayState.RUNNING)
                self.listening.emit(self.address)
            elif line.startswith(_METRICS):
                self.metrics = line.removeprefix(_METRICS).strip()
            elif line.startswith(_LINK):
                self.invited.emit(line)
            self._keep(line if not line.startswith(_LINK) else tr("(made an invite link)"))

    def _read_err(self) -> None:
        for line in self._lines("err", bytes(self._process.readAllStandardError().data())):
            self._keep(line)

    def _lines(self, stream: str, data: bytes) -> list[str]:
        *whole, self._rest[stream] = (self._rest[stream] + data.decode("utf-8", "replace")).split("\n")
        return [line.rstrip("\r") for line in whole]

    def _keep(self, line: str) -> None:
        self.lines = [*self.lines[-_KEPT_LINES + 1 :], line]
        self._since_start = min(self._since_start + 1, _KEPT_LINES)
        self.wrote.emit(line)

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._patience.stop()
        self._read_out()
        self._read_err()
        asked = self._state is RelayState.STOPPING
        self.metrics = ""
        if not asked:
            crashed = status is QProcess.ExitStatus.CrashExit
            said = self.lines[len(self.lines) - self._since_start :]
            self.ending = ending(said, code=code, crashed=crashed, ran=self._ran)
        self._set_state(RelayState.STOPPED)
        if self.ending is not None:
            self.failed.emit(ending_sentence(self.ending))

    def _broken(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self.ending = ending([], code=1, crashed=False, ran=False)
            self._set_state(RelayState.STOPPED)
            self.failed.emit(tr("The bundled relay could not be started."))
