"""The tables of the audit log, typed.

`log_entry` holds what a page of the log shows and what the hash chain covers; its hashed columns are never
updated. `log_content` holds the bytes and details, which retention may delete: their hashes stay in the
entry. The steps of `log_step` are covered by the entry that follows them. `log_pin` and `log_anchor` stand beside
the chain. The full-text table
`log_text` is made by `schema`, since it is no table of SQLAlchemy's.
"""

from __future__ import annotations

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from agentnet_desktop.store.models import STRICT, AgentId, Base


class LogEntryModel(Base):
    """One entry. All columns but `state`, `summary` and `settled` are covered by `entry_hash`."""

    __tablename__ = "log_entry"
    __table_args__ = (
        Index("ix_log_message", "message_id"),
        Index("ix_log_conversation", "conversation_id", "seq"),
        STRICT,
    )
    seq: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[int]
    direction: Mapped[str]
    peer: Mapped[str] = mapped_column(AgentId)
    conversation_id: Mapped[str]
    message_id: Mapped[str]
    message_type: Mapped[str]
    encrypted: Mapped[int]
    verified: Mapped[str]
    first_state: Mapped[str]
    sent_time: Mapped[int | None]
    size: Mapped[int]
    wire_format: Mapped[str]
    wire_hash: Mapped[bytes | None]
    plaintext_hash: Mapped[bytes | None]
    details_hash: Mapped[bytes]
    steps_hash: Mapped[bytes | None]
    previous_hash: Mapped[bytes]
    entry_hash: Mapped[bytes]
    state: Mapped[str]
    summary: Mapped[str]


class LogContentModel(Base):
    """The bytes of one entry. Deleted by retention; then the entry's hashes alone remain."""

    __tablename__ = "log_content"
    __table_args__ = (STRICT,)
    seq: Mapped[int] = mapped_column(primary_key=True)
    wire: Mapped[bytes | None]
    plaintext: Mapped[bytes | None]
    details: Mapped[bytes]
    salt: Mapped[bytes]


class LogStepModel(Base):
    """One step in the delivery history of one entry. `after_seq`: the log's last entry when it was made."""

    __tablename__ = "log_step"
    __table_args__ = (Index("ix_log_step", "seq"), STRICT)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int]
    time: Mapped[int]
    state: Mapped[str]
    detail: Mapped[str]
    after_seq: Mapped[int]


class LogPinModel(Base):
    """An entry that a person pinned, with colour and comment."""

    __tablename__ = "log_pin"
    __table_args__ = (STRICT,)
    seq: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[int]
    colour: Mapped[str]
    comment: Mapped[str]


class LogSpanModel(Base):
    """First and last entry of one hour of the clock: finds `after:` and `before:` though clocks jump."""

    __tablename__ = "log_span"
    __table_args__ = (STRICT,)
    hour: Mapped[int] = mapped_column(primary_key=True)
    first_seq: Mapped[int]
    last_seq: Mapped[int]


class LogValueModel(Base):
    """A value that some column of the log has had: lets a negated term be asked as a positive one."""

    __tablename__ = "log_value"
    __table_args__ = (STRICT | {"sqlite_with_rowid": False},)
    field: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)


class LogAnchorModel(Base):
    """What somebody else, or a signature, says of the chain: entry `seq` has this hash."""

    __tablename__ = "log_anchor"
    __table_args__ = (Index("ix_log_anchor_seq", "seq"), STRICT)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int]
    entry_hash: Mapped[bytes]
    kind: Mapped[str]
    holder: Mapped[str] = mapped_column(AgentId)
    time: Mapped[int]
    signature: Mapped[bytes | None]


class SecurityEventModel(Base):
    """A security event in plain words, beside its entry in the log."""

    __tablename__ = "security_event"
    __table_args__ = (STRICT,)
    seq: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[int]
    peer: Mapped[str] = mapped_column(AgentId)
    kind: Mapped[str]
    message: Mapped[str]
    seen_at: Mapped[int | None]
