"""A store with its rooms in a directory of the test's own, and tests that are coroutines."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from att.catalogue import Call
from att.event.log import EventLog
from att.event.models import Event, ListEvents, Order
from att.project.projects import Projects
from att.store.store import Store, open_store

CALL = Call(request_id="req-1", actor="tester")


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test that is a coroutine on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        async def whole() -> None:
            await test(*args, **named)

        asyncio.run(whole())

    return run


@dataclass
class Rooms:
    home: Path
    store: Store
    events: EventLog
    projects: Projects

    async def told(self, *types: str) -> list[Event]:
        """The events of these types, oldest first."""
        page = await self.events.page(ListEvents(type=list(types), order=Order.OLDEST, limit=1000))
        return page.events


@asynccontextmanager
async def rooms(home: Path, **named: Any) -> AsyncIterator[Rooms]:
    """Everything opened, and closed again. `named` goes to the projects."""
    store = await open_store(str(home / "att.db"), busy_timeout=0.2)
    events = EventLog(store, window=named.pop("window", 1000))
    try:
        yield Rooms(home, store, events, Projects(store, events, home=home, **named))
    finally:
        await events.aclose()
        await store.aclose()
