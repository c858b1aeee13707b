"""The taking side of a log at work: one thread takes bytes out of a ring, another syncs files now and then.

The ring is filled by a thread of this process (`works`) or by the launcher (`tapped`); here is no difference. Both threads
sleep while nothing happens: the first waits for the bell of whoever fills the ring, or for a command.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from typing import Final

from launcher.protocol.ring import Acks, RingReader
from launcher.protocol.wake import Wake
from supervisor.logs.guard import Guard
from supervisor.logs.intake import Intake, OnTaken
from supervisor.logs.segments import Key, Segments
from supervisor.logs.values import Keeping

SYNC_EVERY: Final = 5.0
LOOK_WHILE_PAUSED: Final = 1.0
_log: Final = logging.getLogger(__name__)
Command = Callable[[], None]


class Taking:
    """`bell` is readable when bytes have come. Nothing of what it is given is closed by it."""

    def __init__(
        self,
        name: str,
        ring: RingReader,
        acks: Acks,
        bell: int,
        segments: Segments,
        guard: Guard,
        *,
        limit: Callable[[int], int],
        on_taken: OnTaken,
        on_keeping: Callable[[Keeping], None],
        floor: int,
    ) -> None:
        self._segments = segments
        self._bell = bell
        self._control = Wake()
        self._commands: deque[Command] = deque()
        self._goal: int | None = None  # leave when so far is taken
        self._unsynced, self._stopped = Event(), Event()
        unsynced = self._unsynced

        def taken(end: int, ended: set[Key]) -> None:
            if not unsynced.is_set():
                unsynced.set()
            on_taken(end, ended)

        self.intake = Intake(
            ring, acks, segments, guard, limit=limit, on_taken=taken, on_keeping=on_keeping, floor=floor
        )
        self._threads = [
            Thread(target=body, name=f"log-{part}-{name}", daemon=True)
            for part, body in (("intake", self._take), ("sync", self._sync))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def do(self, work: Callable[[], int]) -> Future[int]:
        """Has the thread that owns the segments do something."""
        done: Future[int] = Future()

        def command() -> None:
            try:
                done.set_result(work())
            except Exception as fault:
                done.set_exception(fault)

        self._commands.append(command)
        self._control.ring()
        return done

    def close(self, goal: int) -> None:
        """Takes what the ring holds up to `goal`, then ends the threads."""
        self._goal = goal
        self._control.ring()
        for thread in self._threads:
            thread.join()
        for command in self._commands:
            command()
        self._control.close()

    def _take(self) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        poll.register(self._control.fd, select.POLLIN)
        intake = self.intake
        while True:
            leaving = self._goal is not None
            while intake.step():
                if self._commands or self._done():
                    break
            if self._commands:
                self._commands.popleft()()
                continue
            if leaving:
                break
            for fd, _ in poll.poll(None if intake.keeping.on else LOOK_WHILE_PAUSED * 1000):
                with contextlib.suppress(BlockingIOError):
                    os.read(fd, 65536)
        self._stopped.set()
        self._unsynced.set()

    def _done(self) -> bool:
        return self._goal is not None and self.intake.taken >= self._goal

    def _sync(self) -> None:
        while not self._stopped.is_set():
            self._unsynced.wait()
            if self._stopped.wait(SYNC_EVERY):
                return
            self._unsynced.clear()
            try:
                self._segments.sync()
            except OSError as fault:
                _log.warning("files of a log could not be synced: %s", fault)
