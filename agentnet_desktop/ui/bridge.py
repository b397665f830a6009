"""The one way between the window and the agent: events become signals, commands become kept tasks.

The agent calls its listener on the loop's thread, which under qasync is the window's own thread, so a signal
is emitted directly. Widgets never touch the agent: they call `command`, and read the log through `log`.

This module shows nothing and decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Signal

from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.agent.events import (
    AgentSnapshot,
    ConnectionChanged,
    ContactChanged,
    Event,
    LogAppended,
    LogChanged,
    OutboxChanged,
    PermissionAsked,
    ProposalChanged,
    SecurityRaised,
    StorageChanged,
)
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.store.errors import StoreError

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent
    from agentnet_desktop.ui.keeper import Keeper

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Bridge(QObject):
    """Turns agent events into signals that carry frozen dataclasses, and commands into tasks."""

    attached = Signal(object)  # AgentSnapshot: an agent is there, models start from this
    detached = Signal()
    connection_changed = Signal(object)  # ConnectionView
    log_appended = Signal(object)  # tuple[LogRow, ...]
    log_changed = Signal(object)  # tuple[LogRow, ...]
    proposal_changed = Signal(object)  # ProposalChanged
    contact_changed = Signal(object)  # ContactChanged
    permission_changed = Signal(object)  # PermissionAsked
    outbox_changed = Signal(int)
    security_raised = Signal(object)  # SecurityView
    storage_changed = Signal(str)  # why nothing new can be stored; "" once it can be again
    command_failed = Signal(str)  # a sentence for the person, when the caller has no place for it

    def __init__(self, tasks: Tasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._agent: Agent | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self.snapshot: AgentSnapshot | None = None
        self.keeper: Keeper | None = None  # who looks after the open profile

    @property
    def agent(self) -> Agent | None:
        """The agent, once there is one."""
        return self._agent

    async def attach(self, agent: Agent, keeper: Keeper | None = None) -> None:
        """Connect an agent: subscribes first and reads the snapshot second, so that nothing falls between."""
        self._agent = agent
        self.keeper = keeper
        waiting: list[Event] = []
        unsubscribe = agent.subscribe(waiting.append)
        self.snapshot = await agent.snapshot()
        problem = await agent.storage_problem()
        unsubscribe()
        self._unsubscribe = agent.subscribe(self.dispatch)
        self.attached.emit(self.snapshot)
        if problem:
            self.storage_changed.emit(problem)
        for event in waiting:
            self.dispatch(event)

    def detach(self) -> None:
        """Let go of the agent; later events and commands go nowhere."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._unsubscribe = None
        self._agent = None
        self.keeper = None
        self.detached.emit()

    def dispatch(self, event: Event) -> None:
        """Emit the signal of one event; what no view shows by itself, such as an answer to a query, has none."""
        match event:
            case ConnectionChanged(view=connection):
                self.connection_changed.emit(connection)
            case LogAppended(rows=rows):
                self.log_appended.emit(rows)
            case LogChanged(rows=rows):
                self.log_changed.emit(rows)
            case ProposalChanged():
                self.proposal_changed.emit(event)
            case ContactChanged():
                self.contact_changed.emit(event)
            case PermissionAsked():
                self.permission_changed.emit(event)
            case OutboxChanged(queued=queued):
                self.outbox_changed.emit(queued)
            case SecurityRaised(view=security):
                self.security_raised.emit(security)
            case StorageChanged(problem=problem):
                self.storage_changed.emit(problem)

    def command(
        self,
        make: Callable[[Agent], Coroutine[Any, Any, T]],
        *,
        name: str,
        owner: QObject,
        done: Callable[[T], object] | None = None,
        failed: Callable[[str], object] | None = None,
    ) -> asyncio.Task[None] | None:
        """Give the agent a command.

        Args:
            make: Makes the coroutine of the command from the agent.
            name: A few words for a log line.
            owner: Whose callbacks these are; once it is gone they are not called.
            done: Gets the result.
            failed: Gets a sentence for the person; without it `command_failed` tells it.

        Returns:
            The task, to cancel it; None when there is no agent.
        """
        agent = self._agent
        if agent is None:
            self._tell(self.tr("The agent is not running yet."), owner, failed)
            return None
        return self.work(lambda: make(agent), name=name, owner=owner, done=done, failed=failed)

    def work(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        *,
        name: str,
        owner: QObject,
        done: Callable[[T], object] | None = None,
        failed: Callable[[str], object] | None = None,
    ) -> asyncio.Task[None]:
        """Run work that belongs to the window, such as a page of the log; arguments as in `command`.

        The coroutine is made when the task begins: one that is cancelled before leaves nothing unawaited.
        """

        async def run() -> None:
            try:
                result = await make()
            except (AgentError, StoreError) as error:
                self._tell(str(error), owner, failed)
                return
            except Exception:
                # Whatever it was, the person learns that it failed, and the log has the trace.
                self._tell(self.tr("Something went wrong here; nothing was changed."), owner, failed)
                raise
            if done is not None and shiboken6.isValid(owner):
                done(result)

        return self._tasks.start(run(), name=name)

    def _tell(self, sentence: str, owner: QObject, failed: Callable[[str], object] | None) -> None:
        if failed is not None and shiboken6.isValid(owner):
            failed(sentence)
        elif shiboken6.isValid(self):
            self.command_failed.emit(sentence)
