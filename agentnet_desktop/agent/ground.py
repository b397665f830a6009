"""The ground that the rooms of an agent stand on: turns, events, deadlines, ids.

A *turn* is one write transaction together with what follows from it once it is durable: events to tell,
envelopes to send, deadlines to set. A job runs on the database's writer thread and only notes what follows;
the ground does it on the loop's thread after the commit, in the order of the commits. So nothing is told or
sent that a crash could undo, and a job that raises has no effect at all.

Implements docs/protocol.md, *Delivery* ("row and log entry commit before anything is sent"). Decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agentnet_desktop.agent.deadlines import DeadlineQueue
from agentnet_desktop.agent.events import Event, LogAppended, LogChanged, LogRow, StorageChanged
from agentnet_desktop.agent.ports import Availability, Clock, Random
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.agent.timing import MINUTE_MS, Timing
from agentnet_desktop.store import settings
from agentnet_desktop.store.errors import DatabaseClosed, StoreError
from agentnet_desktop.store.part import ends_all, part
from relay.wire.codec import DEFAULT_MAX_MESSAGE_BYTES
from relay.wire.envelope import Envelope, new_id

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from agentnet_desktop.crypto.keys import IdentityKey
    from agentnet_desktop.store.engine import Database

T = TypeVar("T")
_LIMIT = "relay.maxMessageBytes"
_log = logging.getLogger(__name__)


class Hub:
    """Tells events to whoever subscribed, in order."""

    def __init__(self) -> None:
        """Makes a hub without listeners."""
        self._listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Adds a listener; returns what ends its subscription."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def tell(self, event: Event) -> None:
        """Calls every listener; one that raises is reported and does not keep the others from hearing."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                _log.exception("a listener failed on %s", type(event).__name__)


class Turn:
    """One write transaction, and what follows once it is durable.

    Attributes:
        session: of the transaction; only for use inside the job.
        now: milliseconds since the epoch, one value for the whole turn.
        careful: what it does has failed before, so that each part is done by `apart`.
    """

    def __init__(self, session: Session, now: int) -> None:
        """Begins a turn at `now`."""
        self.session = session
        self.now = now
        self.appended: list[LogRow] = []
        self.changed: dict[int, LogRow] = {}
        self.events: list[Event] = []
        self.outgoing: list[Envelope] = []
        self.due: dict[str, int] = {}
        self.after: list[Callable[[], None]] = []
        self.careful = False

    def tell(self, event: Event) -> None:
        """Notes an event."""
        self.events.append(event)

    def send(self, envelope: Envelope) -> None:
        """Notes an envelope to send. Control messages and messages whose row is already IN_FLIGHT only."""
        self.outgoing.append(envelope)

    def wake(self, key: str, at: int) -> None:
        """Notes that the deadline `key` is due at `at` or sooner."""
        self.due[key] = min(at, self.due.get(key, at))

    def then(self, action: Callable[[], None]) -> None:
        """Notes something quick to do on the loop's thread after the commit."""
        self.after.append(action)

    def apart(self, job: Callable[[Turn], T], what: str) -> T | Exception:
        """Does a part of the turn that must not take the rest with it: when it raises, only it is undone.

        Args:
            job: gets a turn of its own in the same transaction.
            what: a few words for the report of its failure.

        Returns:
            What `job` returned; what it raised, when it was undone and reported.

        Raises:
            Exception: a fault of the disk, which is the whole turn's.
        """
        own = Turn(self.session, self.now)
        own.careful = self.careful
        try:
            with part(self.session):
                result = job(own)
        except Exception as error:
            if ends_all(self.session, error):
                raise
            _log.exception("%s failed and was left out", what)
            return error
        self.appended += own.appended
        self.changed.update(own.changed)
        self.events += own.events
        self.outgoing += own.outgoing
        for key, at in own.due.items():
            self.wake(key, at)
        self.after += own.after
        return result


def each_apart(turn: Turn, jobs: Mapping[str, Callable[[Turn], None]]) -> None:
    """Does several things in one turn, each of which stands or falls alone. Named for the report of its failure."""
    for what, job in jobs.items():
        turn.apart(job, what)


