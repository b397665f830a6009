"""What an agent tells its faces: frozen views and events, the same for the window and the command line.

A *view* is a snapshot of one thing (a contact, a proposal, a row of the log). An *event* says that a
view changed, and carries the new one. Faces render these; they never reach behind them into the store.

This module holds data only. It decides nothing and does no I/O. Times are milliseconds since the Unix
epoch, UTC. Text that a peer wrote is passed on as it came: a face escapes and cuts it before it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

WITHDRAWN = "Withdrawn before it was delivered."  # the note of a proposal whose message the person gave up


class ConnectionState(StrEnum):
    """Where the one connection to the relay stands."""

    OFFLINE = "OFFLINE"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    WAITING = "WAITING"  # disconnected; a retry is due at `retry_at`
    STOPPED = "STOPPED"  # will not retry without a person: see `reason`


class Direction(StrEnum):
    """Which way a log entry went: received, sent, or a local happening."""

    IN = "in"
    OUT = "out"
    LOCAL = "local"


class Verified(StrEnum):
    """Outcome of the signature check of one log entry."""

    GOOD = "good"
    BAD = "bad"
    NONE = "none"  # nothing to verify: control messages, local entries


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """The connection as the status bar shows it."""

    state: ConnectionState
    relay_url: str
    relay_name: str = ""
    connection_id: str = ""
    insecure: bool = False
    round_trip_ms: float | None = None
    retry_at: int | None = None
    reason: str = ""  # one sentence for a person; empty while all is well
    kind: str = (
        ""  # a stable word for `reason`, such as UNREACHABLE or SIGN_IN_ENDED; empty while all is well
    )
    degraded: bool = False
    clock_skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of the live log, without its bytes."""

    seq: int  # position in the audit chain, from 1
    time: int
    direction: Direction
    peer: str  # agentId, or "system" for the relay, or "" for local entries
    conversation_id: str
    message_id: str
    message_type: str  # of the inner message where it could be opened
    encrypted: bool
    verified: Verified
    state: str  # QUEUED IN_FLIGHT ROUTED DELIVERED EXPIRED FAILED RECEIVED REFUSED LOCAL ...
    summary: str
    size: int  # bytes on the wire; 0 for local entries
    sent_time: int | None = None  # the envelope's own timestamp
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """One step in the delivery history of one message."""

    time: int
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LogDetail:
    """One log entry whole: decrypted and as it went over the wire."""

    row: LogRow
    content: Mapping[str, Any] | None  # decrypted content, parsed
    plaintext: bytes | None  # byte-exact as committed and signed, unpadded
    wire: bytes | None  # the envelope's bytes as they crossed the connection
    wire_format: str  # "json", "msgpack" or ""
    security: Mapping[str, Any] = field(default_factory=dict)  # keys, nonce, sizes, commitment, receipt
    delivery: tuple[DeliveryStep, ...] = ()
    entry_hash: bytes = b""
    previous_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class ContactView:
    """One contact. `state` is a `protocol.contact.ContactState` value."""

    agent_id: str
    name: str
    state: str  # UNKNOWN PENDING APPROVED VERIFIED BLOCKED KEY_CHANGED
    fingerprint: str = ""  # of the pinned key, for display; "" before one is known
    candidate_fingerprint: str = ""  # of a key that differs from the pinned one
    safety_number: str = ""  # 60 digits, no spaces; "" before a key is known
    online: bool | None = None  # None: the relay has not said
    added_at: int | None = None
    last_exchange_at: int | None = None
    candidate_safety_number: str = ""  # of the key that differs from the pinned one
    held: bool = False  # messages wait until the person releases them, since a changed key was accepted


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time, with an optional place."""

    start: int
    end: int
    location: str = ""


@dataclass(frozen=True, slots=True)
class ProposalView:
    """One revision of one proposal, as the dialog shows it."""

    peer: str
    proposal_id: str
    revision: int
    direction: Direction  # IN: a person here decides; OUT: the peer does
    state: str  # PENDING ACCEPTED REJECTED EXPIRED MODIFIED
    title: str
    description: str
    start: int
    end: int
    time_zone: str  # IANA name the proposer meant; "" if none was given
    local_start: str  # wall-clock start the proposer meant; "" if none was given
    location: str
    address: str
    meeting_type: str
    participants: tuple[str, ...]
    alternatives: tuple[Slot, ...]
    expires_at: int | None
    conversation_id: str
    peer_name: str = ""
    peer_state: str = ""
    chosen_alternative: int = 0
    reason: str = ""  # of a rejection, the protocol's word
    note: str = ""  # the peer's or the person's own words with it
    time_disagreement: str = ""  # a sentence when instant and wall clock disagree here
    message_id: str = ""
    received_at: int = 0

    @property
    def ref(self) -> str:
        """`peer/proposalId/revision`, which names this revision in commands."""
        return f"{self.peer}/{self.proposal_id}/{self.revision}"


@dataclass(frozen=True, slots=True)
class OutboxView:
    """One message on its way."""

    message_id: str
    peer: str
    conversation_id: str
    message_type: str
    priority: str
    state: str
    reason: str  # why it waits or failed, one sentence
    attempts: int
    created_at: int
    next_attempt_at: int | None
    expires_at: int
    held: bool = False  # waits for the person, because the contact's key changed
    given_up: bool = False  # the person gave it up


@dataclass(frozen=True, slots=True)
class SessionKeysView:
    """The keys of one live conversation: how old they are, and when new ones are agreed on."""

    peer: str
    conversation_id: str
    since: int
    messages: int  # in both directions
    rotates_at: int  # at the latest
    rotates_after: int  # messages, counted from the first


@dataclass(frozen=True, slots=True)
class FiguresView:
    """What was measured of this agent's connection and messages; None where nothing was measured yet."""

    connected_since: int | None
    connect_ms: int | None  # from the attempt to CONNECTED, the last time
    connect_p95_ms: int | None  # of the last 30 days
    round_trip_ms: float | None  # the last one
    round_trip_p50_ms: int | None
    round_trip_p95_ms: int | None
    latency_p50_ms: int | None  # from queued to delivered, of the last 30 days; to 5 percent
    latency_p95_ms: int | None
    delivered: int  # messages that these two are of
    connections: int  # since the profile was made
    reconnections: int  # since the start
    retries: int  # attempts beyond the first, of those messages


