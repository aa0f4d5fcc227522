"""The steps from one schema of the database to the next, carried out by Alembic."""
