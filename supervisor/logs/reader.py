"""Reading: from an offset to a block of bytes with their marks, out of memory or from disk, or the statement that they are lost.

Nothing is held between two reads, so a reader costs nothing and a deletion or an overwriting in between is simply seen by the
next one: every read says what it found, and looks again when the ground moved while it read. Any thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from launcher.protocol.ring import RingReader
from supervisor.logs.lines import Open
from supervisor.logs.marks import CLOSED, HEAD, HOLE, MID, NONE, SIZE, Mark, MarkRing, unpack
from supervisor.logs.segments import Segment, Segments, after
from supervisor.logs.values import Lost

BLOCK: Final = 256 * 1024  # blocks end at multiples of it, so that followers share them
MARKS_MOST: Final = 8192


@dataclass(frozen=True, slots=True)
class Raw:
    """The lines that ended in (begin, end] are in here; `data` begins where the first mark does."""

    begin: int
    end: int
    marks: list[Mark]
    data: bytes
    lost: Lost | None = None

    def bytes_of(self, mark: Mark) -> bytes:
        base = self.marks[0].offset
        return self.data[mark.offset - base : mark.end - base]


@dataclass(slots=True)
class Memory:
    """What is held in memory, once something was captured in this life."""

    ring: RingReader
    marks: MarkRing

    @property
    def start(self) -> int | None:
        """Where the first mark begins of which all bytes are still there."""
        start = self.ring.start
        for mark in self.marks.since(start, NONE, 2):
            if mark.offset >= start:
                return mark.offset
        return None


class Reader:
    """`taken`: where readable bytes end; `floor`: what lies before was deleted."""

    def __init__(self, segments: Segments, taken: Callable[[], int], floor: Callable[[], int]) -> None:
        self.memory: Memory | None = None
        self._segments = segments
        self._taken = taken
        self._floor = floor

    @property
    def oldest(self) -> int:
        """The first offset that can be read."""
        segments = self._segments.all
        starts = [segments[0].base] if segments else []
        if self.memory is not None and (start := self.memory.start) is not None:
            starts.append(start)
        return min(max(min(starts, default=self._taken()), self._floor()), self._taken())

    def block(self, begin: int, most: int = BLOCK) -> Raw:
        """From `begin` to the next multiple of `most`, or to where there is no more, or to a hole.

        When `begin` lies in a hole, the block begins after it and says what was lost.
        """
        while True:
            limit = min(self._taken(), (begin // most + 1) * most)
            if begin >= limit:
                return Raw(begin, begin, [], b"")
            raw = self._read(begin, limit)
            if raw is not None:
                return raw
            after_hole = self._after_hole(begin)
            if after_hole is None:
                continue  # what was missing is there now
            lost = self._lost(begin, after_hole)
            limit = min(self._taken(), (after_hole // most + 1) * most)
            raw = (
                self._read(after_hole, limit) if after_hole < limit else Raw(after_hole, after_hole, [], b"")
            )
            if raw is not None:
                return Raw(raw.begin, raw.end, raw.marks, raw.data, lost)

    def before(self, end: int, most: int) -> Raw | None:
        """What stands without a hole just before `end`, at most about `most` bytes; None when nothing does."""
        begin = max(end - most, self.oldest)
        while begin < end:
            raw = self.block(begin, most * 4)
            if raw.end >= end:
                return _raw(raw.begin, end, raw.marks, raw.data) if raw.begin < end else None
            begin = raw.end
        return None

    def hole_before(self, offset: int) -> Lost | None:
        """What was lost just before an offset that can be read, if anything of the log is left before that."""
        ends = [s.end for s in self._segments.all if s.end <= offset and s.end > self._floor()]
        return self._lost(ends[-1], offset) if ends and ends[-1] < offset else None

    def in_memory(self, begin: int) -> bool:
        memory = self.memory
        return memory is not None and begin >= memory.ring.start

    def head(self, mark: Mark) -> bytes:
        """The bytes of the open line that stood before a mark: `carry` of them, fewer when the rest is gone."""
        need, prev = mark.carry, mark.prev
        parts: list[bytes] = []
        while need and prev != NONE:
            prev = max(prev, self.oldest)  # its beginning may have been deleted
            raw = self._read(prev, prev + 1, whole=True)
            if (
                raw is None
                or not raw.marks
                or raw.marks[0].key != mark.key
                or raw.marks[0].offset >= mark.offset
            ):
                break
            found = raw.bytes_of(raw.marks[0])[-need:]
            parts.append(found)
            need -= len(found)
            prev = raw.marks[0].prev
        return b"".join(reversed(parts))

    def lines_at(self, offset: int) -> int | None:
        """How many lines had ended at an offset; None where nobody knows."""
        if self.memory is not None and (lines := self.memory.marks.lines_at(offset)) is not None:
            return lines
        raw = self._read(offset - 1, offset) if offset > 0 else None
        if raw is None or not raw.marks:
            return 0 if offset == 0 else None
        mark = raw.marks[-1]
        _, n = after(mark, raw.bytes_of(mark), self._open_at(mark))
        return mark.lines + n

    def _open_at(self, mark: Mark) -> Open:
        return Open(mark.carry, bool(mark.flags & MID), self.head(mark)[-6:])

    def _read(self, begin: int, limit: int, *, whole: bool = False) -> Raw | None:
        """What is there from the mark that holds `begin` on, up to `limit` or a hole; None when `begin` is not there.

        `whole`: to the end of that mark.
        """
        if begin < self._floor():
            return None
        memory = self.memory
        if memory is not None and (start := memory.start) is not None and begin >= start:
            marks = memory.marks.since(begin, limit, MARKS_MOST)
            if marks and marks[0].offset <= begin:
                end = marks[-1].end if whole else min(limit, marks[-1].end)
                data = memory.ring.copy(marks[0].offset, end)
                if data is not None:
                    return _raw(begin, end, marks, data)
        for segment in self._segments.all:
            if segment.base <= begin < segment.end:
                try:
                    marks = disk_marks(segment, begin, min(limit, segment.end), MARKS_MOST)
                    end = marks[-1].end if whole else min(limit, marks[-1].end, segment.end)
                    return _raw(begin, end, marks, read_disk(segment, marks[0].offset, end))
                except FileNotFoundError:  # deleted meanwhile
                    return None
        return None

    def _after_hole(self, begin: int) -> int | None:
        """The first offset after `begin` that can be read; None when `begin` itself can be, after all."""
        floor = self._floor()
        starts = [s.base for s in self._segments.all if s.base > begin]
        if any(s.base <= begin < s.end for s in self._segments.all) and begin >= floor:
            return None
        if self.memory is not None and (start := self.memory.start) is not None:
            if start <= begin:
                return None if begin >= floor else floor
            starts.append(start)
        starts = [max(start, floor) for start in starts]
        return min(starts, default=self._taken())

    def _closed_before(self, offset: int) -> int:
        """How many open lines were ended just there by a mark in place of a lost byte."""
        closed = 0
        while (
            offset > 0
            and (raw := self._read(offset - 1, offset))
            and raw.marks
            and raw.marks[0].flags & CLOSED
        ):
            closed += 1
            offset -= 1
        return closed

    def _lost(self, begin: int, end: int) -> Lost:
        """How much lies between, and how many lines where both ends were counted."""
        closed = self._closed_before(begin)
        first = self._read(end, end + 1)
        if first is None or not first.marks or first.marks[0].flags & HOLE:
            return Lost(end - begin + closed, None)
        there = self.lines_at(end) if first.marks[0].offset < end else first.marks[0].lines
        here = self.lines_at(begin)
        return Lost(end - begin + closed, None if here is None or there is None else max(0, there - here))


def _raw(begin: int, end: int, marks: list[Mark], data: bytes) -> Raw:
    marks = [m if m.end <= end else m._replace(end=end) for m in marks if m.offset < end]
    return Raw(begin, end, marks, data)


def read_disk(segment: Segment, begin: int, end: int) -> bytes:
    """Bytes of a segment. FileNotFoundError when it was deleted."""
    fd = os.open(segment.data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, end - begin, begin - segment.base)
    finally:
        os.close(fd)


def disk_marks(segment: Segment, begin: int, limit: int, most: int | None = None) -> list[Mark]:
    """Marks of a segment from the one that holds `begin` on, those that begin before `limit`."""
    fd = os.open(segment.index, os.O_RDONLY | os.O_CLOEXEC)
    try:
        number, count = _search(fd, begin)
        found: list[Mark] = []
        while number < count:
            data = os.pread(fd, 256 * SIZE, number * SIZE)
            for at in range(0, len(data) - SIZE + 1, SIZE):
                mark = unpack(data, at)
                if mark.offset >= limit or (most is not None and len(found) >= most):
                    return found
                found.append(mark)
            number += 256
        return found
    finally:
        os.close(fd)


def _search(fd: int, offset: int) -> tuple[int, int]:
    """The number of the last mark that begins at or before `offset` (or of the first), and how many there are."""
    count = os.fstat(fd).st_size // SIZE
    head = unpack(os.pread(fd, SIZE, 0))
    first = 1 + (head.end - head.offset if head.flags & HEAD else 0)
    low, high = first, count
    while low < high:
        middle = (low + high) // 2
        if int.from_bytes(os.pread(fd, 8, middle * SIZE), "little") <= offset:
            low = middle + 1
        else:
            high = middle
    return max(first, low - 1), count
