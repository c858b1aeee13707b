"""The workbench: tokens, long work and its steps, artefacts and deploys, pull requests and checks; events by project and type."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _key() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("name", _key(), nullable=False),
        sa.Column("digest", _key(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", _key(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", _key()),
        sa.PrimaryKeyConstraint("name", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_table(
        "jobs",
        sa.Column("run_id", _key(), nullable=False),
        sa.Column("project_id", _key(), nullable=False),
        sa.Column("kind", _key(), nullable=False),
        sa.Column("state", _key(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("result", sa.Text()),
        sa.Column("problem", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("created_at", _key(), nullable=False),
        sa.Column("started_at", _key()),
        sa.Column("ended_at", _key()),
        sa.Column("details", sa.Text()),
        sa.PrimaryKeyConstraint("run_id", name="pk_jobs"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_jobs_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "steps",
        sa.Column("run_id", _key(), nullable=False),
        sa.Column("name", _key(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("output", sa.Text()),
        sa.Column("problem", sa.Text()),
        sa.Column("started_at", _key(), nullable=False),
        sa.Column("ended_at", _key()),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_steps"),
        sa.ForeignKeyConstraint(["run_id"], ["jobs.run_id"], name="fk_steps_run_id_jobs", ondelete="CASCADE"),
    )
    op.create_table(
        "artefacts",
        sa.Column("id", _key(), nullable=False),
        sa.Column("project_id", _key(), nullable=False),
        sa.Column("state", _key(), nullable=False),
        sa.Column("digest", sa.Text()),
        sa.Column("created_at", _key(), nullable=False),
        sa.Column("details", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_artefacts"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_artefacts_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "deploys",
        sa.Column("id", _key(), nullable=False),
        sa.Column("project_id", _key(), nullable=False),
        sa.Column("artefact_id", _key(), nullable=False),
        sa.Column("previous_artefact_id", _key()),
        sa.Column("state", _key(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("started_at", _key(), nullable=False),
        sa.Column("ended_at", _key()),
        sa.Column("details", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_deploys"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_deploys_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "pulls",
        sa.Column("project_id", _key(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", _key(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", _key(), nullable=False),
        sa.Column("updated_at", _key(), nullable=False),
        sa.Column("details", sa.Text()),
        sa.PrimaryKeyConstraint("project_id", "number", name="pk_pulls"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_pulls_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "checks",
        sa.Column("id", _key(), nullable=False),
        sa.Column("project_id", _key(), nullable=False),
        sa.Column("head_sha", _key(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("conclusion", sa.Text()),
        sa.Column("created_at", _key(), nullable=False),
        sa.Column("started_at", _key()),
        sa.Column("ended_at", _key()),
        sa.Column("details", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_checks"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_checks_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_events_project_type", "events", ["project_id", "event_type", "id"])
    op.create_index("ix_jobs_project_id_run_id", "jobs", ["project_id", "run_id"])
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_index("ix_artefacts_project_id_id", "artefacts", ["project_id", "id"])
    op.create_index("ix_deploys_project_id_id", "deploys", ["project_id", "id"])
    op.create_index("ix_checks_project_id_head_sha", "checks", ["project_id", "head_sha"])
