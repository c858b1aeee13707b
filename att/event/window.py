"""The recent events that all followers share: bounded, in order, without a hole. No I/O.

It holds every event after `floor` up to `known`. Who stands at or behind `floor` must read from the store
instead.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from att.event.models import Event


class Window:
    def __init__(self, size: int) -> None:
        self._size = size
        self._events: list[Event] = []
        self.floor = 0
        self.known = 0

    def begin(self, known: int) -> None:
        """Forget everything; what comes next is what comes after `known`."""
        self._events.clear()
        self.floor = self.known = known

    def extend(self, events: Sequence[Event]) -> None:
        """Add the events that come right after `known`."""
        if not events:
            return
        self._events.extend(events)
        self.known = events[-1].id
        if len(self._events) > 2 * self._size:  # seldom, so that the cost of moving is shared
            gone = len(self._events) - self._size
            self.floor = self._events[gone - 1].id
            del self._events[:gone]

    def after(self, position: int, limit: int) -> list[Event] | None:
        """The first `limit` events after `position`; None when the window does not reach back so far."""
        if position < self.floor:
            return None
        start = bisect_right(self._events, position, key=attrgetter("id"))
        return self._events[start : start + limit]
