"""Segments: the log on disk, written by one thread, read by any.

A segment is two files, `<offset>.log` with the bytes as they came and `<offset>.idx` with the marks. Holes in the offsets lie
between segments, never within one. Data is written before its marks, so what both cover is sound after the process was killed;
recovery cuts both to that. The index begins with a record of the lines that were open then.

Files are synced at the end of a segment, at the end of the life, and by `sync`, which any thread may call.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final

from launcher.protocol.ring import EOF
from supervisor.logs.errors import LogUnusable
from supervisor.logs.lines import FRESH, Open, advance
from supervisor.logs.marks import HEAD, MID, NONE, OPEN, SIZE, Mark, pack, unpack_sound

PIECES_MOST: Final = 1024  # that every system takes in one write
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """One pair of files. `end` grows while it is the newest."""

    folder: Path
    base: int
    end: int

    @property
    def data(self) -> Path:
        return self.folder / f"{self.base:020}.log"

    @property
    def index(self) -> Path:
        return self.folder / f"{self.base:020}.idx"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stream stands: its open line, and the offset of its newest mark."""

    open: Open = FRESH
    last: int = NONE


class Segments:
    """`all` is replaced as a whole, so any thread may read it; everything else belongs to the writer."""

    def __init__(self, folder: Path, segment_bytes: int, *, clean: bool = False) -> None:
        self.folder = folder
        self.all: tuple[Segment, ...] = ()
        self.lines = 0  # that had ended by the end of the newest segment
        self.newest_at = 0  # wall time of the newest bytes when the segments were opened
        self.standing: dict[Key, Standing] = {}
        self.ended: set[Key] = set()  # streams that ended in the newest segment, when it had to be mended
        self._segment_bytes = segment_bytes
        self._data = self._index = -1
        self._index_at = 0
        self._record = b""  # the last one of the index
        self._unsynced: list[tuple[int, int]] = []
        self._lock = Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._recover(clean)
        except OSError as fault:
            raise LogUnusable(f"{folder}: {fault.strerror}") from fault

    @property
    def end(self) -> int | None:
        return self.all[-1].end if self.all else None

    @property
    def size(self) -> int:
        """Bytes on disk, indexes included."""
        total = 0
        for segment in self.all:
            for path in (segment.data, segment.index):
                with contextlib.suppress(FileNotFoundError):
                    total += path.stat().st_size
        return total

    # writing

    def prepare(self, offset: int, lines: int, standing: dict[Key, Standing]) -> bool:
        """Before an `append` at `offset`: begins a new segment where one is due. True when it did."""
        newest = self.all[-1] if self.all else None
        goes_on = self._data >= 0 and newest is not None and newest.end == offset
        if goes_on and newest is not None and offset - newest.base < self._segment_bytes:
            return False
        self.seal()
        if newest is not None and newest.end == newest.base:  # nothing came to it
            self.all = self.all[:-1]
            _unlink(newest)
        opened = [(key, s) for key, s in standing.items() if s.open.unfinished]
        head = Mark(offset, offset + len(opened), 0, 0, 0, HEAD, lines, 0, NONE)
        records = [pack(head)]
        records += [
            pack(Mark(s.last, s.last, 0, *key, OPEN | (MID if s.open.mid else 0), 0, s.open.carry, NONE))
            for key, s in opened
        ]
        segment = Segment(self.folder, offset, offset)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        index = os.open(segment.index, flags, 0o600)
        try:
            _write_all(index, [b"".join(records)])
            data = os.open(segment.data, flags, 0o600)
        except OSError:
            os.close(index)
            segment.index.unlink()
            raise
        with self._lock:
            self._data, self._index = data, index
        self._index_at = len(records) * SIZE
        self._record = records[-1]
        self.all = (*self.all, segment)
        return True

    def append(self, data: Sequence[bytes], records: Sequence[bytes], replace_last: bool) -> None:
        """Writes bytes and their packed marks after what is there. On a fault nothing of it stays, and OSError goes on.

        With `replace_last` the first mark takes the place of the newest one, which has grown.
        """
        newest = self.all[-1]
        at = self._index_at - (SIZE if replace_last else 0)
        try:
            n = _write_all(self._data, data)
            _pwrite_all(self._index, b"".join(records), at)
        except OSError:
            self._cut(newest)
            raise
        self._index_at = at + len(records) * SIZE
        self._record = records[-1]
        self.all = (*self.all[:-1], Segment(self.folder, newest.base, newest.end + n))

    def _cut(self, newest: Segment) -> None:
        """Takes away what was written and is no part of the newest segment."""
        with contextlib.suppress(OSError):  # the disk is in trouble; recovery would cut as well
            os.ftruncate(self._data, newest.end - newest.base)
            os.lseek(self._data, newest.end - newest.base, os.SEEK_SET)
            os.ftruncate(self._index, self._index_at)
            os.pwrite(self._index, self._record, self._index_at - SIZE)

    def mend(self, standing: dict[Key, Standing], lines: int, at: int, flags: int = 0) -> list[Mark]:
        """Ends all open lines at the end of the newest segment by an EOF each; returns the marks that it wrote."""
        marks: list[Mark] = []
        if not self.all:
            return marks
        end = self.all[-1].end
        for (run, stream), s in standing.items():
            if s.open.unfinished:
                n = len(marks)
                mid = MID if s.open.mid else 0
                marks.append(
                    Mark(
                        end + n,
                        end + n + 1,
                        at,
                        run,
                        stream,
                        EOF | flags | mid,
                        lines + n,
                        s.open.carry,
                        s.last,
                    )
                )
        if marks:
            if self._data < 0:
                self._reopen()
            self.append([b"\n" * len(marks)], [pack(mark) for mark in marks], replace_last=False)
        return marks

    def seal(self) -> None:
        """Ends the newest segment. Its files stay open until they are synced, which is not for the writer to wait for."""
        if self._data >= 0:
            with self._lock:
                self._unsynced.append((self._data, self._index))
                self._data = self._index = -1

    def sync(self) -> None:
        """Brings everything written so far to the disk itself. From any thread."""
        with self._lock:
            waiting, self._unsynced = self._unsynced, []
            if self._data >= 0:
                waiting.append((os.dup(self._data), os.dup(self._index)))
        for fds in waiting:
            for fd in fds:
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)

    def close(self) -> None:
        self.seal()
        self.sync()

    def delete(self, before: int) -> None:
        """Deletes what lies before the offset; the segment in which it lies is written anew from there."""
        from supervisor.logs.reader import disk_marks, read_disk

        kept = [s for s in self.all if s.end > before]
        gone = [s for s in self.all if s.end <= before]
        if gone and gone[-1] is self.all[-1]:
            self.seal()
        if kept and kept[0].base < before:
            old = kept[0]
            if old is self.all[-1]:
                self.seal()
            marks = disk_marks(old, before, old.end)
            marks[0] = clip(marks[0], read_disk(old, marks[0].offset, before))
            new = Segment(self.folder, before, old.end)
            head = Mark(before, before, 0, 0, 0, HEAD, marks[0].lines, 0, NONE)
            _copy(old, new, [head, *marks])
            kept[0] = new
            gone.append(old)
        self.all = tuple(kept)
        for segment in gone:
            _unlink(segment)

    # recovering

    def _recover(self, clean: bool) -> None:
        for path in self.folder.glob("*.new"):
            path.unlink()
        found = sorted(int(p.stem) for p in self.folder.glob("*.log") if p.stem.isdigit())
        newest = None
        while found and newest is None:
            newest = self._sound(Segment(self.folder, found[-1], found[-1]), trust=clean, last=True)
            if newest is None:
                found.pop()
        segments: list[Segment] = []
        for base in found:
            segment = newest
            if newest is not None and base != newest.base:
                segment = self._sound(Segment(self.folder, base, base), trust=True, last=False)
            if segment is None:
                continue
            while segments and segments[-1].end > segment.base:  # a deletion that was not finished
                _unlink(segments.pop())
            segments.append(segment)
        for path in self.folder.glob("*.idx"):
            if path.stem.isdigit() and int(path.stem) not in {s.base for s in segments}:
                path.unlink()
        self.all = tuple(segments)

    def _sound(self, segment: Segment, trust: bool, last: bool) -> Segment | None:
        """The segment cut to what data and index both cover; None (and no files) when that is nothing."""
        size = segment.data.stat().st_size
        try:
            with open(segment.index, "rb") as file:
                length = file.seek(0, os.SEEK_END)
                file.seek(max(0, length - SIZE) // SIZE * SIZE)
                tail = unpack_sound(file.read(SIZE))
                if trust and length % SIZE == 0 and tail and tail[0].end == segment.base + size:
                    segment = replace(segment, end=segment.base + size)
                    if last:
                        self._stand(segment, [], tail)
                    return segment
                file.seek(0)
                marks = unpack_sound(file.read())
        except FileNotFoundError:
            marks = []
        heads = [m for m in marks if m.flags & (HEAD | OPEN)]
        body = [m for m in marks[len(heads) :] if m.offset < segment.base + size]
        if not heads or not body:
            _unlink(segment)
            return None
        end = min(body[-1].end, segment.base + size)
        body[-1] = body[-1]._replace(end=end)
        os.truncate(segment.data, end - segment.base)
        os.truncate(segment.index, (len(heads) + len(body)) * SIZE)
        with open(segment.index, "r+b") as file:
            file.seek(-SIZE, os.SEEK_END)
            file.write(pack(body[-1]))
        segment = replace(segment, end=end)
        if last:
            self._stand(segment, heads[1:], body)
        return segment

    def _stand(self, segment: Segment, opened: list[Mark], body: list[Mark]) -> None:
        """How each stream stands at the end of the segment."""
        from supervisor.logs.reader import read_disk

        newest = {mark.key: mark for mark in body}
        for mark in opened:
            self.standing[mark.key] = Standing(Open(mark.carry, bool(mark.flags & MID)), mark.offset)
        for key, mark in newest.items():
            state, n = after(mark, read_disk(segment, mark.offset, mark.end))
            if mark is body[-1]:
                self.newest_at = mark.at
                self.lines = mark.lines + n
            if mark.eof:
                self.standing.pop(key, None)
                self.ended.add(key)
            else:
                self.standing[key] = Standing(state, mark.offset)

    def _reopen(self) -> None:
        """Goes on with the newest segment."""
        newest = self.all[-1]
        data = os.open(newest.data, os.O_RDWR | os.O_CLOEXEC)
        os.lseek(data, 0, os.SEEK_END)
        index = os.open(newest.index, os.O_RDWR | os.O_CLOEXEC)
        self._index_at = os.fstat(index).st_size
        self._record = os.pread(index, SIZE, self._index_at - SIZE)
        with self._lock:
            self._data, self._index = data, index


def after(mark: Mark, data: bytes, before: Open | None = None) -> tuple[Open, int]:
    """The open line after a mark's bytes, and how many lines and pieces ended in them."""
    if mark.eof:
        return FRESH, int(mark.unfinished)
    return advance(Open(mark.carry, bool(mark.flags & MID)) if before is None else before, data)


def clip(mark: Mark, head: bytes) -> Mark:
    """The mark without its first bytes, which are `head`."""
    if not head:
        return mark
    state, n = after(mark, head)
    flags = mark.flags & ~MID | (MID if state.mid else 0)
    return mark._replace(
        offset=mark.offset + len(head), lines=mark.lines + n, carry=state.carry, flags=flags, prev=NONE
    )


def _write_all(fd: int, data: Sequence[bytes | memoryview]) -> int:
    total = sum(map(len, data))
    done = os.writev(fd, data if len(data) <= PIECES_MOST else [b"".join(data)])
    if done < total:
        rest = memoryview(b"".join(data))[done:]
        while rest:
            rest = rest[os.write(fd, rest) :]
    return total


def _pwrite_all(fd: int, data: bytes, at: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], at + done)


def _copy(old: Segment, new: Segment, records: list[Mark]) -> None:
    """Writes the end of a segment as a new one. Its data takes its name last, and is on the disk by then."""
    data, index = new.data.with_suffix(".log.new"), new.index.with_suffix(".idx.new")
    with open(old.data, "rb") as source, open(data, "wb", opener=_private) as target:
        source.seek(new.base - old.base)
        while block := source.read(1 << 20):
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    with open(index, "wb", opener=_private) as file:
        file.write(b"".join(map(pack, records)))
        file.flush()
        os.fsync(file.fileno())
    index.replace(new.index)
    data.replace(new.data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _unlink(segment: Segment) -> None:
    segment.data.unlink(missing_ok=True)
    segment.index.unlink(missing_ok=True)
