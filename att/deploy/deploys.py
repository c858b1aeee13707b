"""The service of the deploy room: builds artefacts, brings one out, takes it back, and remembers how each of that went.

All three are runs of one exclusive group: a project has one build or deploy at a time. What a deploy changes is one step
(`switch`) that looks before it acts, so it goes on in the next life of the daemon: there either the old version runs and the switch
is done again, or the new one runs and only the end is to be noted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from att.catalogue import Call
from att.deploy import files, pruning, rows, settings, watch_rows
from att.deploy.building import Builder
from att.deploy.engine import Engine
from att.deploy.errors import (
    AlreadyDeployed,
    ArtefactNotFound,
    DeployUnderWay,
    NoArtefact,
    NoPreviousVersion,
    NotGood,
)
from att.deploy.models import (
    Artefact,
    AskHistory,
    BuildArtefact,
    DeployPage,
    DeployStatus,
    RollBack,
    RunDeploy,
)
from att.deploy.probation import Standing
from att.deploy.record import ROLLBACK, Record
from att.deploy.watch_rows import Watched
from att.deploy.watching import Watching
from att.event.log import EventLog
from att.problems import Problem
from att.project.models import Project
from att.project.projects import Projects
from att.runtime import environment
from att.runtime import rows as runtime_rows
from att.runtime.app import AT_DAEMON
from att.runtime.errors import SafeMode
from att.runtime.service import Runtime
from att.runtime.sources import FILES
from att.runtime.switch import Promoted, Trial
from att.store.store import Store
from att.workflow.errors import RunBusy, RunEnded, RunNotFound
from att.workflow.flow import Flow
from att.workflow.models import Run
from att.workflow.runs import Runs

BUILD, RUN = "deploy.build", "deploy.run"
GROUP = "deploy"
TO_END = 600.0  # seconds; it is cut off, and gives another project its app back
_log = structlog.get_logger("att.deploy")


class Deploys:
    def __init__(
        self,
        home: Path,
        store: Store,
        projects: Projects,
        runtime: Runtime,
        runs: Runs,
        events: EventLog,
        environ: Mapping[str, str],
    ) -> None:
        self.builder = Builder(home, store, environ)
        self._store, self._projects, self._runtime, self._runs = store, projects, runtime, runs
        self._engine = Engine(environ)
        self._watching = Watching(store, events, self._go_back)
        self._record = Record(store, runtime, self._watching.begin)
        runs.register(BUILD, self._work_build, resume=False, exclusive=GROUP)
        runs.register(RUN, self._work_run, resume=True, exclusive=GROUP)
        runs.register(ROLLBACK, self._work_run, resume=True, exclusive=GROUP)
        projects.before_delete.append(self._before_delete)
        runtime.changing = self

    # -- the daemon's life

    async def clear(self) -> list[str]:
        """Before runs go on: away with what a killed daemon left half built."""
        return await self.builder.clear()

    async def settle(self) -> None:
        """After runs go on: deploys that nobody will finish are noted as such."""
        for deploy in await self._store.read(rows.under_way):
            try:
                run = await self._runs.get(None, deploy.run_id or "")
                ended = run.state.ended
            except RunNotFound:
                ended = True
            if ended:
                await self._store.write(rows.end(deploy.deploy_id, "interrupted", "the daemon ended", []))
        if not self._runtime.situation.safe:
            await self._watching.open()

    async def aclose(self) -> None:
        """The watch over a version goes on in the next life."""
        await self._watching.aclose()

    # -- as the runtime knows it

    async def let_go(self) -> None:
        """A person has taken the app in hand: nobody looks after its version any longer."""
        await self._watching.end_all()

    async def under_way(self, project_id: str) -> str | None:
        """The run that is about to bring a version out."""
        run = await self._runs.under_way(project_id, GROUP)
        return None if run is None or run.kind == BUILD else run.run_id

    async def cancel(self, project_id: str, run_id: str, call: Call) -> None:
        """End it, since the app is stopped; returns when it has."""
        self._record.stopped.add(run_id)
        try:
            with contextlib.suppress(RunEnded):
                await self._runs.cancel(project_id, run_id, call, wait=TO_END)
        finally:
            self._record.stopped.discard(run_id)

    # -- asking for work

    async def build(self, ask: BuildArtefact, call: Call) -> Run:
        await self._projects.path(ask.project_id)
        if ask.image:
            await self._engine.find()
        wish = {"revision": ask.revision, "rebuild": ask.rebuild, "image": ask.image}
        return await self._begin(BUILD, ask.project_id, call, wish, ask.wait)

    async def run(self, ask: RunDeploy, call: Call) -> Run:
        """Bring a version out. What is known to be wrong is refused before anything begins."""
        await self._refuse(ask.project_id)
        artefact = await self._chosen(ask.project_id, ask.artefact_id)
        if artefact is None and not ask.build:
            raise NoArtefact(f"{ask.project_id}: nothing has been built")
        build = ask.build and ask.artefact_id is None
        if artefact is not None and not build:
            await self._refuse_same(ask.project_id, artefact.artefact_id)
        wish = {
            "artefact_id": None if build or artefact is None else artefact.artefact_id,
            "timeout": ask.health_timeout,
            "retries": ask.health_retries,
        }
        return await self._begin(RUN, ask.project_id, call, wish, ask.wait)

    async def rollback(self, ask: RollBack, call: Call) -> Run:
        """Go back to a version that was healthy."""
        await self._refuse(ask.project_id)
        good = await self._store.read(rows.good_of(ask.project_id))
        if ask.artefact_id is None:
            target = await self._previous(ask.project_id)
            if target is None:
                raise NoPreviousVersion(f"{ask.project_id}: there is no earlier version that was healthy")
        else:
            found = await self._chosen(ask.project_id, ask.artefact_id)
            target = found.artefact_id if found is not None else ask.artefact_id
            if target not in good:
                raise NotGood(f"{target} was never healthy", artefact_id=target)
        await self._refuse_same(ask.project_id, target)
        wish = {"artefact_id": target, "timeout": ask.health_timeout, "retries": ask.health_retries}
        return await self._begin(ROLLBACK, ask.project_id, call, wish, ask.wait)

    async def _begin(self, kind: str, project_id: str, call: Call, wish: dict[str, Any], wait: float) -> Run:
        try:
            return await self._runs.begin(kind, project_id, call, wish, wait=wait)
        except RunBusy as busy:
            raise DeployUnderWay(
                f"{project_id}: a build or deploy is under way", run_id=busy.extra.get("run_id")
            ) from None

    async def _refuse(self, project_id: str) -> None:
        await self._projects.path(project_id)
        if self._runtime.situation.safe:
            raise SafeMode(f"{project_id} is not deployed")

    async def _refuse_same(self, project_id: str, artefact_id: str) -> None:
        app = self._runtime.current(project_id)
        status = await self._runtime.status(project_id, figures=False) if app is not None else None
        alive = status is not None and status.state in ("starting", "running", "backoff")
        if alive and app is not None and app.artefact_id == artefact_id:
            raise AlreadyDeployed(f"{project_id} runs {artefact_id}", artefact_id=artefact_id)

    async def _chosen(self, project_id: str, artefact_id: str | None) -> Artefact | None:
        """The artefact of this id, or the newest."""
        known = await self._store.read(rows.artefacts_of(project_id))
        if artefact_id is None:
            return known[0] if known else None
        found = next((one for one in known if one.artefact_id == artefact_id), None)
        if found is None:
            raise ArtefactNotFound(f"{project_id} has no artefact {artefact_id}", artefact_id=artefact_id)
        return found

    async def _previous(self, project_id: str) -> str | None:
        """The good version before the present one that is still there."""
        chosen = await self._store.read(runtime_rows.source(project_id))
        known = {one.artefact_id for one in await self._store.read(rows.artefacts_of(project_id))}
        line = await self._store.read(rows.line_of(project_id))
        return next((one for one in line if one != chosen.artefact_id and one in known), None)

    # -- the work

    async def _work_build(self, flow: Flow) -> dict[str, Any]:
        artefact = await self._build(flow, flow.step)
        if flow.input.get("image"):
            await flow.step("image", lambda: self._image(flow, artefact))
            artefact = await self._chosen(flow.project_id, artefact.artefact_id) or artefact
        await self._prune(flow.project_id)
        return {"artefact": artefact.model_dump()}

    async def _image(self, flow: Flow, artefact: Artefact) -> dict[str, Any]:
        place = self.builder.folder(artefact.project_id, artefact.artefact_id) / FILES
        scratch = self.builder.scratch(artefact.project_id)
        name = await self._engine.build(artefact, place, scratch, flow.report)
        await self._store.write(rows.add_image(artefact.artefact_id, name))
        return {"image": name}

    async def _build(
        self, flow: Flow, step: Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> Artefact:
        return await self.builder.build(
            flow.project_id,
            await self._projects.path(flow.project_id),
            flow.call,
            revision=flow.input.get("revision"),
            rebuild=bool(flow.input.get("rebuild")),
            step=step,
            report=flow.report,
        )

    async def _work_run(self, flow: Flow) -> dict[str, Any]:
        """Build where that is wanted, check, switch, note."""
        await self._runtime.resume()  # in a life that goes on with this: the app of before is there first
        target = flow.input["artefact_id"]
        if target is None:
            built = await flow.step("build", lambda: self._build_whole(flow))
            target = built["artefact_id"]
        seen: dict[str, Any] = {}
        flow.undo("record", lambda: self._record.cut_off(flow, target, seen.get("previous")))
        seen.update(await flow.step("begin", lambda: self._record.begin(flow, target)))
        before = seen["previous"]
        try:
            await flow.step("check", lambda: self._check(flow.project_id, target))
            await flow.step("switch", lambda: self._switch(flow, target))
        except Problem as problem:
            back = bool(problem.extra.get("rolled_back"))
            state = "rolled_back" if back else "failed"
            await self._record.end(flow, target, before, state, problem.detail, problem.code)
            raise
        await flow.step("finish", lambda: self._record.end(flow, target, before, "succeeded", None))
        await self._prune(flow.project_id)
        watched = await self._store.read(watch_rows.one(flow.run_id))
        return {
            "deploy_id": flow.run_id,
            "artefact_id": target,
            "previous_artefact_id": before,
            "watched_until": watched.until if watched is not None else None,
        }

    async def _build_whole(self, flow: Flow) -> dict[str, Any]:
        """As one step: what is half built when the daemon dies is built anew."""

        async def plain(name: str, do: Callable[[], Awaitable[None]]) -> None:
            flow.report(name)
            await do()

        return (await self._build(flow, plain)).model_dump()

    async def _check(self, project_id: str, artefact_id: str) -> None:
        """Whether it is still what was built."""
        artefact = await self._chosen(project_id, artefact_id)
        folder = self.builder.folder(project_id, artefact_id)
        place = folder / FILES

        def work() -> None:
            packages = environment.look(place).installed
            files.verify(folder, place, packages, artefact.digest if artefact else "")

        await asyncio.to_thread(work)

    async def _switch(self, flow: Flow, artefact_id: str) -> None:
        trial = Trial(flow.input["timeout"], flow.input["retries"] + 1)
        flow.report(f"Trying {artefact_id}")
        with contextlib.suppress(AlreadyDeployed):  # by the life before
            await self._refuse_same(flow.project_id, artefact_id)
            if self._runtime.situation.safe:
                raise SafeMode(f"{flow.project_id} is not deployed")
            watch = await self._watch(flow, artefact_id)
            await self._watching.end_all(but=flow.input.get("of"))
            await self._runtime.switch.to(flow.project_id, artefact_id, flow.call, trial, watch)
        flow.report(f"{artefact_id} runs")

    async def _watch(self, flow: Flow, artefact_id: str) -> Promoted | None:
        """What is to be noted with the switch, when the version is to be looked after. One that was gone back to is not: it was
        good, and where should one go from there."""
        if flow.kind == ROLLBACK:
            return None
        place = self.builder.folder(flow.project_id, artefact_id) / FILES
        found = await asyncio.to_thread(settings.read, place)
        if not found.watch:
            return None
        return watch_rows.begin(flow.run_id, found, flow.input["timeout"], artefact_id, flow.project_id)

    async def _go_back(self, watched: Watched) -> None:
        """From a version that turned ill: a rollback like any other, begun once.

        Not from one that is the app's no more: the release before, which knows of no watch, ends none with another deploy.
        """
        project_id = watched.project_id
        newest = await self._runs.newest(project_id, ROLLBACK)
        begun = newest is not None and newest.input.get("of") == watched.deploy_id
        chosen = await self._store.read(runtime_rows.source(project_id))
        if not begun and (chosen.artefact_id, chosen.files) != (watched.artefact_id, False):
            await self._store.write(watch_rows.turn(watched.deploy_id, Standing.ENDED, when=Standing.ILL))
            return
        while not begun:
            now = await self._store.read(watch_rows.one(watched.deploy_id))
            target = await self._previous(project_id)
            if now is None or now.state is not Standing.ILL:
                return
            if target is None:
                _log.error("nothing_to_go_back_to", project_id=project_id, reason=watched.reason)
                break
            wish = {"artefact_id": target, "timeout": watched.timeout, "retries": 0}
            wish |= {"of": watched.deploy_id, "reason": watched.reason}
            try:
                await self._runs.begin(ROLLBACK, project_id, AT_DAEMON, wish)
                begun = True
            except RunBusy as busy:  # a build; or a deploy that may mend it
                await self._runs.wait(str(busy.extra["run_id"]), 60)
        await self._store.write(watch_rows.turn(watched.deploy_id, Standing.FAILED, when=Standing.ILL))

    async def _prune(self, project_id: str) -> None:
        known = [one.artefact_id for one in await self._store.read(rows.artefacts_of(project_id))]
        good = await self._store.read(rows.good_of(project_id))
        chosen = await self._store.read(runtime_rows.source(project_id))
        app = self._runtime.current(project_id)
        keep = {chosen.artefact_id, app.artefact_id if app is not None else None}
        gone = pruning.to_remove(known, good, keep)
        if gone:
            await self.builder.remove(project_id, gone)
            _log.info("artefacts_removed", project_id=project_id, artefacts=gone)

    # -- looking

    async def status(self, project_id: str) -> DeployStatus:
        await self._projects.get(project_id)
        chosen = await self._store.read(runtime_rows.source(project_id))
        app = self._runtime.current(project_id)
        now = await self._runtime.status(project_id, figures=False)
        alive = app is not None and now.state not in ("stopped", "failed")
        live = [one for one in await self._store.read(watch_rows.live) if one.state is Standing.ON]
        under_way = await self._runs.under_way(project_id, GROUP)
        return DeployStatus(
            project_id=project_id,
            artefact_id=chosen.artefact_id,
            source="files" if chosen.files or chosen.artefact_id is None else "deployed",
            running=app.artefact_id if app is not None and alive else None,
            previous=await self._previous(project_id),
            under_way=under_way.run_id if under_way is not None else None,
            last=await self._store.read(rows.last(project_id)),
            watched_until=next((one.until for one in live if one.project_id == project_id), None),
            artefacts=await self._store.read(rows.artefacts_of(project_id)),
        )

    async def history(self, ask: AskHistory) -> DeployPage:
        await self._projects.get(ask.project_id)
        return await self._store.read(rows.page(ask))

    async def _before_delete(self, project: Project) -> None:
        await self._watching.forget(project.id)
        await self.builder.remove_all(project.id)
