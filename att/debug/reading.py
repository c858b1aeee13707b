"""Going through a log record by record, either way, from a cursor or a time, in bounded time.

The log gives lines from an offset on. A chunk of it is read with a margin on both sides, so that a record that begins in the
chunk is whole, and one that began before it is seen as such and left out: any chunk gives the same records. A position between two
records is the cursor after the first line of the one before it, so that "newer than" and "older than" it leave nothing out.
A time is found by bisection, since lines come in the order of their times.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from att.debug.joining import Entry, join, seconds
from att.debug.tracebacks import whole
from att.store.times import stamp
from supervisor.logs import cursor as cursors
from supervisor.logs.batch import Batch
from supervisor.logs.log import Log
from supervisor.logs.reader import BLOCK
from supervisor.logs.select import NO_FILTERS
from supervisor.logs.values import Lost

CHUNK: Final = 1024 * 1024
MARGIN: Final = 64 * 1024
TIME: Final = 3.0  # seconds for one answer
UNFINISHED: Final = 2.0  # seconds for which the end of a traceback is waited for
Take = Callable[[Entry], bool]
Hint = Callable[[str, str | None], bool]


@dataclass(slots=True)
class Found:
    """The records that were taken, the oldest first, and the positions before and after what was looked through."""

    entries: list[Entry] = field(default_factory=list)
    previous: int | None = None
    next: int = 0
    lost: Lost | None = None
    complete: bool = True


class Reading:
    """One question to a log."""

    def __init__(
        self,
        log: Log,
        *,
        patience: float = TIME,
        chunk: int = CHUNK,
        hint: Hint | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hint`: every record that is asked for has a line (its text and level) for which it says so.

        Chunks without one are passed over quickly.
        """
        self._log = log
        self._tag = log.oldest.rpartition("-")[0]
        self._oldest = _offset(log.oldest)
        self._newest = log.end
        self._chunk = chunk
        self._hint = hint
        self._clock = clock
        self._deadline = clock() + patience
        self._lost: Lost | None = None

    def cursor(self, offset: int) -> str:
        return cursors.write(self._tag, max(offset, 0))

    async def read(
        self,
        take: Take,
        *,
        cursor: str | None,
        direction: Literal["older", "newer"],
        limit: int,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Found:
        """Up to `limit` records for which `take` says so. Raises as the log does for a bad cursor."""
        begin = None if cursor is None else cursors.read(cursor, self._tag, self._oldest, self._newest)
        first, last = (None if moment is None else stamp(moment) for moment in (since, until))

        def fits(entry: Entry) -> bool:
            return (first is None or entry.at >= first) and (last is None or entry.at <= last) and take(entry)

        if direction == "newer":
            return await self._newer(fits, begin, limit, first, last)
        return await self._older(fits, begin, limit, first, last)

    # -- the two ways

    async def _newer(
        self, fits: Take, begin: int | None, limit: int, first: str | None, last: str | None
    ) -> Found:
        at = begin if begin is not None else self._oldest
        if first is not None:
            at = max(at, await self._before(first))
        if at < self._oldest:
            self._lose((await self._log.page(self.cursor(at), 1)).lost)
        start = at = max(at, self._oldest)
        found = Found(previous=start if start > self._oldest else None, next=start)
        while at < self._newest:
            if self._late:
                found.complete = False
                break
            end = min(at + self._chunk, self._newest)
            entries = await self._between(at, end)
            judged = await asyncio.to_thread(self._judged, entries, fits, limit - len(found.entries))
            for entry, good in judged:
                if self._unfinished(entry):
                    found.next = min(entry.offset - 1, self._newest)
                    return self._told(found)
                if last is not None and entry.at > last:
                    return self._told(found)
                found.next = entry.offset
                if good:
                    found.entries.append(entry)
            if len(found.entries) >= limit:
                return self._told(found)
            if len(judged) < len(entries):
                found.complete = False
                return self._told(found)
            found.next = at = end
        return self._told(found)

    async def _older(
        self, fits: Take, begin: int | None, limit: int, first: str | None, last: str | None
    ) -> Found:
        end = self._newest + 1 if begin is None else begin
        if last is not None:
            end = min(end, await self._before(last) + 2 * self._chunk)
        found = Found(next=min(end, self._newest), previous=None)
        while end > self._oldest:
            if self._late:
                found.previous, found.complete = end, False
                break
            start = max(self._oldest, end - self._chunk)
            entries = (await self._between(start, end - 1))[::-1]
            judged = await asyncio.to_thread(self._judged, entries, fits, limit - len(found.entries))
            for entry, good in judged:
                if self._unfinished(entry):
                    found.next = entry.offset - 1
                    continue
                if first is not None and entry.at < first:
                    return self._told(found)
                if good:
                    found.entries.insert(0, entry)
            if len(judged) < len(entries):
                found.previous = judged[-1][0].offset if judged else end
                found.complete = len(found.entries) >= limit
                return self._told(found)
            if len(found.entries) >= limit:
                found.previous = judged[-1][0].offset
                return self._told(found)
            end = start + 1 if start > self._oldest else start
        return self._told(found)

    def _judged(self, entries: list[Entry], fits: Take, limit: int) -> list[tuple[Entry, bool]]:
        """Each of the entries with whether it fits; ends early when enough do, or when the time is over. In a thread."""
        found: list[tuple[Entry, bool]] = []
        for entry in entries:
            if limit <= 0 or (found and self._late):
                break
            good = fits(entry)
            limit -= good
            found.append((entry, good))
        return found

    # -- chunks

    async def _between(self, after: int, end: int) -> list[Entry]:
        """The records whose first line ends after `after` and not after `end`."""
        return await asyncio.to_thread(self._gathered, after, end)

    def _gathered(self, after: int, end: int) -> list[Entry]:
        """In a thread. Whole blocks are read, since the log holds those that were read last."""
        batches: list[Batch] = []
        at = max(self._oldest, (after - MARGIN) // BLOCK * BLOCK)
        while at < end + MARGIN and at < self._newest:
            batches.append(batch := self._log.batch_at(at, NO_FILTERS))
            self._lose(batch.lost)
            if batch.end <= at:
                break
            at = batch.end
        if self._hint is not None and not self._hinted(batches, self._hint):
            return []
        found = join(line for batch in batches for line in batch.lines())
        return [entry for entry in found if after < entry.offset <= end]

    def _hinted(self, batches: list[Batch], hint: Hint) -> bool:
        return any(
            hint(text, kind.level)
            for batch in batches
            for span in batch.spans
            for text, kind in zip(span.texts, span.kinds, strict=True)
        )

    async def _before(self, at: str) -> int:
        """A place shortly before the first line of this time."""
        low, high = self._oldest, self._newest
        while high - low > self._chunk:
            middle = (low + high) // 2
            page = await self._log.page(self.cursor(middle), 1)
            if page.lines and page.lines[0].at < at:
                low = middle
            else:
                high = middle
        return low

    def _unfinished(self, entry: Entry) -> bool:
        """Whether the entry is a traceback whose end is still to come: the app writes it at this moment."""
        if not entry.traceback or seconds(entry.last_at, stamp(datetime.now(UTC))) > UNFINISHED:
            return False
        return entry.joined or not whole(entry.text)

    @property
    def _late(self) -> bool:
        return self._clock() > self._deadline

    def _lose(self, lost: Lost | None) -> None:
        if lost is not None and self._lost is None:
            self._lost = lost

    def _told(self, found: Found) -> Found:
        found.lost = self._lost
        return found


def _offset(cursor: str) -> int:
    return int(cursor.rpartition("-")[2])
