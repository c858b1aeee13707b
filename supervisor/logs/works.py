"""The works of a log while runs write to it through pipes of this process: ring, capture and taking.

Moving and taking each have a thread of their own, since the disk may stall while the pipes must go on being emptied. All threads
sleep while nothing happens.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

from launcher.protocol.capture import Capture
from launcher.protocol.ring import STDERR, STDOUT, Acks, Ring, RingReader
from launcher.protocol.wake import Wake
from supervisor.logs.guard import Guard
from supervisor.logs.intake import Intake, OnTaken
from supervisor.logs.mover import Mover
from supervisor.logs.position import Position
from supervisor.logs.segments import Key, Segments
from supervisor.logs.taking import Taking
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
        self._bell = Wake()
        self._capture = Capture(self._ring, self._acks, log_wait=settings.log_wait, reserve=position.reserve)
        self._mover = mover = Mover(self._capture, position, self._bell, 2 * settings.log_wait + 1)

        def taken(end: int, ended: set[Key]) -> None:
            mover.taken(end)
            on_taken(end, ended)

        self._taking = Taking(
            name,
            self.reader,
            self._acks,
            self._bell.fd,
            segments,
            guard,
            limit=mover.pull,
            on_taken=taken,
            on_keeping=on_keeping,
            floor=position.floor,
        )
        self._thread = Thread(target=mover.run, name=f"log-capture-{name}", daemon=True)

    @property
    def intake(self) -> Intake:
        return self._taking.intake

    def start(self) -> None:
        self._thread.start()
        self._taking.start()

    def add(self, run: int, stdout: int, stderr: int) -> None:
        self.runs.add(run)

        def both() -> None:
            self._capture.add(stdout, run, STDOUT)
            self._capture.add(stderr, run, STDERR)

        self._mover.do(both)

    def release(self, run: int) -> None:
        """Lets go of the run's pipes once what they hold now is taken."""
        self._mover.do(lambda: self._capture.release(run))

    def do(self, work: Callable[[], int]) -> Future[int]:
        """Has the thread that owns the segments do something."""
        return self._taking.do(work)

    def close(self) -> None:
        """Takes what the pipes hold, then ends the threads and closes everything."""
        self._mover.do(self._capture.release)
        self._mover.leave()
        self._thread.join()
        self._taking.close(self._position.end)
        self._acks.close()
        self.reader.close()
        self._ring.close()
        self._bell.close()
        self._mover.close()
