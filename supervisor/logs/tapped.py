"""The works of a log whose runs write to a ring of the launcher's: only the taking is ours.

The ring outlives this process, and what an earlier life did not take is still in it. So the taking goes on where the segments
end, with the lines that stood open there; what the ring has lost meanwhile is counted as lost. The launcher hears through
`room` that bytes were taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from launcher.protocol.ring import Acks, RingReader
from supervisor.logs.guard import Guard
from supervisor.logs.intake import Intake, OnTaken
from supervisor.logs.position import Position
from supervisor.logs.segments import Key, Segments
from supervisor.logs.taking import Taking
from supervisor.logs.values import Keeping

ONE = (1).to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class Tap:
    """Our end of a ring that another process fills."""

    ring: RingReader
    acks: Acks
    bell: int
    room: int

    def close(self) -> None:
        self.ring.close()
        self.acks.close()
        os.close(self.bell)
        os.close(self.room)


class Tapped:
    def __init__(
        self,
        name: str,
        tap: Tap,
        position: Position,
        segments: Segments,
        guard: Guard,
        on_taken: OnTaken,
        on_keeping: Callable[[Keeping], None],
    ) -> None:
        self._tap = tap
        self.reader = ring = tap.ring

        def limit(_taken: int) -> int:
            end = ring.end
            if end > position.end:
                position.reserve(end + 1)
                position.end = end
            return end

        def taken(end: int, ended: set[Key]) -> None:
            with suppress(BlockingIOError):  # it is rung already
                os.write(tap.room, ONE)
            on_taken(end, ended)

        self._taking = Taking(
            name,
            ring,
            tap.acks,
            tap.bell,
            segments,
            guard,
            limit=limit,
            on_taken=taken,
            on_keeping=on_keeping,
            floor=position.floor,
        )

    @property
    def intake(self) -> Intake:
        return self._taking.intake

    @property
    def all_taken(self) -> bool:
        """All that has come so far can be read, and what can be kept is kept."""
        return self.intake.taken >= self.reader.end and self.intake.keeping.on

    def catch_up(self) -> int:
        """Takes what is there now, in the caller's thread, before `start`; where that ends."""
        goal = self.reader.end
        while self.intake.taken < goal and self.intake.step():
            pass
        return self.intake.taken

    def start(self) -> None:
        self._taking.start()

    def do(self, work: Callable[[], int]) -> Future[int]:
        """Has the thread that owns the segments do something."""
        return self._taking.do(work)

    def close(self) -> None:
        """Takes what the ring holds now, then ends the threads. The launcher keeps its side."""
        self._taking.close(self.reader.end)
        self._tap.close()
