"""PostgreSQL: the same functions, the same promises, through asyncpg.

Writes go through one task on one connection, many in a commit and each in a savepoint, for the same reason
as with SQLite: ids must become visible in the order in which they were given, or a follower who reads
"everything after 17" would miss a 16 that commits later. An advisory lock holds that also when two daemons
use one database.

A server that answers no more, without closing anything, would be waited for without an end: when a transaction has had its
time its connection is cut, and whoever waits is told that the server cannot be reached. A statement that takes too long is
undone by the server itself before that, which would not notice otherwise that nobody waits any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from att.store.errors import DatabaseUnreachable, StoreClosed, problem_of
from att.store.jobs import Answer, Job, Row, Waiting, Work
from att.store.schema import bring_up_to_date
from att.store.store import Store

T = TypeVar("T")

BATCH = 64
READERS = 4
STATEMENT, PATIENCE = 2, 3  # times as long as another's lock is waited for
WRITE_LOCK = 175_577_914  # any number, the same in every daemon
_STOP = None


class PostgresStore(Store):
    """A database on a server. Made by `open`."""

    def __init__(self, engine: AsyncEngine, where: str, waiting_limit: int, patience: float) -> None:
        super().__init__()
        self._engine = engine
        self._patience = patience
        self._where = where
        self._waiting = Waiting(asyncio.get_running_loop(), waiting_limit, self._committed)
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(), name="store-write")

    @classmethod
    async def open(
        cls, where: str, *, busy_timeout: float = 10.0, waiting_limit: int = 10_000
    ) -> PostgresStore:
        url = make_url(where).set(drivername="postgresql+asyncpg")
        shown = url.set(password=None).render_as_string()
        patience = busy_timeout * PATIENCE
        limited = _arguments(busy_timeout, statement_timeout=f"{int(busy_timeout * STATEMENT * 1000)}")
        try:
            first = create_async_engine(url, poolclass=NullPool, connect_args=_arguments(busy_timeout))
            engine = create_async_engine(
                url,
                pool_size=READERS + 1,
                max_overflow=0,
                pool_pre_ping=True,
                connect_args={**limited, "command_timeout": patience},
            )
        except ImportError as error:
            raise DatabaseUnreachable(
                "PostgreSQL needs the package asyncpg.", hint="Install `agent-toolkit-toolkit[postgres]`."
            ) from error
        try:
            async with first.begin() as connection:  # a migration may take its time
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"))
                await connection.run_sync(bring_up_to_date, shown)
        except (DBAPIError, OSError, TimeoutError) as error:
            _raise_known(error, shown)
            raise
        return cls(engine, shown, waiting_limit, patience)

    async def write(self, work: Callable[[Connection], T]) -> T:
        answer: T = await self._submit(work)
        return answer

    async def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        new: int = await self._submit(Row(statement, values))
        return new

    def _submit(self, task: Work | Row) -> asyncio.Future[Any]:
        job = self._waiting.job(task)
        self._queue.put_nowait(job)
        return job.future

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._task.done():
            raise StoreClosed("The store is closed, since the daemon is stopping.")
        try:
            async with self._engine.connect() as connection, self._in_time(connection):
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
                return await connection.run_sync(work)
        except (DBAPIError, OSError, TimeoutError) as error:
            _raise_known(error, self._where)
            raise

    async def aclose(self) -> None:
        if self._waiting.close():
            self._queue.put_nowait(_STOP)
        await asyncio.wait([self._task])
        await self._engine.dispose()

    async def _run(self) -> None:
        stop = False
        while not stop:
            batch, stop = await self._collect()
            if batch:
                self._waiting.deliver(await self._answers(batch))

    async def _collect(self) -> tuple[list[Job], bool]:
        batch: list[Job] = []
        job = await self._queue.get()
        while job is not _STOP:
            batch.append(job)
            if len(batch) == BATCH or self._queue.empty():
                return batch, False
            job = self._queue.get_nowait()
        return batch, True

    async def _answers(self, batch: list[Job]) -> list[Answer]:
        try:
            async with self._engine.connect() as connection, self._in_time(connection), connection.begin():
                return await connection.run_sync(self._commit, batch)
        except Exception as error:  # whatever it was: every caller learns of it, and the task lives on
            return [self._refusal(job, error) for job in batch]

    @asynccontextmanager
    async def _in_time(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """The connection is cut when this takes too long, and whatever waits for it fails."""
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101  (it is connected)
        timer = asyncio.get_running_loop().call_later(self._patience, driver.terminate)
        try:
            yield
        finally:
            timer.cancel()

    def _commit(self, connection: Connection, batch: list[Job]) -> list[Answer]:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"))
        return [self._one(connection, job) for job in batch]

    def _one(self, connection: Connection, job: Job) -> Answer:
        try:
            with connection.begin_nested():
                if isinstance(job.task, Row):
                    table = job.task.statement.table
                    statement = job.task.statement.returning(*table.primary_key)
                    return Answer(job, connection.execute(statement, job.task.values).scalar_one())
                return Answer(job, job.task(connection))
        except TimeoutError:
            raise  # the server does not answer, and the next of the batch would wait as long
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            return self._refusal(job, error)
        except Exception as error:
            return self._refusal(job, error)

    def _refusal(self, job: Job, error: Exception) -> Answer:
        problem = problem_of(error, self._where)
        if problem is None:
            return Answer(job, error=error)
        problem.__cause__ = error
        return Answer(job, error=problem)


def _arguments(busy_timeout: float, **more: str) -> dict[str, Any]:
    lock = f"{int(busy_timeout * 1000)}"
    settings = {"lock_timeout": lock, "application_name": "att", "timezone": "UTC", **more}
    return {"server_settings": settings, "timeout": busy_timeout}


def _raise_known(error: Exception, where: str) -> None:
    """Raise the problem behind `error`; return when it is none that we know."""
    problem = problem_of(error, where)
    if problem is not None:
        raise problem from error
