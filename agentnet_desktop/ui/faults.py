"""Errors that nothing caught, in a slot or a callback of the loop: the trace is written, and the person is told.

Without this Qt only prints them, and a click that did nothing looks like one that did.
"""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Any

from PySide6.QtCore import QObject, Signal


class Faults(QObject):
    """Listens where Python and the loop hand over what nobody caught."""

    happened = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._before = sys.excepthook
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to listen; what was told before is told still."""
        self._before = sys.excepthook
        sys.excepthook = self._from_python
        self._loop = loop
        loop.set_exception_handler(self._from_loop)

    def remove(self) -> None:
        """Stop listening."""
        sys.excepthook = self._before
        if self._loop is not None:
            self._loop.set_exception_handler(None)
            self._loop = None

    def _from_python(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self._before(kind, error, trace)
        if issubclass(kind, Exception):
            self.happened.emit()

    def _from_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if isinstance(context.get("exception"), Exception):
            self.happened.emit()
