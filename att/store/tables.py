"""The tables, as SQLAlchemy Core metadata: what queries and migrations are checked against.

Times are text of fixed width (`att.store.times`), structured values are JSON text. Ids, times and types
compare byte by byte on both databases. Events have no foreign key: they outlive what they speak of. Whoever
changes a table writes a migration that only adds (`att/store/migrations`), so that the release before can
still read what this one wrote.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text, false
from sqlalchemy.types import TypeEngine

SCHEMA = "0002"
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
    Index("ix_events_project_type", "project_id", "event_type", "id"),
    Index(None, "event_type", "id"),
    Index(None, "timestamp", "id"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("name", _key(), primary_key=True),
    Column(
        "digest", _key(), nullable=False, unique=True
    ),  # SHA-256 of the token; the token itself is kept nowhere
    Column("scopes", Text, nullable=False),  # JSON: a list
    Column("created_at", _key(), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", _key()),
)

jobs = Table(
    "jobs",
    metadata,
    Column("run_id", _key(), primary_key=True),  # sorts by time
    Column("project_id", _key(), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("kind", _key(), nullable=False),  # test.run | deploy.build | workflow.change_test | …
    Column("state", _key(), nullable=False),
    Column("input", Text, nullable=False),  # JSON: an object
    Column("result", Text),  # JSON: an object
    Column("problem", Text),  # JSON: problem details
    Column("actor", Text, nullable=False),
    Column("request_id", Text),
    Column("created_at", _key(), nullable=False),
    Column("started_at", _key()),
    Column("ended_at", _key()),
    Column("details", Text),  # JSON: whatever else is kept of it
    Index(None, "project_id", "run_id"),
    Index("ix_jobs_state", "state"),
)
"""Long work that outlives its request: tests, builds, deploys, workflows."""

steps = Table(
    "steps",
    metadata,
    Column("run_id", _key(), ForeignKey("jobs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("name", _key(), primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("output", Text),  # JSON
    Column("problem", Text),  # JSON: problem details
    Column("started_at", _key(), nullable=False),
    Column("ended_at", _key()),
)
"""Checkpoints of long work, by the name of the step."""

artefacts = Table(
    "artefacts",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("project_id", _key(), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("state", _key(), nullable=False),
    Column("digest", Text),
    Column("created_at", _key(), nullable=False),
    Column("details", Text),  # JSON
    Index(None, "project_id", "id"),
)

deploys = Table(
    "deploys",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("project_id", _key(), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("artefact_id", _key(), nullable=False),
    Column("previous_artefact_id", _key()),
    Column("state", _key(), nullable=False),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("started_at", _key(), nullable=False),
    Column("ended_at", _key()),
    Column("details", Text),  # JSON
    Index(None, "project_id", "id"),
)

pulls = Table(
    "pulls",
    metadata,
    Column("project_id", _key(), ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", _key(), nullable=False),  # open | merged | closed
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("head", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", _key(), nullable=False),
    Column("updated_at", _key(), nullable=False),
    Column("details", Text),  # JSON: merge commit, reviews …
)
"""Pull requests of the local forge."""

checks = Table(
    "checks",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("project_id", _key(), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("head_sha", _key(), nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),  # queued | in_progress | completed
    Column("conclusion", Text),
    Column("created_at", _key(), nullable=False),
    Column("started_at", _key()),
    Column("ended_at", _key()),
    Column("details", Text),  # JSON
    Index(None, "project_id", "head_sha"),
)
"""Runs of a project's own CI command by the local forge."""
