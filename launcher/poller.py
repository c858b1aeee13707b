"""Waits, and calls: the one `poll` of the launcher, with descriptors, timers and signals. It decides nothing.

Signals arrive as bytes on a wakeup descriptor and are taken there, one after the other, as the rest of the
loop's work is: the handlers themselves do nothing. Descriptors come before timers, so that an answer that
is already there is not taken for a late one when the launcher itself was stopped for a while. Durations are
monotonic.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections.abc import Callable, Iterable

READ, WRITE = select.POLLIN, select.POLLOUT


class Timer:
    """One call at a time to come; `cancel` any time."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return self.at < other.at


class Poller:
    """Single-threaded. `close` puts the signals back as they were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._poll = select.poll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._on_signal: dict[int, Callable[[int], None]] = {}
        self._before: dict[int, object] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._wake_before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self.watch(self._wake_read, READ, self._signals)

    def watch(self, fd: int, mask: int, call: Callable[[int], None]) -> None:
        """Call `call(mask)` whenever `fd` is ready; asking again replaces what was asked before."""
        self._poll.register(fd, mask)
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        if self._calls.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(when, call)
        heapq.heappush(self._timers, timer)
        return timer

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        return self.at(self.clock() + seconds, call)

    def on_signals(self, numbers: Iterable[int], call: Callable[[int], None]) -> None:
        """`call(number)` from the loop.

        In the order in which they arrived. A mask that was inherited is lifted.
        """
        chosen = list(numbers)
        for number in chosen:
            self._on_signal[number] = call
            self._before[number] = signal.signal(number, _nothing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, chosen)

    def once(self) -> None:
        """Wait for one thing, or more that are ready together, and make the calls."""
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        wait = None
        if self._timers:
            wait = max(0.0, self._timers[0].at - self.clock()) * 1000
        for fd, mask in self._poll.poll(None if wait is None else int(wait) + (wait > 0)):
            call = self._calls.get(fd)
            if call is not None:  # an earlier call may have forgotten it
                call(mask)
        now = self.clock()
        while self._timers and self._timers[0].at <= now:
            due = heapq.heappop(self._timers).call
            if due is not None:
                due()

    def arrived(self) -> list[int]:
        """The signals that have arrived and not been acted on; they are the caller's now."""
        try:
            return list(dict.fromkeys(os.read(self._wake_read, 4096)))
        except BlockingIOError:
            return []

    def close(self) -> None:
        signal.set_wakeup_fd(self._wake_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self.forget(self._wake_read)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _signals(self, _mask: int) -> None:
        for number in self.arrived():  # two of a kind at once are one, as everywhere with signals
            call = self._on_signal.get(number)
            if call is not None:
                call(number)


def _nothing(_number: int, _frame: object) -> None:
    """Being called is not the point: the number is on the wakeup descriptor."""
