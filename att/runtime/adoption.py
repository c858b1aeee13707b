"""What a life of the daemon makes of the app that an earlier one left: the run that its keeper still knows goes on.

The settings are read anew from the project, with the address that the run has. Where they cannot be used any more the app goes on
as its row tells, and is not started again by itself, since its secrets are in no row. Runs that nobody wants any more are ended.
What becomes of the app after that is the runner's affair.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from att.event.models import Outcome
from att.problems import Problem
from att.project.models import Project, ProjectStatus
from att.project.projects import Projects
from att.runtime import command, environment, heritage, private, rows
from att.runtime.app import AT_DAEMON, App
from att.runtime.command import Place
from att.runtime.heritage import Row
from att.runtime.logs import Logs
from att.runtime.preflight import Ready
from att.runtime.rows import Note
from att.runtime.settings import RuntimeSettings
from att.runtime.sources import Sources
from att.store.store import Store
from att.store.times import stamp
from supervisor.keeper import Keeper, Run
from supervisor.runner import Living, Waiting
from supervisor.spec import AppSpec, ProbeKind, ProbeSpec, Restart, RestartSpec

NOT_WANTED = "not wanted any more"
GRACE = 2.0  # for a run that nobody knows enough of to stop it in its own way
SAFE = "ATT runs in safe mode: the app is kept, but neither probed nor started again"
_log = structlog.get_logger("att.runtime")


class Situation(NamedTuple):
    """How this life came about. `launcher`: which one keeps the apps ("" without one); `safe`: apps are kept, and no more."""

    launcher: str = ""
    safe: bool = False


STANDALONE = Situation()


class Adoption:
    """Done once, at the start of a life."""

    def __init__(
        self,
        projects: Projects,
        store: Store,
        keeper: Keeper,
        logs: Logs,
        environ: Mapping[str, str],
        situation: Situation,
        sources: Sources,
    ) -> None:
        self._sources = sources
        self._projects, self._store, self._keeper, self._logs = projects, store, keeper, logs
        self._environ = environ
        self._situation = situation

    async def living(self, found: Sequence[Run], wanted: str | None, tmp: Path) -> App | None:
        """The app whose run goes on, the wanted one first; all other runs are ended. `tmp` / project / "tmp" is its TMPDIR."""
        app: App | None = None
        for run, row in await known(self._store, found, wanted):
            if app is None and row is not None and row["exited_at"] is None and heritage.is_app(row):
                app = await self._open(row, heritage.living(run, row), tmp)
                if app is not None:
                    _log.info("app_adopted", project_id=app.project_id, run_id=run.run_id, pid=run.pid)
                    continue
            await end(self._store, self._keeper, run, row)
        return app

    async def waiting(self, project_id: str, same_launcher: bool, tmp: Path) -> App | bool:
        """The wanted app that was waiting to be started again; else whether it is to be started at all."""
        row = await self._store.read(rows.last(project_id))
        found = heritage.waiting(row)
        if row is not None and found is not None:
            app = await self._open(row, found, tmp)
            return True if app is None else app  # a start tells why it cannot be
        project = await self._projects.get(project_id)
        return not (same_launcher and project.status is ProjectStatus.ERROR)  # it stays failed

    async def _open(self, row: Row, found: Living | Waiting, tmp: Path) -> App | None:
        try:
            project = await self._projects.get(row["project_id"])
            ready, spec = await self._spec(project, row, heritage.slot(row, tmp), isinstance(found, Living))
        except Problem as problem:
            _log.warning("app_not_adopted", run_id=row["run_id"], code=problem.code, detail=problem.detail)
            return None
        return App.open(
            ready,
            spec,
            self._keeper,
            self._logs(project.id),
            self._store,
            self._projects.set_status,
            AT_DAEMON,
            found,
            artefact_id=row["details"].get("artefact_id"),
        )

    async def _spec(self, project: Project, row: Row, tmp: Path, runs: bool) -> tuple[Ready, AppSpec]:
        why, artefact_id = SAFE, row["details"].get("artefact_id")
        if not self._situation.safe:
            try:
                ready = await self._sources.look_over(project, artefact_id, tmp, validate=False)
                asked = private.path(tmp) if row["details"].get("gate") else ""
                port = row["port"] or ready.place.port
                return ready, ready.spec(port, row["details"].get("socket", ""), asked)
            except Problem as problem:
                if not runs:
                    raise
                why = f"The app goes on as it was started, since its settings cannot be used now: {problem.detail}"
        folder = Path(project.path)
        with contextlib.suppress(Problem):  # it runs nevertheless
            folder = await self._sources.folder(project.id, artefact_id)
        return as_it_runs(project.id, folder, tmp, row, self._environ, why)


def as_it_runs(
    project_id: str, folder: Path, tmp: Path, row: Row, environ: Mapping[str, str], why: str
) -> tuple[Ready, AppSpec]:
    """A run whose settings are not to be used: kept and watched, never started again by itself. `why` is shown as a warning."""
    settings = RuntimeSettings()
    place = Place(project_id, folder, None, "", tmp, None, row["host"] or "", row["port"] or 0)
    env = command.variables(settings, place, environ, {})
    argv = tuple(row["command"])
    found = environment.look(folder)
    spec = AppSpec(
        command=argv,
        cwd=folder,
        env=env,
        log=project_id,
        host=place.host,
        port=place.port,
        socket=row["details"].get("socket", ""),
        gate=row["details"].get("gate", 0),
        probes=(ProbeSpec(ProbeKind.PROCESS, "process"),),
        restart=RestartSpec(policy=Restart.TEMPORARY),
        private_tmp=tmp,
    )
    return Ready(settings, place, argv, env, found, (why,)), spec


async def known(store: Store, found: Sequence[Run], wanted: str | None) -> list[tuple[Run, Row | None]]:
    """The keeper's runs with their rows, that of the wanted app first. One of which no row was written has none."""
    pairs = [(run, await store.read(rows.one(run.run_id))) for run in found]
    return sorted(pairs, key=lambda pair: (pair[1] is None, pair[0].log != wanted, pair[0].run_id))


async def end(store: Store, keeper: Keeper, run: Run, row: Row | None) -> None:
    """A run that is not to go on: nothing of it is left, its end is noted once, and the keeper may forget it."""
    await keeper.clear(run.run_id, 0.0 if run.exit is not None else GRACE)
    exit = await keeper.exited(run.run_id)
    if row is not None and row["exited_at"] is None:
        values: dict[str, object] = {"exit_code": exit.code, "exit_signal": exit.signal}
        payload = {"run_id": run.run_id, "pid": run.pid, "reason": NOT_WANTED, **values}
        note = Note("runtime.exited", row["project_id"], payload, outcome=Outcome.OK)
        values |= {"state": "stopped", "reason": NOT_WANTED, "exited_at": stamp(exit.at)}
        await store.write(rows.change(run.run_id, values, [note]))
    await keeper.acknowledge(run.run_id)
