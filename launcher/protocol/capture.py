"""Capture: moves what processes write from their pipes into the ring. It knows bytes, never lines.

What it decides:
- Flow. Bytes that the reader has not taken yet (`Acks.kept`) are not overwritten: the pipe waits, and with it the process.
  But never longer than `log_wait`, or not at all when the reader says `drop`: after that the oldest bytes go, until the reader
  moves again.
- Gathering. A process that writes rarely is served at once. One that writes line by line as fast as it can is slowed by every
  wake-up that its writes cause, so while it does, `pause` asks the caller to wait a moment (at most 1 ms) before the next `step`.
- The end. At the end of a stream one byte "\\n" with the flag EOF follows: it ends a last line that has no newline.

The caller owns the loop: poll `fds()` until `due()`, sleep `pause`, call `step`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic, time_ns

from launcher.protocol.ring import EOF, Acks, Ring
from launcher.protocol.words import Any, Final

STEP: Final = 256 * 1024  # bytes moved at once from one pipe
PIPE: Final = 1 << 20
GATHER: Final = 0.001
SMALL: Final = 32 * 1024
REFILL: Final = 0.0002  # in which a process that writes large blocks fills its pipe again
STREAK: Final = 4  # so many small reads in quick succession begin the gathering
F_SETPIPE_SZ: Final = 1031
HAS_SPLICE: Final = hasattr(os, "splice")


class _Source:
    __slots__ = ("fd", "leave_after", "run", "stream")

    def __init__(self, fd: int, run: int, stream: int) -> None:
        self.fd, self.run, self.stream = fd, run, stream
        self.leave_after: int | None = None  # let go of it when it is empty, or after so many bytes more


class Capture:
    """Several pipes into one ring. Not thread-safe: one loop owns it."""

    def __init__(
        self,
        ring: Ring,
        acks: Acks,
        *,
        log_wait: float = 2.0,
        splice: bool = HAS_SPLICE,
        reserve: Callable[[int], None] = lambda end: None,
    ) -> None:
        """`reserve(end)` is called before an offset up to `end` comes into use."""
        self.ring = ring
        self.acks = acks
        self.log_wait = log_wait
        self.pause = 0.0
        self._reserve = reserve
        self._sources: dict[int, _Source] = {}
        self._splice = splice and not ring.data  # with the data mapped, readv goes straight into it
        self._buffer = memoryview(bytearray(0 if ring.data or self._splice else STEP))
        self._blocked_since: float | None = None
        self._dropping_at: int | None = None  # what the reader had taken when we began to drop
        self._last_move = 0.0
        self._streak = 0

    def add(self, fd: int, run: int, stream: int) -> None:
        """Takes over the read end of a pipe."""
        os.set_blocking(fd, False)
        _enlarge(fd)
        self._sources[fd] = _Source(fd, run, stream)

    def state(self) -> dict[str, Any]:
        """What `resume` needs after this process has executed other code, beside ring, acks and the pipes themselves."""
        return {
            "sources": [[one.fd, one.run, one.stream, one.leave_after] for one in self._sources.values()],
            "blocked_since": self._blocked_since,
            "dropping_at": self._dropping_at,
        }

    def resume(self, state: dict[str, Any]) -> None:
        self._blocked_since, self._dropping_at = state["blocked_since"], state["dropping_at"]
        for fd, run, stream, leave_after in state["sources"]:
            self._sources[fd] = _Source(fd, run, stream)
            self._sources[fd].leave_after = leave_after

    def fds(self) -> list[int]:
        """The pipes to be polled for reading; none while there is no room (the reader's bell says when there is)."""
        return [] if self._blocked_since is not None else list(self._sources)

    def due(self) -> float | None:
        """The monotonic time at which `step` must be called even if nothing happened."""
        if self._blocked_since is not None:
            return self._blocked_since + self.log_wait
        leaving = any(source.leave_after is not None for source in self._sources.values())
        return 0.0 if leaving else None  # an empty pipe that is to be let go makes no sound

    @property
    def idle(self) -> bool:
        """No pipe is left."""
        return not self._sources

    def release(self, run: int | None = None) -> None:
        """Lets go of the pipes of a run (None: of all) once what they hold now is taken, though somebody may hold them still."""
        for source in self._sources.values():
            if run is None or source.run == run:
                source.leave_after = PIPE

    def abandon(self) -> None:
        """Closes every pipe now, with an end mark for each, and says that nothing more will come."""
        for source in list(self._sources.values()):
            self._end(source)
        self.ring.finish()

    def step(self, now: float | None = None) -> int:
        """Moves what is there, at most `STEP` bytes from each pipe; returns how many bytes came. Sets `pause`."""
        now = monotonic() if now is None else now
        floor = self._floor(now)
        moved = 0
        for source in list(self._sources.values()):
            moved += self._move(source, floor)
        self._gather(moved, now)
        return moved

    def _floor(self, now: float) -> int:
        """The offset from which on bytes must not be overwritten."""
        kept = self.acks.kept
        if self._dropping_at is not None and kept == self._dropping_at:
            return self.ring.end
        self._dropping_at = None
        if self.acks.drop:
            self._blocked_since = None
            return self.ring.end
        if self.ring.room(kept) > 0:
            self._blocked_since = None
            return kept
        if self._blocked_since is None:
            self._blocked_since = now
        if now - self._blocked_since < self.log_wait:
            return kept
        self._blocked_since = None
        self._dropping_at = kept
        return self.ring.end

    def _move(self, source: _Source, floor: int) -> int:
        """One read from one pipe into the ring; 0 when there is nothing, no room, or the stream ended."""
        ring = self.ring
        place, want = ring.place(min(STEP, ring.room(min(floor, ring.end))))
        if want == 0:
            return 0
        self._reserve(ring.end + want + 1)
        ring.begin(want)
        try:
            moved = self._read(source.fd, place, want)
        except BlockingIOError:
            if source.leave_after is not None:
                self._end(source)
            return 0
        except OSError:  # whatever this descriptor is, nothing can be read from it
            moved = 0
        if moved == 0:
            self._end(source)
            return 0
        ring.commit(moved, source.run, source.stream, 0, time_ns())
        if source.leave_after is not None:
            source.leave_after -= moved
            if source.leave_after <= 0:
                self._end(source)
        return moved

    def _read(self, fd: int, place: int, want: int) -> int:
        ring = self.ring
        if ring.data:
            return os.readv(fd, [ring.data[place : place + want]])
        if self._splice:
            return os.splice(fd, ring.fd, want, offset_dst=ring.data_at + place, flags=os.SPLICE_F_NONBLOCK)
        moved = os.readv(fd, [self._buffer[:want]])
        return os.pwrite(ring.fd, self._buffer[:moved], ring.data_at + place) if moved else 0

    def _end(self, source: _Source) -> None:
        self._reserve(self.ring.end + 1)
        self.ring.append(b"\n", source.run, source.stream, EOF, time_ns())
        del self._sources[source.fd]
        os.close(source.fd)

    def _gather(self, moved: int, now: float) -> None:
        """Pipes that are found nearly empty again and again: let bytes gather, for longer where little comes at a time.

        After a read as large as it may be there is more: go on at once.
        """
        gathered = self.pause
        self.pause = 0.0
        if not moved:
            self._streak = 0
            return
        between = now - self._last_move
        self._last_move = now
        if moved >= STEP:
            return
        self._streak = self._streak + 1 if between <= gathered + GATHER else 0
        if self._streak >= STREAK:
            self.pause = GATHER if moved < SMALL else REFILL


def _enlarge(fd: int) -> None:
    """A larger pipe, where the system allows: slack while nobody reads, and fewer switches."""
    import fcntl

    for size in (PIPE, PIPE // 4):
        try:
            fcntl.fcntl(fd, F_SETPIPE_SZ, size)
        except (OSError, ValueError):  # no pipe, not allowed so much, or not this system
            continue
        return
