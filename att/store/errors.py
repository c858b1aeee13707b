"""What can go wrong in the store, and how a driver's exception is told apart.

Each of these leaves the database as it was: the write that met it did not happen. `problem_of` only looks
at the exception.
"""

from __future__ import annotations

import errno
import sqlite3

from att.problems import Problem, Unavailable


class DatabaseLocked(Unavailable):
    code, title = "database_locked", "The database is locked by another process"
    hint = "Nothing was changed. End the other program that uses the file `att.db`, then try again."


class DatabaseUnreadable(Problem):
    code, status, title = "database_unreadable", 503, "The database cannot be used"
    hint = (
        "Check the owner and the permissions of ATT_HOME. A damaged file is never overwritten: "
        "move `att.db` (with its -wal and -shm) aside and start again, or put a copy back."
    )


class DatabaseTooNew(Problem):
    code, status, title = "database_too_new", 503, "The database was made by a newer release"
    hint = "Start a release of ATT that is at least as new as the one that wrote it. Nothing was changed."


class DatabaseUnreachable(Unavailable):
    code, title = "database_unreachable", "The database server cannot be reached"
    hint = "Check that PostgreSQL runs and that the address in the settings is right."


class MigrationFailed(Problem):
    code, status, title = "migration_failed", 503, "The database could not be brought up to date"
    hint = "It was left exactly as it was. Start the release before, and report this."


class DiskFull(Problem):
    code, status, title = "disk_full", 507, "The disk is full"
    hint = "Nothing was changed. Free some space where ATT_HOME is, then try again."


class StoreBusy(Unavailable):
    code, title = "store_busy", "Too many writes are waiting"
    hint = "Nothing was changed. Try again shortly."


class StoreClosed(Unavailable):
    code, title = "store_closed", "The store is closed"
    hint = "The daemon is stopping; ask again when it is back."


def problem_of(error: BaseException, where: str) -> Problem | None:
    """The typed problem behind a driver's exception; None when it is a fault of the program."""
    lost = getattr(error, "connection_invalidated", False)
    error = getattr(error, "orig", None) or error  # SQLAlchemy keeps the driver's own there
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, where)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _of_postgres(state, error, where)
    if isinstance(error, TimeoutError):
        return DatabaseUnreachable(f"{where} did not answer in time.")
    if isinstance(error, OSError):
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else DatabaseUnreachable
        return kind(f"{where}: {error.strerror or error}.")
    return DatabaseUnreachable(f"The connection to {where} was lost.") if lost else None


_SQLITE: dict[int, tuple[type[Problem], str]] = {
    sqlite3.SQLITE_BUSY: (DatabaseLocked, "{where} stayed locked by another process."),
    sqlite3.SQLITE_LOCKED: (DatabaseLocked, "{where} stayed locked."),
    sqlite3.SQLITE_FULL: (DiskFull, "There is no space left to write to {where}."),
    sqlite3.SQLITE_NOTADB: (DatabaseUnreadable, "{where} is not an SQLite database."),
    sqlite3.SQLITE_CORRUPT: (DatabaseUnreadable, "{where} is damaged."),
    sqlite3.SQLITE_CANTOPEN: (DatabaseUnreadable, "{where} cannot be opened."),
    sqlite3.SQLITE_READONLY: (DatabaseUnreadable, "{where} cannot be written to."),
    sqlite3.SQLITE_PERM: (DatabaseUnreadable, "{where} may not be used by this user."),
    sqlite3.SQLITE_IOERR: (DatabaseUnreadable, "Reading or writing {where} failed."),
}

_POSTGRES: dict[str, type[Problem]] = {
    "08": DatabaseUnreachable,  # connection exceptions
    "28": DatabaseUnreachable,  # authorization
    "3D": DatabaseUnreachable,  # no such database
    "40": DatabaseLocked,  # undone for the sake of another: a deadlock, a serialization failure
    "53": DiskFull,  # insufficient resources (53100); 53300 stands below
    "55": DatabaseLocked,  # lock not available
    "57": DatabaseUnreachable,  # shut down, starting up
    "58": DatabaseUnreadable,  # input and output errors of the server
    "53300": DatabaseUnreachable,  # too many connections
    "57014": DatabaseLocked,  # cancelled by a timeout
    "25006": DatabaseUnreadable,  # a read-only server
}


def _of_sqlite(error: sqlite3.Error, where: str) -> Problem | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    kind, sentence = _SQLITE.get(code & 0xFF, (None, ""))
    return kind(sentence.format(where=where)) if kind else None


def _of_postgres(state: str, error: BaseException, where: str) -> Problem | None:
    kind = _POSTGRES.get(state) or _POSTGRES.get(state[:2])
    return kind(f"{where}: {str(error).splitlines()[0]}") if kind else None
