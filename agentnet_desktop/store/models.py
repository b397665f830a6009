"""The tables, typed: one class each, all STRICT.

Nothing here decides anything; the modules beside this one read and write these tables. Ids of agents compare
without regard to ASCII case (docs/protocol.md, identifiers). Times are milliseconds since the Unix epoch. A
column's meaning never changes: a new meaning is a new column and a migration. The log's tables are in
`log_models`; the full-text table is created by `schema`, since it is no table of SQLAlchemy's.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from sqlalchemy import Dialect, Index, Integer, LargeBinary, MetaData, Text, TypeDecorator, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

AgentId = Text(collation="NOCASE")
JSON_TEXT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Json(TypeDecorator[Any]):
    """A JSON value kept as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        """Returns the JSON text of `value`; None stays NULL."""
        return None if value is None else JSON_TEXT(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> Any:
        """Returns the value of a JSON text."""
        return None if value is None else json.loads(value)


class Base(DeclarativeBase):
    """Holds the metadata of all tables; every table is STRICT."""

    metadata = MetaData()
    type_annotation_map: ClassVar[dict[Any, Any]] = {str: Text(), int: Integer(), bytes: LargeBinary()}


STRICT = {"sqlite_strict": True}


class ContactModel(Base):
    """One agent known here, from a link, a handshake or a command."""

    __tablename__ = "contact"
    __table_args__ = (STRICT,)
    agent_id: Mapped[str] = mapped_column(AgentId, primary_key=True)
    name: Mapped[str]
    state: Mapped[str]
    identity_key: Mapped[bytes | None]
    key_source: Mapped[str]
    candidate_key: Mapped[bytes | None]
    state_before_change: Mapped[str]
    link_token: Mapped[bytes | None]
    held: Mapped[int]
    added_at: Mapped[int]
    approved_at: Mapped[int | None]
    verified_at: Mapped[int | None]
    last_exchange_at: Mapped[int | None]


class RefusedKeyModel(Base):
    """An identity key that the person declined for a contact."""

    __tablename__ = "refused_key"
    __table_args__ = (STRICT,)
    agent_id: Mapped[str] = mapped_column(AgentId, primary_key=True)
    identity_key: Mapped[bytes] = mapped_column(primary_key=True)
    refused_at: Mapped[int]


class ContactLinkModel(Base):
    """A contact link that this agent handed out."""

    __tablename__ = "contact_link"
    __table_args__ = (STRICT,)
    token: Mapped[bytes] = mapped_column(primary_key=True)
    link: Mapped[str]
    created_at: Mapped[int]
    expires_at: Mapped[int]
    bound_key: Mapped[bytes | None]
    used_by: Mapped[str]
    used_at: Mapped[int | None]
    withdrawn_at: Mapped[int | None]


class ConversationModel(Base):
    """One conversation with one peer under one identity key of it."""

    __tablename__ = "conversation"
    __table_args__ = (STRICT,)
    peer: Mapped[str] = mapped_column(AgentId, primary_key=True)
    conversation_id: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str]
    created_at: Mapped[int]
    last_at: Mapped[int]
    ended_at: Mapped[int | None]
    last_handshake_at: Mapped[int | None]


class SessionModel(Base):
    """One handshake and what came of it: the keys, counters and receive window of one session."""

    __tablename__ = "session"
    __table_args__ = (
        Index("ix_session_conversation", "peer", "conversation_id", "state"),
        Index("ix_session_id", "session_id"),
        Index("ix_session_handshake", "message_id"),
        Index("ix_session_due", "next_attempt_at", sqlite_where=text("next_attempt_at IS NOT NULL")),
        Index("ix_session_wipe", "wipe_at", sqlite_where=text("wipe_at IS NOT NULL")),
        STRICT,
    )
    row_id: Mapped[int] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(AgentId)
    peer_key: Mapped[bytes]
    conversation_id: Mapped[str]
    session_id: Mapped[str]
    role: Mapped[str]
    state: Mapped[str]
    message_id: Mapped[str]
    keys: Mapped[bytes | None]
    ephemeral: Mapped[bytes | None]
    initiation: Mapped[bytes | None]
    response: Mapped[bytes | None]
    next_seq: Mapped[int]
    window: Mapped[bytes]
    message_count: Mapped[int]
    attempts: Mapped[int]
    next_attempt_at: Mapped[int | None]
    created_at: Mapped[int]
    confirmed_at: Mapped[int | None]
    retired_at: Mapped[int | None]
    wipe_at: Mapped[int | None]


class OutboxModel(Base):
    """One message of ours on its way to one peer."""

    __tablename__ = "outbox"
    __table_args__ = (
        # What can be sent, in the order in which it is sent. Rows that wait for presence, a session or a
        # person have no next attempt and so are not in the index at all.
        Index(
            "ix_outbox_due",
            "rank",
            "position",
            "next_attempt_at",
            sqlite_where=text("next_attempt_at IS NOT NULL"),
        ),
        Index("ix_outbox_attempt", "next_attempt_at", sqlite_where=text("next_attempt_at IS NOT NULL")),
        Index("ix_outbox_expiry", "expires_at", sqlite_where=text("settled_at IS NULL")),
        Index(
            "ix_outbox_queued",
            "peer",
            "conversation_id",
            "position",
            "next_attempt_at",
            sqlite_where=text("state = 'QUEUED'"),
        ),
        Index("ix_outbox_open", "position", sqlite_where=text("settled_at IS NULL")),
        Index(
            "ix_outbox_peer", "peer", "conversation_id", "position", sqlite_where=text("settled_at IS NULL")
        ),
        Index("ix_outbox_settled", "settled_at", sqlite_where=text("settled_at IS NOT NULL")),
        STRICT,
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(unique=True)
    peer: Mapped[str] = mapped_column(AgentId)
    conversation_id: Mapped[str]
    message_type: Mapped[str]
    priority: Mapped[str]
    rank: Mapped[int]
    content: Mapped[Any] = mapped_column(Json)
    envelope_metadata: Mapped[Any] = mapped_column(Json)
    timestamp: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str]
    session_row: Mapped[int | None]
    seq: Mapped[int | None]
    sealed: Mapped[bytes | None]
    attempts: Mapped[int]
    next_attempt_at: Mapped[int | None]
    created_at: Mapped[int]
    expires_at: Mapped[int]
    settled_at: Mapped[int | None]
    log_seq: Mapped[int | None]
    subject: Mapped[str]


