"""The pulse of the daemon: how late its event loop runs, and whether its store answers.

A beat each second notes by how much it came too late; the worst of the last minute is told. Each few seconds the store is asked
for something small. Both only note: what follows from it is for whoever asks for health.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from att.health.models import Heartbeat

BEAT = 1.0
KEPT = 60
LOOK_EVERY = 5  # beats
PATIENCE = 5.0


class Pulse:
    """`beat` runs until it is cancelled. `look` asks the store, and raises when it does not answer."""

    def __init__(self, look: Callable[[], Awaitable[object]], patience: float = PATIENCE) -> None:
        self._look = look
        self._patience = patience
        self._lags: deque[float] = deque([0.0], maxlen=KEPT)
        self._last = time.monotonic()
        self._trouble: str | None = None
        self._looking: asyncio.Task[None] | None = None

    async def beat(self) -> None:
        beats = 0
        try:
            while True:
                due = time.monotonic() + BEAT
                await asyncio.sleep(BEAT)
                self._last = time.monotonic()
                self._lags.append(max(0.0, self._last - due))
                beats += 1
                if beats % LOOK_EVERY == 0:
                    await self.look()
        finally:
            if self._looking is not None:
                self._looking.cancel()

    async def look(self) -> None:
        """Returns in time whatever the store does: a server that hangs may not even let itself be cancelled. One that has not
        answered is not asked again until it has."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._ask(), name="look at the store")
        done, _ = await asyncio.wait([self._looking], timeout=self._patience)
        if done:
            self._looking = None
        else:
            self._trouble = f"it did not answer within {self._patience:g} s"

    async def _ask(self) -> None:
        try:
            await self._look()
            self._trouble = None
        except Exception as fault:  # whatever it is, it is what health has to tell
            self._trouble = str(fault) or type(fault).__name__

    def trouble(self) -> str | None:
        """Why the store is not well, as of the last look."""
        return self._trouble

    @property
    def heartbeat(self) -> Heartbeat:
        age = time.monotonic() - self._last
        return Heartbeat(age_seconds=round(age, 3), worst_lag_ms=round(max(self._lags) * 1000, 3))
