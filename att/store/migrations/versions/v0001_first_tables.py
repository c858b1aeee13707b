"""The first tables: facts, projects, runs and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _key() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _facts()
    _projects()
    _runs()
    _events()


def _facts() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("key", _key(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )
    op.bulk_insert(meta, [{"key": "compatible_from", "value": '"0001"'}])


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", _key(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("template", sa.Text()),
        sa.Column("git_remote", sa.Text()),
        sa.Column("nat_config_path", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owns_files", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("making", sa.Text()),
        sa.Column("created_at", _key(), nullable=False),
        sa.Column("updated_at", _key(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("path", name="uq_projects_path"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", _key(), nullable=False),
        sa.Column("project_id", _key(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("pid", sa.Integer()),
        sa.Column("command", sa.Text()),
        sa.Column("host", sa.Text()),
        sa.Column("port", sa.Integer()),
        sa.Column("restarts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("log_cursor", sa.Text()),
        sa.Column("started_at", _key(), nullable=False),
        sa.Column("ready_at", _key()),
        sa.Column("exited_at", _key()),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("exit_signal", sa.Integer()),
        sa.Column("details", sa.Text()),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_runs_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_runs_project_id_run_id", "runs", ["project_id", "run_id"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("event_type", _key(), nullable=False),
        sa.Column("project_id", _key()),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("timestamp", _key(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_project_id_id", "events", ["project_id", "id"])
    op.create_index("ix_events_event_type_id", "events", ["event_type", "id"])
    op.create_index("ix_events_timestamp_id", "events", ["timestamp", "id"])
