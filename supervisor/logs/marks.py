"""Marks: what is known about each stretch of bytes, the same in memory and on disk.

A mark says whose bytes [offset, end) are and when they came; how many lines had ended in the whole log before them; and how
the line stood that its stream had open then: `carry` bytes of its present piece (see `lines`), the last of them in the mark
that begins at `prev`. So a reader can begin at any mark: nothing needs to be read from the start.
"""

from __future__ import annotations

import struct
from threading import Lock
from typing import Final, NamedTuple
from zlib import crc32

from launcher.protocol.ring import EOF

NONE: Final = (1 << 64) - 1  # no such offset
MID: Final = 2  # the open line's earlier pieces were given out already
HOLE: Final = 4  # bytes before this mark are gone and nobody counted their lines
CLOSED: Final = 8  # an EOF written in place of a byte that was lost, to close a line whose end was
HEAD: Final = 64  # first record of an index file
OPEN: Final = 128  # record of a line that was open when the index file began

_FORM: Final = struct.Struct("<QQQQIIHBB")
_CHECK: Final = struct.Struct("<I")
SIZE: Final = _FORM.size + _CHECK.size


class Mark(NamedTuple):
    offset: int
    end: int
    at: int  # wall time, nanoseconds
    run: int
    stream: int
    flags: int
    lines: int  # that ended before `offset`, in the whole log
    carry: int
    prev: int

    @property
    def key(self) -> tuple[int, int]:
        return self.run, self.stream

    @property
    def eof(self) -> bool:
        return bool(self.flags & EOF)

    @property
    def unfinished(self) -> bool:
        """Whether its stream had begun a line before it."""
        return bool(self.carry or self.flags & MID)


def pack(mark: Mark) -> bytes:
    body = _FORM.pack(
        mark.offset,
        mark.at,
        mark.lines,
        mark.prev,
        mark.end - mark.offset,
        mark.run,
        mark.carry,
        mark.stream,
        mark.flags,
    )
    return body + _CHECK.pack(crc32(body))


def unpack(data: bytes | bytearray | memoryview, at: int = 0) -> Mark:
    offset, wall, lines, prev, length, run, carry, stream, flags = _FORM.unpack_from(data, at)
    return Mark(offset, offset + length, wall, run, stream, flags, lines, carry, prev)


def unpack_sound(data: bytes) -> list[Mark]:
    """The records up to the first that is torn or foreign."""
    found: list[Mark] = []
    for at in range(0, len(data) - SIZE + 1, SIZE):
        if _CHECK.unpack_from(data, at + _FORM.size)[0] != crc32(data[at : at + _FORM.size]):
            break
        found.append(unpack(data, at))
    return found


class MarkRing:
    """The newest marks, a fixed number of them. One thread adds, any thread reads."""

    def __init__(self, slots: int = 32768) -> None:
        self._slots = slots
        self._data = bytearray(slots * SIZE)
        self._count = 0
        self._lock = Lock()

    def add(self, records: list[bytes], replace_last: bool = False) -> None:
        """Adds packed marks; with `replace_last` the first of them takes the place of the newest one, which has grown."""
        with self._lock:
            if replace_last:
                self._count -= 1
            for record in records:
                at = self._count % self._slots * SIZE
                self._data[at : at + SIZE] = record
                self._count += 1

    @property
    def oldest(self) -> int | None:
        """The offset of the oldest mark here."""
        with self._lock:
            return self._offset(max(0, self._count - self._slots)) if self._count else None

    def lines_at(self, offset: int) -> int | None:
        """How many lines had ended where a mark begins; None when none begins there. (Its bytes may be gone by now.)"""
        with self._lock:
            number = self._after(offset) - 1
            if number < max(0, self._count - self._slots) or self._offset(number) != offset:
                return None
            return unpack(self._data, number % self._slots * SIZE).lines

    def since(self, offset: int, limit: int, most: int = 4096) -> list[Mark]:
        """Marks that end after `offset` and begin before `limit`, at most so many; the first may begin before `offset`."""
        with self._lock:
            first = max(0, self._count - self._slots)
            number = max(first, self._after(offset) - 1)
            found: list[Mark] = []
            while number < self._count and len(found) < most:
                mark = unpack(self._data, number % self._slots * SIZE)
                if mark.offset >= limit:
                    break
                if mark.end > offset:
                    found.append(mark)
                number += 1
            return found

    def _offset(self, number: int) -> int:
        at = number % self._slots * SIZE
        return int.from_bytes(self._data[at : at + 8], "little")

    def _after(self, offset: int) -> int:
        """The number of the first mark that begins after `offset`."""
        low, high = max(0, self._count - self._slots), self._count
        while low < high:
            middle = (low + high) // 2
            if self._offset(middle) <= offset:
                low = middle + 1
            else:
                high = middle
        return low
