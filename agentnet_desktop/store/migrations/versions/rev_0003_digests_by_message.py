"""Digests of ciphertexts are kept by their message, in one tree instead of three.

Revision: 0003, after 0002.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STEPS = (
    "DROP INDEX ix_outbox_digest_message",
    "ALTER TABLE outbox_digest RENAME TO outbox_digest_0002",
    """CREATE TABLE outbox_digest ( message_id TEXT NOT NULL, digest BLOB NOT NULL, sent_at INTEGER NOT NULL,
    PRIMARY KEY (message_id, digest) ) WITHOUT ROWID, STRICT""",
    """INSERT INTO outbox_digest (message_id, digest, sent_at) SELECT message_id, digest, sent_at
    FROM outbox_digest_0002""",
    "DROP TABLE outbox_digest_0002",
)


def upgrade() -> None:
    """Makes the table anew, with what it holds; there is no way back but the backup."""
    for statement in STEPS:
        op.get_bind().exec_driver_sql(" ".join(statement.split()))
