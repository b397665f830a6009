"""The journal: every message in or out, and every local happening, as an entry of the audit log.

Implements docs/protocol.md, *Audit log*, from the agent's side: what crosses the connection gets an entry with
its wire bytes, what was opened also its plaintext, what was refused the reason. Writes inside the turn that
the entry belongs to. The chain itself is `store.audit_log`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentnet_desktop.agent import summaries
from agentnet_desktop.agent.events import (
    Direction,
    SecurityRaised,
    SecurityView,
    Verified,
)
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.log_queries import view
from agentnet_desktop.agent.trust import KEY_CHANGED
from agentnet_desktop.crypto.errors import BadSignature, CryptoError
from agentnet_desktop.store import audit_log, contacts, outbox
from agentnet_desktop.store.audit_log import LogEntry, NewEntry, SecurityEvent
from agentnet_desktop.store.outbox import OutboxRow
from relay.wire.codec import Decoded, Format, encode
from relay.wire.envelope import SYSTEM, Envelope, MessageType, agent_key
from relay.wire.errors import WireError

_WORDS = {
    "BAD_SIGNATURE": "A message that claims to be from {peer} carries a wrong signature; it was refused.",
    "BAD_KEY": "{peer} sent a malformed or unsafe key; it was refused.",
    "MISDIRECTED": "A message from {peer} was meant for someone else; it was refused.",
    "DECRYPTION_FAILED": "A message of {peer} cannot be opened with the session it names; a new session is asked for.",
    "COMMITMENT_MISMATCH": "A message of {peer} does not hold what its signature promises; it was refused.",
    "CONTENT_INVALID": "A message of {peer} is not of the protocol's form; it was refused.",
    "SEQUENCE_REFUSED": "A message of {peer} is too far ahead of the others; it was refused.",
    "CONFIRMATION_MISMATCH": "{peer} confirmed a session with a wrong proof; it was refused.",
    "HANDSHAKE_REFUSED": "A handshake of {peer} breaks the rules; it was refused.",
}


class Journal:
    """Writes the log of one agent."""

    def __init__(self, ground: Ground) -> None:
        """Keeps the ground."""
        self._ground = ground
        self._names: dict[str, str] = {}
        self.wire_format = Format.MSGPACK  # what the connection speaks; `agent` keeps it current

    def forget_name(self, agent_id: str) -> None:
        """Looks a contact's name up again next time."""
        self._names.pop(agent_key(agent_id), None)

    def name(self, turn: Turn, agent_id: str) -> str:
        """Returns how the person calls an agent, or its id."""
        key = agent_key(agent_id)
        if key not in self._names:
            contact = contacts.get(turn.session, agent_id)
            self._names[key] = (contact.name if contact else "") or agent_id
        return self._names[key]

    # ----------------------------------------------------------------------------------------- entries

    def received(
        self,
        turn: Turn,
        decoded: Decoded,
        *,
        message_type: str | None = None,
        content: Mapping[str, Any] | None = None,
        plaintext: bytes | None = None,
        verified: Verified = Verified.NONE,
        state: str = "RECEIVED",
        note: str = "",
        security: Mapping[str, Any] | None = None,
    ) -> LogEntry:
        """Appends an entry for what came in.

        Args:
            turn: of the transaction.
            decoded: the envelope and its bytes.
            message_type: of the inner message, where it was opened.
            content: the inner content, where it was opened; the envelope's own if left out.
            plaintext: as committed to, where it was opened.
            verified: outcome of the signature check.
            state: RECEIVED, REFUSED, DUPLICATE, IGNORED, …
            note: a few words to add to the sentence.
            security: findings to keep.
        """
        envelope = decoded.envelope
        kind = message_type or envelope.message_type.value
        opened = plaintext is not None
        shown = envelope.content if content is None else content
        summary = self._sentence(turn, Direction.IN, envelope, kind, shown, opened)
        findings = dict(security or {})
        if decoded.dropped:
            findings["dropped"] = list(decoded.dropped)
        entry = NewEntry(
            time=turn.now,
            direction=Direction.IN,
            message_type=kind,
            state=state,
            summary=f"{summary} ({note})" if note else summary,
            peer=envelope.sender_id,
            conversation_id=envelope.conversation_id,
            message_id=envelope.message_id,
            encrypted=envelope.message_type is MessageType.ENCRYPTED,
            verified=verified,
            sent_time=envelope.timestamp,
            wire=decoded.raw,
            wire_format=self._format_of(decoded.raw),
            plaintext=plaintext,
            content=None if opened else _without_token(envelope, shown),
            security=findings,
        )
        return self._append(turn, entry)

    def unreadable(self, turn: Turn, error: WireError, raw: bytes) -> None:
        """Appends an entry for bytes that are no envelope of the protocol."""
        entry = NewEntry(
            time=turn.now,
            direction=Direction.IN,
            message_type="INVALID",
            state="REFUSED",
            summary=f"A message that cannot be read: {error.field} {error.reason}",
            message_id=error.message_id or "",
            wire=raw,
            wire_format=self._format_of(raw),
            security={"refused": error.code.value, "field": error.field},
        )
        self._append(turn, entry)

    def sent(
        self,
        turn: Turn,
        envelope: Envelope,
        *,
        state: str,
        message_type: str | None = None,
        content: Mapping[str, Any] | None = None,
        plaintext: bytes | None = None,
        security: Mapping[str, Any] | None = None,
    ) -> LogEntry:
        """Appends an entry for what goes out, with the bytes that will cross the connection."""
        kind = message_type or envelope.message_type.value
        shown = envelope.content if content is None else content
        entry = NewEntry(
            time=turn.now,
            direction=Direction.OUT,
            message_type=kind,
            state=state,
            summary=self._sentence(turn, Direction.OUT, envelope, kind, shown, plaintext is not None),
            peer=envelope.recipient_id,
            conversation_id=envelope.conversation_id,
            message_id=envelope.message_id,
            encrypted=envelope.message_type is MessageType.ENCRYPTED,
            verified=Verified.NONE,
            sent_time=envelope.timestamp,
            wire=encode(envelope, self.wire_format),
            wire_format=self.wire_format.value,
            plaintext=plaintext,
            content=None if plaintext is not None else shown,
            security=dict(security or {}),
        )
        return self._append(turn, entry)

    def local(
        self,
        turn: Turn,
        *,
        peer: str,
        message_type: str,
        state: str,
        summary: str,
        conversation_id: str = "",
        message_id: str = "",
        content: Mapping[str, Any] | None = None,
    ) -> LogEntry:
        """Appends an entry for something that happened here and crossed no connection."""
        entry = NewEntry(
            time=turn.now,
            direction=Direction.LOCAL,
            message_type=message_type,
            state=state,
            summary=summary,
            peer=peer,
            conversation_id=conversation_id,
            message_id=message_id,
            content=content,
        )
        return self._append(turn, entry)

    def queued(self, turn: Turn, row: OutboxRow) -> LogEntry:
        """Appends a local entry for a message that waits; when it is sealed it gets an entry of its own."""
        name = self.name(turn, row.peer)
        sentence = summaries.inner(Direction.OUT, name, row.message_type, row.content)
        return self.local(
            turn,
            peer=row.peer,
            message_type=row.message_type,
            state="QUEUED",
            summary=f"{sentence} (waits)",
            conversation_id=row.conversation_id,
            message_id=row.message_id,
            content=row.content,
        )

    def state(self, turn: Turn, log_seq: int | None, state: str, detail: str = "") -> None:
        """Moves an entry's delivery state and adds a step to its history."""
        if log_seq is None:
            return
        entry = audit_log.set_state(turn.session, log_seq, state, turn.now, detail)
        if entry is not None:
            turn.changed[log_seq] = view(entry)

    def park(self, turn: Turn, peer: str, reason: str, probe_at: int | None = None) -> int:
        """Puts a peer's messages back to wait; those that were on their way show it. See `outbox.park_peer`."""
        for row in outbox.under_way(turn.session, peer):
            if row.log_seq is not None:
                found = audit_log.set_state(
                    turn.session, row.log_seq, "QUEUED", turn.now, reason, repeat=False
                )
                turn.changed.update({} if found is None else {row.log_seq: view(found)})
        # What is held until a person has judged a key must not go because its peer came online meanwhile.
        beside = "" if reason == KEY_CHANGED else KEY_CHANGED
        return outbox.park_peer(turn.session, peer, reason, probe_at, beside=beside)

    # ---------------------------------------------------------------------------------------- security

    def refused(self, turn: Turn, decoded: Decoded, error: CryptoError | WireError) -> None:
        """Logs an envelope that a check refused; a failed cryptographic check is a security event."""
        bad = Verified.BAD if isinstance(error, BadSignature) else Verified.NONE
        if isinstance(error, WireError):
            self.received(turn, decoded, state="REFUSED", note=f"{error.field} {error.reason}")
            return
        peer = decoded.envelope.sender_id
        words = _WORDS.get(error.kind, "A message of {peer} was refused.").format(peer=self.name(turn, peer))
        findings = {"refused": error.word, "told": words}
        entry = self.received(
            turn, decoded, state="REFUSED", verified=bad, note=error.reason, security=findings
        )
        self._raise(turn, entry, peer, error.kind, words)

    def refused_as(self, turn: Turn, decoded: Decoded, kind: str, words: str) -> None:
        """Logs a refused envelope and raises a security event.

        Args:
            turn: of the transaction.
            decoded: the envelope.
            kind: a stable word.
            words: what happened and what to do, for a person.
        """
        entry = self.received(turn, decoded, state="REFUSED", security={"refused": kind, "told": words})
        self._raise(turn, entry, decoded.envelope.sender_id, kind, words)

    def security(
        self, turn: Turn, *, peer: str, kind: str, words: str, conversation_id: str = "", message_id: str = ""
    ) -> None:
        """Appends a local entry for a security event that no refused envelope stands for."""
        entry = self.local(
            turn,
            peer=peer,
            message_type="SECURITY",
            state="LOCAL",
            summary=words,
            conversation_id=conversation_id,
            message_id=message_id,
            content={"kind": kind},
        )
        self._raise(turn, entry, peer, kind, words)

    # What an event says stands in its entry too: verifying the log compares the two.
    def _raise(self, turn: Turn, entry: LogEntry, peer: str, kind: str, words: str) -> None:
        audit_log.add_security_event(
            turn.session, SecurityEvent(seq=entry.seq, time=turn.now, peer=peer, kind=kind, message=words)
        )
        turn.tell(SecurityRaised(SecurityView(entry.seq, turn.now, peer, kind, words)))

    # ------------------------------------------------------------------------------------------ private

    def _append(self, turn: Turn, entry: NewEntry) -> LogEntry:
        stored = audit_log.append(turn.session, entry)
        turn.appended.append(view(stored))
        return stored

    def _sentence(
        self,
        turn: Turn,
        direction: Direction,
        envelope: Envelope,
        kind: str,
        content: Mapping[str, Any],
        opened: bool,
    ) -> str:
        peer = envelope.sender_id if direction is Direction.IN else envelope.recipient_id
        if peer == SYSTEM:
            return summaries.relay(direction, kind, content)
        name = self.name(turn, peer)
        if envelope.message_type is MessageType.ENCRYPTED and not opened:
            return f"An encrypted message from {name}"
        return summaries.inner(direction, name, kind, content)

    def _format_of(self, raw: bytes) -> str:
        return Format.JSON.value if raw[:1] in (b"{", b" ", b"\n", b"\t", b"\r") else Format.MSGPACK.value


def _without_token(envelope: Envelope, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """An AUTH's token never reaches the log."""
    if envelope.message_type is MessageType.AUTH:
        return {name: value for name, value in content.items() if name != "token"}
    return content
