"""How an app is brought on: in the place of another, anew with today's settings, or back after a version that failed.

All that can be refused is looked at before anything is stopped. Whoever calls holds `stage.lock`; what is returned is the wish that
was sent off, once its process is there (or it failed): nobody holds the lock until an app is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from att.catalogue import Call
from att.project.models import Project
from att.project.projects import Projects
from att.runtime import rows, translate
from att.runtime.app import App
from att.runtime.errors import AlreadyRunning
from att.runtime.logs import Logs
from att.runtime.models import Wait
from att.runtime.preflight import Ready
from att.runtime.stage import ALIVE, Begun, Stage
from att.store.store import Store
from supervisor.keeper import Keeper
from supervisor.runner import RunnerStatus, State
from supervisor.spec import AppSpec

START_TIMEOUT = 120.0


class Starting:
    """`keep` gets every wish that is sent off, so that the daemon's end can end it."""

    def __init__(
        self,
        stage: Stage,
        projects: Projects,
        store: Store,
        keeper: Keeper,
        logs: Logs,
        keep: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self._stage, self._sources = stage, stage.sources
        self._projects, self._store, self._keeper, self._logs = projects, store, keeper, logs
        self._keep = keep

    async def begin(
        self, project: Project, artefact_id: str | None, call: Call, wait: Wait, timeout: float | None
    ) -> Begun:
        """Start the project's app; what runs is stopped for it."""
        stage, project_id = self._stage, project.id
        refuse_running(project_id, stage.current, await stage.state())
        ready = await self._sources.look_over(project, artefact_id, stage.slot(project_id))
        port = await stage.address.port(ready, self._ours(await stage.state()))
        await self._make_room(project_id, artefact_id)
        if stage.current is not None:
            if stage.current.project_id != project_id:
                stage.current.stop_reason = f"{project_id} was started"
            stage.current.call = call
            await stage.let_go()
        app = await self._new(project, ready, port, call, artefact_id)
        return app, await self._send_off(app, app.runner.start(wait, _patience(wait, timeout)))

    async def again(
        self,
        project: Project,
        app: App,
        artefact_id: str | None,
        call: Call,
        wait: Wait,
        timeout: float | None,
    ) -> asyncio.Task[RunnerStatus]:
        """Stop and start the app that runs, with what stands in its settings now."""
        stage = self._stage
        ready = await self._sources.look_over(
            project, artefact_id, app.spec.private_tmp or stage.slot(project.id)
        )
        same = ready.place.port in (0, app.spec.port) and ready.place.host == app.spec.host
        port = app.spec.port if same else await stage.address.port(ready, None)
        app.call = call
        spec = await stage.address.spec(ready, port)
        await self._store.write(rows.run_out_of(project.id, artefact_id))
        await app.replace(ready, spec)
        app.artefact_id = artefact_id
        return await self._send_off(app, app.runner.restart(wait, _patience(wait, timeout)))

    async def go_back(self, project_id: str, call: Call) -> Begun:
        """After a version that did not get healthy: the app of before, as it was."""
        project = await self._projects.get(project_id)
        artefact_id = await self._sources.chosen(project_id, None)
        return await self.begin(project, artefact_id, call, "ready", None)

    # -- inside

    def _ours(self, state: State | None) -> AppSpec | None:
        return self._stage.current.spec if self._stage.current is not None and state in ALIVE else None

    async def _make_room(self, project_id: str, artefact_id: str | None) -> None:
        """All that the store and the disk may refuse, before anything is stopped for the new app; the store first: what it
        refuses leaves no folder behind."""
        await self._store.write(rows.run_out_of(project_id, artefact_id))
        with translate.logs():
            self._logs(project_id)
        await self._sources.make_room(project_id)

    async def _new(
        self, project: Project, ready: Ready, port: int, call: Call, artefact_id: str | None
    ) -> App:
        spec = await self._stage.address.spec(ready, port)
        log = self._logs(project.id)
        change = self._projects.set_status
        self._stage.current = App.open(
            ready, spec, self._keeper, log, self._store, change, call, artefact_id=artefact_id
        )
        return self._stage.current

    async def _send_off(
        self, app: App, wish: Coroutine[None, None, RunnerStatus]
    ) -> asyncio.Task[RunnerStatus]:
        app.begun.clear()
        task = asyncio.create_task(wish, name=f"start {app.project_id}")
        self._keep(task)
        begun = asyncio.create_task(app.begun.wait())
        try:
            await asyncio.wait([task, begun], return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        return task


def refuse_running(project_id: str, current: App | None, state: State | None) -> None:
    """Unless the project's app may be started."""
    if state in ALIVE and current is not None and current.project_id == project_id:
        raise AlreadyRunning(f"{project_id} runs already", state=str(state))


def _patience(wait: Wait, timeout: float | None) -> float | None:
    return None if wait == "none" else START_TIMEOUT if timeout is None else timeout
