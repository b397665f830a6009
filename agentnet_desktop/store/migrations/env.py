"""Alembic's entry point: runs the migrations on the connection that `store.migrate` hands over.

The connection's transaction is the caller's; it commits all migrations together or none.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
