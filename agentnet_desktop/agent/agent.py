"""An agent: its life cycle and the dispatch of what arrives; the work is done in the rooms beside this file.

Implements the client's part of docs/protocol.md through `conversations`, `handshakes`, `delivery`, `receiving`,
`negotiation`, `queries`, `policy` and `trust`. Loop-agnostic: needs a running asyncio loop and nothing else of
it; knows no Qt. It does not open databases, key stores or sockets: `compose` builds those and hands them in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from agentnet_desktop.agent.anchors import Anchors
from agentnet_desktop.agent.commands import Commands
from agentnet_desktop.agent.conversations import Conversations
from agentnet_desktop.agent.deadlines import DeadlineQueue
from agentnet_desktop.agent.delivery import Delivery
from agentnet_desktop.agent.events import (
    AgentSnapshot,
    ConnectionChanged,
    ConnectionState,
    ConnectionView,
    Event,
)
from agentnet_desktop.agent.figures import Figures
from agentnet_desktop.agent.ground import Ground, Turn, each_apart
from agentnet_desktop.agent.handshakes import Handshakes
from agentnet_desktop.agent.inbound import Element, Inbound, may_linger
from agentnet_desktop.agent.journal import Journal
from agentnet_desktop.agent.log_queries import LogQueries
from agentnet_desktop.agent.negotiation import Negotiation
from agentnet_desktop.agent.outcomes import Outcomes
from agentnet_desktop.agent.people import People
from agentnet_desktop.agent.ports import (
    Availability,
    Client,
    ClientFactory,
    Clock,
    ConnectionLike,
    HeadKeeper,
    Random,
)
from agentnet_desktop.agent.presence import Presence
from agentnet_desktop.agent.proof import Proof
from agentnet_desktop.agent.queries import Queries
from agentnet_desktop.agent.receiving import Receiving
from agentnet_desktop.agent.repeats import Repeats
from agentnet_desktop.agent.retention import Retention
from agentnet_desktop.agent.sealing import Sealing
from agentnet_desktop.agent.session_life import SessionLife
from agentnet_desktop.agent.set_back import plan_anew
from agentnet_desktop.agent.timing import Timing
from agentnet_desktop.agent.trust import Trust
from agentnet_desktop.agent.undelivered import Undelivered
from agentnet_desktop.calendars.zone import local_zone
from agentnet_desktop.crypto.keys import fingerprint
from agentnet_desktop.store import contacts, outbox
from agentnet_desktop.store.errors import DatabaseClosed, StoreError
from relay.wire.codec import Format
from relay.wire.envelope import Envelope

if TYPE_CHECKING:
    from agentnet_desktop.crypto.keys import IdentityKey
    from agentnet_desktop.store.engine import Database

BATCH = 64
MOST_WAITING = 1024  # received and not stored while the disk refuses
_STANDING = ("receive", "connection")  # tasks that run as long as the agent does
_log = logging.getLogger(__name__)


class Agent(Commands):
    """One agent with its identity, database and connection."""

    def __init__(
        self,
        *,
        agent_id: str,
        identity: IdentityKey,
        db: Database,
        client_factory: ClientFactory,
        relay_url: str,
        clock: Clock,
        random: Random,
        keyring_backend: str = "",
        calendar: Availability | None = None,
        timing: Timing | None = None,
        deadlines: DeadlineQueue | None = None,
        head_keeper: HeadKeeper | None = None,
    ) -> None:
        """Wires the agent; touches neither disk nor network.

        Args:
            agent_id: its own id.
            identity: its Ed25519 key.
            db: the open database; the agent does not close it.
            client_factory: builds the client of the relay, given where its news go (see `ports`).
            relay_url: the relay's endpoint, which contact links name.
            clock: milliseconds since the Unix epoch.
            random: returns n random bytes.
            keyring_backend: name of the secret store, for display.
            calendar: source of free time; None: working hours from the settings.
            timing: other spans of time than the protocol's, for tests.
            deadlines: another queue than one on the running loop, for tests.
            head_keeper: where the log's newest head is kept; None: only in the database.
        """
        self.agent_id = agent_id
        self.keyring_backend = keyring_backend
        self._ground = ground = Ground(
            agent_id=agent_id,
            identity=identity,
            db=db,
            clock=clock,
            random=random,
            relay_url=relay_url,
            calendar=calendar,
            timing=timing or Timing(),
            deadlines=DeadlineQueue(clock) if deadlines is None else deadlines,
        )
        self._figures = Figures(ground)
        self._journal = journal = Journal(ground)
        self._keep_log(ground, journal, head_keeper)
        self._presence = presence = Presence(ground, journal)
        trust = Trust(ground, journal, presence)
        life = SessionLife(ground, trust)
        self._repeats = repeats = Repeats(ground, journal, presence)
        self._handshakes = handshakes = Handshakes(ground, journal, trust, life, repeats)
        self._delivery = delivery = Delivery(ground, journal, Sealing(ground), handshakes, presence)
        self._conversations = conversations = Conversations(ground, handshakes, life, delivery)
        self._receiving = receiving = Receiving(ground, journal, handshakes, life, delivery)
        self._negotiation = negotiation = Negotiation(ground, journal, conversations, delivery, receiving)
        self._queries = queries = Queries(ground, journal, conversations, delivery)
        rooms = (ground, journal, trust, presence, handshakes, conversations, delivery)
        self._people = People(*rooms, negotiation=negotiation, queries=queries)
        self._inbound = Inbound(
            agent_id,
            journal=journal,
            presence=presence,
            handshakes=handshakes,
            repeats=repeats,
            delivery=delivery,
            outcomes=Outcomes(journal, delivery, repeats, life, presence),
            receiving=receiving,
            conversations=conversations,
            negotiation=negotiation,
            queries=queries,
        )
        self._tie(life)
        self._frames: deque[tuple[Element, bytes]] = deque()
        self._stalled = False
        self._arrived = asyncio.Event()
        self._connection = ConnectionView(ConnectionState.OFFLINE, relay_url)
        self._client: Client = client_factory(
            on_frame=self._on_frame, on_state=self._on_state, on_sent=self._on_sent
        )
        self._started = False
        ground.connect(self._client.send)
        self._schedule()

    def _tie(self, life: SessionLife) -> None:
        """Ties what one room tells to the room that must hear of it."""
        delivery = self._delivery
        undelivered = Undelivered(self._negotiation, self._queries, delivery, life)
        delivery.on_ended, delivery.on_again = undelivered.ended, undelivered.again
        delivery.on_reached = undelivered.reached
        self._ground.on_undone = delivery.undone
        life.on_active = delivery.look
        life.on_replaced = self._receiving.replaced

    def _keep_log(self, ground: Ground, journal: Journal, head_keeper: HeadKeeper | None) -> None:
        """Wires what reads, proves and keeps the log."""
        zone = ZoneInfo(local_zone())
        self._anchors = Anchors(ground, journal, head_keeper)
        self._retention = Retention(ground)
        self.log = LogQueries(ground.db, clock=ground.clock, own_id=ground.agent_id, zone=zone)
        self.proof = Proof(ground, self.log, self._anchors.kept)

    def _schedule(self) -> None:
        """Says what each deadline does."""
        jobs: dict[str, Callable[[Turn], None]] = {
            "outbox": self._delivery.due,
            "expiry": self._delivery.expire,
            "probe": self._delivery.probe,
            "presence": self._presence.announce,
            "handshakes": self._repeats.due,
            "gaps": self._receiving.gaps_due,
            "proposals": self._negotiation.due,
            "queries": self._queries.due,
        }
        for key, job in jobs.items():
            self._ground.on_due(key, self._starter(job, key, key))
        self._ground.on_due("count", self._count)
        self._ground.deadlines.on_set_back = self._starter(self._set_back, "plan anew")
        self._ground.on_due("company", self._look)

    def _count(self) -> None:
        self._ground.tasks.start(self._delivery.count(), name="count the outbox")

    def _starter(self, job: Callable[[Turn], None], name: str, key: str = "") -> Callable[[], None]:
        return lambda: self._ground.start_turn(job, name=name, key=key)

    # -------------------------------------------------------------------------------------- life cycle

    async def start(self) -> None:
        """Recovers what a crash left, then connects in the background. Returns before it is connected."""
        if self._started:
            return
        self._started = True
        await self._anchors.begin()
        await self._ground.turn(self._recover)
        self._retention.start()
        self._ground.tasks.start(self._receive(), name="receive")
        self._ground.tasks.start(self._client.run(), name="connection")

    def _recover(self, turn: Turn) -> None:
        """Sets the deadlines that a restart forgot, and does what was due meanwhile."""
        self._ground.recall_limit(turn)
        turn.apart(lambda own: outbox.recover(own.session, own.now), "recovering the outbox")
        self._set_back(turn)
        each_apart(
            turn, {"closing proposals": self._negotiation.due, "running handlers": self._queries.recover}
        )

    def _set_back(self, turn: Turn) -> None:
        """Plans anew what was planned by a clock that was ahead, and does what is due by the present one.

        Each step may fail alone: no message may keep the agent from starting.
        """
        each_apart(
            turn,
            {
                "planning anew": lambda own: plan_anew(own, self._ground.timing),
                "expiring messages": self._delivery.expire,
                "sending": self._delivery.due,
                "repeating handshakes": self._repeats.due,
                "giving up gaps": self._receiving.gaps_due,
                "giving up queries": self._queries.due,
            },
        )

    async def stop(self) -> None:
        """Disconnects in order and ends all tasks. What waits stays in the database. Safe to call twice."""
        if not self._started:
            return
        self._started = False
        self._ground.deadlines.close()
        await self._client.stop()
        await self._drain_at_the_end()
        await self._anchors.end()
        await self._ground.tasks.cancel_all()

    async def _drain(self) -> None:
        """Handles what arrived before the goodbye."""
        while self._frames:
            await self._take()

    async def _drain_at_the_end(self) -> None:
        try:
            await self._drain()
        except StoreError as fault:  # not acknowledged: the peers send it again
            _log.warning("what arrived last could not be stored: %s", fault.kind)

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Calls `listener` on the loop's thread for every event, after its transaction committed.

        Returns:
            A function that ends the subscription.
        """
        return self._ground.hub.subscribe(listener)

    @property
    def connection(self) -> ConnectionView:
        """The connection as last told."""
        return self._connection

    async def snapshot(self) -> AgentSnapshot:
        """Returns all that a face needs at its start; later events keep it current."""
        return AgentSnapshot(
            agent_id=self.agent_id,
            fingerprint=fingerprint(self._ground.identity.public),
            connection=self._connection,
            queued=await self._ground.db.read(outbox.count_waiting),
            keyring_backend=self.keyring_backend,
            contacts=tuple(await self.contacts()),
            proposals=tuple(await self.proposals()),
            requests=tuple(await self.requests()),
        )

    async def wait_connected(self, timeout_s: float) -> bool:
        """Waits until the relay has said CONNECTED; False when the time is up or it will not retry."""

        async def state() -> bool | None:
            if self._connection.state is ConnectionState.CONNECTED:
                return True
            return False if self._connection.state is ConnectionState.STOPPED else None

        return await self._ground.until(ConnectionChanged, state, timeout_s) or False

    def reconnect_now(self) -> None:
        """Tries to connect at once instead of at the next planned attempt."""
        self._client.reconnect_now()

    # ---------------------------------------------------------------------------------------- the client

    def _on_frame(self, elements: list[Element], raw: bytes) -> None:
        if self._stalled and len(self._frames) >= MOST_WAITING:
            return  # not acknowledged, so it comes again
        self._frames.extend((element, raw) for element in elements)
        linger = self._ground.timing.linger
        if linger and len(self._frames) < BATCH and all(map(may_linger, elements)):
            self._ground.wake("company", self._ground.clock() + linger)
        else:
            self._look()

    def _look(self) -> None:
        """Lets what arrived be handled, unless it waits for the disk."""
        if not self._stalled:
            self._arrived.set()

    async def _receive(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._drain()
            except DatabaseClosed:
                return
            except StoreError as fault:
                _log.warning("what arrived could not be stored: %s", fault.kind)
                self._wait_for_the_disk()

    async def _take(self) -> None:
        """Handles what has gathered in one turn; when that fails, one by one, so that only the culprit is left out."""
        batch = [self._frames.popleft() for _ in range(min(BATCH, len(self._frames)))]
        try:
            await self._ground.turn(lambda turn: self._inbound.batch(turn, batch))
        except StoreError:  # the disk is full or read-only: nothing was acknowledged
            self._put_back(batch)
            raise
        except Exception:  # a fault of ours in one message must not stop the others
            _log.exception("a batch of %d could not be handled", len(batch))
            while batch:
                try:
                    await self._take_one(batch[0])
                except StoreError:
                    self._put_back(batch)
                    raise
                del batch[0]

    def _put_back(self, batch: Sequence[tuple[Element, bytes]]) -> None:
        """Keeps what could not be stored; what has no room here, the peers send again."""
        room = MOST_WAITING - len(self._frames)
        self._frames.extendleft(reversed(batch[: max(0, room)]))

    def _wait_for_the_disk(self) -> None:
        """Lets what arrived wait; it is tried again in a moment."""
        self._stalled = True
        again = self._ground.clock() + self._ground.timing.store_retry
        self._ground.deadlines.set("receive", again, self._try_again)

    def _try_again(self) -> None:
        self._stalled = False
        self._arrived.set()

    async def _take_one(self, item: tuple[Element, bytes]) -> None:
        """Handles one carefully: a message that fails is set aside, other things are only logged."""

        def job(turn: Turn) -> None:
            turn.careful = True
            self._inbound.batch(turn, [item])

        try:
            await self._ground.turn(job)
        except StoreError:
            raise
        except Exception:  # it must neither come back for ever nor vanish
            _log.exception("a received message could not be handled")
            await self._log_broken(item)

    async def _log_broken(self, item: tuple[Element, bytes]) -> None:
        try:
            await self._ground.turn(lambda turn: self._inbound.broken(turn, *item))
        except StoreError:
            raise
        except Exception:  # whoever sent it, the next ones are received
            _log.exception("a received message could not even be logged")

    def _on_state(self, view: ConnectionLike) -> None:
        known = self._connection
        before = known.state
        self._connection = ConnectionView(
            state=ConnectionState(view.state),
            relay_url=view.relay_url,
            relay_name=view.relay_name,
            connection_id=view.connection_id,
            insecure=view.insecure,
            round_trip_ms=view.round_trip_ms,
            retry_at=view.retry_at,
            reason=view.reason,
            kind=view.kind,
            degraded=view.degraded,
            clock_skew_ms=view.clock_skew_ms,
        )
        now_up = self._connection.state is ConnectionState.CONNECTED
        if now_up:
            self._ground.max_message_bytes = view.max_message_bytes
        if now_up and before is not ConnectionState.CONNECTED:
            self._journal.wire_format = self._client.format or Format.MSGPACK
            self._ground.start_turn(self._connected, name="connected")
        elif not now_up and before is ConnectionState.CONNECTED:
            self._ground.start_turn(self._disconnected, name="disconnected")
        self._figures.note(known, self._connection)
        self._ground.hub.tell(ConnectionChanged(self._connection))

    def _connected(self, turn: Turn) -> None:
        """A connection stands: whom to announce, then what waits. Later than thought, where a disk was full."""
        if self._connection.state is not ConnectionState.CONNECTED:
            return
        self._ground.keep_limit(turn)
        self._presence.forget()
        self._presence.connected = True
        each_apart(
            turn,
            {
                "announcing the watch set": self._presence.announce,
                "repeating handshakes": lambda own: self._repeats.online(own, None),
                "sending": self._delivery.connected,
            },
        )

    def _disconnected(self, turn: Turn) -> None:
        """The connection is gone: nobody's presence is known, and nothing can be sent."""
        if self._connection.state is ConnectionState.CONNECTED:
            return  # it is back: see `_connected`
        self._presence.connected = False
        for contact in contacts.every(turn.session):
            if self._presence.online(contact.agent_id) is not None:
                self._presence.note(contact.agent_id, None)
                self._presence.tell(turn, contact)
        self._presence.forget()

    def _on_sent(self, envelopes: Sequence[Envelope]) -> None:
        """Logs what the client sent on its own account: AUTH, HEARTBEAT, DISCONNECT."""

        def job(turn: Turn) -> None:
            for envelope in envelopes:
                self._journal.sent(turn, envelope, state="SENT")

        self._ground.start_turn(job, name="log what was sent")

    @property
    def is_quiet(self) -> bool:
        """Whether nothing received waits and no transaction is under way; deadlines may be."""
        idle = self._stalled or not self._frames
        return idle and self._ground.busy == 0 and len(self._ground.tasks) <= len(_STANDING)
