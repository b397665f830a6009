"""Handshakes under way: sending them again unchanged, giving them up, wiping what had its day.

Implements docs/protocol.md, *Handshake* (a pending one spends no attempts and is sent again when the peer comes
online, at most hourly) and *Confirmation* (a response is repeated on the retry schedule). Builds no handshake.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.sealing import thaw
from agentnet_desktop.agent.session_life import INITIATOR, NO_SESSION, after
from agentnet_desktop.agent.timing import MINUTE_MS
from agentnet_desktop.protocol.contact import ContactState, may_send
from agentnet_desktop.protocol.delivery import MAX_ATTEMPTS, retry_delay_ms
from agentnet_desktop.protocol.session import SessionEvent, SessionState
from agentnet_desktop.store import contacts, outbox, sessions
from agentnet_desktop.store.sessions import StoredSession
from relay.wire.envelope import Envelope

if TYPE_CHECKING:
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.presence import Presence

FRESH_MS = 1000  # what was sent within this time is still on its way
_UNDER_WAY = (SessionState.PENDING, SessionState.UNCONFIRMED)


class Repeats:
    """Sends handshakes, and sends them again."""

    def __init__(self, ground: Ground, journal: Journal, presence: Presence) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._presence = presence
        self._sent: dict[str, int] = {}  # handshakes sent on this connection, and when

    def transmit(self, turn: Turn, envelope: Envelope) -> None:
        """Logs a handshake and sends it, or leaves it to the next connection."""
        if self._presence.connected:
            self._sent[envelope.message_id] = turn.now
        self._journal.sent(turn, envelope, state="IN_FLIGHT" if self._presence.connected else "QUEUED")
        turn.send(envelope)

    def response(self, turn: Turn, stored: StoredSession) -> None:
        """Sends a stored response; until it is confirmed it is repeated on the retry schedule."""
        if stored.response is None:
            return
        if stored.state == SessionState.UNCONFIRMED:
            at = turn.now + retry_delay_ms(stored.attempts + 1)
            sessions.save(turn.session, replace(stored, attempts=stored.attempts + 1, next_attempt_at=at))
            turn.wake("handshakes", at)
        self.transmit(turn, thaw(stored.response))

    def initiation(self, turn: Turn, stored: StoredSession) -> None:
        """Sends a pending handshake of ours again, unchanged."""
        at = turn.now + self._ground.timing.handshake_repeat
        sessions.save(turn.session, replace(stored, next_attempt_at=at))
        turn.wake("handshakes", at)
        if stored.initiation is not None and self._may_send(turn, stored.peer):
            self.transmit(turn, thaw(stored.initiation))

    def _unsent(self, stored: StoredSession) -> bool:
        """Tells whether a pending handshake of ours was neither routed ever nor sent on this connection."""
        return stored.attempts == 0 and stored.message_id not in self._sent

    @staticmethod
    def _may_send(turn: Turn, peer: str) -> bool:
        contact = contacts.get(turn.session, peer)
        return contact is not None and may_send(ContactState(contact.state))

    def on_its_way(self, turn: Turn, stored: StoredSession) -> bool:
        """Tells whether a handshake of ours, of either role, was sent just now on this connection."""
        sent_at = self._sent.get(stored.message_id)
        return sent_at is not None and 0 <= turn.now - sent_at < FRESH_MS

    def due(self, turn: Turn) -> None:
        """Repeats what is due, drops what is too old, wipes what had its day."""
        sessions.wipe_due(turn.session, turn.now, SessionState.CLOSED)
        for stored in sessions.due(turn.session, turn.now):
            turn.apart(partial(self._due, stored=stored), f"repeating the handshake {stored.message_id}")
        at = sessions.next_deadline(turn.session)
        if at is not None:
            # What is due without a connection goes when there is one.
            turn.wake("handshakes", at if at > turn.now else turn.now + MINUTE_MS)

    def _due(self, turn: Turn, stored: StoredSession) -> None:
        lapsed = turn.now - stored.created_at >= self._ground.timing.handshake_life
        if stored.state == SessionState.PENDING and lapsed:
            sessions.wipe(turn.session, stored.row_id, after(stored, SessionEvent.LAPSED))
            self._in_vain(turn, stored)
        elif self._presence.connected:
            self._again(turn, stored)

    def _again(self, turn: Turn, stored: StoredSession) -> None:
        if stored.state == SessionState.PENDING:
            self.initiation(turn, stored)
        elif (
            stored.state == SessionState.UNCONFIRMED
            and stored.attempts < MAX_ATTEMPTS
            and self._may_send(turn, stored.peer)
        ):
            self.response(turn, stored)
        else:
            sessions.save(turn.session, replace(stored, next_attempt_at=None))
            self._in_vain(turn, stored)

    @staticmethod
    def _in_vain(turn: Turn, stored: StoredSession) -> None:
        """Lets the messages behind a handshake that is repeated no more look for another."""
        outbox.wake_peer(turn.session, stored.peer, turn.now, reasons=(NO_SESSION,))
        turn.wake("outbox", turn.now)

    def routed(self, turn: Turn, peer: str, message_id: str) -> bool:
        """The relay handed our handshake over; False when the message is none."""
        stored = sessions.by_message_id(turn.session, peer, message_id)
        if stored is not None and stored.state == SessionState.PENDING:
            sessions.save(turn.session, replace(stored, attempts=stored.attempts + 1))
        return stored is not None

    def not_found(self, turn: Turn, peer: str, message_id: str) -> bool:
        """The relay did not find the peer: our handshake is tried again when it comes online, or by a probe."""
        return self.refused(turn, peer, message_id, at=turn.now + self._ground.timing.probe)

    def refused(self, turn: Turn, peer: str, message_id: str, *, at: int) -> bool:
        """The relay did not take our handshake: it goes again at `at` (ms). False when the message is none.

        A response that nobody got has spent no attempt.
        """
        stored = sessions.by_message_id(turn.session, peer, message_id)
        self._sent.pop(message_id, None)
        if stored is not None and stored.state in _UNDER_WAY:
            answered = stored.state == SessionState.UNCONFIRMED
            attempts = max(stored.attempts - 1, 0) if answered else stored.attempts
            sessions.save(turn.session, replace(stored, attempts=attempts, next_attempt_at=at))
            turn.wake("handshakes", at)
        return stored is not None

    def online(self, turn: Turn, peer: str | None) -> None:
        """Sends pending handshakes that nobody got yet: a peer, or with None this agent, came online."""
        if peer is None:
            self._sent.clear()
            self.due(turn)
            found = sessions.in_states(turn.session, _UNDER_WAY)
        else:
            found = sessions.of_peer(turn.session, peer, _UNDER_WAY)
        for stored in found:
            turn.apart(partial(self._online, stored=stored), f"repeating the handshake {stored.message_id}")

    def _online(self, turn: Turn, stored: StoredSession) -> None:
        if stored.state == SessionState.UNCONFIRMED:
            self._response_if_stale(turn, stored)
        elif stored.role == INITIATOR and self._unsent(stored):
            self.initiation(turn, stored)

    def _response_if_stale(self, turn: Turn, stored: StoredSession) -> None:
        """Sends a response again unless it is on its way, or was repeated in vain."""
        if stored.next_attempt_at is None or stored.attempts >= MAX_ATTEMPTS:
            return
        if not self.on_its_way(turn, stored) and self._may_send(turn, stored.peer):
            self.response(turn, stored)
