"""Which ids a range of times can be at: for each block of ids the earliest and the latest time in it. No I/O.

Ids grow with time, but only almost: a clock is set back, two that happen at once are kept in the other order. Whoever asks for a
range of times therefore gets the ids of all blocks that reach into it, however the clock went; so little is looked at in vain, and
nothing is missed. What is deleted later does no harm. A block takes a few hundred bytes, and stands for 4,096 events.

Several may learn at once, in threads or not: what one of them tells again changes nothing, so none waits for the other's query.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

BLOCK = 4096


class Zones:
    def __init__(self) -> None:
        self.known = 0
        self._span: dict[int, tuple[str, str]] = {}
        # Never held over a query: with PostgreSQL all that read share the thread of the loop.
        self._turn = threading.Lock()

    def extend(self, rows: Iterable[tuple[int, str, str]], known: int) -> None:
        """Take in (block, earliest, latest) of all events after `known` as it was, up to `known` as it is now."""
        with self._turn:
            for block, low, high in rows:
                was = self._span.get(block, (low, high))
                self._span[block] = (min(low, was[0]), max(high, was[1]))
            self.known = max(self.known, known)

    def ids(self, since: str | None, until: str | None) -> tuple[int, int] | None:
        """The first and the last id at which an event from `since` up to before `until` can be; None: nowhere."""
        with self._turn:
            spans = list(self._span.items())
        found = [
            block
            for block, (low, high) in spans
            if (since is None or high >= since) and (until is None or low < until)
        ]
        return (min(found) * BLOCK, max(found) * BLOCK + BLOCK - 1) if found else None
