"""Making a release: its source, its environment, a check that it comes up, and its description, written last.

Runs as one task that never raises; the outcome stands in `state`. An environment does not move, so all is made where it stays.
Failed or cancelled, the folder is gone when it ends; killed, the mark in it tells the next life to clear it.
"""

from __future__ import annotations

import asyncio
import errno
import platform
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from att import shortrun
from att.problems import Problem
from att.release import errors, recipe
from att.release.recipe import Step
from att.release.shelf import Shelf
from att.release.source import Source, Stopped, fetch, in_thread
from att.store.errors import DiskFull
from att.store.times import now

LINES = 2000
STEP_TIMEOUT, CHECK_TIMEOUT = 1800.0, 60.0
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_WORDS = ("No space left on device", "Disk quota exceeded")


class StagingState(StrEnum):
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Run(Protocol):
    def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        timeout: float | None,
    ) -> Awaitable[int]: ...


class Staging:
    """One making. `await start()` begins it, `await cancel()` ends it early; `tell` hears of a good end, inside the task."""

    def __init__(
        self,
        shelf: Shelf,
        release: str,
        source: Source,
        environ: Mapping[str, str],
        *,
        extras: Sequence[str] = (),
        run: Run = shortrun.run,
        tell: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.release, self.source = release, source
        self.state = StagingState.BUILDING
        self.phase, self.share = "source", 0.0
        self.lines: list[str] = []
        self.problem: Problem | None = None
        self._shelf, self._run, self._tell_ready, self._extras = shelf, run, tell, tuple(extras)
        self._env = recipe.environment(environ)
        self._stop = Event()
        self._first = 0  # number of the first line that is still held
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def place(self) -> Path:
        return self._shelf.place(self.release)

    def start(self) -> None:
        self._task = asyncio.create_task(self._whole(), name=f"stage {self.release}")

    async def cancel(self) -> None:
        """End it and wait until nothing of it is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def done(self) -> StagingState:
        """Wait for its end; a cancelled waiter does not end it."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return self.state

    async def follow(self, after: int = 0) -> AsyncIterator[tuple[int, list[str]]]:
        """The lines after number `after` as they come, with the number of the last; ends with the making."""
        while True:
            changed, state = self._changed, self.state
            block = self.lines[max(after - self._first, 0) :]
            after = max(after, self._first + len(self.lines))
            if block:
                yield after, block
            if state is not StagingState.BUILDING:
                return
            if changed is self._changed:
                await changed.wait()

    async def _whole(self) -> None:
        try:
            await self._make()
        except asyncio.CancelledError:
            await self._undo("The making of this release was cancelled.")
            self._end(StagingState.CANCELLED)
        except (Problem, OSError, TimeoutError, Stopped) as fault:
            self.problem = self._problem(fault)
            await self._undo(f"Failed: {self.problem.detail}")
            self._end(StagingState.FAILED)
        else:
            await self._made()

    async def _made(self) -> None:
        """It is a release from here on; that nobody could be told of it does not take that back."""
        self.phase, self.share = "staged", 1.0
        try:
            if self._tell_ready is not None:
                await self._tell_ready()
        except (Problem, asyncio.CancelledError) as fault:
            self._say(f"It is made, but the launcher has not taken note of it: {fault or 'cancelled'}")
        self._end(StagingState.READY)

    async def _make(self) -> None:
        self._say(f"Making {self.release} from {self.source.told}")
        await in_thread(self._stop, self._shelf.begin, self.release)
        await fetch(self.source, self.place / recipe.SOURCE, self._shelf.disk, self._stop)
        self._say(f"Version {self.source.version}, commit {self.source.commit or 'none'}")
        base = getattr(sys, "_base_executable", None) or sys.executable
        for step in recipe.before_wheel(base):
            await self._step(step)
        wheel = next((self.place / recipe.WHEELS).glob("*.whl"), None)
        if wheel is None:
            raise errors.StagingFailed("The source was built, but there is no wheel.")
        for step in recipe.after_wheel(f"{recipe.WHEELS}/{wheel.name}", self._extras):
            await self._step(step)
        await in_thread(self._stop, self._seal)

    async def _step(self, step: Step) -> None:
        self.phase = step.name
        self._wake()
        program = self._uv() if step.uv else str(self.place / recipe.PYTHON)
        limit = STEP_TIMEOUT if step.uv else CHECK_TIMEOUT
        cwd = self.place if step.uv else self.place / recipe.ENV  # not where the source could be found
        try:
            code = await self._run(
                (program, *step.argv), cwd=cwd, env=self._env, on_line=self._hear, timeout=limit
            )
        except TimeoutError:
            raise self._fault(step)(
                f"{step.name} was not done after {limit:g} s.", lines=self.lines[-30:]
            ) from None
        if code and any(word in line for line in self.lines[-40:] for word in FULL_WORDS):
            raise DiskFull(f"There is no space left for {self.release}.")
        if code:
            raise self._fault(step)(recipe.reason_of(self.lines, step.name, code), lines=self.lines[-30:])
        self.share = step.share

    def _fault(self, step: Step) -> type[errors.StagingFailed]:
        return errors.StagingFailed if step.uv else errors.SelfCheckFailed

    def _uv(self) -> str:
        from uv import find_uv_bin

        return str(find_uv_bin())

    def _seal(self) -> None:
        wheels = self.place / recipe.WHEELS
        if wheels.is_dir():
            self._shelf.disk.remove_tree(wheels)
        description: dict[str, Any] = {
            "id": self.release,
            "version": self.source.version,
            "commit": self.source.commit,
            "built_at": now(),
            "digest": self._shelf.digest(self.release),
            "python": recipe.PYTHON,
            "module": recipe.MODULE,
            "python_version": platform.python_version(),
            "source": self.source.told,
            "repository": str(self.source.place) if self.source.under_git else None,
        }
        self._shelf.seal(self.release, description, "\n".join([*self.lines, ""]))

    def _problem(self, fault: Exception) -> Problem:
        if isinstance(fault, Problem):
            return fault
        if isinstance(fault, OSError) and fault.errno in FULL:
            return DiskFull(f"There is no space left for {self.release}.")
        text = (
            f"{fault.strerror}: {fault.filename}"
            if isinstance(fault, OSError) and fault.strerror
            else str(fault)
        )
        return errors.StagingFailed(text or type(fault).__name__, lines=self.lines[-30:])

    async def _undo(self, word: str) -> None:
        try:
            await asyncio.shield(asyncio.to_thread(self._discard))
        except OSError as fault:  # the mark is still there: the next start clears it
            self._say(f"What was made so far cannot be removed now: {fault}")
        self._say(word)

    def _discard(self) -> None:
        if self.place.exists():
            self._shelf.discard(self.release)

    def _hear(self, line: str) -> None:
        if line.strip():
            self._say(line.rstrip())

    def _say(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) > LINES:
            gone = len(self.lines) - LINES
            del self.lines[:gone]
            self._first += gone
        self._wake()

    def _end(self, state: StagingState) -> None:
        self.state = state
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
