"""Offsets that were in use, remembered across every kind of death, so that none is given to another byte.

One small file, mapped. `end` is stored as bytes come in: it outlives a killed process, so after one the next life goes on
exactly there. A machine that dies may have lost it; therefore a range is `reserved` ahead of use and that word is on the disk
before the first offset of the range is given out; after such a death the next life goes on from there.

The file is locked by whoever writes the log, for as long as that process lives: a life that was stopped and is woken after
another took over finds nothing that it may write to, and no two write at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from hashlib import blake2s
from pathlib import Path
from time import monotonic
from typing import Final

from supervisor.logs.errors import LogUnusable

MAGIC: Final = int.from_bytes(b"ATTPOS01", "little")
SIZE: Final = 4096
STEP: Final = 64 << 20
LARGEST_STEP: Final = 16 << 30
_MAGIC, _RESERVED, _END, _CLEAN, _BOOT, _FLOOR = range(6)


def boot_id() -> int:
    """A number that differs after each start of the machine."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:  # not Linux: the time since which the clock counts will do
        import psutil

        text = str(int(psutil.boot_time())).encode()
    return int.from_bytes(blake2s(text, digest_size=8).digest(), "little")


class Position:
    """`end` may be stored by the thread that captures and by the one that takes in; the rest by the latter alone."""

    def __init__(self, path: Path, boot: int | None = None) -> None:
        boot = boot_id() if boot is None else boot
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise LogUnusable(f"{path}: {fault.strerror}") from fault
        try:
            new = os.fstat(self._fd).st_size == 0
            if new:
                os.write(self._fd, bytes(SIZE))
                os.fsync(self._fd)  # now, so that a full disk shows here and not in the mapping
            self._map = mmap.mmap(self._fd, SIZE)
        except (OSError, ValueError) as fault:
            os.close(self._fd)
            raise LogUnusable(f"{path}: {fault}") from fault
        self._words = memoryview(self._map).cast("Q")
        if new or self._words[_MAGIC] == 0:
            self._words[_CLEAN] = 1
            self._words[_MAGIC] = MAGIC
        elif self._words[_MAGIC] != MAGIC:
            self.close()
            raise LogUnusable(f"{path}: of a form that this version does not know")
        self._next_step = STEP
        self._reserved_at = 0.0
        known = self._words[_CLEAN] or self._words[_BOOT] == boot
        self.clean = bool(self._words[_CLEAN])
        self.begin = self._words[_END] if known else max(self._words[_RESERVED], self._words[_END])
        self._boot = boot
        self._floor = self._words[_FLOOR]

    def lock(self) -> bool:
        """From now on nobody else can, until this process ends. False when somebody else has."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    @property
    def end(self) -> int:
        return self._words[_END]

    @end.setter
    def end(self, offset: int) -> None:
        self._words[_END] = offset

    @property
    def floor(self) -> int:
        """What lies before it was deleted."""
        return self._floor

    @floor.setter
    def floor(self, offset: int) -> None:
        self._floor = self._words[_FLOOR] = offset
        self._sync()

    def start(self, begin: int) -> None:
        """This life gives out offsets from `begin` on."""
        self.begin = begin
        self._words[_END] = begin
        self._words[_BOOT] = self._boot
        self._words[_CLEAN] = 0
        self.reserve(begin + 1)

    def go_on(self, end: int) -> None:
        """This life goes on with offsets that another process gives out; they have come to `end`."""
        self._words[_END] = max(self._words[_END], end)
        self._words[_BOOT] = self._boot
        self._words[_CLEAN] = 0
        self.reserve(end + 1)

    def reserve(self, end: int) -> None:
        """Returns when offsets up to `end` are safe to use. Steps grow while they are used up quickly."""
        if end <= self._words[_RESERVED] and not self._words[_CLEAN]:
            return
        now = monotonic()
        quick = now - self._reserved_at < 10
        self._next_step = min(self._next_step * 4, LARGEST_STEP) if quick else STEP
        self._reserved_at = now
        self._words[_RESERVED] = end + self._next_step
        self._sync()

    def finish(self, end: int) -> None:
        """A clean end: the next life goes on exactly here, also after the machine was off."""
        self._words[_END] = end
        self._words[_RESERVED] = end
        self._sync()
        self._words[_CLEAN] = 1
        self._sync()

    def _sync(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # a disk in trouble: good against a killed process still, not a dead machine
            os.fdatasync(self._fd)

    def close(self) -> None:
        self._words.release()
        self._map.close()
        os.close(self._fd)
