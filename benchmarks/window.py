"""How soon the window stands on the screen, beside a bare PySide6 window in the same run.

Each figure is a new process, from the moment it is started to the first paint of its main window: interpreter,
imports, QApplication, all of it. Ours is the real program on a profile that exists. Nothing is drawn on a real
display: both use Qt's offscreen platform.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Table

LIMIT_S = 1.0
LIMIT_RATIO = 6.0

_WATCH = """
import os, sys, time
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QMainWindow

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and isinstance(watched, QMainWindow):
            print(time.monotonic_ns() - int(sys.argv[1]), flush=True)
            os._exit(0)
        return False
"""

_BARE = (
    _WATCH
    + """
from PySide6.QtWidgets import QApplication
qt = QApplication([])
watch = Watch()
qt.installEventFilter(watch)
window = QMainWindow()
window.show()
qt.exec()
"""
)

_OURS = (
    _WATCH
    + """
from agentnet_desktop import app
made = app.application
def application():
    qt = made()
    qt.watch = Watch()
    qt.installEventFilter(qt.watch)
    return qt
app.application = application
app.main(["--offscreen", "--profile", sys.argv[2]])
"""
)


def shown(code: str, profile: Path) -> float:
    """Seconds from the start of a process to the first paint of its main window."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    started = time.monotonic_ns()
    done = subprocess.run(
        [sys.executable, "-c", code, str(started), str(profile)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=True,
    )
    return int(done.stdout.split()[-1]) / 1e9


def _make_profile(folder: Path) -> None:
    from agentnet_desktop.compose import create_profile
    from agentnet_desktop.vault.kdf import Kdf

    asyncio.run(
        create_profile(
            folder,
            agent_id="alice",
            relay="ws://127.0.0.1:9",
            key_store="file",
            passphrase="lives as long as a benchmark",
            kdf=Kdf.weak(),
        )
    )


def main(short: bool) -> int:
    """Measure, print, and return 0 when both bounds are kept."""
    runs = 5 if short else 15
    bare: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory(prefix="agentnet-bench-") as folder:
        profile = Path(folder) / "profile"
        _make_profile(profile)
        for code, times in ((_BARE, bare), (_OURS, ours)):
            shown(code, profile)  # fills the caches of files and byte code
            times.clear()
        for _ in range(runs):  # in turns, so that both see the same machine
            bare.append(shown(_BARE, profile))
            ours.append(shown(_OURS, profile))
    table = Table(f"Window shown, {runs} starts each", ("", "median s", "best s", "worst s", "ratio"))
    base = statistics.median(bare)
    for name, times in (("a bare PySide6 window", bare), ("agentnet-desktop", ours)):
        middle = statistics.median(times)
        table.row(name, middle, min(times), max(times), middle / base)
    table.bound("window shown, s", statistics.median(ours), "<=", LIMIT_S)
    table.bound("beside a bare window", statistics.median(ours) / base, "<=", LIMIT_RATIO)
    return table.finish()


if __name__ == "__main__":
    raise SystemExit(main("--short" in sys.argv))
