"""Runs the steps. Imported only when a database is behind, because Alembic takes long to load."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from towplane.parts.storage import Database

__all__ = ["configure", "upgrade"]


def configure() -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def upgrade(database: Database, to: str = "head") -> None:
    """Bring `database` to a revision, in one transaction."""
    config = configure()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
