"""The tables, as SQLAlchemy Core metadata: what queries and migrations are checked against.

Times are text of fixed width (`att.store.times`), structured values are JSON text. Ids, times and types
compare byte by byte on both databases. Events have no foreign key: they outlive what they speak of. Whoever
changes a table writes a migration that only adds (`att/store/migrations`), so that the release before can
still read what this one wrote.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text, false
from sqlalchemy.types import TypeEngine

SCHEMA = "0001"
"""The newest migration; `att.store.migrate` is imported only when the database says something else."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key() -> TypeEngine[str]:
    """Text that is compared byte by byte, whatever the locale of the database."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def _serial() -> TypeEngine[int]:
    """64 bits everywhere; SQLite counts only an INTEGER by itself."""
    return BigInteger().with_variant(Integer(), "sqlite")


meta = Table(
    "meta",
    metadata,
    Column("key", _key(), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Small facts by name: JSON text."""

projects = Table(
    "projects",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False, unique=True),
    Column("origin", Text, nullable=False),  # template | path | clone
    Column("template", Text),
    Column("git_remote", Text),
    Column("nat_config_path", Text),
    Column("status", Text, nullable=False),
    Column("owns_files", Boolean, nullable=False, server_default=false()),  # ATT made the directory
    Column("making", Text),  # JSON while the files are being made; NULL for a whole project
    Column("created_at", _key(), nullable=False),
    Column("updated_at", _key(), nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", _key(), primary_key=True),
    Column("project_id", _key(), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("pid", Integer),
    Column("command", Text),  # JSON: a list of words
    Column("host", Text),
    Column("port", Integer),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("log_cursor", Text),  # where this run's log begins
    Column("started_at", _key(), nullable=False),
    Column("ready_at", _key()),
    Column("exited_at", _key()),
    Column("exit_code", Integer),
    Column("exit_signal", Integer),
    Column("details", Text),  # JSON: whatever else the runtime room keeps of a run
    Index(None, "project_id", "run_id"),
)

events = Table(
    "events",
    metadata,
    Column("id", _serial(), primary_key=True, autoincrement=True),  # never given twice, also after a deletion
    Column("event_type", _key(), nullable=False),
    Column("project_id", _key()),
    Column("payload", Text, nullable=False),  # JSON: an object
    Column("timestamp", _key(), nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_id", Text),
    Column("outcome", Text, nullable=False),
    Index(None, "project_id", "id"),
    Index(None, "event_type", "id"),
    Index(None, "timestamp", "id"),
    sqlite_autoincrement=True,
)
