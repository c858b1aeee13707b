"""The environments of all projects: which build is under way, how the last one ended, and the events that tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from att.catalogue import Call
from att.event.log import EventLog
from att.event.models import Outcome
from att.runtime import preflight
from att.runtime.build import Build, BuildState
from att.runtime.environment import Environment, Standing
from att.runtime.errors import EnvironmentBuilding, NoBuildRunning
from att.runtime.models import EnvironmentStatus

LINES = 50


class Builds:
    """At most one build for each project."""

    def __init__(self, events: EventLog, environ: Mapping[str, str]) -> None:
        self._events = events
        self._environ = environ
        self._builds: dict[str, Build] = {}
        self._records: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()

    def under_way(self, project_id: str) -> Build | None:
        build = self._builds.get(project_id)
        return build if build is not None and build.state is BuildState.BUILDING else None

    def last(self, project_id: str) -> Build | None:
        return self._builds.get(project_id)

    async def begin(
        self, project_id: str, folder: Path, call: Call, *, rebuild: bool = False
    ) -> Build | None:
        """Start a build; None when the environment is up to date (and `rebuild` was not asked for)."""
        if self.under_way(project_id):
            raise EnvironmentBuilding(f"{project_id}: a build is under way")
        plan, found = await asyncio.to_thread(preflight.plan_environment, folder)
        if not rebuild and found.standing is Standing.READY:
            if (last := self.last(project_id)) is not None and last.state is not BuildState.READY:
                self.forget(project_id)  # how that went does not matter any more
            return None
        if self.under_way(project_id):  # somebody else was quicker while the files were read
            raise EnvironmentBuilding(f"{project_id}: a build is under way")
        build = Build(folder, plan, self._environ)
        self._builds[project_id] = build
        build.start()
        task = asyncio.create_task(self._record(project_id, build, call), name=f"record build {project_id}")
        self._records.add(task)
        task.add_done_callback(self._records.discard)
        return build

    async def wait(self, build: Build, seconds: float) -> None:
        """Returns when it has ended, or after `seconds`, or when the daemon leaves."""
        if seconds <= 0:
            return
        waits = [asyncio.create_task(build.done()), asyncio.create_task(self._leaving.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def leave(self) -> None:
        """The daemon is about to leave: nobody waits any longer."""
        self._leaving.set()

    async def cancel(self, project_id: str) -> None:
        """End the build; returns when nothing of it is left."""
        build = self.under_way(project_id)
        if build is None:
            raise NoBuildRunning(f"{project_id}: no build is under way")
        await build.cancel()

    async def status(self, project_id: str, folder: Path) -> EnvironmentStatus:
        build = self._builds.get(project_id)
        if build is not None and build.state is BuildState.BUILDING:
            return self._of_build(project_id, folder, build)
        _, found = await asyncio.to_thread(preflight.plan_environment, folder)
        return self._of_disk(project_id, found, build)

    def forget(self, project_id: str) -> None:
        self._builds.pop(project_id, None)

    async def aclose(self) -> None:
        """Cancel all builds and write what is to be written of them."""
        for build in self._builds.values():
            if build.state is BuildState.BUILDING:
                await build.cancel()
        if self._records:
            await asyncio.wait(self._records)

    async def _record(self, project_id: str, build: Build, call: Call) -> None:
        async def tell(event_type: str, outcome: Outcome = Outcome.OK, **payload: object) -> None:
            await self._events.append(
                event_type,
                project_id=project_id,
                payload={"what": "environment", "source": build.recipe.source, **payload},
                actor=call.actor,
                request_id=call.request_id or None,
                outcome=outcome,
            )

        await tell("build.started")
        phase = build.progress.phase
        async for _ in build.follow():
            if build.progress.phase != phase:
                phase = build.progress.phase
                await tell("build.progress", phase=phase, progress=round(build.progress.share, 2))
        if build.state is BuildState.READY:
            await tell("build.completed")
        else:
            reason = "cancelled" if build.state is BuildState.CANCELLED else "failed"
            await tell(
                "build.failed",
                Outcome.FAILED,
                reason=reason,
                error=build.problem.detail if build.problem else None,
            )

    def _of_build(self, project_id: str, folder: Path, build: Build) -> EnvironmentStatus:
        return EnvironmentStatus(
            project_id=project_id,
            state="building",
            path=str(build.folder),
            source=build.recipe.source,
            phase=build.progress.phase,
            progress=round(build.progress.share, 3),
            started_at=build.started_at,
            lines=build.lines[-LINES:],
        )

    def _of_disk(self, project_id: str, found: Environment, build: Build | None) -> EnvironmentStatus:
        failed = build is not None and build.state in (BuildState.FAILED, BuildState.CANCELLED)
        state = (
            build.state.value if build is not None and failed and not found.usable else found.standing.value
        )
        problem = build.problem if build is not None else None
        return EnvironmentStatus(
            project_id=project_id,
            state=state,  # type: ignore[arg-type]
            reason=problem.detail if problem is not None and not found.usable else found.reason,
            path=str(found.folder),
            python_version=found.python_version or None,
            nat_version=found.nat_version or None,
            source=found.source or None,
            built_at=found.built_at or None,
            phase=build.progress.phase if build is not None else None,
            progress=round(build.progress.share, 3) if build is not None else None,
            started_at=build.started_at if build is not None else None,
            ended_at=build.ended_at if build is not None else None,
            error=problem.detail if problem is not None else None,
            lines=build.lines[-LINES:] if build is not None else [],
        )


async def progress_frames(status: EnvironmentStatus, build: Build | None, sse: bool) -> AsyncIterator[bytes]:
    """The lines of a build as they come, then its outcome, as SSE or NDJSON."""
    import json

    def frame(name: str, number: int, content: Mapping[str, object]) -> bytes:
        text = json.dumps({"type": name, **content})
        return f"id: {number}\nevent: {name}\ndata: {text}\n\n".encode() if sse else f"{text}\n".encode()

    number = 0
    if build is not None:
        async for number, lines in build.follow():
            share = round(build.progress.share, 3)
            for line in lines:
                yield frame(
                    "progress", number, {"line": line, "phase": build.progress.phase, "progress": share}
                )
        outcome = {"state": build.state.value, "error": build.problem.detail if build.problem else None}
        yield frame("done", number, outcome)
    else:
        yield frame("done", number, {"state": status.state, "error": None})
