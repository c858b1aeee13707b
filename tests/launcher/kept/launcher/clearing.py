"""Drives the ending of a family of processes (`launcher.protocol.kin`) on the poller.

Steps, timers, descriptors of the dying.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from launcher.poller import READ, Poller, Timer
from launcher.protocol import kin
from launcher.protocol.messages import BOOT_ID


class LifeFamily(kin.Family):
    """What one life of a daemon started and left: found by the name of that life in its environment."""

    def __init__(self, boot_id: str, first: int) -> None:
        super().__init__("", first)
        self._mark = os.fsencode(f"{BOOT_ID}={boot_id}")


class Clearing:
    """Runs until nobody is found.

    Or for `limit` seconds (who hangs in the kernel cannot be waited for), then calls `done(self)`.
    """

    def __init__(
        self,
        poller: Poller,
        finder: kin.Finder,
        grace: float,
        done: Callable[[Clearing], None],
        spare: int | None = None,
        limit: float | None = None,
    ) -> None:
        now = poller.clock()
        self._poller, self._done = poller, done
        self._ending = kin.Ending(finder, kill_at=now + grace, spare=spare)
        self._give_up = None if limit is None else now + grace + limit
        self._timer: Timer | None = None
        self._watched: list[int] = []
        self.over = False
        self.left = False  # given up while somebody was still there
        poller.after(0, self._step)

    @property
    def ended(self) -> tuple[int, ...]:
        return self._ending.ended

    @property
    def killed(self) -> int:
        return self._ending.killed_beside

    def hurry(self) -> None:
        """No more grace."""
        self._ending.kill_at = self._poller.clock()
        if not self.over:
            self._step()

    def _step(self, _mask: int = 0) -> None:
        if self.over:
            return
        self._unwatch()
        now = self._poller.clock()
        due = self._ending.step(now)
        if due is not None and self._give_up is not None and now >= self._give_up:
            due, self.left = None, True
            self._ending.close()
        if due is None:
            self.over = True
            self._done(self)
            return
        for fd in self._ending.watched.values():
            self._poller.watch(fd, READ, self._step)
            self._watched.append(fd)
        self._timer = self._poller.at(due, self._step)

    def _unwatch(self) -> None:
        for fd in self._watched:
            self._poller.forget(fd)
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
