"""Alembic's entry: runs the steps on the connection that `run.upgrade` opened."""

from alembic import context

from towplane.tenants.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