@dataclass(frozen=True, slots=True)
class LinkView:
    """One contact link that this agent has handed out."""

    token: str = field(repr=False)  # b64url; names the link in `withdraw`
    link: str = field(repr=False)
    created_at: int
    expires_at: int
    used_by: str = ""
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class QueryView:
    """A peer's query that asks for a person's permission, with the very answer that would be sent."""

    request_id: str
    peer: str
    query_type: str
    parameters: Mapping[str, Any]
    answer: Mapping[str, Any]
    received_at: int
    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The outcome of a query of ours: `error` is None or the RESPONSE's error object."""

    request_id: str
    peer: str
    query_type: str
    data: Mapping[str, Any] | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SecurityView:
    """One security event in plain words."""

    seq: int  # of the log entry
    time: int
    peer: str
    kind: str  # stable word: BAD_SIGNATURE, KEY_CHANGED, CLEARTEXT_REFUSED, ...
    message: str  # what happened and what to do, one or two sentences


@dataclass(frozen=True, slots=True)
class AgentSnapshot:
    """All that a face needs at start; afterwards events keep it current."""

    agent_id: str
    fingerprint: str
    connection: ConnectionView
    queued: int
    keyring_backend: str
    contacts: tuple[ContactView, ...]
    proposals: tuple[ProposalView, ...]
    requests: tuple[QueryView, ...]


# ---------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection's state, round trip or degradation changed."""

    view: ConnectionView


@dataclass(frozen=True, slots=True)
class LogAppended:
    """Rows were appended to the log, in order, after their transaction committed."""

    rows: tuple[LogRow, ...]


@dataclass(frozen=True, slots=True)
class LogChanged:
    """The delivery state of rows already in the log changed."""

    rows: tuple[LogRow, ...]


@dataclass(frozen=True, slots=True)
class ProposalChanged:
    """A proposal came in, was answered, withdrawn, modified or expired."""

    view: ProposalView
    arrived: bool = False  # True once per revision: the moment to ask a person


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A contact appeared, changed state or presence; `removed` when it is gone."""

    view: ContactView
    removed: bool = False


@dataclass(frozen=True, slots=True)
class PermissionAsked:
    """A query waits for a person; `closed` when it no longer does."""

    view: QueryView
    closed: bool = False


@dataclass(frozen=True, slots=True)
class QueryAnswered:
    """A query of ours was answered, refused, or timed out."""

    answer: QueryAnswer


@dataclass(frozen=True, slots=True)
class OutboxChanged:
    """The number of messages not yet delivered changed."""

    queued: int


@dataclass(frozen=True, slots=True)
class SecurityRaised:
    """Something happened that the Security view shows."""

    view: SecurityView


@dataclass(frozen=True, slots=True)
class StorageChanged:
    """The database cannot be written, or can be again. What came in meanwhile was not acknowledged."""

    problem: str  # one sentence for a person; empty: all is well again


Event = (
    ConnectionChanged
    | LogAppended
    | LogChanged
    | ProposalChanged
    | ContactChanged
    | PermissionAsked
    | QueryAnswered
    | OutboxChanged
    | SecurityRaised
    | StorageChanged
)
