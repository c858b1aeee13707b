"""The log of one project: takes the output of its runs, keeps it in memory and on disk, gives it out by cursor.

Bytes have absolute offsets for ever, a cursor is an offset, and readers pull. So there is no state for a reader, no gap between
reading and following, and a restart of anything moves no cursor. What is in which file: `ring` and `capture` (in
`launcher.protocol`) bring bytes in, `works` runs the threads, `intake` takes over, `segments` keeps, `reader` finds, `blocks` and
`batch` make lines.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final, Self

from launcher.protocol.ring import STDERR, STDOUT, Acks, RingReader
from supervisor.logs import cursor as cursors
from supervisor.logs import recovery, select
from supervisor.logs.batch import Batch
from supervisor.logs.blocks import Blocks
from supervisor.logs.errors import LogClosed
from supervisor.logs.follower import Follower
from supervisor.logs.framing import Form, frame
from supervisor.logs.guard import Guard, Space, free_and_total
from supervisor.logs.reader import Memory, Reader
from supervisor.logs.rings import RING_SLOTS, RingHandles, RingOutdated, RingWanted
from supervisor.logs.segments import Key
from supervisor.logs.signal import Signal
from supervisor.logs.tapped import Tap, Tapped
from supervisor.logs.values import PAGE_LIMIT, Filters, Keeping, Line, LogSettings, Lost, Page
from supervisor.logs.works import Works

INLINE_LINES: Final = 500  # pages up to so many lines out of memory are made in the event loop
DEFAULTS: Final = LogSettings()
NO_FILTERS: Final = Filters()
OnKeeping = Callable[[Keeping], None]
_log: Final = logging.getLogger(__name__)

__all__ = ["Batch", "Filters", "Follower", "Keeping", "Line", "Log", "LogSettings", "Lost", "Page"]


class Log:
    """One per project. `capture`, `close` and the properties may be used from any thread; async methods from any loop."""

    def __init__(
        self,
        id: str,
        folder: Path,
        settings: LogSettings,
        on_keeping: OnKeeping | None,
        space: Space,
        held: bool,
    ) -> None:
        self.id = id
        self.closed = False
        self._settings = settings
        self._on_keeping = on_keeping
        self._tag = cursors.tag(id)
        self._guard = Guard(folder, settings.keep_free_bytes, settings.keep_free_share, space)
        self._signal = Signal()
        self._patient = True
        self._ends = Signal()
        self._lock = Lock()
        self._works: Works | Tapped | None = None
        self._position, self._segments, self._runs = recovery.open_folder(folder, settings)
        self._ended: set[Key] = set(self._segments.ended)  # streams whose last line can be read
        if not held:
            recovery.mend(self._position, self._segments)
        self._taken = self._position.begin
        self._reader = Reader(self._segments, lambda: self._taken, lambda: self._position.floor)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"log-read-{id}")
        self._making: dict[tuple[object, int, Filters, Form | None], asyncio.Future[Batch]] = {}
        self._blocks = Blocks(self._reader, self._tag, lambda: self._taken, self._runs.name)

    @classmethod
    def open(
        cls,
        id: str,
        folder: Path,
        settings: LogSettings = DEFAULTS,
        on_keeping: OnKeeping | None = None,
        space: Space = free_and_total,
        held: bool = False,
    ) -> Self:
        """Recovers what an earlier life left in the folder. LogUnusable when that cannot be, or another process writes it.

        `held`: the launcher holds a ring for it, so it goes on with `attach`; until then it must not be read.
        `on_keeping` is called, in a thread of the log, when keeping on disk pauses or goes on.
        """
        return cls(id, folder, settings, on_keeping, space, held)

    def close(self) -> None:
        """Takes what the pipes hold now, keeps it, ends the threads and closes every descriptor. Followers end.

        May take as long as the disk does: call it in a thread from async code.
        """
        with self._lock:
            if self.closed:
                return
            goes_on = isinstance(self._works, Tapped)  # in the launcher, and in the next life
            if self._works is not None:
                self._works.close()
            self.closed = True
            self._pool.shutdown()
            self._reader.memory = None
            self._works = None
            self._segments.close()
            if not goes_on:
                self._position.finish(self._taken)
            self._position.close()
        self._signal.notify()
        self._ends.notify()

    # what comes in

    def capture(self, run_id: str, stdout_fd: int, stderr_fd: int) -> None:
        """From now on this log owns both descriptors (read ends of pipes) and closes them at their end. Returns at once."""
        with self._lock:
            self._check_open()
            run = self._runs.number(run_id)
            self._start().add(run, stdout_fd, stderr_fd)

    async def drained(self, run_id: str, patience: float | None = None) -> bool:
        """Returns True when both streams of the run ended and all their lines can be read.

        When that is not so after `patience` seconds (somebody else holds the pipes), takes what they hold, lets go of them, and
        returns False. A run that was never captured is drained. Where the launcher holds the pipes, it is the one to let go.
        """
        works = self._works
        if works is None:
            return True
        run = self._runs.number(run_id)
        if isinstance(works, Works) and run not in works.runs:
            return True
        both = {(run, STDOUT), (run, STDERR)}

        def ended() -> bool:
            return self.closed or both <= self._ended

        if await self._ends.wait(ended, patience):
            return True
        if isinstance(works, Tapped):
            return False
        works.release(run)
        await self._ends.wait(ended)
        return False

    # what the launcher brings in

    def wanted(self) -> RingWanted:
        """The ring to be made where there is none."""
        base = self._position.begin + recovery.open_lines(self._segments)
        return RingWanted(base, self._settings.ring_bytes, RING_SLOTS, self._settings.log_wait)

    def number(self, run_id: str) -> int:
        """What stands for the run in the ring, in this life and all others."""
        return self._runs.number(run_id)

    def attach(self, handles: RingHandles) -> None:
        """Takes from the launcher's ring from now on; what it holds already can be read when this returns.

        Raises RingOutdated when what was given out has gone beyond it.
        """
        tap = Tap(RingReader(handles.ring), Acks(handles.acks, write=True), handles.bell, handles.room)
        with self._lock:
            self._check_open()
            if handles.fresh:
                recovery.mend(self._position, self._segments)
            elif tap.ring.end < self._position.begin:
                tap.close()
                raise RingOutdated(f"the ring ends at {tap.ring.end}, the log at {self._position.begin}")
            self._position.go_on(tap.ring.end)
            works = Tapped(
                self.id, tap, self._position, self._segments, self._guard, self._on_taken, self._tell_keeping
            )
            self._reader.memory = Memory(works.reader, works.intake.marks)
            self._taken = works.catch_up()
            self._works = works
            works.start()

    @property
    def settled(self) -> bool:
        """The launcher's ring holds nothing that is not kept."""
        return isinstance(self._works, Tapped) and self._works.all_taken

    def detach(self) -> None:
        """The launcher has closed its ring: takes it to its end and goes on without. May take as long as the disk does."""
        with self._lock:
            if isinstance(self._works, Tapped):
                works, self._works = self._works, None
                works.close()
                self._reader.memory = None
                self._segments.lines = works.intake.lines
                self._segments.standing = works.intake.standing
                self._position.begin = self._taken
                recovery.mend(self._position, self._segments)
                self._taken = self._position.begin
                self._position.finish(self._taken)

    # what goes out

    @property
    def oldest(self) -> str:
        """The cursor of the oldest byte that is still there."""
        return cursors.write(self._tag, self._reader.oldest)

    @property
    def newest(self) -> str:
        """The cursor after all that has come so far."""
        return cursors.write(self._tag, self._taken)

    @property
    def end(self) -> int:
        return self._taken

    @property
    def keeping(self) -> Keeping:
        """Whether lines are kept on disk at present."""
        return self._works.intake.keeping if self._works is not None else Keeping(True)

    @property
    def lines(self) -> int:
        """How many lines (pieces of over-long ones each for itself) have come in since the log began or was emptied."""
        return self._works.intake.lines if self._works is not None else self._segments.lines

    @property
    def size_on_disk(self) -> int:
        return self._segments.size

    async def page(
        self,
        cursor: str | None = None,
        limit: int = 1000,
        *,
        filters: Filters = NO_FILTERS,
        wait: float = 0.0,
    ) -> Page:
        """Up to `limit` lines after the cursor (None: the last `limit` lines), oldest first.

        A page ends where lines are lost; the next one says how many. `wait`: seconds to wait for a first line when there is none.
        """
        self._check_open()
        if not 1 <= limit <= PAGE_LIMIT:
            raise ValueError(f"limit is between 1 and {PAGE_LIMIT}")
        select.check(filters)
        begin = None if cursor is None else self._offset(cursor)
        lines, at, lost = await self._look(begin, limit, filters)
        deadline = asyncio.get_running_loop().time() + wait
        while not lines and lost is None and wait > 0 and self._patient:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not await self._came(at, left):
                break
            lines, at, lost = await self._look(at, limit, filters)
        return Page(lines, cursors.write(self._tag, at), self.oldest, self.newest, lost)

    def follow(
        self, cursor: str | None = None, filters: Filters = NO_FILTERS, form: Form | None = None
    ) -> Follower:
        """Batches from the cursor on (None: from the newest). Bad cursors and filters are refused at once.

        `form`: how the batches will be framed, so that it is done once, beside the event loop.
        """
        self._check_open()
        select.check(filters)
        begin = self._taken if cursor is None else self._offset(cursor)
        return Follower(self, self._tag, begin, filters, form)

    def batch_at(self, begin: int, filters: Filters) -> Batch:
        """The block after an offset. From any thread."""
        self._check_open()
        return self._blocks.batch(begin, filters)

    def in_memory(self, begin: int) -> bool:
        return self._reader.in_memory(begin)

    def ready(self, begin: int, filters: Filters) -> Batch | None:
        """The block after an offset when it was made already."""
        return self._blocks.ready(begin, filters)

    async def make(self, begin: int, filters: Filters, form: Form | None) -> Batch:
        """The block after an offset, made by the log's one reading thread; who asks for the same meanwhile gets the same."""
        loop = asyncio.get_running_loop()
        key = loop, begin, filters, form
        made = self._making.get(key)
        if made is None:
            made = self._making[key] = loop.run_in_executor(self._pool, self._make, begin, filters, form)
            made.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(made)

    def _make(self, begin: int, filters: Filters, form: Form | None) -> Batch:
        batch = self.batch_at(begin, filters)
        if form is not None:
            frame(batch, form)
        return batch

    async def _came(self, begin: int, timeout: float) -> bool:
        await self._signal.wait(lambda: self.closed or self._taken > begin or not self._patient, timeout)
        self._check_open()
        return self._taken > begin

    def end_waits(self) -> None:
        """From now on no page waits for a first line: those that do end at once, at their cursor."""
        self._patient = False
        self._signal.notify()

    async def moved(self, begin: int, timeout: float | None) -> bool:
        """Waits until there is something after an offset."""
        found = await self._signal.wait(lambda: self.closed or self._taken > begin, timeout)
        self._check_open()
        return found

    async def delete(self, before: str | None = None) -> int:
        """Deletes what lies before the cursor (None: all there is now), in memory and on disk; returns the bytes freed on disk."""
        self._check_open()
        offset = self._taken if before is None else self._offset(before)
        if self._works is not None:
            return await asyncio.wrap_future(self._works.do(lambda: self._delete(offset)))
        return await asyncio.to_thread(self._delete, offset)

    def _delete(self, before: int) -> int:
        size = self._segments.size
        self._position.floor = max(self._position.floor, before)
        self._segments.delete(before)
        self._blocks.forget()
        return max(0, size - self._segments.size)

    async def _look(
        self, begin: int | None, limit: int, filters: Filters
    ) -> tuple[list[Line], int, Lost | None]:
        def look() -> tuple[list[Line], int, Lost | None]:
            self._check_open()
            if begin is None:
                return self._blocks.newest(limit, filters)
            return self._blocks.page(begin, limit, filters)

        small = limit <= INLINE_LINES and filters == NO_FILTERS
        if small and self.in_memory(
            max(self._reader.oldest, self._taken - 65536) if begin is None else begin
        ):
            return look()
        return await asyncio.to_thread(look)

    def _offset(self, cursor: str) -> int:
        return cursors.read(cursor, self._tag, self._reader.oldest, self._taken)

    def _check_open(self) -> None:
        if self.closed:
            raise LogClosed("the log is closed")

    def _start(self) -> Works:
        """The ring and the threads, from the first capture on."""
        if not isinstance(self._works, Works):
            self._position.start(self._position.begin)
            works = Works(
                self.id,
                self._settings,
                self._position,
                self._segments,
                self._guard,
                self._on_taken,
                self._tell_keeping,
            )
            self._reader.memory = Memory(works.reader, works.intake.marks)
            self._works = works
            works.start()
        return self._works

    def _on_taken(self, end: int, ended: set[Key]) -> None:
        self._taken = end
        if ended:
            self._ended |= ended
            self._ends.notify()
        self._signal.notify()

    def _tell_keeping(self, keeping: Keeping) -> None:
        _log.warning("log %s: %s", self.id, keeping.reason or "lines are kept on disk again")
        if self._on_keeping is not None:
            self._on_keeping(keeping)
