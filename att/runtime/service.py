"""The runtime room's service: one app at a time, started, stopped, watched and remembered.

What is asked takes a lock only while it changes which app is the current one; waiting for an app to become ready happens
outside, so that a stop can always come between. Which app is wanted is kept in the store: the one that ran when the daemon
ended, however it ended, is started again by the next (`recover`, then `resume`).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from att.catalogue import Call
from att.event.log import EventLog
from att.problems import Problem
from att.project.models import Project
from att.project.projects import Projects
from att.runtime import evaluation, preflight, rows, translate
from att.runtime.address import Address
from att.runtime.adoption import STANDALONE, Adoption, Situation
from att.runtime.app import AT_DAEMON, App
from att.runtime.build import BuildState
from att.runtime.builds import Builds
from att.runtime.errors import (
    AlreadyRunning,
    EnvironmentBuildFailed,
    EnvironmentBuilding,
    NotRunning,
    RunFolderUnusable,
    SafeMode,
)
from att.runtime.logs import Logs
from att.runtime.models import EvalResult, EvalRuntime, RuntimeStatus, Wait
from att.runtime.preflight import Ready
from att.store.store import Store
from supervisor import errors as supervision
from supervisor.keeper import Keeper
from supervisor.logs.log import Log
from supervisor.runner import RunnerStatus, State
from supervisor.spec import AppSpec

ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.BACKOFF})
START_TIMEOUT = 120.0
_log = structlog.get_logger("att.runtime")


class Runtime:
    """All of `runtime.*`. `environ` is what the apps inherit."""

    def __init__(
        self,
        home: Path,
        projects: Projects,
        store: Store,
        events: EventLog,
        keeper: Keeper,
        logs: Logs,
        environ: Mapping[str, str],
        situation: Situation = STANDALONE,
    ) -> None:
        self.builds = Builds(events, environ)
        self._home = home
        self._projects = projects
        self._store = store
        self._events = events
        self._keeper = keeper
        self._logs = logs
        self._environ = environ
        self._situation = situation
        self._same_launcher = False
        self._adoption = Adoption(projects, store, keeper, logs, environ, situation)
        self._app: App | None = None
        self._lock = asyncio.Lock()
        self._address = Address(keeper)
        self._tasks: set[asyncio.Task[Any]] = set()
        projects.before_delete.append(self._before_delete)

    # -- the daemon's life ---------------------------------------------------------------------------------------

    async def recover(self) -> list[str]:
        """Once, before the first start: go on with the app that the keeper kept, end what else an earlier life left behind and
        close its runs; their ids."""
        cleared = await self._keeper.sweep()
        if cleared.ended:
            _log.warning("orphans_ended", ended=cleared.ended, killed=cleared.killed)
        found = await self._keeper.runs()
        await asyncio.to_thread(self._wipe_all, {run.log for run in found if run.exit is None})
        lost = await self._store.write(rows.close_lost({run.run_id for run in found}))
        self._same_launcher = await self._store.write(rows.meet(self._situation.launcher))
        wanted = await self._store.read(rows.wanted)
        self._take(await self._adoption.living(found, wanted, self._home / "run"))
        if self._app is not None and self._app.project_id != wanted:
            self._app.call, self._app.stop_reason = AT_DAEMON, "asked to stop"
            self._keep(asyncio.create_task(self._stop(self._app), name=f"stop {self._app.project_id}"))
        return lost

    def _take(self, app: App | None) -> None:
        self._app = app
        if app is not None:
            self._address.take(app.spec)

    async def resume(self) -> None:
        """Start the app that is wanted, if it does not run. A refusal is logged and told as an event, never raised."""
        wanted = await self._store.read(rows.wanted)
        if wanted is None or self._app is not None or self._situation.safe:
            return
        try:
            left = await self._adoption.waiting(wanted, self._same_launcher, self._home / "run")
            if isinstance(left, App):
                self._take(left)
            if left is not True:
                return
            await self.start(wanted, AT_DAEMON, wait="none")
        except Problem as problem:
            _log.error("resume_refused", project_id=wanted, code=problem.code, detail=problem.detail)
            payload = {"code": problem.code, "reason": problem.detail, "during": "resume"}
            await self._events.append("runtime.failed", project_id=wanted, payload=payload)

    async def aclose(self) -> None:
        """The daemon ends: stop the app, but go on wanting it."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.builds.aclose()
        async with self._lock:
            if self._app is not None:
                self._app.stop_reason, self._app.call = "the daemon ends", AT_DAEMON
                await self._let_go()

    async def detach(self) -> None:
        """The daemon ends and the app goes on: its keeper has it, and the next life takes it over."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.builds.aclose()
        app, self._app = self._app, None
        if app is not None:
            await app.detach()

    async def lost(self) -> list[str]:
        """The keeper has died, and what it kept has been ended: close the runs; their ids."""
        await self.detach()
        return await self._store.write(rows.close_lost(reason=rows.LAUNCHER_LOST))

    # -- start, stop, restart ------------------------------------------------------------------------------------

    async def start(
        self,
        project_id: str,
        call: Call,
        *,
        wait: Wait = "ready",
        timeout: float | None = None,
        build: bool = False,
    ) -> RuntimeStatus:
        """Start the project's app; another one that runs is stopped first."""
        self._refuse_in_safe_mode(project_id)
        project = await self._projects.get(project_id)
        self._refuse_running(project_id, await self._state())
        if build:
            await self._build(project, call)
        async with self._lock:
            self._refuse_running(project_id, await self._state())
            ready = await self._look_over(project)
            port = await self._address.port(ready, self._ours(await self._state()))
            await self._make_room(project_id)
            if self._app is not None:
                other = self._app.project_id != project_id
                self._app.stop_reason = f"{project_id} was started" if other else self._app.stop_reason
                self._app.call = call
                await self._let_go()
            app = await self._new(project, ready, port, call)
            wish = await self._begin(app, app.runner.start(wait, _patience(wait, timeout)))
        await translate.reached(app, wish)
        return translate.status(app, await app.runner.status())

    async def stop(
        self, project_id: str, call: Call, *, wait: bool = True, timeout: float | None = None
    ) -> RuntimeStatus:
        """Stop the app and all it started; from then on it is not wanted any more."""
        app = await self._current(project_id)
        app.call, app.stop_reason = call, "asked to stop"
        stopping = asyncio.create_task(self._stop(app), name=f"stop {project_id}")
        self._keep(stopping)
        if wait:
            await asyncio.wait([stopping], timeout=timeout)
            if stopping.done():
                stopping.result()
        else:
            await asyncio.sleep(0)
        return await self.status(project_id)

    async def restart(
        self,
        project_id: str,
        call: Call,
        *,
        wait: Wait = "ready",
        timeout: float | None = None,
        build: bool = False,
    ) -> RuntimeStatus:
        """Stop and start with today's settings; when nothing runs, a start. What is wrong is refused before the stop."""
        self._refuse_in_safe_mode(project_id)
        project = await self._projects.get(project_id)
        app = self._app
        if app is None or app.project_id != project_id or await self._state() not in ALIVE:
            return await self.start(project_id, call, wait=wait, timeout=timeout, build=build)
        async with self._lock:
            ready = await self._look_over(project)
            same = ready.place.port in (0, app.spec.port) and ready.place.host == app.spec.host
            port = app.spec.port if same else await self._address.port(ready, None)
            app.call = call
            spec = await self._address.spec(ready, port)
            await self._store.write(rows.want(project_id))
            await app.replace(ready, spec)
            wish = await self._begin(app, app.runner.restart(wait, _patience(wait, timeout)))
        await translate.reached(app, wish)
        return translate.status(app, await app.runner.status())

    # -- looking -------------------------------------------------------------------------------------------------

    async def status(self, project_id: str, *, figures: bool = True) -> RuntimeStatus:
        """How the app is; of one that is not the current, its last run."""
        app = self._app
        if app is not None and app.project_id == project_id:
            return translate.status(app, await app.runner.status(figures))
        await self._projects.get(project_id)
        return translate.past(project_id, await self._store.read(rows.last(project_id)))

    def current(self, project_id: str) -> App | None:
        """The app of the project, if it is the current one."""
        return self._app if self._app is not None and self._app.project_id == project_id else None

    async def log(self, project_id: str) -> Log:
        """The project's log, also when nothing runs."""
        if self.current(project_id) is None:
            await self._projects.get(project_id)
        with translate.logs():
            return self._logs(project_id)

    async def folder(self, project_id: str) -> Path:
        return await self._projects.path(project_id)

    # -- other work ----------------------------------------------------------------------------------------------

    async def build_environment(self, project_id: str, call: Call, *, rebuild: bool) -> None:
        """Begin to build; the app must not run out of the environment that is being replaced."""
        folder = await self._projects.path(project_id)
        if self.current(project_id) is not None and await self._state() in ALIVE:
            raise AlreadyRunning(
                f"{project_id} runs out of this environment",
                hint="Stop the app first, then build its environment.",
            )
        await self.builds.begin(project_id, folder, call, rebuild=rebuild)

    async def evaluate(self, ask: EvalRuntime, call: Call) -> EvalResult:
        """Run `nat eval` beside the app."""
        project = await self._projects.get(ask.project_id)
        folder = await self._projects.path(ask.project_id)
        named = ask.config or project.nat_config_path or ""
        tmp = self._run_folder(project.id) / "eval-tmp"
        ready = await preflight.look_over(
            project.id, folder, tmp=tmp, environ=self._environ, named_config=named
        )
        return await evaluation.evaluate(ask, ready)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _state(self) -> State | None:
        return None if self._app is None else (await self._app.runner.status(False)).state

    def _refuse_running(self, project_id: str, state: State | None) -> None:
        if state in ALIVE and self.current(project_id) is not None:
            raise AlreadyRunning(f"{project_id} runs already", state=str(state))

    def _refuse_in_safe_mode(self, project_id: str) -> None:
        if self._situation.safe:
            raise SafeMode(f"{project_id} is not started")

    async def _current(self, project_id: str) -> App:
        app = self.current(project_id)
        if app is None:
            await self._projects.get(project_id)
            raise NotRunning(f"{project_id} does not run")
        if (await app.runner.status(False)).state is State.STOPPED:
            raise NotRunning(f"{project_id} does not run")
        return app

    async def _look_over(self, project: Project) -> Ready:
        folder = await self._projects.path(project.id)
        if self.builds.under_way(project.id):
            raise EnvironmentBuilding(f"{project.id}: its environment is being built")
        tmp = self._run_folder(project.id) / "tmp"
        ready = await preflight.look_over(project.id, folder, tmp=tmp, environ=self._environ)
        config = ready.place.config
        if config is not None and config.path.is_relative_to(folder):
            await self._projects.set_nat_config(project.id, str(config.path.relative_to(folder)))
        return ready

    def _ours(self, state: State | None) -> AppSpec | None:
        return self._app.spec if self._app is not None and state in ALIVE else None

    async def _make_room(self, project_id: str) -> None:
        """All that the disk may refuse, before anything is stopped for the new app."""
        with translate.logs():
            self._logs(project_id)
        try:
            folder = self._run_folder(project_id)
            await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            told = f"{folder}: {fault.strerror}."
            raise translate.refusal(fault, told, RunFolderUnusable) from fault
        await self._store.write(rows.want(project_id))

    async def _new(self, project: Project, ready: Ready, port: int, call: Call) -> App:
        spec = await self._address.spec(ready, port)
        log = self._logs(project.id)
        self._app = App.open(ready, spec, self._keeper, log, self._store, self._projects.set_status, call)
        return self._app

    async def _begin(self, app: App, wish: Coroutine[None, None, RunnerStatus]) -> asyncio.Task[RunnerStatus]:
        """Send the wish off; returns once its process is there (or it failed), not when it is fulfilled."""
        app.begun.clear()
        task = asyncio.create_task(wish, name=f"start {app.project_id}")
        self._keep(task)
        begun = asyncio.create_task(app.begun.wait())
        try:
            await asyncio.wait([task, begun], return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        return task

    async def _stop(self, app: App) -> None:
        await self._store.write(rows.want(None))
        try:
            await app.runner.stop()
        except supervision.SupervisorError as fault:
            raise translate.problem_of(fault, app) from fault
        await app.settled()
        async with self._lock:
            if self._app is app and await self._state() not in ALIVE:
                await self._address.close()
                await self._keeper.retire(app.project_id)

    async def _let_go(self) -> None:
        """Stop the current app for good, and what belonged to it alone."""
        app, self._app = self._app, None
        if app is not None:
            await app.aclose()
            await asyncio.to_thread(shutil.rmtree, app.spec.private_tmp or "", ignore_errors=True)
            if app.spec.socket:
                await self._address.close()
            await self._keeper.retire(app.project_id)

    async def _build(self, project: Project, call: Call) -> None:
        folder = await self._projects.path(project.id)
        build = self.builds.under_way(project.id) or await self.builds.begin(project.id, folder, call)
        if build is None:
            return
        state = await build.done()
        if state is BuildState.CANCELLED:
            raise EnvironmentBuildFailed(f"{project.id}: the build was cancelled")
        if build.problem is not None:
            raise build.problem

    async def _before_delete(self, project: Project) -> None:
        if self.builds.under_way(project.id):
            await self.builds.cancel(project.id)
        async with self._lock:
            app = self.current(project.id)
            if app is not None:
                app.stop_reason = "the project is deleted"
                await self._let_go()
            if await self._store.read(rows.wanted) == project.id:
                await self._store.write(rows.want(None))
            self.builds.forget(project.id)
            await self._logs.forget(project.id)
            await asyncio.to_thread(shutil.rmtree, self._run_folder(project.id), ignore_errors=True)

    def _run_folder(self, project_id: str) -> Path:
        return self._home / "run" / project_id

    def _wipe_all(self, used: set[str]) -> None:
        """What killed daemons left: private TMPDIRs with configs in plain text, but for those of apps that run."""
        for place in (self._home / "run").glob("*/*tmp"):
            if place.parent.name not in used:
                shutil.rmtree(place, ignore_errors=True)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _patience(wait: Wait, timeout: float | None) -> float | None:
    return None if wait == "none" else START_TIMEOUT if timeout is None else timeout
