"""Runs in a store of the test's own, with lives that end as a daemon's do, and work that can be held up anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from att.workflow.flow import Flow
from att.workflow.models import Run
from att.workflow.runs import Runs
from tests.att.rooms import CALL, Rooms, rooms

Work = Callable[[Flow], Awaitable[dict[str, Any] | None]]


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


@dataclass
class Bench:
    """Rooms with a project `app`, in which lives of the runs follow each other."""

    rooms: Rooms
    runs: Runs = field(init=False)
    lives: list[Runs] = field(default_factory=list)

    def life(self, *sorts: tuple[str, Work], resume: bool = True, **named: Any) -> Runs:
        """A new life that knows these kinds; to be opened."""
        limits = {key: named.pop(key) for key in ("limit", "keep") if key in named}
        sleep = named.pop("sleep", no_sleep)
        self.runs = Runs(self.rooms.store, self.rooms.projects, sleep=sleep, chance=lambda: 0.5, **limits)
        for kind, work in sorts:
            self.runs.register(kind, work, resume=resume, **named)
        self.lives.append(self.runs)
        return self.runs

    async def crash(self) -> None:
        """The life ends without a word: its tasks are gone and write nothing more."""
        lives = list(self.runs._live.values())
        for live in lives:
            task = live.task
            assert task is not None
            live.plan = live.plan.TAKE_BACK  # so that its end decides nothing
            live.deciding = False
        for live in lives:
            await _abandoned(live.task)

    async def run(self, kind: str, wait: float = 20, **given: Any) -> Run:
        return await self.runs.begin(kind, "app", CALL, given, wait=wait)


async def _abandoned(task: asyncio.Task[None] | None) -> None:
    assert task is not None
    coroutine: Any = task.get_coro()
    task.cancel()
    await asyncio.wait([task], timeout=5)
    del coroutine


@asynccontextmanager
async def bench(home: Path) -> AsyncIterator[Bench]:
    """Everything opened, and closed again."""
    folder = home / "projects" / "app"
    folder.mkdir(parents=True)
    async with rooms(home) as opened:
        from att.project.models import CreateProject

        await opened.projects.create(CreateProject(name="app", path=str(folder)), CALL)
        made = Bench(opened)
        try:
            yield made
        finally:
            for life in made.lives:
                await life.aclose()
