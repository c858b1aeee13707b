"""Who is on: the app of the present, the version that is tried beside it, and those that are on their way out.

One for the runtime. Whoever changes it holds `lock`; nobody holds that while an app starts, so a stop can always come between.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from att.catalogue import Call
from att.runtime.address import Address
from att.runtime.app import App
from att.runtime.sources import Sources
from supervisor.keeper import Keeper
from supervisor.runner import RunnerStatus, State

Begun = tuple[App, asyncio.Task[RunnerStatus]]  # an app, and the wish that it gets as far as was asked
ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.BACKOFF})


class Changing(Protocol):
    """Who changes the app's version, as the runtime knows it."""

    async def under_way(self, project_id: str) -> str | None:
        """The run that is about to bring a version of the project out."""

    async def cancel(self, project_id: str, run_id: str, call: Call) -> None:
        """End it, since the app is stopped; returns when it has."""

    async def let_go(self) -> None:
        """A person has taken the app in hand."""


@dataclass
class Stage:
    keeper: Keeper
    address: Address
    sources: Sources
    current: App | None = None
    candidate: App | None = None
    draining: list[App] = field(default_factory=list)
    deploying: str | None = None  # the project whose version is being changed
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def all(self) -> list[App]:
        return [app for app in (self.current, self.candidate, *self.draining) if app is not None]

    def of(self, project_id: str) -> list[App]:
        return [app for app in self.all() if app.project_id == project_id]

    def slot(self, project_id: str) -> Path:
        """The private folder for the app that takes the place of the current one."""
        taken = [app.spec.private_tmp for app in self.of(project_id) if app is not self.current]
        return self.sources.slot(project_id, taken)

    async def state(self) -> State | None:
        return None if self.current is None else (await self.current.runner.status(False)).state

    async def let_go(self) -> None:
        """Stop the current app for good, and what belonged to it alone."""
        app, self.current = self.current, None
        if app is not None:
            await self.end(app)
            if app.spec.socket:
                await self.address.close()
            await self.keeper.retire(app.project_id)

    async def end(self, app: App) -> None:
        """Stop an app, and leave nothing of it."""
        await app.aclose()
        await asyncio.to_thread(self.sources.clear, app.spec.private_tmp)

    async def end_beside(self, project_id: str) -> None:
        """All versions of the project but the current one."""
        candidate, self.candidate = self.candidate, None
        for app in [candidate, *self.draining]:
            if app is not None and app.project_id == project_id:
                await self.end(app)
        self.draining = [app for app in self.draining if app.project_id != project_id]
