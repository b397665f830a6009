"""Delivery: messages of ours from a command to the outbox, and what time, presence and a person do to them.

Implements docs/protocol.md, *Delivery*: row and log entry commit before anything is sent; what the relay could
not hand over waits for the peer's presence or a probe. How a row is sent is `sending`'s affair. Which messages
exist is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from agentnet_desktop.agent.errors import BadInput, NotAllowed, NotFound
from agentnet_desktop.agent.events import OutboxChanged
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.sealing import Obstacle, Sealing
from agentnet_desktop.agent.sending import Sending
from agentnet_desktop.agent.session_life import PEER_OFFLINE
from agentnet_desktop.protocol.contact import ContactState, may_send
from agentnet_desktop.protocol.delivery import (
    DeliveryEvent,
    DeliveryState,
    FailureReason,
    expiry,
    next_state,
    retry_delay_ms,
)
from agentnet_desktop.store import contacts, outbox, sessions
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.outbox import OutboxRow
from agentnet_desktop.store.sessions import StoredSession
from relay.wire.envelope import MessageType, Priority, metadata

if TYPE_CHECKING:
    from agentnet_desktop.agent.handshakes import Handshakes
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.presence import Presence

TOUCH_MS = 1_000  # when something was last exchanged is kept to this precision


class Delivery(Sending):
    """The outbox of one agent at work."""

    def __init__(
        self,
        ground: Ground,
        journal: Journal,
        sealing: Sealing,
        handshakes: Handshakes,
        presence: Presence,
    ) -> None:
        """Keeps the rooms it works with."""
        super().__init__(ground, journal, sealing, handshakes, presence)
        self._noted: set[tuple[str, str]] = set()  # conversations that are in the database
        self.on_again: Callable[[Turn, OutboxRow], int | None] = lambda _turn, _row: None

    # ----------------------------------------------------------------------------------------- posting

    def post(
        self,
        turn: Turn,
        contact: Contact,
        conversation_id: str,
        message_type: MessageType,
        content: Mapping[str, Any],
        *,
        priority: Priority = Priority.NORMAL,
        requires_response: bool = False,
        expires_at: int | None = None,
        subject: str = "",
    ) -> OutboxRow:
        """Queues a message to a contact and sends it if it can go now.

        Args:
            turn: of the transaction.
            contact: the recipient.
            conversation_id: live or new.
            message_type: of the inner message.
            content: in JSON form, valid.
            priority: between conversations.
            requires_response: for the metadata.
            expires_at: of a proposal, milliseconds; the message does not outlive it.
            subject: what it is about, for `on_ended`.

        Raises:
            BadInput: the content cannot be sent, to nobody: nothing was stored. It says what is wrong.
        """
        if (obstacle := self.obstacle(content)) is not None:
            raise BadInput(obstacle.words)
        row = OutboxRow(
            message_id=self._ground.new_id("msg_", turn.now),
            peer=contact.agent_id,
            conversation_id=conversation_id,
            message_type=message_type.value,
            content=content,
            envelope_metadata=metadata(priority, encrypted=True, requires_response=requires_response),
            timestamp=turn.now,
            created_at=turn.now,
            expires_at=expiry(turn.now, expires_at),
            priority=priority.value,
            next_attempt_at=turn.now,
            subject=subject,
        )
        self._use_conversation(turn, contact, conversation_id)
        turn.wake("expiry", row.expires_at)
        self._changed(turn)
        if (stored := self._at_once(turn, contact, row)) is not None:
            return self._post_sealed(turn, row, stored)
        outbox.add(turn.session, row)
        self._backlog = True
        self.pump(turn)
        return self._posted(turn, contact, row)

    def obstacle(self, content: Mapping[str, Any]) -> Obstacle | None:
        """Tells why content cannot be sent to anybody; None: `post` takes it."""
        return self._sealing.obstacle_in(content)

    def _use_conversation(self, turn: Turn, contact: Contact, conversation_id: str) -> None:
        """Notes that a conversation is used, unless that was noted a moment ago."""
        known = (contact.agent_id, conversation_id)
        if known in self._noted and turn.now - (contact.last_exchange_at or 0) < TOUCH_MS:
            return
        sessions.open_conversation(turn.session, contact.agent_id, conversation_id, turn.now)
        turn.then(lambda: self._noted.add(known))

    def forget_conversations(self, peer: str) -> None:
        """Looks the conversations with a peer up again: they were removed."""
        self._noted = {known for known in self._noted if known[0] != peer}

    def _posted(self, turn: Turn, contact: Contact, row: OutboxRow) -> OutboxRow:
        """Returns a row as it stands after posting; one that must wait gets an entry in the log."""
        fresh = outbox.get(turn.session, row.message_id) or row
        if fresh.log_seq is not None:
            return fresh
        entry = self._journal.queued(turn, fresh)
        outbox.set_log_seq(turn.session, row.message_id, entry.seq)
        if not self._presence.connected:
            self._need_session(turn, contact, fresh)
        return replace(fresh, log_seq=entry.seq)

    def _at_once(self, turn: Turn, contact: Contact, row: OutboxRow) -> StoredSession | None:
        """Returns the session for a message that nothing keeps waiting, the usual case; else None."""
        free = self._presence.connected and not self._backlog
        if (
            not free
            or not self._flight.has_room(contact.agent_id)
            or not may_send(ContactState(contact.state))
        ):
            return None
        if self._presence.online(contact.agent_id) is False:
            return None
        stored = self._sealing.current(turn, contact.agent_id, row.conversation_id)
        if stored is not None and self._sealing.worn_out(stored, turn.now):
            self._handshakes.ensure(turn, contact, row.conversation_id)
        return stored

    def _post_sealed(self, turn: Turn, row: OutboxRow, stored: StoredSession) -> OutboxRow:
        """Stores a message sealed and IN_FLIGHT, its first attempt counted, and sends it."""
        sealed, seq = self._sealing.seal(turn, row, stored)
        entry = self._journal_sealed(turn, row, sealed, stored, DeliveryState.IN_FLIGHT)
        at = turn.now + retry_delay_ms(1)
        row = replace(row, state=DeliveryState.IN_FLIGHT, attempts=1, next_attempt_at=at, log_seq=entry.seq)
        self._sealing.add(turn, self._sealing.under(row, stored, sealed, seq), sealed)
        turn.wake("outbox", at)
        self._flight.add(row.message_id, row.peer)
        turn.send(sealed.envelope)
        return row

    @staticmethod
    def may_post(contact: Contact) -> bool:
        """Tells whether messages may go to a contact."""
        return may_send(ContactState(contact.state))

    def _need_session(self, turn: Turn, contact: Contact, row: OutboxRow) -> None:
        """Begins the handshake that a message will need, even before there is a connection."""
        none = self._sealing.current(turn, row.peer, row.conversation_id) is None
        if none and may_send(ContactState(contact.state)):
            self._handshakes.ensure(turn, contact, row.conversation_id)

    # -------------------------------------------------------------------------------------------- person

    def cancel(self, turn: Turn, message_id: str) -> None:
        """Gives up on a message because the person said so: one that waits, or one that failed or expired."""
        row = self._not_delivered(turn, message_id)
        if row.settled_at is None:
            self.fail(turn, row, FailureReason.CANCELLED)
        elif row.reason == FailureReason.CANCELLED:
            raise NotAllowed("This message was given up already.")
        else:
            self._drop(turn, row)
            self.on_ended(turn, row, FailureReason.CANCELLED)

    def _drop(self, turn: Turn, row: OutboxRow) -> None:
        """Notes that a message which failed or expired is given up; its state stays."""
        outbox.settle(turn.session, row.message_id, row.state, turn.now, FailureReason.CANCELLED)
        self._journal.state(turn, row.log_seq, row.state, FailureReason.CANCELLED)
        self._changed(turn)

    def withdraw(self, turn: Turn, message_id: str) -> bool:
        """What a message carries was taken back: it need not be sent again. Tells whether its peer may have it."""
        row = outbox.get(turn.session, message_id)
        if row is None or row.state not in (DeliveryState.FAILED, DeliveryState.EXPIRED):
            return True
        self._drop(turn, row)
        return bool(outbox.digests(turn.session, message_id))

    def retry(self, turn: Turn, message_id: str) -> None:
        """Tries a waiting, held or failed message again at once.

        Raises:
            NotFound: there is none.
            NotAllowed: it was delivered, or what it is about is over.
        """
        row = self._not_delivered(turn, message_id)
        until = expiry(turn.now, None if row.settled_at is None else self.on_again(turn, row))
        outbox.retry(turn.session, message_id, turn.now, until)
        turn.wake("expiry", until)
        outbox.keep_order(turn.session, row.peer)
        self._journal.state(turn, row.log_seq, DeliveryState.QUEUED, "tried again by hand")
        self._let_go(turn, row)
        self.look(turn)
        self._changed(turn)

    def _not_delivered(self, turn: Turn, message_id: str) -> OutboxRow:
        row = outbox.get(turn.session, message_id)
        if row is None:
            raise NotFound(f"There is no message {message_id} in the outbox.")
        if row.state == DeliveryState.DELIVERED:
            raise NotAllowed("This message was delivered already.")
        return row

    # ---------------------------------------------------------------------------------------------- due

    def expire(self, turn: Turn) -> None:
        """Ends what expired, connected or not. A turn of its own: no fault in sending may keep it from being told."""
        for row in outbox.expired(turn.session, turn.now):
            state = next_state(DeliveryState(row.state), DeliveryEvent.EXPIRE)
            self._end_surely(turn, row, state, "")
        if (at := outbox.next_expiry(turn.session)) is not None:
            turn.wake("expiry", at)  # at once, where more expired than one turn takes

    def due(self, turn: Turn) -> None:
        """Sends what is due."""
        if self._presence.connected:
            self._look_over(turn)

    def undone(self) -> None:
        """A transaction was undone, and with it perhaps sendings: what memory says of the queue may be wrong."""
        self._backlog = True
        if self._presence.connected:
            self._ground.wake("outbox", self._ground.clock() + self._ground.timing.store_retry)

    def probe(self, turn: Turn) -> None:
        """Tries the oldest message of every peer that the relay did not find."""
        waiting = False
        for contact in contacts.every(turn.session):
            sendable = may_send(ContactState(contact.state))
            if sendable and self._presence.online(contact.agent_id) is False:
                parked = self._journal.park(turn, contact.agent_id, PEER_OFFLINE, probe_at=turn.now)
                waiting = waiting or parked > 0
        self.look(turn)
        if waiting:
            turn.wake("probe", turn.now + self._ground.timing.probe)

    def connected(self, turn: Turn) -> None:
        """A connection stands: everything not yet delivered is due, and nobody's presence is known."""
        self._flight.replace({})
        outbox.give_back_attempts(turn.session, turn.now)
        outbox.recover(turn.session, turn.now)
        for contact in contacts.every(turn.session):
            outbox.wake_peer(turn.session, contact.agent_id, turn.now, reasons=(PEER_OFFLINE,))
        self.look(turn)

    def online(self, turn: Turn, peer: str) -> None:
        """A peer came online: what waited for that is due."""
        outbox.wake_peer(turn.session, peer, turn.now, reasons=(PEER_OFFLINE,))
        self.look(turn)

    def offline(self, turn: Turn, peer: str) -> None:
        """A peer went offline: its messages wait, and attempts are not spent."""
        contact = contacts.get(turn.session, peer)
        if contact is not None and may_send(ContactState(contact.state)):
            outbox.give_back_attempts(turn.session, turn.now, peer)
            self.park(turn, peer)

    async def count(self) -> None:
        """Tells faces how many messages are not delivered."""
        self._ground.hub.tell(OutboxChanged(await self._ground.db.read(outbox.count_waiting)))
