"""The first tables, as the first released version made them. Frozen: later changes are later revisions.

Revision: 0001.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE contact ( agent_id TEXT COLLATE "NOCASE" NOT NULL, name TEXT NOT NULL, state TEXT
    NOT NULL, identity_key BLOB, key_source TEXT NOT NULL, candidate_key BLOB, state_before_change
    TEXT NOT NULL, link_token BLOB, held INTEGER NOT NULL, added_at INTEGER NOT NULL, approved_at
    INTEGER, verified_at INTEGER, last_exchange_at INTEGER, PRIMARY KEY (agent_id) ) STRICT""",
    """CREATE TABLE refused_key ( agent_id TEXT COLLATE "NOCASE" NOT NULL, identity_key BLOB NOT NULL,
    refused_at INTEGER NOT NULL, PRIMARY KEY (agent_id, identity_key) ) STRICT""",
    """CREATE TABLE contact_link ( token BLOB NOT NULL, link TEXT NOT NULL, created_at INTEGER NOT
    NULL, expires_at INTEGER NOT NULL, bound_key BLOB, used_by TEXT NOT NULL, used_at INTEGER,
    withdrawn_at INTEGER, PRIMARY KEY (token) ) STRICT""",
    """CREATE TABLE conversation ( peer TEXT COLLATE "NOCASE" NOT NULL, conversation_id TEXT NOT NULL,
    subject TEXT NOT NULL, created_at INTEGER NOT NULL, last_at INTEGER NOT NULL, ended_at INTEGER,
    last_handshake_at INTEGER, PRIMARY KEY (peer, conversation_id) ) STRICT""",
    """CREATE TABLE session ( row_id INTEGER NOT NULL, peer TEXT COLLATE "NOCASE" NOT NULL, peer_key
    BLOB NOT NULL, conversation_id TEXT NOT NULL, session_id TEXT NOT NULL, role TEXT NOT NULL,
    state TEXT NOT NULL, message_id TEXT NOT NULL, keys BLOB, ephemeral BLOB, initiation BLOB,
    response BLOB, next_seq INTEGER NOT NULL, window BLOB NOT NULL, message_count INTEGER NOT NULL,
    attempts INTEGER NOT NULL, next_attempt_at INTEGER, created_at INTEGER NOT NULL, confirmed_at
    INTEGER, retired_at INTEGER, wipe_at INTEGER, PRIMARY KEY (row_id) ) STRICT""",
    """CREATE INDEX ix_session_due ON session (next_attempt_at) WHERE next_attempt_at IS NOT NULL""",
    """CREATE INDEX ix_session_conversation ON session (peer, conversation_id, state)""",
    """CREATE INDEX ix_session_handshake ON session (message_id)""",
    """CREATE INDEX ix_session_wipe ON session (wipe_at) WHERE wipe_at IS NOT NULL""",
    """CREATE INDEX ix_session_id ON session (session_id)""",
    """CREATE TABLE outbox ( position INTEGER NOT NULL, message_id TEXT NOT NULL, peer TEXT COLLATE
    "NOCASE" NOT NULL, conversation_id TEXT NOT NULL, message_type TEXT NOT NULL, priority TEXT NOT
    NULL, rank INTEGER NOT NULL, content TEXT NOT NULL, envelope_metadata TEXT NOT NULL, timestamp
    INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, session_row INTEGER, seq INTEGER,
    sealed BLOB, attempts INTEGER NOT NULL, next_attempt_at INTEGER, created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, settled_at INTEGER, log_seq INTEGER, subject TEXT NOT NULL, PRIMARY
    KEY (position), UNIQUE (message_id) ) STRICT""",
    """CREATE INDEX ix_outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL""",
    """CREATE INDEX ix_outbox_attempt ON outbox (next_attempt_at) WHERE next_attempt_at IS NOT NULL""",
    """CREATE INDEX ix_outbox_queued ON outbox (peer, conversation_id, position, next_attempt_at) WHERE
    state = 'QUEUED'""",
    """CREATE INDEX ix_outbox_peer ON outbox (peer, conversation_id, position) WHERE settled_at IS NULL""",
    """CREATE INDEX ix_outbox_due ON outbox (rank, position, next_attempt_at) WHERE next_attempt_at IS
    NOT NULL""",
    """CREATE INDEX ix_outbox_open ON outbox (position) WHERE settled_at IS NULL""",
    """CREATE INDEX ix_outbox_expiry ON outbox (expires_at) WHERE settled_at IS NULL""",
    """CREATE TABLE outbox_digest ( digest BLOB NOT NULL, message_id TEXT NOT NULL, sent_at INTEGER NOT
    NULL, PRIMARY KEY (digest) ) STRICT""",
    """CREATE INDEX ix_outbox_digest_message ON outbox_digest (message_id)""",
    """CREATE TABLE inbox ( peer_key BLOB NOT NULL, message_id TEXT NOT NULL, peer TEXT COLLATE
    "NOCASE" NOT NULL, digest BLOB NOT NULL, content_hash BLOB NOT NULL, state TEXT NOT NULL, ack
    BLOB, problem TEXT NOT NULL, received_at INTEGER NOT NULL, log_seq INTEGER, PRIMARY KEY
    (peer_key, message_id) ) WITHOUT ROWID, STRICT""",
    """CREATE INDEX ix_inbox_received ON inbox (received_at)""",
    """CREATE TABLE reorder ( session_row INTEGER NOT NULL, seq INTEGER NOT NULL, message_id TEXT NOT
    NULL, message_type TEXT NOT NULL, content TEXT NOT NULL, log_seq INTEGER, received_at INTEGER
    NOT NULL, deliver_by INTEGER NOT NULL, PRIMARY KEY (session_row, seq) ) WITHOUT ROWID, STRICT""",
    """CREATE INDEX ix_reorder_deadline ON reorder (deliver_by)""",
    """CREATE TABLE proposal ( peer TEXT COLLATE "NOCASE" NOT NULL, proposal_id TEXT NOT NULL, revision
    INTEGER NOT NULL, peer_key BLOB NOT NULL, conversation_id TEXT NOT NULL, direction TEXT NOT
    NULL, original_direction TEXT NOT NULL, state TEXT NOT NULL, content TEXT NOT NULL, message_id
    TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, expires_at INTEGER,
    chosen_alternative INTEGER NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL, group_id TEXT NOT
    NULL, event_id TEXT NOT NULL, created_at INTEGER NOT NULL, decided_at INTEGER, log_seq INTEGER,
    PRIMARY KEY (peer, proposal_id, revision) ) STRICT""",
    """CREATE INDEX ix_proposal_received ON proposal (created_at)""",
    """CREATE INDEX ix_proposal_state ON proposal (state, expires_at)""",
    """CREATE INDEX ix_proposal_group ON proposal (group_id)""",
    """CREATE TABLE own_query ( request_id TEXT NOT NULL, peer TEXT COLLATE "NOCASE" NOT NULL,
    conversation_id TEXT NOT NULL, message_id TEXT NOT NULL, query_type TEXT NOT NULL, parameters
    TEXT NOT NULL, state TEXT NOT NULL, sent_at INTEGER NOT NULL, deadline INTEGER NOT NULL, data
    TEXT, error TEXT, answered_at INTEGER, PRIMARY KEY (request_id) ) STRICT""",
    """CREATE INDEX ix_own_query_deadline ON own_query (deadline) WHERE state = 'PENDING'""",
    """CREATE TABLE peer_query ( peer TEXT COLLATE "NOCASE" NOT NULL, request_id TEXT NOT NULL,
    peer_key BLOB NOT NULL, conversation_id TEXT NOT NULL, message_id TEXT NOT NULL, query_type TEXT
    NOT NULL, parameters TEXT NOT NULL, state TEXT NOT NULL, answer TEXT NOT NULL, received_at
    INTEGER NOT NULL, expires_at INTEGER, answered_at INTEGER, PRIMARY KEY (peer, request_id) )
    STRICT""",
    """CREATE INDEX ix_peer_query_state ON peer_query (state, received_at)""",
    """CREATE TABLE setting ( name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name) ) STRICT""",
    """CREATE TABLE counter ( name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (name) ) STRICT""",
    """CREATE TABLE sample ( row_id INTEGER NOT NULL, name TEXT NOT NULL, time INTEGER NOT NULL, value
    INTEGER NOT NULL, PRIMARY KEY (row_id) ) STRICT""",
    """CREATE INDEX ix_sample_name ON sample (name, time)""",
    """CREATE TABLE log_entry ( seq INTEGER NOT NULL, time INTEGER NOT NULL, direction TEXT NOT NULL,
    peer TEXT COLLATE "NOCASE" NOT NULL, conversation_id TEXT NOT NULL, message_id TEXT NOT NULL,
    message_type TEXT NOT NULL, encrypted INTEGER NOT NULL, verified TEXT NOT NULL, first_state TEXT
    NOT NULL, sent_time INTEGER, size INTEGER NOT NULL, wire_format TEXT NOT NULL, wire_hash BLOB,
    plaintext_hash BLOB, details_hash BLOB NOT NULL, previous_hash BLOB NOT NULL, entry_hash BLOB
    NOT NULL, state TEXT NOT NULL, summary TEXT NOT NULL, PRIMARY KEY (seq) ) STRICT""",
    """CREATE INDEX ix_log_message ON log_entry (message_id)""",
    """CREATE INDEX ix_log_conversation ON log_entry (conversation_id, seq)""",
    """CREATE TABLE log_content ( seq INTEGER NOT NULL, wire BLOB, plaintext BLOB, details BLOB NOT
    NULL, salt BLOB NOT NULL, PRIMARY KEY (seq) ) STRICT""",
    """CREATE TABLE log_step ( row_id INTEGER NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (row_id) ) STRICT""",
    """CREATE INDEX ix_log_step ON log_step (seq)""",
    """CREATE TABLE log_pin ( seq INTEGER NOT NULL, time INTEGER NOT NULL, colour TEXT NOT NULL,
    comment TEXT NOT NULL, PRIMARY KEY (seq) ) STRICT""",
    """CREATE TABLE log_span ( hour INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT
    NULL, PRIMARY KEY (hour) ) STRICT""",
    """CREATE TABLE log_value ( field TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (field, value) )
    WITHOUT ROWID, STRICT""",
    """CREATE TABLE log_anchor ( row_id INTEGER NOT NULL, seq INTEGER NOT NULL, entry_hash BLOB NOT
    NULL, kind TEXT NOT NULL, holder TEXT COLLATE "NOCASE" NOT NULL, time INTEGER NOT NULL,
    signature BLOB, PRIMARY KEY (row_id) ) STRICT""",
    """CREATE INDEX ix_log_anchor_seq ON log_anchor (seq)""",
    """CREATE TABLE security_event ( seq INTEGER NOT NULL, time INTEGER NOT NULL, peer TEXT COLLATE
    "NOCASE" NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, seen_at INTEGER, PRIMARY KEY (seq)
    ) STRICT""",
    """CREATE VIRTUAL TABLE log_text USING fts5(peer, type, conversation, state, flags, words,
    content='', contentless_delete=1, tokenize="ascii tokenchars '._-:'")""",
)


def upgrade() -> None:
    """Makes the tables; there is no way back but the backup."""
    for statement in TABLES:
        op.get_bind().exec_driver_sql(" ".join(statement.split()))
