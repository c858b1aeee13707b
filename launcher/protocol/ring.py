"""The ring: bytes of output in shared memory, with an index of chunks that says whose they are and when they came.

One writer (the keeper of the process), any number of readers (the daemon), which may live in other processes: the whole is
one memory file {header, index, data}. Bytes have absolute offsets that only grow; offset `o` lies at `o % data_bytes`.
The valid part is [start, end). The index has a fixed number of slots; slot `i` of chunk number `n` is `n % slots`. A chunk
reaches to the next one's offset, the last one to `end`, so it can grow without a word being written but `end`. One slot is always
free for the next chunk, so of the others none is ever half written.

Order of the writer: raise `start` past what is about to be overwritten, write the data, fill the slot, raise `count`, raise
`end`. A reader takes `end` first, then `count`, copies, and then looks whether `start` has passed what it copied. Words are
8 bytes, aligned, and stored by one instruction.

The writer need not map the data: `data_fd` and `place` are enough for `splice` and `pwrite`.
"""

from __future__ import annotations

import mmap
import os

from launcher.protocol.words import Final, NamedTuple

MAGIC: Final = int.from_bytes(b"ATTRING1", "little")
HEADER: Final = 4096
SLOT_WORDS: Final = 3
HAS_MEMFD: Final = hasattr(os, "memfd_create")

# words of the header
_MAGIC, _DATA, _SLOTS, _BASE, _START, _END, _COUNT, _CLOSED = range(8)

STDOUT: Final = 1
STDERR: Final = 2
EOF: Final = 1  # flag of a chunk: one "\n" that the writer added because the stream ended


class Chunk(NamedTuple):
    """A stretch of bytes of one stream of one run that came at about one time."""

    offset: int
    end: int
    run: int  # a number below 2**32 that the daemon gave
    stream: int
    flags: int
    at: int  # wall time, nanoseconds


def memory_file(name: str, size: int, *, memfd: bool = HAS_MEMFD) -> int:
    """A descriptor of `size` zero bytes that lives in memory (where the system has no memfd: an unlinked file)."""
    if memfd:
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    else:
        import tempfile  # costs more memory than all the rest, and is wanted by few

        fd, path = tempfile.mkstemp(prefix=f"{name}-")
        os.unlink(path)
    os.ftruncate(fd, size)
    return fd


class _Mapped:
    """The words of the header and of the index, and how to take them down again."""

    def __init__(self, fd: int, *, write: bool, data: bool) -> None:
        with mmap.mmap(fd, HEADER, prot=mmap.PROT_READ) as header:
            words = memoryview(header).cast("Q")
            magic, self.data_bytes, self.slots = words[_MAGIC], words[_DATA], words[_SLOTS]
            words.release()
        if magic != MAGIC:
            raise ValueError("not a ring of this form")
        self.fd = fd
        self.data_at = data_at(self.slots)
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        self._map = mmap.mmap(fd, self.data_at + (self.data_bytes if data else 0), prot=prot)
        whole = memoryview(self._map)
        self.words = whole[:HEADER].cast("Q")
        self.index = whole[HEADER : self.data_at].cast("Q")
        self.data = whole[self.data_at :]
        whole.release()

    @property
    def start(self) -> int:
        return self.words[_START]

    @property
    def end(self) -> int:
        return self.words[_END]

    @property
    def count(self) -> int:
        return self.words[_COUNT]

    @property
    def closed(self) -> bool:
        return bool(self.words[_CLOSED])

    def slot_offset(self, number: int) -> int:
        return self.index[number % self.slots * SLOT_WORDS]

    def close(self) -> None:
        """Takes the mapping down and closes the descriptor."""
        for view in (self.words, self.index, self.data):
            view.release()
        self._map.close()
        os.close(self.fd)


def data_at(slots: int) -> int:
    """Where the data begins in a ring of so many slots: after the header and the index, on a page."""
    return HEADER + (slots * SLOT_WORDS * 8 + HEADER - 1) // HEADER * HEADER


