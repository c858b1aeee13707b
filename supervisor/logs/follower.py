"""A follower: a place in a log and the way on from it. It pulls; nothing is kept for it and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from supervisor.logs.batch import Batch
from supervisor.logs.errors import LogClosed
from supervisor.logs.framing import Form, frame
from supervisor.logs.values import Filters

AT_ONCE: Final = (
    16 * 1024
)  # bytes of news that are made into lines in the event loop; more than that in a thread
GATHER: Final = 0.003  # seconds: in a flood, let a little gather rather than run after every few lines


class Followed(Protocol):
    """What a follower needs of its log."""

    @property
    def end(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def batch_at(self, begin: int, filters: Filters) -> Batch: ...
    def in_memory(self, begin: int) -> bool: ...
    def ready(self, begin: int, filters: Filters) -> Batch | None: ...
    async def make(self, begin: int, filters: Filters, form: Form | None) -> Batch: ...
    async def moved(self, begin: int, timeout: float | None) -> bool: ...


class Follower:
    """Cancel-safe: a cancelled `next` loses nothing. Not to be shared between tasks."""

    def __init__(
        self, log: Followed, tag: str, begin: int, filters: Filters, form: Form | None = None
    ) -> None:
        self._log = log
        self._tag = tag
        self._at = begin
        self._filters = filters
        self._form = form  # how the batches will be framed; made where the batch is made
        self._hot = False  # the last batch came at once; let others have their turn before the next

    @property
    def cursor(self) -> str:
        """Where the next batch begins."""
        return f"{self._tag}-{self._at}"

    async def next(self, timeout: float | None = None) -> Batch | None:
        """The next batch, at once when there is one; None after `timeout` seconds without. LogClosed when the log was closed."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        if self._hot:
            await asyncio.sleep(GATHER if self._log.end - self._at < AT_ONCE else 0)
        while True:
            while self._at < self._log.end and not self._log.closed:
                batch = await self._batch()
                self._hot = True
                self._at = batch.end
                if batch.spans or batch.lost is not None:
                    return batch
                await asyncio.sleep(0)
            self._hot = False
            left = None if deadline is None else max(0.0, deadline - loop.time())
            if not await self._log.moved(self._at, left):
                return None

    async def _batch(self) -> Batch:
        """Shared with whoever is at the same place: made once, by whoever comes first, and framed there."""
        log, begin = self._log, self._at
        found = log.ready(begin, self._filters)
        if found is None:
            small = log.end - begin <= AT_ONCE and self._filters.grep is None and log.in_memory(begin)
            if not small:
                return await log.make(begin, self._filters, self._form)
            found = log.batch_at(begin, self._filters)
        if self._form is not None:
            frame(found, self._form)
        return found

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches until the log is closed."""
        while True:
            try:
                batch = await self.next()
            except LogClosed:
                return
            if batch is not None:
                yield batch
