"""What a project's app runs out of: the artefact that was deployed, or the project's own files; and all that is looked at there.

Which of the two it is stands in the store (`rows.source`). An artefact lies below the home at `artefacts/PROJECT/ID`, its file
`artefact.json` says that it is whole. Each run has a private TMPDIR of its own, a *slot*: two versions may live at once.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from att.catalogue import Call
from att.deploy.errors import ArtefactBroken, NoArtefact
from att.project.models import Project
from att.project.projects import Projects
from att.runtime import disk, evaluation, preflight, private, rows
from att.runtime.build import BuildState
from att.runtime.builds import Builds
from att.runtime.errors import EnvironmentBuildFailed, EnvironmentBuilding
from att.runtime.models import EvalResult, EvalRuntime
from att.runtime.preflight import Ready
from att.store.store import Store

SEALED = "artefact.json"
FILES = "files"
Source = Literal["deployed", "files"]


class Sources:
    def __init__(
        self, home: Path, projects: Projects, store: Store, environ: Mapping[str, str], builds: Builds
    ) -> None:
        self._home, self._projects, self._store = home, projects, store
        self._environ, self._builds = environ, builds

    def run_folder(self, project_id: str) -> Path:
        return self._home / "run" / project_id

    def slot(self, project_id: str, taken: Collection[Path | None] = ()) -> Path:
        """The private TMPDIR for a further run."""
        folder = self.run_folder(project_id)
        number = 1
        while (place := folder / ("tmp" if number == 1 else f"{number}-tmp")) in taken:
            number += 1
        return place

    async def make_room(self, project_id: str) -> None:
        """The folder for its slots, so that a disk that refuses does so before anything is stopped."""
        folder = self.run_folder(project_id)
        with disk.making(folder):
            await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)

    def clear(self, slot: Path | None) -> None:
        """Nothing of a run's private folder stays."""
        if slot is not None:
            shutil.rmtree(slot, ignore_errors=True)
            private.remove(slot)

    def wipe_all(self, used: Collection[Path]) -> None:
        """What killed daemons left: private TMPDIRs with configs in plain text, but for those of apps that run."""
        for place in (self._home / "run").glob("*/*tmp"):
            if place not in used:
                self.clear(place)

    async def chosen(self, project_id: str, source: Source | None) -> str | None:
        """The artefact to run; None for the project's own files."""
        if source == "files":
            return None
        known = await self._store.read(rows.source(project_id))
        if source == "deployed" and known.artefact_id is None:
            raise NoArtefact(f"{project_id}: nothing has been deployed")
        return known.artefact_id if source == "deployed" or not known.files else None

    def artefacts(self, project_id: str) -> Path:
        """What holds all artefacts of a project."""
        return self._home / "artefacts" / project_id

    async def folder(self, project_id: str, artefact_id: str | None) -> Path:
        """Where its files are."""
        if artefact_id is None:
            return await self._projects.path(project_id)
        place = self.artefacts(project_id) / artefact_id
        if not await asyncio.to_thread((place / SEALED).is_file):
            raise ArtefactBroken(f"{artefact_id} is not there any more", artefact_id=artefact_id)
        return place / FILES

    async def look_over(
        self, project: Project, artefact_id: str | None, tmp: Path, *, validate: bool = True
    ) -> Ready:
        """All that can be known to be wrong before a start."""
        folder = await self.folder(project.id, artefact_id)
        if artefact_id is None and self._builds.under_way(project.id):
            raise EnvironmentBuilding(f"{project.id}: its environment is being built")
        ready = await preflight.look_over(
            project.id, folder, tmp=tmp, environ=self._environ, validate=validate
        )
        config = ready.place.config
        if artefact_id is None and validate and config is not None and config.path.is_relative_to(folder):
            await self._projects.set_nat_config(project.id, str(config.path.relative_to(folder)))
        return ready

    async def evaluate(self, ask: EvalRuntime) -> EvalResult:
        """Run `nat eval` on the project's own files."""
        project = await self._projects.get(ask.project_id)
        folder = await self._projects.path(ask.project_id)
        named = ask.config or project.nat_config_path or ""
        tmp = self.run_folder(project.id) / "eval-tmp"
        ready = await preflight.look_over(
            project.id, folder, tmp=tmp, environ=self._environ, named_config=named
        )
        return await evaluation.evaluate(ask, ready)

    async def build(self, project: Project, call: Call) -> None:
        """The environment of the project's own files, to its end."""
        folder = await self._projects.path(project.id)
        build = self._builds.under_way(project.id) or await self._builds.begin(project.id, folder, call)
        if build is None:
            return
        state = await build.done()
        if state is BuildState.CANCELLED:
            raise EnvironmentBuildFailed(f"{project.id}: the build was cancelled")
        if build.problem is not None:
            raise build.problem
