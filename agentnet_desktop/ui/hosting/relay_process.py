"""The bundled relay as a child process. It is started, listened to and stopped; nothing of it is imported.

A frozen build has no interpreter to give `-m relay` to, so it runs its own executable again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from agentnet_desktop.ui.text import tr

RELAY_SWITCH = "--run-bundled-relay"  # understood by app.py in a frozen build
_LISTENING = "listening on "
_LINK = "agentnet://join"
_KEPT_LINES = 500
_STOP_MS = 8000


class RelayState(StrEnum):
    """Where the child stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


def relay_command(*arguments: str) -> tuple[str, list[str]]:
    """Give program and arguments that run the bundled relay's command line."""
    if getattr(sys, "frozen", False):
        return sys.executable, [RELAY_SWITCH, *arguments]
    return sys.executable, ["-m", "relay", *arguments]


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
        self.address = ""
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
        """Where the relay keeps its registry."""
        return self._data_dir

    def pid(self) -> int:
        """Give the child's process id, 0 when there is none."""
        return int(self._process.processId())

    def start(self, *, port: int, name: str) -> None:
        """Start the relay on the loopback address.

        Args:
            port: Where it listens; 0 picks a free one.
            name: How guests see it.
        """
        if self._state is not RelayState.STOPPED:
            return
        self.address = ""
        self._set_state(RelayState.STARTING)
        program, arguments = relay_command(
            "serve", "--port", str(port), "--name", name, "--data-dir", str(self._data_dir)
        )
        self._process.start(program, arguments)

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
            RuntimeError: it ended instead; the message is a sentence for the person.
        """
        if self._state is RelayState.RUNNING:
            return self.address
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def listening(address: str) -> None:
            if not ready.done():
                ready.set_result(address)

        def failed(sentence: str) -> None:
            if not ready.done():
                ready.set_exception(RuntimeError(sentence))

        self.listening.connect(listening)
        self.failed.connect(failed)
        try:
            return await ready
        finally:
            self.listening.disconnect(listening)
            self.failed.disconnect(failed)

    async def invite(self) -> str:
        """Make an invite link for one guest.

        Raises:
            RuntimeError: it could not be made; the message is a sentence for the person.
        """
        made: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def finished(code: int, output: str, errors: str) -> None:
            if made.done():
                return
            links = [line.strip() for line in output.splitlines() if line.startswith(_LINK)]
            if code == 0 and links:
                made.set_result(links[0])
            else:
                made.set_exception(RuntimeError(errors.strip() or tr("The relay made no invite link.")))

        self._run(["invite", "--data-dir", str(self._data_dir)], finished)
        return await made

    def _run(self, arguments: list[str], finished: Callable[[int, str, str], None]) -> None:
        helper = self._child()
        self._helpers[helper] = finished
        helper.finished.connect(self._helper_ended)
        program, full = relay_command(*arguments)
        helper.start(program, full)

    def _helper_ended(self) -> None:
        ended = [child for child in self._helpers if child.state() is QProcess.ProcessState.NotRunning]
        for helper in ended:
            finished = self._helpers.pop(helper)
            output = bytes(helper.readAllStandardOutput().data()).decode("utf-8", "replace")
            errors = bytes(helper.readAllStandardError().data()).decode("utf-8", "replace")
            code = helper.exitCode()
            helper.deleteLater()
            finished(code, output, errors)

    def _set_state(self, state: RelayState) -> None:
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state.value)

    def _read_out(self) -> None:
        for line in self._lines("out", bytes(self._process.readAllStandardOutput().data())):
            if line.startswith(_LISTENING):
                self.address = line.removeprefix(_LISTENING).strip()
                self._set_state(RelayState.RUNNING)
                self.listening.emit(self.address)
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
        self.wrote.emit(line)

    def _finished(self, code: int, _status: object) -> None:
        self._patience.stop()
        asked = self._state is RelayState.STOPPING
        self._set_state(RelayState.STOPPED)
        if not asked:
            said = next((line for line in reversed(self.lines) if line.strip()), "")
            self.failed.emit(said or tr("The relay ended by itself, with code {0}.").format(code))

    def _broken(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._set_state(RelayState.STOPPED)
            self.failed.emit(tr("The bundled relay could not be started."))
