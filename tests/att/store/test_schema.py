"""Making, migrating and accepting databases."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, text

from att.store.errors import DatabaseTooNew, MigrationFailed
from att.store.facts import set_fact
from att.store.migrate import SCRIPTS, newest, upgrade
from att.store.schema import bring_up_to_date, schema_of
from att.store.store import open_store
from att.store.tables import SCHEMA, metadata
from tests.att.rooms import on_a_loop

HALF = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0099", "{after}", None, None

def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer))
    op.add_column("events", sa.Column("more", sa.Text))
    op.execute("UPDATE meta SET value = '9'")
    {end}
"""


def engine(path: Path) -> Engine:
    made = create_engine(f"sqlite:///{path}", connect_args={"isolation_level": None})

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


def shape(path: Path) -> list[tuple[str, ...]]:
    """Everything that SQLite knows of the tables, without the white space of the text."""
    rows = sqlite3.connect(path).execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2")
    return [tuple("".join((cell or "").split()) for cell in row) for row in rows]


def test_migrations_make_the_same_tables_as_the_metadata(tmp_path: Path) -> None:
    with engine(tmp_path / "made.db").begin() as connection:
        bring_up_to_date(connection, "made")
    with engine(tmp_path / "migrated.db").begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert shape(tmp_path / "made.db") == shape(tmp_path / "migrated.db")


def test_the_schema_is_the_newest_migration() -> None:
    assert newest() == SCHEMA


def test_a_failing_migration_is_undone_wholly_and_can_be_tried_again(tmp_path: Path) -> None:
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    for file in (*SCRIPTS.glob("*.*"), *SCRIPTS.glob("versions/v*.py")):
        (scripts / file.relative_to(SCRIPTS)).write_text(file.read_text())
    database = tmp_path / "att.db"
    with engine(database).begin() as connection:
        upgrade(connection, scripts=scripts)
    before = shape(database)
    second = scripts / "versions" / "v0099_half.py"
    second.write_text(HALF.format(after=SCHEMA, end="raise ZeroDivisionError('half way')"))
    with pytest.raises(ZeroDivisionError), engine(database).begin() as connection:
        upgrade(connection, scripts=scripts)
    assert shape(database) == before
    with engine(database).begin() as connection:
        assert schema_of(connection) == SCHEMA
        assert connection.execute(text("SELECT value FROM meta")).scalar() == '"0001"'
    second.write_text(HALF.format(after=SCHEMA, end=""))
    with engine(database).begin() as connection:
        upgrade(connection, scripts=scripts)
        assert schema_of(connection) == "0099"
    assert {row[1] for row in shape(database)} > {row[1] for row in before}


def test_a_migration_that_fails_at_the_start_is_a_problem(tmp_path: Path) -> None:
    database = tmp_path / "att.db"
    with engine(database).begin() as connection:
        bring_up_to_date(connection, "it")
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))  # unknown to Alembic
    with pytest.raises(MigrationFailed, match="from schema 0000"), engine(database).begin() as connection:
        bring_up_to_date(connection, "it")
    with engine(database).begin() as connection:
        assert schema_of(connection) == "0000"


def as_of_a_later_release(path: Path, compatible_from: str) -> None:
    with engine(path).begin() as connection:
        bring_up_to_date(connection, "it")
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
        connection.execute(text("ALTER TABLE events ADD COLUMN later TEXT"))
        set_fact(connection, "compatible_from", compatible_from)


@on_a_loop
async def test_a_newer_database_that_only_added_is_used_as_it_is(tmp_path: Path) -> None:
    as_of_a_later_release(tmp_path / "att.db", "0001")
    before = shape(tmp_path / "att.db")
    await (await open_store(str(tmp_path / "att.db"))).aclose()
    assert shape(tmp_path / "att.db") == before


@on_a_loop
async def test_a_newer_database_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    as_of_a_later_release(tmp_path / "att.db", "0050")
    before = shape(tmp_path / "att.db")
    with pytest.raises(DatabaseTooNew, match="0050"):
        await open_store(str(tmp_path / "att.db"))
    assert shape(tmp_path / "att.db") == before


def test_opening_imports_no_alembic_and_no_driver_that_is_not_used(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from att.store.store import open_store
async def main():
    for _ in range(2):
        await (await open_store({str(tmp_path / "att.db")!r})).aclose()
asyncio.run(main())
print(*(name for name in ("alembic", "asyncpg", "aiosqlite", "sqlalchemy.orm", "sqlalchemy.ext.asyncio") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
