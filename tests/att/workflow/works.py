"""Runs in a store of the test's own, with lives that end as a daemon's do, and work that can be held up anywhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from att.problems import Conflict
from att.project.models import CreateProject
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
        limits = {key: named.pop(key) for key in ("limit", "keep", "to_checkpoint") if key in named}
        limits.setdefault("to_checkpoint", 0.05)
        sleep = named.pop("sleep", no_sleep)
        self.runs = Runs(self.rooms.store, self.rooms.projects, sleep=sleep, chance=lambda: 0.5, **limits)
        for kind, work in sorts:
            self.runs.register(kind, work, resume=resume, **named)
        self.lives.append(self.runs)
        return self.runs

    async def run(self, kind: str, wait: float = 20, **given: Any) -> Run:
        return await self.runs.begin(kind, "app", CALL, given, wait=wait)


@asynccontextmanager
async def bench(home: Path) -> AsyncIterator[Bench]:
    """Everything opened, and closed again."""
    folder = home / "projects" / "app"
    folder.mkdir(parents=True)
    async with rooms(home) as opened:
        await opened.projects.create(CreateProject(name="app", path=str(folder)), CALL)
        made = Bench(opened)
        try:
            yield made
        finally:
            for life in made.lives:
                await life.aclose()


class No(Conflict):
    code, title = "no", "No"
    hint = "Never."


class Hand:
    """Steps that are counted, and held up or made to fail where a test wants it."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.undone: list[str] = []
        self.held: dict[str, asyncio.Event] = {}
        self.fails: dict[str, list[BaseException]] = {}
        self.reached: dict[str, asyncio.Event] = {}

    def hold(self, name: str) -> asyncio.Event:
        self.reached[name] = asyncio.Event()
        return self.held.setdefault(name, asyncio.Event())

    def do(self, name: str) -> Any:
        async def work() -> str:
            if name in self.held:
                self.reached[name].set()
                await self.held[name].wait()
            if self.fails.get(name):
                raise self.fails[name].pop(0)
            self.done[name] += 1
            return f"did {name}"

        return work

    def undo(self, name: str) -> Any:
        async def work() -> None:
            if f"undo {name}" in self.held:
                self.reached[f"undo {name}"].set()
                await self.held[f"undo {name}"].wait()
            self.undone.append(name)

        return work


def steps(run: Run) -> dict[str, str]:
    return {step.name: step.state.value for step in run.steps}


def three(hand: Hand, *names: str, **named: Any) -> Any:
    async def work(flow: Flow) -> dict[str, Any]:
        for name in names or ("a", "b", "c"):
            flow.undo(name, hand.undo(name))
            await flow.step(name, hand.do(name), **named)
        return {"done": True}

    return work


async def begun(bench: Bench, *sorts: Any, **named: Any) -> None:
    await bench.life(*sorts, **named).open()
