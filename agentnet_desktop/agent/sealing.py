"""Sealing: which session a conversation has, and putting a message under its keys.

Implements docs/protocol.md, *Messages* and *Rotation and loss*: `seq` and the sealed bytes are assigned in one
transaction; limits on a session's age and use are soft. Starts no handshakes (`handshakes` does) and sends
nothing (`delivery` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.crypto.padding import longest
from agentnet_desktop.crypto.session import Sealed, SessionKeys, seal
from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from agentnet_desktop.protocol.delivery import FailureReason
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import outbox, sessions
from agentnet_desktop.store.outbox import OutboxRow
from agentnet_desktop.store.sessions import StoredSession
from relay.wire.envelope import Envelope, MessageType
from relay.wire.errors import WireError
from relay.wire.strict import MAX_DEPTH, check_value

_AROUND_CONTENT = 96  # the plaintext's other members: opening (44 characters), seq, names and punctuation
_AROUND_CIPHERTEXT = 1024  # the envelope's other members in JSON form, with ids of 64 characters, and more
_SHOWN = 200  # characters of a field's path in a sentence
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


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why content cannot be sent: the reason that its row FAILED gets, and a sentence for who wrote it."""

    reason: FailureReason
    words: str


def obstacle(content: Mapping[str, Any], max_message_bytes: int) -> Obstacle | None:
    """Tells why content cannot be one message, before a `seq` is taken for it; None: it can.

    What a peer would refuse (docs/protocol.md 2.3) has no way to it either.

    Args:
        content: as it is to be sealed.
        max_message_bytes: the relay's limit for one envelope in JSON form.
    """
    try:
        written = jcs(content)
        if written.count(b"{") + written.count(b"[") >= MAX_DEPTH:  # else it cannot be nested too deep
            check_value(content, "content", depth=2)
    except (NotCanonical, WireError):
        return Obstacle(FailureReason.UNSENDABLE, _culprit(content))
    most = most_plaintext(max_message_bytes) - _AROUND_CONTENT
    if len(written) < most:
        return None
    return Obstacle(
        FailureReason.TOO_LARGE,
        f"This is too long to be sent: it takes {len(written):,} bytes, and a message holds {max(most - 1, 0):,}.",
    )


_NO_CONTENT: Final = (
    "This holds what no message can carry: write it with texts, numbers, lists and objects only."
)


def _culprit(content: Mapping[str, Any]) -> str:
    """Returns one sentence that names the part of content which no message can carry."""
    try:
        check_value(content, "content", depth=2)
    except WireError as error:
        where = error.field.removeprefix("content.")[:_SHOWN]
        return f"{where} {error.reason}: no message can carry that."
    except (RecursionError, AttributeError):  # nested beyond all use; a key that is no text
        return _NO_CONTENT
    return _NO_CONTENT


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

    def obstacle(self, row: OutboxRow) -> Obstacle | None:
        """Tells why a message cannot go through the relay in use: as it was sealed, else by its content."""
        if row.sealed is None:
            return self.obstacle_in(row.content)
        if len(row.sealed) <= self._ground.max_message_bytes:
            return None
        return Obstacle(FailureReason.TOO_LARGE, "This was sealed for a relay that takes longer messages.")

    def obstacle_in(self, content: Mapping[str, Any]) -> Obstacle | None:
        """Tells why content cannot be a message; the limit is that of the relay in use, or last used."""
        return obstacle(content, self._ground.max_message_bytes)

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
