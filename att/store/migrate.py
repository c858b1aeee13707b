"""Alembic, run inside a transaction that the caller has begun and will end.

SQLite needs that transaction to be a real one (`BEGIN IMMEDIATE` on a connection without the driver's own
begin): then its DDL is undone with it, and a migration that fails half way can be tried again. Imported
only when there is something to migrate.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(connection: Connection, *, to: str = "head", scripts: Path = SCRIPTS) -> None:
    """Run every migration up to `to` that the database has not seen."""
    config = _config(scripts)
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def newest(scripts: Path = SCRIPTS) -> str | None:
    """The newest migration there is."""
    return ScriptDirectory.from_config(_config(scripts)).get_current_head()


def _config(scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
