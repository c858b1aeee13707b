"""Is this database one that we can use, and what must happen first?

An empty one gets all tables at once and is stamped with the newest migration (a test holds that both ways
make the same tables). An older one is migrated; only then is Alembic imported. A newer one is used as it
is, since migrations only add, unless it says in `compatible_from` that a release must know a later schema
than ours. Everything happens in the caller's transaction: a failure leaves the database as it was and can
be tried again.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from att.store.errors import DatabaseTooNew, DatabaseUnreadable, MigrationFailed
from att.store.facts import fact, set_fact
from att.store.tables import SCHEMA, metadata

VERSION_TABLE = "alembic_version"
COMPATIBLE_FROM = "compatible_from"


def bring_up_to_date(connection: Connection, where: str) -> None:
    """Make the tables of this release, or see that they are there."""
    found = schema_of(connection)
    if found == SCHEMA:
        return
    if found is None:
        _make(connection, where)
    elif found > SCHEMA:
        _accept_newer(connection, where, found)
    else:
        _migrate(connection, where, found)


def schema_of(connection: Connection) -> str | None:
    """The newest migration that the database has seen."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608  (a constant)


def _make(connection: Connection, where: str) -> None:
    strangers = inspect(connection).get_table_names()
    if strangers:
        raise DatabaseUnreadable(
            f"{where} holds tables that ATT did not make ({', '.join(sorted(strangers)[:5])})."
        )
    metadata.create_all(connection)
    connection.execute(
        text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(
        text(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES (:now)"),  # noqa: S608
        {"now": SCHEMA},
    )
    set_fact(connection, COMPATIBLE_FROM, "0001")


def _accept_newer(connection: Connection, where: str, found: str) -> None:
    needed = fact(connection, COMPATIBLE_FROM) if inspect(connection).has_table("meta") else found
    if not isinstance(needed, str) or needed > SCHEMA:
        raise DatabaseTooNew(
            f"{where} has schema {found} and needs a release that knows {needed}; this one knows {SCHEMA}."
        )


def _migrate(connection: Connection, where: str, found: str) -> None:
    from att.store.migrate import upgrade  # Alembic takes most of a second to import

    try:
        upgrade(connection)
    except Exception as error:
        raise MigrationFailed(
            f"{where} could not be brought from schema {found} to {SCHEMA}: {error}"
        ) from error
