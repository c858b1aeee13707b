"""Who moves the bytes: usually a thread that sleeps on the pipes; in a flood the thread that takes them in does it along the way.

Two threads that hand bytes to each other for every quarter of a megabyte spend more on the handing over than on the bytes
(measured: 0.45 s of processor time for 500 MB instead of 0.30 s). So when a step brought much, the mover lends the capture to
the taker, which then moves and takes in turns (`pull`), and looks now and then whether it still does. When the taker stands still
(its disk may hang) the mover goes on alone, so a process that writes waits no longer than it should. When the pipes have been
empty a few times the taker gives the capture back.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable
from threading import Lock
from time import monotonic, sleep
from typing import Final

from launcher.protocol.capture import REFILL, SMALL, Capture
from launcher.protocol.wake import Wake
from supervisor.logs.position import Position

WATCH: Final = 0.005  # seconds between two looks at the taker
EMPTY_MOST: Final = 5  # pipes found empty so often in a row: the flood is over
ENOUGH: Final = 256 * 1024  # while so much waits to be taken, nobody waits for more

Command = Callable[[], None]


class Mover:
    """`run` is the body of a thread. `pull` and `taken` belong to the thread that takes; everything else to any."""

    def __init__(self, capture: Capture, position: Position, bell: Wake, leave_within: float) -> None:
        self._capture = capture
        self._position = position
        self._bell = bell
        self._leave_within = leave_within
        self._commands: deque[Command] = deque()
        self._control, self._room = Wake(), Wake()
        self._lock = Lock()  # held by whoever uses the capture
        self._lent = False
        self._pulls = 0
        self._takes = 0
        self._waits = False  # for room in the ring
        self._leaving = False
        self._capacity = capture.ring.data_bytes

    def do(self, command: Command) -> None:
        """Has the mover do something with the capture, soon."""
        self._commands.append(command)
        self._control.ring()

    def leave(self) -> None:
        """Ends `run` when the pipes are let go."""
        self._leaving = True
        self._control.ring()

    def close(self) -> None:
        self._control.close()
        self._room.close()

    def taken(self, end: int) -> None:
        """A mover that waits for room is woken for a quarter of the ring, not for every slice."""
        self._takes += 1
        if self._waits and self._capture.ring.end - end <= self._capacity * 3 // 4:
            self._room.ring()

    def pull(self, taken: int) -> int:
        """Up to where bytes may be taken; in a flood moves some more first, or waits a moment for them."""
        if self._lent and self._lock.acquire(blocking=False):
            try:
                self._pull(taken)
            finally:
                self._lock.release()
        return self._position.end

    def _pull(self, taken: int) -> None:
        for _ in range(EMPTY_MOST):
            if not self._lent:
                return
            if self._capture.pause and self._position.end - taken < ENOUGH:
                sleep(self._capture.pause)
            moved = self._step()
            self._pulls += 1
            if moved or self._position.end > taken:
                return
            sleep(REFILL)
        self._lent = False
        self._control.ring()

    def _step(self) -> int:
        moved = self._capture.step()
        self._position.end = self._capture.ring.end
        return moved

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._control.fd, select.POLLIN)
        polled: set[int] = set()
        give_up: float | None = None
        takes = -1
        while True:
            with self._lock:
                while self._commands:
                    self._commands.popleft()()
                end = self._position.end
                moved = self._step()
            if self._position.end != end:
                self._bell.ring()
            if self._leaving and not self._commands:
                give_up = give_up or monotonic() + self._leave_within
                if self._capture.idle or monotonic() > give_up:
                    break
            if (moved >= SMALL or self._capture.pause) and self._takes != takes:
                takes = self._lend()
                continue
            if self._capture.pause:
                sleep(self._capture.pause)
                continue
            polled = self._sleep(poll, polled)
        with self._lock:
            self._capture.abandon()
            self._position.end = self._capture.ring.end
        self._bell.ring()

    def _lend(self) -> int:
        """Leaves the capture to the taker for as long as it uses it. Returns how often it had taken when it came back."""
        poll = select.poll()
        poll.register(self._control.fd, select.POLLIN)
        self._lent = True
        self._bell.ring()
        while True:
            pulls = self._pulls
            if poll.poll(WATCH * 1000):
                self._control.clear()
                break
            if self._pulls == pulls or not self._lent:
                break
        self._lent = False
        return self._takes

    def _sleep(self, poll: select.poll, polled: set[int]) -> set[int]:
        """Until the pipes have something, or there is room again, or the time has come, or somebody calls."""
        due = self._capture.due()
        if due is None:
            self._waits = False
        elif not self._waits:
            self._waits = (
                True  # and look again: room may have been made before anybody could know that we wait
            )
            return polled
        wanted = set(self._capture.fds()) if due is None else {self._room.fd}
        for fd in polled - wanted:
            poll.unregister(fd)
        for fd in wanted - polled:
            poll.register(fd, select.POLLIN)
        timeout = None if due is None else max(0.0, due - monotonic()) * 1000 + 1
        for fd, _ in poll.poll(timeout):
            if fd == self._control.fd:
                self._control.clear()
            elif fd == self._room.fd:
                self._room.clear()
        return wanted
