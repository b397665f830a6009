"""Delivery steps become part of the log's chain, and figures are kept by the day.

Revision: 0002, after 0001. Steps that are there already count as made after the log's last entry: the next one
covers them all.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STEPS = (
    "DROP INDEX ix_log_message",
    "DROP INDEX ix_log_conversation",
    "DROP INDEX ix_log_step",
    "ALTER TABLE log_entry RENAME TO log_entry_0001",
    "ALTER TABLE log_step RENAME TO log_step_0001",
    """CREATE TABLE log_entry ( seq INTEGER NOT NULL, time INTEGER NOT NULL, direction TEXT NOT NULL,
    peer TEXT COLLATE "NOCASE" NOT NULL, conversation_id TEXT NOT NULL, message_id TEXT NOT NULL,
    message_type TEXT NOT NULL, encrypted INTEGER NOT NULL, verified TEXT NOT NULL, first_state TEXT
    NOT NULL, sent_time INTEGER, size INTEGER NOT NULL, wire_format TEXT NOT NULL, wire_hash BLOB,
    plaintext_hash BLOB, details_hash BLOB NOT NULL, steps_hash BLOB, previous_hash BLOB NOT NULL,
    entry_hash BLOB NOT NULL, state TEXT NOT NULL, summary TEXT NOT NULL, PRIMARY KEY (seq) ) STRICT""",
    """INSERT INTO log_entry (seq, time, direction, peer, conversation_id, message_id, message_type, encrypted,
    verified, first_state, sent_time, size, wire_format, wire_hash, plaintext_hash, details_hash, previous_hash,
    entry_hash, state, summary) SELECT seq, time, direction, peer, conversation_id, message_id, message_type,
    encrypted, verified, first_state, sent_time, size, wire_format, wire_hash, plaintext_hash, details_hash,
    previous_hash, entry_hash, state, summary FROM log_entry_0001""",
    "DROP TABLE log_entry_0001",
    "CREATE INDEX ix_log_message ON log_entry (message_id)",
    "CREATE INDEX ix_log_conversation ON log_entry (conversation_id, seq)",
    """CREATE TABLE log_step ( row_id INTEGER NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL, after_seq INTEGER NOT NULL, PRIMARY KEY (row_id) ) STRICT""",
    """INSERT INTO log_step (row_id, seq, time, state, detail, after_seq) SELECT row_id, seq, time, state,
    detail, (SELECT coalesce(max(seq), 0) FROM log_entry) FROM log_step_0001""",
    "DROP TABLE log_step_0001",
    "CREATE INDEX ix_log_step ON log_step (seq)",
    """CREATE TABLE figure ( day INTEGER NOT NULL, name TEXT NOT NULL, step INTEGER NOT NULL, count INTEGER
    NOT NULL, PRIMARY KEY (day, name, step) ) WITHOUT ROWID, STRICT""",
)


def upgrade() -> None:
    """Makes the tables anew, with what they hold; there is no way back but the backup."""
    for statement in STEPS:
        op.get_bind().exec_driver_sql(" ".join(statement.split()))
