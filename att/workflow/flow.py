"""What a work function is given: named steps with a checkpoint each, in sequence or side by side, and what takes them back.

    async def work(flow: Flow) -> dict:
        seen = await flow.step("look", look)
        flow.undo("files", lambda: put_back(seen))
        await flow.step("change", lambda: change(seen), retries=2, timeout=60)
        both = await flow.parallel(unit=unit_tests, lint=lint)
        return {"ok": both["unit"]["passed"]}

A step whose checkpoint is in the store is not run again: its output is answered from there, found by its name, so that other code
(with a step more, or one less) goes on as well. What a step answers is plain JSON, and read back as such. A step that was cut off
is run again, so steps look before they act.

`undo` is to be called before what it takes back. The newest is run first, each with a checkpoint of its own, and in a later life
too: then the work function is run through the steps that are done (nothing new is begun), which calls `undo` again. So all that has
an effect belongs into a step.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import structlog

from att.catalogue import Call
from att.problems import Problem
from att.store.store import Store
from att.workflow import rows
from att.workflow.board import Board
from att.workflow.content import OUTPUT, encoded
from att.workflow.errors import StepBroke, StepTimeout
from att.workflow.retry import Backoff, wait_before_next
from att.workflow.rows import UNDO, Kept

T = TypeVar("T")
Do = Callable[[], Awaitable[T]]
log = structlog.get_logger("att.workflow")


class Halt(BaseException):
    """Nothing new is begun: the daemon leaves, or what was done is to be taken back."""


@dataclass(slots=True)
class _Undo:
    name: str
    do: Do[Any]
    covers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Means:
    """What a flow works with; `sleep` and `chance` are there to be set by tests."""

    store: Store
    sleep: Callable[[float], Awaitable[Any]]
    chance: Callable[[], float]


class Flow:
    def __init__(self, kept: Kept, call: Call, done: dict[str, Any], board: Board, means: Means) -> None:
        self.run_id = kept.run_id
        self.project_id = kept.project_id
        self.kind = kept.kind
        self.input = kept.input
        self.created_at = kept.created_at
        self.call = call
        self.halted = False
        self._kept = kept
        self._done = done
        self._board = board
        self._means = means
        self._met: set[str] = set()
        self._undos: list[_Undo] = []

    async def step(
        self,
        name: str,
        do: Do[T],
        *,
        retries: int = 0,
        timeout: float | None = None,
        backoff: Backoff = Backoff(),  # noqa: B008  (frozen)
    ) -> T:
        """What `do` answers, once: tried again up to `retries` times, each try bounded by `timeout` seconds."""
        if name in self._met or not name or len(name) > 128 or name.startswith(UNDO):
            raise ValueError(f"{name!r} is no name for another step of this run")
        self._met.add(name)
        for undo in self._undos:
            undo.covers.append(name)
        if name in self._done:
            return cast(T, self._done[name])
        return cast(T, await self._tried(name, do, retries, timeout, backoff))

    async def parallel(self, **do: Do[Any]) -> dict[str, Any]:
        """Several steps side by side; when one fails the others are cancelled, and its problem is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {name: group.create_task(self.step(name, each)) for name, each in do.items()}
        except BaseExceptionGroup as several:
            raise _first(several) from None
        return {name: task.result() for name, task in tasks.items()}

    def undo(self, name: str, do: Do[Any]) -> None:
        """Have `do` called when the run does not succeed, to take back what the steps after this did."""
        if any(undo.name == name for undo in self._undos):
            raise ValueError(f"there is an undo {name!r} already")
        self._undos.append(_Undo(name, do))

    def report(self, message: str, *, done: float | None = None, total: float | None = None) -> None:
        """Tell the followers how it goes."""
        self._board.report(message, done, total)

    @property
    def undoes(self) -> bool:
        return bool(self._undos)

    async def take_back(self) -> list[Problem]:
        """Run what `undo` was told, the newest first, each once; what could not be taken back."""
        failed: list[Problem] = []
        while self._undos:
            undo = self._undos.pop()
            name = f"{UNDO}{undo.name}"
            if name in self._done:
                continue
            try:
                await self._tried(name, undo.do, 2, None, Backoff(), tuple(undo.covers), forced=True)
            except Problem as problem:
                failed.append(problem)
            except Exception as error:
                failed.append(self.broke(error))
        return failed

    def broke(self, error: BaseException) -> Problem:
        """A fault of the program, as a problem; its traceback goes to the daemon's log."""
        if isinstance(error, Problem):
            return error
        trace = "".join(traceback.format_exception(error))
        log.error("run_broke", run=self.run_id, kind=self.kind, traceback=trace)
        return StepBroke(f"{type(error).__name__} in a run of {self.kind}.", run_id=self.run_id)

    async def _tried(
        self,
        name: str,
        do: Do[Any],
        retries: int,
        timeout: float | None,
        backoff: Backoff,
        undone: tuple[str, ...] = (),
        *,
        forced: bool = False,
    ) -> Any:
        failures = 0
        while True:
            if self.halted and not forced:
                raise Halt
            attempt = await self._means.store.write(lambda c: rows.begin_step(c, self.run_id, name))
            self._board.at(name, name if attempt == 1 else f"{name} (try {attempt})")
            try:
                answer = await self._once(name, do, timeout)
                text = encoded(answer, OUTPUT, f"What the step {name!r} answers")
            except Exception as error:
                failures += 1
                wait = wait_before_next(error, failures, retries, backoff, self._means.chance())
                problem = error if isinstance(error, Problem) else _told(error)
                await self._end(name, None, problem.document(request_id=self.call.request_id))
                if wait is None:
                    raise
                await self._means.sleep(wait)
            else:
                await self._end(name, text, None, undone)
                self._done[name] = json.loads(text)
                return self._done[name]

    async def _once(self, name: str, do: Do[Any], timeout: float | None) -> Any:
        try:
            async with asyncio.timeout(timeout) as limit:
                return await do()
        except TimeoutError:
            if limit.expired():
                raise StepTimeout(f"The step {name!r} took longer than {timeout:g} s.", step=name) from None
            raise

    async def _end(
        self, name: str, text: str | None, problem: dict[str, Any] | None, undone: tuple[str, ...] = ()
    ) -> None:
        await self._means.store.write(lambda c: rows.end_step(c, self._kept, name, text, problem, undone))


def _told(error: Exception) -> Problem:
    return StepBroke(f"{type(error).__name__}: {error}"[:500])


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that stands for a group: a known mistake before a fault, both before a halt."""
    flat = [_first(e) if isinstance(e, BaseExceptionGroup) else e for e in several.exceptions]
    order = (Problem, Exception, BaseException)
    return min(flat, key=lambda error: next(at for at, kind in enumerate(order) if isinstance(error, kind)))
