"""Looks after a version for a while after it was switched to, and has it gone back from when it turns ill.

One task for each watch; what it needs to know stands in the row of the deploy and in the event log, so the next life of the daemon
goes on with it. A person who starts, stops or restarts an app, or another deploy, takes the app in hand: that ends every watch,
since there is one app at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import structlog

from att.deploy import probation, watch_rows
from att.deploy.probation import Standing, Told, Watch
from att.deploy.watch_rows import Watched
from att.event.log import EventLog
from att.event.models import Event, Outcome
from att.problems import Problem, ProjectNotFound
from att.runtime.rows import Note
from att.store.store import Store

PAUSE = 5.0  # seconds that a life which has just begun looks on
ILL = "version_turned_ill"
_log = structlog.get_logger("att.deploy")


class Watching:
    """`go_back` begins the way back from a version that is ill, once; it may be called again by the next life."""

    def __init__(self, store: Store, events: EventLog, go_back: Callable[[Watched], Awaitable[None]]) -> None:
        self._store, self._events, self._go_back = store, events, go_back
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Go on with what the life before has left."""
        for watched in await self._store.read(watch_rows.live):
            if watched.deploy_id not in self._tasks:
                self._begin(watched, fresh=True)

    async def begin(self, deploy_id: str) -> None:
        """The deploy has come to its good end: from now on its version is looked after, if it is to be."""
        watched = await self._store.read(watch_rows.one(deploy_id))
        if watched is not None and watched.state is Standing.ON and deploy_id not in self._tasks:
            self._begin(watched, fresh=False)

    async def end_all(self, but: str | None = None) -> None:
        """Somebody has taken the app in hand."""
        for deploy_id in await self._store.write(watch_rows.end_all(but)):
            self._cancel(deploy_id)

    async def forget(self, project_id: str) -> None:
        """The project is deleted."""
        mine = [one for one in await self._store.read(watch_rows.live) if one.project_id == project_id]
        for watched in mine:
            self._cancel(watched.deploy_id)

    async def aclose(self) -> None:
        """The next life goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _cancel(self, deploy_id: str) -> None:
        task = self._tasks.pop(deploy_id, None)
        if task is not None:
            task.cancel()

    def _begin(self, watched: Watched, *, fresh: bool) -> None:
        task = asyncio.create_task(self._work(watched, fresh), name=f"watch {watched.deploy_id}")
        self._tasks[watched.deploy_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(watched.deploy_id, None))

    async def _work(self, watched: Watched, fresh: bool) -> None:
        """Until it is over. What hinders it is the store's own, or that the daemon leaves, with which this is cancelled."""
        while True:
            try:
                await self._once(watched, fresh)
                return
            except ProjectNotFound:  # it is deleted
                return
            except Problem as problem:
                told = {"code": problem.code, "detail": problem.detail}
                _log.warning("watch_hindered", deploy=watched.deploy_id, **told)
            await asyncio.sleep(PAUSE)
            fresh = False

    async def _once(self, watched: Watched, fresh: bool) -> None:
        now = await self._store.read(watch_rows.one(watched.deploy_id))
        if now is not None and now.state is Standing.ON:
            await self._look(now, fresh)
            now = await self._store.read(watch_rows.one(watched.deploy_id))
        if now is not None and now.state is Standing.ILL:
            await self._go_back(now)

    async def _look(self, watched: Watched, fresh: bool) -> None:
        left = probation.time_left(watched.ends_at, time.time(), fresh, PAUSE)
        seen, last = watched.start, watched.after
        until = time.monotonic() + left
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                types = tuple(probation.TABLE)
                told = self._events.follow(last, project_id=watched.project_id, types=types)
                async with aclosing(told) as blocks:
                    async for block in blocks:
                        seen, last = _after(seen, block), block[-1].id
                        if probation.verdict(seen, 1)[0] is Standing.ILL:
                            break
        if time.monotonic() < until and not seen.reason:
            return  # the log was closed: the daemon ends
        rest = await self._events.after(last, project_id=watched.project_id, types=tuple(probation.TABLE))
        standing, reason = probation.verdict(_after(seen, rest.events), 0)
        await self._end(watched, standing, reason)

    async def _end(self, watched: Watched, standing: Standing, reason: str) -> None:
        ill = standing is Standing.ILL
        told = {"deploy_id": watched.deploy_id, "artefact_id": watched.artefact_id}
        payload = {**told, "reason": reason, "code": ILL}
        note = Note("deploy.failed", watched.project_id, payload, outcome=Outcome.FAILED)
        turned = watch_rows.turn(
            watched.deploy_id,
            standing,
            when=Standing.ON,
            reason=reason,
            failed=ill,
            notes=[note] if ill else (),
        )
        await self._store.write(turned)
        _log.info("watch_ended", deploy=watched.deploy_id, standing=standing.value, reason=reason)


def _after(seen: Watch, block: list[Event]) -> Watch:
    for event in block:
        told = Told(event.event_type, event.payload, event.outcome is Outcome.FAILED)
        seen = probation.after(seen, told)
    return seen
