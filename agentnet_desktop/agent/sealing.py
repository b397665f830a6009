"""Sealing: which session a conversation has, and putting a message under its keys.

Implements docs/protocol.md, *Messages* and *Rotation and loss*: `seq` and the sealed bytes are assigned in one
transaction; limits on a session's age and use are soft. Starts no handshakes (`handshakes` does) and sends
nothing (`delivery` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.crypto.padding import longest
from agentnet_desktop.crypto.session import Sealed, SessionKeys, seal
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import outbox, sessions
from agentnet_desktop.store.outbox import OutboxRow
from agentnet_desktop.store.sessions import StoredSession
from relay.wire.envelope import Envelope, MessageType

_AROUND_CONTENT = 96  # the plaintext's other members: opening (44 characters), seq, names and punctuation
_AROUND_CIPHERTEXT = 1024  # the envelope's other members in JSON form, with ids of 64 characters, and more
_TAG = 16  # bytes that encryption adds

_decoder = msgspec.json.Decoder(Envelope)


def freeze(envelope: Envelope) -> bytes:
    """Returns an envelope's JSON bytes, for a row of the database."""
    return msgspec.json.encode(envelope)


def thaw(stored: bytes) -> Envelope:
    """Returns the envelope that `freeze` wrote."""
    return _decoder.decode(stored)


def most_plaintext(max_message_bytes: int) -> int:
    """Returns the longest padded plaintext whose envelope fits, in bytes: 45,056 under the default of 64 KiB.

    Args:
        max_message_bytes: the relay's limit for one envelope in JSON form.
    """
    ciphertext = max(max_message_bytes - _AROUND_CIPHERTEXT, 0) // 4 * 3  # b64 writes 3 bytes as 4 characters
    return longest(ciphertext - _TAG)


def too_large(content: Mapping[str, Any], max_message_bytes: int) -> bool:
    """Tells whether content does not fit into one message, before a `seq` is taken for it."""
    most = most_plaintext(max_message_bytes)
    if (
        2 * (len(msgspec.json.encode(content)) + _AROUND_CONTENT) < most
    ):  # canonical JSON is never twice as long
        return False
    return len(jcs(content)) + _AROUND_CONTENT >= most


class Sealing:
    """Seals this agent's messages."""

    def __init__(self, ground: Ground) -> None:
        """Keeps the ground."""
        self._ground = ground

    def current(self, turn: Turn, peer: str, conversation_id: str) -> StoredSession | None:
        """Returns the session under which messages of a conversation are sent now, or None."""
        found = sessions.in_conversation(turn.session, peer, conversation_id, (SessionState.ACTIVE,))
        return found[0] if found else None

    def worn_out(self, stored: StoredSession, now: int) -> bool:
        """Tells whether a session is old or used enough to be replaced."""
        timing = self._ground.timing
        return (
            now - stored.created_at >= timing.rotation_age or stored.message_count >= timing.rotation_messages
        )

    def fits(self, row: OutboxRow) -> bool:
        """Tells whether a message fits under the limit of the relay in use: as it was sealed, else by its content."""
        limit = self._ground.max_message_bytes
        if row.sealed is not None:
            return len(row.sealed) <= limit
        return not too_large(row.content, limit)

    def seal(self, turn: Turn, row: OutboxRow, stored: StoredSession) -> tuple[Sealed, int]:
        """Seals a message under a session, taking its `seq` in this transaction.

        Returns:
            What `keep` must store in the same transaction, and the `seq`.
        """
        if stored.keys is None:
            raise LookupError(f"the session of row {stored.row_id} has no keys")
        keys = SessionKeys.from_bytes(stored.keys)
        seq = sessions.take_seq(turn.session, stored.row_id)
        sealed = seal(
            keys,
            self._ground.identity,
            session_id=stored.session_id,
            seq=seq,
            message_id=row.message_id,
            conversation_id=row.conversation_id,
            sender_id=self._ground.agent_id,
            recipient_id=row.peer,
            original_type=MessageType(row.message_type),
            content=dict(row.content),
            timestamp=row.timestamp,
            metadata=dict(row.envelope_metadata),
            opening=self._ground.random(32),
            hedge=self._ground.random(32),
            max_plaintext=most_plaintext(self._ground.max_message_bytes),
        )
        keys.wipe()
        return sealed, seq

    @staticmethod
    def under(row: OutboxRow, stored: StoredSession, sealed: Sealed, seq: int) -> OutboxRow:
        """Returns a message that is not stored yet with its sealed bytes; `add` stores it."""
        return replace(row, session_row=stored.row_id, seq=seq, sealed=freeze(sealed.envelope))

    @staticmethod
    def add(turn: Turn, row: OutboxRow, sealed: Sealed) -> None:
        """Stores a new message together with its sealed bytes."""
        outbox.add(turn.session, row)
        outbox.add_digest(turn.session, row.message_id, sealed.digest, turn.now)

    @staticmethod
    def keep(turn: Turn, row: OutboxRow, stored: StoredSession, sealed: Sealed, seq: int) -> None:
        """Stores the sealed bytes, which every retry under this session repeats."""
        outbox.set_sealed(
            turn.session,
            row.message_id,
            session_row=stored.row_id,
            seq=seq,
            sealed=freeze(sealed.envelope),
            digest=sealed.digest,
            now=turn.now,
        )
