"""One run in one life of the daemon: from its place in the queue to its end, its pause, or the taking back of what it did.

`Live` is the run while it is under way here. One task owns it (`drive`); others only tell it what is wanted (`Live.want`). What is
decided of its end is kept before anything is taken back, so that the next life finishes that and begins nothing new.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Connection

from att.catalogue import Call
from att.problems import Problem
from att.store.errors import StoreClosed
from att.workflow import rows
from att.workflow.board import Board
from att.workflow.content import OUTPUT, encoded
from att.workflow.errors import RunInterrupted, RunTimeout, UndoFailed
from att.workflow.flow import Flow, Halt, Means
from att.workflow.retry import Backoff
from att.workflow.rows import Kept
from att.workflow.states import AtStart, Happening, RunState, StepState, moved

Work = Callable[[Flow], Awaitable[dict[str, Any] | None]]
log = structlog.get_logger("att.workflow")
_PATIENCE = Backoff(first=0.2, most=10.0)


@dataclass(frozen=True, slots=True)
class Sort:
    """Work of one kind. `exclusive`: kinds that share this word are not under way at once in a project."""

    kind: str
    work: Work
    resume: bool
    exclusive: str
    timeout: float | None


class Wish(StrEnum):
    """What is wanted of a run from outside."""

    CANCEL = "cancel"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the work ended."""

    what: Happening
    result: str | None = None
    problem: dict[str, Any] | None = None


@dataclass(slots=True, eq=False)
class Live:
    """A run that is under way in this life."""

    kept: Kept
    sort: Sort
    call: Call
    plan: AtStart = AtStart.GO_ON
    board: Board = field(default_factory=Board)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    wish: Wish | None = None
    task: asyncio.Task[None] | None = None
    flow: Flow | None = None
    deciding: bool = True  # the work still goes on: a wish can change how it ends

    def want(self, wish: Wish) -> None:
        """End the work as soon as can be; what it has begun is cut off."""
        if self.wish is None:
            self.wish = wish
        if self.task is not None and (self.deciding or wish is Wish.PAUSE):
            self.task.cancel()

    def halt(self) -> None:
        """Have it pause before its next step."""
        if self.wish is None:
            self.wish = Wish.PAUSE
        if self.flow is not None:
            self.flow.halted = True


async def drive(live: Live, slots: asyncio.Semaphore, means: Means) -> None:
    """Work on a run until it has ended, or until the next life is to go on."""
    kept = live.kept
    try:
        verdict = await _worked(live, slots, means)
        live.deciding = False
        _uncancel()
        if verdict.what is not Happening.PAUSE and verdict.what is not Happening.SUCCEED:
            verdict = await _taken_back(live, verdict, means)
        kept.state = moved(kept.state, verdict.what)
        kept.details.update(live.board.progress)
        if kept.state.ended:
            kept.details.pop("verdict", None)
        state = StepState.DONE if kept.state is RunState.SUCCEEDED else StepState.CANCELLED
        await _keep(live, lambda c: rows.finish(c, kept, verdict.result, verdict.problem, state), means)
    except asyncio.CancelledError:
        log.info("run_left", run=kept.run_id, kind=kept.kind)  # the next life finds it as it stands
    except StoreClosed:
        log.warning("run_left", run=kept.run_id, kind=kept.kind)
    except Exception:
        log.error("run_broke", run=kept.run_id, kind=kept.kind, traceback=traceback.format_exc())
    finally:
        live.deciding = False
        live.board.close()
        live.ended.set()


async def _worked(live: Live, slots: asyncio.Semaphore, means: Means) -> Verdict:
    """Wait for a place, then work; how that ended."""
    try:
        async with slots:
            first = live.kept.started_at is None
            event = "workflow.started" if first else "workflow.resumed"
            await means.store.write(lambda c: rows.begin(c, live.kept, event))
            done = await means.store.read(lambda c: rows.done_steps(c, live.kept.run_id))
            live.flow = Flow(live.kept, live.call, done, live.board, means)
            live.flow.halted = live.plan is AtStart.TAKE_BACK or live.wish is Wish.PAUSE
            return await _one_try(live, live.flow)
    except asyncio.CancelledError:
        return _by_wish(live)
    except Problem as problem:
        return Verdict(Happening.FAIL, problem=_document(live, problem))


