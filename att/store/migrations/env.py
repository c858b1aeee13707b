"""Run by Alembic: migrate on the connection, and in the transaction, that `att.store.migrate` hands over."""

from alembic import context

from att.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
