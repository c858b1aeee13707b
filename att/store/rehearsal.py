"""Tries on a copy what opening the database would do to it, so that a release which cannot migrate never takes over.

The database itself is only read, while another process may go on writing it. Of one that has our schema already no copy is made.
A database server is not copied: there migrations run in one transaction, which a failure undoes.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path

from att.store.errors import DatabaseUnreadable
from att.store.schema import VERSION_TABLE
from att.store.tables import SCHEMA


def rehearse(where: str, folder: Path) -> bool:
    """Whether a migration was tried (in a temporary file below `folder`). Raises what opening it would raise. Blocks."""
    if where.startswith(("postgresql://", "postgres://")) or not Path(where).exists():
        return False
    with contextlib.closing(_connect(where)) as database:
        if _schema(database, where) == SCHEMA:
            return False
        with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=folder) as place:
            copy = Path(place) / "copy.db"
            with contextlib.closing(sqlite3.connect(copy)) as target:
                database.backup(target)
            _bring_up_to_date(copy)
    return True


def _connect(where: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(where).absolute().as_uri()}?mode=ro", uri=True, timeout=10)


def _schema(database: sqlite3.Connection, where: str) -> str | None:
    try:
        row = database.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608  (a constant)
    except sqlite3.OperationalError:
        return None
    except sqlite3.DatabaseError as fault:
        raise DatabaseUnreadable(f"{where}: {fault}.") from None
    return None if row is None else str(row[0])


def _bring_up_to_date(copy: Path) -> None:
    from att.store.sqlite import prepare

    prepare(copy, 10.0)
