"""Tells what happens to an app, in order, and sees to it that an exit is acknowledged only when it has been noted.

What is told must not stop the runner: a listener that breaks is complained about, and the app goes on being looked after. An
exit that could not be noted stays with the keeper, so that a later life hears of it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from supervisor.errors import UnknownRun
from supervisor.keeper import Keeper
from supervisor.report import Exited, RunnerEvent

OnEvent = Callable[[RunnerEvent], Awaitable[None] | None]


class Teller:
    def __init__(self, on_event: OnEvent, keeper: Keeper) -> None:
        self._on_event = on_event
        self._keeper = keeper
        self._loose: set[asyncio.Task[object]] = set()

    def tell(self, event: RunnerEvent) -> None:
        noted: Awaitable[None] | None = None
        try:
            noted = self._on_event(event)
        except Exception as error:
            complain(f"nobody took the event {type(event).__name__}", error)
        if isinstance(event, Exited):
            self.in_background(self._acknowledge(event.run_id, noted))
        elif noted is not None:
            self.in_background(self._wait(noted))

    def in_background(self, work: Coroutine[Any, Any, object]) -> None:
        """Something that nobody waits for until the end."""
        task = asyncio.create_task(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    async def aclose(self) -> None:
        """All that was told has been noted."""
        await asyncio.gather(*self._loose)

    async def _acknowledge(self, run_id: str, noted: Awaitable[None] | None) -> None:
        if noted is None or await self._wait(noted):
            with suppress(UnknownRun):  # the keeper was closed, and has forgotten everything
                await self._keeper.acknowledge(run_id)

    async def _wait(self, noted: Awaitable[None]) -> bool:
        try:
            await noted
        except Exception as error:
            complain("an event could not be noted", error)
            return False
        return True


def complain(message: str, error: Exception) -> None:
    """A mistake of ours, to whoever listens to those of the loop."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
