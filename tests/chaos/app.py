"""The app of the chaos: numbered lines, 5,000 a second on stdout and 50 on stderr, and a child that nobody waits for.

What it is about to write and what it has written stands in a file that is mapped, so it survives any death: a reader knows to the
byte what must be there. The child (forked twice, in a session of its own) holds the pipes and the lock as well: whoever begins
before all of the last run is gone finds the lock taken, says so in `second`, and leaves.

    python -m tests.chaos.app FOLDER LINES_PER_SECOND
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path

LINE = 24
TICK = 0.004
BEHIND = 0.25  # seconds of lines that are made up for after a pause
ERR_EVERY = 100
COUNTS = struct.Struct(
    "<6Q"
)  # pid, and after it for stdout and stderr: bytes begun, bytes written; when it was born


def line(number: int, word: bytes) -> bytes:
    return b"%010d %-12s\n" % (number, word)


class Pen:
    """One stream, and the places in the map where its counts stand."""

    def __init__(self, fd: int, word: bytes, notes: mmap.mmap, at: int) -> None:
        self._fd, self._word, self._notes, self._at = fd, word, notes, at
        self.number = self._done = 0

    def write(self, count: int) -> None:
        data = b"".join(line(n, self._word) for n in range(self.number, self.number + count))
        self.number += count
        self._note(self._at, self.number * LINE)
        while data:
            wrote = os.write(self._fd, data)
            data = data[wrote:]
            self._done += wrote
            self._note(self._at + 8, self._done)

    def _note(self, at: int, value: int) -> None:
        struct.pack_into("<Q", self._notes, at, value)


def leave_a_child() -> None:
    """Forked twice: nobody's child, in its own session, with our pipes and our lock."""
    first = os.fork()
    if first == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                signal.pause()
        os._exit(0)
    os.waitpid(first, 0)


def main() -> int:
    folder, rate = Path(sys.argv[1]), int(sys.argv[2])
    run = os.environ["ATT_RUN"]
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with (folder / "second").open("a") as told:
            told.write(f"{run} {os.getpid()}\n")
        return 3
    path = folder / "runs" / run
    path.write_bytes(COUNTS.pack(os.getpid(), 0, 0, 0, 0, time.monotonic_ns()))
    with path.open("r+b") as file:
        notes = mmap.mmap(file.fileno(), COUNTS.size)
    leave_a_child()
    out, err = Pen(1, b"out", notes, 8), Pen(2, b"err", notes, 24)
    began, ticks = time.monotonic(), 0
    while True:
        time.sleep(TICK)
        now = time.monotonic()
        due = int((now - began) * rate) - out.number
        if due > BEHIND * rate:
            began += (due - BEHIND * rate) / rate
            due = int(BEHIND * rate)
        ticks += 1
        for size in [1] * due if ticks % 16 == 0 else [due] * (due > 0):
            out.write(size)
        err.write(out.number // ERR_EVERY - err.number)


if __name__ == "__main__":
    sys.exit(main())
