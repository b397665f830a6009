"""Fixtures for the whole suite: a quiet log, a real keyring of our own, a real relay process.

Nothing here touches what belongs to the person who runs the tests: their session bus, keyring, profile
folders and display stay out of reach from the first import on.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadfile import LoadFileScheduling

# The real session bus is never used: a test that wants a keyring asks for `secret_service`.
_NO_BUS = "unix:path=/nonexistent/agentnet-tests-use-no-session-bus"
os.environ["DBUS_SESSION_BUS_ADDRESS"] = _NO_BUS
os.environ["QT_QPA_PLATFORM"] = "offscreen"
_HOME = Path(tempfile.mkdtemp(prefix="agentnet-tests-"))
for _name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
    _folder = _HOME / _name.lower()
    _folder.mkdir(mode=0o700)
    os.environ[_name] = str(_folder)
for _name in [name for name in os.environ if name.startswith("AGENTNET_")]:
    del os.environ[_name]

_WINDOWS = "tests/ui/"
pytest_plugins = ("tests.processes", "tests.issuer")


class Together(LoadFileScheduling):
    """Shares the suite out by files, all tests of windows together.

    Amid other tests Python may collect on the thread of a database what a window has left, and a widget that dies there
    can crash the next window: see `ui/garbage.py`.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "windows" if nodeid.startswith(_WINDOWS) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """How the suite is shared out (xdist's hook)."""
    return Together(config, log)


def pytest_unconfigure() -> None:
    """Remove the folders that stood in for the person's own."""
    shutil.rmtree(_HOME, ignore_errors=True)


class ErrorLog(logging.Handler):
    """Keeps every ERROR-level record of one test, and knows which of them the test announced."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []
        self._announced: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record (logging.Handler's hook)."""
        self.records.append(record)

    def announce(self, pattern: str) -> None:
        """Declare that a record whose message matches `pattern` (a regular expression) must come."""
        self._announced.setdefault(pattern, 0)

    def verdict(self) -> str:
        """Say what was logged without being announced, or announced without being logged; "" if all is well."""
        complaints: list[str] = []
        for record in self.records:
            text = f"{record.name}: {record.getMessage()}"
            matching = [pattern for pattern in self._announced if re.search(pattern, text)]
            for pattern in matching:
                self._announced[pattern] += 1
            if not matching:
                trace = f" ({record.exc_info[1]!r})" if record.exc_info and record.exc_info[1] else ""
                complaints.append(f"unexpected {record.levelname} record: {text}{trace}")
        complaints += [f"no ERROR record matched {p!r}" for p, seen in self._announced.items() if not seen]
        return "\n".join(complaints)


@pytest.fixture(autouse=True)
def _error_log(request: pytest.FixtureRequest) -> Iterator[ErrorLog]:
    """Fail a test that logs an ERROR nobody announced, and one whose announced ERROR never came."""
    handler = ErrorLog()
    for marker in request.node.iter_markers("expected_errors"):
        for pattern in marker.args:
            handler.announce(pattern)
    logging.getLogger().addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger().removeHandler(handler)
    if verdict := handler.verdict():
        pytest.fail(verdict, pytrace=False)


@pytest.fixture
def expected_errors(_error_log: ErrorLog) -> Callable[[str], None]:
    """Call with a regular expression: an ERROR record that matches it must come in this test."""
    return _error_log.announce