class Ring(_Mapped):
    """The writer's side. `room` and `begin` before the bytes are moved, `commit` after."""

    @classmethod
    def create(
        cls,
        base: int,
        data_bytes: int = 16 << 20,
        slots: int = 32768,
        *,
        map_data: bool = True,
        memfd: bool = HAS_MEMFD,
    ) -> Ring:
        """An empty ring whose first byte will have the offset `base`. `slots` is at least 3."""
        fd = memory_file("att-ring", data_at(slots) + data_bytes, memfd=memfd)
        with mmap.mmap(fd, HEADER) as header:
            words = memoryview(header).cast("Q")
            words[_DATA], words[_SLOTS], words[_BASE] = data_bytes, slots, base
            words[_START] = words[_END] = base
            words[_MAGIC] = MAGIC
            words.release()
        return cls(fd, map_data=map_data)

    def __init__(self, fd: int, *, map_data: bool = True) -> None:
        super().__init__(fd, write=True, data=map_data)
        self._last = (0, 0, 0, 0)  # run, stream, flags, wall time of the newest chunk

    def room(self, floor: int) -> int:
        """How many bytes can be added before one at or after `floor` would be overwritten (or its slot)."""
        count = self.count
        if count >= self.slots - 1 and self.slot_offset(count - self.slots + 2) > floor:
            return 0  # the slot that a new chunk would cost tells about bytes that are wanted
        return max(0, self.data_bytes - (self.end - max(floor, self.start)))

    def place(self, want: int) -> tuple[int, int]:
        """Where in the data the next bytes go, and how many of `want` fit there in one stretch."""
        at = self.end % self.data_bytes
        return at, min(want, self.data_bytes - at)

    def begin(self, want: int) -> None:
        """Declares the bytes that `want` more would overwrite invalid. To be called before they are moved."""
        start = self.end + want - self.data_bytes
        count = self.count
        if count >= self.slots - 1:
            start = max(start, self.slot_offset(count - self.slots + 2))
        if start > self.words[_START]:
            self.words[_START] = start

    def commit(
        self, moved: int, run: int, stream: int, flags: int, at: int, join_within: int = 1_000_000
    ) -> None:
        """Makes `moved` bytes valid. They join the last chunk if it is of the same stream and younger than `join_within` ns."""
        last = self._last
        joins = (
            self.count and last[:3] == (run, stream, flags) and 0 <= at - last[3] <= join_within and not flags
        )
        if not joins:
            count = self.count
            slot = count % self.slots * SLOT_WORDS
            self.index[slot] = self.end
            self.index[slot + 1] = at
            self.index[slot + 2] = run << 16 | stream << 8 | flags
            self.words[_COUNT] = count + 1
            self._last = (run, stream, flags, at)
        self.words[_END] += moved

    def append(self, data: bytes, run: int, stream: int, flags: int, at: int) -> None:
        """Adds a few bytes, whatever they overwrite (a mark that must not wait)."""
        self.begin(len(data))
        while data:
            place, n = self.place(len(data))
            if self.data:
                self.data[place : place + n] = data[:n]
            else:
                os.pwrite(self.fd, data[:n], self.data_at + place)
            self.commit(n, run, stream, flags, at)
            data = data[n:]

    def finish(self) -> None:
        """Says that nothing more will come."""
        self.words[_CLOSED] = 1


class RingReader(_Mapped):
    """The reader's side: maps everything read-only. Owns the descriptor that it is given."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, write=False, data=True)

    def close(self) -> None:
        """Closes the descriptor. The mapping goes with its last user, since another thread may be copying from it."""
        os.close(self.fd)

    def chunks(self, number: int, limit: int = 1024) -> tuple[list[Chunk], int]:
        """Chunks from `number` on (or from the oldest that is still told of), and the number of the first one given.

        The last of all may grow later: it is to be asked for again by its number.
        """
        end = self.end
        count = self.count
        first = max(number, count - self.slots + 1, 0)
        stop = min(count, first + limit)
        found: list[Chunk] = []
        for n in range(first, stop):
            slot = n % self.slots * SLOT_WORDS
            offset, at, key = self.index[slot : slot + SLOT_WORDS]
            until = self.slot_offset(n + 1) if n + 1 < count else end
            if offset >= end:
                break
            found.append(Chunk(offset, min(until, end), key >> 16, key >> 8 & 255, key & 255, at))
        oldest = self.count - self.slots + 1
        if oldest > first:  # the writer went over the first ones while we read
            found = found[oldest - first :]
            first = oldest
        return found, first

    def number_at(self, offset: int) -> int:
        """The number of the chunk that holds an offset; of the oldest one told of when none does."""
        low = oldest = max(0, self.count - self.slots + 1)
        high = self.count
        while low < high:
            middle = (low + high) // 2
            if self.slot_offset(middle) <= offset:
                low = middle + 1
            else:
                high = middle
        return max(oldest, low - 1)

    def views(self, a: int, b: int) -> list[memoryview]:
        """The memory of [a, b), one stretch or two. Look at `start` after use: what lies before it is not what it was."""
        place = a % self.data_bytes
        n = b - a
        if place + n <= self.data_bytes:
            return [self.data[place : place + n]]
        return [self.data[place:], self.data[: place + n - self.data_bytes]]

    def copy(self, a: int, b: int) -> bytes | None:
        """The bytes of [a, b); None when they are no longer all there."""
        taken = b"".join(self.views(a, b))
        return taken if a >= self.start and b <= self.end else None


class Acks:
    """A page that the reader writes and the writer reads: up to where bytes are taken and need not be held any more."""

    def __init__(self, fd: int, *, write: bool) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, HEADER, prot=mmap.PROT_READ | (mmap.PROT_WRITE if write else 0))
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, kept: int, *, memfd: bool = HAS_MEMFD) -> Acks:
        acks = cls(memory_file("att-acks", HEADER, memfd=memfd), write=True)
        acks.kept = kept
        return acks

    @property
    def kept(self) -> int:
        return self._words[0]

    @kept.setter
    def kept(self, offset: int) -> None:
        self._words[0] = offset

    @property
    def drop(self) -> bool:
        """The reader asks not to make anybody wait: the oldest bytes may go at once."""
        return bool(self._words[1])

    @drop.setter
    def drop(self, on: bool) -> None:
        self._words[1] = on

    def close(self) -> None:
        self._words.release()
        self._map.close()
        os.close(self.fd)
