"""Building an environment: runs the recipe's uv commands in the project, tells how far it is, and leaves nothing half done.

An environment does not move (its scripts carry its path), so it is built in place. A working one that is to be made anew is
put aside first and put back when the build fails or is cancelled; the mark and the stamp of `environment` tell every other
case, a killed daemon included. uv runs in a session of its own; a cancelled build ends that whole tree before it returns.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from pathlib import Path

from att import shortrun
from att.runtime import environment
from att.runtime.errors import EnvironmentBuildFailed
from att.runtime.progress import Progress
from att.runtime.recipe import FOLDER, Recipe, Step
from att.store.times import now

ASIDE = ".venv.before"
LINES = 2000
_LEFT_OUT = ("ATT_", "PYTHON", "VIRTUAL_ENV", "CONDA_", "UV_PROJECT_ENVIRONMENT")


class BuildState(StrEnum):
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Build:
    """One build. Made by `Build(…)`, run once by `await run()`, ended early by `await cancel()`."""

    def __init__(self, project: Path, recipe: Recipe, environ: Mapping[str, str]) -> None:
        self.project = project
        self.recipe = recipe
        self.state = BuildState.BUILDING
        self.progress = Progress()
        self.lines: list[str] = []
        self.started_at = now()
        self.ended_at: str | None = None
        self.problem: EnvironmentBuildFailed | None = None
        self._first = 0  # number of the first line that is still held
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._env = {k: v for k, v in environ.items() if not k.startswith(_LEFT_OUT)}
        self._env |= {"NO_COLOR": "1", "UV_PROJECT_ENVIRONMENT": FOLDER, "PYTHONUNBUFFERED": "1"}

    @property
    def folder(self) -> Path:
        return self.project / FOLDER

    def start(self) -> asyncio.Task[None]:
        """Begin; the task never raises, the outcome stands in `state`."""
        self._task = asyncio.create_task(self._run(), name=f"build {self.project.name}")
        return self._task

    async def cancel(self) -> None:
        """End it and wait until nothing of it is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def done(self) -> BuildState:
        """Wait for its end; a cancelled waiter does not end the build."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return self.state

    async def follow(self, after: int = 0) -> AsyncIterator[tuple[int, list[str]]]:
        """The lines after number `after` as they come, with the number of the last; ends with the build."""
        while True:
            changed, state = self._changed, self.state
            start = max(after - self._first, 0)
            block = self.lines[start:]
            after = self._first + len(self.lines)
            if block:
                yield after, block
            if state is not BuildState.BUILDING:
                return
            if changed is self._changed:
                await changed.wait()

    async def _run(self) -> None:
        try:
            await self._prepare()
            for step in self.recipe.steps:
                await self._step(step)
            await asyncio.to_thread(self._seal)
        except asyncio.CancelledError:
            await self._undo(BuildState.CANCELLED)
        except (EnvironmentBuildFailed, OSError) as fault:
            text = (
                fault.detail
                if isinstance(fault, EnvironmentBuildFailed)
                else f"{fault.strerror}: {fault.filename}"
            )
            self.problem = EnvironmentBuildFailed(text, lines=self.lines[-30:])
            await self._undo(BuildState.FAILED)
        else:
            self.progress = Progress("done", 1.0)
            self._end(BuildState.READY)

    async def _prepare(self) -> None:
        for note in self.recipe.notes:
            self._tell(note)
        self._tell(f"Making {FOLDER} from {self.recipe.source} with {self.recipe.python}")
        await asyncio.to_thread(self._put_aside)
        environment.begin(self.folder)

    def _put_aside(self) -> None:
        aside = self.project / ASIDE
        half = (self.folder / environment.BUILDING).exists()
        if self.folder.is_symlink():
            self.folder.unlink()
        elif half:
            shutil.rmtree(self.folder)
        elif self.folder.exists():
            if aside.exists():
                shutil.rmtree(aside)
            self.folder.rename(aside)

    def _seal(self) -> None:
        found = environment.packages(self.folder)
        self._tell(f"{len(found)} packages are installed")
        environment.finish(self.folder, digest=self.recipe.digest, source=self.recipe.source, built_at=now())
        look = environment.look(self.project, self.recipe.digest)
        if not look.usable:
            raise EnvironmentBuildFailed(look.reason)
        shutil.rmtree(self.project / ASIDE, ignore_errors=True)

    async def _undo(self, state: BuildState) -> None:
        await asyncio.shield(asyncio.to_thread(self._put_back))
        self._tell("The build was cancelled." if state is BuildState.CANCELLED else "The build failed.")
        self._end(state)

    def _put_back(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        aside = self.project / ASIDE
        if aside.exists() and not self.folder.exists():
            aside.rename(self.folder)

    async def _step(self, step: Step) -> None:
        code = await self._uv(step.argv)
        if code and step.instead:
            self._tell(
                "The known-good versions do not go together with this project; trying with its own alone."
            )
            code = await self._uv(step.instead)
        if code:
            raise EnvironmentBuildFailed(self._reason(step, code))

    def _reason(self, step: Step, code: int) -> str:
        said = [
            line
            for line in self.lines[-40:]
            if line.lstrip().startswith(("error:", "×", "╰─▶", "Because", "hint:"))
        ]
        words = " ".join(" ".join(said).replace("×", "").replace("╰─▶", "").split())
        return words[:1000] or f"uv {step.argv[0]} ended with {code}"

    async def _uv(self, argv: tuple[str, ...]) -> int:
        from uv import find_uv_bin

        return await shortrun.run((find_uv_bin(), *argv), cwd=self.project, env=self._env, on_line=self._hear)

    def _hear(self, line: str) -> None:
        if line.strip():
            self._tell(line.rstrip())

    def _tell(self, line: str) -> None:
        self.progress = self.progress.after(line)
        self.lines.append(line)
        if len(self.lines) > LINES:
            gone = len(self.lines) - LINES
            del self.lines[:gone]
            self._first += gone
        self._wake()

    def _end(self, state: BuildState) -> None:
        self.ended_at = now()
        self.state = state
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
