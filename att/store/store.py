"""The store as its users see it: functions that run inside a transaction.

`await store.write(work)` runs the plain function `work(connection)` and returns its answer once it is on
disk. Many writes share one commit, but each runs in a savepoint of its own: one that raises is undone
alone, its exception goes to its caller, and the others are not touched. `work` must have no effect but
through the connection and must not commit. `await store.read(work)` runs it on another connection, in one
snapshot; it cannot write. The same functions serve SQLite and PostgreSQL.

A cancelled caller does not wait; its write then either happened wholly or not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert

T = TypeVar("T")


class Store(ABC):
    """Where everything is kept. Made by `open_store`; end it with `aclose`."""

    def __init__(self) -> None:
        self._watchers: dict[object, Callable[[], None]] = {}

    @abstractmethod
    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; its answer, when it is durable."""

    @abstractmethod
    async def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """The quick way for one row of a table with a counted id: the new id, when it is durable."""

    @abstractmethod
    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish the writes that were accepted, refuse new ones, close every connection."""

    def watch(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have `call` called, on the event loop, after each commit. The answer ends that."""
        key = object()
        self._watchers[key] = call

        def leave() -> None:
            self._watchers.pop(key, None)

        return leave

    def _committed(self) -> None:
        for call in tuple(self._watchers.values()):
            call()


async def open_store(where: str, *, busy_timeout: float = 10.0) -> Store:
    """Open (and make or migrate) the database at `where`: a file's path, or a `postgresql://` URL."""
    if where.startswith(("postgresql://", "postgres://")):
        from att.store.postgres import PostgresStore

        return await PostgresStore.open(where, busy_timeout=busy_timeout)
    from att.store.sqlite import SqliteStore

    return await SqliteStore.open(where, busy_timeout=busy_timeout)
