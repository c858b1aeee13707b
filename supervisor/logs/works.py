"""The works of a log while runs write to it through pipes of this process: ring, capture and taking.

Capture and intake each have a thread of their own, since the disk may stall while the pipes must go on being emptied, and since
it was measured to be a quarter faster than one thread that does both when a process writes as fast as it can. All threads sleep
while nothing happens.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from time import monotonic, sleep

from launcher.protocol.capture import Capture
from launcher.protocol.ring import STDERR, STDOUT, Acks, Ring, RingReader
from launcher.protocol.wake import Wake
from supervisor.logs.guard import Guard
from supervisor.logs.intake import Intake, OnTaken
from supervisor.logs.position import Position
from supervisor.logs.segments import Key, Segments
from supervisor.logs.taking import Command, Taking
from supervisor.logs.values import Keeping, LogSettings


class Works:
    def __init__(
        self,
        name: str,
        settings: LogSettings,
        position: Position,
        segments: Segments,
        guard: Guard,
        on_taken: OnTaken,
        on_keeping: Callable[[Keeping], None],
    ) -> None:
        self._position = position
        self._settings = settings
        self.runs: set[int] = set()
        self._ring = Ring.create(position.begin, settings.ring_bytes)
        self.reader = RingReader(os.dup(self._ring.fd))
        self._acks = Acks.create(position.begin)
        self._control, self._bell, self._room = Wake(), Wake(), Wake()
        room, ring = self._room, self._ring
        waits = self._waits = Event()
        enough = (
            settings.ring_bytes * 3 // 4
        )  # a waiting capture is woken for a quarter of the ring, not for every slice

        def taken(end: int, ended: set[Key]) -> None:
            if waits.is_set() and ring.end - end <= enough:
                room.ring()
            on_taken(end, ended)

        self._capture = Capture(self._ring, self._acks, log_wait=settings.log_wait, reserve=position.reserve)
        self._taking = Taking(
            name,
            self.reader,
            self._acks,
            self._bell.fd,
            segments,
            guard,
            limit=lambda: position.end,
            on_taken=taken,
            on_keeping=on_keeping,
            floor=position.floor,
        )
        self._moving: deque[Command] = deque()
        self._leaving = Event()
        self._mover = Thread(target=self._move, name=f"log-capture-{name}", daemon=True)

    @property
    def intake(self) -> Intake:
        return self._taking.intake

    def start(self) -> None:
        self._mover.start()
        self._taking.start()

    def add(self, run: int, stdout: int, stderr: int) -> None:
        self.runs.add(run)
        self._moving.append(lambda: self._capture.add(stdout, run, STDOUT))
        self._moving.append(lambda: self._capture.add(stderr, run, STDERR))
        self._control.ring()

    def release(self, run: int) -> None:
        """Lets go of the run's pipes once what they hold now is taken."""
        self._moving.append(lambda: self._capture.release(run))
        self._control.ring()

    def do(self, work: Callable[[], int]) -> Future[int]:
        """Has the thread that owns the segments do something."""
        return self._taking.do(work)

    def close(self) -> None:
        """Takes what the pipes hold, then ends the threads and closes everything."""
        self._moving.append(self._capture.release)
        self._leaving.set()
        self._control.ring()
        self._mover.join()
        self._taking.close(self._position.end)
        self._acks.close()
        self.reader.close()
        self._ring.close()
        for wake in (self._control, self._bell, self._room):
            wake.close()

    def _move(self) -> None:
        """The thread that moves bytes from the pipes into the ring."""
        poll = select.poll()
        poll.register(self._control.fd, select.POLLIN)
        polled: set[int] = set()
        give_up: float | None = None
        capture = self._capture
        while True:
            while self._moving:
                self._moving.popleft()()
            end = self._ring.end
            capture.step()
            if self._ring.end != end:
                self._position.end = self._ring.end
                self._bell.ring()
            if self._leaving.is_set() and not self._moving:
                give_up = give_up or monotonic() + 2 * self._settings.log_wait + 1
                if capture.idle or monotonic() > give_up:
                    break
            if capture.pause:
                sleep(capture.pause)
                continue
            due = capture.due()
            if due is None:
                self._waits.clear()
            elif not self._waits.is_set():
                self._waits.set()  # and look again: room may have been made before anybody could know that we wait
                continue
            wanted = set(capture.fds()) if due is None else {self._room.fd}
            for fd in polled - wanted:
                poll.unregister(fd)
            for fd in wanted - polled:
                poll.register(fd, select.POLLIN)
            polled = wanted
            timeout = None if due is None else max(0.0, due - monotonic()) * 1000 + 1
            for fd, _ in poll.poll(timeout):
                if fd == self._control.fd:
                    self._control.clear()
                elif fd == self._room.fd:
                    self._room.clear()
        capture.abandon()
        self._position.end = self._ring.end
        self._bell.ring()
