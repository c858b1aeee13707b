"""What can go wrong in the store, and how a driver's exception is told apart.

Each of these leaves the database as it was: the write that met it did not happen. `problem_of` only looks at the exception.
"""

from __future__ import annotations

from att.problems import Problem, Unavailable


class DatabaseLocked(Unavailable):
    code, title = "database_locked", "The database is locked by another process"
    hint = "Nothing was changed. End the other program that uses the file `att.db`, then try again."


class DatabaseUnreadable(Problem):
    code, status, title = "database_unreadable", 500, "The database cannot be used"
    hint = (
        "Check the owner and the permissions of ATT_HOME. A damaged file is never overwritten: "
        "move `att.db` (with its -wal and -shm) aside and start again, or put a copy back."
    )


class DatabaseTooNew(Problem):
    code, status, title = "database_too_new", 500, "The database was made by a newer release"
    hint = "Start a release of ATT that is at least as new as the one that wrote it. Nothing was changed."


class DatabaseUnreachable(Unavailable):
    code, title = "database_unreachable", "The database server cannot be reached"
    hint = "Check that PostgreSQL runs and that the address in the settings is right."


class MigrationFailed(Problem):
    code, status, title = "migration_failed", 500, "The database could not be brought up to date"
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
