"""What waits for the writer: a job is a function or one row, and the future of the caller who waits for it.

`Waiting` bounds how many wait and hands the answers of a whole batch back in one go. It lives on one event
loop; of its methods only `deliver` may be called from another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Insert

from att.store.errors import StoreBusy, StoreClosed

Work = Callable[[Connection], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One row for a table with a counted id."""

    statement: Insert
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    task: Work | Row
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a job ended: with a value, or with an exception."""

    job: Job
    value: Any = None
    error: BaseException | None = None


class Waiting:
    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int, committed: Callable[[], None]) -> None:
        self._loop = loop
        self._limit = limit
        self._committed = committed
        self._count = 0
        self._closed = False

    def job(self, task: Work | Row) -> Job:
        """Take a task in; a `Problem` when there is no room or no time left for it."""
        if self._closed:
            raise StoreClosed("The store takes no more writes, since the daemon is stopping.")
        if self._count >= self._limit:
            raise StoreBusy(f"{self._count} writes are waiting for the database already.")
        self._count += 1
        return Job(task, self._loop.create_future())

    def close(self) -> bool:
        """Take no more in; False when that was so already."""
        was, self._closed = self._closed, True
        return not was

    def deliver(self, answers: Iterable[Answer]) -> None:
        """Give the callers their answers. From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._settle, list(answers))
        except RuntimeError:
            if not self._loop.is_closed():
                raise  # with the loop gone nobody waits any more

    def _settle(self, answers: list[Answer]) -> None:
        self._count -= len(answers)
        some = False
        for answer in answers:
            some = some or answer.error is None
            future = answer.job.future
            if future.done():
                continue  # its caller was cancelled
            if answer.error is None:
                future.set_result(answer.value)
            else:
                future.set_exception(answer.error)
        if some:
            self._committed()
