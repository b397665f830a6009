"""Sending: rows of the outbox under way, attempt by attempt, and how a row's way ends.

Implements docs/protocol.md, *Delivery*: `seq` and sealed bytes are assigned once a session exists; an attempt is
counted before it is made; what the relay could not hand over waits for the peer's presence or a probe. One
deadline serves the whole outbox: the database says what is due. Posting, and what a person does to a row, is
`delivery`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from agentnet_desktop.agent.flight import Flight
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.sealing import Sealing, thaw
from agentnet_desktop.agent.session_life import NO_SESSION, PEER_OFFLINE
from agentnet_desktop.agent.trust import KEY_CHANGED
from agentnet_desktop.crypto.session import Sealed
from agentnet_desktop.protocol.contact import ContactState, may_send
from agentnet_desktop.protocol.delivery import (
    MAX_ATTEMPTS,
    DeliveryEvent,
    DeliveryState,
    FailureReason,
    next_state,
    retry_delay_ms,
)
from agentnet_desktop.store import contacts, outbox
from agentnet_desktop.store.audit_log import LogEntry
from agentnet_desktop.store.outbox import OutboxRow
from agentnet_desktop.store.sessions import StoredSession
from relay.wire.envelope import agent_key

if TYPE_CHECKING:
    from agentnet_desktop.agent.handshakes import Handshakes
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.presence import Presence

BATCH = 64
_IDLE_FIRST_MS = 1_000
_IDLE_LONGEST_MS = 60_000
NOT_APPROVED = "NOT_APPROVED"


def _nobody(_turn: Turn, _row: OutboxRow, _reason: str) -> None:
    """Nobody wants to know that a message ended."""


class Sending:
    """Puts rows on their way, and ends them."""

    def __init__(
        self,
        ground: Ground,
        journal: Journal,
        sealing: Sealing,
        handshakes: Handshakes,
        presence: Presence,
    ) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._sealing = sealing
        self._handshakes = handshakes
        self._presence = presence
        self._flight = Flight(lambda: ground.timing.in_flight)
        self._backlog = True  # some row may be QUEUED
        self._idle_ms = _IDLE_FIRST_MS
        self.on_reached: Callable[[Turn, OutboxRow], None] = lambda _turn, _row: None  # after all
        self.on_ended: Callable[[Turn, OutboxRow, str], None] = _nobody

    def _journal_sealed(
        self, turn: Turn, row: OutboxRow, sealed: Sealed, stored: StoredSession, state: str
    ) -> LogEntry:
        return self._journal.sent(
            turn,
            sealed.envelope,
            state=state,
            message_type=row.message_type,
            content=row.content,
            plaintext=sealed.plaintext,
            security={"sessionId": stored.session_id, "digest": sealed.digest.hex()},
        )

    def _changed(self, turn: Turn) -> None:
        turn.wake("count", turn.now + self._ground.timing.linger)

    # ------------------------------------------------------------------------------------------ sending

    def pump(self, turn: Turn) -> None:
        """Sends what is due, in order; the rest is looked at again when something changes.

        Costs nothing while nothing waits: whatever makes a row wait says so by `_backlog`, and rows in flight
        are looked at by the outbox's deadline.
        """
        if not self._presence.connected or not self._backlog:
            return
        if not self._flight.has_room():
            turn.wake("outbox", turn.now + _IDLE_FIRST_MS)
        else:
            self._look_over(turn)

    def look(self, turn: Turn) -> None:
        """Says that rows may have become due, and sends what is."""
        self._backlog = True
        self.pump(turn)

    def _look_over(self, turn: Turn) -> None:
        """Sends what is due; when that fails, whatever else happened in this turn still counts."""
        if isinstance(turn.apart(self._pump, "sending what is due"), Exception):
            turn.wake("outbox", turn.now + _IDLE_LONGEST_MS)

    def _pump(self, turn: Turn) -> bool:
        if not self._flight.has_room():
            # Messages may have gone back to wait since: their peer went offline, their session or key changed.
            self._flight.replace(outbox.in_flight(turn.session))
        rows = outbox.due(turn.session, turn.now, BATCH, without=self._flight.full())
        skipped: set[str] = set()
        progress = False
        for row in rows:
            if agent_key(row.peer) in skipped:
                continue
            if row.message_id not in self._flight and not self._flight.has_room(row.peer):
                continue
            progress = True
            if not self._apart(turn, row):
                skipped.add(agent_key(row.peer))
        self._backlog = outbox.any_queued(turn.session)
        self._plan(turn, progress)
        return True

    def _apart(self, turn: Turn, row: OutboxRow) -> bool:
        """Makes one attempt that stands or falls alone: a fault of ours with one message ends that message only."""
        went = turn.apart(lambda own: self._attempt(own, row), f"sending {row.message_id}")
        if not isinstance(went, Exception):
            return went
        self._flight.discard(row.message_id)
        self._end_surely(turn, row, DeliveryState.FAILED, FailureReason.UNSENDABLE)
        return True

    def _plan(self, turn: Turn, progress: bool) -> None:
        """Sets the one deadline of the outbox. What is due and could not go is looked at ever more rarely."""
        at = outbox.next_attempt(turn.session, again=not self._flight.has_room())
        if at is None:
            return
        if at > turn.now or progress:
            self._idle_ms = _IDLE_FIRST_MS
            turn.wake("outbox", at)
            return
        turn.wake("outbox", turn.now + self._idle_ms)
        self._idle_ms = min(2 * self._idle_ms, _IDLE_LONGEST_MS)

    def _attempt(self, turn: Turn, row: OutboxRow) -> bool:
        """Makes one attempt, or notes why none can be made; False: nothing more for this peer now."""
        if row.expires_at <= turn.now:
            self._end(turn, row, next_state(DeliveryState(row.state), DeliveryEvent.EXPIRE), "")
            return True
        contact = contacts.get(turn.session, row.peer)
        if contact is None or contact.state == ContactState.BLOCKED:
            self.fail(turn, row, FailureReason.CONTACT_GONE)
            return True
        if not may_send(ContactState(contact.state)):
            reason = KEY_CHANGED if contact.state == ContactState.KEY_CHANGED else NOT_APPROVED
            self._journal.park(turn, row.peer, reason)
            return False
        if self._presence.online(row.peer) is False and row.reason != PEER_OFFLINE:
            self.park(turn, row.peer)
            return False
        if row.attempts >= MAX_ATTEMPTS:
            self.fail(turn, row, FailureReason.ATTEMPTS_EXHAUSTED)
            return True
        stored = self._sealing.current(turn, row.peer, row.conversation_id)
        if stored is None:
            outbox.move(turn.session, row.message_id, DeliveryState.QUEUED, reason=NO_SESSION)
            outbox.wait_conversation(turn.session, row.peer, row.conversation_id, NO_SESSION)
            outbox.keep_order(turn.session, row.peer)
            self._handshakes.ensure(turn, contact, row.conversation_id)
            return True
        if self._sealing.worn_out(stored, turn.now):
            self._handshakes.ensure(turn, contact, row.conversation_id)
        self._send(turn, row, stored)
        return True

    def park(self, turn: Turn, peer: str) -> None:
        """Puts a peer's messages back until it comes online or a probe is due."""
        self._journal.park(turn, peer, PEER_OFFLINE)
        self._backlog = True
        turn.wake("probe", turn.now + self._ground.timing.probe)

    def _send(self, turn: Turn, row: OutboxRow, stored: StoredSession) -> None:
        state = next_state(DeliveryState(row.state), DeliveryEvent.SENT)
        if (obstacle := self._sealing.obstacle(row)) is not None:
            self.fail(turn, row, obstacle.reason)
            return
        if row.sealed is not None and row.session_row == stored.row_id:
            envelope = thaw(row.sealed)
            self._journal.state(turn, row.log_seq, state, f"attempt {row.attempts + 1}")
        else:
            sealed, seq = self._sealing.seal(turn, row, stored)
            self._sealing.keep(turn, row, stored, sealed, seq)
            envelope = sealed.envelope
            entry = self._journal_sealed(turn, row, sealed, stored, state)
            self._journal.state(turn, row.log_seq, "SEALED", f"as entry {entry.seq}")
            outbox.set_log_seq(turn.session, row.message_id, entry.seq)
        # The attempt is counted before it is made: envelopes leave after this turn's commit.
        at = turn.now + retry_delay_ms(row.attempts + 1)
        outbox.count_attempt(turn.session, row.message_id, state, at)
        self._flight.add(row.message_id, row.peer)
        turn.send(envelope)

    # ------------------------------------------------------------------------------------------ endings

    def fail(self, turn: Turn, row: OutboxRow, reason: FailureReason) -> None:
        """Ends a message's way without success."""
        self._end(turn, row, next_state(DeliveryState(row.state), DeliveryEvent.FAIL), reason)

    def _end(self, turn: Turn, row: OutboxRow, state: DeliveryState, reason: str) -> None:
        outbox.settle(turn.session, row.message_id, state, turn.now, reason)
        self._journal.state(turn, row.log_seq, state, reason)
        self._let_go(turn, row)
        self.settled(turn, row.message_id)
        self.on_ended(turn, row, reason)

    def _end_surely(self, turn: Turn, row: OutboxRow, state: DeliveryState, reason: str) -> None:
        """Ends a message's way, whatever goes wrong in telling of it: it must not come up for ever."""

        def end(own: Turn) -> None:
            self._end(own, row, state, reason)

        if isinstance(turn.apart(end, f"telling how {row.message_id} ended"), Exception):
            outbox.settle(turn.session, row.message_id, state, turn.now, reason)
            self.settled(turn, row.message_id)

    def _let_go(self, turn: Turn, row: OutboxRow) -> None:
        """Notes that a contact's messages are not held any more, once the last held one went its way."""
        contact = contacts.get(turn.session, row.peer) if row.reason == KEY_CHANGED else None
        if contact is None or not contact.held:
            return
        if not any(other.reason == KEY_CHANGED for other in outbox.of_peer(turn.session, row.peer)):
            contact = replace(contact, held=0)
            contacts.save(turn.session, contact)
            self._presence.tell(turn, contact)

    def came_back(self, message_id: str) -> None:
        """Notes that a message is not on its way any more."""
        self._flight.discard(message_id)

    def settled(self, turn: Turn, message_id: str) -> None:
        """Notes that a message's way has ended."""
        self._flight.discard(message_id)
        self._changed(turn)

    def end_conversation(self, turn: Turn, peer: str, conversation_id: str) -> None:
        """Ends the messages still on their way in a conversation that the peer ended."""
        for row in outbox.of_peer(turn.session, peer, conversation_id):
            self.fail(turn, row, FailureReason.CONVERSATION_ENDED)

    def end_peer(self, turn: Turn, peer: str) -> None:
        """Ends the messages on their way to a contact that was blocked or removed."""
        for row in outbox.of_peer(turn.session, peer):
            self.fail(turn, row, FailureReason.CONTACT_GONE)
