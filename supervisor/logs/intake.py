"""Intake: takes the bytes of the ring over, in order: counts their lines, keeps them on disk, marks them, gives them out.

It is the daemon's half of the log's writing side; the keeper's half (`launcher.protocol.capture`) may live in another thread or
another process. One thread owns it. It decides what happens when bytes were lost before it came, and when the disk does not
take them: then it pauses keeping, goes on from memory, and keeps again (with what the ring still holds) as soon as there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time_ns
from typing import Final, NamedTuple

from launcher.protocol.ring import Acks, Chunk, RingReader
from supervisor.logs.guard import Guard
from supervisor.logs.marks import CLOSED, HOLE, MID, NONE, Mark, MarkRing, pack
from supervisor.logs.segments import Key, Segments, Standing, after, clip
from supervisor.logs.values import Keeping

GRAIN: Final = 256 * 1024  # no mark spans a multiple of it, so it is the most that a reader reads twice
SLICE: Final = GRAIN  # taken at once
TRY_AGAIN: Final = 1.0
OnTaken = Callable[[int, set[Key]], None]


class Part(NamedTuple):
    """Bytes of one chunk, within one grain."""

    number: int
    chunk: Chunk
    begin: int
    end: int
    data: bytes


class Intake:
    """`taken` is where readers' bytes end. `step` until it returns False, then wait for the bell."""

    def __init__(
        self,
        ring: RingReader,
        acks: Acks,
        segments: Segments,
        guard: Guard,
        *,
        limit: Callable[[int], int],
        on_taken: OnTaken,
        on_keeping: Callable[[Keeping], None],
        floor: int = 0,
    ) -> None:
        """Goes on where the segments end, or at `floor`, before which all was deleted.

        `limit(taken)`: offsets from there on are not yet safe to be given out. `on_taken`: called with each new
        end, and the streams that ended before it.
        """
        self.ring = ring
        self.marks = MarkRing()
        self.keeping = Keeping(True)
        self.lines = segments.lines
        self.taken = max(segments.end or 0, floor)
        self._acks = acks
        self._segments = segments
        self._guard = guard
        self._limit = limit
        self._on_taken = on_taken
        self._on_keeping = on_keeping
        self._standing: dict[Key, Standing] = dict(segments.standing)
        self._paused: tuple[dict[Key, Standing], int] = (
            {},
            0,
        )  # how it stood where keeping paused, lines until there
        self._tried_at = 0.0
        self._number = ring.number_at(self.taken)  # of the chunk that was seen last; it may have grown
        self._newest: Mark | None = None
        self._hole = self.taken > (segments.end or 0)
        self._slice = min(SLICE, ring.data_bytes // 4)

    def step(self) -> bool:
        """Takes the next slice. False when there was none."""
        if self.keeping.on:
            self._paused = dict(self._standing), self.lines
        self._look_at_disk()
        begin = self.taken
        if self.ring.start > begin:
            self._lose(self.ring.start)
            begin = self.taken
        end = min(self._limit(begin), begin + self._slice)
        if end <= begin:
            return False
        parts = self._parts(begin, end)
        if parts:
            self._take(parts)
        # without: overwritten while we looked, or between two words of the writer; look again
        return bool(parts) or self._limit(self.taken) > self.taken

    def _parts(self, begin: int, end: int) -> list[Part]:
        """The bytes of [begin, end) by whose they are, without a hole; less, when they are being overwritten just now."""
        found: list[Part] = []
        chunks, first = self.ring.chunks(self._number)
        at = begin
        for number, chunk in enumerate(chunks, first):
            if chunk.end <= at:
                continue
            if chunk.offset > at:
                break
            while at < (stop := min(chunk.end, end)):
                until = min(stop, (at // GRAIN + 1) * GRAIN)
                data = self.ring.copy(at, until)
                if data is None:
                    return found
                found.append(Part(number, chunk, at, until, data))
                at = until
            if at >= end:
                break
        return found

    def _take(self, parts: list[Part]) -> None:
        begin, end = parts[0].begin, parts[-1].end
        fresh = self.keeping.on and self._begin_segment(begin)
        last, first = self._newest, parts[0]
        grown = (
            not fresh
            and last is not None
            and first.number == self._number
            and last.end == begin
            and begin % GRAIN != 0
        )
        marks = [self._grow(last, first) if grown and last is not None else self._mark(first)]
        marks += [self._mark(part) for part in parts[1:]]
        records = [pack(mark) for mark in marks]
        if self.keeping.on:
            self._keep([part.data for part in parts], records, grown)
        self.marks.add(records, grown)
        self._number = parts[-1].number
        self._newest = marks[-1]
        self._publish(end, {mark.key for mark in marks if mark.eof})

    @property
    def standing(self) -> dict[Key, Standing]:
        """How each stream stands at `taken`."""
        return dict(self._standing)

    def _mark(self, part: Part) -> Mark:
        """A mark for bytes that begin a stretch of their own, and the stream's standing after it."""
        chunk = part.chunk
        key = chunk.run, chunk.stream
        standing = self._standing.get(key, Standing())
        flags = chunk.flags | (MID if standing.open.mid else 0) | (HOLE if self._hole else 0)
        self._hole = False
        carry = standing.open.carry
        mark = Mark(
            part.begin, part.end, chunk.at, *key, flags, self.lines, carry, standing.last if carry else NONE
        )
        state, n = after(mark, part.data, standing.open)
        self.lines += n
        if mark.eof:
            self._standing.pop(key, None)
        else:
            self._standing[key] = Standing(state, part.begin)
        return mark

    def _grow(self, mark: Mark, part: Part) -> Mark:
        """The newest mark with more bytes of the same chunk."""
        standing = self._standing[mark.key]
        state, n = after(mark, part.data, standing.open)
        self.lines += n
        self._standing[mark.key] = Standing(state, mark.offset)
        return mark._replace(end=part.end)

    def _publish(self, end: int, ended: set[Key]) -> None:
        self.taken = end
        self._acks.kept = end
        self._on_taken(end, ended)

    def _lose(self, start: int) -> None:
        """Bytes were overwritten before we came: open lines end here, what follows begins new ones."""
        hole = start - self.taken
        unfinished = sum(s.open.unfinished for s in self._standing.values())
        if self.keeping.on and unfinished < hole and self._segments.end == self.taken:
            try:
                self.lines += len(self._segments.mend(self._standing, self.lines, time_ns(), CLOSED))
            except OSError as fault:
                self._pause(str(fault.strerror))
        self._standing.clear()
        self._newest = None
        self._hole = True
        self._number = self.ring.number_at(start)
        self.taken = start

    # keeping on disk

    def _begin_segment(self, offset: int) -> bool:
        try:
            return self._segments.prepare(offset, self.lines, self._standing)
        except OSError as fault:
            self._pause(str(fault.strerror))
            return False

    def _keep(self, data: list[bytes], records: list[bytes], grown: bool) -> None:
        try:
            self._segments.append(data, records, grown)
        except OSError as fault:
            self._pause(str(fault.strerror))

    def _pause(self, reason: str) -> None:
        self._segments.seal()
        self._tried_at = monotonic()
        self._tell(Keeping(False, f"lines are not kept on disk: {reason}"))

    def _look_at_disk(self) -> None:
        now = monotonic()
        if self.keeping.on:
            if not self._guard.enough(now):
                self._pause(self._guard.reason)
        elif now - self._tried_at >= TRY_AGAIN:
            self._tried_at = now
            if self._guard.enough(now):
                self._resume()

    def _resume(self) -> None:
        """Keeps again, beginning with what memory still holds of the time when nothing was kept."""
        kept = max(self._segments.end or 0, self.ring.start)
        marks = self.marks.since(kept, self.taken)
        standing, lines = self._paused
        self._paused = {}, 0
        try:
            if marks and marks[0].offset < kept:
                head = self.ring.copy(marks[0].offset, kept)
                marks[:1] = [] if head is None else [clip(marks[0], head)]
            begin = marks[0].offset if marks else self.taken
            unfinished = sum(s.open.unfinished for s in standing.values())
            if 0 < unfinished < begin - (self._segments.end or 0):
                self._segments.mend(standing, lines, time_ns(), CLOSED)
                standing = {}
            for mark in marks:
                data = self.ring.copy(mark.offset, mark.end)
                if data is None:
                    return
                self._segments.prepare(mark.offset, mark.lines, standing)
                self._segments.append([data], [pack(mark)], replace_last=False)
        except OSError as fault:
            self._pause(str(fault.strerror))
            return
        self._newest = None
        self._tell(Keeping(True))

    def _tell(self, keeping: Keeping) -> None:
        if keeping != self.keeping:
            self.keeping = keeping
            self._on_keeping(keeping)
