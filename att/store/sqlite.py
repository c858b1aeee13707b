"""SQLite: one thread writes for everybody and commits for many at once; a few more read.

One connection that writes is both the fastest and the safest: nobody waits for a lock inside this process,
the order of commits is the order of ids, and with `synchronous=FULL` the cost of reaching the disk is
shared by all callers who wait at that moment. Every transaction begins with BEGIN IMMEDIATE: a transaction
that reads first and then wants to write would fail at once, whatever the busy timeout. When another process
holds the lock for longer than that, or the disk is full, everybody in the batch gets a problem, nothing of
the batch was done, and the writer goes on with the next.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from att.problems import Problem
from att.store.errors import DatabaseUnreadable, StoreClosed, problem_of
from att.store.jobs import Answer, Job, Row, Waiting, Work
from att.store.schema import bring_up_to_date
from att.store.store import Store

T = TypeVar("T")

BATCH = 256
READERS = 2
_STOP = None


class SqliteStore(Store):
    """A database file. Made by `open`."""

    def __init__(self, path: Path, busy_timeout: float, waiting_limit: int) -> None:
        super().__init__()
        self._path = path
        self._waiting = Waiting(asyncio.get_running_loop(), waiting_limit, self._committed)
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._writer = _Writer(path, busy_timeout, self._queue, self._waiting.deliver)
        self._thread = threading.Thread(target=self._writer.run, name="store-write", daemon=True)
        self._thread.start()
        self._engine = _engine(path, busy_timeout, begin="BEGIN", reads_only=True)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")

    @classmethod
    async def open(
        cls, where: str, *, busy_timeout: float = 10.0, waiting_limit: int = 10_000
    ) -> SqliteStore:
        path = Path(where)
        await asyncio.to_thread(prepare, path, busy_timeout)
        return cls(path, busy_timeout, waiting_limit)

    async def write(self, work: Callable[[Connection], T]) -> T:
        answer: T = await self._submit(work)
        return answer

    async def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        new: int = await self._submit(Row(statement, values))
        return new

    def _submit(self, task: Work | Row) -> asyncio.Future[Any]:
        job = self._waiting.job(task)
        self._queue.put(job)
        return job.future

    async def read(self, work: Callable[[Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)
        except RuntimeError as error:
            if "shutdown" in str(error):
                raise StoreClosed("The store is closed, since the daemon is stopping.") from error
            raise

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except (DBAPIError, sqlite3.Error) as error:
            problem = problem_of(error, str(self._path))
            if problem is None:
                raise
            raise problem from error

    async def aclose(self) -> None:
        if self._waiting.close():
            self._queue.put(_STOP)
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._thread.join()
        self._readers.shutdown()
        self._engine.dispose()


class _Writer:
    """What the writing thread does. Its connection is opened, used and closed by that thread alone."""

    def __init__(
        self,
        path: Path,
        busy_timeout: float,
        jobs: queue.SimpleQueue[Job | None],
        deliver: Callable[[list[Answer]], None],
    ) -> None:
        self._path = path
        self._engine = _engine(path, busy_timeout, begin=None)
        self._jobs = jobs
        self._deliver = deliver
        self._connection: Connection | None = None
        self._compiled: dict[Insert, tuple[str, list[str]]] = {}

    def run(self) -> None:
        stop = False
        while not stop:
            batch, stop = self._collect()
            if batch:
                self._deliver(self._answers(batch))
        self._hang_up()

    def _collect(self) -> tuple[list[Job], bool]:
        """All jobs that wait, at least one; and whether it is time to stop after them."""
        batch: list[Job] = []
        job = self._jobs.get()
        while job is not _STOP:
            batch.append(job)
            if len(batch) == BATCH:
                return batch, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _answers(self, batch: list[Job]) -> list[Answer]:
        try:
            return self._commit(batch)
        except Exception as error:  # whatever it was: every caller learns of it, and the thread lives on
            return [self._refusal(job, error) for job in batch]

    def _commit(self, batch: list[Job]) -> list[Answer]:
        """All jobs of the batch in one transaction; raises when none of them was done."""
        if self._connection is None:
            self._connection = self._engine.connect()
        raw = self._connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101  (for the type checker)
        cursor = raw.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            answers = [self._one(self._connection, raw, cursor, job) for job in batch]
            cursor.execute("COMMIT")
        except BaseException as error:
            if raw.in_transaction:
                raw.rollback()
            if isinstance(problem_of(error, ""), DatabaseUnreadable):
                self._hang_up()
            raise
        finally:
            cursor.close()
            if self._connection is not None and self._connection.in_transaction():
                self._connection.rollback()  # only its own notion of one: the real one has ended above
        return answers

    def _one(
        self, connection: Connection, raw: sqlite3.Connection, cursor: sqlite3.Cursor, job: Job
    ) -> Answer:
        """One job, undone alone if it raises. When SQLite gave up the whole transaction, so does this."""
        try:
            if isinstance(job.task, Row):  # one statement is atomic by itself
                return Answer(job, self._insert(connection, cursor, job.task))
            cursor.execute("SAVEPOINT job")
            value = job.task(connection)
            cursor.execute("RELEASE job")
            return Answer(job, value)
        except Exception as error:
            if not raw.in_transaction:
                raise
            if not isinstance(job.task, Row):
                cursor.execute("ROLLBACK TO job")
                cursor.execute("RELEASE job")
            return self._refusal(job, error)

    def _insert(self, connection: Connection, cursor: sqlite3.Cursor, row: Row) -> int | None:
        known = self._compiled.get(row.statement)
        if known is None:
            compiled = row.statement.compile(dialect=connection.dialect, column_keys=list(row.values))
            known = self._compiled[row.statement] = (
                str(compiled),
                list(getattr(compiled, "positiontup", None) or ()),
            )
        text, names = known
        cursor.execute(text, [row.values[name] for name in names])
        return cursor.lastrowid

    def _refusal(self, job: Job, error: Exception) -> Answer:
        problem = problem_of(error, str(self._path))
        if problem is None:
            return Answer(job, error=error)
        problem.__cause__ = error
        return Answer(job, error=problem)

    def _hang_up(self) -> None:
        """Close the connection; the next batch, if there is one, opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._engine.dispose()


def _engine(path: Path, busy_timeout: float, *, begin: str | None, reads_only: bool = False) -> Engine:
    """An engine whose transactions begin with `begin` (None: whoever uses it begins and ends them)."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in (
                "journal_mode=wal",
                "synchronous=full",
                "foreign_keys=on",
                "journal_size_limit=67108864",
            ):
                connection.execute(f"PRAGMA {pragma}")
            if reads_only:
                connection.execute("PRAGMA query_only=on")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = (
        create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=READERS, max_overflow=0)
        if reads_only
        else create_engine("sqlite://", creator=connect, poolclass=NullPool)
    )
    if begin is not None:

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

    return engine


def prepare(path: Path, busy_timeout: float) -> None:
    """Make the file if need be, readable by its owner alone, and bring its tables up to date."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise DatabaseUnreadable(f"{path} cannot be opened: {error.strerror}.") from error
    engine = _engine(path, busy_timeout, begin="BEGIN IMMEDIATE")
    try:
        with engine.begin() as connection:
            bring_up_to_date(connection, str(path))
    except Problem:
        raise
    except (DBAPIError, sqlite3.Error) as error:
        problem = problem_of(error, str(path))
        if problem is None:
            raise
        raise problem from error
    finally:
        engine.dispose()
