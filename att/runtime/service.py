"""The runtime room's service: one app at a time, started, stopped, watched and remembered.

What is asked takes a lock only while it changes which app is the current one; waiting for an app to become ready happens
outside, so that a stop can always come between. Which app is wanted is kept in the store: the one that ran when the daemon
ended, however it ended, is started again by the next (`recover`, then `resume`).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from att.catalogue import Call
from att.deploy.errors import DeployUnderWay
from att.event.log import EventLog
from att.problems import Problem
from att.project.models import Project
from att.project.projects import Projects
from att.runtime import heritage, rows, translate
from att.runtime.address import Address
from att.runtime.adoption import STANDALONE, Adoption, Situation, known
from att.runtime.app import AT_DAEMON, App
from att.runtime.builds import Builds
from att.runtime.errors import AlreadyRunning, NotRunning, SafeMode
from att.runtime.logs import Logs
from att.runtime.models import EvalResult, EvalRuntime, RuntimeStatus, Wait
from att.runtime.sources import Source, Sources
from att.runtime.stage import ALIVE, Changing, Stage
from att.runtime.starting import Starting, refuse_running
from att.runtime.switch import Switch
from att.store.store import Store
from supervisor import errors as supervision
from supervisor.keeper import Keeper
from supervisor.logs.log import Log
from supervisor.runner import State

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
        self.situation = situation
        self._same_launcher = False
        self.sources = Sources(home, projects, store, environ, self.builds)
        self._adoption = Adoption(projects, store, keeper, logs, environ, situation, self.sources)
        self.stage = Stage(keeper, Address(keeper), self.sources)
        self._starting = Starting(self.stage, projects, store, keeper, logs, self._keep)
        self.switch = Switch(self.stage, store, logs, projects, self._starting.go_back)
        self.changing: Changing | None = None
        self._resuming: asyncio.Task[None] | None = None
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
        left = await known(self._store, [run for run in found if run.exit is None], None)
        slots = {heritage.slot(row, self._home / "run") for _, row in left if row is not None}
        await asyncio.to_thread(self.sources.wipe_all, slots)
        lost = await self._store.write(rows.close_lost({run.run_id for run in found}))
        self._same_launcher = await self._store.write(rows.meet(self.situation.launcher))
        wanted = await self._store.read(rows.wanted)
        self._take(await self._adoption.living(found, wanted, self._home / "run"))
        if self.stage.current is not None and self.stage.current.project_id != wanted:
            self.stage.current.call, self.stage.current.stop_reason = AT_DAEMON, "asked to stop"
            self._keep(
                asyncio.create_task(
                    self._stop(self.stage.current), name=f"stop {self.stage.current.project_id}"
                )
            )
        return lost

    def _take(self, app: App | None) -> None:
        self.stage.current = app
        if app is not None:
            self.stage.address.take(app.spec)

    async def resume(self) -> None:
        """Start the app that is wanted, if it does not run. A refusal is logged and told as an event, never raised.
        Once in a life: whoever asks again waits for the same."""
        if self._resuming is None:
            self._resuming = asyncio.create_task(self._resume(), name="resume")
            self._keep(self._resuming)
        await asyncio.shield(self._resuming)

    async def _resume(self) -> None:
        wanted = await self._store.read(rows.wanted)
        if wanted is None or self.stage.current is not None or self.situation.safe:
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
        async with self.stage.lock:
            for app in self.stage.all():
                app.stop_reason, app.call = "the daemon ends", AT_DAEMON
                await self.stage.end_beside(app.project_id)
            await self.stage.let_go()

    async def detach(self) -> None:
        """The daemon ends and the app goes on: its keeper has it, and the next life takes it over."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.builds.aclose()
        for app in self.stage.all():
            await app.detach()
        self.stage.current, self.stage.candidate, self.stage.draining = None, None, []

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
        source: Source | None = None,
    ) -> RuntimeStatus:
        """Start the project's app; another one that runs is stopped first. `source`: what it runs out of, from now on."""
        self._refuse_in_safe_mode(project_id)
        project = await self._projects.get(project_id)
        if self.stage.current is None or self.stage.current.role == "current":
            refuse_running(project_id, self.stage.current, await self.stage.state())
        await self._refuse_deploying()  # also what is only tried runs
        artefact_id = await self.sources.chosen(project_id, source)
        if build and artefact_id is None:
            await self.sources.build(project, call)
        async with self.stage.lock:
            await self._refuse_deploying()
            project = await self._projects.get(project_id)  # it may have been deleted while we waited
            app, wish = await self._starting.begin(project, artefact_id, call, wait, timeout)
            await self._taken_in_hand(call)
        await translate.reached(app, wish)
        return translate.status(app, await app.runner.status())

    async def stop(
        self, project_id: str, call: Call, *, wait: bool = True, timeout: float | None = None
    ) -> RuntimeStatus:
        """Stop the app and all it started; from then on it is not wanted any more. A deploy that is under way is cancelled."""
        deploy = await self.changing.under_way(project_id) if self.changing is not None else None
        app = await self._current(project_id) if deploy is None else self.current(project_id)
        await self._taken_in_hand(call)
        if app is not None:
            app.call, app.stop_reason = call, "asked to stop"
        stopping = asyncio.create_task(self._stop_all(project_id, call), name=f"stop {project_id}")
        self._keep(stopping)
        if wait:
            await asyncio.wait([stopping], timeout=timeout)
            if stopping.done():
                stopping.result()
        else:
            await asyncio.sleep(0)
        return await self.status(project_id)

    async def _stop_all(self, project_id: str, call: Call) -> None:
        """A version that is being brought out is not to come up after this, also one that began just before the watch ended."""
        await self._store.write(rows.unwant(project_id))
        deploy = await self.changing.under_way(project_id) if self.changing is not None else None
        if deploy is not None and self.changing is not None:
            await self.changing.cancel(project_id, deploy, call)
            await self._taken_in_hand(call)  # its version may have been out before that word came
        app = self.current(project_id)
        if app is not None and await self.stage.state() is not State.STOPPED:
            app.call, app.stop_reason = call, "asked to stop"
            await self._stop(app)

    async def restart(
        self,
        project_id: str,
        call: Call,
        *,
        wait: Wait = "ready",
        timeout: float | None = None,
        build: bool = False,
        source: Source | None = None,
    ) -> RuntimeStatus:
        """Stop and start with today's settings; when nothing runs, a start. What is wrong is refused before the stop."""
        self._refuse_in_safe_mode(project_id)
        project = await self._projects.get(project_id)
        app = self.stage.current
        if app is None or app.project_id != project_id or await self.stage.state() not in ALIVE:
            return await self.start(project_id, call, wait=wait, timeout=timeout, build=build, source=source)
        async with self.stage.lock:
            await self._refuse_deploying()
            project = await self._projects.get(project_id)
            artefact_id = await self.sources.chosen(project_id, source)
            wish = await self._starting.again(project, app, artefact_id, call, wait, timeout)
            await self._taken_in_hand(call)
        await translate.reached(app, wish)
        return translate.status(app, await app.runner.status())

    # -- looking -------------------------------------------------------------------------------------------------

    async def status(self, project_id: str, *, figures: bool = True) -> RuntimeStatus:
        """How the app is; of one that is not the current, its last run."""
        app = self.stage.current
        if app is not None and app.project_id == project_id:
            found = translate.status(app, await app.runner.status(figures))
        else:
            await self._projects.get(project_id)
            found = translate.past(project_id, await self._store.read(rows.last(project_id)))
        beside = [app for app in self.stage.of(project_id) if app is not self.stage.current]
        found.runs += [run for app in beside for run in translate.runs(app, await app.runner.status(False))]
        return found

    def current(self, project_id: str) -> App | None:
        """The app of the project, if it is the current one."""
        return (
            self.stage.current
            if self.stage.current is not None and self.stage.current.project_id == project_id
            else None
        )

    async def log(self, project_id: str) -> Log:
        """The project's log, also when nothing runs."""
        if self.current(project_id) is None:
            await self._projects.get(project_id)
        with translate.logs():
            return self._logs(project_id)

    async def folder(self, project_id: str) -> Path:
        return await self._projects.path(project_id)

    # -- other work ----------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """The daemon is about to leave."""
        self.builds.leave()

    async def build_environment(self, project_id: str, call: Call, *, rebuild: bool, wait: float = 0) -> None:
        """Begin to build; the app must not run out of the environment that is being replaced."""
        folder = await self._projects.path(project_id)
        if self.current(project_id) is not None and await self.stage.state() in ALIVE:
            raise AlreadyRunning(
                f"{project_id} runs out of this environment",
                hint="Stop the app first, then build its environment.",
            )
        build = await self.builds.begin(project_id, folder, call, rebuild=rebuild)
        if build is not None:
            await self.builds.wait(build, wait)

    async def evaluate(self, ask: EvalRuntime, call: Call) -> EvalResult:
        """Run `nat eval` beside the app."""
        return await self.sources.evaluate(ask)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _taken_in_hand(self, call: Call) -> None:
        if self.changing is not None and call is not AT_DAEMON:
            await self.changing.let_go()

    async def _refuse_deploying(self) -> None:
        project_id = self.stage.deploying
        if project_id is None:
            return
        run_id = await self.changing.under_way(project_id) if self.changing is not None else None
        hint = f"Wait for it, or cancel it: `att workflow cancel {project_id} {run_id}`." if run_id else None
        raise DeployUnderWay(f"{project_id}: its version is being changed", hint=hint, run_id=run_id)

    def _refuse_in_safe_mode(self, project_id: str) -> None:
        if self.situation.safe:
            raise SafeMode(f"{project_id} is not started")

    async def _current(self, project_id: str) -> App:
        app = self.current(project_id)
        if app is None:
            await self._projects.get(project_id)
            raise NotRunning(f"{project_id} does not run")
        if (await app.runner.status(False)).state is State.STOPPED:
            raise NotRunning(f"{project_id} does not run")
        return app

    async def _stop(self, app: App) -> None:
        await self._store.write(rows.want(None))
        try:
            await app.runner.stop()
        except supervision.SupervisorError as fault:
            raise translate.problem_of(fault, app) from fault
        await app.settled()
        async with self.stage.lock:
            if self.stage.current is app and await self.stage.state() not in ALIVE:
                await self.stage.address.close()
                await self._keeper.retire(app.project_id)

    async def _before_delete(self, project: Project) -> None:
        if self.builds.under_way(project.id):
            await self.builds.cancel(project.id)
        async with self.stage.lock:
            app = self.current(project.id)
            if app is not None:
                app.stop_reason = "the project is deleted"
                await self.stage.let_go()
            await self.stage.end_beside(project.id)
            await self._store.write(rows.forget(project.id))
            if await self._store.read(rows.wanted) == project.id:
                await self._store.write(rows.want(None))
            self.builds.forget(project.id)
            await self._logs.forget(project.id)
            await asyncio.to_thread(shutil.rmtree, self.sources.run_folder(project.id), ignore_errors=True)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