async def _one_try(live: Live, flow: Flow) -> Verdict:
    try:
        async with asyncio.timeout(live.sort.timeout) as limit:
            result = await live.sort.work(flow)
            if live.plan is AtStart.TAKE_BACK:
                return _condemned(live)
            return Verdict(Happening.SUCCEED, encoded(result or {}, OUTPUT, "The result"))
    except Halt:
        return _condemned(live) if live.plan is AtStart.TAKE_BACK else _by_wish(live)
    except Exception as error:
        if live.plan is AtStart.TAKE_BACK:
            flow.broke(error)
            return _condemned(live)
        if isinstance(error, TimeoutError) and limit.expired():
            error = RunTimeout(f"The run took longer than {live.sort.timeout:g} s.", run_id=flow.run_id)
        return Verdict(Happening.FAIL, problem=_document(live, flow.broke(error)))


def _by_wish(live: Live) -> Verdict:
    """How a run ends that was cut off: as was wished; without a wish, the loop itself ends."""
    if live.plan is AtStart.TAKE_BACK:
        return Verdict(Happening.PAUSE)
    if live.wish is Wish.CANCEL:
        return Verdict(Happening.CANCEL)
    if live.sort.resume or live.kept.state is RunState.QUEUED:
        return Verdict(Happening.PAUSE)
    return Verdict(Happening.INTERRUPT, problem=interruption(live.kept))


def _condemned(live: Live) -> Verdict:
    """The verdict that an earlier life has left; without one, too many lives ended in this run."""
    told = live.kept.details.get("verdict")
    if told is None:
        return Verdict(Happening.INTERRUPT, problem=interruption(live.kept))
    return Verdict(Happening(told["what"]), problem=told.get("problem"))


def interruption(kept: Kept) -> dict[str, Any]:
    problem = RunInterrupted(f"The daemon ended while this run of {kept.kind} was under way.")
    return problem.document(request_id=kept.request_id or "")


def _document(live: Live, problem: Problem) -> dict[str, Any]:
    told = problem.document(request_id=live.kept.request_id or "")
    return told if len(json.dumps(told, default=str)) <= OUTPUT else {**told, "detail": told["detail"][:2000]}


async def _taken_back(live: Live, verdict: Verdict, means: Means) -> Verdict:
    """The verdict, after what was done is undone; what could not be is told in its problem."""
    flow = live.flow
    if flow is None or not flow.undoes:
        return verdict
    live.kept.details["verdict"] = {"what": verdict.what.value, "problem": verdict.problem}
    await _keep(live, lambda c: rows.note(c, live.kept), means)
    flow.report("taking back what was done")
    failed = await flow.take_back()
    if not failed:
        return verdict
    details = "; ".join(problem.detail for problem in failed)
    told = verdict.problem or UndoFailed(details).document(request_id=live.kept.request_id or "")
    return Verdict(verdict.what, verdict.result, {**told, "not_undone": [p.document() for p in failed]})


async def _keep(live: Live, work: Callable[[Connection], None], means: Means) -> None:
    """Write, again and again while the disk is full or the database locked: how a run ended must not be lost."""
    failures = 0
    while True:
        try:
            await means.store.write(work)
            return
        except StoreClosed:
            raise
        except Problem as problem:
            failures += 1
            log.error("run_not_kept", run=live.kept.run_id, code=problem.code, detail=problem.detail)
            await means.sleep(_PATIENCE.after(failures, means.chance()))


def _uncancel() -> None:
    """What cut off the work is dealt with; the undoing has time limits of its own."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