class Ground:
    """What every room of one agent shares."""

    def __init__(
        self,
        *,
        agent_id: str,
        identity: IdentityKey,
        db: Database,
        clock: Clock,
        random: Random,
        relay_url: str,
        calendar: Availability | None,
        timing: Timing,
        deadlines: DeadlineQueue,
    ) -> None:
        """Keeps what it is given; see `Agent`."""
        self.agent_id = agent_id
        self.identity = identity
        self.db = db
        self.clock = clock
        self.random = random
        self.relay_url = relay_url
        self.calendar = calendar
        self.timing = timing
        self.deadlines = deadlines
        self.hub = Hub()
        self.tasks = Tasks()
        self._transmit: Callable[[Sequence[Envelope]], bool] = lambda _: False
        self._due: dict[str, Callable[[], None]] = {}
        self._busy = 0
        self._retries = 0
        self.on_undone: Callable[[], None] = lambda: None  # what a job noted in memory is not so after all
        self.storage_problem = ""  # one sentence while the database cannot be written
        self.max_message_bytes = DEFAULT_MAX_MESSAGE_BYTES  # what the relay in use takes, in JSON form
        self.failpoint: Callable[[str], Awaitable[None]] | None = None  # tests of crashes set it

    def connect(self, transmit: Callable[[Sequence[Envelope]], bool]) -> None:
        """Says how envelopes leave; the callable answers False when there is no connection."""
        self._transmit = transmit

    def on_due(self, key: str, action: Callable[[], None]) -> None:
        """Says what happens when the deadline `key` comes."""
        self._due[key] = action

    def wake(self, key: str, at: int) -> None:
        """Sets the deadline `key` to `at`, unless it is sooner already. On the loop's thread."""
        self.deadlines.set_earlier(key, at, self._due[key])

    def new_id(self, prefix: str, now: int) -> str:
        """Returns a fresh id that sorts by time, such as `msg_…`."""
        return new_id(prefix, now, self.random(10))

    def keep_limit(self, turn: Turn) -> None:
        """Keeps the limit that the relay told, for what is posted before there is a connection again."""
        if settings.get(turn.session, _LIMIT) != self.max_message_bytes:
            settings.put(turn.session, _LIMIT, self.max_message_bytes)

    def recall_limit(self, turn: Turn) -> None:
        """Goes by the limit that the relay told last."""
        self.max_message_bytes = settings.get(turn.session, _LIMIT, self.max_message_bytes)

    async def turn(self, job: Callable[[Turn], T]) -> T:
        """Runs `job` as one write transaction, then does what follows from it.

        A caller that is cancelled meanwhile does not stop what follows: the transaction may be durable.

        Returns:
            What `job` returned, after the commit is durable.
        """
        return await asyncio.shield(self.tasks.start(self._turn(job), name="turn", awaited=True))

    @property
    def busy(self) -> int:
        """How many turns are under way."""
        return self._busy

    async def _turn(self, job: Callable[[Turn], T]) -> T:
        begun: list[Turn] = []

        def work(session: Session) -> T:
            turn = Turn(session, self.clock())
            begun[:] = [turn]
            return job(turn)

        self._busy += 1
        try:
            if self.failpoint is not None:
                await self.failpoint("begin")
            try:
                result = await self._write(work)
            except Exception:
                self.on_undone()
                raise
            if self.failpoint is not None:
                await self.failpoint("committed")
            self._follow(begun[0])
        finally:
            self._busy -= 1
        return result

    async def _write(self, work: Callable[[Session], T]) -> T:
        """Writes, and tells when the disk begins to refuse and when it takes again."""
        try:
            result = await self.db.write(work)
        except DatabaseClosed:
            raise
        except StoreError as fault:
            self._storage(str(fault))
            raise
        if self.storage_problem:
            self._storage("")
        return result

    def _storage(self, problem: str) -> None:
        if problem != self.storage_problem:
            self.storage_problem = problem
            self.hub.tell(StorageChanged(problem))

    async def until(
        self, kind: type[Event], check: Callable[[], Awaitable[T | None]], timeout_s: float
    ) -> T | None:
        """Waits until `check` gives something, looking again after every event of a kind.

        It is looked at once in any case, however little time there is.

        Returns:
            What `check` gave, or None when the time is up.
        """
        news = asyncio.Event()
        end = self.hub.subscribe(lambda event: news.set() if isinstance(event, kind) else None)
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            while (found := await check()) is None:
                async with asyncio.timeout_at(until):
                    await news.wait()
                news.clear()
        except TimeoutError:
            return None
        finally:
            end()
        return found

    def start_turn(self, job: Callable[[Turn], None], *, name: str, key: str = "") -> None:
        """Runs `job` as a turn in a task of its own, and again later while the disk refuses it.

        Args:
            job: of the turn.
            name: for the reports of its failure.
            key: the deadline that it belongs to, which comes again after any failure.
        """
        self.tasks.start(self._insist(job, name, key), name=name)

    async def _insist(self, job: Callable[[Turn], None], name: str, key: str) -> None:
        try:
            await self.turn(job)
        except DatabaseClosed:
            raise
        except StoreError as fault:
            _log.warning("%s waits for the disk: %s", name, fault.kind)
            self._retries += 1
            again = self.clock() + self.timing.store_retry
            self.deadlines.set(
                ("again", self._retries), again, lambda: self.start_turn(job, name=name, key=key)
            )
        except Exception:
            if key:  # else what it is for would never be done again
                self.wake(key, self.clock() + MINUTE_MS)
            raise

    def _follow(self, turn: Turn) -> None:
        fresh = {row.seq for row in turn.appended}
        if fresh:
            self.hub.tell(LogAppended(tuple(turn.changed.get(row.seq, row) for row in turn.appended)))
        if later := tuple(row for seq, row in turn.changed.items() if seq not in fresh):
            self.hub.tell(LogChanged(later))
        for event in turn.events:
            self.hub.tell(event)
        steps: list[Callable[[], object]] = []
        if turn.outgoing:
            steps.append(partial(self._transmit, turn.outgoing))
        steps += [partial(self.wake, key, at) for key, at in turn.due.items()]
        for step in (*steps, *turn.after):
            try:
                step()
            except (
                Exception
            ):  # the transaction is durable: whoever asked for it must not think that it failed
                _log.exception("something that follows from a transaction failed")
