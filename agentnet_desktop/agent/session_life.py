"""The life of sessions: which one a conversation uses, what a new one replaces, when keys are wiped.

Implements docs/protocol.md, *Rotation and loss*. Which step is legal is `protocol.session`'s table. How a
session comes about is `handshakes`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.trust import Trust
from agentnet_desktop.protocol.session import SessionEvent, SessionState, next_state
from agentnet_desktop.store import contacts, outbox, sessions
from agentnet_desktop.store.sessions import StoredSession

INITIATOR = "INITIATOR"
RESPONDER = "RESPONDER"
NO_SESSION = "NO_SESSION"  # why a message waits
PEER_OFFLINE = "PEER_OFFLINE"


def after(stored: StoredSession, event: SessionEvent) -> SessionState:
    """Returns the state that follows; IllegalTransition changes nothing."""
    return next_state(SessionState(stored.state), event)


class SessionLife:
    """Activates, retires and ends sessions."""

    def __init__(self, ground: Ground, trust: Trust) -> None:
        """Keeps the rooms it works with; `on_active` and `on_replaced` are set when all rooms stand."""
        self._ground = ground
        self._trust = trust
        self.on_active: Callable[[Turn], None] = lambda _: None  # messages may go now
        self.on_replaced: Callable[[Turn, StoredSession], None] = lambda _, __: None

    def prove(self, turn: Turn, stored: StoredSession, event: SessionEvent) -> None:
        """The peer has shown that it has a session's keys, by a tag or by a message that opened."""
        if stored.state == SessionState.UNCONFIRMED:
            self.activate(turn, stored, event)

    def activate(self, turn: Turn, stored: StoredSession, event: SessionEvent) -> None:
        """Makes a session the one of its conversation, retires older ones, and frees what waited for it.

        A newer one that is still on its way stays: its handshake replaces this session when it is done.
        """
        state = after(stored, event)
        fresh = replace(stored, state=state, confirmed_at=turn.now, next_attempt_at=None, wipe_at=None)
        sessions.save(turn.session, fresh)
        for other in sessions.in_conversation(turn.session, stored.peer, stored.conversation_id):
            if other.row_id < stored.row_id and other.state != SessionState.CLOSED:
                self._retire(turn, other, SessionEvent.REPLACED)
                if other.state == SessionState.ACTIVE:
                    self.on_replaced(turn, other)
        outbox.unseal_conversation(turn.session, stored.peer, stored.conversation_id, None)
        outbox.wake_peer(turn.session, stored.peer, turn.now, reasons=("", NO_SESSION, PEER_OFFLINE))
        contacts.touch(turn.session, stored.peer, turn.now)
        self._trust.session_ready(turn, stored.peer)
        self.on_active(turn)

    def _retire(self, turn: Turn, stored: StoredSession, event: SessionEvent) -> None:
        """Takes a session out of use: what is live still opens for a day, what never was live goes now."""
        state = after(stored, event)
        if state == SessionState.CLOSED:
            sessions.wipe(turn.session, stored.row_id, state)
            return
        wipe_at = stored.wipe_at or turn.now + self._ground.timing.transition
        sessions.save(
            turn.session,
            replace(stored, state=state, retired_at=stored.retired_at or turn.now, wipe_at=wipe_at),
        )
        turn.wake("handshakes", wipe_at)

    def end_conversation(self, turn: Turn, peer: str, conversation_id: str) -> None:
        """Ends a conversation: its sessions seal nothing more and their keys go after a day."""
        self.close(turn, peer, conversation_id)
        for stored in sessions.in_conversation(turn.session, peer, conversation_id):
            if stored.state != SessionState.CLOSED:
                self._retire(turn, stored, SessionEvent.ENDED)

    def close(self, turn: Turn, peer: str, conversation_id: str) -> None:
        """Takes no new messages for a conversation; its session still seals what was posted before."""
        known = sessions.conversation(turn.session, peer, conversation_id)
        if known is not None and known.ended_at is None:
            sessions.save_conversation(turn.session, replace(known, ended_at=turn.now))