class OutboxDigestModel(Base):
    """The digest of one ciphertext ever sent for an outbox row: a receipt for any of them counts."""

    __tablename__ = "outbox_digest"
    __table_args__ = (STRICT | {"sqlite_with_rowid": False},)
    # The message first: its ids sort by time, so rows are added at the end.
    message_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    sent_at: Mapped[int]


class InboxModel(Base):
    """One message received and stored, by which duplicates are known."""

    __tablename__ = "inbox"
    __table_args__ = (Index("ix_inbox_received", "received_at"), STRICT | {"sqlite_with_rowid": False})
    peer_key: Mapped[bytes] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(AgentId)
    digest: Mapped[bytes]
    content_hash: Mapped[bytes]
    state: Mapped[str]
    ack: Mapped[bytes | None]
    problem: Mapped[str]
    received_at: Mapped[int]
    log_seq: Mapped[int | None]


class ReorderModel(Base):
    """A message that came ahead of its turn and waits for the gap before it."""

    __tablename__ = "reorder"
    __table_args__ = (Index("ix_reorder_deadline", "deliver_by"), STRICT | {"sqlite_with_rowid": False})
    session_row: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str]
    message_type: Mapped[str]
    content: Mapped[Any] = mapped_column(Json)
    log_seq: Mapped[int | None]
    received_at: Mapped[int]
    deliver_by: Mapped[int]


class ProposalModel(Base):
    """One revision of one proposal with one peer."""

    __tablename__ = "proposal"
    __table_args__ = (
        Index("ix_proposal_state", "state", "expires_at"),
        Index("ix_proposal_group", "group_id"),
        Index("ix_proposal_received", "created_at"),
        STRICT,
    )
    peer: Mapped[str] = mapped_column(AgentId, primary_key=True)
    proposal_id: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    peer_key: Mapped[bytes]
    conversation_id: Mapped[str]
    direction: Mapped[str]
    original_direction: Mapped[str]
    state: Mapped[str]
    content: Mapped[Any] = mapped_column(Json)
    message_id: Mapped[str]
    start: Mapped[int]
    end: Mapped[int]
    expires_at: Mapped[int | None]
    chosen_alternative: Mapped[int]
    reason: Mapped[str]
    note: Mapped[str]
    group_id: Mapped[str]
    event_id: Mapped[str]
    created_at: Mapped[int]
    decided_at: Mapped[int | None]
    log_seq: Mapped[int | None]


class OwnQueryModel(Base):
    """A query of ours."""

    __tablename__ = "own_query"
    __table_args__ = (
        Index("ix_own_query_deadline", "deadline", sqlite_where=text("state = 'PENDING'")),
        STRICT,
    )
    request_id: Mapped[str] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(AgentId)
    conversation_id: Mapped[str]
    message_id: Mapped[str]
    query_type: Mapped[str]
    parameters: Mapped[Any] = mapped_column(Json)
    state: Mapped[str]
    sent_at: Mapped[int]
    deadline: Mapped[int]
    data: Mapped[Any | None] = mapped_column(Json)
    error: Mapped[Any | None] = mapped_column(Json)
    answered_at: Mapped[int | None]


class PeerQueryModel(Base):
    """A peer's query: answered, refused, or waiting for a person's permission."""

    __tablename__ = "peer_query"
    __table_args__ = (Index("ix_peer_query_state", "state", "received_at"), STRICT)
    peer: Mapped[str] = mapped_column(AgentId, primary_key=True)
    request_id: Mapped[str] = mapped_column(primary_key=True)
    peer_key: Mapped[bytes]
    conversation_id: Mapped[str]
    message_id: Mapped[str]
    query_type: Mapped[str]
    parameters: Mapped[Any] = mapped_column(Json)
    state: Mapped[str]
    answer: Mapped[Any] = mapped_column(Json)
    received_at: Mapped[int]
    expires_at: Mapped[int | None]
    answered_at: Mapped[int | None]


class SettingModel(Base):
    """One setting, as JSON."""

    __tablename__ = "setting"
    __table_args__ = (STRICT,)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class CounterModel(Base):
    """One counter that survives restarts."""

    __tablename__ = "counter"
    __table_args__ = (STRICT,)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class SampleModel(Base):
    """One measured value, such as a round trip."""

    __tablename__ = "sample"
    __table_args__ = (Index("ix_sample_name", "name", "time"), STRICT)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    time: Mapped[int]
    value: Mapped[int]


class FigureModel(Base):
    """How many values of one name fell into one step of a scale on one day."""

    __tablename__ = "figure"
    __table_args__ = (STRICT | {"sqlite_with_rowid": False},)
    day: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int]
