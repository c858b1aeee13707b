"""The event log: append, list, follow, delete.

Followers pull by absolute id: out of a bounded window of recent events that all of them share, or out of
the store when they are behind it. There is no queue per follower, so a slow one holds nothing and slows
nobody. The window is filled from the store after commits, by one reading for all followers, and only while
somebody follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from sqlalchemy import Connection, insert, select

from att.event.deletion import count_before, delete_before
from att.event.models import DeletedEvents, DeleteEvents, Event, EventPage, ListEvents, NewEvents, Outcome
from att.event.query import APPEND, draft, fits, learn, select_after, select_newest, select_page
from att.event.window import Window
from att.event.zones import Zones
from att.problems import ProjectNotFound
from att.store.store import Store
from att.store.tables import events, projects
from att.store.times import now, stamp

BLOCK = 500
"""Events that are read at once."""


def record(
    connection: Connection,
    event_type: str,
    *,
    project_id: str | None = None,
    payload: Mapping[str, Any] | None = None,
    actor: str = "att",
    request_id: str | None = None,
    outcome: Outcome = Outcome.OK,
) -> Event:
    """Append an event inside a transaction of the caller's: it stands or falls with what it tells of."""
    new = draft(event_type, project_id, payload, actor, request_id, outcome)
    key = connection.execute(insert(events).values(new.row)).inserted_primary_key
    assert key is not None  # noqa: S101  (for the type checker: the table has one)
    return new.event(key[0])


