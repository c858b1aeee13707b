"""From the thread that takes lines in to whoever waits for them in an event loop: one wake-up, however many wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Lock


class Signal:
    """`notify` from any thread, cheap while nobody waits. `wait` in any loop; a cancelled wait leaves nothing behind."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}
        self._called: set[asyncio.AbstractEventLoop] = set()
        self._lock = Lock()

    def notify(self) -> None:
        if not self._waiting:
            return
        with self._lock:
            loops = [loop for loop in self._waiting if loop not in self._called]
            self._called.update(loops)
        for loop in loops:
            try:
                loop.call_soon_threadsafe(self._wake, loop)
            except RuntimeError:  # the loop was closed, its waiters with it
                with self._lock:
                    self._waiting.pop(loop, None)
                    self._called.discard(loop)

    async def wait(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Returns True as soon as `ready` (which is asked again after each notice), False after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while not ready():
            future = loop.create_future()
            with self._lock:
                self._waiting.setdefault(loop, set()).add(future)
            timer = None
            try:
                if ready():  # between the question and the waiting
                    return True
                if deadline is not None:
                    if loop.time() >= deadline:
                        return False
                    timer = loop.call_at(deadline, _finish, future)
                await future
            finally:
                if timer is not None:
                    timer.cancel()
                self._forget(loop, future)
        return True

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._called.discard(loop)
            futures = self._waiting.pop(loop, set())
        for future in futures:
            _finish(future)

    def _forget(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        with self._lock:
            futures = self._waiting.get(loop)
            if futures is not None:
                futures.discard(future)
                if not futures:
                    del self._waiting[loop]


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
