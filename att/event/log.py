"""The event log: append, list, follow, delete.

Followers pull by absolute id, out of a bounded window of recent events that all of them share, or out of the store when they
are behind it. There is no queue per follower: a slow one holds nothing and slows nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from att.event.models import DeletedEvents, DeleteEvents, Event, EventPage, ListEvents, NewEvents, Outcome
from att.store.store import Store


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
    """Append an event inside a transaction of the caller's, so that it stands or falls with what it tells of."""
    raise NotImplementedError


class EventLog:
    def __init__(self, store: Store, *, window: int = 1000) -> None:
        self.store = store

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
        raise NotImplementedError

    async def page(self, ask: ListEvents) -> EventPage:
        """One page of the events that fit."""
        raise NotImplementedError

    async def newest(self) -> int:
        """The id of the newest event; 0 when there was none yet."""
        raise NotImplementedError

    async def after(
        self, after: int, *, project_id: str | None = None, types: Sequence[str] = (), limit: int = 100, wait: float = 0
    ) -> NewEvents:
        """The events after `after`; waits up to `wait` seconds for one."""
        raise NotImplementedError

    def follow(
        self, after: int | None = None, *, project_id: str | None = None, types: Sequence[str] = ()
    ) -> AsyncIterator[list[Event]]:
        """All events after `after` (None: from now on), in blocks, for ever: as they come, none left out."""
        raise NotImplementedError

    async def delete(self, ask: DeleteEvents, *, actor: str = "att", request_id: str | None = None) -> DeletedEvents:
        """Delete old events and record that."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """End all followers."""