class EventLog:
    def __init__(self, store: Store, *, window: int = 1000) -> None:
        self._store = store
        self._window = Window(window)
        self._zones = Zones()
        self._followers = 0
        self._refresher: asyncio.Task[None] | None = None
        self._committed = asyncio.Event()
        self._news = asyncio.Event()  # replaced whenever it is set: whoever holds the old one wakes
        self._closed = False
        self._leaving = False
        self._waits: set[asyncio.Timeout] = set()
        self._unwatch: Callable[[], None] = store.watch(self._committed.set)

    async def append(
        self,
        event_type: str,
        *,
        project_id: str | None = None,
        payload: Mapping[str, Any] | None = None,
        actor: str = "att",
        request_id: str | None = None,
        outcome: Outcome = Outcome.OK,
    ) -> Event:
        """Append an event; it is on disk when this returns. Secrets in the payload are replaced."""
        new = draft(event_type, project_id, payload, actor, request_id, outcome)
        return new.event(await self._store.insert(APPEND, new.row))

    async def page(self, ask: ListEvents) -> EventPage:
        """One page of the events that fit."""
        return await self._store.read(lambda connection: self._page(connection, ask))

    def _page(self, connection: Connection, ask: ListEvents) -> EventPage:
        """Where the store reads."""
        if ask.since is not None or ask.until is not None:
            learn(connection, self._zones)
        return select_page(connection, ask, self._zones)

    async def prepare(self) -> None:
        """Look once at when all events were, so that the first page by time need not (a second for each million)."""
        await self._store.read(lambda connection: learn(connection, self._zones))

    async def newest(self) -> int:
        """The id of the newest event; 0 when there is none."""
        return await self._store.read(select_newest)

    async def after(
        self,
        after: int | None,
        *,
        project_id: str | None = None,
        types: Sequence[str] = (),
        limit: int = 100,
        wait: float = 0,
    ) -> NewEvents:
        """The events after `after` (None: from now on); waits up to `wait` seconds for the first."""
        start = await self.newest() if after is None else after
        found = await self._read_after(start, project_id, types, limit)
        if not found and wait > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if self._leaving else wait) as limited:
                    self._waits.add(limited)
                    try:
                        async with aclosing(self.follow(start, project_id=project_id, types=types)) as new:
                            found = (await anext(new, []))[:limit]
                    finally:
                        self._waits.discard(limited)
        return NewEvents(events=found, last_id=found[-1].id if found else start)

    async def follow(
        self, after: int | None = None, *, project_id: str | None = None, types: Sequence[str] = ()
    ) -> AsyncGenerator[list[Event], None]:
        """All events after `after` (None: from now on), in blocks, as they come, none left out.

        Ends when the log is closed. An id that was not given yet means: from now on.
        """
        if self._closed:
            return
        await self._join()
        try:
            position = await self._position(after)
            while not self._closed:
                news = self._news
                block, position = await self._block(position, project_id, types)
                if block:
                    yield block
                elif position >= self._window.known:
                    await self._next(news)
        finally:
            self._leave()

    async def subscribe(
        self, after: int | None = None, *, project_id: str | None = None, types: Sequence[str] = ()
    ) -> AsyncGenerator[Event, None]:
        """`follow`, one by one."""
        async with aclosing(self.follow(after, project_id=project_id, types=types)) as blocks:
            async for block in blocks:
                for event in block:
                    yield event

    async def delete(
        self, ask: DeleteEvents, *, actor: str = "att", request_id: str | None = None
    ) -> DeletedEvents:
        """Delete what happened before a time, and record that with its first part."""
        before = min(stamp(ask.before), now())

        def begin(connection: Connection) -> tuple[int, Event]:
            count = count_before(connection, before, ask.project_id)
            told = {"before": before, "project_id": ask.project_id, "deleted": count}
            delete_before(connection, before, ask.project_id)
            return count, record(
                connection, "event.deleted", payload=told, actor=actor, request_id=request_id
            )

        count, event = await self._store.write(begin)
        while await self._store.write(lambda connection: delete_before(connection, before, ask.project_id)):
            pass
        self._window.begin(self._window.known)  # what was deleted is not handed out any more
        return DeletedEvents(deleted=count, event_id=event.id)

    async def require_project(self, project_id: str) -> None:
        """`ProjectNotFound` unless there is (or is just being made) a project of this id."""
        known = select(projects.c.id).where(projects.c.id == project_id)
        if await self._store.read(lambda connection: connection.execute(known).scalar()) is None:
            raise ProjectNotFound(f"There is no project {project_id[:64]!r}.")

    def leave(self) -> None:
        """The daemon is about to leave: whoever waits for a first event is answered now."""
        self._leaving = True
        for wait in self._waits:
            wait.reschedule(0)

    async def aclose(self) -> None:
        """End all followers."""
        self._closed = True
        self._unwatch()
        await self._stop()
        self._tell()

    async def _position(self, after: int | None) -> int:
        """Where to begin. The window may lag behind the store, so only the store knows what "now" is."""
        if after is not None and after <= self._window.known:
            return after
        newest = await self.newest()
        return newest if after is None else min(after, newest)

    async def _block(
        self, position: int, project_id: str | None, types: Sequence[str]
    ) -> tuple[list[Event], int]:
        """Some of the events after `position` that fit, and how far that was looked."""
        recent = self._window.after(position, BLOCK)
        if recent is not None:
            reached = recent[-1].id if recent else max(position, self._window.known)
            return [event for event in recent if fits(event, project_id, types)], reached
        known = self._window.known  # the reading sees at least what is known now
        found = await self._read_after(position, project_id, types, BLOCK)
        if len(found) == BLOCK:
            return found, found[-1].id
        return found, max(known, found[-1].id if found else 0)

    async def _read_after(
        self, after: int, project_id: str | None, types: Sequence[str], limit: int
    ) -> list[Event]:
        return await self._store.read(lambda c: select_after(c, after, project_id, types, limit))

    async def _join(self) -> None:
        """One follower more; the first has the window filled from now on."""
        self._followers += 1
        try:
            while self._refresher is None or self._refresher.done():
                newest = await self.newest()
                if self._refresher is None or self._refresher.done():
                    self._window.begin(newest)
                    self._committed.set()  # something may have come while that was read
                    self._refresher = asyncio.create_task(self._refresh(), name="events-window")
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        self._followers -= 1
        if self._followers == 0 and self._refresher is not None:
            self._refresher.cancel()
            self._refresher = None

    async def _next(self, news: asyncio.Event) -> None:
        """Wait until the window has changed; raise what ended its filling."""
        refresher = self._refresher
        if refresher is not None and refresher.done() and not refresher.cancelled():
            problem = refresher.exception()
            if problem is not None:
                raise problem
        await news.wait()

    async def _refresh(self) -> None:
        """Fill the window after each commit, and wake the followers."""
        try:
            while True:
                await self._committed.wait()
                self._committed.clear()
                found = await self._read_after(self._window.known, None, (), BLOCK)
                if len(found) == BLOCK:
                    self._committed.set()
                if found:
                    self._window.extend(found)
                    self._tell()
        finally:
            self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _stop(self) -> None:
        refresher, self._refresher = self._refresher, None
        if refresher is not None:
            refresher.cancel()
            await asyncio.wait([refresher])
