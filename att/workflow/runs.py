"""The service of the workflow room: begins long work, knows what is under way, and goes on with it in the next life.

One daemon owns a home, so what is under way stands in memory as well, and a run is never worked on twice at once: each has one task
here. At most `limit` are worked on at a time, the others wait; in a project no two of one exclusive group are under way.

When the daemon leaves (`leave`, then `aclose`) a run pauses before its next step or is cut off, and the next life goes on by the
names of its steps; a kind that cannot do that ends as `interrupted`.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from att.catalogue import Call
from att.project.models import Project
from att.project.projects import Projects
from att.store.store import Store
from att.store.times import stamp
from att.workflow import rows
from att.workflow.board import Board, Entry
from att.workflow.content import INPUT, encoded
from att.workflow.driver import Live, Sort, Wish, Work, drive, interruption
from att.workflow.errors import RunBusy, RunEnded, RunNotResumable, RunsStopping
from att.workflow.flow import Means
from att.workflow.models import ListRuns, Run, RunPage
from att.workflow.rows import Kept
from att.workflow.states import AtStart, Happening, RunState, StepState, WrongMoment, at_start, moved

LIMIT = 4
KEEP = 200
TO_CHECKPOINT = 2.0
TO_END = 6.0
"""Seconds that a run gets to end its processes after that."""
_BOARDS = 64
log = structlog.get_logger("att.workflow")


class Runs:
    def __init__(
        self,
        store: Store,
        projects: Projects,
        *,
        limit: int = LIMIT,
        keep: int = KEEP,
        to_checkpoint: float = TO_CHECKPOINT,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`limit`: runs that are worked on at once. `keep`: ended runs of a project that are remembered.

        `to_checkpoint`: seconds that a run gets to come to its next step when the daemon leaves.
        """
        self._store = store
        self._projects = projects
        self._keep = keep
        self._to_checkpoint = to_checkpoint
        self._means = Means(store, sleep, chance)
        self._slots = asyncio.Semaphore(limit)
        self._sorts: dict[str, Sort] = {}
        self._live: dict[str, Live] = {}
        self._busy: dict[tuple[str, str], str] = {}
        self._boards: OrderedDict[str, Board] = OrderedDict()  # of runs that ended a short while ago
        self._leaving = asyncio.Event()
        self._beginning: set[asyncio.Task[None]] = set()
        self._end: asyncio.Task[None] | None = None
        projects.before_delete.append(self._let_go_of)

    def register(
        self,
        kind: str,
        work: Work,
        *,
        resume: bool,
        exclusive: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Name the work of a kind, before `open`. `resume`: all that has an effect is in steps, so it can go on by their names."""
        if kind in self._sorts:
            raise ValueError(f"there is work of the kind {kind!r} already")
        self._sorts[kind] = Sort(kind, work, resume, exclusive or kind, timeout)

    async def open(self) -> list[str]:
        """To be called once, after all kinds are registered: go on with what the life before has left; the ids."""
        left = await self._store.read(rows.under_way)
        for kept in left:
            await self._found(kept)
        return [kept.run_id for kept in left]

    async def begin(
        self, kind: str, project_id: str, call: Call, input: dict[str, Any], *, wait: float = 0
    ) -> Run:
        """Begin work; the run, after up to `wait` seconds of waiting for its end. `RunBusy` when such a run is under way."""
        sort = self._sorts[kind]
        text = encoded(input, INPUT, "The input")
        await self._projects.get(project_id)
        kept = Kept(
            run_id=_new_id(),
            project_id=project_id,
            kind=kind,
            state=RunState.QUEUED,
            input=input,
            actor=call.actor,
            request_id=call.request_id,
            created_at=stamp(datetime.now(UTC)),
        )
        self._reserve(sort, kept)
        await self._whole(self._added(Live(kept, sort, call), text))
        return await self.wait(kept.run_id, wait, project_id)

    async def get(self, project_id: str | None, run_id: str) -> Run:
        """The run as it stands; `RunNotFound` when there is none in this project."""
        if project_id is not None:
            await self._projects.get(project_id)
        run = await self._store.read(lambda connection: rows.get(connection, project_id, run_id))
        live = self._live.get(run_id)
        return run if live is None or run.state.ended else run.model_copy(update=live.board.progress)

    async def page(self, ask: ListRuns) -> RunPage:
        """Runs of a project, the newest first."""
        await self._projects.get(ask.project_id)
        found = await self._store.read(lambda connection: rows.page(connection, ask))
        for row in found.runs:
            live = self._live.get(row.run_id)
            if live is not None and not row.state.ended:
                for name, value in live.board.progress.items():
                    setattr(row, name, value)
        return found

    async def newest(self, project_id: str, kind: str, *, ended: bool = False) -> Run | None:
        """The newest run of a kind; with `ended`, the newest that is not under way any more."""
        run_id = await self._store.read(lambda c: rows.newest(c, project_id, kind, ended))
        return None if run_id is None else await self.get(project_id, run_id)

    async def wait(self, run_id: str, seconds: float, project_id: str | None = None) -> Run:
        """The run when it has ended, or after `seconds`, or when the daemon leaves."""
        live = self._live.get(run_id)
        if live is not None and seconds > 0:
            waits = [asyncio.create_task(event.wait()) for event in (live.ended, self._leaving)]
            try:
                await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
        return await self.get(project_id, run_id)

    async def cancel(self, project_id: str, run_id: str, call: Call, *, wait: float = 0) -> Run:
        """End a run and take back what it did; `RunEnded` when it has ended."""
        run = await self.get(project_id, run_id)
        live = self._live.get(run_id)
        if live is None or live.ended.is_set() or run.state.ended:
            raise RunEnded(f"The run {run_id!r} is {run.state}.", state=run.state.value)
        if live.deciding and live.wish is not Wish.CANCEL:
            log.info("run_cancelled", run=run_id, kind=live.kept.kind, actor=call.actor)
            live.kept.details.setdefault("verdict", {"what": Happening.CANCEL.value})
            await self._store.write(lambda connection: rows.note(connection, live.kept))
            live.want(Wish.CANCEL)
        return await self.wait(run_id, wait, project_id)

    async def resume(self, project_id: str, run_id: str, call: Call, *, wait: float = 0) -> Run:
        """Go on with a run that has ended without success; its steps that are done and not undone are not done again."""
        await self._projects.get(project_id)
        kept = await self._store.read(lambda connection: rows.kept(connection, project_id, run_id))
        sort = self._sorts.get(kept.kind)
        if sort is None or not sort.resume:
            raise RunNotResumable(f"A run of {kept.kind} does not go on by steps.")
        try:
            kept.state = moved(kept.state, Happening.RESUME)
        except WrongMoment:
            raise RunNotResumable(f"The run {run_id!r} is {kept.state}.", state=kept.state.value) from None
        kept.details = {}
        self._reserve(sort, kept)
        await self._whole(self._again(Live(kept, sort, call)))
        return await self.wait(run_id, wait, project_id)

    def busy(self, project_id: str, exclusive: str) -> str | None:
        """The run of an exclusive group (else of a kind) that is under way in a project."""
        return self._busy.get((project_id, exclusive))

    async def under_way(self, project_id: str, exclusive: str) -> Run | None:
        """The same as it stands in the store; one that is just being begun is waited for."""
        while self._beginning:
            await asyncio.wait(set(self._beginning))
        run_id = self.busy(project_id, exclusive)
        run = None if run_id is None else await self.get(None, run_id)
        return None if run is None or run.state.ended else run

    def is_under_way(self, run_id: str) -> bool:
        return run_id in self._live

    async def is_known(self, run_id: str) -> bool:
        return await self._store.read(lambda connection: rows.is_known(connection, run_id))

    def board(self, run_id: str) -> Board | None:
        """How far the run is, while it is under way and a while after."""
        live = self._live.get(run_id)
        return live.board if live is not None else self._boards.get(run_id)

    async def follow(self, run_id: str, after: int = 0) -> AsyncIterator[list[Entry]]:
        """How it goes, in blocks, until the run ends or the daemon leaves."""
        board = self.board(run_id)
        if board is not None:
            async for block in board.follow(after):
                yield block

    def leave(self) -> None:
        """The daemon is about to leave: nothing new begins, nobody waits any longer, work pauses at its next step.

        What comes to none in time is cut off, while the daemon still answers what it was asked.
        """
        self._leaving.set()
        for live in self._live.values():
            live.halt()
        if self._end is None:
            self._end = asyncio.create_task(self._ending(), name="runs end")

    async def aclose(self) -> None:
        """End this life's part in all runs; the next one goes on where that can be."""
        self.leave()
        if self._end is not None:
            await self._end

    async def _ending(self) -> None:
        await self._gone(self._to_checkpoint)
        for live in list(self._live.values()):
            live.want(Wish.PAUSE)
        await self._gone(TO_END)
        for live in list(self._live.values()):
            log.warning("run_left", run=live.kept.run_id, kind=live.kept.kind)
            if live.task is not None:
                live.task.cancel()
        await self._gone(1.0)

    async def _gone(self, patience: float) -> None:
        tasks = [live.task for live in self._live.values() if live.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)

    def _reserve(self, sort: Sort, kept: Kept) -> None:
        if self._leaving.is_set():
            raise RunsStopping("The daemon is leaving.")
        key = (kept.project_id, sort.exclusive)
        busy = self._busy.get(key)
        if busy is not None:
            raise RunBusy(f"The run {busy} of {kept.project_id!r} is under way.", run_id=busy)
        self._busy[key] = kept.run_id

    async def _whole(self, work: Coroutine[None, None, None]) -> None:
        """A run is kept and begun, or neither, also when whoever asked goes away."""
        task = asyncio.create_task(work)
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        await asyncio.shield(task)

    async def _added(self, live: Live, text: str) -> None:
        try:
            await self._store.write(lambda connection: rows.add(connection, live.kept, text, self._keep))
        except BaseException:
            self._free(live)
            raise
        self._start(live)

    async def _again(self, live: Live) -> None:
        try:
            await self._store.write(lambda connection: rows.again(connection, live.kept))
        except BaseException:
            self._free(live)
            raise
        self._start(live)

    def _start(self, live: Live) -> None:
        self._boards.pop(live.kept.run_id, None)
        self._live[live.kept.run_id] = live
        live.task = asyncio.create_task(drive(live, self._slots, self._means), name=f"run {live.kept.run_id}")
        live.task.add_done_callback(lambda _: self._ended(live))
        if self._leaving.is_set():
            live.halt()

    def _ended(self, live: Live) -> None:
        self._live.pop(live.kept.run_id, None)
        self._free(live)
        self._boards[live.kept.run_id] = live.board
        while len(self._boards) > _BOARDS:
            self._boards.popitem(last=False)

    def _free(self, live: Live) -> None:
        key = (live.kept.project_id, live.sort.exclusive)
        if self._busy.get(key) == live.kept.run_id:
            del self._busy[key]

    async def _found(self, kept: Kept) -> None:
        """A run that the life before has left."""
        sort = self._sorts.get(kept.kind)
        if kept.state is RunState.RUNNING:
            kept.details["deaths"] = kept.details.get("deaths", 0) + 1
        plan = at_start(
            kept.state,
            known=sort is not None,
            resumes=sort is not None and sort.resume,
            condemned="verdict" in kept.details,
            deaths=kept.details.get("deaths", 0),
        )
        if sort is None or plan is AtStart.GIVE_UP:
            kept.state = moved(kept.state, Happening.INTERRUPT)
            problem = interruption(kept)
            await self._store.write(lambda c: rows.finish(c, kept, None, problem, StepState.CANCELLED))
            return
        await self._store.write(lambda connection: rows.note(connection, kept))
        call = Call(request_id=kept.request_id or kept.run_id, actor=kept.actor, door="daemon")
        self._busy[kept.project_id, sort.exclusive] = kept.run_id
        self._start(Live(kept, sort, call, plan))

    async def _let_go_of(self, project: Project) -> None:
        """Nothing goes on in a project that is deleted; what is just being begun is waited for first."""
        if self._beginning:
            await asyncio.wait(set(self._beginning))
        own = [live for live in self._live.values() if live.kept.project_id == project.id]
        for live in own:
            live.want(Wish.CANCEL)
        for live in own:
            with suppress(asyncio.CancelledError):
                await live.ended.wait()


def _new_id() -> str:
    """Sorts by the time at which it was given."""
    return f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}Z-{secrets.token_hex(3)}"
