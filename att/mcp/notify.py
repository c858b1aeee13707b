"""Telling clients that a resource has changed: both generations of the protocol, from one reading of the event log.

A change is a level, not an edge: "read it again". So what a client was not told yet is a set of addresses, which a slow one
cannot make grow, and nobody waits for anybody. Older clients hear of what they subscribed to, and of lists, on the stream of
their session; what changes while that is not open is told when it opens, each address once. Newer ones hear on the answer to
their `subscriptions/listen`. While nobody could hear, nothing is read.

The log of an app grows too often for that: while somebody is subscribed to one, its newest cursor is waited for by the
operation that reads it, and told at most once a second.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

import structlog

from att.access import Caller as Who
from att.catalogue import Scope
from att.event.log import EventLog
from att.mcp import places
from att.mcp.doorkeeper import Visitor
from att.mcp.tools import Caller
from att.problems import Problem

LIST = ""  # stands for "the list of resources" among addresses
THROTTLE = 1.0  # seconds between two words about one log
_WAIT = 30
_WATCHER = Visitor(Who("att", frozenset({Scope.READ})), "log-watch", "att")

log = structlog.get_logger("att.mcp")
Push = Callable[[str], Awaitable[None]]


class Listener:
    """One session of an older client. `can_hear`: whether its stream is open."""

    def __init__(self, push: Push, can_hear: bool) -> None:
        self.can_hear = can_hear
        self.addresses: dict[str, str] = {}  # without the query → as the client wrote it
        self._push = push
        self._untold: dict[str, None] = {}
        self._telling: asyncio.Task[None] | None = None

    def hear(self, changes: Iterable[str]) -> None:
        """Take note; a task tells the client, one after the other."""
        for change in changes:
            if change == LIST or change in self.addresses:
                self._untold[change] = None
        if self._untold and self.can_hear and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(), name="mcp-tell")

    def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()

    async def _tell(self) -> None:
        while self._untold and self.can_hear:
            change = next(iter(self._untold))
            del self._untold[change]
            await self._push(self.addresses.get(change, change))

    def forget(self, address: str) -> bool:
        """No more of this; whether it was subscribed to."""
        self._untold.pop(address, None)
        return self.addresses.pop(address, None) is not None


class Notifier:
    """Who is to be told of what."""

    def __init__(
        self, events: EventLog, caller: Caller, publish: Push, *, throttle: float = THROTTLE
    ) -> None:
        """`publish` tells the newer clients; an address, or `LIST`."""
        self._events = events
        self._caller = caller
        self._publish = publish
        self._throttle = throttle
        self._listeners: dict[str, Listener] = {}
        self._can_hear: set[str] = set()
        self._listening = 0
        self._written: Counter[tuple[str, str]] = Counter()  # addresses, and how newer clients wrote them
        self._logs: Counter[str] = Counter()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._follower: asyncio.Task[None] | None = None
        self._made = asyncio.Event()  # replaced whenever projects come or go

    # -- older clients

    def join(self, session: str, push: Push) -> None:
        """A session that wants to hear."""
        self._listeners.setdefault(session, Listener(push, session in self._can_hear))
        self._follow()

    def hears(self, session: str, can: bool) -> None:
        """The stream of a session has opened, or ended: what changed meanwhile is told to the next one."""
        (self._can_hear.add if can else self._can_hear.discard)(session)
        listener = self._listeners.get(session)
        if listener is not None:
            listener.can_hear = can
            listener.hear(())

    def leave(self, session: str) -> None:
        listener = self._listeners.pop(session, None)
        if listener is not None:
            listener.close()
            self._release(listener.addresses)
        self._follow()

    def subscribe(self, session: str, uri: str, push: Push) -> None:
        self.join(session, push)
        address = places.plain_address(uri) or uri
        if address not in self._listeners[session].addresses:
            self._listeners[session].addresses[address] = uri
            self._hold([address])

    def subscriptions(self, session: str) -> int:
        """How many addresses a session is subscribed to."""
        return len(self._listeners[session].addresses) if session in self._listeners else 0

    def unsubscribe(self, session: str, uri: str) -> None:
        listener = self._listeners.get(session)
        address = places.plain_address(uri) or uri
        if listener is not None and listener.forget(address):
            self._release([address])

    # -- newer clients

    def listen(self, uris: list[str]) -> Callable[[], None]:
        """Somebody listens to these; call what is returned when no more."""
        written = [(places.plain_address(uri) or uri, uri) for uri in uris]
        addresses = {address for address, _ in written}
        self._written.update(written)
        self._listening += 1
        self._hold(addresses)
        self._follow()

        def end() -> None:
            self._listening -= 1
            self._written.subtract(written)
            self._written += Counter()  # leaves out what nobody wrote any more
            self._release(addresses)
            self._follow()

        return end

    @property
    def working(self) -> int:
        """How many tasks work for those who hear."""
        known = [self._follower, *self._watches.values()]
        return sum(task is not None and not task.done() for task in known)

    async def close(self) -> None:
        tasks = [task for task in (self._follower, *self._watches.values()) if task is not None]
        for listener in self._listeners.values():
            listener.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- what changes

    async def tell(self, changes: set[str]) -> None:
        """Tell everybody whom it concerns."""
        for listener in list(self._listeners.values()):
            listener.hear(changes)
        if self._listening:
            for change in sorted(changes | {uri for address, uri in self._written if address in changes}):
                await self._publish(change)

    def _follow(self) -> None:
        """Read the events while somebody could hear of them."""
        wanted = bool(self._listeners) or self._listening > 0
        running = self._follower is not None and not self._follower.done()
        if wanted and not running:
            self._follower = asyncio.create_task(self._read(), name="mcp-events")
        elif not wanted and running and self._follower is not None:
            self._follower.cancel()

    async def _read(self) -> None:
        async with aclosing(self._events.follow()) as blocks:
            async for block in blocks:
                changes: set[str] = set()
                for event in block:
                    changes |= places.changed(event.event_type, event.project_id)
                    if places.lists_change(event.event_type):
                        changes.add(LIST)
                        self._made.set()
                        self._made = asyncio.Event()
                if changes:
                    await self.tell(changes)

    def _hold(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            found = places.parse(address)
            if found is not None and found.place == "logs" and found.project_id is not None:
                self._logs[address] += 1
                if address not in self._watches or self._watches[address].done():
                    watch = self._watch(address, found.project_id)
                    self._watches[address] = asyncio.create_task(watch, name="mcp-log")

    def _release(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            if address in self._logs:
                self._logs[address] -= 1
                if self._logs[address] <= 0:
                    del self._logs[address]
                    self._watches.pop(address).cancel()

    async def _watch(self, address: str, project_id: str) -> None:
        """Tell of every growth of one log; while there is none, wait for projects to come."""
        given: dict[str, Any] = {"project_id": project_id, "cursor": "newest", "limit": 1}
        while True:
            made = self._made
            try:
                page = json.loads(await self._caller.body("runtime.logs", {**given, "wait": _WAIT}, _WATCHER))
            except Problem as problem:
                log.info("log_not_watched", project_id=project_id, code=problem.code)
                await made.wait()
                given["cursor"] = "oldest"
                continue
            given["cursor"] = "newest" if page["lines"] else page["next_cursor"]
            if page["lines"]:
                await self.tell({address})
            await asyncio.sleep(self._throttle)  # also when waits are cut short, as they are at the end
