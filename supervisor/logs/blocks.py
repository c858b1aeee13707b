"""Blocks: batches by offset, shared among everybody who reads at the same place, and pages made of them. Any thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

from supervisor.logs.batch import Batch, Key, Span, read_spans, tell_kinds
from supervisor.logs.reader import BLOCK, Raw, Reader
from supervisor.logs.records import UNKNOWN, Kind, beginning
from supervisor.logs.select import NO_FILTERS, select
from supervisor.logs.values import Filters, Line, Lost

CACHED: Final = 16
KINDS_CACHED: Final = 64
LOOK_BACK: Final = 64 * 1024  # how far back the record that a line continues is looked for
SCAN_MOST: Final = 64 << 20  # bytes looked through for one page
TEXT_MOST: Final = 8 << 20  # bytes of lines in one page
FIRST_WINDOW: Final = 16 * 1024


class Blocks:
    def __init__(
        self, reader: Reader, tag: str, taken: Callable[[], int], run_name: Callable[[int], str]
    ) -> None:
        self.reader = reader
        self._tag = tag
        self._taken = taken
        self._run_name = run_name
        self._batches: OrderedDict[tuple[int, int, Filters], Batch] = OrderedDict()
        self._kinds: OrderedDict[int, dict[Key, Kind]] = OrderedDict()
        self._lock = Lock()

    def forget(self) -> None:
        """After a deletion."""
        with self._lock:
            self._batches.clear()
            self._kinds.clear()

    def batch(self, begin: int, filters: Filters = NO_FILTERS) -> Batch:
        """The lines after `begin`, up to the end of its block; empty when there are none yet."""
        limit = min(self._taken(), (begin // BLOCK + 1) * BLOCK)
        key = begin, limit, filters
        with self._lock:
            found = self._batches.get(key)
        if found is None:
            if filters == NO_FILTERS:
                raw = self.reader.block(begin)
                found = Batch(self._tag, raw.begin, raw.end, self._spans(raw), raw.lost)
                if raw.lost is None and raw.end != limit:
                    key = begin, raw.end, filters
            else:
                found = select(self.batch(begin), filters)
            with self._lock:
                self._batches[key] = found
                while len(self._batches) > CACHED:
                    self._batches.popitem(last=False)
        return found

    def ready(self, begin: int, filters: Filters) -> Batch | None:
        """What `batch` would answer, if it is there."""
        limit = min(self._taken(), (begin // BLOCK + 1) * BLOCK)
        with self._lock:
            return self._batches.get((begin, limit, filters))

    def page(self, begin: int, limit: int, filters: Filters) -> tuple[list[Line], int, Lost | None]:
        """At most `limit` lines after `begin`, where to go on, and what was lost before the first of them."""
        lines: list[Line] = []
        lost: Lost | None = None
        at, size = begin, 0
        while at < self._taken() and at - begin < SCAN_MOST and size < TEXT_MOST:
            batch = self.batch(at, filters)
            if batch.lost is not None:
                if lines or lost is not None:
                    break  # the next page begins with it
                lost = batch.lost
            found = batch.lines(limit - len(lines) + 1)
            if len(found) > limit - len(lines):
                del found[limit - len(lines) :]
                return lines + found, _end_of(found or lines, at), lost
            lines += found
            size += batch.end - batch.begin
            at = batch.end
        return lines, at, lost

    def newest(self, limit: int, filters: Filters) -> tuple[list[Line], int, Lost | None]:
        """The last `limit` lines (fewer, where a hole or the most that is looked through comes first)."""
        taken = end = self._taken()
        lines: list[Line] = []
        window, size = FIRST_WINDOW, 0
        while len(lines) < limit and taken - end < SCAN_MOST and size < TEXT_MOST:
            raw = self.reader.before(end, window)
            if raw is None:
                return lines[-limit:], taken, self.reader.hole_before(end)
            found = select(Batch(self._tag, raw.begin, raw.end, self._spans(raw)), filters).lines()
            lines = found + lines
            size += sum(len(line.text) for line in found)
            end = raw.begin
            window = min(window * 4, BLOCK * 4)
        return lines[-limit:], taken, None

    def _spans(self, raw: Raw) -> list[Span]:
        keyed = read_spans(raw, self.reader.head, self._run_name)
        before = self._kinds_before(raw.begin, keyed)
        tell_kinds(keyed, before)
        with self._lock:
            self._kinds[raw.end] = before
            while len(self._kinds) > KINDS_CACHED:
                self._kinds.popitem(last=False)
        return [span for _, span in keyed]

    def _kinds_before(self, begin: int, keyed: list[tuple[Key, Span]]) -> dict[Key, Kind]:
        """What kind of record each stream was in at `begin`; looked up only if a first line continues one."""
        with self._lock:
            known = self._kinds.get(begin)
        if known is not None:
            return dict(known)
        firsts: dict[Key, str] = {}
        for key, span in keyed:
            firsts.setdefault(key, span.texts[0])
        kinds: dict[Key, Kind] = {}
        if any(beginning(text, UNKNOWN) is None for text in firsts.values()):
            raw = self.reader.before(begin, LOOK_BACK)
            if raw is not None:
                tell_kinds(read_spans(raw, self.reader.head, self._run_name), kinds)
        return kinds


def _end_of(lines: list[Line], at: int) -> int:
    return int(lines[-1].cursor.rpartition("-")[2]) if lines else at
