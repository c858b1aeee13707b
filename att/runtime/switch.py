"""From one version of a project's app to another: tried first, taken only when it is healthy, else the one before goes on.

Where both serve on the socket that the keeper holds, they live beside each other: the new one is asked on its private socket
and takes no connection before it is healthy; then the old one stops accepting, drains and ends. Otherwise the old one is stopped,
the new one started, and the old one started again when that fails. What the store says changes in one transaction, when the new
one is healthy (`rows.promote`): a daemon that is killed before goes on with the old one in its next life, after that with the new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from att.catalogue import Call
from att.deploy.errors import AlreadyDeployed, DeployFailed, DeployStopped, DeployUnderWay
from att.problems import Problem
from att.project.models import Project
from att.project.projects import Projects
from att.runtime import rows, translate
from att.runtime.app import App
from att.runtime.logs import Logs
from att.runtime.preflight import Ready
from att.runtime.stage import ALIVE, Begun, Stage
from att.store.store import Store
from supervisor import errors as supervision
from supervisor.spec import AppSpec, Restart, RestartSpec

T = TypeVar("T")
GoBack = Callable[[str, Call], Awaitable[Begun]]
Promoted = Callable[[Connection, str], None]
_log = structlog.get_logger("att.runtime")
REPLACED = "another version took its place"
NOT_HEALTHY = "it did not get healthy"


@dataclass(frozen=True, slots=True)
class Trial:
    """How long a version may take to get healthy, and how often it is tried."""

    timeout: float = 120.0
    attempts: int = 1


class Switch:
    """`go_back(project_id, call)` starts what is wanted, as the store says, while `stage.lock` is held."""

    def __init__(self, stage: Stage, store: Store, logs: Logs, projects: Projects, go_back: GoBack) -> None:
        self._stage, self._store, self._logs, self._projects = stage, store, logs, projects
        self._go_back = go_back

    async def to(
        self, project_id: str, artefact_id: str, call: Call, trial: Trial, also: Promoted | None = None
    ) -> App:
        """Returns when the version is the project's app and the one before is gone. Raises what is wrong with it, before anything
        is touched, and `DeployFailed` when it did not get healthy. `also` is written in the transaction of the switch."""
        stage = self._stage
        if stage.deploying is not None:
            raise DeployUnderWay(f"{stage.deploying}: its version is being changed")
        stage.deploying = project_id
        try:
            async with stage.lock:
                project = await self._projects.get(project_id)
                now = stage.current
                alive = now is not None and await stage.state() in ALIVE
                if (
                    alive
                    and now is not None
                    and (now.project_id, now.artefact_id) == (project_id, artefact_id)
                ):
                    raise AlreadyDeployed(f"{project_id} runs {artefact_id}", artefact_id=artefact_id)
                taken = [app.spec.private_tmp for app in stage.of(project_id)]
                ready = await stage.sources.look_over(
                    project, artefact_id, stage.sources.slot(project_id, taken)
                )
            beside = (
                now is not None
                and alive
                and now.project_id == project_id
                and bool(now.spec.gate)
                and stage.address.holds(ready)
            )
            if beside and now is not None:
                return await self._beside(project, ready, artefact_id, call, trial, now, also)
            return await self._in_turn(project, ready, artefact_id, call, trial, now if alive else None, also)
        finally:
            stage.deploying = None

    # -- two at once

    async def _beside(
        self,
        project: Project,
        ready: Ready,
        artefact_id: str,
        call: Call,
        trial: Trial,
        old: App,
        also: Promoted | None,
    ) -> App:
        stage = self._stage
        spec = await stage.address.spec(ready, stage.address.held_port)
        for attempt in range(1, trial.attempts + 1):
            new = stage.candidate = self._open(ready, spec, project, artefact_id, call, held=True)
            try:
                await _healthy(new, trial)
                await _uncut(self._take_over(project, artefact_id, new, old, spec, also))
                break
            except DeployFailed as failure:
                failure.extra["rolled_back"] = True  # the one before never left
                if attempt == trial.attempts:
                    raise
            finally:
                if stage.candidate is new:  # it is not the app; also when we were cancelled
                    stage.candidate = None
                    new.stop_reason = NOT_HEALTHY
                    await _uncut(stage.end(new))
        return new

    async def _take_over(
        self, project: Project, artefact_id: str, new: App, old: App, spec: AppSpec, also: Promoted | None
    ) -> None:
        """As one: whoever cuts it off in the middle comes too late."""
        async with self._stage.lock:
            await self._take(project, artefact_id, new, old, spec, also)
        await self._drain(old)

    async def _take(
        self, project: Project, artefact_id: str, new: App, old: App, spec: AppSpec, also: Promoted | None
    ) -> None:
        """The new one takes connections, and is the app; the old one is on its way out."""
        stage = self._stage
        if stage.current is not old or await self._store.read(rows.wanted) != project.id:
            raise DeployStopped(f"{project.id} was stopped; it stays so")
        before = (await old.runner.status(False)).run_id
        run_id = (await new.runner.status(False)).run_id or ""
        try:
            await new.runner.promote(spec)
        except supervision.SupervisorError as fault:
            raise _failure(new, str(fault)) from fault
        await new.settled()
        await old.settled()
        await self._store.write(rows.promote(project.id, artefact_id, run_id, before, also))
        old.role, stage.current, stage.candidate = "draining", new, None
        stage.draining.append(old)
        await new.promoted(spec)

    async def _drain(self, old: App) -> None:
        old.stop_reason = REPLACED
        await self._stage.end(old)
        if old in self._stage.draining:
            self._stage.draining.remove(old)

    # -- one after the other

    async def _in_turn(
        self,
        project: Project,
        ready: Ready,
        artefact_id: str,
        call: Call,
        trial: Trial,
        old: App | None,
        also: Promoted | None,
    ) -> App:
        stage = self._stage
        wanted = await self._store.read(rows.wanted)
        new: App | None = None
        try:
            async with stage.lock:
                port = await stage.address.port(ready, old.spec if old is not None else None)
                if stage.current is not None:
                    stage.current.stop_reason, stage.current.call = REPLACED, call
                    await _uncut(stage.let_go())
            spec = await stage.address.spec(ready, port)
            for attempt in range(1, trial.attempts + 1):
                new = stage.current = self._open(ready, spec, project, artefact_id, call, bool(spec.gate))
                try:
                    await _healthy(new, trial)
                    break
                except DeployFailed:
                    if attempt == trial.attempts:
                        raise
                    new.stop_reason = NOT_HEALTHY
                    await _uncut(stage.end(new))
            await _uncut(self._promote_alone(project, artefact_id, new, spec, wanted, also))
        except BaseException as fault:
            if new is not None and new.role == "current":  # it is out; the word to end came too late
                raise
            back = await _uncut(self._undo(new, old, wanted, call))
            if isinstance(fault, DeployFailed):
                fault.extra["rolled_back"] = back
            raise
        if new is None:
            raise DeployStopped(f"{project.id} was stopped")
        return new

    async def _promote_alone(
        self,
        project: Project,
        artefact_id: str,
        new: App | None,
        spec: AppSpec,
        wanted: str | None,
        also: Promoted | None,
    ) -> None:
        async with self._stage.lock:
            if new is None or self._stage.current is not new or await self._store.read(rows.wanted) != wanted:
                raise DeployStopped(f"{project.id} was stopped; it stays so")
            run_id = (await new.runner.status(False)).run_id or ""
            try:
                await new.runner.promote(spec)
            except supervision.SupervisorError as fault:
                raise _failure(new, str(fault)) from fault
            await new.settled()
            await self._store.write(rows.promote(project.id, artefact_id, run_id, None, also))
            await new.promoted(spec)

    async def _undo(self, new: App | None, old: App | None, wanted: str | None, call: Call) -> bool:
        """Whether the app of before runs again and is well."""
        stage = self._stage
        try:
            async with stage.lock:
                begun = await self._begun_again(new, old, wanted, call)
            if begun is not None:
                await translate.reached(*begun)
        except Problem as problem:
            _log.error("not_gone_back", code=problem.code, detail=problem.detail)
            return False
        return begun is not None

    async def _begun_again(
        self, new: App | None, old: App | None, wanted: str | None, call: Call
    ) -> Begun | None:
        stage = self._stage
        if new is not None and stage.current is new:
            new.stop_reason = NOT_HEALTHY
            await stage.let_go()
        still = await self._store.read(rows.wanted)
        if old is not None and stage.current is None and still == wanted == old.project_id:
            return await self._go_back(old.project_id, call)
        return None

    def _open(
        self, ready: Ready, spec: AppSpec, project: Project, artefact_id: str, call: Call, held: bool = False
    ) -> App:
        """A version on trial: it is not started again by itself."""
        once = replace(spec, restart=RestartSpec(policy=Restart.TEMPORARY), watch=())
        return App.open(
            ready,
            once,
            self._stage.keeper,
            self._logs(project.id),
            self._store,
            self._projects.set_status,
            call,
            role="candidate",
            artefact_id=artefact_id,
            held=held,
        )


async def _uncut(work: Coroutine[None, None, T]) -> T:
    """What must not be left half done: its end is waited for, also when the caller is cancelled meanwhile."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it is looked at: what counts is that we were cancelled
        raise


async def _healthy(app: App, trial: Trial) -> None:
    """Returns when it can take work."""
    wish = asyncio.create_task(app.runner.start("ready", trial.timeout))
    try:
        await translate.reached(app, wish)
    except Problem as problem:
        stopped = isinstance(problem.__cause__, supervision.StartCancelled)
        if stopped:
            raise DeployStopped(
                f"{app.project_id} was stopped while {app.artefact_id} was tried"
            ) from problem
        if isinstance(problem.__cause__, supervision.WaitTimedOut):
            now = await app.runner.status(False)
            why = now.health_reason or "it is not ready"
            raise _failure(app, f"not healthy within {trial.timeout:g} s: {why}") from problem
        raise _failure(app, problem.detail) from problem
    finally:
        if not wish.done():
            wish.cancel()


def _failure(app: App, reason: str) -> DeployFailed:
    return DeployFailed(
        f"{app.artefact_id} did not get healthy: {reason}",
        reason=reason,
        artefact_id=app.artefact_id,
        lines=app.last_words[-30:],
        rolled_back=False,
    )
