"""One log's bytes: the pipes of its runs are emptied into a ring in shared memory, whatever daemon lives or
hangs.

The launcher is the only reader of the pipes and the only writer of the ring. It knows bytes; lines are the
daemon's. The ring is not mapped here beyond its head and index, so the launcher stays small. `bell` tells
the daemon that bytes have come, `room` tells us that it has taken some.
"""

from __future__ import annotations

import time

from launcher.poller import READ, Poller, Timer
from launcher.protocol.capture import Capture
from launcher.protocol.ring import STDERR, STDOUT, Acks, Ring
from launcher.protocol.wake import Wake
from launcher.protocol.words import Any


class Tap:
    """Made on the daemon's word at its offset `base`; it lives on over deaths of daemons, until `close`."""

    def __init__(
        self, poller: Poller, ring: Ring, acks: Acks, bell: Wake, room: Wake, log_wait: float
    ) -> None:
        self._poller, self.ring, self.acks, self.bell, self.room = poller, ring, acks, bell, room
        self._capture = Capture(ring, acks, log_wait=log_wait)
        self._polled: set[int] = set()
        self._timer: Timer | None = None

    @classmethod
    def create(cls, poller: Poller, base: int, ring_bytes: int, slots: int, log_wait: float) -> Tap:
        ring = Ring.create(base, ring_bytes, slots, map_data=False)
        return cls(poller, ring, Acks.create(base), Wake(), Wake(), log_wait)

    @classmethod
    def resume(cls, poller: Poller, state: dict[str, Any]) -> Tap:
        """The same one again, after this process has executed other code: not a byte has gone another way."""
        ring, acks = Ring(state["ring"], map_data=False), Acks(state["acks"], write=True)
        bell, room = Wake.resume(*state["bell"]), Wake.resume(*state["room"])
        tap = cls(poller, ring, acks, bell, room, state["log_wait"])
        tap._capture.resume(state["capture"])
        poller.after(0, tap._step)
        return tap

    def state(self) -> dict[str, Any]:
        return {
            "ring": self.ring.fd,
            "acks": self.acks.fd,
            "bell": [self.bell.fd, self.bell.ring_fd],
            "room": [self.room.fd, self.room.ring_fd],
            "log_wait": self._capture.log_wait,
            "capture": self._capture.state(),
        }

    def handles(self) -> list[int]:
        """What the daemon gets: ring, acks, the bell to wait on, the room to ring."""
        return [self.ring.fd, self.acks.fd, self.bell.fd, self.room.ring_fd]

    def add(self, run: int, stdout: int, stderr: int) -> None:
        self._capture.add(stdout, run, STDOUT)
        self._capture.add(stderr, run, STDERR)
        self._arm()

    def release(self, run: int) -> None:
        """Take what the run's pipes hold and let go of them: somebody who is none of the run holds them."""
        self._capture.release(run)
        self._step()

    def close(self) -> None:
        """Every pipe is let go with an end mark.

        The daemon that still maps the ring can read it to its end.
        """
        if self._timer is not None:
            self._timer.cancel()
        for fd in self._polled:
            self._poller.forget(fd)
        self._capture.abandon()
        self.bell.ring()
        self.ring.close()
        self.acks.close()
        self.bell.close()
        self.room.close()

    def _step(self, _mask: int = 0) -> None:
        self.room.clear()
        end = self.ring.end
        self._capture.step()
        if self.ring.end != end:
            self.bell.ring()
        if self._capture.pause:
            time.sleep(
                self._capture.pause
            )  # at most a millisecond: a process that writes line by line is slowed by being woken
        self._arm()

    def _arm(self) -> None:
        """Poll the pipes.

        Or, while there is no room, wait for the daemon to make some, or for patience to end.
        """
        due = self._capture.due()
        wanted = set(self._capture.fds()) if due is None else {self.room.fd}
        for fd in self._polled - wanted:
            self._poller.forget(fd)
        for fd in wanted - self._polled:
            self._poller.watch(fd, READ, self._step)
        self._polled = wanted
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._poller.at(due, self._step)
